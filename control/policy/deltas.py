"""What a rewrite adds to an Internet checksum's sum (RFC 1624): a constant of the rewrite."""

from __future__ import annotations

Field = tuple[int, int]  # value, width in bits (a multiple of 16)


def checksum_delta(*changes: Field) -> int:
    """Fold ``~old + new`` over pairs of fields (old, new, old, new, …) to 16 bits; never 0.

    0xffff is zero in ones' complement; the NIC takes 0 for "nothing is rewritten".
    """
    total = 0
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        for word, replacement in zip(_words(old), _words(new), strict=True):
            total += (~word & 0xFFFF) + replacement
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total or 0xFFFF


def _words(field: Field) -> list[int]:
    value, width = field
    return [value >> shift & 0xFFFF for shift in range(width - 16, -1, -16)]
