"""Calls: functions, actions and built-in methods inlined; copy-in/copy-out of arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import BOOL, VOID
from p4native.frontend.visitor import children
from p4native.midend import core
from p4native.midend.access import Cell
from p4native.midend.elaborate.assigns import lvalue_cells, value_cells
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.scope import Frame
from p4native.midend.elaborate.values import (
    Aggregate,
    CopiedIn,
    DontCareValue,
    ElementOfUnions,
    HeaderValue,
    InvalidUnion,
    Value,
    Void,
)
from p4native.midend.elaborate.work import Work, has_effects

_PLACES = (core.Header, core.StackElement, core.StackEnd, core.UnionMember)


class Calls:
    """Elaborates calls of every kind."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def call(self, frame: Frame, e: ir.Call) -> Value:
        """Emit the call and return its value."""
        kind = e.kind
        if kind is ir.CallKind.BUILTIN:
            return self._builtin(frame, e)
        if kind is ir.CallKind.EXTERN_METHOD:
            return self.work.externs.method(frame, e)
        if kind is ir.CallKind.EXTERN_FUNCTION:
            return self.work.externs.function(frame, e)
        if kind is ir.CallKind.FUNCTION:
            return self._function(frame, e)
        if kind is ir.CallKind.ACTION:
            return self._action(frame, e)
        if kind is ir.CallKind.TABLE_APPLY:
            return self.work.tables.apply(frame, e)
        if kind is ir.CallKind.CONTROL_APPLY:
            return self.work.blocks.apply_control(frame, e)
        raise Unsupported("a parser may only be applied as a statement of a parser state", e.loc)

    # --- arguments ---

    def lvalue(self, frame: Frame, e: ir.Expression) -> Value:
        """The storage `e` denotes, its run-time indices computed now."""
        if isinstance(e, ir.DontCare):
            return DontCareValue(frame.type(e.type))
        return self.pinned(self.work.exprs.value(frame, e), e.loc)

    def pinned(self, value: Value, loc: Loc) -> Value:
        """An lvalue with its run-time indices saved."""
        if isinstance(value, core.StackElement):
            index = self.work.saved(value.index, loc)
            assert isinstance(index, core.Expr)
            return core.StackElement(value.stack, index)
        if isinstance(value, core.Field) and isinstance(value.header, core.StackElement):
            place = self.pinned(value.header, loc)
            assert isinstance(place, core.StackElement)
            return core.Field(place, value.name)
        if isinstance(value, core.Slice):
            arg = self.pinned(value.arg, loc)
            assert isinstance(arg, core.Expr)
            return core.Slice(arg, value.hi, value.lo)
        return value

    def evaluate_args(
        self, frame: Frame, args: Sequence[ir.Argument]
    ) -> list[tuple[ir.Param, Value]]:
        """Parameter and value (storage for out and inout) of each argument, in source order."""
        last_effect = max((i for i, a in enumerate(args) if has_effects(a.expr)), default=-1)
        found: list[tuple[ir.Param, Value]] = []
        for i, a in enumerate(args):
            assert a.param is not None
            if a.param.direction in ("out", "inout"):
                place = self.lvalue(frame, a.expr)
                if a.param.direction == "inout" and i < last_effect:
                    place = self._copied_in(frame, a, place)
                found.append((a.param, place))
                continue
            value = self.work.exprs.value(frame, a.expr)
            value = self.work.exprs.converted(value, frame.type(a.param.type))
            found.append((a.param, self.work.saved(value, a.loc) if i < last_effect else value))
        return found

    def _copied_in(self, frame: Frame, a: ir.Argument, place: Value) -> CopiedIn:
        copy = self.work.storage.make(frame.type(a.expr.type), "tmp", "temp", a.loc)
        self.work.assigns.assign(copy, place, a.loc)
        return CopiedIn(place, copy)

    def bind(
        self,
        callee: Frame,
        args: list[tuple[ir.Param, Value]],
        loc: Loc,
        *,
        copy: bool,
        may_not_return: bool = False,
    ) -> list[tuple[Value, Value]]:
        """Bind parameters in `callee`; returns the (target, source) copies to make afterwards.

        `copy` forces copy-in/copy-out even where the arguments do not overlap. A parser that
        ends in an error does not return: what it has written shall be seen all the same.
        """
        overlapping = copy or _overlap(args)
        after: list[tuple[Value, Value]] = []
        for param, value in args:
            direction = param.direction
            if direction in ("", "in"):
                callee.values[param] = self._in(value, loc, overlapping)
            elif isinstance(value, CopiedIn):
                callee.values[param] = value.copy
                after.append((value.target, value.copy))
            elif (
                overlapping
                or isinstance(value, (DontCareValue, core.Slice))
                or (_shows_old_value(param, value) and not may_not_return)
            ):
                storage = self._local(callee, param, value, loc)
                if direction == "inout":
                    self.work.assigns.assign(storage, value, loc)
                callee.values[param] = storage
                after.append((value, storage))
            else:
                if direction == "out":
                    self.work.assigns.invalidate(value, loc)
                callee.values[param] = value
        return after

    def _local(self, callee: Frame, param: ir.Param, value: Value, loc: Loc) -> Value:
        t = callee.type(value.type if isinstance(value, DontCareValue) else param.type)
        storage = self.work.storage.make(t, self.work.blocks.local_name(callee, param), "temp", loc)
        if param.direction == "out":
            self.work.assigns.invalidate(storage, loc)
        return storage

    def _in(self, value: Value, loc: Loc, snapshot: bool) -> Value:
        """An `in` argument: by value if it is computed or might change while the callee runs."""
        if isinstance(value, core.Expr):
            simple = isinstance(value, (core.Const, core.VarRef, core.Field))
            return self.work.saved(value, loc) if snapshot or not simple else value
        if isinstance(value, (Aggregate, HeaderValue)) or (snapshot and isinstance(value, _PLACES)):
            if isinstance(value, Aggregate) and not snapshot:
                return Aggregate({n: self._in(v, loc, False) for n, v in value.fields.items()})
            return self.work.saved(value, loc)
        return value

    def copy_back(self, after: list[tuple[Value, Value]], loc: Loc) -> None:
        """Emit the copy-out part of a call."""
        for target, source in after:
            if not isinstance(target, DontCareValue):
                self.work.assigns.assign(target, source, loc)

    # --- functions and actions ---

    def _function(self, frame: Frame, e: ir.Call) -> Value:
        decl = e.target
        assert isinstance(decl, ir.FunctionDecl)
        self.work.inlining(e.loc)
        args = self.evaluate_args(frame, e.args)
        types = {p: frame.type(t) for p, t in e.type_args.items()}
        callee = Frame(None, decl.name, types)
        after = self.bind(callee, args, e.loc, copy=False)
        body = decl.body.statements
        if len(body) == 1 and isinstance(body[0], ir.Return) and body[0].expr and not after:
            value = self.work.exprs.value(callee, body[0].expr)
            return self.work.exprs.converted(value, callee.type(decl.return_type))
        result: Value = Void()
        if decl.return_type != VOID:
            result = self.work.storage.make(
                callee.type(decl.return_type), f"{decl.name}.result", "temp", e.loc
            )
            callee.result = result
        self._inline(callee, decl.name, decl.body, e.loc, after)
        return result

    def _inline(
        self,
        callee: Frame,
        name: str,
        body: ir.Block,
        loc: Loc,
        after: list[tuple[Value, Value]],
    ) -> None:
        """Emit `body` as a block that `return` leaves, then the copy-out."""
        block = core.Block(name, [], loc)
        callee.block = block
        self.work.pending.append(after)
        block.body = self.work.collect(lambda: self.work.stmts.block(callee, body))
        self.work.pending.pop()
        self.work.emit(block)
        self.copy_back(after, loc)

    def exit(self, loc: Loc) -> None:
        """Emit `exit`: the copy-out of every call it ends, then the end of the pipeline."""
        if self.work.action_start and any(self.work.varying):
            raise Unsupported(
                "exit in an action of a control that is applied at several places with out or"
                " inout arguments is not supported",
                loc,
            )
        for after in reversed(self.work.pending):
            self.copy_back(after, loc)
        self.work.emit(core.Exit(loc))

    def _action(self, frame: Frame, e: ir.Call) -> Value:
        decl = e.target
        assert isinstance(decl, ir.ActionDecl)
        self.work.inlining(e.loc)
        owner = self.work.blocks.owner(frame, decl)
        args = self.evaluate_args(frame, e.args)
        callee = Frame(owner, decl.name)
        after = self.bind(callee, args, e.loc, copy=self._touches(owner, decl, args))
        if not self.work.in_action:
            self.work.tables.called_directly(owner, decl)
        was, self.work.in_action = self.work.in_action, True
        self._inline(callee, decl.name, decl.body, e.loc, after)
        self.work.in_action = was
        return Void()

    def _touches(
        self, owner: Frame | None, decl: ir.ActionDecl, args: list[tuple[ir.Param, Value]]
    ) -> bool:
        """Whether an action uses the storage of its arguments under another name as well."""
        own: set[Cell] = set()
        for param, value in args:
            own.update(_cells(param, value))
        if not own or owner is None:
            return False
        return any(cell in own for cell in self._captured(owner, decl, set()))

    def _captured(self, owner: Frame, decl: ir.ActionDecl, seen: set[ir.Decl]) -> Iterator[Cell]:
        """The storage outside of an action that it, or an action it calls, refers to."""
        seen.add(decl)
        todo: list[ir.Node] = [decl.body]
        while todo:
            node = todo.pop()
            root = _root(node)
            if root is not None:
                value = owner.find(root.decl) if root.decl is not None else None
                if isinstance(root.decl, (ir.VarDecl, ir.Param)) and value is not None:
                    assert isinstance(node, ir.Expression)
                    yield from value_cells(self.work.exprs.value(owner, node))
                    continue
            if isinstance(node, ir.Call):
                if isinstance(node.target, ir.ActionDecl) and node.target not in seen:
                    yield from self._captured(owner, node.target, seen)
                todo.extend(node.args)
                if node.receiver is not None:
                    todo.append(node.receiver)
            else:
                todo.extend(children(node))

    # --- built-in methods ---

    def _builtin(self, frame: Frame, e: ir.Call) -> Value:
        assert e.receiver is not None
        target = self.work.exprs.value(frame, e.receiver)
        name = e.builtin
        if isinstance(target, ElementOfUnions):
            raise Unsupported("a stack of unions cannot be indexed at run time", e.loc)
        if name == "isValid":
            return self._is_valid(target)
        if name in ("setValid", "setInvalid"):
            self._set_valid(target, name == "setValid", e.loc)
            return Void()
        if name in ("push_front", "pop_front") and isinstance(target, core.Stack):
            count = self.work.exprs.number(frame, e.args[0].expr, f"the argument of {name}")
            self.work.emit(core.Shift(target, name.split("_")[0], count, e.loc))
            return Void()
        raise Unsupported(f"'{name}' is not supported on this target", e.loc)

    def _is_valid(self, target: Value) -> core.Expr:
        if isinstance(target, (core.Union, core.UnionElement)):
            return core.UnionValid(target)
        if isinstance(target, InvalidUnion):
            return core.Const(0, BOOL)
        return self.work.exprs.valid(target)

    def _set_valid(self, target: Value, valid: bool, loc: Loc) -> None:
        if isinstance(target, core.StackElement):
            self.work.assigns.each_element(
                target, loc, lambda h: self.work.emit(core.SetValid(h, valid, loc))
            )
        elif isinstance(target, _PLACES):
            self.work.emit(core.SetValid(target, valid, loc))
        else:
            raise Unsupported("setValid and setInvalid apply to headers", loc)


def _root(node: ir.Node) -> ir.Path | None:
    """The variable a plain path of members starts from, None for anything else."""
    while isinstance(node, ir.Member):
        node = node.expr
    return node if isinstance(node, ir.Path) else None


def _shows_old_value(param: ir.Param, value: Value) -> bool:
    """Whether an `out` argument, used in place, could be read before it is written."""
    return param.direction == "out" and isinstance(value, core.Expr)


def _cells(param: ir.Param, value: Value) -> Iterator[Cell]:
    """The storage an argument reads or, for out and inout, is written to."""
    if param.direction not in ("out", "inout"):
        return value_cells(value)
    return lvalue_cells(value.target if isinstance(value, CopiedIn) else value)


def _overlap(args: list[tuple[ir.Param, Value]]) -> bool:
    """Whether an out or inout argument shares storage with another argument."""
    written: list[set[Cell]] = []
    read: list[set[Cell]] = []
    for param, value in args:
        where = written if param.direction in ("out", "inout") else read
        where.append(set(_cells(param, value)))
    for i, cells in enumerate(written):
        for other in (*written[i + 1 :], *read):
            if cells & other:
                return True
    return False
