"""The token cursor, syntax errors, and the scopes that tell type names from other names.

P4's grammar is ambiguous without knowing which names are types; the parser therefore keeps a
stack of scopes with the kind of every declared name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from p4native.frontend.diagnostics import Loc, Reporter
from p4native.frontend.lexer import NAME_KEYWORDS, Tokens

MAX_NESTING = 200

TYPE_KEYWORDS = frozenset(
    ["bit", "bool", "error", "int", "match_kind", "string", "varbit", "tuple", "list"]
)


class SyntaxFailure(Exception):
    """A construct could not be parsed (reported already, unless while speculating)."""


class Cursor:
    """Position in the token stream with the helpers every part of the parser needs."""

    def __init__(self, tokens: Tokens, reporter: Reporter) -> None:
        self.tokens = tokens
        self.kinds = tokens.kinds
        self.texts = tokens.texts
        self.reporter = reporter
        self.at = 0
        self.scopes: list[dict[str, bool]] = [{}]
        self.speculating = 0
        self.nesting = 0

    def loc(self) -> Loc:
        """The location of the current token; at the end of the file, of the last one."""
        if self.kinds[self.at] == "EOF" and self.at:
            return self.tokens.loc(self.at - 1)
        return self.tokens.loc(self.at)

    def fail(self, expected: str) -> SyntaxFailure:
        """Report a syntax error at the current token; raise the result."""
        if not self.speculating:
            kind = self.kinds[self.at]
            found = "end of file" if kind == "EOF" else f"'{self.texts[self.at]}'"
            if kind == "END_PRAGMA":
                found = "end of line"
            if kind == "BAD":
                text = self.texts[self.at]
                found = "start of a string" if text == '"' else f"character {text!a}"
            if kind == "ID" and "type" in expected:
                found += " (not a declared type)"
            self.reporter.error("syntax", f"unexpected {found}, expected {expected}", self.loc())
        return SyntaxFailure()

    def accept(self, kind: str) -> bool:
        """Consume the token if it is of this kind."""
        if self.kinds[self.at] == kind:
            self.at += 1
            return True
        return False

    def expect(self, kind: str) -> None:
        """Consume a token of this kind or fail."""
        if self.kinds[self.at] != kind:
            raise self.fail(f"'{kind}'")
        self.at += 1

    def is_name(self, kind: str) -> bool:
        """Whether a token kind can be a declared name."""
        return kind == "ID" or kind in NAME_KEYWORDS or kind == "list"

    def name(self) -> str:
        """Consume a name (`name` in the grammar, type names included)."""
        kind = self.kinds[self.at]
        if kind != "ID" and kind not in NAME_KEYWORDS and kind != "list":
            raise self.fail("a name")
        self.at += 1
        return self.texts[self.at - 1]

    def unique(self, seen: dict[str, Loc], name: str, loc: Loc) -> None:
        """Report `name` if it is in `seen` already, else add it."""
        earlier = seen.setdefault(name, loc)
        if earlier is not loc and not self.speculating:
            self.reporter.error(
                "duplicate", f"'{name}' is given twice", loc, (earlier, "first given here")
            )

    # ------------------------------------------------------------ scopes

    @contextmanager
    def scope(self) -> Iterator[None]:
        """A nested name scope."""
        depth = len(self.scopes)
        self.scopes.append({})
        try:
            yield
        finally:
            del self.scopes[depth:]

    def declare_type(self, name: str) -> None:
        """Note that a name is a type from here on."""
        self.scopes[-1][name] = True

    def declare_object(self, name: str) -> None:
        """Note that a name is not a type (it may hide one)."""
        self.scopes[-1][name] = False

    def is_type_name(self, name: str) -> bool:
        """Whether a name currently means a type."""
        for scope in reversed(self.scopes):
            found = scope.get(name)
            if found is not None:
                return found
        return False

    def at_type(self) -> bool:
        """Whether the current token starts a type reference."""
        kind = self.kinds[self.at]
        if kind == "ID":
            return self.is_type_name(self.texts[self.at])
        if kind in TYPE_KEYWORDS:
            return kind != "list" or self.kinds[self.at + 1] == "<"
        if kind == ".":
            return self.kinds[self.at + 1] == "ID" and bool(
                self.scopes[0].get(self.texts[self.at + 1])
            )
        return kind in NAME_KEYWORDS and self.is_type_name(self.texts[self.at])

    # ------------------------------------------------------------ nesting and recovery

    @contextmanager
    def nested(self) -> Iterator[None]:
        """Guard against programs nested so deeply that processing them would overflow."""
        self.nesting += 1
        try:
            self.check_nesting()
            yield
        finally:
            self.nesting -= 1

    def check_nesting(self) -> None:
        """Fail if `nesting` is beyond the limit."""
        if self.nesting > MAX_NESTING:
            self.reporter.error("overlimit", f"nested more than {MAX_NESTING} deep", self.loc())
            raise NestingFailure

    def members(self, one: Callable[[], object]) -> None:
        """Parse one after another up to `}` and past it; a mistake in one does not end the rest."""
        while self.kinds[self.at] not in ("}", "EOF"):
            start = self.at
            try:
                one()
            except NestingFailure:
                raise
            except SyntaxFailure:
                self.skip_statement()
                if self.at == start:
                    self.at += 1
        self.expect("}")

    def skip_statement(self) -> None:
        """After an error: go past the next `;` or balanced `{...}`, or stop before a `}`."""
        depth = 0
        while True:
            kind = self.kinds[self.at]
            if kind == "EOF":
                return
            if kind == "{":
                depth += 1
            elif kind == "}":
                if depth == 0:
                    return
                depth -= 1
                if depth == 0:
                    self.at += 1
                    return
            elif kind == ";" and depth == 0:
                self.at += 1
                return
            self.at += 1


class NestingFailure(SyntaxFailure):
    """Nesting limit exceeded: abandon the whole top-level declaration."""
