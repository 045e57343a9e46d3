"""Meters, indirect and direct: configuration, colours, and what they counted per colour."""

from __future__ import annotations

import grpc
import pytest
from finsy.proto import p4i, p4r

from .builder import DELETE, INSERT, MODIFY, mark_of, meter_config, probe
from .conftest import Lab

GREEN, YELLOW, RED = range(3)
HOUR_LONG = 1 << 40
"""A burst that no test uses up."""


def colours(lab: Lab, packets: int, op: int = 4) -> list[int]:
    """The colours of so many frames; op 4 is the indirect meter, 5 the direct one."""
    found = []
    for _ in range(packets):
        lab.switch.send(1, probe(op=op))
        found.append(mark_of(lab.switch.receive()[1]))
    return found


def forwarded(lab: Lab) -> p4r.Entity:
    """An entry by which the frames come back."""
    action = lab.build.action("forward", port=2)
    return lab.build.entry("exact_table", {"dst": 1, "port": 1}, action)


def counts(data: p4r.MeterCounterData) -> list[int]:
    """Packets by colour."""
    return [c.packet_count for c in (data.green, data.yellow, data.red)]


def test_meter_colours_packets(lab: Lab) -> None:
    build = lab.build
    lab.client.insert(
        build.entry("exact_table", {"dst": 1, "port": 1}, build.action("forward", port=2))
    )
    lab.client.modify(build.meter("port_meter", 1, (1, 1, 1, 3)))
    marks = []
    for _ in range(5):
        lab.switch.send(1, probe(op=4))
        marks.append(mark_of(lab.switch.receive()[1]))
    assert marks[0] == 0
    assert marks[-1] == 2
    lab.client.modify(build.meter("port_meter", 1, None))
    lab.switch.send(1, probe(op=4))
    assert mark_of(lab.switch.receive()[1]) == 0


@pytest.mark.parametrize("config", [(1000, 10, 2000, 20), (0, 0, 0, 0)])
def test_meter_reads_back_as_written(lab: Lab, config: tuple[int, int, int, int]) -> None:
    build = lab.build
    meter = build.meter("port_meter", 2, config)
    lab.client.modify(meter)
    assert lab.client.read(build.meter("port_meter", 2, None)) == [meter]
    assert lab.client.read(build.meter("port_meter", 3, None)) == [
        build.meter("port_meter", 3, None)
    ]
    assert len(lab.client.read(build.meter("port_meter", None, None))) == 16


@pytest.mark.bmv2_gap("wildcard writes are UNIMPLEMENTED; rates are not compared")
def test_meter_rules(lab: Lab) -> None:
    build = lab.build
    lab.client.modify(build.meter("port_meter", None, (1, 2, 3, 4)))
    cells = [build.meter("port_meter", n, (1, 2, 3, 4)) for n in range(16)]
    assert lab.client.read(build.meter("port_meter", None, None)) == cells
    excess = build.meter("port_meter", 1, (1, 1, 2, 2))
    excess.meter_entry.config.eburst = 1
    colours = build.meter("port_meter", 1, (1, 1, 2, 2))
    colours.meter_entry.counter_data.red.packet_count = 1
    for entity, code in (
        (build.meter("port_meter", -1, None), "INVALID_ARGUMENT"),
        (build.meter("port_meter", 16, None), "OUT_OF_RANGE"),
        (build.meter("port_meter", 1, (-1, 1, 1, 1)), "INVALID_ARGUMENT"),
        (build.meter("port_meter", 1, (2, 1, 1, 1)), "INVALID_ARGUMENT"),
        (excess, "INVALID_ARGUMENT"),
        (colours, "INVALID_ARGUMENT"),
    ):
        assert lab.client.refused(MODIFY, entity) == [code]
    for kind in (INSERT, DELETE):
        assert lab.client.refused(kind, cells[0]) == ["INVALID_ARGUMENT"]


def test_direct_meter_colours_packets(lab: Lab) -> None:
    build = lab.build
    metered = build.entry("metered_table", {"src": 2}, build.action("metered"))
    lab.client.insert(
        build.entry("exact_table", {"dst": 1, "port": 1}, build.action("forward", port=2)), metered
    )
    direct = p4r.DirectMeterEntry(table_entry=metered.table_entry)
    direct.table_entry.ClearField("action")
    asked = p4r.Entity(direct_meter_entry=direct)
    assert lab.client.read(asked) == [asked]
    direct.config.CopyFrom(meter_config(1, 1, 1, 3))
    configured = p4r.Entity(direct_meter_entry=direct)
    lab.client.modify(configured)
    assert lab.client.read(asked) == [configured]
    marks = []
    for _ in range(5):
        lab.switch.send(1, probe(op=5))
        marks.append(mark_of(lab.switch.receive()[1]))
    assert marks[0] == 0
    assert marks[-1] == 2


@pytest.mark.bmv2_gap("rates are floating point, bursts have 32 bits: larger ones are UNKNOWN")
@pytest.mark.parametrize(
    "config",
    [(2**63 - 1,) * 4, (2**53 + 1, 3, 2**53 + 1, 3), (1, 2**32, 1, 2**32), (1, 2**63 - 1, 1, 7)],
)
def test_the_largest_rates_read_back_exactly(lab: Lab, config: tuple[int, int, int, int]) -> None:
    meter = lab.build.meter("port_meter", 2, config)
    lab.client.modify(meter)
    assert lab.client.read(lab.build.meter("port_meter", 2, None)) == [meter]


@pytest.mark.bmv2_gap("meters have no counters per colour")
def test_meter_counts_per_colour(lab: Lab) -> None:
    build = lab.build
    lab.client.insert(forwarded(lab))
    asked = build.meter("port_meter", 1, None)
    asked.meter_entry.counter_data.SetInParent()
    assert colours(lab, 2) == [GREEN, GREEN]
    lab.client.modify(build.meter("port_meter", 1, (0, 1, 0, 3)))
    assert colours(lab, 4) == [GREEN, YELLOW, YELLOW, RED]
    (found,) = lab.client.read(asked)
    assert counts(found.meter_entry.counter_data) == [3, 2, 1]
    assert found.meter_entry.counter_data.red.byte_count == len(probe())
    (plain,) = lab.client.read(build.meter("port_meter", 1, None))
    assert not plain.meter_entry.HasField("counter_data")
    cleared = build.meter("port_meter", 1, (0, 1, 0, 3))
    cleared.meter_entry.counter_data.green.SetInParent()
    lab.client.modify(cleared)
    (found,) = lab.client.read(asked)
    assert counts(found.meter_entry.counter_data) == [0, 0, 0]


@pytest.mark.bmv2_gap("meters have no counters per colour")
def test_direct_meter_counts_per_colour(lab: Lab) -> None:
    metered = lab.build.entry("metered_table", {"src": 2}, lab.build.action("metered"))
    metered.table_entry.meter_config.CopyFrom(meter_config(0, 1, 0, 2))
    lab.client.insert(forwarded(lab), metered)
    assert colours(lab, 3, op=5) == [GREEN, YELLOW, RED]
    direct = p4r.Entity()
    direct.direct_meter_entry.table_entry.CopyFrom(metered.table_entry)
    direct.direct_meter_entry.counter_data.SetInParent()
    (found,) = lab.client.read(direct)
    assert counts(found.direct_meter_entry.counter_data) == [1, 1, 1]
    lab.client.modify(metered)  # leaves them alone
    asked = lab.build.entry("metered_table", meter_counter_data=p4r.MeterCounterData())
    (found,) = lab.client.read(asked)
    assert counts(found.table_entry.meter_counter_data) == [1, 1, 1]
    metered.table_entry.meter_counter_data.SetInParent()
    lab.client.modify(metered)
    (found,) = lab.client.read(asked)
    assert counts(found.table_entry.meter_counter_data) == [0, 0, 0]
    metered.table_entry.meter_counter_data.green.byte_count = 1
    assert lab.client.refused(MODIFY, metered) == ["INVALID_ARGUMENT"]
    direct.direct_meter_entry.counter_data.yellow.byte_count = 1
    assert lab.client.refused(MODIFY, direct) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("ROLLBACK is UNIMPLEMENTED")
def test_cleared_colours_come_back_with_a_rollback(lab: Lab) -> None:
    metered = lab.build.entry("metered_table", {"src": 2}, lab.build.action("metered"))
    lab.client.insert(forwarded(lab), metered)
    assert colours(lab, 2, op=5) == [GREEN, GREEN]
    direct = p4r.Entity()
    direct.direct_meter_entry.table_entry.CopyFrom(metered.table_entry)
    direct.direct_meter_entry.counter_data.SetInParent()
    missing = lab.build.counter("port_counter", 99, 1)
    updates = [p4r.Update(type=MODIFY, entity=entity) for entity in (direct, missing)]
    with pytest.raises(grpc.RpcError):
        lab.client.write(updates, "ROLLBACK_ON_ERROR")
    (found,) = lab.client.read(direct)
    assert counts(found.direct_meter_entry.counter_data) == [2, 0, 0]


def single_rate(lab: Lab, kind: int) -> None:
    """Push the pipeline with port_meter of another type."""
    config = lab.program.config()
    (meter,) = (m for m in config.p4info.meters if m.preamble.alias == "port_meter")
    meter.spec.type = kind  # type: ignore[assignment]
    lab.client.set_pipeline(config)


@pytest.mark.bmv2_gap("the excess burst is not known")
def test_excess_burst_is_yellow(lab: Lab) -> None:
    single_rate(lab, p4i.MeterSpec.SINGLE_RATE_THREE_COLOR)
    lab.client.insert(forwarded(lab))
    meter = lab.build.meter("port_meter", 1, (0, 2, 0, 2))
    meter.meter_entry.config.eburst = 1
    lab.client.modify(meter)
    assert lab.client.read(lab.build.meter("port_meter", 1, None)) == [meter]
    assert colours(lab, 4) == [GREEN, GREEN, YELLOW, RED]


@pytest.mark.bmv2_gap("the types of meters are not known")
def test_single_rate_meters_have_one_rate(lab: Lab) -> None:
    for kind, excess in ((p4i.MeterSpec.SINGLE_RATE_THREE_COLOR, "OK"),
                         (p4i.MeterSpec.SINGLE_RATE_TWO_COLOR, "INVALID_ARGUMENT")):  # fmt: skip
        single_rate(lab, kind)
        for config in ((1, 1, 2, 1), (1, 1, 1, 2)):
            entity = lab.build.meter("port_meter", 1, config)
            assert lab.client.refused(MODIFY, entity) == ["INVALID_ARGUMENT"]
        meter = lab.build.meter("port_meter", 1, (1, HOUR_LONG, 1, HOUR_LONG))
        lab.client.modify(meter)
        meter.meter_entry.config.eburst = 1
        if excess == "OK":
            lab.client.modify(meter)
        else:
            assert lab.client.refused(MODIFY, meter) == [excess]
