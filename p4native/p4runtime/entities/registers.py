"""Registers (spec, "RegisterEntry")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundRegister
from p4native.p4runtime.codec import byte_width
from p4native.p4runtime.entities.cells import Hold, cell_range, find_array
from p4native.p4runtime.entities.updates import only_modify
from p4native.p4runtime.errors import invalid_argument
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.draft import Draft


def write(draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.RegisterEntry) -> None:
    """Set one cell, or all of them without an index."""
    only_modify("register", kind)
    register = find_array("register", loaded.binding.registers, message.register_id)
    what = f"register {register.info.name}"
    cells = cell_range(what, message, register.info.size)
    if not message.HasField("data"):
        raise invalid_argument(f"{what}: no data given")
    value = _to_cell(register, register.codec.encode(message.data, what))
    loaded.state.set_register(register.index, cells, value, draft)


def read(loaded: LoadedPipeline, message: p4r.RegisterEntry, hold: Hold) -> Iterator[p4r.Entity]:
    """Copy the cells asked for, all registers for id 0, all cells without an index; yield them."""
    registers = loaded.binding.registers
    chosen = (
        [find_array("register", registers, message.register_id)]
        if (message.register_id)
        else [*registers.values()]
    )
    copies = []
    for register in chosen:
        cells = cell_range(f"register {register.info.name}", message, register.info.size)
        hold(byte_width(sum(register.codec.widths)) * len(cells))
        values = loaded.state.register_cells(register.index, cells.start, len(cells))
        copies.append((register, zip(cells, values, strict=True)))
    return _entities(copies)


def _entities(copies: Iterable[tuple[BoundRegister, Any]]) -> Iterator[p4r.Entity]:
    for register, cells in copies:
        for index, value in cells:
            entity = p4r.Entity()
            entry = entity.register_entry
            entry.register_id = register.info.id
            entry.index.index = index
            entry.data.CopyFrom(register.codec.decode(_from_cell(register, value)))
            yield entity


def _to_cell(register: BoundRegister, record: bytes) -> int:
    """Close the gaps between the record's byte-aligned leaves: a cell is one bit<W>."""
    value = offset = 0
    for width in register.codec.widths:
        size = (width + 7) // 8
        value = value << width | int.from_bytes(record[offset : offset + size], "big")
        offset += size
    return value


def _from_cell(register: BoundRegister, value: int) -> bytes:
    parts = []
    for width in reversed(register.codec.widths):
        parts.append((value & ((1 << width) - 1)).to_bytes((width + 7) // 8, "big"))
        value >>= width
    return b"".join(reversed(parts))
