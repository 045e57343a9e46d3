"""Type checking of keysets and select expressions."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.coerce import coerce, same_width, to_numeric
from p4native.frontend.check.context import Context
from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import (
    DONT_CARE,
    INT,
    STATE,
    UNKNOWN,
    BitsType,
    BoolType,
    EnumType,
    ListValueType,
    SetType,
    StructType,
    TupleType,
    Type,
    VarbitType,
)


def check_mask(ctx: Context, expr: ir.Mask) -> ir.Expression:
    """`value &&& mask`."""
    return _pair(ctx, expr, "&&&")


def check_range(ctx: Context, expr: ir.Range) -> ir.Expression:
    """`low .. high`."""
    return _pair(ctx, expr, "..")


def _pair(ctx: Context, expr: ir.Mask | ir.Range, op: str) -> ir.Expression:
    from p4native.frontend.check.expressions import check

    expr.left = check(ctx, expr.left)
    expr.right = check(ctx, expr.right)
    if UNKNOWN in (expr.left.type, expr.right.type):
        return expr
    original = expr.left.type
    expr.left, expr.right = to_numeric(expr.left), to_numeric(expr.right)
    expr.left, expr.right = same_width(ctx, expr.left, expr.right)
    left, right = expr.left.type, expr.right.type
    for side in (expr.left, expr.right):
        if side.type is not INT and not isinstance(side.type, BitsType):
            return ctx.bad(expr, f"'{op}' cannot be applied to a value of type '{side.type}'")
    if left != right:
        return ctx.bad(expr, f"'{op}' needs operands of equal types, not '{left}' and '{right}'")
    expr.type = SetType(original if isinstance(original, EnumType) else left)
    return expr


def check_keyset(ctx: Context, keyset: ir.Expression, wanted: Type, loc: Loc) -> ir.Expression:
    """One element of a keyset, matched against a key of type `wanted`."""
    from p4native.frontend.check.expressions import check

    keyset = check(ctx, keyset)
    if UNKNOWN in (keyset.type, wanted):
        return keyset
    if isinstance(keyset, ir.DontCare):
        keyset.type = wanted
        return keyset
    if isinstance(keyset, (ir.Mask, ir.Range)):
        assert isinstance(keyset.type, SetType)
        plain = _plain(wanted)
        if keyset.type.element is INT and isinstance(plain, BitsType):
            keyset.left = coerce(ctx, keyset.left, plain, loc)
            keyset.right = coerce(ctx, keyset.right, plain, loc)
        elif _plain(keyset.type.element) != plain:
            return ctx.bad(
                keyset,
                f"a set of '{keyset.type.element}' does not match a key of type '{wanted}'",
                loc,
            )
        keyset.type = SetType(wanted)
        return keyset
    if isinstance(keyset.type, SetType):
        return _value_set(ctx, keyset, wanted, loc)
    if isinstance(wanted, EnumType) and wanted.repr is not None and keyset.type != wanted:
        return coerce(ctx, keyset, wanted.repr, loc)
    return coerce(ctx, keyset, wanted, loc)


def _plain(t: Type) -> Type:
    if isinstance(t, EnumType) and t.repr is not None:
        return t.repr
    return t


def _value_set(ctx: Context, keyset: ir.Expression, wanted: Type, loc: Loc) -> ir.Expression:
    assert isinstance(keyset.type, SetType)
    element = keyset.type.element
    if _flatten(element) != _flatten(wanted):
        return ctx.bad(keyset, f"a set of '{element}' does not match a key of type '{wanted}'", loc)
    return keyset


def _flatten(t: Type) -> tuple[Type, ...]:
    """The scalars a keyset element of this type is matched against."""
    if isinstance(t, StructType):
        return tuple(s for f in t.fields.values() for s in _flatten(f))
    if isinstance(t, (TupleType, ListValueType)):
        return tuple(s for e in t.elements for s in _flatten(e))
    return (_plain(t),)


def check_select(ctx: Context, select: ir.Select) -> None:
    """A `select` transition."""
    from p4native.frontend.check.expressions import check

    select.selectors = [check(ctx, s) for s in select.selectors]
    good = True
    for selector in select.selectors:
        if selector.type is UNKNOWN:
            good = False
        elif not _selectable(selector.type):
            ctx.type_error(
                f"an expression of type '{selector.type}' cannot be used in 'select'", selector.loc
            )
            good = False
    ctx.in_select = True
    for case in select.cases:
        _case(ctx, select, case, good)
    ctx.in_select = False
    check_constant_keysets(ctx, select)
    select.type = STATE


def _selectable(t: Type) -> bool:
    if isinstance(t, (TupleType, ListValueType)):
        return all(_selectable(e) for e in t.elements)
    return isinstance(t, (BitsType, BoolType, EnumType)) and not isinstance(t, VarbitType)


def _case(ctx: Context, select: ir.Select, case: ir.SelectCase, good: bool) -> None:
    wanted = [s.type for s in select.selectors]
    keyset = case.keyset
    if not good:
        return
    if isinstance(keyset, ir.ListExpr) and len(wanted) > 1 and not keyset.ref:
        if len(keyset.items) != len(wanted):
            ctx.type_error(
                f"{len(keyset.items)} keyset elements for {len(wanted)} selectors",
                select.loc,
                (case.loc, "this case"),
            )
            return
        keyset.items = [
            check_keyset(ctx, item, t, select.loc)
            for item, t in zip(keyset.items, wanted, strict=True)
        ]
        keyset.type = SetType(ListValueType(tuple(wanted)))
        return
    if isinstance(keyset, ir.ListExpr) and len(keyset.items) == 1:
        keyset = case.keyset = keyset.items[0]
    target = wanted[0] if len(wanted) == 1 else ListValueType(tuple(wanted))
    if isinstance(keyset, ir.DontCare):
        keyset.type = target
        return
    case.keyset = _whole(ctx, keyset, target, select)


def _initialized_local(expr: ir.Expression) -> bool:
    """Whether this is a local variable with an initial value, which may turn out constant."""
    while isinstance(expr, (ir.Member, ir.Cast)):
        expr = expr.expr
    if isinstance(expr, ir.ListExpr):
        return all(_initialized_local(i) or i.value is not None for i in expr.items)
    return (
        isinstance(expr, ir.Path)
        and isinstance(expr.decl, ir.VarDecl)
        and expr.decl.init is not None
    )


def check_constant_keysets(ctx: Context, select: ir.Select) -> None:
    """Keysets must be constants: the target compares with fixed values only."""
    from p4native.frontend.check.expressions import is_constant

    for case in select.cases:
        keyset = case.keyset
        if keyset.type is UNKNOWN:
            continue
        items = keyset.items if isinstance(keyset, ir.ListExpr) else [keyset]
        for item in items:
            sides = [item.left, item.right] if isinstance(item, (ir.Mask, ir.Range)) else [item]
            for side in sides:
                is_set = isinstance(side, ir.Path) and isinstance(side.decl, ir.ValueSetDecl)
                known = is_set or is_constant(side) or _initialized_local(side)
                if side.type is not UNKNOWN and not known:
                    ctx.error("invalid", "a keyset must be a compile-time constant", side.loc)


def _whole(ctx: Context, keyset: ir.Expression, target: Type, select: ir.Select) -> ir.Expression:
    """A keyset that is matched as a whole: a value set, struct or single element."""
    from p4native.frontend.check.expressions import check

    keyset = check(ctx, keyset)
    if keyset.type is UNKNOWN:
        return keyset
    if isinstance(keyset.type, SetType) and not isinstance(keyset, (ir.Mask, ir.Range)):
        return _value_set(ctx, keyset, target, select.loc)
    if isinstance(keyset.type, StructType):
        if _flatten(keyset.type) != _flatten(target):
            return ctx.bad(keyset, f"'{keyset.type}' does not match '{target}'", select.loc)
        return keyset
    if keyset.type is DONT_CARE:
        return keyset
    return check_keyset(ctx, keyset, target, select.loc)
