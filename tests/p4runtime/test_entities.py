"""Counters, registers, value sets, externs (design, "Entities")."""

from __future__ import annotations

import json
import os
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r

from .builder import (
    DELETE,
    INSERT,
    MODIFY,
    probe,
)
from .client import update_codes
from .conftest import Lab


def test_counter_counts_and_is_written(lab: Lab) -> None:
    build = lab.build
    frame = probe()
    lab.client.modify(build.counter("port_counter", 1, 10, 100))
    lab.client.insert(
        build.entry("exact_table", {"dst": 1, "port": 1}, build.action("forward", port=2))
    )
    lab.switch.send(1, frame)
    lab.switch.receive()
    (found,) = lab.client.read(build.counter("port_counter", 1))
    assert found == build.counter("port_counter", 1, 11, 100 + len(frame))


@pytest.mark.bmv2_gap("wildcard writes are UNIMPLEMENTED; an index too large is UNKNOWN")
def test_counter_wildcards_and_bounds(lab: Lab) -> None:
    build = lab.build
    lab.client.modify(build.counter("port_counter", None, 3, 30))
    cells = [build.counter("port_counter", n, 3, 30) for n in range(16)]
    assert lab.client.read(build.counter("port_counter", None)) == cells
    unset = build.counter("port_counter", 2)
    unset.counter_entry.ClearField("data")
    lab.client.modify(unset)
    assert lab.client.read(unset) == [cells[2]]
    codes = lab.client.refused(
        MODIFY, build.counter("port_counter", -1), build.counter("port_counter", 16)
    )
    assert codes == ["INVALID_ARGUMENT", "OUT_OF_RANGE"]
    for kind in (INSERT, DELETE):
        assert lab.client.refused(kind, cells[0]) == ["INVALID_ARGUMENT"]


def resident() -> int:
    """Bytes of memory that this process has, the switch in it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.native_only
@pytest.mark.slow
def test_a_large_array_is_read_in_little_memory(lab: Lab) -> None:
    """A cell becomes a message when it is sent: one takes a kilobyte."""
    cells, config = 200_000, lab.program.config()
    program = json.loads(config.p4_device_config)
    named = {array["name"]: array for array in program["counter_arrays"]}
    info = next(c for c in config.p4info.counters if c.preamble.alias == "port_counter")
    info.size = named[info.preamble.name]["size"] = cells
    config.p4_device_config = json.dumps(program).encode()
    lab.client.set_pipeline(config)
    wanted = p4r.ReadRequest(device_id=1, entities=[lab.build.counter("port_counter", None)])
    read, before = 0, resident()
    for piece in lab.client.stub.Read(wanted, timeout=60):
        read += len(piece.entities)
        assert resident() < before + 256 * cells
    assert read == cells


def direct_counter(entry: p4r.Entity, packets: int | None = None) -> p4r.Entity:
    message = p4r.DirectCounterEntry(table_entry=entry.table_entry)
    message.table_entry.ClearField("action")
    if packets is not None:
        message.data.packet_count = packets
    return p4r.Entity(direct_counter_entry=message)


def test_direct_counter_counts_and_is_written(lab: Lab) -> None:
    build = lab.build
    entry = build.entry("exact_table", {"dst": 1, "port": 1}, build.action("forward", port=2))
    other = build.entry("exact_table", {"dst": 2, "port": 1}, build.action("drop"))
    lab.client.insert(entry, other)
    lab.client.modify(direct_counter(entry, 40))
    lab.switch.send(1, probe(dst=1))
    lab.switch.receive()
    (found,) = lab.client.read(direct_counter(entry))
    assert found.direct_counter_entry.data.packet_count == 41
    assert len(lab.client.read(direct_counter(build.entry("exact_table")))) == 2
    lab.client.modify(entry)
    (kept,) = lab.client.read(direct_counter(entry))
    assert kept == found


@pytest.mark.bmv2_gap("an entry that does not exist is INVALID_ARGUMENT")
def test_direct_counter_rules(lab: Lab) -> None:
    build = lab.build
    missing = build.entry("exact_table", {"dst": 7, "port": 1})
    assert lab.client.refused(MODIFY, direct_counter(missing, 1)) == ["NOT_FOUND"]
    with pytest.raises(grpc.RpcError) as caught:
        lab.client.read(direct_counter(missing))
    assert update_codes(caught.value) == ["NOT_FOUND"]
    none = build.entry("small_table", {"src": 1}, build.action("mark", value=1))
    lab.client.insert(none)
    assert lab.client.refused(MODIFY, direct_counter(none, 1)) == ["INVALID_ARGUMENT"]
    for kind in (INSERT, DELETE):
        assert lab.client.refused(kind, direct_counter(missing, 1)) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("registers are UNIMPLEMENTED")
def test_registers_are_shared_with_packets(lab: Lab) -> None:
    build = lab.build
    lab.client.insert(
        build.entry("exact_table", {"dst": 1, "port": 1}, build.action("forward", port=2))
    )
    lab.switch.send(1, probe(op=2, key=5, value=0xDEAD))
    lab.switch.receive()
    written = build.register("values", 5, 0xDEAD)
    assert lab.client.read(build.register("values", 5, None)) == [written]
    lab.client.modify(build.register("values", 6, 0xBEEF))
    lab.switch.send(1, probe(op=1, key=6))
    assert lab.switch.receive()[1][18:22] == b"\0\0\xbe\xef"
    lab.switch.send(1, probe(op=3, key=7, src=0x0102_0304_0506))
    lab.switch.receive()
    wide = build.register("wide_values", 7, 0x0102_0304_0506)
    assert lab.client.read(build.register("wide_values", 7, None)) == [wide]


@pytest.mark.bmv2_gap("registers are UNIMPLEMENTED")
def test_register_rules(lab: Lab) -> None:
    build = lab.build
    lab.client.modify(build.register("values", None, 9))
    cells = [build.register("values", n, 9) for n in range(16)]
    assert lab.client.read(build.register("values", None, None)) == cells
    odd = build.register("values", 1, None)
    odd.register_entry.data.bool = True
    for entity, code in (
        (build.register("values", 1, None), "INVALID_ARGUMENT"),
        (odd, "INVALID_ARGUMENT"),
        (build.register("values", -1, 1), "INVALID_ARGUMENT"),
        (build.register("values", 16, 1), "OUT_OF_RANGE"),
        (build.register("values", 1, 1 << 32), "OUT_OF_RANGE"),
        (build.register("values", 1, b""), "OUT_OF_RANGE"),
    ):
        assert lab.client.refused(MODIFY, entity) == [code]
    for kind in (INSERT, DELETE):
        assert lab.client.refused(kind, cells[0]) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("value sets cannot be written over P4Runtime")
def test_value_sets_steer_the_parser(lab: Lab) -> None:
    build = lab.build
    lab.client.modify(build.value_set("special_types", (0x9000,), (0x1234,)))
    assert lab.client.read(build.value_set("special_types")) == [
        build.value_set("special_types", (0x9000,), (0x1234,))
    ]
    lab.switch.send(1, bytes(12) + b"\x12\x34" + bytes(46))
    assert lab.switch.receive()[0] == 7
    lab.client.modify(build.value_set("special_pairs", (0x0102, 3)))
    lab.switch.send(1, probe(key=0x0102, op=3))
    assert lab.switch.receive()[0] == 7
    lab.client.modify(build.value_set("special_types"))
    assert lab.client.read(build.value_set("special_types")) == [build.value_set("special_types")]


@pytest.mark.bmv2_gap("value sets cannot be written over P4Runtime")
def test_value_set_rules(lab: Lab) -> None:
    build = lab.build
    for entity, code in (
        (build.value_set("special_types", *[(n,) for n in range(5)]), "RESOURCE_EXHAUSTED"),
        (build.value_set("special_types", (1,), (1,)), "ALREADY_EXISTS"),
        (build.value_set("special_types", (1 << 16,)), "OUT_OF_RANGE"),
        (build.value_set("special_types", ()), "INVALID_ARGUMENT"),
        (build.value_set("special_pairs", (1,)), "INVALID_ARGUMENT"),
    ):
        assert lab.client.refused(MODIFY, entity) == [code]
    for kind in (INSERT, DELETE):
        codes = lab.client.refused(kind, build.value_set("special_types", (1,)))
        assert codes == ["INVALID_ARGUMENT"]


def test_extern_entries_are_unimplemented(lab: Lab) -> None:
    extern = p4r.Entity(extern_entry=p4r.ExternEntry(extern_type_id=0x81, extern_id=1))
    assert lab.client.refused(INSERT, extern) == ["UNIMPLEMENTED"]
