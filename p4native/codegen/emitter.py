"""Indented C text, line by line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_TEMP = re.compile(r"\bt\d+\b")


class Emitter:
    """Collects the lines of one piece of C; temporaries are numbered per function."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._temps = 0
        self._declared: dict[str, int] = {}

    def line(self, text: str = "") -> None:
        """One line at the current depth."""
        self._lines.append("\t" * self._depth + text if text else "")

    def label(self, name: str) -> None:
        """A goto target, at the margin; nothing has to go there."""
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
        self._declared.clear()
        self.line(head)
        start = len(self._lines)
        self.line("{")
        self._depth += 1
        yield
        self._depth -= 1
        self._drop_unused(start)
        self.line("}")
        self.line()

    def _drop_unused(self, start: int) -> None:
        """Removes temporaries of this function that nothing uses."""
        while True:
            uses = Counter(_TEMP.findall("\n".join(self._lines[start:])))
            dead = {at for name, at in self._declared.items() if uses[name] == 1}
            if not dead:
                return
            kept = [at for at in range(start, len(self._lines)) if at not in dead]
            moved = {at: start + i for i, at in enumerate(kept)}
            self._lines[start:] = [self._lines[at] for at in kept]
            self._declared = {n: moved[at] for n, at in self._declared.items() if at in moved}

    def temp(self, ctype: str, value: str) -> str:
        """A new local holding `value`; returns its name. It goes away when nothing uses it."""
        name = self.name()
        self._declared[name] = len(self._lines)
        self.line(f"{ctype} {name} = {value};")
        return name

    def name(self) -> str:
        """A name that is unused in this function."""
        self._temps += 1
        return f"t{self._temps}"

    def text(self) -> str:
        """Everything so far, ending in one newline."""
        return "\n".join(self._lines).rstrip("\n") + "\n"
