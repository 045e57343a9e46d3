"""Preprocessed text with, for every line, where it came from."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from p4native.frontend.diagnostics import Loc

# One piece of an expanded line: output column (0-based), source column, whether it is verbatim.
Piece = tuple[int, int, bool]


@dataclass(slots=True)
class SourceText:
    """The preprocessor's output: `lines[i]` came from line `numbers[i]` of `files[i]`.

    `pieces[i]` exists for lines in which a macro was expanded and maps columns back.
    """

    lines: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    pieces: dict[int, list[Piece]] = field(default_factory=dict)

    def add(self, text: str, file: str, number: int, pieces: list[Piece] | None = None) -> None:
        """Append one line (without its newline)."""
        if pieces is not None:
            self.pieces[len(self.lines)] = pieces
        self.lines.append(text)
        self.files.append(file)
        self.numbers.append(number)

    def loc(self, index: int, column: int, length: int) -> Loc:
        """The location of a token in output line `index` at 0-based `column`."""
        if index >= len(self.lines):
            index = len(self.lines) - 1
            if index < 0:
                return Loc("<empty>", 1, 1, 0)
            column = len(self.lines[index])
        pieces = self.pieces.get(index)
        if pieces is not None:
            column, length = _map_column(pieces, column, length)
        return Loc(self.files[index], self.numbers[index], column + 1, length)


def _map_column(pieces: list[Piece], column: int, length: int) -> tuple[int, int]:
    at = bisect_right(pieces, column, key=lambda p: p[0]) - 1
    if at < 0:
        return column, length
    out, src, verbatim = pieces[at]
    if verbatim:
        return src + column - out, length
    return src, 1
