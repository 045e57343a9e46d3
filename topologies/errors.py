"""The lab's own exception: a problem to tell the user in one paragraph.

LabError
└── TopologyError   a topology file is wrong; carries file and line
"""

from __future__ import annotations

from pathlib import Path


class LabError(Exception):
    """Something the user can mend; the text says what was given, expected, and what to do."""


class TopologyError(LabError):
    """A topology file that cannot be used; the text begins with ``file:line:``."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.path = path
        self.line = line
