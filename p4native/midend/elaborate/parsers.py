"""Parsers: states with sub-parsers inlined; control flow inside states is split up later."""

from __future__ import annotations

from collections.abc import Iterator

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc
from p4native.frontend.visitor import walk
from p4native.midend import core
from p4native.midend.elaborate.blocks import BlockInstance
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.scope import Frame
from p4native.midend.elaborate.values import Aggregate, Value
from p4native.midend.elaborate.work import Work


class _Invocation:
    """One use of a parser: its states' copies and where `accept` goes."""

    __slots__ = ("accept", "instance", "prefix", "states")

    def __init__(self, instance: BlockInstance, prefix: str, accept: core.State | None) -> None:
        self.instance = instance
        self.prefix = prefix
        self.accept = accept
        self.states: dict[ir.StateDecl, core.State] = {}


class Parsers:
    """Builds the states of the package's parser."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.states: list[core.State] = []
        self._names: set[str] = set()
        self._pending: list[tuple[_Invocation, ir.StateDecl, core.State]] = []
        self._current: core.State | None = None

    def build(self, instance: BlockInstance) -> list[core.State]:
        """All states reachable from the start state, which comes first."""
        decl = instance.decl
        assert isinstance(decl, ir.ParserDecl)
        self.work.in_parser = True
        start = self._new("start", decl.loc)
        invocation = _Invocation(instance, "", None)
        self._enter(invocation, start)
        while self._pending:
            self._state(*self._pending.pop(0))
        self.work.in_parser = False
        return self.states

    def _new(self, name: str, loc: Loc) -> core.State:
        unique, number = name, 0
        while unique in self._names:
            unique, number = f"{name}_{number}", number + 1
        self._names.add(unique)
        state = core.State(unique, loc=loc)
        self.states.append(state)
        return state

    def _enter(self, invocation: _Invocation, entry: core.State) -> None:
        """Make `entry` initialize the parser's locals and go on to its start state."""
        decl = invocation.instance.decl
        assert isinstance(decl, ir.ParserDecl)
        first = next((s for s in decl.states if s.name == "start"), None)
        if first is None:
            raise Unsupported(f"parser '{decl.name}' has no start state", decl.loc)
        entry.body.extend(
            self.work.collect(lambda: self.work.blocks.initialize_locals(invocation.instance))
        )
        if not entry.body and not invocation.prefix:
            invocation.states[first] = entry
            self._pending.append((invocation, first, entry))
        else:
            _go(entry, self._target(invocation, first), entry.loc)

    def _target(self, invocation: _Invocation, decl: ir.StateDecl) -> core.State | None:
        """The copy of a state in an invocation; None stands for accept and reject."""
        parser = invocation.instance.decl
        assert isinstance(parser, ir.ParserDecl)
        if decl is parser.accept:
            return invocation.accept
        if decl is parser.reject:
            self.work.reporter.warning(
                "unsupported",
                "an explicit transition to reject is not supported on this target:"
                " parsing ends as with accept",
                decl.loc if decl.loc.line else parser.loc,
            )
            return None
        found = invocation.states.get(decl)
        if found is None:
            found = self._new(invocation.prefix + decl.name, decl.loc)
            invocation.states[decl] = found
            self._pending.append((invocation, decl, found))
        return found

    def _state(self, invocation: _Invocation, decl: ir.StateDecl, state: core.State) -> None:
        frame = Frame(invocation.instance.frame, invocation.instance.frame.prefix)
        self._current = state
        try:
            for stmt in decl.statements:
                self._statement(frame, stmt)
            self._transition(invocation, frame, decl)
        except Unsupported as e:
            self.work.reporter.error(e.category, e.message, e.loc)

    def _statement(self, frame: Frame, stmt: ir.Statement) -> None:
        assert self._current is not None
        if not _applies_parser(stmt):
            current = self._current
            current.body.extend(self.work.collect(lambda: self.work.stmts.statement(frame, stmt)))
        elif isinstance(stmt, ir.CallStmt):
            self._apply(frame, stmt.call)
        elif isinstance(stmt, ir.Block):
            for inner in stmt.statements:
                self._statement(frame, inner)
        elif isinstance(stmt, ir.If):
            self._branch(frame, stmt)
        else:
            raise Unsupported("a parser cannot be applied here", stmt.loc)

    def _branch(self, frame: Frame, stmt: ir.If) -> None:
        before = self._current
        assert before is not None
        conds: list[core.Expr] = []
        before.body.extend(
            self.work.collect(lambda: conds.append(self.work.exprs.scalar(frame, stmt.cond)))
        )
        after = self._new(before.name + "_join", stmt.loc)
        before.keys = conds
        for value, inner in ((1, stmt.then), (None, stmt.other)):
            side = self._new(before.name + ("_true" if value else "_false"), stmt.loc)
            key = core.KeyValue(any=True) if value is None else core.KeyValue(value)
            before.cases.append(core.Case([key], side, stmt.loc))
            self._current = side
            if inner is not None:
                self._statement(frame, inner)
            _go(self._current, after, stmt.loc)
        self._current = after

    def _apply(self, frame: Frame, e: ir.Call) -> None:
        """Inline a sub-parser: go to its entry, come back to a new state at its accept."""
        before = self._current
        assert before is not None
        self.work.inlining(e.loc)
        instance = self.work.blocks.receiver(frame, e)
        if not isinstance(instance.decl, ir.ParserDecl):
            raise Unsupported("a control cannot be applied in a parser", e.loc)
        after = self._new(f"{before.name}_after_{instance.decl.name}", e.loc)
        copies: list[tuple[Value, Value]] = []
        before.body.extend(
            self.work.collect(
                lambda: copies.extend(self.work.blocks.bind_apply(frame, instance, e))
            )
        )
        invocation = _Invocation(instance, f"{before.name}_{instance.decl.name}_", after)
        self._current = None
        entry = self._new(f"{before.name}_{instance.decl.name}", e.loc)
        _go(before, entry, e.loc)
        self._enter(invocation, entry)
        after.body.extend(self.work.collect(lambda: self.work.calls.copy_back(copies, e.loc)))
        self._current = after

    # --- transitions ---

    def _transition(self, invocation: _Invocation, frame: Frame, decl: ir.StateDecl) -> None:
        state = self._current
        assert state is not None
        transition = decl.transition
        if transition is None:
            state.cases.append(core.Case([], None, decl.loc))
        elif isinstance(transition, ir.Path):
            assert isinstance(transition.decl, ir.StateDecl)
            _go(state, self._target(invocation, transition.decl), transition.loc)
        elif isinstance(transition, ir.Select):
            self._select(invocation, frame, state, transition)

    def _select(
        self, invocation: _Invocation, frame: Frame, state: core.State, select: ir.Select
    ) -> None:
        def keys() -> None:
            for e in select.selectors:
                state.keys.extend(_scalars(self.work.exprs.value(frame, e), e.loc))

        state.body.extend(self.work.collect(keys))
        for case in select.cases:
            target_decl = case.state.decl
            assert isinstance(target_decl, ir.StateDecl)
            value_set = self._value_set(frame, case.keyset)
            values = [] if value_set else list(self._case_keys(frame, state, case.keyset))
            target = self._target(invocation, target_decl)
            state.cases.append(core.Case(values, target, case.loc, value_set))

    def _value_set(self, frame: Frame, keyset: ir.Expression) -> core.ValueSet | None:
        if isinstance(keyset, ir.ListExpr) and len(keyset.items) == 1:
            keyset = keyset.items[0]
        if isinstance(keyset, ir.Path) and isinstance(keyset.decl, ir.ValueSetDecl):
            found = frame.lookup(keyset.decl)
            assert isinstance(found, core.ValueSet)
            return found
        return None

    def _case_keys(
        self, frame: Frame, state: core.State, keyset: ir.Expression
    ) -> Iterator[core.KeyValue]:
        if isinstance(keyset, ir.DontCare):
            yield from (core.KeyValue(any=True) for _ in state.keys)
            return
        items = list(_flat_keysets(keyset))
        if len(items) != len(state.keys):
            if len(items) == 1 and isinstance(items[0], ir.DontCare):
                yield from (core.KeyValue(any=True) for _ in state.keys)
                return
            raise Unsupported("the keyset does not have as many parts as the select", keyset.loc)
        for item, key in zip(items, state.keys, strict=True):
            if isinstance(item, ir.Path) and isinstance(item.decl, ir.ValueSetDecl):
                raise Unsupported("a value set can only be a whole keyset on this target", item.loc)
            yield self.work.blocks.key_value(frame, item, key.type)


def _flat_keysets(e: ir.Expression) -> Iterator[ir.Expression]:
    if isinstance(e, ir.ListExpr):
        for item in e.items:
            yield from _flat_keysets(item)
    elif isinstance(e, ir.StructExpr):
        for named in e.fields:
            yield from _flat_keysets(named.expr)
    else:
        yield e


def _scalars(value: Value, loc: Loc) -> Iterator[core.Expr]:
    if isinstance(value, core.Expr):
        yield value
    elif isinstance(value, Aggregate):
        for item in value.fields.values():
            yield from _scalars(item, loc)
    else:
        raise Unsupported("select takes scalars, tuples and structs of them", loc)


def _go(state: core.State, target: core.State | None, loc: Loc) -> None:
    state.keys = []
    state.cases = [core.Case([], target, loc)]


def _applies_parser(stmt: ir.Statement) -> bool:
    return any(isinstance(n, ir.Call) and n.kind is ir.CallKind.PARSER_APPLY for n in walk(stmt))
