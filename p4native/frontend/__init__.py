"""P4_16 text to typed, checked IR."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from p4native.frontend import ir
from p4native.frontend.check import check_program
from p4native.frontend.diagnostics import Loc, Reporter, TooManyErrors
from p4native.frontend.lexer import tokenize
from p4native.frontend.parser import parse
from p4native.frontend.preprocess import Preprocessor

__all__ = ["check_source", "parse_and_check"]

# Enough for the deepest tree the parser's nesting limit lets through.
_RECURSION_LIMIT = 20_000


def parse_and_check(
    path: str | Path,
    include_dirs: Sequence[str | Path] = (),
    defines: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> ir.Program | None:
    """The checked program in the file at `path`, None if it has errors (see `reporter`)."""
    reporter = Reporter() if reporter is None else reporter
    dirs = [Path(d) for d in include_dirs]
    return _run(Path(path), None, dirs, dict(defines or {}), reporter)


def check_source(
    text: str, name: str = "<text>", reporter: Reporter | None = None
) -> ir.Program | None:
    """Like `parse_and_check` for a program that is not in a file."""
    reporter = Reporter() if reporter is None else reporter
    return _run(Path(name), text, [], {}, reporter)


def _run(
    path: Path, text: str | None, dirs: list[Path], defines: dict[str, str], reporter: Reporter
) -> ir.Program | None:
    if sys.getrecursionlimit() < _RECURSION_LIMIT:
        sys.setrecursionlimit(_RECURSION_LIMIT)
    program = None
    try:
        preprocessor = Preprocessor(dirs, defines, reporter)
        source = preprocessor.run(path) if text is None else preprocessor.run_text(str(path), text)
        if source is None or reporter.failed:
            return None
        program = parse(tokenize(source), reporter)
        if not reporter.failed:
            check_program(program, reporter)
    except TooManyErrors:
        pass
    except RecursionError:
        reporter.error("overlimit", "the program is nested too deeply", Loc(str(path), 1, 1))
    return None if reporter.failed else program
