"""Building expressions: constants are folded and identities simplified on the way.

Arithmetic is modulo 2^width (two's complement for `int<W>`), shifts by the width or more give 0
(or the sign), as P4_16 section 8 says.
"""

from __future__ import annotations

from p4native.frontend.types import BOOL, BitsType, BoolType, IntType, bits
from p4native.midend.core import (
    Binary,
    Cast,
    Const,
    Expr,
    Mux,
    Scalar,
    Slice,
    Unary,
    scalar_width,
)

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_SHIFT_LIMIT = 1 << 16


def true() -> Const:
    """The constant true."""
    return Const(1, BOOL)


def false() -> Const:
    """The constant false."""
    return Const(0, BOOL)


def wrap(value: int, type: Scalar | IntType) -> int:
    """`value` reduced to the range of `type`."""
    if not isinstance(type, BitsType):
        return value
    value &= (1 << type.width) - 1
    if type.signed and value >> (type.width - 1):
        value -= 1 << type.width
    return value


def const(value: int, type: Scalar) -> Const:
    """A constant of `type`, wrapped into its range."""
    return Const(wrap(value, type), type)


def unary(op: str, arg: Expr, type: Scalar) -> Expr:
    """`op arg`."""
    if op == "+":
        return arg
    if isinstance(arg, Const):
        if op == "!":
            return Const(1 - arg.value, BOOL)
        return const(-arg.value if op == "-" else ~arg.value, type)
    if op == "!" and isinstance(arg, Unary) and arg.op == "!":
        return arg.arg
    if op == "!" and isinstance(arg, Binary) and arg.op in ("==", "!="):
        return Binary("!=" if arg.op == "==" else "==", arg.left, arg.right, BOOL)
    return Unary(op, arg, type)


def _divide(op: str, a: int, b: int) -> int | None:
    if b == 0:
        return None
    quotient = abs(a) // abs(b)
    if (a < 0) != (b < 0):
        quotient = -quotient
    return quotient if op == "/" else a - b * quotient


def _saturate(value: int, type: BitsType) -> int:
    low = -(1 << (type.width - 1)) if type.signed else 0
    high = (1 << (type.width - int(type.signed))) - 1
    return max(low, min(high, value))


def _shift(op: str, a: int, b: int, type: Scalar) -> int | None:
    if b < 0 or (not isinstance(type, BitsType) and b > _SHIFT_LIMIT):
        return None
    if op == ">>":
        return a >> b
    return 0 if isinstance(type, BitsType) and b >= type.width else a << b


def compute(op: str, a: int, b: int, type: Scalar) -> int | None:
    """`a op b` for an operation with a number as result, None if undefined."""
    if op in ("<<", ">>"):
        return _shift(op, a, b, type)
    if op in ("/", "%"):
        return _divide(op, a, b)
    if op in ("|+|", "|-|"):
        if not isinstance(type, BitsType):
            return None
        return _saturate(a + b if op == "|+|" else a - b, type)
    table = {"+": a + b, "-": a - b, "*": a * b, "&": a & b, "|": a | b, "^": a ^ b}
    return table.get(op)


def compare(op: str, a: int, b: int) -> bool:
    """`a op b` for a comparison."""
    return {
        "==": a == b,
        "!=": a != b,
        "<": a < b,
        "<=": a <= b,
        ">": a > b,
        ">=": a >= b,
    }[op]


def _logical(op: str, left: Expr, right: Expr) -> Expr:
    if isinstance(left, Const):
        decided = left.value == (0 if op == "&&" else 1)
        return left if decided else right
    if isinstance(right, Const):
        neutral = right.value == (1 if op == "&&" else 0)
        if neutral:
            return left
        return right  # operands are pure, so the left need not run
    return Binary(op, left, right, BOOL)


def _identity(op: str, left: Expr, right: Expr, type: Scalar) -> Expr | None:
    """`x + 0`, `x & 0`, `x << 0` and the like."""
    if isinstance(right, Const) and right.value == 0:
        if op in ("+", "-", "|", "^", "<<", ">>", "|+|", "|-|"):
            return left
        if op in ("&", "*"):
            return Const(0, type)
    if isinstance(left, Const) and left.value == 0:
        if op in ("+", "|", "^", "|+|"):
            return right
        if op in ("&", "*", "<<", ">>"):
            return Const(0, type)
    if op == "*":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Const) and one.value == 1:
                return other
    if op == "&" and isinstance(type, BitsType) and not type.signed:
        ones = (1 << type.width) - 1
        for mask, other in ((left, right), (right, left)):
            if isinstance(mask, Const) and mask.value == ones:
                return other
    return None


def _power_of_two(op: str, left: Expr, right: Expr, type: Scalar) -> Expr | None:
    """`x / 8` is `x >> 3`, `x % 8` is `x & 7`."""
    if not isinstance(right, Const) or right.value.bit_count() != 1 or right.value < 0:
        return None
    if op == "%":
        return binary("&", left, Const(right.value - 1, type), type)
    return binary(">>", left, Const(right.value.bit_length() - 1, type), type)


def binary(op: str, left: Expr, right: Expr, type: Scalar) -> Expr:
    """`left op right`."""
    if op in ("&&", "||"):
        return _logical(op, left, right)
    if op == "++":
        return concat(left, right)
    if isinstance(left, Const) and isinstance(right, Const):
        if op in COMPARISONS:
            return Const(int(compare(op, left.value, right.value)), BOOL)
        number = compute(op, left.value, right.value, type)
        if number is not None:
            return const(number, type)
    if op in COMPARISONS:
        return _comparison(op, left, right)
    simpler = _power_of_two if op in ("/", "%") else _identity
    return simpler(op, left, right, type) or Binary(op, left, right, type)


def _comparison(op: str, left: Expr, right: Expr) -> Expr:
    if isinstance(left.type, BoolType) and op in ("==", "!="):
        for known, other in ((left, right), (right, left)):
            if isinstance(known, Const):
                same = known.value == (1 if op == "==" else 0)
                return other if same else unary("!", other, BOOL)
    return Binary(op, left, right, BOOL)


def concat(left: Expr, right: Expr) -> Expr:
    """`left ++ right`: `left` in the high bits, signed as `left` is."""
    low = scalar_width(right.type)
    signed = isinstance(left.type, BitsType) and left.type.signed
    type = bits(scalar_width(left.type) + low, signed)
    if isinstance(left, Const) and isinstance(right, Const):
        return const((left.value << low) | (right.value & ((1 << low) - 1)), type)
    return Binary("++", left, right, type)


def mux(cond: Expr, then: Expr, other: Expr) -> Expr:
    """`cond ? then : other`."""
    if isinstance(cond, Const):
        return then if cond.value else other
    if isinstance(then, Const) and isinstance(other, Const) and then.type == BOOL:
        if then.value == other.value:
            return then
        return cond if then.value else unary("!", cond, BOOL)
    return Mux(cond, then, other)


def cast(arg: Expr, type: Scalar) -> Expr:
    """`(type) arg`."""
    if arg.type == type:
        return arg
    if isinstance(arg, Const):
        if isinstance(type, BoolType):
            return Const(int(arg.value != 0), BOOL)
        return const(arg.value, type)
    return Cast(arg, type)


def slice_of(arg: Expr, hi: int, lo: int) -> Expr:
    """`arg[hi:lo]`."""
    if isinstance(arg, Const):
        return Const((arg.value >> lo) & ((1 << (hi - lo + 1)) - 1), bits(hi - lo + 1))
    if isinstance(arg, Slice):
        return slice_of(arg.arg, arg.lo + hi, arg.lo + lo)
    if lo == 0 and arg.type == bits(hi + 1):
        return arg
    return Slice(arg, hi, lo)
