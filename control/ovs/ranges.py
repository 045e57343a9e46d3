"""Port ranges as OpenFlow can match them: by value and mask."""

from __future__ import annotations

PORT_BITS = 16


def masks(low: int, high: int) -> list[tuple[int, int]]:
    """The fewest (value, mask) pairs that together match exactly ``low``..``high`` (16 bits).

    Raises ValueError unless 0 <= low <= high < 65536.
    """
    if not 0 <= low <= high < 1 << PORT_BITS:
        raise ValueError(f"{low}-{high} is not a range within 0-65535, low end first")
    pairs = []
    while low <= high:
        size = low & -low or 1 << PORT_BITS
        while low + size - 1 > high:
            size >>= 1
        pairs.append((low, (1 << PORT_BITS) - size))
        low += size
    return pairs
