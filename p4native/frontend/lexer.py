"""The lexer: one regular expression over the preprocessed text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from p4native.frontend.diagnostics import Loc
from p4native.frontend.source import SourceText

KEYWORDS = frozenset(
    [
        "abstract",
        "action",
        "actions",
        "apply",
        "bool",
        "bit",
        "break",
        "const",
        "continue",
        "control",
        "default",
        "else",
        "entries",
        "enum",
        "error",
        "exit",
        "extern",
        "false",
        "for",
        "header",
        "header_union",
        "if",
        "in",
        "inout",
        "int",
        "key",
        "list",
        "match_kind",
        "out",
        "package",
        "parser",
        "priority",
        "return",
        "select",
        "state",
        "string",
        "struct",
        "switch",
        "table",
        "this",
        "transition",
        "true",
        "tuple",
        "type",
        "typedef",
        "value_set",
        "varbit",
        "void",
        "_",
    ]
)

# Keywords that are also usable as names (spec 6.4.3 `nonTypeName`).
NAME_KEYWORDS = frozenset(["actions", "apply", "entries", "key", "priority", "state", "type"])

# Longer ones first.
# fmt: off
_SYMBOLS = [
    "|+|=", "|-|=", "{#}", "&&&", "...", ">>=", "<<=", "|+|", "|-|", "<<", "<=", ">=", "==",
    "!=", "&&", "||", "++", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "+:", "..", "+",
    "-", "*", "/", "%", "&", "|", "^", "~", "!", "(", ")", "[", "]", "{", "}", "<", ">", ":",
    ";", ",", ".", "=", "?", "@",
]
# fmt: on

_TOKEN = re.compile(
    r"(?P<WS>[ \t\r\f\v]+)"
    r"|(?P<NL>\n)"
    r"|(?P<ID>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<INT>[0-9]+[ws]0[xX][0-9a-fA-F_]+|[0-9]+[ws]0[dD][0-9_]+|[0-9]+[ws]0[oO][0-7_]+"
    r"|[0-9]+[ws]0[bB][01_]+|[0-9]+[ws][0-9_]+"
    r"|0[xX][0-9a-fA-F_]+|0[dD][0-9_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*)"
    r'|(?P<STR>"(?:\\.|[^"\\])*")'
    r"|(?P<PRAGMA>@pragma\b)"
    r"|(?P<OP>" + "|".join(re.escape(s) for s in _SYMBOLS) + r")"
    r"|(?P<BAD>.)",
    re.S,
)


@dataclass(slots=True)
class Tokens:
    """Parallel lists: `kinds[i]` is `ID INT STR BAD EOF`, a keyword or a symbol's text.

    `@pragma` tokens are followed, at the end of their line, by an `END_PRAGMA`.
    """

    source: SourceText
    kinds: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    cols: list[int] = field(default_factory=list)

    def loc(self, at: int) -> Loc:
        """The location of token `at`."""
        return self.source.loc(self.lines[at], self.cols[at], max(1, len(self.texts[at])))

    def adjacent(self, at: int) -> bool:
        """Whether token `at + 1` follows token `at` without a space."""
        return (
            at + 1 < len(self.kinds)
            and self.lines[at] == self.lines[at + 1]
            and self.cols[at] + len(self.texts[at]) == self.cols[at + 1]
        )


def tokenize(source: SourceText) -> Tokens:
    """Split the text into tokens; characters that belong to none become `BAD` tokens."""
    tokens = Tokens(source)
    kinds, texts, lines, cols = tokens.kinds, tokens.texts, tokens.lines, tokens.cols
    line = start = 0
    pragma = False
    for match in _TOKEN.finditer("\n".join(source.lines)):
        group = match.lastgroup
        if group == "WS":
            continue
        if group == "NL":
            if pragma:
                pragma = False
                _add(tokens, "END_PRAGMA", "", line, match.start() - start)
            line += 1
            start = match.end()
            continue
        text = match.group()
        column = match.start() - start
        if group == "OP":
            kind = text
        elif group == "ID":
            kind = text if text in KEYWORDS else "ID"
        else:
            kind = group or "BAD"
            pragma = pragma or kind == "PRAGMA"
        kinds.append(kind)
        texts.append(text)
        lines.append(line)
        cols.append(column)
        if kind == "STR" and "\n" in text:
            line += text.count("\n")
            start = match.start() + text.rfind("\n") + 1
    if pragma:
        _add(tokens, "END_PRAGMA", "", line, 0)
    last = max(0, len(source.lines) - 1)
    _add(tokens, "EOF", "", last, len(source.lines[last]) if source.lines else 0)
    return tokens


def _add(tokens: Tokens, kind: str, text: str, line: int, column: int) -> None:
    tokens.kinds.append(kind)
    tokens.texts.append(text)
    tokens.lines.append(line)
    tokens.cols.append(column)
