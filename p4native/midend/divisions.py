"""Pass `divisions`: a division that is left over is an error.

Folding divides constants and makes shifts and masks of powers of two; P4 asks for no more
of a target, and the reference compiler refuses the rest, too.
"""

from __future__ import annotations

from p4native.frontend.diagnostics import Loc, Reporter
from p4native.midend import access, core, rewrite


def run(program: core.Program, reporter: Reporter) -> None:
    """Report every division whose operands are only known at run time."""
    for body in rewrite.lists(program):
        for s in access.walk(body):
            rewrite.statement(s, _refuse(reporter, s.loc))
    for state in program.parser.states:
        loc = state.cases[0].loc if state.cases else state.loc  # keys have no place of their own
        for key in state.keys:
            rewrite.expr(key, _refuse(reporter, loc))
    for control in program.controls.values():
        for table in control.tables:
            for table_key in table.keys:
                rewrite.expr(table_key.expr, _refuse(reporter, table_key.loc))


def _refuse(reporter: Reporter, loc: Loc) -> rewrite.Replace:
    """A replacement that only looks."""

    def look(e: core.Expr) -> None:
        if isinstance(e, core.Binary) and e.op in ("/", "%"):
            reporter.error(
                "invalid",
                f"'{e.op}' needs operands known at compile time, or a power of two on the right",
                loc,
            )

    return look
