"""Profiles, counters, registers, value sets, replication (design, "Entities")."""

from __future__ import annotations

import grpc
import pytest
from finsy.proto import p4r

from .builder import (
    DELETE,
    INSERT,
    MODIFY,
    clone_session,
    multicast,
    probe,
)
from .client import update_codes
from .conftest import Lab


def to_group(lab: Lab, key: int, group: int) -> p4r.Entity:
    entry = lab.build.entry("selector_table", {"key": key})
    entry.table_entry.action.action_profile_group_id = group
    return entry


def to_member(lab: Lab, key: int, member: int, table: str = "selector_table") -> p4r.Entity:
    entry = lab.build.entry(table, {"key": key})
    entry.table_entry.action.action_profile_member_id = member
    return entry


def outputs(lab: Lab, key: int, packets: int) -> set[int]:
    """The ports that frames of many flows leave by."""
    ports = set()
    for value in range(packets):
        lab.switch.send(1, probe(dst=9, key=key, value=value * 2654435761 % 2**32))
        ports.add(lab.switch.receive()[0])
    return ports


# -- action profiles ------------------------------------------------------------------------------


def test_members_live_and_die(lab: Lab) -> None:
    build = lab.build
    member = build.member("profile", 3, build.action("mark", value=1))
    wanted = build.member("profile", 0)
    lab.client.insert(member)
    assert lab.client.refused(INSERT, member) == ["ALREADY_EXISTS"]
    assert lab.client.read(wanted) == [member]
    changed = build.member("profile", 3, build.action("forward", port=4))
    lab.client.modify(changed)
    assert lab.client.read(build.member("profile", 3)) == [changed]
    lab.client.delete(build.member("profile", 3))
    assert lab.client.read(wanted) == []
    assert lab.client.refused(MODIFY, member) == ["NOT_FOUND"]
    assert lab.client.refused(DELETE, member) == ["NOT_FOUND"]


@pytest.mark.bmv2_gap("id 0, missing actions and members in use get other codes")
def test_member_rules(lab: Lab) -> None:
    build, mark = lab.build, lab.build.action("mark", value=1)
    no_action = build.member("profile", 4)
    assert lab.client.refused(INSERT, build.member("profile", 0, mark)) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(INSERT, no_action) == ["INVALID_ARGUMENT"]
    wrong = build.member("profile", 4, build.action("drop"))
    assert lab.client.refused(INSERT, wrong) == ["INVALID_ARGUMENT"]
    lab.client.insert(build.member("profile", 4, mark))
    assert lab.client.refused(INSERT, to_member(lab, 1, 5, "profile_table")) == ["NOT_FOUND"]
    lab.client.insert(to_member(lab, 1, 4, "profile_table"))
    assert lab.client.refused(DELETE, no_action) == ["FAILED_PRECONDITION"]
    group = to_group(lab, 2, 1)
    group.table_entry.table_id = build.id("tables", "profile_table")
    assert lab.client.refused(INSERT, group) == ["INVALID_ARGUMENT"]
    lab.client.delete(to_member(lab, 1, 4, "profile_table"))
    lab.client.delete(no_action)


@pytest.mark.bmv2_gap("sizes of profiles are not enforced")
def test_profile_size_is_enforced(lab: Lab) -> None:
    mark = lab.build.action("mark", value=1)
    lab.client.insert(*[lab.build.member("profile", n, mark) for n in range(1, 33)])
    full = lab.client.refused(INSERT, lab.build.member("profile", 33, mark))
    assert full == ["RESOURCE_EXHAUSTED"]


def test_groups_spread_by_weight_and_follow_their_members(lab: Lab) -> None:
    build = lab.build
    lab.client.insert(
        *[build.member("spread", n, build.action("forward", port=n)) for n in (2, 3, 4)]
    )
    group = build.group("spread", 7, (2, 3, None), (3, 1, None))
    lab.client.insert(group)
    lab.client.insert(to_group(lab, 1, 7))
    assert lab.client.read(build.group("spread", 0)) == [group]
    assert outputs(lab, 1, 64) == {2, 3}
    lab.client.modify(build.member("spread", 3, build.action("forward", port=6)))
    assert outputs(lab, 1, 64) == {2, 6}
    changed = build.group("spread", 7, (4, 1, None))
    lab.client.modify(changed)
    assert lab.client.read(build.group("spread", 7)) == [changed]
    assert outputs(lab, 1, 16) == {4}


@pytest.mark.bmv2_gap("codes differ, and weights of 0 are accepted")
def test_group_rules(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=2)
    lab.client.insert(build.member("spread", 1, forward), build.member("spread", 2, forward))
    for group, code in (
        (build.group("spread", 0, 1), "INVALID_ARGUMENT"),
        (build.group("spread", 1, 1, 1), "INVALID_ARGUMENT"),
        (build.group("spread", 1, (1, 0, None)), "INVALID_ARGUMENT"),
        (build.group("spread", 1, (1, -1, None)), "INVALID_ARGUMENT"),
        (build.group("spread", 1, 3), "NOT_FOUND"),
        (build.group("spread", 1, 1, max_size=0), "INVALID_ARGUMENT"),
        (build.group("spread", 1, 1, max_size=9), "INVALID_ARGUMENT"),
        (build.group("spread", 1, (1, 9, None)), "RESOURCE_EXHAUSTED"),
        (build.group("spread", 1, (1, 1, 77)), "INVALID_ARGUMENT"),
    ):
        assert lab.client.refused(INSERT, group) == [code]
    lab.client.insert(build.group("spread", 1, 1))
    lab.client.insert(to_group(lab, 1, 1))
    resized = build.group("spread", 1, 1, max_size=4)
    assert lab.client.refused(MODIFY, resized) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(INSERT, build.group("spread", 1, 1)) == ["ALREADY_EXISTS"]
    assert lab.client.refused(MODIFY, build.group("spread", 2, 1)) == ["NOT_FOUND"]
    assert lab.client.refused(DELETE, build.group("spread", 1)) == ["FAILED_PRECONDITION"]
    assert lab.client.refused(DELETE, build.member("spread", 1)) == ["FAILED_PRECONDITION"]
    lab.client.delete(to_group(lab, 1, 1))
    lab.client.delete(build.group("spread", 1))
    lab.client.delete(build.member("spread", 1))


@pytest.mark.bmv2_gap("an entry cannot refer to an empty group")
def test_empty_group_does_nothing(lab: Lab) -> None:
    lab.client.insert(lab.build.group("spread", 1))
    lab.client.insert(
        to_group(lab, 1, 1),
        lab.build.entry("exact_table", {"dst": 9, "port": 1}, lab.build.action("forward", port=8)),
    )
    assert outputs(lab, 1, 4) == {8}


@pytest.mark.native_only
def test_watch_port_takes_a_member_out(lab: Lab) -> None:
    build, device = lab.build, lab.switch.device  # type: ignore[attr-defined]
    lab.client.insert(*[build.member("spread", n, build.action("forward", port=n)) for n in (2, 3)])
    group = build.group("spread", 1, (2, 1, 2), (3, 1, 3))
    lab.client.insert(group)
    lab.client.insert(to_group(lab, 1, 1))
    assert outputs(lab, 1, 64) == {2, 3}
    device.set_port_up(2, False)
    try:
        assert outputs(lab, 1, 64) == {3}
        assert lab.client.read(build.group("spread", 1)) == [group]
    finally:
        device.set_port_up(2, True)
    assert outputs(lab, 1, 64) == {2, 3}


def test_one_shot_reads_back_as_written_and_forwards(lab: Lab) -> None:
    build = lab.build
    actions = [build.action("forward", port=2), build.action("forward_marked", port=3, mark=9)]
    spread = build.one_shot((actions[0], 1), (actions[1], 2))
    entry = build.entry("selector_table", {"key": 1}, spread)
    wanted = build.entry("selector_table")
    lab.client.insert(entry)
    assert lab.client.read(wanted) == [entry]
    assert lab.client.refused(INSERT, entry) == ["ALREADY_EXISTS"]
    assert outputs(lab, 1, 64) == {2, 3}
    changed = build.entry("selector_table", {"key": 1}, build.one_shot((actions[1], 1)))
    lab.client.modify(changed)
    assert lab.client.read(wanted) == [changed]
    assert outputs(lab, 1, 16) == {3}
    lab.client.delete(entry)
    assert lab.client.read(wanted) == []
    assert lab.client.refused(DELETE, entry) == ["NOT_FOUND"]
    lab.client.insert(build.member("spread", 1, actions[0]))


@pytest.mark.bmv2_gap("one-shots and members may be mixed, sizes are not checked")
def test_one_shot_rules(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=2)
    entry = build.entry("selector_table", {"key": 1}, build.one_shot((forward, 1)))
    big = build.entry("selector_table", {"key": 2}, build.one_shot((forward, 9)))
    zero = build.entry("selector_table", {"key": 2}, build.one_shot((forward, 0)))
    direct = build.entry("exact_table", {"dst": 1, "port": 1}, build.one_shot((forward, 1)))
    assert lab.client.refused(INSERT, big, zero, direct) == ["INVALID_ARGUMENT"] * 3
    lab.client.insert(entry)
    assert lab.client.refused(INSERT, build.member("spread", 1, forward)) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(INSERT, to_member(lab, 2, 1)) == ["INVALID_ARGUMENT"]
    assert lab.client.read(build.member("spread", 0)) == []
    lab.client.delete(entry)
    lab.client.insert(build.member("spread", 1, forward))
    assert lab.client.refused(INSERT, entry) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("ROLLBACK is UNIMPLEMENTED")
def test_one_shots_are_rolled_back(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=2)
    kept = build.entry("selector_table", {"key": 1}, build.one_shot((forward, 1)))
    lab.client.insert(kept)
    changed = build.entry("selector_table", {"key": 1}, build.one_shot((forward, 1), (forward, 2)))
    added = build.entry("selector_table", {"key": 2}, build.one_shot((forward, 1)))
    updates = [
        p4r.Update(type=MODIFY, entity=changed),
        p4r.Update(type=INSERT, entity=added),
        p4r.Update(type=DELETE, entity=kept),
        p4r.Update(type=DELETE, entity=kept),
    ]
    request = lab.client.refused(DELETE, added)
    assert request == ["NOT_FOUND"]
    with pytest.raises(grpc.RpcError) as caught:
        lab.client.write(updates, "ROLLBACK_ON_ERROR")
    assert update_codes(caught.value)[-1] == "NOT_FOUND"
    assert lab.client.read(build.entry("selector_table")) == [kept]
    assert outputs(lab, 1, 4) == {2}


# -- counters, registers, value sets ------------------------------------------------------


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


# -- replication ----------------------------------------------------------------------------------


def read_replicas(lab: Lab, number: int) -> set[tuple[bytes, int]]:
    (found,) = lab.client.read(multicast(number))
    group = found.packet_replication_engine_entry.multicast_group_entry
    return {(replica.port, replica.instance) for replica in group.replicas}


def test_multicast_group_replicates(lab: Lab) -> None:
    build = lab.build
    group = multicast(5, (2, 11), (3, 12), (3, 13))
    lab.client.insert(group)
    lab.client.insert(
        build.entry("exact_table", {"dst": 1, "port": 1}, build.action("multicast", group=5))
    )
    assert read_replicas(lab, 5) == {(b"\2", 11), (b"\3", 12), (b"\3", 13)}
    lab.switch.send(1, probe(dst=1))
    received = [lab.switch.receive() for _ in range(3)]
    copies = sorted((port, int.from_bytes(frame[16:18], "big")) for port, frame in received)
    assert copies == [(2, 11), (3, 12), (3, 13)]
    lab.client.modify(multicast(5, (4, 1)))
    lab.switch.send(1, probe(dst=1))
    assert lab.switch.receive()[0] == 4
    lab.client.delete(multicast(5))
    assert lab.client.read(multicast(0)) == []


@pytest.mark.bmv2_gap("metadata is lost, backup replicas are ignored, ids are not bounded")
def test_multicast_group_rules(lab: Lab) -> None:
    lab.client.insert(multicast(5, (2, 1), metadata=b"mine"))
    assert lab.client.read(multicast(5)) == [multicast(5, (2, 1), metadata=b"mine")]
    backup = multicast(6, (2, 1))
    group = backup.packet_replication_engine_entry.multicast_group_entry
    group.replicas[0].backup_replicas.add(port=b"\3", instance=1)
    for kind, entity, code in (
        (INSERT, multicast(5, (2, 1)), "ALREADY_EXISTS"),
        (MODIFY, multicast(6, (2, 1)), "NOT_FOUND"),
        (DELETE, multicast(6), "NOT_FOUND"),
        (INSERT, multicast(0, (2, 1)), "INVALID_ARGUMENT"),
        (INSERT, multicast(0x10000, (2, 1)), "INVALID_ARGUMENT"),
        (INSERT, multicast(6, (2, 1), (2, 1)), "INVALID_ARGUMENT"),
        (INSERT, multicast(6, (2, 0x10000)), "INVALID_ARGUMENT"),
        (INSERT, backup, "UNIMPLEMENTED"),
        (INSERT, p4r.Entity(packet_replication_engine_entry={}), "INVALID_ARGUMENT"),
    ):
        assert lab.client.refused(kind, entity) == [code]


def clone_entry(lab: Lab, session: int) -> p4r.Entity:
    action = lab.build.action("clone_to", session=session)
    return lab.build.entry("ternary_table", {"port": 1}, action, priority=1)


@pytest.mark.bmv2_gap("the packet length of a clone session is refused")
def test_clone_session_copies_and_truncates(lab: Lab) -> None:
    build = lab.build
    session = clone_session(9, (5, 1), (6, 2), packet_length_bytes=24)
    lab.client.insert(session)
    lab.client.insert(
        build.entry("exact_table", {"dst": 1, "port": 1}, build.action("forward", port=2)),
        clone_entry(lab, 9),
    )
    assert lab.client.read(clone_session(0)) == [session]
    frame = probe(dst=1)
    lab.switch.send(1, frame)
    received = dict(lab.switch.receive() for _ in range(3))
    assert set(received) == {2, 5, 6}
    assert len(received[2]) == len(frame)
    assert len(received[5]) == len(received[6]) == 24
    lab.client.delete(session)
    lab.switch.send(1, frame)
    assert lab.switch.receive()[0] == 2


def test_clone_session_to_the_cpu(lab: Lab) -> None:
    lab.client.insert(clone_session(9, (510, 1)))
    lab.client.insert(clone_entry(lab, 9))
    lab.switch.send(1, probe(dst=1))
    packet = lab.stream.next("packet")
    assert packet.payload == probe(dst=1, key=1)


@pytest.mark.bmv2_gap("class of service is UNIMPLEMENTED, ports and instances are not checked")
def test_clone_session_rules(lab: Lab) -> None:
    served = clone_session(9, (5, 1), class_of_service=3)
    lab.client.insert(served)
    assert lab.client.read(clone_session(9)) == [served]
    for kind, entity, code in (
        (INSERT, clone_session(9, (5, 1)), "ALREADY_EXISTS"),
        (MODIFY, clone_session(8, (5, 1)), "NOT_FOUND"),
        (DELETE, clone_session(8), "NOT_FOUND"),
        (INSERT, clone_session(0, (5, 1)), "INVALID_ARGUMENT"),
        (INSERT, clone_session(0x8000, (5, 1)), "INVALID_ARGUMENT"),
        (INSERT, clone_session(8, (5, 1), (5, 1)), "INVALID_ARGUMENT"),
        (INSERT, clone_session(8, (5, 0x10000)), "INVALID_ARGUMENT"),
        (INSERT, clone_session(8, (5, 1), class_of_service=8), "INVALID_ARGUMENT"),
        (INSERT, clone_session(8, (5, 1), packet_length_bytes=-1), "INVALID_ARGUMENT"),
    ):
        assert lab.client.refused(kind, entity) == [code]


@pytest.mark.bmv2_gap("the reserved CPU port number is not known")
def test_reserved_cpu_port_is_translated(lab: Lab) -> None:
    session = clone_session(9, (0xFFFF_FFFD, 1))
    lab.client.insert(session)
    assert lab.client.read(clone_session(9)) == [session]
    lab.client.insert(clone_entry(lab, 9))
    lab.switch.send(1, probe(dst=1))
    assert lab.stream.next("packet").payload == probe(dst=1, key=1)


def test_extern_entries_are_unimplemented(lab: Lab) -> None:
    extern = p4r.Entity(extern_entry=p4r.ExternEntry(extern_type_id=0x81, extern_id=1))
    assert lab.client.refused(INSERT, extern) == ["UNIMPLEMENTED"]
