"""Indices of counter, meter and register arrays (spec, "Wildcard Reads")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4native.p4runtime.errors import invalid_argument, out_of_range

Hold = Callable[[int], None]
"""Accounts for the bytes of a copy that is about to be made; RESOURCE_EXHAUSTED if it cannot be."""


def cell_range(what: str, message: Any, size: int) -> range:
    """Return the cells that a message addresses: the one it names, or all without an index.

    INVALID_ARGUMENT for a negative index, OUT_OF_RANGE for one beyond the array.
    """
    if not message.HasField("index"):
        return range(size)
    index = message.index.index
    if index < 0:
        raise invalid_argument(f"{what}: index {index} is negative")
    if index >= size:
        raise out_of_range(f"{what}: index {index}, the array has {size} cells")
    return range(index, index + 1)


def find_array(kind: str, arrays: Any, p4_id: int) -> Any:
    """Return an array by its P4Info id; INVALID_ARGUMENT if there is none."""
    array = arrays.get(p4_id)
    if array is None:
        raise invalid_argument(f"{kind} id 0x{p4_id:08x} is not in the P4Info")
    return array
