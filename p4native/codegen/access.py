"""Loads and stores of bit fields in bytes, spelt out where the position is known.

The general functions of expr.h choose by size at run time; a program has thousands of accesses, and
compiling each from a general inline function would take most of the C compiler's time.
"""

from __future__ import annotations

from p4native.codegen.names import u64
from p4native.codegen.phv import Place

_WORD = 64


def load_bits(place: Place, bit: int, width: int) -> str:
    """`width` (<= 128) bits that start `bit` bits after the place's bytes, as a C expression."""
    if place.bit_extra:
        fn = "p4n_ldbits" if width <= _WORD else "p4n_ldbits128"
        return f"{fn}({place.code}, {bit} + {place.bit_extra}, {width})"
    if width > _WORD:
        high = load_bits(place, bit, width - _WORD)
        low = load_bits(place, bit + width - _WORD, _WORD)
        return f"((p4n_u128){high} << 64 | {low})"
    size, shift = _span(bit, width)
    if size > 8:
        return f"p4n_ldbits({place.code}, {bit}, {width})"
    word = f"p4n_ld{size}({at(place.code, bit // 8)})"
    if shift:
        word = f"({word} >> {shift})"
    return word if shift + width == size * 8 else f"({word} & {u64((1 << width) - 1)})"


def store_bits(place: Place, bit: int, width: int, value: str) -> list[str]:
    """Statements that write the low `width` (<= 64) bits of a uint64_t expression."""
    if place.bit_extra:
        return [f"p4n_stbits({place.code}, {bit} + {place.bit_extra}, {width}, {value});"]
    size, shift = _span(bit, width)
    if size > 8:
        return [f"p4n_stbits({place.code}, {bit}, {width}, {value});"]
    where = at(place.code, bit // 8)
    if width == size * 8:
        return [f"p4n_st{size}({where}, {value});"]
    mask = (1 << width) - 1
    keep = ((1 << size * 8) - 1) & ~(mask << shift)
    bits = f"({value} & {u64(mask)})"
    if shift:
        bits = f"{bits} << {shift}"
    return [f"p4n_st{size}({where}, (p4n_ld{size}({where}) & {u64(keep)}) | {bits});"]


def at(code: str, offset: int) -> str:
    """A pointer some bytes further."""
    return f"{code} + {offset}" if offset else code


def _span(bit: int, width: int) -> tuple[int, int]:
    """Bytes that a field touches, and how many bits follow it in the last one."""
    size = (bit % 8 + width + 7) // 8
    return size, size * 8 - bit % 8 - width
