"""Pass `copy_propagation`: use what a variable was assigned instead of the variable.

before:  tmp = hdr.ipv4.ttl;  meta.a = tmp + 1;   after:  ...  meta.a = hdr.ipv4.ttl + 1;

Constants, variables and header fields are propagated while neither side changes; whole
expressions only into the single use of a compiler-made temporary.
post: semantics unchanged; temporaries without uses are left for `dead_code`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from p4native.midend import access, core, rewrite

# What is tracked: a variable, one field of a header, or (coarse) a whole header or stack.
Key: TypeAlias = "core.Var | tuple[core.Header, str] | core.Header | core.Stack"
VALID = "$valid$"


class _Fact:
    __slots__ = ("depends", "value")

    def __init__(self, value: core.Expr) -> None:
        self.value = value
        self.depends = frozenset(_fine_reads(value))


Facts = dict[Key, _Fact]


def run(program: core.Program) -> None:
    """Propagate in every parser state, control and action."""
    single = _single_use(program)
    for body in rewrite.lists(program):
        _Propagation(single).body(body, {})
    for state in program.parser.states:
        facts: Facts | None = {}
        facts = _Propagation(single).body(state.body, {})
        if facts:
            state.keys = [rewrite.expr(k, _substitution(facts)) for k in state.keys]


def _single_use(program: core.Program) -> set[core.Var]:
    """Temporaries assigned once and read once."""
    read: dict[core.Var, int] = {}
    written: dict[core.Var, int] = {}

    def count(cells: Iterable[access.Cell], into: dict[core.Var, int]) -> None:
        for cell in cells:
            if isinstance(cell, core.Var):
                into[cell] = into.get(cell, 0) + 1

    for body in rewrite.lists(program):
        for s in access.walk(body):
            count(access.stmt_reads(s), read)
            if not isinstance(s, core.Apply):
                count(access.stmt_writes(s), written)
    for state in program.parser.states:
        for key in state.keys:
            count(access.reads(key), read)
    return {v for v in read if v.kind == "temp" and read[v] == 1 and written.get(v) == 1}


def _fine_reads(e: core.Expr) -> Iterator[Key]:
    for part in access.subexpressions(e):
        if isinstance(part, core.VarRef):
            yield part.var
        elif isinstance(part, (core.Field, core.Valid)):
            if isinstance(part.header, core.Header):
                yield (part.header, part.name if isinstance(part, core.Field) else VALID)
            else:
                yield from access.place_cells(part.header)
        elif isinstance(part, core.UnionValid):
            yield from access.place_cells(part.union)
        elif isinstance(part, core.LastIndex):
            yield part.stack


def _fine_writes(s: core.Stmt) -> Iterator[Key]:
    if isinstance(s, core.Assign):
        target = s.target
        while isinstance(target, core.Slice):
            target = target.arg
        if isinstance(target, core.Field) and isinstance(target.header, core.Header):
            yield (target.header, target.name)
            return
    yield from access.stmt_writes(s)


def _conflict(written: Key, depends: frozenset[Key]) -> bool:
    if written in depends:
        return True
    if isinstance(written, tuple):
        return written[0] in depends
    if isinstance(written, core.Header):
        return any(isinstance(d, tuple) and d[0] is written for d in depends)
    return False


def _substitution(facts: Facts) -> rewrite.Replace:
    def replace(e: core.Expr) -> core.Expr | None:
        if isinstance(e, core.VarRef):
            fact = facts.get(e.var)
        elif isinstance(e, core.Field) and isinstance(e.header, core.Header):
            fact = facts.get((e.header, e.name))
        else:
            return None
        return fact.value if fact is not None else None

    return replace


class _Propagation:
    """Walks statement lists forward with the facts that hold."""

    def __init__(self, single: set[core.Var]) -> None:
        self.single = single

    def body(self, body: list[core.Stmt], facts: Facts | None) -> Facts | None:
        """Process a list in place; returns the facts behind it, None if it is never reached."""
        out: list[core.Stmt] = []
        for s in body:
            if facts is None:
                break
            facts = self.step(s, facts, out)
        body[:] = out
        return facts

    def step(self, s: core.Stmt, facts: Facts, out: list[core.Stmt]) -> Facts | None:
        """Process one statement, appending what remains of it to `out`."""
        if facts:
            rewrite.statement(s, _substitution(facts))
        if isinstance(s, core.If):
            return self._if(s, facts, out)
        out.append(s)
        if isinstance(s, (core.Leave, core.Exit)):
            return None
        if isinstance(s, (core.Block, core.Loop, core.Switch, core.Apply)):
            return self._structured(s, facts)
        for key in _fine_writes(s):
            _kill(facts, key)
        if isinstance(s, core.Assign):
            self._learn(s, facts)
        return facts

    def _learn(self, s: core.Assign, facts: Facts) -> None:
        key: Key
        if isinstance(s.target, core.VarRef):
            key = s.target.var
        elif isinstance(s.target, core.Field) and isinstance(s.target.header, core.Header):
            key = (s.target.header, s.target.name)
        else:
            return
        simple = isinstance(s.value, (core.Const, core.VarRef)) or (
            isinstance(s.value, core.Field) and isinstance(s.value.header, core.Header)
        )
        if isinstance(key, tuple) and not isinstance(s.value, core.Const):
            return  # a field is as good as the variable it came from
        if not simple and not (key in self.single and not _position_bound(s.value)):
            return
        fact = _Fact(s.value)
        if key not in fact.depends and s.value.type == s.target.type:
            facts[key] = fact

    def _if(self, s: core.If, facts: Facts, out: list[core.Stmt]) -> Facts | None:
        if isinstance(s.cond, core.Const):
            chosen = s.then if s.cond.value else s.other
            rest = self.body(chosen, facts)
            out.extend(chosen)
            return rest
        then = self.body(s.then, dict(facts))
        other = self.body(s.other, dict(facts))
        if s.then or s.other:
            out.append(s)
        return _meet(then, other)

    def _structured(
        self, s: core.Block | core.Loop | core.Switch | core.Apply, facts: Facts
    ) -> Facts | None:
        if isinstance(s, core.Block) and not _leaves(s):
            return self.body(s.body, facts)
        if isinstance(s, (core.Loop, core.Apply)):
            _kill_all(facts, s)
        for inner in core.bodies(s):
            self.body(inner, dict(facts))
        _kill_all(facts, s)
        return facts


def _position_bound(e: core.Expr) -> bool:
    return any(isinstance(p, (core.Lookahead, core.LastIndex)) for p in access.subexpressions(e))


def _leaves(s: core.Block) -> bool:
    return any(isinstance(x, core.Leave) and x.target is s for x in access.walk(s.body))


def _kill(facts: Facts, key: Key) -> None:
    facts.pop(key, None)
    if not facts:
        return
    coarse = isinstance(key, core.Header)
    dead = [
        k
        for k, f in facts.items()
        if _conflict(key, f.depends) or (coarse and isinstance(k, tuple) and k[0] is key)
    ]
    for k in dead:
        del facts[k]


def _kill_all(facts: Facts, s: core.Stmt) -> None:
    """Forget what `s`, with everything inside it, may write."""
    if not facts:
        return
    for key in set(access.body_writes([s])):
        _kill(facts, key)


def _meet(a: Facts | None, b: Facts | None) -> Facts | None:
    if a is None or b is None:
        return b if a is None else a
    return {k: f for k, f in a.items() if k in b and b[k].value is f.value}
