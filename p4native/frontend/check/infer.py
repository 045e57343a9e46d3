"""Inference of type arguments: matching parameter types against argument types."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.typerefs import bindings, param_types
from p4native.frontend.types import (
    DONT_CARE,
    UNKNOWN,
    ArchBlockType,
    BitsType,
    DontCareType,
    EnumType,
    ExternType,
    IntType,
    InvalidType,
    ListType,
    ListValueType,
    SetType,
    StackType,
    StructType,
    StructValueType,
    TupleType,
    Type,
    TypeVar,
    substitute,
)

Bindings = dict[ir.TypeParam, Type | None]


def fresh(params: list[ir.TypeParam]) -> Bindings:
    """Unbound bindings for some type parameters."""
    return dict.fromkeys(params)


def solved(bind: Bindings) -> dict[ir.TypeParam, Type]:
    """The bindings found so far, with untyped lists taken as tuples."""
    return {p: settle(t) for p, t in bind.items() if t is not None}


def settle(t: Type) -> Type:
    """`t` with `{a, b}`'s provisional type made the tuple it is without a target."""
    if isinstance(t, ListValueType):
        return TupleType(tuple(settle(e) for e in t.elements))
    return t


def infer(pattern: Type, actual: Type, bind: Bindings) -> bool:
    """Bind the type parameters in `pattern` so that it matches `actual`; False on a conflict.

    Only conflicts between bindings are detected: whether the argument converts to the
    parameter's type is for `coerce` to say.
    """
    if actual is UNKNOWN or isinstance(actual, DontCareType):
        return True
    if isinstance(pattern, TypeVar) and pattern.decl in bind:
        return _bind(pattern.decl, actual, bind)
    if isinstance(pattern, (StructType, ExternType)):
        return _infer_nominal(pattern, actual, bind)
    if isinstance(pattern, ArchBlockType):
        return not isinstance(actual, ArchBlockType) or infer_block(pattern, actual, bind)
    if isinstance(pattern, StackType) and isinstance(actual, StackType):
        return infer(pattern.element, actual.element, bind)
    if isinstance(pattern, (TupleType, ListValueType)):
        if isinstance(actual, (TupleType, ListValueType)) and len(actual.elements) == len(
            pattern.elements
        ):
            pairs = zip(pattern.elements, actual.elements, strict=True)
            return all(infer(p, a, bind) for p, a in pairs)
        return True
    if isinstance(pattern, ListType):
        return _infer_list(pattern, actual, bind)
    if isinstance(pattern, SetType) and isinstance(actual, SetType):
        return infer(pattern.element, actual.element, bind)
    return True


def _infer_list(pattern: ListType, actual: Type, bind: Bindings) -> bool:
    if isinstance(actual, ListType):
        return infer(pattern.element, actual.element, bind)
    if isinstance(actual, (TupleType, ListValueType)):
        return all(infer(pattern.element, e, bind) for e in actual.elements)
    return True


def _infer_nominal(pattern: StructType | ExternType, actual: Type, bind: Bindings) -> bool:
    if isinstance(actual, (StructType, ExternType)):
        if pattern.decl is actual.decl and len(pattern.args) == len(actual.args):
            pairs = zip(pattern.args, actual.args, strict=True)
            return all(infer(p, a, bind) for p, a in pairs)
        return True
    if isinstance(pattern, StructType) and pattern.args:
        fields = pattern.fields
        if isinstance(actual, ListValueType) and len(fields) == len(actual.elements):
            pairs = zip(fields.values(), actual.elements, strict=True)
            return all(infer(p, a, bind) for p, a in pairs)
        if isinstance(actual, StructValueType):
            return all(infer(fields[n], a, bind) for n, a in actual.fields if n in fields)
    return True


def infer_block(pattern: ArchBlockType, actual: ArchBlockType, bind: Bindings) -> bool:
    """Match a parser or control (or their types) against a parser or control type."""
    wanted, given = pattern.decl, actual.decl
    if isinstance(wanted, ir.PackageTypeDecl) or isinstance(given, ir.PackageTypeDecl):
        return wanted is given and all(
            infer(p, a, bind) for p, a in zip(pattern.args, actual.args, strict=False)
        )
    if wanted is given and len(pattern.args) == len(actual.args):
        return all(infer(p, a, bind) for p, a in zip(pattern.args, actual.args, strict=True))
    patterns = param_types(wanted, bindings(pattern))
    actuals = param_types(given, bindings(actual))
    return all(infer(p, a, bind) for p, a in zip(patterns, actuals, strict=False))


def _bind(param: ir.TypeParam, actual: Type, bind: Bindings) -> bool:
    current = bind[param]
    if current is None or current == actual:
        bind[param] = actual
        return True
    merged = merge(current, actual)
    if merged is None:
        return False
    bind[param] = merged
    return True


def merge(a: Type, b: Type) -> Type | None:
    """The more specific of two types that can stand for the same thing, None if they differ."""
    if a == b or b is DONT_CARE or b is UNKNOWN:
        return a
    if a is DONT_CARE or a is UNKNOWN:
        return b
    if isinstance(a, IntType) and isinstance(b, BitsType):
        return b
    if isinstance(b, IntType) and isinstance(a, BitsType):
        return a
    for one, other in ((a, b), (b, a)):
        if isinstance(one, InvalidType) and isinstance(other, StructType):
            return other
        if isinstance(one, EnumType) and one.repr is not None and one.repr == other:
            return other
    return _merge_aggregates(a, b)


def _merge_aggregates(a: Type, b: Type) -> Type | None:
    for one, other in ((a, b), (b, a)):
        if isinstance(one, ListValueType):
            if isinstance(other, (TupleType, ListValueType)):
                return _merge_elements(one, other)
            if isinstance(other, StructType) and len(other.fields) == len(one.elements):
                return other
            if isinstance(other, StackType) and other.size == len(one.elements):
                return other
        if isinstance(one, StructValueType) and isinstance(other, StructType):
            return other
    return None


def _merge_elements(a: ListValueType, b: TupleType | ListValueType) -> Type | None:
    if len(a.elements) != len(b.elements):
        return None
    merged = [merge(x, y) for x, y in zip(a.elements, b.elements, strict=True)]
    found = [m for m in merged if m is not None]
    if len(found) != len(merged):
        return None
    return TupleType(tuple(found)) if isinstance(b, TupleType) else ListValueType(tuple(found))


def block_matches(pattern: ArchBlockType, actual: ArchBlockType) -> str | None:
    """Why a parser or control does not fit a parser or control type; None if it does."""
    wanted, given = pattern.decl, actual.decl
    parsers = (ir.ParserDecl, ir.ParserTypeDecl)
    if isinstance(wanted, ir.PackageTypeDecl) or isinstance(given, ir.PackageTypeDecl):
        same = wanted is given and all(
            DONT_CARE in (p, a) or p == a for p, a in zip(pattern.args, actual.args, strict=False)
        )
        return None if same else f"'{actual}' is not a '{pattern}'"
    if isinstance(wanted, parsers) != isinstance(given, parsers):
        return f"'{actual}' is not of the kind of '{pattern}'"
    own = fresh(wanted.type_params + given.type_params)
    own.update(bindings(pattern))
    own.update(bindings(actual))
    known = {p: t for p, t in own.items() if t is not None}
    required = [p for p in wanted.params if not p.optional and p.default is None]
    if len(given.params) > len(wanted.params) or len(given.params) < len(required):
        return (
            f"'{given.name}' has {len(given.params)} parameters,"
            f" '{wanted.name}' has {len(wanted.params)}"
        )
    for w, g in zip(wanted.params, given.params, strict=False):
        if w.direction != g.direction:
            return (
                f"parameter '{g.name}' of '{given.name}' is {_direction(g)},"
                f" '{w.name}' of '{wanted.name}' is {_direction(w)}"
            )
        left, right = substitute(w.type, known), substitute(g.type, known)
        free = fresh([p for p, t in own.items() if t is None])
        if not infer(left, right, free) or not same_shape(left, right, free):
            return f"parameter '{g.name}' of '{given.name}' has type '{right}', expected '{left}'"
        known.update(solved(free))
    return None


def same_shape(pattern: Type, actual: Type, bind: Bindings) -> bool:
    """Whether `actual` is exactly `pattern` with the bindings filled in."""
    if UNKNOWN in (pattern, actual) or DONT_CARE in (pattern, actual):
        return True
    return substitute(pattern, solved(bind)) == actual or (
        isinstance(actual, TypeVar) and actual.decl in bind
    )


def _direction(p: ir.Param) -> str:
    return f"'{p.direction}'" if p.direction else "directionless"
