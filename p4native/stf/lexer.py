"""Splits one line of an STF script into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+)
  | (?P<quoted>"[^"]*")
  | (?P<number>0[xX][0-9a-fA-F*]+|0[bB][01*]+|0[oO][0-7*]+|-?[0-9]+\.[0-9]+|-?[0-9]+)
  | (?P<name>[A-Za-z_$][A-Za-z_0-9$]*)
  | (?P<symbol>&&&|->|\.\.|==|!=|<=|>=|[<>=:,.()\[\]/])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token with its kind (``name``, ``number``, ``symbol``, ``end``) and column from 1."""

    kind: str
    text: str
    column: int


class LexError(Exception):
    """A character that starts no token."""

    def __init__(self, column: int, text: str) -> None:
        super().__init__(f"unexpected character {text!r}")
        self.column = column


def strip_comment(line: str) -> str:
    """The line without its ``#`` comment; a ``#`` inside double quotes is kept."""
    quoted = False
    for position, char in enumerate(line):
        if char == '"':
            quoted = not quoted
        elif char == "#" and not quoted:
            return line[:position]
    return line


def tokenize(line: str, start: int) -> list[Token]:
    """Tokens of ``line`` from offset ``start``; an ``end`` token closes the list."""
    tokens: list[Token] = []
    position = start
    while position < len(line):
        found = _TOKEN.match(line, position)
        if found is None:
            raise LexError(position + 1, line[position])
        kind, text = found.lastgroup or "", found.group()
        if kind == "quoted":
            kind, text = "name", text[1:-1]
        if kind != "space":
            tokens.append(Token(kind, text, position + 1))
        position = found.end()
    tokens.append(Token("end", "end of line", len(line) + 1))
    return tokens
