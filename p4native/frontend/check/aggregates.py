"""Type checking of `{...}` expressions."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.coerce import aggregate_value
from p4native.frontend.check.context import Context
from p4native.frontend.types import (
    UNKNOWN,
    ListValueType,
    SetType,
    StructValueType,
    TableResultType,
    Type,
    VoidType,
)


def check_list(ctx: Context, expr: ir.ListExpr) -> ir.Expression:
    """`{a, b}`: a provisional list type unless converted already."""
    from p4native.frontend.check.expressions import check

    if expr.type is not UNKNOWN:
        return expr
    expr.items = [check(ctx, i) for i in expr.items]
    elements = tuple(_element(ctx, i) for i in expr.items)
    if UNKNOWN in elements:
        return expr
    if any(isinstance(e, SetType) for e in elements):
        plain = tuple(e.element if isinstance(e, SetType) else e for e in elements)
        expr.type = SetType(ListValueType(plain))
    else:
        expr.type = ListValueType(elements)
    expr.value = aggregate_value(expr.items)
    return expr


def check_struct(ctx: Context, expr: ir.StructExpr) -> ir.Expression:
    """`{f = a}`: a provisional struct type unless converted already."""
    from p4native.frontend.check.expressions import check

    if expr.type is not UNKNOWN:
        return expr
    for named in expr.fields:
        named.expr = check(ctx, named.expr)
    fields = tuple((f.name, _element(ctx, f.expr)) for f in expr.fields)
    if any(t is UNKNOWN for _, t in fields):
        return expr
    expr.type = StructValueType(fields)
    return expr


def _element(ctx: Context, item: ir.Expression) -> Type:
    if isinstance(item.type, (VoidType, TableResultType)):
        ctx.type_error(f"a value of type '{item.type}' cannot be part of a list", item.loc)
        return UNKNOWN
    return item.type
