"""Statements: straight-line ones, and control flow by structured jumps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from p4native.frontend.diagnostics import Loc
from p4native.midend.core.exprs import Expr, Place
from p4native.midend.core.storage import Stack, Union

if TYPE_CHECKING:
    from p4native.midend.core.program import Action, Instance, Table


class Stmt:
    """A statement with the source location it stems from."""

    __slots__ = ("loc",)
    loc: Loc


class Assign(Stmt):
    """`target = value`; target is `VarRef`, `Field` or `Slice` of one."""

    __slots__ = ("target", "value")

    def __init__(self, target: Expr, value: Expr, loc: Loc) -> None:
        self.target = target
        self.value = value
        self.loc = loc


class CopyHeader(Stmt):
    """Copy a header with its validity."""

    __slots__ = ("source", "target")

    def __init__(self, target: Place, source: Place, loc: Loc) -> None:
        self.target = target
        self.source = source
        self.loc = loc


class CopyStack(Stmt):
    """Copy a whole stack, with validity and next index."""

    __slots__ = ("source", "target")

    def __init__(self, target: Stack, source: Stack, loc: Loc) -> None:
        self.target = target
        self.source = source
        self.loc = loc


class CopyUnion(Stmt):
    """Copy a header union."""

    __slots__ = ("source", "target")

    def __init__(self, target: Union, source: Union, loc: Loc) -> None:
        self.target = target
        self.source = source
        self.loc = loc


class SetValid(Stmt):
    """Make a header valid or invalid."""

    __slots__ = ("header", "valid")

    def __init__(self, header: Place, valid: bool, loc: Loc) -> None:
        self.header = header
        self.valid = valid
        self.loc = loc


class Shift(Stmt):
    """`stack.push_front(count)` (`op` is `push`) or `pop_front` (`pop`)."""

    __slots__ = ("count", "op", "stack")

    def __init__(self, stack: Stack, op: str, count: int, loc: Loc) -> None:
        self.stack = stack
        self.op = op
        self.count = count
        self.loc = loc


class Extern(Stmt):
    """A call of the target: `op` is `counter.count`, `hash`, `mark_to_drop`, `extract`...

    `args` holds expressions, places, lists of expressions (field lists), strings or numbers as
    the operation needs; `outs` are the indices of arguments that are written.
    """

    __slots__ = ("args", "instance", "op", "outs")

    def __init__(
        self,
        op: str,
        instance: Instance | None,
        args: list[Any],
        loc: Loc,
        outs: tuple[int, ...] = (),
    ) -> None:
        self.op = op
        self.instance = instance
        self.args = args
        self.loc = loc
        self.outs = outs


class If(Stmt):
    """A conditional."""

    __slots__ = ("cond", "other", "then")

    def __init__(self, cond: Expr, then: list[Stmt], other: list[Stmt], loc: Loc) -> None:
        self.cond = cond
        self.then = then
        self.other = other
        self.loc = loc


class Switch(Stmt):
    """Select a branch by value: (labels, body) in order; an empty tuple of labels is default."""

    __slots__ = ("cases", "value")

    def __init__(
        self, value: Expr, cases: list[tuple[tuple[int, ...], list[Stmt]]], loc: Loc
    ) -> None:
        self.value = value
        self.cases = cases
        self.loc = loc


class Block(Stmt):
    """Statements that `Leave(block)` jumps behind."""

    __slots__ = ("body", "name")

    def __init__(self, name: str, body: list[Stmt], loc: Loc) -> None:
        self.name = name
        self.body = body
        self.loc = loc


class Loop(Stmt):
    """Repeat `body` until `Leave(loop)`."""

    __slots__ = ("body", "name")

    def __init__(self, name: str, body: list[Stmt], loc: Loc) -> None:
        self.name = name
        self.body = body
        self.loc = loc


class Leave(Stmt):
    """Jump behind an enclosing `Block` or `Loop`."""

    __slots__ = ("target",)

    def __init__(self, target: Block | Loop, loc: Loc) -> None:
        self.target = target
        self.loc = loc


class Exit(Stmt):
    """End the pipeline."""

    __slots__ = ()

    def __init__(self, loc: Loc) -> None:
        self.loc = loc


class Apply(Stmt):
    """Apply a table, then branch: on hit/miss (`hit`, `miss`) or on the action (`cases`).

    `cases` maps an action (None: the default label) to a body; a missing label goes on behind.
    """

    __slots__ = ("cases", "hit", "miss", "table")

    def __init__(
        self,
        table: Table,
        loc: Loc,
        hit: list[Stmt] | None = None,
        miss: list[Stmt] | None = None,
        cases: list[tuple[tuple[Action | None, ...], list[Stmt]]] | None = None,
    ) -> None:
        self.table = table
        self.loc = loc
        self.hit = hit
        self.miss = miss
        self.cases = cases


def bodies(stmt: Stmt) -> Iterator[list[Stmt]]:
    """The statement lists directly inside `stmt`."""
    if isinstance(stmt, If):
        yield stmt.then
        yield stmt.other
    elif isinstance(stmt, (Block, Loop)):
        yield stmt.body
    elif isinstance(stmt, Switch):
        for _, body in stmt.cases:
            yield body
    elif isinstance(stmt, Apply):
        if stmt.hit is not None:
            yield stmt.hit
        if stmt.miss is not None:
            yield stmt.miss
        for _, body in stmt.cases or ():
            yield body
