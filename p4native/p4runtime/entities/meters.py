"""Indirect meters (spec, "MeterEntry"), and meter configurations in general."""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4i, p4r

from p4native.p4runtime.entities.cells import cell_range, find_array
from p4native.p4runtime.entities.undo import Undo, only_modify
from p4native.p4runtime.errors import invalid_argument, unimplemented
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.device import MeterConfig

_TWO_RATE = p4i.MeterSpec.TWO_RATE_THREE_COLOR


def parse_meter_config(what: str, kind: int, message: p4r.MeterConfig) -> MeterConfig:
    """Return a configuration for a meter of `MeterSpec.Type` `kind`, or INVALID_ARGUMENT."""
    values = (message.cir, message.cburst, message.pir, message.pburst, message.eburst)
    if min(values) < 0:
        raise invalid_argument(f"{what}: meter rates and bursts may not be negative")
    if message.eburst:
        if kind != p4i.MeterSpec.SINGLE_RATE_THREE_COLOR:
            raise invalid_argument(f"{what}: eburst is only for single-rate three-colour meters")
        raise unimplemented(f"{what}: the excess burst of single-rate meters")
    if kind != _TWO_RATE and (message.cir, message.cburst) != (message.pir, message.pburst):
        raise invalid_argument(f"{what}: a single-rate meter needs pir = cir and pburst = cburst")
    if message.cir > message.pir:
        raise invalid_argument(f"{what}: cir {message.cir} is above pir {message.pir}")
    return MeterConfig(message.cir, message.cburst, message.pir, message.pburst)


def fill_meter_config(config: tuple[int, int, int, int], out: p4r.MeterConfig) -> None:
    """Write a configuration into `out`."""
    out.cir, out.cburst, out.pir, out.pburst = config


def refuse_colours(what: str, message: p4r.MeterEntry | p4r.DirectMeterEntry) -> None:
    """UNIMPLEMENTED if the message asks for counters per colour."""
    if message.HasField("counter_data"):
        raise unimplemented(f"{what}: meters have no counters per colour")


def write(loaded: LoadedPipeline, kind: int, message: p4r.MeterEntry) -> Undo:
    """Configure one cell, or all of them; without a config they go back to always green."""
    only_modify("meter", kind)
    meter = find_array("meter", loaded.binding.meters, message.meter_id)
    what = f"meter {meter.info.name}"
    refuse_colours(what, message)
    cells = cell_range(what, message, meter.info.size)
    config = None
    if message.HasField("config"):
        config = parse_meter_config(what, meter.info.spec_type, message.config)
    before = [loaded.state.meter_config(meter.index, index) for index in cells]
    for index in cells:
        loaded.state.set_meter(meter.index, index, config)

    def undo() -> None:
        for index, old in zip(cells, before, strict=True):
            loaded.state.set_meter(meter.index, index, old)

    return undo


def read(loaded: LoadedPipeline, message: p4r.MeterEntry) -> Iterator[p4r.Entity]:
    """Yield the cells asked for; `config` is unset where a meter is always green."""
    meters = loaded.binding.meters
    refuse_colours("meter", message)
    chosen = (
        [find_array("meter", meters, message.meter_id)] if message.meter_id else [*meters.values()]
    )
    for meter in chosen:
        for index in cell_range(f"meter {meter.info.name}", message, meter.info.size):
            entity = p4r.Entity()
            entry = entity.meter_entry
            entry.meter_id = meter.info.id
            entry.index.index = index
            config = loaded.state.meter_config(meter.index, index)
            if config is not None:
                fill_meter_config(config, entry.config)
            yield entity
