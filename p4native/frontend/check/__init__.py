"""The checker: resolves names, infers types, folds constants and reports what is wrong."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.context import Context
from p4native.frontend.check.declarations import check_declarations
from p4native.frontend.diagnostics import Reporter

__all__ = ["check_program"]


def check_program(program: ir.Program, reporter: Reporter) -> None:
    """Check a parsed program in place."""
    check_declarations(Context(reporter, program))
