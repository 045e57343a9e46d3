"""Rebuilding expressions and statements with parts replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4native.midend import core, fold

Replace = Callable[[core.Expr], "core.Expr | None"]


def expr(e: core.Expr, replace: Replace) -> core.Expr:
    """`e` with subexpressions replaced (None: keep), bottom-up refolded; shared if unchanged."""
    new = replace(e)
    if new is not None:
        return new
    if isinstance(e, core.Binary):
        left, right = expr(e.left, replace), expr(e.right, replace)
        if left is e.left and right is e.right:
            return e
        return fold.binary(e.op, left, right, e.type)
    if isinstance(e, (core.Unary, core.Cast, core.Slice)):
        return _one_operand(e, replace)
    if isinstance(e, core.Mux):
        parts = [expr(x, replace) for x in (e.cond, e.then, e.other)]
        if parts[0] is e.cond and parts[1] is e.then and parts[2] is e.other:
            return e
        return fold.mux(*parts)
    if isinstance(e, (core.Field, core.Valid)):
        place = place_of(e.header, replace)
        if place is e.header:
            return e
        return core.Field(place, e.name) if isinstance(e, core.Field) else core.Valid(place)
    return e


def _one_operand(e: core.Unary | core.Cast | core.Slice, replace: Replace) -> core.Expr:
    arg = expr(e.arg, replace)
    if arg is e.arg:
        return e
    if isinstance(e, core.Unary):
        return fold.unary(e.op, arg, e.type)
    if isinstance(e, core.Cast):
        return fold.cast(arg, e.type)
    return fold.slice_of(arg, e.hi, e.lo)


def place_of(place: core.Place, replace: Replace) -> core.Place:
    """A header place with the run-time index rewritten."""
    if isinstance(place, core.StackElement):
        index = expr(place.index, replace)
        if index is not place.index:
            if isinstance(index, core.Const) and 0 <= index.value < place.stack.size:
                element = place.stack.elements[index.value]
                assert isinstance(element, core.Header)
                return element
            return core.StackElement(place.stack, index)
    return place


def target(e: core.Expr, replace: Replace) -> core.Expr:
    """An lvalue with only its run-time indices rewritten."""
    if isinstance(e, core.Slice):
        return core.Slice(target(e.arg, replace), e.hi, e.lo)
    if isinstance(e, core.Field):
        place = place_of(e.header, replace)
        return e if place is e.header else core.Field(place, e.name)
    return e


def argument(arg: Any, replace: Replace) -> Any:
    """An extern's argument that is read."""
    if isinstance(arg, core.Expr):
        return expr(arg, replace)
    if isinstance(arg, list):
        return [argument(a, replace) for a in arg]
    if isinstance(arg, core.StackElement):
        return place_of(arg, replace)
    return arg


def statement(s: core.Stmt, replace: Replace) -> None:
    """Rewrite the expressions a statement reads, in place; not those of nested statements."""
    if isinstance(s, core.Assign):
        s.value = expr(s.value, replace)
        s.target = target(s.target, replace)
    elif isinstance(s, core.CopyHeader):
        s.target = place_of(s.target, replace)
        s.source = place_of(s.source, replace)
    elif isinstance(s, core.SetValid):
        s.header = place_of(s.header, replace)
    elif isinstance(s, core.Extern):
        s.args = [
            (target(a, replace) if isinstance(a, core.Expr) else a)
            if i in s.outs
            else argument(a, replace)
            for i, a in enumerate(s.args)
        ]
    elif isinstance(s, core.If):
        s.cond = expr(s.cond, replace)
    elif isinstance(s, core.Switch):
        s.value = expr(s.value, replace)


def same(a: core.Expr, b: core.Expr) -> bool:
    """Whether two lvalues are the same place, run-time indices included."""
    if a is b:
        return True
    if isinstance(a, core.VarRef) and isinstance(b, core.VarRef):
        return a.var is b.var
    if isinstance(a, core.Const) and isinstance(b, core.Const):
        return a.value == b.value and a.type == b.type
    if isinstance(a, core.Cast) and isinstance(b, core.Cast):
        return a.type == b.type and same(a.arg, b.arg)
    if isinstance(a, core.Slice) and isinstance(b, core.Slice):
        return (a.hi, a.lo) == (b.hi, b.lo) and same(a.arg, b.arg)
    if isinstance(a, core.Field) and isinstance(b, core.Field) and a.name == b.name:
        if isinstance(a.header, core.StackElement) and isinstance(b.header, core.StackElement):
            return a.header.stack is b.header.stack and same(a.header.index, b.header.index)
        return a.header is b.header
    return False


def lists(program: core.Program) -> list[list[core.Stmt]]:
    """Every outermost statement list: states, controls, actions."""
    found = [state.body for state in program.parser.states]
    for control in program.controls.values():
        found.append(control.body)
        found.extend(action.body for action in control.actions)
    return found
