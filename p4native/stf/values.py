"""Match values and action arguments of a script, from text to numbers.

The notations follow what P4 packet tests use: ``0x``, ``0b``, ``0o`` and decimal
numbers, ``*`` for a don't-care digit, ``v/len`` prefixes, ``v&&&mask`` and ``lo..hi``.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4native.stf.errors import StfError
from p4native.stf.parser import parse_int

_DIGIT_BITS = {"0x": 4, "0b": 1, "0o": 3}


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """One match field of an entry; numbers are unsigned and fit ``width`` bits.

    ``mask`` is the ternary mask or the high end of a range, ``prefix_len`` counts bits.
    ``wildcard`` says that the field matches anything (to be omitted in P4Runtime).
    """

    name: str
    kind: str
    width: int
    value: int
    mask: int = 0
    prefix_len: int = 0

    @property
    def wildcard(self) -> bool:
        """Whether the field constrains nothing."""
        if self.kind == "lpm":
            return self.prefix_len == 0
        if self.kind == "range":
            return self.value == 0 and self.mask == (1 << self.width) - 1
        return self.kind == "ternary" and self.mask == 0


def wildcard_match(name: str, kind: str, width: int) -> KeyMatch:
    """The match for a key that the script leaves out: anything, or 0 for exact keys."""
    full = (1 << width) - 1
    return KeyMatch(name, kind, width, 0, full if kind in ("range", "exact") else 0)


def parse_match(name: str, kind: str, width: int, text: str) -> KeyMatch:
    """The match that ``text`` means for a key of a match kind and width (bits)."""
    if kind == "ternary":
        value, mask = _ternary(name, width, text)
        return KeyMatch(name, kind, width, value & mask, mask)
    if kind == "lpm":
        value, prefix_len = _lpm(name, width, text)
        mask = ((1 << prefix_len) - 1) << (width - prefix_len)
        return KeyMatch(name, kind, width, value & mask, mask, prefix_len)
    if kind == "range":
        low, high = _range(name, width, text)
        return KeyMatch(name, kind, width, low, high)
    return KeyMatch(name, kind, width, parse_number(name, width, text), (1 << width) - 1)


def parse_number(name: str, width: int, text: str) -> int:
    """An unsigned number of ``width`` bits; negative text is two's complement."""
    if text in ("true", "false"):
        return int(text == "true")
    if "*" in text or "." in text:
        raise StfError(f"{name}: {text} is no plain number; write every digit of it")
    value = parse_int(text)
    if value < 0 and -value <= 1 << (width - 1):
        value += 1 << width
    if not 0 <= value < 1 << width:
        raise StfError(f"{name}: {text} does not fit its {width} bits")
    return value


def _wildcard_digits(text: str) -> tuple[int, int, int]:
    """Value, mask over the digits written, and how many bits those digits are."""
    bits = _DIGIT_BITS.get(text[:2].lower(), 0)
    digits = text[2:]
    value = mask = 0
    for digit in digits:
        value <<= bits
        mask <<= bits
        if digit != "*":
            value |= int(digit, 1 << bits)
            mask |= (1 << bits) - 1
    return value, mask, bits * len(digits)


def _fit(name: str, width: int, text: str, value: int) -> int:
    if value >> width:
        raise StfError(f"{name}: {text} does not fit its {width} bits")
    return value


def _ternary(name: str, width: int, text: str) -> tuple[int, int]:
    """Only the digits written take part in the match, as other STF runners have it."""
    if "&&&" in text:
        parts = text.split("&&&")
        return parse_number(name, width, parts[0]), parse_number(name, width, parts[1])
    if "/" in text:
        value, prefix_len = _lpm(name, width, text)
        return value, ((1 << prefix_len) - 1) << (width - prefix_len)
    if text[:2].lower() not in _DIGIT_BITS:
        return parse_number(name, width, text), (1 << width) - 1
    value, mask, _ = _wildcard_digits(text)
    return _fit(name, width, text, value), mask & ((1 << width) - 1)


def _lpm(name: str, width: int, text: str) -> tuple[int, int]:
    """``v/len``; else trailing ``*`` digits are free and all digits written count."""
    if "/" in text:
        parts = text.split("/")
        prefix_len = parse_number(name, 32, parts[1])
        if prefix_len > width:
            raise StfError(f"{name}: /{prefix_len} is longer than its {width} bits")
        return parse_number(name, width, parts[0]), prefix_len
    if text[:2].lower() not in _DIGIT_BITS:
        return parse_number(name, width, text), width
    value, mask, bits = _wildcard_digits(text)
    free = bits - mask.bit_count()
    if mask != ((1 << bits) - 1) >> free << free:
        raise StfError(f"{name}: {text} is no prefix; '*' may only end it")
    return _fit(name, width, text, value), min(bits - free, width)


def _range(name: str, width: int, text: str) -> tuple[int, int]:
    if ".." in text:
        low, high = (parse_number(name, width, part) for part in text.split(".."))
        if low > high:
            raise StfError(f"{name}: the range {text} is empty; write low..high")
        return low, high
    value = parse_number(name, width, text)
    return value, value
