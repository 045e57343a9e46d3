"""The value of a C expression: which machine type holds it and what is known of its range.

BMv2 computes with unbounded integers. Interval arithmetic finds, for each expression, a type that
holds every value exactly; where only the low bits of a result matter (it is masked, or stored into
a field), ring operations are done modulo 2^64 or 2^128 instead.
"""

from __future__ import annotations

from dataclasses import dataclass

# Results are never kept longer than this (a dynamic shift could ask for billions of bits).
MAX_BITS = 4096

CTYPES = {"u64": "uint64_t", "i64": "int64_t", "u128": "p4n_u128", "i128": "p4n_i128"}
_BITS = {"u64": 64, "i64": 64, "u128": 128, "i128": 128}


@dataclass(frozen=True, slots=True)
class Val:
    """A C expression `code` of class `cls` whose value lies in [lo, hi].

    `cls` is one of u64, i64, u128, i128 or wide (then `code` names an array of `limbs` 64-bit
    limbs). With `low` set, only that many low bits of the code mean something.
    """

    code: str
    cls: str
    lo: int
    hi: int
    low: int | None = None
    limbs: int = 0

    @property
    def bits(self) -> int:
        """Bits that the class holds."""
        return self.limbs * 64 if self.cls == "wide" else _BITS[self.cls]


def class_of(lo: int, hi: int) -> str:
    """The cheapest class that holds [lo, hi] exactly."""
    if lo >= 0:
        if hi < 1 << 64:
            return "u64"
        return "u128" if hi < 1 << 128 else "wide"
    if lo >= -(1 << 63) and hi < 1 << 63:
        return "i64"
    return "i128" if lo >= -(1 << 127) and hi < 1 << 127 else "wide"


def limbs_for(lo: int, hi: int) -> int:
    """64-bit limbs that hold [lo, hi] in two's complement."""
    bits = max(hi.bit_length(), (-lo - 1).bit_length() if lo < 0 else 0) + 1
    return (bits + 63) // 64


def clip(lo: int, hi: int) -> tuple[int, int]:
    """The interval, no larger than MAX_BITS allows."""
    limit = 1 << MAX_BITS
    return max(lo, -limit), min(hi, limit - 1)


def unsigned(width: int) -> tuple[int, int]:
    """The range of bit<width>."""
    return 0, (1 << width) - 1


def signed(width: int) -> tuple[int, int]:
    """The range of int<width>."""
    return -(1 << (width - 1)), (1 << (width - 1)) - 1


def arith_range(op: str, a: Val, b: Val) -> tuple[int, int]:
    """Range of a + b, a - b or a * b."""
    if op == "+":
        return clip(a.lo + b.lo, a.hi + b.hi)
    if op == "-":
        return clip(a.lo - b.hi, a.hi - b.lo)
    corners = [x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    return clip(min(corners), max(corners))


def bitwise_range(op: str, a: Val, b: Val) -> tuple[int, int]:
    """Range of a & b, a | b or a ^ b."""
    bits = max(v.bit_length() for v in (a.lo, a.hi, b.lo, b.hi))
    if op == "&":
        if a.lo >= 0 and b.lo >= 0:
            return 0, min(a.hi, b.hi)
        if a.lo >= 0 or b.lo >= 0:
            return 0, a.hi if a.lo >= 0 else b.hi
    elif a.lo >= 0 and b.lo >= 0:
        return 0, (1 << bits) - 1
    return -(1 << bits), (1 << bits) - 1


def decide(op: str, a: Val, b: Val) -> bool | None:
    """The comparison's result when the ranges settle it."""
    if op in ("==", "!="):
        if a.hi < b.lo or b.hi < a.lo:
            return op == "!="
        return (op == "==") if a.lo == a.hi == b.lo == b.hi else None
    if op in (">", ">="):
        a, b, op = b, a, "<" if op == ">" else "<="
    if op == "<":
        return True if a.hi < b.lo else False if a.lo >= b.hi else None
    return True if a.hi <= b.lo else False if a.lo > b.hi else None
