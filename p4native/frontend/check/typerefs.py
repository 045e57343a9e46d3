"""Resolution of type references to canonical types."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.context import Context
from p4native.frontend.types import (
    BOOL,
    DONT_CARE,
    ERROR,
    INT,
    MATCH_KIND,
    STRING,
    UNKNOWN,
    VOID,
    ArchBlockType,
    BitsType,
    DontCareType,
    ExternType,
    IntType,
    ListType,
    StackType,
    StructType,
    TupleType,
    Type,
    TypeVar,
    UnknownType,
    VarbitType,
    VoidType,
    bits,
    substitute,
)
from p4native.frontend.visitor import walk

MAX_WIDTH = 2048
MAX_VARBIT = 65_528  # longest bytes that a 16-bit number of bits can count
_MAX_STACK = 1 << 20
_SIMPLE: dict[str, Type] = {
    "bool": BOOL,
    "error": ERROR,
    "string": STRING,
    "void": VOID,
    "match_kind": MATCH_KIND,
}


def resolve_type(ctx: Context, ref: ir.TypeRef, bare_generic: bool = False) -> Type:
    """The canonical type of `ref`, recorded in it; `UNKNOWN` after reporting an error.

    `bare_generic`: a generic type without arguments is allowed (its arguments are inferred).
    """
    if ref.type is not UNKNOWN:
        return ref.type
    if isinstance(ref, ir.BaseTypeRef):
        found = _base(ctx, ref)
    elif isinstance(ref, ir.NamedTypeRef):
        found = _named(ctx, ref, bare_generic)
    elif isinstance(ref, ir.StackTypeRef):
        found = _stack(ctx, ref)
    else:
        assert isinstance(ref, ir.TupleTypeRef)
        found = _tuple(ctx, ref)
    ref.type = found
    return found


def _base(ctx: Context, ref: ir.BaseTypeRef) -> Type:
    simple = _SIMPLE.get(ref.name)
    if simple is ERROR and not ctx.program.errors:
        ctx.error("not-found", "'error' is not declared; include core.p4", ref.loc)
        return UNKNOWN
    if simple is not None:
        return simple
    if ref.width is None:
        return INT
    width = constant_int(ctx, ref, "width")
    if width is None:
        return UNKNOWN
    signed = ref.name == "int"
    if width < 0 or (signed and width == 0):
        ctx.error("invalid", f"{ref.name}<{width}>: the width must be positive", ref.loc)
        return UNKNOWN
    limit = MAX_VARBIT if ref.name == "varbit" else MAX_WIDTH
    if width > limit:
        ctx.error(
            "overlimit", f"{ref.name}<{width}>: widths above {limit} are not supported", ref.loc
        )
        return UNKNOWN
    return VarbitType(width) if ref.name == "varbit" else bits(width, signed)


def constant_int(ctx: Context, ref: ir.TypeRef, attribute: str) -> int | None:
    """The value of a type reference's size expression, None after reporting an error."""
    from p4native.frontend.check.expressions import check

    expr = check(ctx, getattr(ref, attribute))
    setattr(ref, attribute, expr)
    if expr.type is UNKNOWN:
        return None
    value = expr.value
    if isinstance(value, ir.EnumMember):
        value = value.number
    if any(isinstance(n, ir.Member) and isinstance(n.expr.type, StackType) for n in walk(expr)):
        value = None  # properties of variables are no constants
    if isinstance(value, bool) or not isinstance(value, int):
        if isinstance(expr.type, (IntType, BitsType)) or value is None:
            ctx.type_error("expected a compile-time constant integer", expr.loc)
        else:
            ctx.type_error(f"expected an integer, not a value of type {expr.type}", expr.loc)
        return None
    return value


def _stack(ctx: Context, ref: ir.StackTypeRef) -> Type:
    element = resolve_type(ctx, ref.element)
    size = constant_int(ctx, ref, "size")
    if size is None or element is UNKNOWN:
        return UNKNOWN
    if size < 0:
        ctx.error("invalid", f"the size of a stack cannot be negative: {size}", ref.loc)
        return UNKNOWN
    if size > _MAX_STACK:
        ctx.error("overlimit", f"a stack of {size} elements is not supported", ref.loc)
        return UNKNOWN
    return StackType(element, size)


def _tuple(ctx: Context, ref: ir.TupleTypeRef) -> Type:
    elements = [resolve_type(ctx, e) for e in ref.elements]
    if UNKNOWN in elements:
        return UNKNOWN
    for element, written in zip(elements, ref.elements, strict=True):
        if not ref.is_list and isinstance(
            element, (ArchBlockType, ExternType, VoidType, DontCareType)
        ):
            ctx.type_error(f"'{element}' cannot be an element of a tuple", written.loc)
            return UNKNOWN
    if ref.is_list:
        return ListType(elements[0]) if elements else UNKNOWN
    return TupleType(tuple(elements))


def _named(ctx: Context, ref: ir.NamedTypeRef, bare_generic: bool) -> Type:
    if ref.name == "_":
        return DONT_CARE
    decls = ctx.lookup(ref.name, ref.absolute)
    if not decls:
        ctx.undeclared("type ", ref.name, ref.loc)
        return UNKNOWN
    ref.decl = decls[0]
    ctx.warn_deprecated(decls[0], ref.loc)
    base = declared_type(decls[0])
    if base is None:
        ctx.type_error(f"'{ref.name}' is not a type", ref.loc, (decls[0].loc, "declared here"))
        return UNKNOWN
    if decls[0] is ctx.container:
        kind = "parser" if ctx.in_parser() else "control"
        ctx.type_error(f"a {kind} cannot refer to itself: '{ref.name}'", ref.loc)
        return UNKNOWN
    params = type_params_of(base)
    if not ref.args:
        if params and not bare_generic:
            ctx.type_error(f"generic type '{ref.name}' needs type arguments", ref.loc)
            return UNKNOWN
        return base
    return _specialize(ctx, ref, base, params)


def _specialize(ctx: Context, ref: ir.NamedTypeRef, base: Type, params: list[ir.TypeParam]) -> Type:
    if not params:
        ctx.type_error(f"'{ref.name}' is not generic and takes no type arguments", ref.loc)
        return UNKNOWN
    if len(params) != len(ref.args):
        ctx.type_error(
            f"'{ref.name}' has {len(params)} type parameters, but {len(ref.args)} type arguments"
            " are given",
            ref.loc,
        )
        return UNKNOWN
    args = [resolve_type(ctx, a) for a in ref.args]
    if UNKNOWN in args:
        return UNKNOWN
    for arg, written in zip(args, ref.args, strict=True):
        if isinstance(arg, ArchBlockType):
            ctx.type_error(f"'{arg}' cannot be used as a type argument", written.loc)
            return UNKNOWN
        if contains_decl(arg, base):
            ctx.type_error(f"'{ref.name}' contains itself as a type argument", written.loc)
            return UNKNOWN
    assert isinstance(base, (StructType, ExternType, ArchBlockType))
    if isinstance(base, StructType):
        return _specialize_struct(ctx, ref, StructType(base.decl, tuple(args)))
    if isinstance(base, ExternType):
        return ExternType(base.decl, tuple(args))
    return ArchBlockType(base.decl, tuple(args))


def _specialize_struct(ctx: Context, ref: ir.NamedTypeRef, made: StructType) -> Type:
    """A specialized struct, whose fields' types must still be allowed in it."""
    from p4native.frontend.check.structs import allowed_field

    for field in made.decl.fields:
        t = made.fields[field.name]
        if t is not UNKNOWN and not isinstance(t, TypeVar) and not allowed_field(made.kind, t):
            ctx.type_error(
                f"field '{field.name}' of '{made}' cannot have type '{t}'",
                ref.loc if isinstance(t, TupleType) else field.loc,
                (ref.loc, f"'{made}' is used here"),
            )
            return UNKNOWN
    return made


def contains_decl(t: Type, base: Type) -> bool:
    """Whether `t` is, or has as a type argument, the generic type `base`."""
    if not isinstance(t, (StructType, ExternType)) or not isinstance(base, type(t)):
        return False
    return t.decl is base.decl or any(contains_decl(a, base) for a in t.args)


def declared_type(decl: ir.Decl) -> Type | None:
    """The type that a declaration introduces, None if it is not a type declaration."""
    if isinstance(decl, (ir.TypedefDecl, ir.NewTypeDecl, ir.EnumDecl, ir.StructDecl)):
        return decl.type
    if isinstance(decl, ir.TypeParam):
        return TypeVar(decl)
    if isinstance(decl, ir.ExternDecl):
        return ExternType(decl)
    if isinstance(decl, ARCH_DECLS):
        return ArchBlockType(decl)
    return None


ARCH_DECLS = (
    ir.ParserTypeDecl,
    ir.ControlTypeDecl,
    ir.PackageTypeDecl,
    ir.ParserDecl,
    ir.ControlDecl,
)


def type_params_of(t: Type) -> list[ir.TypeParam]:
    """The type parameters a type still needs arguments for."""
    if isinstance(t, (StructType, ExternType, ArchBlockType)) and not t.args:
        return t.decl.type_params
    return []


def has_type_params(t: Type) -> bool:
    """Whether a generic type was left without type arguments."""
    return not isinstance(t, UnknownType) and bool(type_params_of(t))


def bindings(t: Type) -> dict[ir.TypeParam, Type]:
    """Type parameter to argument of a specialized type."""
    if isinstance(t, (StructType, ExternType, ArchBlockType)) and t.args:
        return dict(zip(t.decl.type_params, t.args, strict=True))
    return {}


def param_types(
    decl: ir.ParserTypeDecl | ir.ControlTypeDecl | ir.ParserDecl | ir.ControlDecl,
    bind: dict[ir.TypeParam, Type],
) -> list[Type]:
    """Types of a block's parameters with its type arguments filled in."""
    return [substitute(p.type, bind) for p in decl.params]


def mentions(t: Type, param: ir.TypeParam) -> bool:
    """Whether a type contains a type parameter."""
    return substitute(t, {param: VOID}) != t
