"""Indented C text, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Emitter:
    """Collects the lines of one piece of C; temporaries are numbered per function."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._temps = 0

    def line(self, text: str = "") -> None:
        """One line at the current depth."""
        self._lines.append("\t" * self._depth + text if text else "")

    def label(self, name: str) -> None:
        """A goto target, at the margin; the empty statement lets a declaration follow, unused ones are fine."""
        self._lines.append(f"{name}: __attribute__((unused));")

    @contextmanager
    def block(self, head: str, tail: str = "}") -> Iterator[None]:
        """`head {` ... `tail`, indented."""
        self.line(f"{head} {{" if head else "{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line(tail)

    @contextmanager
    def function(self, head: str) -> Iterator[None]:
        """A function definition followed by an empty line."""
        self._temps = 0
        self.line(head)
        self.line("{")
        self._depth += 1
        yield
        self._depth -= 1
        self.line("}")
        self.line()

    def temp(self, ctype: str, value: str) -> str:
        """A new local holding `value`; returns its name."""
        name = self.name()
        self.line(f"{ctype} {name} = {value};")
        return name

    def name(self) -> str:
        """A name that is unused in this function."""
        self._temps += 1
        return f"t{self._temps}"

    def text(self) -> str:
        """Everything so far, ending in one newline."""
        return "\n".join(self._lines).rstrip("\n") + "\n"
