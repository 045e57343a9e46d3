"""Types that clients see otherwise than the data plane: as strings, or wider (translated.p4)."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from finsy.proto import p4d, p4r

from .builder import DELETE, INSERT, MODIFY, Builder
from .client import Client
from .conftest import PROGRAMS, Lab, fresh_election
from .programs import load_program
from .targets import Switch

pytestmark = pytest.mark.native_only
"""BMv2's server takes strings for numbers, and lays packet headers out by the P4Info's widths."""

FIRST_GIVEN = 511
"""The port that the first name without a value of its own gets."""
ETHERNET = bytes.fromhex("00000000000100000000000288b5") + bytes(46)


@pytest.fixture
def lab(switch: Switch, client: Client) -> Iterator[Lab]:
    """A primary client of a switch that runs translated.p4."""
    program = load_program(PROGRAMS / "translated.p4")
    stream = client.lead(fresh_election())
    client.set_pipeline(program.config())
    yield Lab(switch, client, stream, Builder(program.info), program)


def vrf_entry(lab: Lab, port: bytes, vrf: bytes) -> p4r.Entity:
    return lab.build.entry("vrf_table", {"port": port}, lab.build.action("set_vrf", vrf=vrf))


def route(lab: Lab, vrf: bytes, to: bytes, **match: bytes) -> p4r.Entity:
    action = lab.build.action("to_port", port=to)
    return lab.build.entry("route_table", {"vrf": vrf, **match}, action, priority=1)


def test_names_steer_packets_and_read_back(lab: Lab) -> None:
    entries = [
        vrf_entry(lab, b"1", b"blue"),
        vrf_entry(lab, b"2", b"vrf-7"),
        route(lab, b"blue", b"3"),
        route(lab, b"vrf-7", b"4", port=b"2"),
        route(lab, b"default", b"uplink"),
        route(lab, b"", b"5"),
    ]
    lab.client.insert(*entries)
    lab.switch.send(1, ETHERNET)
    assert lab.switch.receive() == (3, ETHERNET)
    lab.switch.send(2, ETHERNET)
    assert lab.switch.receive() == (4, ETHERNET)
    lab.switch.send(3, ETHERNET)  # no entry, so VRF 0, whose name is the empty one
    assert lab.switch.receive() == (5, ETHERNET)
    read = lab.client.read(lab.build.entry("vrf_table"), lab.build.entry("route_table"))
    assert sorted(map(str, read)) == sorted(map(str, entries))
    assert lab.client.refused(INSERT, entries[0]) == ["ALREADY_EXISTS"]
    assert lab.client.read(lab.build.entry("vrf_table", {"port": b"2"})) == [entries[1]]


def test_bad_names_are_refused(lab: Lab) -> None:
    assert lab.client.refused(INSERT, vrf_entry(lab, b"", b"x")) == ["OUT_OF_RANGE"]
    assert lab.client.refused(INSERT, vrf_entry(lab, b"\xff", b"x")) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(INSERT, vrf_entry(lab, b"a\0b", b"x")) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(INSERT, vrf_entry(lab, b"1", b"7")) == ["INVALID_ARGUMENT"]
    assert lab.client.read(lab.build.entry("vrf_table")) == []


def test_a_type_has_as_many_names_as_values(lab: Lab) -> None:
    lab.client.insert(vrf_entry(lab, b"1", b"default"))
    lab.client.modify(*[vrf_entry(lab, b"1", f"vrf {n}".encode()) for n in range(1021)])
    assert lab.client.refused(MODIFY, vrf_entry(lab, b"1", b"more")) == ["RESOURCE_EXHAUSTED"]


@pytest.mark.parametrize("atomicity", ["CONTINUE_ON_ERROR", "DATAPLANE_ATOMIC"])
def test_only_what_takes_effect_gives_a_name_its_value(lab: Lab, atomicity: str) -> None:
    """Reads, deletions and refused updates leave nothing behind."""
    unknown = vrf_entry(lab, b"right", b"blue")
    assert lab.client.read(lab.build.entry("vrf_table", {"port": b"right"})) == []
    assert lab.client.refused(DELETE, unknown) == ["NOT_FOUND"]
    update = p4r.Update(type=MODIFY, entity=unknown)
    with pytest.raises(grpc.RpcError):
        lab.client.write([update], atomicity)
    lab.client.insert(vrf_entry(lab, b"left", b"red"))
    taken, free = (vrf_entry(lab, str(FIRST_GIVEN - n).encode(), b"red") for n in (0, 1))
    assert lab.client.refused(INSERT, taken) == ["INVALID_ARGUMENT"]  # it is what left stands for
    lab.client.insert(free)


def test_packet_in_and_out(lab: Lab) -> None:
    cpu = lab.build.entry("route_table", {"vrf": b""}, lab.build.action("to_cpu"), priority=1)
    lab.client.insert(cpu)
    lab.switch.send(7, ETHERNET)
    packet = lab.stream.next("packet")
    assert packet.payload == ETHERNET
    assert [m.value for m in packet.metadata] == [b"7", b"\0"]
    metadata = [p4r.PacketMetadata(metadata_id=n, value=v) for n, v in ((1, b"\0\0\6"), (2, b"\0"))]
    lab.stream.send(packet=p4r.PacketOut(payload=ETHERNET, metadata=metadata))
    assert lab.switch.receive() == (6, ETHERNET)


def test_a_port_is_shown_by_the_name_that_it_has_now(lab: Lab) -> None:
    to_cpu = lab.build.action("to_cpu")
    lab.client.insert(lab.build.entry("route_table", {"vrf": b""}, to_cpu, priority=1))
    lab.switch.send(8, ETHERNET)
    assert lab.stream.next("packet").metadata[0].value == b"8"
    action = [lab.build.action("to_port", port=f"p{n}".encode()) for n in range(8, FIRST_GIVEN + 1)]
    entry = lab.build.entry("wide_table", {"wide": 1}, action[0])
    lab.client.insert(entry)
    lab.client.modify(*[lab.build.entry("wide_table", {"wide": 1}, each) for each in action[1:]])
    lab.switch.send(8, ETHERNET)
    assert lab.stream.next("packet").metadata[0].value == b"p511"


def test_digests_and_registers(lab: Lab) -> None:
    learn = lab.build.entry("vrf_table", {"port": b"left"}, lab.build.action("learn"))
    lab.client.insert(learn)
    lab.client.insert(lab.build.digest("learn_t", 0, 1, 0))
    lab.client.delete(learn)
    lab.client.insert(
        lab.build.entry("vrf_table", {"port": b"2"}, lab.build.action("learn")),
        lab.build.entry(
            "wide_table", {"wide": FIRST_GIVEN}, lab.build.action("to_port", port=b"left")
        ),
    )
    lab.switch.send(2, ETHERNET)
    (data,) = lab.stream.next("digest").data
    assert [m.bitstring for m in data.struct.members] == [b"\2", b"2", b"\2", b"\x88\xb5"]
    cell = lab.build.register("last_port", 0, None)
    cell.register_entry.data.CopyFrom(p4d.P4Data(bitstring=b"2"))
    assert lab.client.read(lab.build.register("last_port", 0, None)) == [cell]
    cell.register_entry.data.bitstring = b"left"
    lab.client.modify(cell)
    assert lab.client.read(lab.build.register("last_port", 0, None)) == [cell]


def test_wider_numbers_must_fit_the_data_plane(lab: Lab) -> None:
    action = lab.build.action("to_port", port=b"1")
    fits = lab.build.entry("wide_table", {"wide": b"\0\0\1\xff"}, action)
    lab.client.insert(fits)
    assert lab.client.read(lab.build.entry("wide_table")) == [
        lab.build.entry("wide_table", {"wide": 511}, action)
    ]
    beyond = lab.build.entry("wide_table", {"wide": 512}, action)
    assert lab.client.refused(INSERT, beyond) == ["OUT_OF_RANGE"]


def test_names_survive_a_reconcile(lab: Lab) -> None:
    entries = [vrf_entry(lab, b"1", b"blue"), route(lab, b"blue", b"3")]
    lab.client.insert(*entries)
    lab.client.set_pipeline(lab.program.config(), "RECONCILE_AND_COMMIT")
    read = lab.client.read(lab.build.entry("vrf_table"), lab.build.entry("route_table"))
    assert read == entries
    lab.client.insert(vrf_entry(lab, b"2", b"red"))
    lab.switch.send(1, ETHERNET)
    assert lab.switch.receive() == (3, ETHERNET)
    config = lab.program.config()
    types = config.p4info.type_info.new_types["vrf_id_t"]
    types.annotations[0] = '@p4runtime_translation_mappings({ { "blue" , 3 } })'
    with pytest.raises(grpc.RpcError, match="blue"):
        lab.client.set_pipeline(config, "RECONCILE_AND_COMMIT")


def test_strings_only_match_exactly(lab: Lab) -> None:
    config = lab.program.config()
    field = next(t for t in config.p4info.tables if t.preamble.alias == "vrf_table").match_fields[0]
    field.match_type = 3  # ternary
    with pytest.raises(grpc.RpcError, match="string"):
        lab.client.set_pipeline(config)
