"""Which storage expressions and statements read and write.

Storage is identified by `Var`, `Header` and `Stack` objects. A run-time indexed element or
`next`/`last` stands for its stack and every element of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from p4native.midend import core

Cell: TypeAlias = "core.Var | core.Header | core.Stack"


def stack_cells(stack: core.Stack) -> Iterator[Cell]:
    """The stack and all its headers."""
    yield stack
    for element in stack.elements:
        if isinstance(element, core.Union):
            yield from element.members.values()
        else:
            yield element


def place_cells(place: Any) -> Iterator[Cell]:
    """The cells of a header, union or stack, wherever it is."""
    if isinstance(place, core.Header):
        yield place
    elif isinstance(place, core.Union):
        yield from place.members.values()
    elif isinstance(place, core.Stack):
        yield from stack_cells(place)
    elif isinstance(place, (core.StackElement, core.StackEnd, core.UnionElement)):
        yield from stack_cells(place.stack)
    elif isinstance(place, core.UnionMember):
        yield from stack_cells(place.element.stack)


def operands(e: core.Expr) -> tuple[core.Expr, ...]:
    """The direct subexpressions."""
    if isinstance(e, core.Binary):
        return (e.left, e.right)
    if isinstance(e, (core.Unary, core.Cast, core.Slice)):
        return (e.arg,)
    if isinstance(e, core.Mux):
        return (e.cond, e.then, e.other)
    if isinstance(e, (core.Field, core.Valid)) and isinstance(e.header, core.StackElement):
        return (e.header.index,)
    return ()


def subexpressions(e: core.Expr) -> Iterator[core.Expr]:
    """`e` and everything below it."""
    stack = [e]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(operands(current))


def reads(e: core.Expr) -> Iterator[Cell]:
    """The cells that the value of `e` depends on."""
    for part in subexpressions(e):
        if isinstance(part, core.VarRef):
            yield part.var
        elif isinstance(part, (core.Field, core.Valid)):
            yield from place_cells(part.header)
        elif isinstance(part, core.UnionValid):
            yield from place_cells(part.union)
        elif isinstance(part, core.LastIndex):
            yield part.stack


def target_cells(target: core.Expr) -> Iterator[Cell]:
    """The cells that assigning to `target` writes."""
    while isinstance(target, core.Slice):
        target = target.arg
    if isinstance(target, core.VarRef):
        yield target.var
    elif isinstance(target, core.Field):
        yield from place_cells(target.header)


def target_reads(target: core.Expr) -> Iterator[Cell]:
    """The cells that finding out where `target` is reads (indices), and of slices the rest."""
    if isinstance(target, core.Slice):
        yield from reads(target.arg)
    elif isinstance(target, core.Field) and isinstance(target.header, core.StackElement):
        yield from reads(target.header.index)


def value_reads(value: Any) -> Iterator[Cell]:
    """The cells an extern argument reads: expression, place, or list of such."""
    if isinstance(value, core.Expr):
        yield from reads(value)
    elif isinstance(value, list):
        for item in value:
            yield from value_reads(item)
    else:
        yield from place_cells(value)
        if isinstance(value, core.StackElement):
            yield from reads(value.index)


def stmt_reads(s: core.Stmt) -> Iterator[Cell]:
    """The cells read by the statement itself, not by statements inside it."""
    if isinstance(s, core.Assign):
        yield from reads(s.value)
        yield from target_reads(s.target)
    elif isinstance(s, (core.CopyHeader, core.CopyUnion, core.CopyStack)):
        yield from value_reads(s.source)
        if isinstance(s.target, core.StackElement):
            yield from reads(s.target.index)
    elif isinstance(s, (core.Shift, core.SetValid)):
        yield from place_cells(s.stack if isinstance(s, core.Shift) else s.header)
        if isinstance(s, core.SetValid) and isinstance(s.header, core.StackElement):
            yield from reads(s.header.index)
    elif isinstance(s, core.Extern):
        yield from _extern_reads(s)
    elif isinstance(s, core.If):
        yield from reads(s.cond)
    elif isinstance(s, core.Switch):
        yield from reads(s.value)
    elif isinstance(s, core.Apply):
        for key in s.table.keys:
            yield from reads(key.expr)


def _extern_reads(s: core.Extern) -> Iterator[Cell]:
    for i, arg in enumerate(s.args):
        if i in s.outs and isinstance(arg, core.Expr):
            yield from target_reads(arg)
            if s.op == "mark_to_drop":
                yield from reads(arg)
        else:
            yield from value_reads(arg)


def stmt_writes(s: core.Stmt) -> Iterator[Cell]:
    """The cells written by the statement itself, not by statements inside it.

    Applying a table writes whatever its actions write.
    """
    if isinstance(s, core.Assign):
        yield from target_cells(s.target)
    elif isinstance(s, (core.CopyHeader, core.CopyUnion, core.CopyStack)):
        yield from place_cells(s.target)
    elif isinstance(s, core.Shift):
        yield from stack_cells(s.stack)
    elif isinstance(s, core.SetValid):
        yield from place_cells(s.header)
    elif isinstance(s, core.Extern):
        for i in s.outs:
            arg = s.args[i]
            if isinstance(arg, core.Expr):
                yield from target_cells(arg)
            else:
                yield from place_cells(arg)
    elif isinstance(s, core.Apply):
        if s.table.meter_target is not None:
            yield from target_cells(s.table.meter_target)
        for action in table_actions(s.table):
            yield from body_writes(action.body)


def table_actions(table: core.Table) -> list[core.Action]:
    """Every action the table may run."""
    found = [ref.action for ref in table.actions]
    if table.default is not None and table.default not in found:
        found.append(table.default)
    return found


def walk(body: list[core.Stmt]) -> Iterator[core.Stmt]:
    """All statements in `body`, nested ones too, not inside tables' actions."""
    for s in body:
        yield s
        for inner in core.bodies(s):
            yield from walk(inner)


def body_writes(body: list[core.Stmt]) -> Iterator[Cell]:
    """The cells written anywhere in `body`."""
    for s in walk(body):
        yield from stmt_writes(s)


def body_reads(body: list[core.Stmt]) -> Iterator[Cell]:
    """The cells read anywhere in `body`, tables' actions included."""
    for s in walk(body):
        yield from stmt_reads(s)
        if isinstance(s, core.Apply):
            for action in table_actions(s.table):
                yield from body_reads(action.body)
