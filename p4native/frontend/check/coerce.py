"""Implicit conversions: giving an expression the type its context wants."""

from __future__ import annotations

from functools import lru_cache

from p4native.frontend import ir
from p4native.frontend.check.consteval import fits, wrap
from p4native.frontend.check.context import Context
from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import (
    INT,
    INVALID,
    UNKNOWN,
    BitsType,
    BoolType,
    DontCareType,
    EnumType,
    ErrorType,
    IntType,
    ListType,
    ListValueType,
    StackType,
    StringType,
    StructType,
    StructValueType,
    TupleType,
    Type,
    VarbitType,
    underlying,
)


def coerce(ctx: Context, expr: ir.Expression, target: Type, loc: Loc) -> ir.Expression:
    """`expr` converted to `target` as in an assignment at `loc`; reports a mismatch."""
    source = expr.type
    if UNKNOWN in (source, target) or source == target or isinstance(target, DontCareType):
        return expr
    if isinstance(expr, (ir.DefaultValue, ir.DontCare)):
        if isinstance(expr, ir.DefaultValue) and not _has_default(target):
            ctx.type_error(f"type '{target}' has no default value", expr.loc)
            return expr
        expr.type = target
        return expr
    found = _convert(ctx, expr, target, loc)
    if found is None:
        mismatch(ctx, expr, target, loc)
        expr.type = UNKNOWN
        return expr
    return found


@lru_cache(maxsize=4096)
def _has_default(t: Type) -> bool:
    """Whether `...` can stand for a value of this type."""
    if isinstance(t, StructType):
        return all(_has_default(f) for f in t.fields.values())
    if isinstance(t, StackType):
        return _has_default(t.element)
    if isinstance(t, TupleType):
        return all(_has_default(e) for e in t.elements)
    return isinstance(
        underlying(t), (BitsType, BoolType, EnumType, ErrorType, IntType, StringType, VarbitType)
    )


def mismatch(ctx: Context, expr: ir.Expression, target: Type, loc: Loc) -> None:
    """Report that an expression does not have the wanted type."""
    ctx.type_error(
        f"an expression of type '{expr.type}' cannot be assigned to type '{target}'", loc
    )


def _convert(ctx: Context, expr: ir.Expression, target: Type, loc: Loc) -> ir.Expression | None:
    source = expr.type
    if isinstance(source, IntType):
        plain = underlying(target)
        if not isinstance(plain, BitsType) or isinstance(target, EnumType):
            return None
        sized = int_to_bits(ctx, expr, plain)
        return sized if plain is target else implicit_cast(sized, target)
    if target is INT and isinstance(source, BitsType):
        if isinstance(expr.value, int):
            return ir.IntLit(expr.value, type=INT, value=expr.value, loc=expr.loc)
        return implicit_cast(expr, target)
    if isinstance(source, EnumType) and source.repr == target and source.repr is not None:
        return implicit_cast(expr, target)
    if isinstance(expr, ir.InvalidHeader) and source is INVALID:
        if isinstance(target, StructType) and target.kind != "struct":
            expr.type = target
            return expr
        return None
    if isinstance(expr, ir.Ternary):
        expr.then = coerce(ctx, expr.then, target, loc)
        expr.other = coerce(ctx, expr.other, target, loc)
        expr.type = target
        return expr
    if isinstance(expr, ir.ListExpr):
        return _list(ctx, expr, target, loc)
    if isinstance(expr, ir.StructExpr) and isinstance(source, StructValueType):
        return _struct(ctx, expr, target, loc)
    return None


def implicit_cast(expr: ir.Expression, target: Type) -> ir.Expression:
    """A `Cast` that was not written, keeping a known value."""
    value = expr.value
    if isinstance(value, ir.EnumMember):
        value = value.number
    return ir.Cast(None, expr, type=target, value=value, loc=expr.loc)


def int_to_bits(ctx: Context, expr: ir.Expression, target: BitsType) -> ir.Expression:
    """An `int` expression as a sized one: a literal if its value is known."""
    value = expr.value
    if isinstance(value, bool) or not isinstance(value, int):
        return implicit_cast(expr, target)
    return sized_literal(ctx, value, target, expr)


def sized_literal(ctx: Context, value: int, target: BitsType, expr: ir.Expression) -> ir.IntLit:
    """A literal of a sized type, warning if bits of the value are lost."""
    wrapped = wrap(value, target)
    if not fits(value, target):
        warn_overflow(ctx, value, wrapped, target, expr.loc)
    base = expr.base if isinstance(expr, ir.IntLit) else 10
    return ir.IntLit(wrapped, base, type=target, value=wrapped, loc=expr.loc)


def warn_overflow(ctx: Context, value: int, wrapped: int, target: BitsType, loc: Loc) -> None:
    """Warn that a constant does not fit its type."""
    if value < 0 and not target.signed:
        ctx.warning("mismatch", f"negative value {_short(value)} with type '{target}'", loc)
    elif target.signed and value >> (target.width) == 0 and value >= 0:
        ctx.warning(
            "overflow",
            f"{_short(value)} as '{target}' is negative ({_short(wrapped)})",
            loc,
        )
    else:
        ctx.warning(
            "overflow",
            f"value {_short(value)} does not fit '{target}' and is truncated to {_short(wrapped)}",
            loc,
        )


def _short(value: int) -> str:
    return str(value) if value.bit_length() < 256 else f"{value:#x}"[:40] + "..."


def _list(ctx: Context, expr: ir.ListExpr, target: Type, loc: Loc) -> ir.Expression | None:
    if isinstance(target, StructType):
        if target.kind == "header_union":
            return None
        return _list_to_struct(ctx, expr, target, loc)
    if isinstance(target, ListType):
        expr.items = [coerce(ctx, i, target.element, loc) for i in expr.items]
        expr.type = target
        return expr
    if isinstance(target, StackType):
        wanted: list[Type] = [target.element] * target.size
    elif isinstance(target, (TupleType, ListValueType)):
        wanted = list(target.elements)
    else:
        return None
    items = _fill(ctx, expr, wanted, loc)
    if items is None:
        return expr
    expr.items = [coerce(ctx, i, w, loc) for i, w in zip(items, wanted, strict=True)]
    expr.has_rest = False
    expr.type = target
    expr.value = aggregate_value(expr.items)
    return expr


def _fill(
    ctx: Context, expr: ir.ListExpr, wanted: list[Type], loc: Loc
) -> list[ir.Expression] | None:
    """The items, with `...` expanded to default values; None after an error in their number."""
    missing = len(wanted) - len(expr.items)
    if missing < 0 or (missing > 0 and not expr.has_rest):
        ctx.type_error(f"{len(expr.items)} values are given where {len(wanted)} are expected", loc)
        expr.type = UNKNOWN
        return None
    rest: list[ir.Expression] = [
        ir.DefaultValue(type=t, loc=expr.loc) for t in wanted[len(expr.items) :]
    ]
    return expr.items + rest


def _list_to_struct(ctx: Context, expr: ir.ListExpr, target: StructType, loc: Loc) -> ir.Expression:
    wanted = list(target.fields.values())
    items = _fill(ctx, expr, wanted, loc)
    if items is None:
        return expr
    fields = [
        ir.NamedExpr(name, coerce(ctx, item, t, loc), loc=item.loc)
        for (name, t), item in zip(target.fields.items(), items, strict=True)
    ]
    return ir.StructExpr(
        fields,
        expr.ref,
        type=target,
        value=aggregate_value([f.expr for f in fields]),
        loc=expr.loc,
    )


def _struct(ctx: Context, expr: ir.StructExpr, target: Type, loc: Loc) -> ir.Expression | None:
    if not isinstance(target, StructType) or target.kind == "header_union":
        return None
    given = {f.name: f for f in expr.fields}
    fields: list[ir.NamedExpr] = []
    for name, t in target.fields.items():
        named = given.pop(name, None)
        if named is None:
            if not expr.has_rest:
                ctx.type_error(f"no initializer for field '{name}' of '{target}'", loc)
                expr.type = UNKNOWN
                return expr
            named = ir.NamedExpr(name, ir.DefaultValue(type=t, loc=expr.loc), loc=expr.loc)
        else:
            named.expr = coerce(ctx, named.expr, t, loc)
        fields.append(named)
    for name in given:
        ctx.type_error(f"'{target}' has no field '{name}'", loc)
        expr.type = UNKNOWN
        return expr
    expr.fields = fields
    expr.has_rest = False
    expr.type = target
    expr.value = aggregate_value([f.expr for f in fields])
    return expr


def aggregate_value(items: list[ir.Expression]) -> ir.Value:
    """The tuple of the items' values if all are known."""
    values: list[ir.Value] = []
    for item in items:
        if item.value is None:
            return None
        values.append(item.value)
    return tuple(values)


def to_numeric(expr: ir.Expression) -> ir.Expression:
    """A serializable enum value cast to what it is stored as, for arithmetic."""
    if isinstance(expr.type, EnumType) and expr.type.repr is not None:
        return implicit_cast(expr, expr.type.repr)
    return expr


def same_width(
    ctx: Context, left: ir.Expression, right: ir.Expression
) -> tuple[ir.Expression, ir.Expression]:
    """Give an `int` operand the other operand's sized type."""
    if left.type is INT and isinstance(right.type, BitsType):
        left = int_to_bits(ctx, left, right.type)
    elif right.type is INT and isinstance(left.type, BitsType):
        right = int_to_bits(ctx, right, left.type)
    return left, right
