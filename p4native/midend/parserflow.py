"""Pass `parser_flow`: conditionals, blocks and jumps inside parser states become states.

before:  state s { if (c) { A } B transition t; }
after:   state s { transition select(c) { true: s_true; default: s_join; } }
         state s_true { A transition s_join; }  state s_join { B transition t; }
post: a state's body has only assignments, header operations and extern calls.
"""

from __future__ import annotations

from p4native.frontend.diagnostics import Loc
from p4native.midend import access, core


def run(program: core.Program) -> None:
    """Split every state that has control flow inside."""
    parser = program.parser
    flow = _Flow({s.name for s in parser.states})
    for state in parser.states:
        flow.out.append(state)
        body, state.body = state.body, []
        keys, cases = state.keys, state.cases
        state.keys, state.cases = [], []
        end = flow.sequence(body, state)
        if end is not None:
            end.keys, end.cases = keys, cases
    parser.states = flow.out


class _Flow:
    """Makes states for pieces of a body."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.out: list[core.State] = []
        self.behind: dict[core.Block | core.Loop, core.State] = {}

    def state(self, near: core.State, suffix: str, loc: Loc) -> core.State:
        """A new state named after the one it is split from."""
        base = name = f"{near.name}_{suffix}"
        number = 0
        while name in self.names:
            name, number = f"{base}_{number}", number + 1
        self.names.add(name)
        made = core.State(name, loc=loc)
        self.out.append(made)
        return made

    def sequence(self, body: list[core.Stmt], current: core.State) -> core.State | None:
        """Append `body` to `current`; returns the state it ends in, None if it never ends."""
        for s in body:
            following = self.step(s, current)
            if following is None:
                return None
            current = following
        return current

    def step(self, s: core.Stmt, current: core.State) -> core.State | None:
        """Append one statement."""
        if isinstance(s, core.If):
            return self._if(s, current)
        if isinstance(s, core.Block):
            return self._block(s, current)
        if isinstance(s, core.Loop):
            return self._loop(s, current)
        if isinstance(s, core.Leave):
            go(current, self.behind[s.target], s.loc)
            return None
        if isinstance(s, core.Exit):
            go(current, None, s.loc)
            return None
        current.body.append(s)
        return current

    def _if(self, s: core.If, current: core.State) -> core.State:
        join = self.state(current, "join", s.loc)
        sides: list[core.State] = []
        for suffix, body in (("true", s.then), ("false", s.other)):
            if not body:
                sides.append(join)
                continue
            side = self.state(current, suffix, s.loc)
            sides.append(side)
            end = self.sequence(body, side)
            if end is not None:
                go(end, join, s.loc)
        current.keys = [s.cond]
        current.cases = [
            core.Case([core.KeyValue(1)], sides[0], s.loc),
            core.Case([core.KeyValue(any=True)], sides[1], s.loc),
        ]
        return join

    def _block(self, s: core.Block, current: core.State) -> core.State | None:
        if not any(isinstance(x, core.Leave) and x.target is s for x in access.walk(s.body)):
            return self.sequence(s.body, current)
        behind = self.behind[s] = self.state(current, "after", s.loc)
        end = self.sequence(s.body, current)
        if end is not None:
            go(end, behind, s.loc)
        return behind

    def _loop(self, s: core.Loop, current: core.State) -> core.State:
        head = self.state(current, "loop", s.loc)
        behind = self.behind[s] = self.state(current, "after", s.loc)
        go(current, head, s.loc)
        end = self.sequence(s.body, head)
        if end is not None:
            go(end, head, s.loc)
        return behind


def go(state: core.State, target: core.State | None, loc: Loc) -> None:
    """Make `target` what follows `state`."""
    state.keys = []
    state.cases = [core.Case([], target, loc)]
