"""Macro definitions and their expansion within one logical line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from p4native.frontend.source import Piece

# Comments and what follows an odd quote are no place for macros.
_PIECE = re.compile(
    r"[A-Za-z_]\w*|\"(?:\\.|[^\"\\])*(?:\"|\Z)|//[^\n]*|/\*.*?\*/|\d\w*|\s+|##|.", re.S
)
_NAME = re.compile(r"[A-Za-z_]\w*")
MAX_EXPANSION = 1 << 20  # characters one logical line may expand to
_MAX_NESTING = 200


class ExpansionError(Exception):
    """A macro call is malformed or explodes; the message says how."""


class NeedMoreText(Exception):
    """A macro call's arguments continue on the next line."""


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro; `params` is None for object-like ones, `body` is split into tokens."""

    name: str
    params: tuple[str, ...] | None
    body: tuple[str, ...]
    variadic: bool = False


def split_tokens(text: str) -> list[str]:
    """Preprocessing tokens of a text, white space included."""
    return _PIECE.findall(text)


def parse_definition(rest: str) -> Macro:
    """The macro of a `#define` line's text after the directive name."""
    match = _NAME.match(rest)
    if match is None:
        raise ExpansionError("macro names must be identifiers")
    name = match.group()
    if name == "defined":
        raise ExpansionError("'defined' cannot be used as a macro name")
    rest = rest[match.end() :]
    params: tuple[str, ...] | None = None
    variadic = False
    if rest.startswith("("):
        close = rest.find(")")
        if close < 0:
            raise ExpansionError("expected ')' in the macro's parameter list")
        names = [p.strip() for p in rest[1:close].split(",")]
        if names == [""]:
            names = []
        if names and names[-1].endswith("..."):
            variadic = True
            names[-1] = names[-1][:-3].strip() or "__VA_ARGS__"
        for p in names:
            if not _NAME.fullmatch(p):
                raise ExpansionError(f"'{p}' may not appear in a macro parameter list")
        if len(set(names)) != len(names):
            raise ExpansionError("duplicate macro parameter")
        params = tuple(names)
        rest = rest[close + 1 :]
    return Macro(name, params, tuple(split_tokens(rest.strip())), variadic)


class Expander:
    """Expands macros; `table` is shared with the preprocessor that fills it."""

    def __init__(self, table: dict[str, Macro]) -> None:
        self.table = table
        self.budget = 0

    def expand(self, text: str) -> str:
        """Fully expand a text; `NeedMoreText` if a call's arguments are cut off."""
        self.budget = MAX_EXPANSION
        return "".join(self._expand(split_tokens(text), frozenset(), True))

    def expand_line(self, text: str) -> tuple[str, list[Piece]]:
        """Expand a line and tell which output columns came from where."""
        self.budget = MAX_EXPANSION
        tokens = split_tokens(text)
        out: list[str] = []
        pieces: list[Piece] = [(0, 0, True)]
        width = column = at = 0
        while at < len(tokens):
            token = tokens[at]
            macro = self.table.get(token)
            got = None if macro is None else self._call(macro, tokens, at, frozenset(), True)
            if got is None:
                out.append(token)
                width += len(token)
                column += len(token)
                at += 1
                continue
            replaced, after = got
            new = "".join(replaced)
            pieces.append((width, column, False))
            column += sum(len(t) for t in tokens[at:after])
            width += len(new)
            out.append(new)
            pieces.append((width, column, True))
            at = after
        return "".join(out), pieces

    def _expand(self, tokens: list[str], hidden: frozenset[str], last: bool) -> list[str]:
        out: list[str] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            macro = self.table.get(token)
            got = None
            if macro is not None and token not in hidden:
                got = self._call(macro, tokens, at, hidden, last)
            if got is None:
                out.append(token)
                at += 1
                self.budget -= len(token)
                if self.budget < 0:
                    raise ExpansionError("a macro expands to too much text")
                continue
            out.extend(got[0])
            at = got[1]
        return out

    def _call(
        self, macro: Macro, tokens: list[str], at: int, hidden: frozenset[str], last: bool
    ) -> tuple[list[str], int] | None:
        """Tokens replacing the call at `at` and where the text goes on; None if no call."""
        if len(hidden) > _MAX_NESTING:
            raise ExpansionError(f"expansion of macro '{macro.name}' is nested too deeply")
        inner = hidden | {macro.name}
        if macro.params is None:
            body = _paste(list(macro.body))
            return self._expand(body, inner, False), at + 1
        start = at + 1
        while start < len(tokens) and tokens[start].isspace():
            start += 1
        if start == len(tokens):
            return None
        if tokens[start] != "(":
            return None
        args, after = self._arguments(macro, tokens, start, last)
        body = self._substitute(macro, args, hidden)
        return self._expand(body, inner, False), after

    def _arguments(
        self, macro: Macro, tokens: list[str], start: int, last: bool
    ) -> tuple[list[list[str]], int]:
        assert macro.params is not None
        args: list[list[str]] = [[]]
        depth = 0
        for at in range(start, len(tokens)):
            token = tokens[at]
            if token == "(":
                depth += 1
                if depth == 1:
                    continue
            elif token == ")":
                depth -= 1
                if depth == 0:
                    return _check_arity(macro, args), at + 1
            elif token == "," and depth == 1 and not self._in_rest(macro, args):
                args.append([])
                continue
            args[-1].append(token)
        if last:
            raise NeedMoreText
        raise ExpansionError(f"unterminated argument list invoking macro '{macro.name}'")

    @staticmethod
    def _in_rest(macro: Macro, args: list[list[str]]) -> bool:
        """Whether commas now belong to the `...` argument."""
        assert macro.params is not None
        return macro.variadic and len(args) == len(macro.params)

    def _substitute(self, macro: Macro, args: list[list[str]], hidden: frozenset[str]) -> list[str]:
        assert macro.params is not None
        bound = dict(zip(macro.params, args, strict=True))
        out: list[str] = []
        body = macro.body
        at = 0
        while at < len(body):
            token = body[at]
            if token == "#" and at + 1 < len(body) and body[at + 1] in bound:
                out.append(_stringize(bound[body[at + 1]]))
                at += 2
                continue
            if token not in bound:
                out.append(token)
            elif _touches_paste(body, at):
                out.extend(bound[token] or [""])
            else:
                out.extend(self._expand(bound[token], hidden, False))
            at += 1
        return _paste(out)


def _check_arity(macro: Macro, args: list[list[str]]) -> list[list[str]]:
    assert macro.params is not None
    stripped = [_strip(a) for a in args]
    if not macro.params and stripped == [[]]:
        return []
    if macro.variadic and len(stripped) == len(macro.params) - 1:
        stripped.append([])
    if len(stripped) != len(macro.params):
        raise ExpansionError(
            f"macro '{macro.name}' requires {len(macro.params)} arguments,"
            f" but {len(stripped)} given"
        )
    return stripped


def _strip(tokens: list[str]) -> list[str]:
    start, end = 0, len(tokens)
    while start < end and tokens[start].isspace():
        start += 1
    while end > start and tokens[end - 1].isspace():
        end -= 1
    return tokens[start:end]


def _stringize(tokens: list[str]) -> str:
    text = re.sub(r"\s+", " ", "".join(tokens))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _touches_paste(body: tuple[str, ...], at: int) -> bool:
    def paste(positions: range) -> bool:
        for i in positions:
            if not body[i].isspace():
                return body[i] == "##"
        return False

    return paste(range(at + 1, len(body))) or paste(range(at - 1, -1, -1))


def _paste(tokens: list[str]) -> list[str]:
    """Apply `##`: glue its neighbours."""
    if "##" not in tokens:
        return tokens
    out: list[str] = []
    at = 0
    while at < len(tokens):
        if tokens[at] != "##":
            out.append(tokens[at])
            at += 1
            continue
        while out and out[-1].isspace():
            out.pop()
        at += 1
        while at < len(tokens) and tokens[at].isspace():
            at += 1
        if at < len(tokens):
            left = out.pop() if out else ""
            out.extend(split_tokens(left + tokens[at]))
            at += 1
    return out
