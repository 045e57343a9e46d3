"""Evaluation of the integer expressions of `#if` and `#elif`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(?:(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)[uUlL]*|([A-Za-z_]\w*)"
    r"|('(?:\\.|[^'\\])')"
    r"|(<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%<>&|^~!?:(),]))"
)
_MAX_DEPTH = 100
_MASK = (1 << 64) - 1

_LEVELS: tuple[dict[str, Callable[[int, int], int]], ...] = (
    {"|": operator.or_},
    {"^": operator.xor},
    {"&": operator.and_},
    {"==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b)},
    {
        "<": lambda a, b: int(a < b),
        ">": lambda a, b: int(a > b),
        "<=": lambda a, b: int(a <= b),
        ">=": lambda a, b: int(a >= b),
    },
    {"<<": lambda a, b: a << (b & 63), ">>": lambda a, b: a >> (b & 63)},
    {"+": operator.add, "-": operator.sub},
)


class ConditionError(Exception):
    """The condition is malformed; the message says how."""


def evaluate(text: str) -> int:
    """The value of a condition whose macros are expanded already; unknown names are 0."""
    return _Evaluator(text).result()


class _Evaluator:
    def __init__(self, text: str) -> None:
        self.tokens = _tokenize(text)
        self.at = 0
        self.depth = 0

    def result(self) -> int:
        if not self.tokens:
            raise ConditionError("#if with no expression")
        value = self.ternary()
        if self.at < len(self.tokens):
            raise ConditionError(f"unexpected '{self.tokens[self.at]}' in the condition")
        return value

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise ConditionError(f"expected '{token}' in the condition")

    def ternary(self) -> int:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ConditionError("the condition is nested too deeply")
        cond = self.logical_or()
        if self.peek() == "?":
            self.take()
            then = self.ternary()
            self.expect(":")
            other = self.ternary()
            cond = then if cond else other
        self.depth -= 1
        return cond

    def logical_or(self) -> int:
        value = self.logical_and()
        while self.peek() == "||":
            self.take()
            right = self.logical_and()
            value = int(bool(value) or bool(right))
        return value

    def logical_and(self) -> int:
        value = self.level(0)
        while self.peek() == "&&":
            self.take()
            right = self.level(0)
            value = int(bool(value) and bool(right))
        return value

    def level(self, number: int) -> int:
        if number == len(_LEVELS):
            return self.product()
        table = _LEVELS[number]
        value = self.level(number + 1)
        while self.peek() in table:
            op = table[self.take()]
            value = _wrap(op(value, self.level(number + 1)))
        return value

    def product(self) -> int:
        value = self.unary()
        while self.peek() in ("*", "/", "%"):
            op = self.take()
            right = self.unary()
            if op == "*":
                value = _wrap(value * right)
            elif right == 0:
                raise ConditionError("division by zero in #if")
            else:
                quotient = abs(value) // abs(right)
                if (value < 0) != (right < 0):
                    quotient = -quotient
                value = quotient if op == "/" else value - quotient * right
        return value

    def unary(self) -> int:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ConditionError("the condition is nested too deeply")
        token = self.take()
        if token == "!":
            value = int(not self.unary())
        elif token == "~":
            value = ~self.unary()
        elif token == "-":
            value = -self.unary()
        elif token == "+":
            value = self.unary()
        else:
            value = self.primary(token)
        self.depth -= 1
        return value

    def primary(self, token: str) -> int:
        if token == "(":
            value = self.ternary()
            self.expect(")")
            return value
        if token[:1].isdigit():
            return _wrap(_number(token))
        if token[:1] == "'":
            return ord(token[-2])
        if token[:1].isalpha() or token[:1] == "_":
            if self.peek() == "(":
                raise ConditionError(f"missing binary operator after '{token}'")
            return int(token == "true")
        raise ConditionError(f"unexpected '{token or 'end of line'}' in the condition")


def _wrap(value: int) -> int:
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def _number(token: str) -> int:
    if len(token) > 80:
        raise ConditionError("integer constant is too large")
    if token[:2] in ("0x", "0X", "0b", "0B"):
        return int(token, 0)
    if token[0] == "0" and len(token) > 1:
        try:
            return int(token, 8)
        except ValueError:
            raise ConditionError(f"invalid octal constant '{token}'") from None
    return int(token)


def _tokenize(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConditionError(f"unexpected character '{text[at]}' in the condition")
        tokens.append(match.group(match.lastindex or 0))
        at = match.end()
    return tokens
