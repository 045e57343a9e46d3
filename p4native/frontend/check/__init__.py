"""The checker: resolves names, infers types, folds constants and reports what is wrong."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.context import Context
from p4native.frontend.check.declarations import check_declarations
from p4native.frontend.check.entries import check_entries
from p4native.frontend.check.flow import check_flow
from p4native.frontend.check.names import check_action_names
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.warnings.defuse import warn_uninitialized
from p4native.frontend.warnings.unused import used_declarations, warn_unused

__all__ = ["check_program"]

# Names come before types: a wrong type is often the consequence of a wrong name.
_STAGES = ("duplicate", "not-found")


def check_program(program: ir.Program, reporter: Reporter) -> None:
    """Check a parsed program in place."""
    ctx = Context(reporter, program)
    check_declarations(ctx)
    reporter.order_errors(_STAGES)
    if not reporter.failed:
        check_flow(program, reporter)
        check_entries(program, reporter)
        check_action_names(program, reporter)
        used = used_declarations(program) | ctx.used
        warn_unused(program, used, reporter)
        warn_uninitialized(program, used, reporter)
