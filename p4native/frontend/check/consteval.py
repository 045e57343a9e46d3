"""Compile-time evaluation of operators on known values (language specification 8)."""

from __future__ import annotations

from p4native.frontend.diagnostics import MAX_INT_BITS
from p4native.frontend.types import BitsType, Type


class EvalError(Exception):
    """The operation is not defined on these values; the message says why."""


def wrap(number: int, t: Type) -> int:
    """`number` reduced to the values of a sized type (two's complement)."""
    if not isinstance(t, BitsType):
        return number
    number &= (1 << t.width) - 1
    if t.signed and t.width and number >> (t.width - 1):
        number -= 1 << t.width
    return number


def fits(number: int, t: BitsType) -> bool:
    """Whether `number` is a value of the type."""
    return wrap(number, t) == number


def arithmetic(op: str, a: int, b: int, t: Type) -> int:
    """`+ - * / % |+| |-| & | ^` on two values of type `t` (sized or `int`)."""
    if op in ("/", "%"):
        if b == 0:
            raise EvalError("division by zero" if op == "/" else "modulo by zero")
        if a < 0 or b < 0:
            raise EvalError("division is not defined on negative numbers")
        return a // b if op == "/" else a % b
    result = _RAW[op](a, b)
    if op in ("|+|", "|-|"):
        return _saturate(result, t)
    if not isinstance(t, BitsType) and result.bit_length() > MAX_INT_BITS:
        raise EvalError("the result is too large")
    return wrap(result, t)


_RAW = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "|+|": lambda a, b: a + b,
    "|-|": lambda a, b: a - b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}


def _saturate(number: int, t: Type) -> int:
    if not isinstance(t, BitsType):
        raise EvalError("saturating arithmetic needs sized operands")
    low = -(1 << (t.width - 1)) if t.signed else 0
    high = (1 << (t.width - 1)) - 1 if t.signed else (1 << t.width) - 1
    return max(low, min(high, number))


def shift(op: str, a: int, amount: int, t: Type) -> int:
    """`a << amount` or `a >> amount` (arithmetic on signed and `int` values)."""
    if amount < 0:
        raise EvalError(f"negative shift amount {amount}")
    if op == ">>":
        return a >> min(amount, a.bit_length() + 1)
    if not isinstance(t, BitsType) and a.bit_length() + amount > MAX_INT_BITS:
        raise EvalError(f"shift amount {amount} is too large")
    if isinstance(t, BitsType) and amount >= t.width:
        return 0
    return wrap(a << amount, t)


def concat(a: int, left: BitsType, b: int, right: BitsType) -> int:
    """`a ++ b`; the result has the left operand's signedness."""
    raw = ((a & ((1 << left.width) - 1)) << right.width) | (b & ((1 << right.width) - 1))
    return wrap(raw, BitsType(left.width + right.width, left.signed))


def bit_slice(a: int, hi: int, lo: int) -> int:
    """`a[hi:lo]`."""
    return (a >> lo) & ((1 << (hi - lo + 1)) - 1)


COMPARE = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
