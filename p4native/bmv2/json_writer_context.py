"""What the parts of the JSON writer share: ids, source locations, errors."""

from __future__ import annotations

from typing import Any, TypeAlias

from p4native.frontend.diagnostics import Loc, Reporter
from p4native.midend import core

Json: TypeAlias = "dict[str, Any]"


class Context:
    """State of one JSON being written."""

    def __init__(self, program: core.Program, reporter: Reporter) -> None:
        self.program = program
        self.reporter = reporter
        self.action_ids: dict[core.Action, int] = {}
        self.calculations: list[Json] = []
        self.learn_lists: list[Json] = []
        self.field_lists: list[Json] = []
        self.field_list_ids: dict[int, int] = {}
        self._next: dict[str, int] = {"field_lists": 1, "learn_lists": 1}
        self.digests: dict[str, int] = {}

    def next_id(self, group: str) -> int:
        """The next id in a group of objects; field and learn lists start at 1 (0 means none)."""
        number = self._next.get(group, 0)
        self._next[group] = number + 1
        return number

    def error(self, message: str, loc: Loc, category: str = "unsupported") -> None:
        """Report that the target cannot express something."""
        self.reporter.error(category, message, loc)

    def source_info(self, loc: Loc) -> Json:
        """`{"source_info": ...}` to merge into an object, empty if the place is unknown."""
        if not loc.line:
            return {}
        line = self.reporter.source_line(loc) or ""
        start = max(loc.col - 1, 0)
        return {
            "source_info": {
                "filename": loc.file,
                "line": loc.line,
                "column": start,
                "source_fragment": _fragment(line[start:]),
            }
        }


def _fragment(text: str) -> str:
    """The start of a line up to the end of the statement, condition or head of a block."""
    for end in (";", "{", "//"):
        text = text.partition(end)[0] or text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth < 0:
            return text[:i].strip()
    return text.strip()


def hexstr(value: int, width_bits: int = 0) -> str:
    """A number as BMv2 writes it: `0x` and at least `width_bits` rounded up to bytes of digits."""
    digits = -(-width_bits // 8) * 2
    sign = "-" if value < 0 else ""
    return f"{sign}0x{abs(value):0{max(digits, 1)}x}"


def number(value: int, width_bits: int = 0) -> Json:
    """A constant operand."""
    return {"type": "hexstr", "value": hexstr(value, width_bits)}
