"""Indirect meters (spec, "MeterEntry"), and meter configurations in general."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

from finsy.proto import p4i, p4r

from p4native.p4runtime.bind import BoundArray
from p4native.p4runtime.entities.cells import Hold, cell_range, find_array
from p4native.p4runtime.entities.updates import only_modify
from p4native.p4runtime.errors import invalid_argument
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.device import MeterConfig
from p4native.switch.draft import Draft

NO_MARKS = (0,) * 6
_CELL_BYTES = 89
"""Configuration, whether it is there, and what was marked."""
_TWO_RATE = p4i.MeterSpec.TWO_RATE_THREE_COLOR


def parse_meter_config(what: str, kind: int, message: p4r.MeterConfig) -> MeterConfig:
    """Return a configuration for a meter of `MeterSpec.Type` `kind`, or INVALID_ARGUMENT."""
    values = (message.cir, message.cburst, message.pir, message.pburst, message.eburst)
    if min(values) < 0:
        raise invalid_argument(f"{what}: meter rates and bursts may not be negative")
    if message.eburst and kind != p4i.MeterSpec.SINGLE_RATE_THREE_COLOR:
        raise invalid_argument(f"{what}: eburst is only for single-rate three-colour meters")
    if kind != _TWO_RATE and (message.cir, message.cburst) != (message.pir, message.pburst):
        raise invalid_argument(f"{what}: a single-rate meter needs pir = cir and pburst = cburst")
    if message.cir > message.pir:
        raise invalid_argument(f"{what}: cir {message.cir} is above pir {message.pir}")
    return MeterConfig(message.cir, message.cburst, message.pir, message.pburst, message.eburst)


def fill_meter_config(config: tuple[int, ...], out: p4r.MeterConfig) -> None:
    """Write a configuration into `out`."""
    out.cir, out.cburst, out.pir, out.pburst, out.eburst = config


def fill_marks(marks: tuple[int, ...], out: p4r.MeterCounterData) -> None:
    """Write what a meter counted per colour into `out`."""
    for colour, packets, octets in zip(
        (out.green, out.yellow, out.red), marks[::2], marks[1::2], strict=True
    ):
        colour.packet_count, colour.byte_count = packets, octets


def check_marks(what: str, message: p4r.MeterCounterData) -> None:
    """INVALID_ARGUMENT unless the message clears the counters per colour: they cannot be set."""
    for colour in (message.green, message.yellow, message.red):
        if colour.packet_count or colour.byte_count:
            raise invalid_argument(f"{what}: counters per colour can only be cleared, leave them 0")


def write(draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.MeterEntry) -> None:
    """Configure one cell, or all of them; without a config they go back to always green."""
    only_modify("meter", kind)
    meter = find_array("meter", loaded.binding.meters, message.meter_id)
    what = f"meter {meter.info.name}"
    check_marks(what, message.counter_data)
    cells = cell_range(what, message, meter.info.size)
    config = None
    if message.HasField("config"):
        config = parse_meter_config(what, meter.info.spec_type, message.config)
    marks = NO_MARKS if message.HasField("counter_data") else None
    loaded.state.set_meter(meter.index, cells, config, marks, draft)


def read(loaded: LoadedPipeline, message: p4r.MeterEntry, hold: Hold) -> Iterator[p4r.Entity]:
    """Copy the cells asked for and yield them; `config` is unset where one is always green."""
    meters, state = loaded.binding.meters, loaded.state
    chosen = (
        [find_array("meter", meters, message.meter_id)] if message.meter_id else [*meters.values()]
    )
    copies = []
    for meter in chosen:
        cells = cell_range(f"meter {meter.info.name}", message, meter.info.size)
        hold(_CELL_BYTES * len(cells))
        configs = state.meter_configs(meter.index, cells.start, len(cells))
        marks: Iterable[tuple[int, ...] | None] = repeat(None)
        if message.HasField("counter_data"):
            marks = state.meter_marks(meter.index, cells.start, len(cells))
        copies.append((meter, zip(cells, configs, marks, strict=False)))
    return _entities(copies)


def _entities(copies: Iterable[tuple[BoundArray, Any]]) -> Iterator[p4r.Entity]:
    for meter, cells in copies:
        for index, config, marks in cells:
            entity = p4r.Entity()
            entry = entity.meter_entry
            entry.meter_id = meter.info.id
            entry.index.index = index
            if config is not None:
                fill_meter_config(config, entry.config)
            if marks is not None:
                fill_marks(marks, entry.counter_data)
            yield entity
