"""Type checking of struct-like types, enums and type names."""

from __future__ import annotations

from functools import lru_cache

from p4native.frontend import ir
from p4native.frontend.check.annotations import check_annotations
from p4native.frontend.check.callables import declare_type_params
from p4native.frontend.check.coerce import coerce
from p4native.frontend.check.consteval import fits
from p4native.frontend.check.context import Context, check_unique
from p4native.frontend.check.typerefs import has_type_params, resolve_type
from p4native.frontend.types import (
    UNKNOWN,
    BitsType,
    BoolType,
    EnumType,
    ErrorType,
    IntType,
    MatchKindType,
    NewType,
    StackType,
    StructType,
    TupleType,
    Type,
    TypeVar,
    VarbitType,
)


def check_struct_decl(ctx: Context, decl: ir.StructDecl) -> None:
    """A struct, header or header union."""
    check_unique(ctx, list(decl.fields))
    with ctx.scope():
        declare_type_params(ctx, decl.type_params)
        for at, field in enumerate(decl.fields):
            check_annotations(ctx, field.annotations, decl.fields[:at])
            _field(ctx, decl, field)
    decl.type = StructType(decl)


def _field(ctx: Context, decl: ir.StructDecl, field: ir.Field) -> None:
    t = resolve_type(ctx, field.ref)
    if t is UNKNOWN:
        return
    if has_type_params(t):
        ctx.type_error(f"field '{field.name}': type '{t}' needs type arguments", field.loc)
        return
    if not allowed_field(decl.kind, t):
        ctx.type_error(
            f"a {decl.kind.replace('_', ' ')} cannot have field '{field.name}' of type '{t}'",
            field.loc,
        )
        return
    field.type = t


def _base(t: Type) -> Type:
    while isinstance(t, NewType):
        t = t.base
    return t


@lru_cache(maxsize=4096)
def _only_bits(t: Type) -> bool:
    while isinstance(t, StackType):
        t = t.element
    if isinstance(t, StructType):
        return t.kind == "struct" and all(_only_bits(f) for f in t.fields.values())
    if isinstance(t, EnumType):
        return t.repr is not None
    return isinstance(t, (BitsType, BoolType))


def _in_header(t: Type) -> bool:
    t = _base(t)
    generic = isinstance(t, TypeVar) or (isinstance(t, StructType) and bool(t.args))
    return generic or isinstance(t, VarbitType) or _only_bits(t)


def _in_struct(t: Type) -> bool:
    return isinstance(
        _base(t),
        (
            StructType,
            BitsType,
            EnumType,
            ErrorType,
            BoolType,
            StackType,
            VarbitType,
            TupleType,
            TypeVar,
            MatchKindType,
        ),
    )


def _in_union(t: Type) -> bool:
    return isinstance(t, TypeVar) or (isinstance(t, StructType) and t.kind == "header")


_ALLOWED = {"header": _in_header, "struct": _in_struct, "header_union": _in_union}


def allowed_field(kind: str, t: Type) -> bool:
    """Whether a struct, header or header union may have a field of type `t`."""
    if isinstance(t, TupleType) and kind == "struct":
        return all(allowed_field("struct", e) for e in t.elements)
    return _ALLOWED[kind](t)


def check_enum(ctx: Context, decl: ir.EnumDecl) -> None:
    """An enum; the members of a serializable one get their values."""
    check_unique(ctx, list(decl.members))
    if decl.ref is None:
        decl.type = EnumType(decl)
        for member in decl.members:
            member.type = decl.type
        return
    t = resolve_type(ctx, decl.ref)
    if t is UNKNOWN:
        return
    if not isinstance(t, BitsType):
        ctx.type_error(f"'{t}' cannot underlie an enum; only bit<> and int<> can", decl.ref.loc)
        return
    decl.type = EnumType(decl, t)
    with ctx.scope():
        for member in decl.members:
            member.type = decl.type
            _enum_value(ctx, member, t)
            ctx.scopes[-1].setdefault(member.name, [member])  # later members may use it


def _enum_value(ctx: Context, member: ir.EnumMember, t: BitsType) -> None:
    from p4native.frontend.check.expressions import check

    assert member.init is not None
    member.init = init = check(ctx, member.init)
    if init.type is UNKNOWN:
        return
    value = init.value
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and isinstance(init.type, (IntType, BitsType))
    ):
        if not fits(value, t):
            ctx.type_error(
                f"the value {value} of '{member.name}' does not fit the underlying type '{t}'",
                member.loc,
            )
            return
    elif value is None:
        ctx.type_error(f"the value of '{member.name}' must be a constant", member.loc)
        return
    member.init = coerce(ctx, init, t, member.loc)
    if isinstance(member.init.value, int):
        member.number = member.init.value


def check_typedef(ctx: Context, decl: ir.TypedefDecl) -> None:
    """A `typedef`."""
    t = resolve_type(ctx, decl.ref)
    if t is not UNKNOWN and has_type_params(t):
        ctx.type_error(f"type '{t}' needs type arguments", decl.loc)
        return
    decl.type = t


def check_new_type(ctx: Context, decl: ir.NewTypeDecl) -> None:
    """A `type` declaration."""
    t = resolve_type(ctx, decl.ref)
    if t is UNKNOWN:
        return
    if not isinstance(t, (BitsType, BoolType, NewType)):
        ctx.type_error(f"'type' can only be applied to base types, not to '{t}'", decl.loc)
        return
    decl.type = NewType(decl, t)
