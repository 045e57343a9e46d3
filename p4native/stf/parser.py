"""Parses STF scripts; every faulty line is reported, not only the first."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from p4native.stf import script as ast
from p4native.stf.errors import StfError, StfSyntaxError
from p4native.stf.lexer import LexError, Token, strip_comment, tokenize

_HEX = re.compile(r"[0-9a-fA-F]*")
_PATTERN = re.compile(r"[0-9a-fA-F*]*\$?")


class _ParseError(Exception):
    """A line that is no statement, at a column."""

    def __init__(self, column: int, message: str) -> None:
        super().__init__(message)
        self.column = column


class _Line:
    """A cursor over the tokens of one line."""

    def __init__(self, number: int, tokens: list[Token]) -> None:
        self.number = number
        self._tokens = tokens
        self._next = 0

    @property
    def head(self) -> Token:
        """The token not yet taken."""
        return self._tokens[self._next]

    def peek(self, offset: int) -> Token:
        """A token further on; the ``end`` token beyond the last."""
        return self._tokens[min(self._next + offset, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Consumes the head."""
        token = self.head
        if token.kind != "end":
            self._next += 1
        return token

    def accept(self, symbol: str) -> bool:
        """Consumes ``symbol`` if it is next."""
        if self.head.kind == "symbol" and self.head.text == symbol:
            self.take()
            return True
        return False

    def expect(self, symbol: str) -> None:
        """Consumes ``symbol`` or faults."""
        if not self.accept(symbol):
            raise self.fault(f"'{symbol}'")

    def fault(self, wanted: str) -> _ParseError:
        """The error for a head that is not what was wanted."""
        return _ParseError(self.head.column, f"expected {wanted}, found '{self.head.text}'")

    def name(self, wanted: str) -> str:
        """A qualified name: ``a.b[2].$valid$``; quoted parts may hold anything."""
        if self.head.kind != "name":
            raise self.fault(wanted)
        text = self.take().text
        while True:
            if self.accept("["):
                text += f"[{self.integer('stack index')}]"
                self.expect("]")
            elif self.accept("."):
                if self.head.kind not in ("name", "number"):
                    raise self.fault("a name after '.'")
                text += "." + self.take().text
            else:
                return text

    def integer(self, wanted: str) -> int:
        """A number without wildcards."""
        token = self.head
        if token.kind == "number" and "*" not in token.text and "." not in token.text:
            self.take()
            return parse_int(token.text)
        raise self.fault(wanted)

    def integers(self, wanted: str) -> tuple[int, ...]:
        """One or more numbers up to the end of the line."""
        numbers = [self.integer(wanted)]
        while self.head.kind == "number":
            numbers.append(self.integer(wanted))
        return tuple(numbers)

    def number_text(self, wanted: str) -> str:
        """A number or ``true``/``false``, as written."""
        if self.head.kind == "number" or self.head.text in ("true", "false"):
            return self.take().text
        raise self.fault(wanted)


def parse_int(text: str) -> int:
    """The value of ``0x…``, ``0b…``, ``0o…`` or decimal text (leading zeros allowed)."""
    body = text.lower()
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8)):
        if body.startswith(prefix):
            return int(body[2:], base)
    return int(body, 10)


def _value(line: _Line) -> str:
    """A match value: ``v``, ``v/len``, ``v&&&mask``, ``lo..hi`` or ``lo->hi``."""
    text = line.number_text("a value")
    for symbol in ("/", "&&&", "..", "->"):
        if line.accept(symbol):
            joiner = ".." if symbol == "->" else symbol
            return text + joiner + line.number_text("a number")
    return text


def _action(line: _Line) -> ast.ActionCall:
    name = line.name("an action")
    line.expect("(")
    args: list[tuple[str, str]] = []
    while not line.accept(")"):
        if args:
            line.expect(",")
        arg = line.name("an argument name")
        line.expect(":")
        args.append((arg, line.number_text("an argument value")))
    return ast.ActionCall(name, tuple(args))


def _at_match(line: _Line) -> bool:
    """Whether a ``key:`` comes before any ``(``: the action is the part with parentheses."""
    offset = 0
    while (token := line.peek(offset)).kind != "end":
        if token.text == ":":
            return True
        if token.text == "(":
            return False
        offset += 1
    return False


def _add(line: _Line) -> ast.Statement:
    table = line.name("a table")
    priority = line.integer("a priority") if line.head.kind == "number" else None
    matches: list[tuple[str, str]] = []
    while _at_match(line):
        key = line.name("a match key")
        line.expect(":")
        matches.append((key, _value(line)))
    action = _action(line)
    label = line.name("a label") if line.accept("=") else None
    return ast.Add(line.number, table, priority, tuple(matches), action, label)


def _remove(line: _Line) -> ast.Statement:
    label = line.name("'all' or an entry's label")
    return ast.Remove(line.number, None if label.lower() == "all" else label.lstrip("$"))


def _check_counter(line: _Line) -> ast.Statement:
    name = line.name("a counter")
    line.expect("(")
    index: int | str
    if line.head.kind == "name":
        index = line.take().text.lstrip("$")
    else:
        index = line.integer("an index or a label")
    line.expect(")")
    if line.head.kind == "end":
        return ast.CheckCounter(line.number, name, index, "packets", "==", 0)
    unit = line.take().text.lower()
    if unit not in ("packets", "bytes"):
        raise _ParseError(line.head.column, f"expected 'packets' or 'bytes', found '{unit}'")
    if line.head.text not in ("==", "!=", "<", "<=", ">", ">="):
        raise line.fault("a comparison")
    operator = line.take().text
    return ast.CheckCounter(line.number, name, index, unit, operator, line.integer("a number"))


def _rate(line: _Line) -> ast.Rate:
    text = line.number_text("a rate")
    line.expect(":")
    rate = float(text) if "." in text else float(parse_int(text))
    return ast.Rate(rate, line.integer("a burst size"))


def _register_read(line: _Line) -> ast.Statement:
    name, index = line.name("a register"), line.integer("an index")
    expected = line.integer("a value") if line.accept("==") else None
    return ast.RegisterRead(line.number, name, index, expected)


def _meter_set(line: _Line) -> ast.Statement:
    name, index = line.name("a meter"), line.integer("an index")
    return ast.MeterSet(line.number, name, index, _rate(line), _rate(line))


_Rule = Callable[[_Line], ast.Statement]

_COMMANDS: dict[str, _Rule] = {
    "add": _add,
    "setdefault": lambda s: ast.SetDefault(s.number, s.name("a table"), _action(s)),
    "remove": _remove,
    "wait": lambda s: ast.Wait(s.number),
    "no_packet": lambda s: ast.NoPacket(
        s.number, s.integer("a port") if s.head.kind == "number" else None
    ),
    "check_counter": _check_counter,
    "mirroring_add": lambda s: ast.MirroringAdd(
        s.number, s.integer("a session"), s.integer("a port")
    ),
    "mirroring_add_mc": lambda s: ast.MirroringAddMc(
        s.number, s.integer("a session"), s.integer("a group")
    ),
    "mirroring_delete": lambda s: ast.MirroringDelete(s.number, s.integer("a session")),
    "mirroring_get": lambda s: ast.MirroringGet(s.number, s.integer("a session")),
    "mc_mgrp_create": lambda s: ast.GroupCreate(s.number, s.integer("a group")),
    "mc_node_create": lambda s: ast.NodeCreate(
        s.number, s.integer("a replication id"), s.integers("a port")
    ),
    "mc_node_update": lambda s: ast.NodeUpdate(s.number, s.integer("a node"), s.integers("a port")),
    "mc_node_associate": lambda s: ast.NodeAssociate(
        s.number, s.integer("a group"), s.integer("a node")
    ),
    "counter_read": lambda s: ast.CounterRead(s.number, s.name("a counter"), s.integer("an index")),
    "counter_write": lambda s: ast.CounterWrite(
        s.number,
        s.name("a counter"),
        s.integer("an index"),
        s.integer("a packet count"),
        s.integer("a byte count"),
    ),
    "register_read": _register_read,
    "register_write": lambda s: ast.RegisterWrite(
        s.number, s.name("a register"), s.integer("an index"), s.integer("a value")
    ),
    "register_reset": lambda s: ast.RegisterReset(s.number, s.name("a register")),
    "meter_get_rates": lambda s: ast.MeterGet(s.number, s.name("a meter"), s.integer("an index")),
    "meter_set_rates": _meter_set,
    "meter_array_set_rates": lambda s: ast.MeterSet(
        s.number, s.name("a meter"), None, _rate(s), _rate(s)
    ),
}


def _packet_words(text: str, start: int) -> tuple[int, str, int]:
    """Port, joined data and the data's column of a ``packet`` or ``expect`` line."""
    words = text[start:].split()
    if not words or not words[0].isdigit():
        raise _ParseError(start + 1, f"expected a port number, found '{' '.join(words[:1])}'")
    after_port = text.index(words[0], start) + len(words[0])
    column = text.index(words[1], after_port) + 1 if len(words) > 1 else len(text)
    return int(words[0]), "".join(words[1:]), column


def _packet(number: int, text: str, start: int) -> ast.Statement:
    port, data, column = _packet_words(text, start)
    if not _HEX.fullmatch(data):
        raise _ParseError(column, f"packet data must be hex digits, found '{data}'")
    if len(data) % 2:
        raise _ParseError(column, f"packet data has {len(data)} hex digits; whole bytes needed")
    return ast.Packet(number, port, bytes.fromhex(data))


def _expect(number: int, text: str, start: int) -> ast.Statement:
    port, data, column = _packet_words(text, start)
    if not _PATTERN.fullmatch(data):
        raise _ParseError(column, f"expected hex digits, '*' and a final '$', found '{data}'")
    return ast.Expect(number, port, data.upper() or None)


def _statement(number: int, text: str) -> ast.Statement:
    word = text.split(None, 1)[0]
    start = text.index(word) + len(word)
    command = word.lower()
    if command == "packet":
        return _packet(number, text, start)
    if command == "expect":
        return _expect(number, text, start)
    rule = _COMMANDS.get(command)
    if rule is None:
        raise _ParseError(start - len(word) + 1, f"unknown command '{word}'")
    line = _Line(number, tokenize(text, start))
    statement = rule(line)
    if line.head.kind != "end":
        raise line.fault("end of line")
    return statement


def parse_script(text: str, file: str = "<script>") -> list[ast.Statement]:
    """Statements of a script; raises StfSyntaxError with every ``file:line:col`` fault."""
    statements: list[ast.Statement] = []
    faults: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = strip_comment(raw)
        if not line.strip():
            continue
        try:
            statements.append(_statement(number, line))
        except (_ParseError, LexError) as fault:
            faults.append(f"{file}:{number}:{fault.column}: error[stf]: {fault}")
    if faults:
        raise StfSyntaxError(faults)
    return statements


def read_script(path: Path) -> list[ast.Statement]:
    """Statements of the script at ``path``; raises StfError when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise StfError(f"cannot read the script {path}: {fault}") from fault
    return parse_script(text, str(path))
