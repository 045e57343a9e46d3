"""Control flow: functions return on every path, parsers can come to an end."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.types import ActionRunType, VoidType
from p4native.frontend.visitor import walk


def check_flow(program: ir.Program, reporter: Reporter) -> None:
    """Check all functions and parsers of a program."""
    for node in walk(program):
        if isinstance(node, ir.FunctionDecl):
            _function(node, reporter)
        elif isinstance(node, ir.ParserDecl):
            _parser(node, reporter)
        elif isinstance(node, ir.Switch) and "exact" not in program.match_kinds:
            _switch(node, reporter)


def _function(function: ir.FunctionDecl, reporter: Reporter) -> None:
    if not isinstance(function.return_type, VoidType) and not always_returns(function.body):
        reporter.error(
            "insufficient",
            f"function '{function.name}' does not return a value on all paths",
            function.loc,
        )


def _switch(switch: ir.Switch, reporter: Reporter) -> None:
    """A switch on a value becomes a table, for which core.p4's match kinds are needed."""
    if not isinstance(switch.expr.type, ActionRunType):
        reporter.error(
            "not-found", "a switch needs match_kind 'exact'; include core.p4", switch.loc
        )


def always_returns(statement: ir.Statement | None) -> bool:
    """Whether control cannot reach the end of the statement."""
    if isinstance(statement, (ir.Return, ir.Exit)):
        return True
    if isinstance(statement, ir.Block):
        return any(always_returns(s) for s in statement.statements)
    if isinstance(statement, ir.If):
        return _if_returns(statement)
    if isinstance(statement, ir.Switch):
        has_default = any(isinstance(c.label, ir.DontCare) for c in statement.cases)
        bodies = [c.body for c in statement.cases if c.body is not None]
        return has_default and bool(bodies) and all(always_returns(b) for b in bodies)
    return False


def _if_returns(statement: ir.If) -> bool:
    node: ir.Statement | None = statement
    while isinstance(node, ir.If):
        if not always_returns(node.then):
            return False
        node = node.other
    return always_returns(node)


def successors(state: ir.StateDecl, parser: ir.ParserDecl) -> list[ir.StateDecl]:
    """The states a state can go to; without a transition that is `reject`."""
    transition = state.transition
    if isinstance(transition, ir.Path):
        paths = [transition]
    elif isinstance(transition, ir.Select):
        paths = [case.state for case in transition.cases]
    else:
        return [parser.reject]
    return [p.decl for p in paths if isinstance(p.decl, ir.StateDecl)]


def reachable_states(parser: ir.ParserDecl) -> list[ir.StateDecl]:
    """The states that can be reached from `start`, in order of discovery."""
    start = next((s for s in parser.states if s.name == "start"), None)
    if start is None:
        return []
    found = [start]
    for state in found:
        for following in successors(state, parser):
            if following not in found:
                found.append(following)
    return found


def _parser(parser: ir.ParserDecl, reporter: Reporter) -> None:
    reached = reachable_states(parser)
    for state in parser.states:
        if state.transition is None:
            reporter.warning(
                "parser-transition",
                f"state '{state.name}' has no transition: it goes to 'reject'",
                state.loc,
            )
    if parser.accept in reached:
        return
    if parser.reject in reached or _may_reject(reached):
        reporter.warning("unreachable", f"parser '{parser.name}' cannot reach 'accept'", parser.loc)
        return
    reporter.error(
        "unreachable", f"parser '{parser.name}' never reaches 'accept' or 'reject'", parser.loc
    )


def _may_reject(states: list[ir.StateDecl]) -> bool:
    """Whether a `verify` or a select without default can end the parser."""
    for state in states:
        select = state.transition
        if isinstance(select, ir.Select) and not any(
            isinstance(c.keyset, ir.DontCare) for c in select.cases
        ):
            return True
    return False
