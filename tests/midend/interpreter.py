"""Executes a core control: what the passes must not change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from p4native.frontend.types import BitsType
from p4native.midend import core, fold

Key = core.Var | tuple[core.Header, str]
VALID = "$valid$"


class _Left(Exception):
    def __init__(self, target: core.Block | core.Loop) -> None:
        super().__init__()
        self.target = target


class _Exited(Exception):
    pass


class Machine:
    """Memory and an executor; everything never written reads 0 and headers start as given."""

    def __init__(self, memory: dict[Key, int]) -> None:
        self.memory = dict(memory)
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.steps = 0

    def run(self, body: list[core.Stmt]) -> Machine:
        """Execute a control's body."""
        with suppress(_Exited):
            self._body(body)
        return self

    def _body(self, body: list[core.Stmt]) -> None:
        for s in body:
            self._statement(s)

    def _statement(self, s: core.Stmt) -> None:
        self.steps += 1
        assert self.steps < 100_000, "the program does not end"
        if isinstance(s, core.Assign):
            self._store(s.target, self.value(s.value))
        elif isinstance(s, core.If):
            self._body(s.then if self.value(s.cond) else s.other)
        elif isinstance(s, (core.Block, core.Loop)):
            self._block(s)
        elif isinstance(s, core.Switch):
            self._switch(s)
        elif isinstance(s, core.Leave):
            raise _Left(s.target)
        elif isinstance(s, core.Exit):
            raise _Exited
        elif isinstance(s, core.SetValid):
            assert isinstance(s.header, core.Header)
            self.memory[(s.header, VALID)] = int(s.valid)
        elif isinstance(s, core.CopyHeader):
            assert isinstance(s.target, core.Header) and isinstance(s.source, core.Header)
            for name in (*s.target.type.fields, VALID):
                self.memory[(s.target, name)] = self.memory.get((s.source, name), 0)
        elif isinstance(s, core.Extern):
            values = tuple(self.value(a) for a in s.args if isinstance(a, core.Expr))
            self.calls.append((s.op, values))
        elif isinstance(s, core.Apply):
            assert s.table.default is not None
            self._body(s.table.default.body)
        else:
            raise AssertionError(type(s).__name__)

    def _block(self, s: core.Block | core.Loop) -> None:
        while True:
            try:
                self._body(s.body)
            except _Left as left:
                if left.target is not s:
                    raise
                return
            if isinstance(s, core.Block):
                return
            self.steps += 1

    def _switch(self, s: core.Switch) -> None:
        value = self.value(s.value)
        chosen = next((b for labels, b in s.cases if value in labels), None)
        if chosen is None:
            chosen = next((b for labels, b in s.cases if not labels), [])
        self._body(chosen)

    def _store(self, target: core.Expr, value: int) -> None:
        if isinstance(target, core.Slice):
            old = self.value(target.arg)
            mask = ((1 << (target.hi + 1)) - 1) & ~((1 << target.lo) - 1)
            self._store(target.arg, (old & ~mask) | ((value << target.lo) & mask))
        elif isinstance(target, core.VarRef):
            self.memory[target.var] = value
        else:
            assert isinstance(target, core.Field) and isinstance(target.header, core.Header)
            self.memory[(target.header, target.name)] = value

    def value(self, e: core.Expr) -> int:
        """The value of an expression."""
        if isinstance(e, core.Const):
            return e.value
        if isinstance(e, core.VarRef):
            return self.memory.get(e.var, 0)
        if isinstance(e, core.Field):
            assert isinstance(e.header, core.Header)
            return self.memory.get((e.header, e.name), 0)
        if isinstance(e, core.Valid):
            assert isinstance(e.header, core.Header)
            return self.memory.get((e.header, VALID), 0)
        if isinstance(e, core.Mux):
            return self.value(e.then if self.value(e.cond) else e.other)
        return self._computed(e, self.value)

    @staticmethod
    def _computed(e: core.Expr, value: Callable[[core.Expr], int]) -> int:
        if isinstance(e, core.Unary):
            made = fold.unary(e.op, core.Const(value(e.arg), e.arg.type), e.type)
        elif isinstance(e, core.Binary):
            left = core.Const(value(e.left), e.left.type)
            made = fold.binary(e.op, left, core.Const(value(e.right), e.right.type), e.type)
        elif isinstance(e, core.Cast):
            made = fold.cast(core.Const(value(e.arg), e.arg.type), e.type)
        else:
            assert isinstance(e, core.Slice) and isinstance(e.type, BitsType)
            made = fold.slice_of(core.Const(value(e.arg), e.arg.type), e.hi, e.lo)
        assert isinstance(made, core.Const)
        return made.value
