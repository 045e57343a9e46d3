"""What all parts of the elaborator share: the program being built and the list emitted to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc, Reporter
from p4native.frontend.visitor import walk
from p4native.midend import core
from p4native.midend.access import reads
from p4native.midend.elaborate.errors import TooLarge
from p4native.midend.elaborate.storage import Storage
from p4native.midend.elaborate.values import (
    Aggregate,
    HeaderValue,
    StackValue,
    Value,
)

if TYPE_CHECKING:
    from p4native.midend.elaborate.assigns import Assigns
    from p4native.midend.elaborate.blocks import Blocks
    from p4native.midend.elaborate.calls import Calls
    from p4native.midend.elaborate.exprs import Exprs
    from p4native.midend.elaborate.externs import Externs
    from p4native.midend.elaborate.stmts import Stmts
    from p4native.midend.elaborate.tables import Tables


INLINE_LIMIT = 30_000


class Work:
    """The state of an elaboration; statements go to `out`."""

    exprs: Exprs
    assigns: Assigns
    calls: Calls
    externs: Externs
    stmts: Stmts
    tables: Tables
    blocks: Blocks

    def __init__(self, program: core.Program, reporter: Reporter) -> None:
        self.program = program
        self.reporter = reporter
        self.storage = Storage(program)
        self.out: list[core.Stmt] = []
        self.dropped: list[core.Var] = []  # the standard metadata that `mark_to_drop` sets
        self.in_parser = False
        self.in_action = False
        self.block = ""
        self._inlined = 0
        # copies that calls being inlined make when they end, innermost last; `exit` makes them too
        self.pending: list[list[tuple[Value, Value]]] = []
        # where in `pending` the table action being built starts, and whether what is in front of
        # that differs from one place of application to another
        self.action_start = 0
        self.varying: list[bool] = []

    def inlining(self, loc: Loc, weight: int = 1) -> None:
        """Count a call that is inlined; the number is bounded."""
        self._inlined += weight
        if self._inlined > INLINE_LIMIT:
            raise TooLarge(loc)

    def emit(self, stmt: core.Stmt) -> None:
        """Append a statement to what is being built."""
        self.out.append(stmt)

    def collect(self, build: Callable[[], None]) -> list[core.Stmt]:
        """The statements that `build` emits."""
        saved, self.out = self.out, []
        try:
            build()
            return self.out
        finally:
            self.out = saved

    def temp(self, type: core.Scalar, loc: Loc, stem: str = "tmp") -> core.VarRef:
        """A new scalar temporary."""
        return core.VarRef(self.program.temp(stem, type, loc))

    def assign(self, target: core.Expr, value: core.Expr, loc: Loc) -> None:
        """Emit a scalar assignment."""
        self.emit(core.Assign(target, value, loc))

    def saved(self, value: Value, loc: Loc) -> Value:
        """`value` as it is now, whatever is executed before it is used."""
        if isinstance(value, core.Expr):
            if next(iter(reads(value)), None) is None:
                return value
            temp = self.temp(value.type, loc)
            self.assign(temp, value, loc)
            return temp
        if isinstance(value, Aggregate):
            return Aggregate({n: self.saved(v, loc) for n, v in value.fields.items()})
        if isinstance(value, HeaderValue) and value.fields is not None:
            kept: dict[str, core.Expr] = {}
            for name, field in value.fields.items():
                new = self.saved(field, loc)
                assert isinstance(new, core.Expr)
                kept[name] = new
            return HeaderValue(value.type, kept)
        if isinstance(value, StackValue):
            return StackValue([self.saved(v, loc) for v in value.items])
        if isinstance(value, (core.Header, core.StackElement, core.StackEnd, core.UnionMember)):
            copy = core.Header(self.program.fresh("tmp"), core.place_type(value), loc, "temp")
            self.program.headers.append(copy)
            self.emit(core.CopyHeader(copy, value, loc))
            return copy
        return value


def has_effects(e: ir.Expression) -> bool:
    """Whether evaluating `e` may change storage, by a call with other results than its value."""
    if e.value is not None or isinstance(e, (ir.Path, ir.IntLit, ir.BoolLit)):
        return False
    return any(isinstance(n, ir.Call) and _call_writes(n) for n in walk(e))


_PURE_EXTERNS = frozenset({"lookahead", "static_assert"})
_PURE_BUILTINS = frozenset(
    {"isValid", "minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes"}
)


def _call_writes(call: ir.Call) -> bool:
    if call.kind is ir.CallKind.BUILTIN:
        return call.builtin not in _PURE_BUILTINS
    externs = (ir.CallKind.EXTERN_FUNCTION, ir.CallKind.EXTERN_METHOD)
    if call.kind not in (*externs, ir.CallKind.FUNCTION):
        return True
    if call.kind in externs and call.target is not None and call.target.name in _PURE_EXTERNS:
        return False
    return any(a.param is not None and a.param.direction in ("out", "inout") for a in call.args)
