"""Statements of controls, actions, functions and parser states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import BOOL, ActionRunType
from p4native.frontend.visitor import walk
from p4native.midend import core, fold
from p4native.midend.access import Cell, stmt_writes
from p4native.midend.access import walk as walk_core
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.scope import Frame
from p4native.midend.elaborate.values import TableResult, Value
from p4native.midend.elaborate.work import Work, has_effects

UNROLL_LIMIT = 4096
_COUNTER = Loc("<loop counter>", 0, 0)


class _LoopTargets:
    __slots__ = ("on_break", "on_continue")

    def __init__(self, on_break: core.Block | core.Loop, on_continue: core.Block) -> None:
        self.on_break = on_break
        self.on_continue = on_continue


class Stmts:
    """Elaborates statements into the current list."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._loops: list[_LoopTargets] = []
        self._copies = 1  # how many times the current body is unrolled
        self._handlers: dict[type, Callable[[Frame, Any], None]] = {
            ir.Empty: lambda _f, _s: None,
            ir.Block: self.block,
            ir.DeclStmt: lambda f, s: self.declare(f, s.decl),
            ir.Assign: self._assign,
            ir.CallStmt: self._call,
            ir.If: self._if,
            ir.Switch: self._switch,
            ir.For: self._for,
            ir.ForIn: self._for_in,
            ir.Break: self._break,
            ir.Continue: self._continue,
            ir.Return: self._return,
            ir.Exit: lambda _f, s: self.work.calls.exit(s.loc),
        }

    def statement(self, frame: Frame, s: ir.Statement) -> None:
        """Emit one statement; a construct the target cannot run is reported and left out."""
        try:
            self._handlers[type(s)](frame, s)
        except Unsupported as e:
            self.work.reporter.error(e.category, e.message, e.loc if e.loc.line else s.loc)

    def block(self, frame: Frame, s: ir.Block) -> None:
        """Emit the statements of a block; what is behind a jump is dropped by a later pass."""
        for inner in s.statements:
            self.statement(frame, inner)

    def declare(self, frame: Frame, decl: ir.Decl) -> None:
        """Elaborate a local declaration where it stands."""
        if isinstance(decl, ir.VarDecl):
            storage = frame.values.get(decl)
            if storage is None:
                storage = self.work.storage.make(
                    frame.type(decl.type),
                    self.work.blocks.local_name(frame, decl),
                    "local",
                    decl.loc,
                )
                frame.values[decl] = storage
            self.initialize(frame, decl, storage)
        elif isinstance(decl, ir.InstanceDecl):
            self.work.blocks.instance(frame, decl)
        elif not isinstance(decl, ir.ConstDecl):
            raise Unsupported(f"'{decl.name}' cannot be declared here", decl.loc)

    def initialize(self, frame: Frame, decl: ir.VarDecl, storage: Value) -> None:
        """Emit the initial value of a variable: its initializer, else invalid headers."""
        if decl.init is None:
            self.work.assigns.invalidate(storage, decl.loc)
            return
        value = self.work.exprs.value(frame, decl.init)
        value = self.work.exprs.converted(value, frame.type(decl.type))
        self.work.assigns.assign(storage, value, decl.loc)

    def _assign(self, frame: Frame, s: ir.Assign) -> None:
        if isinstance(s.left, ir.PlusSlice):
            self._assign_plus_slice(frame, s)
            return
        if s.op != "=":
            self._compound(frame, s)
            return
        target = self.work.exprs.value(frame, s.left)
        if has_effects(s.right):
            target = self.work.calls.pinned(target, s.left.loc)
        value = self.work.exprs.value(frame, s.right)
        value = self.work.exprs.converted(value, frame.type(s.left.type))
        self.work.assigns.assign(target, value, s.left.loc)

    def _compound(self, frame: Frame, s: ir.Assign) -> None:
        target = self.work.calls.lvalue(frame, s.left)
        if not isinstance(target, core.Expr):
            raise Unsupported(f"'{s.op}' needs a scalar on its left", s.loc)
        old: Value = self.work.saved(target, s.loc) if has_effects(s.right) else target
        assert isinstance(old, core.Expr)
        value = self.work.exprs.scalar(frame, s.right)
        op = s.op[:-1]
        if op not in ("<<", ">>") and isinstance(value, core.Const):
            value = fold.const(value.value, target.type)
        self.work.assign(target, fold.binary(op, old, value, target.type), s.left.loc)

    def _assign_plus_slice(self, frame: Frame, s: ir.Assign) -> None:
        left = s.left
        assert isinstance(left, ir.PlusSlice)
        target = self.work.calls.lvalue(frame, left.expr)
        base = self.work.exprs.scalar(frame, left.base)
        width = self.work.exprs.number(frame, left.width, "a slice's width")
        value = self.work.exprs.scalar(frame, s.right)
        assert isinstance(target, core.Expr)
        if s.op != "=":
            old = self.work.exprs.scalar(frame, left)
            value = fold.binary(s.op[:-1], old, value, old.type)
        if isinstance(base, core.Const):
            place = fold.slice_of(target, base.value + width - 1, base.value)
            self.work.assign(place, value, s.loc)
            return
        t = target.type
        ones = fold.const((1 << width) - 1, t)
        hole = fold.unary("~", fold.binary("<<", ones, base, t), t)
        piece = fold.binary("<<", fold.cast(value, t), base, t)
        kept = fold.binary("&", target, hole, t)
        self.work.assign(target, fold.binary("|", kept, piece, t), s.loc)

    def _call(self, frame: Frame, s: ir.CallStmt) -> None:
        self.work.calls.call(frame, s.call)

    # --- conditionals ---

    def _if(self, frame: Frame, s: ir.If) -> None:
        if self._if_applied(frame, s):
            return
        cond = self.work.exprs.scalar(frame, s.cond)
        if isinstance(cond, core.Const):
            chosen = s.then if cond.value else s.other
            if chosen is not None:
                self.statement(frame, chosen)
            return
        then = self._body(frame, s.then)
        other = self._body(frame, s.other)
        if then or other:
            self.work.emit(core.If(cond, then, other, s.cond.loc))

    def _body(self, frame: Frame, s: ir.Statement | None) -> list[core.Stmt]:
        if s is None:
            return []
        return self.work.collect(lambda: self.statement(frame, s))

    def _if_applied(self, frame: Frame, s: ir.If) -> bool:
        """`if (t.apply().hit)` and its variants branch on the table itself."""
        cond = s.cond
        negated = False
        while isinstance(cond, ir.Unary) and cond.op == "!":
            negated = not negated
            cond = cond.expr
        if not (isinstance(cond, ir.Member) and cond.name in ("hit", "miss")):
            return False
        if not (isinstance(cond.expr, ir.Call) and cond.expr.kind is ir.CallKind.TABLE_APPLY):
            return False
        result = self.work.tables.apply(frame, cond.expr)
        assert isinstance(result, TableResult)
        then, other = self._body(frame, s.then), self._body(frame, s.other)
        if negated != (cond.name == "miss"):
            then, other = other, then
        if then or other:
            result.apply.hit, result.apply.miss = then, other
        return True

    def _switch(self, frame: Frame, s: ir.Switch) -> None:
        groups: list[tuple[list[ir.Expression], ir.Block]] = []
        labels: list[ir.Expression] = []
        for case in s.cases:
            labels.append(case.label)
            if case.body is not None:
                groups.append((labels, case.body))
                labels = []
        if self.work.in_action:
            raise Unsupported("switch statements are not supported in actions", s.loc)
        if isinstance(s.expr.type, ActionRunType):
            self._switch_action(frame, s, groups)
            return
        value = self.work.exprs.scalar(frame, s.expr)
        if not isinstance(value, (core.Const, core.VarRef)):
            saved = self.work.saved(value, s.expr.loc)
            assert isinstance(saved, core.Expr)
            value = saved
        cases: list[tuple[tuple[int, ...], list[core.Stmt]]] = []
        for group, body in groups:
            default = any(isinstance(x, ir.DontCare) for x in group)
            numbers = tuple(
                fold.wrap(self.work.exprs.number(frame, x, "a switch label"), value.type)
                for x in group
                if not isinstance(x, ir.DontCare)
            )
            statements = self.work.collect(lambda body=body: self.block(frame, body))  # type: ignore[misc]
            cases.append(((), statements) if default else (numbers, statements))
        self.work.emit(core.Switch(value, cases, s.loc))

    def _switch_action(
        self,
        frame: Frame,
        s: ir.Switch,
        groups: list[tuple[list[ir.Expression], ir.Block]],
    ) -> None:
        expr = s.expr
        assert isinstance(expr, ir.Member) and isinstance(expr.expr, ir.Call)
        result = self.work.tables.apply(frame, expr.expr)
        assert isinstance(result, TableResult)
        cases: list[tuple[tuple[core.Action | None, ...], list[core.Stmt]]] = []
        for labels, body in groups:
            actions: list[core.Action | None] = []
            for label in labels:
                if isinstance(label, ir.DontCare):
                    actions.append(None)
                    continue
                assert isinstance(label, ir.Path) and isinstance(label.decl, ir.ActionDecl)
                actions.extend(self.work.tables.actions_of(result.apply.table, label.decl))
            statements = self.work.collect(lambda body=body: self.block(frame, body))  # type: ignore[misc]
            cases.append((tuple(actions), statements))
        result.apply.cases = cases

    # --- loops ---

    def _for(self, frame: Frame, s: ir.For) -> None:
        for init in s.init:
            self.statement(frame, init)
        if not self._unrolled(frame, s):
            self._run_time_loop(frame, s)

    def _run_time_loop(self, frame: Frame, s: ir.For) -> None:
        loop = core.Loop("for", [], s.loc)

        def build() -> None:
            cond = self.work.exprs.scalar(frame, s.cond)
            self.work.emit(core.If(cond, [], [core.Leave(loop, s.loc)], s.cond.loc))
            self._iteration(frame, s.body, loop)
            for update in s.update:
                self.statement(frame, update)

        loop.body = self.work.collect(build)
        self.work.emit(loop)

    def _iteration(
        self, frame: Frame, body: ir.Statement, on_break: core.Block | core.Loop
    ) -> None:
        once = core.Block("iteration", [], body.loc)
        self._loops.append(_LoopTargets(on_break, once))
        once.body = self.work.collect(lambda: self.statement(frame, body))
        self._loops.pop()
        self.work.emit(once)

    def _unrolled(self, frame: Frame, s: ir.For) -> bool:
        """Unroll a loop over one variable that only the loop header changes, if it has an end."""
        counter = self._counter(frame, s)
        if counter is None:
            return False
        decl, storage, start = counter
        values: list[core.Const] = []
        frame.values[decl] = start
        try:
            current: Value = start
            while True:
                cond = self.work.exprs.value(frame, s.cond)
                if not isinstance(cond, core.Const):
                    return False
                if not cond.value:
                    break
                if len(values) * self._copies >= UNROLL_LIMIT:
                    return False
                assert isinstance(current, core.Const)
                values.append(current)
                current = self._next_value(frame, s.update[0], current)
                if current is None:
                    return False
                frame.values[decl] = current
        finally:
            frame.values[decl] = storage
        mark = len(self.work.out)
        self._emit_unrolled(frame, decl, storage, values, current, s)
        assert isinstance(storage, core.VarRef)
        inside = self.work.out[mark]
        if isinstance(inside, core.Block) and storage.var in set(_written_by_calls(inside)):
            del self.work.out[mark:]
            return False
        return True

    def _emit_unrolled(
        self,
        frame: Frame,
        decl: ir.Decl,
        storage: Value,
        values: list[core.Const],
        final: Value,
        s: ir.For | ir.ForIn,
    ) -> None:
        """Emit the body once per value.

        Actions, and what follows a `break`, can see a variable declared outside of the loop,
        so that one is really assigned.
        """
        outer = core.Block("for", [], s.loc)
        private = decl in _declared(s)

        def build() -> None:
            for value in values:
                if private:
                    frame.values[decl] = value
                else:
                    assert isinstance(storage, core.Expr)
                    self.work.assign(storage, value, _COUNTER)
                self._iteration(frame, s.body, outer)
            frame.values[decl] = storage
            if not private and isinstance(storage, core.Expr) and isinstance(final, core.Expr):
                self.work.assign(storage, final, _COUNTER)

        before, self._copies = self._copies, self._copies * max(len(values), 1)
        outer.body = self.work.collect(build)
        self._copies = before
        self.work.emit(outer)

    def _counter(self, frame: Frame, s: ir.For) -> tuple[ir.Decl, Value, core.Const] | None:
        """The loop variable, its storage and constant start, if unrolling may be tried."""
        if len(s.init) != 1 or len(s.update) != 1:
            return None
        init = s.init[0]
        if isinstance(init, ir.DeclStmt) and isinstance(init.decl, ir.VarDecl):
            decl: ir.Decl = init.decl
        elif isinstance(init, ir.Assign) and isinstance(init.left, ir.Path) and init.left.decl:
            decl = init.left.decl
        else:
            return None
        storage = frame.values.get(decl)
        last = self.work.out[-1] if self.work.out else None
        if not isinstance(storage, core.VarRef) or not isinstance(last, core.Assign):
            return None
        if not isinstance(last.target, core.VarRef) or last.target.var is not storage.var:
            return None
        if not isinstance(last.value, core.Const):
            return None
        update = s.update[0]
        if _assigns(s.body, decl) or not isinstance(update, ir.Assign):
            return None
        if not isinstance(update.left, ir.Path) or update.left.decl is not decl:
            return None
        if has_effects(s.cond) or has_effects(update.right):
            return None
        return decl, storage, last.value

    def _next_value(self, frame: Frame, update: ir.Statement, old: core.Const) -> Any:
        assert isinstance(update, ir.Assign)
        value = self.work.exprs.value(frame, update.right)
        if not isinstance(value, core.Const):
            return None
        if update.op != "=":
            op = update.op[:-1]
            new = fold.binary(op, old, fold.const(value.value, old.type), old.type)
        else:
            new = fold.const(value.value, old.type)
        return new if isinstance(new, core.Const) else None

    def _for_in(self, frame: Frame, s: ir.ForIn) -> None:
        decl: ir.Decl | None = s.var if isinstance(s.var, ir.VarDecl) else s.var.decl
        assert decl is not None
        storage = frame.find(decl)
        if storage is None and isinstance(decl, ir.VarDecl):
            storage = self.work.storage.make(
                frame.type(decl.type), self.work.blocks.local_name(frame, decl), "local", s.loc
            )
        assert isinstance(storage, core.VarRef)
        frame.values[decl] = storage
        if isinstance(s.collection, ir.Range):
            self._for_range(frame, s, decl, storage)
            return
        raise Unsupported("for ... in is only supported over ranges", s.loc)

    def _for_range(self, frame: Frame, s: ir.ForIn, decl: ir.Decl, storage: core.VarRef) -> None:
        assert isinstance(s.collection, ir.Range)
        low = self.work.exprs.scalar(frame, s.collection.left)
        high = self.work.exprs.scalar(frame, s.collection.right)
        if isinstance(low, core.Const) and isinstance(high, core.Const):
            short = (high.value - low.value) * self._copies < UNROLL_LIMIT
            if short and not _assigns(s.body, decl):
                values = [fold.const(v, storage.type) for v in range(low.value, high.value + 1)]
                final = values[-1] if values else storage
                self._emit_unrolled(frame, decl, storage, values, final, s)
                return
        self._run_time_range(frame, s, storage, low, high)

    def _run_time_range(
        self, frame: Frame, s: ir.ForIn, storage: core.VarRef, low: core.Expr, high: core.Expr
    ) -> None:
        work, t = self.work, storage.type
        limit = work.saved(fold.cast(high, t), s.loc)
        assert isinstance(limit, core.Expr)
        work.assign(storage, fold.cast(low, t), s.loc)
        loop = core.Loop("for", [], s.loc)

        def build() -> None:
            self._iteration(frame, s.body, loop)
            done = fold.binary(">=", storage, limit, BOOL)
            work.emit(core.If(done, [core.Leave(loop, s.loc)], [], s.loc))
            work.assign(storage, fold.binary("+", storage, fold.const(1, t), t), s.loc)

        loop.body = work.collect(build)
        nonempty = fold.binary("<=", storage, limit, BOOL)
        work.emit(core.If(nonempty, [loop], [], s.loc))

    def _break(self, frame: Frame, s: ir.Break) -> None:
        self.work.emit(core.Leave(self._loops[-1].on_break, s.loc))

    def _continue(self, frame: Frame, s: ir.Continue) -> None:
        self.work.emit(core.Leave(self._loops[-1].on_continue, s.loc))

    def _return(self, frame: Frame, s: ir.Return) -> None:
        target = frame
        while target.block is None and target.parent is not None:
            target = target.parent
        if s.expr is not None:
            value = self.work.exprs.value(frame, s.expr)
            if target.result is not None:
                self.work.assigns.assign(target.result, value, s.loc)
        if target.block is None:
            raise Unsupported("return is not allowed here", s.loc)
        self.work.emit(core.Leave(target.block, s.loc))


def _declared(s: ir.For | ir.ForIn) -> list[ir.Decl]:
    """The variables that a loop's header declares."""
    if isinstance(s, ir.ForIn):
        return [s.var] if isinstance(s.var, ir.VarDecl) else []
    return [init.decl for init in s.init if isinstance(init, ir.DeclStmt)]


def _written_by_calls(block: core.Block) -> Iterator[Cell]:
    """The cells written inside an unrolled loop, besides its own counting."""
    for s in walk_core(block.body):
        if s.loc is not _COUNTER:
            yield from stmt_writes(s)


def _assigns(body: ir.Node, decl: ir.Decl) -> bool:
    """Whether `body` assigns to a variable or passes it as out or inout argument."""
    for node in walk(body):
        written: ir.Expression | None = None
        if isinstance(node, ir.Assign):
            written = node.left
        elif isinstance(node, ir.Argument) and node.param is not None:
            written = node.expr if node.param.direction in ("out", "inout") else None
        while isinstance(written, (ir.Member, ir.Index, ir.Slice, ir.PlusSlice)):
            written = written.expr
        if isinstance(written, ir.Path) and written.decl is decl:
            return True
    return False
