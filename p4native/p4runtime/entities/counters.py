"""Indirect counters (spec, "CounterEntry")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundArray
from p4native.p4runtime.entities.cells import Hold, cell_range, find_array
from p4native.p4runtime.entities.updates import only_modify
from p4native.p4runtime.errors import invalid_argument
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.draft import Draft

_CELL_BYTES = 16


def write(draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.CounterEntry) -> None:
    """Set one cell, or all of them; without data nothing changes."""
    only_modify("counter", kind)
    counter = find_array("counter", loaded.binding.counters, message.counter_id)
    cells = cell_range(f"counter {counter.info.name}", message, counter.info.size)
    packets, octets = message.data.packet_count, message.data.byte_count
    if packets < 0 or octets < 0:
        raise invalid_argument(f"counter {counter.info.name}: values may not be negative")
    if message.HasField("data"):
        loaded.state.set_counter(counter.index, cells, packets, octets, draft)


def read(loaded: LoadedPipeline, message: p4r.CounterEntry, hold: Hold) -> Iterator[p4r.Entity]:
    """Copy the cells asked for, all counters for id 0, all cells without an index; yield them."""
    counters = loaded.binding.counters
    chosen = (
        [find_array("counter", counters, message.counter_id)]
        if message.counter_id
        else [*counters.values()]
    )
    copies = []
    for counter in chosen:
        cells = cell_range(f"counter {counter.info.name}", message, counter.info.size)
        hold(_CELL_BYTES * len(cells))
        values = loaded.state.counter_cells(counter.index, cells.start, len(cells))
        copies.append((counter, zip(cells, values, strict=True)))
    return _entities(copies)


def _entities(copies: Iterable[tuple[BoundArray, Any]]) -> Iterator[p4r.Entity]:
    for counter, cells in copies:
        for index, (packets, octets) in cells:
            entity = p4r.Entity()
            entry = entity.counter_entry
            entry.counter_id = counter.info.id
            entry.index.index = index
            entry.data.packet_count, entry.data.byte_count = packets, octets
            yield entity
