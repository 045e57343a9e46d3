"""Collecting diagnostics: located errors and warnings with stable categories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

MAX_ERRORS = 200
MAX_INT_BITS = 8192  # bits an `int` may have: little enough to be printed in messages
_MAX_MESSAGE = 400  # characters


class Loc:
    """A source position: file name, 1-based line and column, length in characters."""

    __slots__ = ("col", "file", "length", "line")

    def __init__(self, file: str, line: int, col: int, length: int = 1) -> None:
        self.file = file
        self.line = line
        self.col = col
        self.length = length

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}" if self.line else self.file

    def __repr__(self) -> str:
        return f"Loc({self})"

    def key(self) -> tuple[str, int, int]:
        """A tuple that orders locations within one compilation."""
        return (self.file, self.line, self.col)


NOWHERE = Loc("<none>", 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message; `severity` is `error` or `warning`, `related` are (location, note) pairs."""

    severity: str
    category: str
    message: str
    loc: Loc
    related: tuple[tuple[Loc, str], ...] = ()

    def header(self) -> str:
        """`file:line:col: error[category]: message`."""
        return f"{self.loc}: {self.severity}[{self.category}]: {self.message}"


class TooManyErrors(Exception):
    """Raised when `MAX_ERRORS` errors were reported; compilation stops there."""


@dataclass(slots=True)
class Reporter:
    """Collects diagnostics; give it to every phase, then look at `.failed` and `.render()`."""

    werror: frozenset[str] = frozenset()
    disabled: frozenset[str] = frozenset()
    diagnostics: list[Diagnostic] = field(default_factory=list)
    error_count: int = 0
    sources: dict[str, list[str]] = field(default_factory=dict)
    muted: list[frozenset[str]] = field(default_factory=list)
    _seen: set[tuple[str, str, tuple[str, int, int], str]] = field(default_factory=set)

    @property
    def failed(self) -> bool:
        """Whether at least one error was reported."""
        return self.error_count > 0

    @property
    def errors(self) -> list[Diagnostic]:
        """The errors, in order of report."""
        return [d for d in self.diagnostics if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        """The warnings, in order of report."""
        return [d for d in self.diagnostics if d.severity == "warning"]

    def error(self, category: str, message: str, loc: Loc, *related: tuple[Loc, str]) -> None:
        """Record an error; `TooManyErrors` after `MAX_ERRORS` of them."""
        if not self._record("error", category, message, loc, related):
            return
        self.error_count += 1
        if self.error_count >= MAX_ERRORS:
            raise TooManyErrors

    def warning(self, category: str, message: str, loc: Loc, *related: tuple[Loc, str]) -> None:
        """Record a warning, an error if its category is in `werror`; nothing if disabled."""
        if any(category in muted for muted in self.muted):
            return
        if category in self.werror:
            self.error(category, message, loc, *related)
        elif category not in self.disabled:
            self._record("warning", category, message, loc, related)

    def _record(
        self,
        severity: str,
        category: str,
        message: str,
        loc: Loc,
        related: tuple[tuple[Loc, str], ...],
    ) -> bool:
        if len(message) > _MAX_MESSAGE:
            message = f"{message[: _MAX_MESSAGE // 2]}...{message[-_MAX_MESSAGE // 2 :]}"
        key = (severity, category, loc.key(), message)
        if key in self._seen:
            return False
        self._seen.add(key)
        self.diagnostics.append(Diagnostic(severity, category, message, loc, related))
        return True

    @contextmanager
    def mute(self, categories: frozenset[str]) -> Iterator[None]:
        """Give no warnings of these categories inside the `with` block."""
        self.muted.append(categories)
        try:
            yield
        finally:
            self.muted.pop()

    def order_errors(self, first: Sequence[str]) -> None:
        """Move the errors of the categories in `first` ahead of the others, else keep order."""
        rank = {category: at for at, category in enumerate(first)}
        ordered = sorted(self.errors, key=lambda d: rank.get(d.category, len(first)))
        following = iter(ordered)
        self.diagnostics = [
            next(following) if d.severity == "error" else d for d in self.diagnostics
        ]

    def add_source(self, name: str, text: str) -> None:
        """Register a source text so that its lines can be shown."""
        self.sources[name] = text.split("\n")

    def source_line(self, loc: Loc) -> str | None:
        """The text of the line at `loc`, or None if it is not available."""
        lines = self.sources.get(loc.file)
        if lines is None:
            lines = _read_lines(loc.file)
            self.sources[loc.file] = lines
        if 1 <= loc.line <= len(lines):
            return lines[loc.line - 1].rstrip("\r")
        return None

    def render(self) -> str:
        """All diagnostics as text, each with its source line and caret."""
        out: list[str] = []
        for diagnostic in self.diagnostics:
            out.append(diagnostic.header())
            out.extend(self._excerpt(diagnostic.loc))
            for loc, note in diagnostic.related:
                out.append(f"{loc}: note: {note}")
                out.extend(self._excerpt(loc))
        return "\n".join(out) + ("\n" if out else "")

    def print(self, stream: TextIO) -> None:
        """Write `render()` to a stream."""
        stream.write(self.render())

    def _excerpt(self, loc: Loc) -> list[str]:
        line = self.source_line(loc)
        if line is None:
            return []
        if len(line) > 400:
            line = line[:400]
        column = min(loc.col - 1, len(line))
        pad = "".join("\t" if c == "\t" else " " for c in line[:column])
        width = max(1, min(loc.length, len(line) - column))
        return [line, pad + "^" * width]


def _read_lines(name: str) -> list[str]:
    path = Path(name)
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except (OSError, ValueError):
        return []
