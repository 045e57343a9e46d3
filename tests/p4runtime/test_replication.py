"""Multicast groups and clone sessions (design, "Entities")."""

from __future__ import annotations

import pytest
from finsy.proto import p4r

from .builder import DELETE, INSERT, MODIFY, clone_session, multicast, probe
from .conftest import Lab


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
    group.replicas[0].backup_replicas.add(port=b"\2", instance=3)
    for kind, entity, code in (
        (INSERT, multicast(5, (2, 1)), "ALREADY_EXISTS"),
        (MODIFY, multicast(6, (2, 1)), "NOT_FOUND"),
        (DELETE, multicast(6), "NOT_FOUND"),
        (INSERT, multicast(0, (2, 1)), "INVALID_ARGUMENT"),
        (INSERT, multicast(0x10000, (2, 1)), "INVALID_ARGUMENT"),
        (INSERT, multicast(6, (2, 1), (2, 1)), "INVALID_ARGUMENT"),
        (INSERT, multicast(6, (2, 0x10000)), "INVALID_ARGUMENT"),
        (INSERT, backup, "INVALID_ARGUMENT"),
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


def with_backups(*replicas: tuple[tuple[int, int], ...]) -> p4r.Entity:
    """Multicast group 5; each replica's first pair is itself, the others are its backups."""
    entity = multicast(5, *(pairs[0] for pairs in replicas))
    group = entity.packet_replication_engine_entry.multicast_group_entry
    for replica, pairs in zip(group.replicas, replicas, strict=True):
        for port, instance in pairs[1:]:
            replica.backup_replicas.add(port=bytes([port]), instance=instance)
    return entity


@pytest.mark.native_only
def test_backup_replicas_stand_in_for_ports_that_are_down(lab: Lab) -> None:
    build, device = lab.build, lab.native.device
    group = with_backups(((2, 1), (3, 5), (4, 6)), ((6, 2),))
    lab.client.insert(
        group, build.entry("exact_table", {"dst": 1, "port": 1}, build.action("multicast", group=5))
    )

    def copies() -> set[tuple[int, int]]:
        lab.switch.send(1, probe(dst=1))
        received = [lab.switch.receive() for _ in range(2)]
        return {(port, int.from_bytes(frame[16:18], "big")) for port, frame in received}

    down: list[int] = []
    try:
        for failing, expected in ((None, (2, 1)), (2, (3, 5)), (3, (4, 6))):
            if failing is not None:
                device.set_port_up(failing, False)
                down.append(failing)
            assert copies() == {expected, (6, 2)}
        assert lab.client.read(multicast(5)) == [group]
        device.set_port_up(2, True)
        assert copies() == {(2, 1), (6, 2)}
        lab.client.set_pipeline(lab.program.config(), "RECONCILE_AND_COMMIT")
        device.set_port_up(2, False)
        assert copies() == {(4, 6), (6, 2)}
    finally:
        for port in down:
            device.set_port_up(port, True)


@pytest.mark.native_only
def test_backups_of_a_saved_pipeline_know_the_ports(lab: Lab) -> None:
    build, device = lab.build, lab.native.device
    lab.client.set_pipeline(lab.program.config(), "VERIFY_AND_SAVE")
    lab.client.insert(
        with_backups(((2, 1), (3, 5))),
        build.entry("exact_table", {"dst": 1, "port": 1}, build.action("multicast", group=5)),
    )
    device.set_port_up(2, False)
    try:
        lab.client.set_pipeline(None, "COMMIT")
        lab.switch.send(1, probe(dst=1))
        assert lab.switch.receive()[0] == 3
    finally:
        device.set_port_up(2, True)


@pytest.mark.bmv2_gap("backup replicas are ignored")
@pytest.mark.parametrize(
    "replicas",
    [
        (((2, 1), (2, 2)),),  # its own port
        (((2, 1), (3, 1)), ((3, 1),)),  # a pair twice
        (((2, 1), (3, 1)), ((4, 1), (3, 1))),
    ],
)
def test_backups_are_pairs_of_their_own(
    lab: Lab, replicas: tuple[tuple[tuple[int, int], ...], ...]
) -> None:
    assert lab.client.refused(INSERT, with_backups(*replicas)) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("ports are returned as written, not canonical")
def test_ports_read_back_canonical(lab: Lab) -> None:
    padded = multicast(5, (2, 1))
    group = padded.packet_replication_engine_entry.multicast_group_entry
    group.replicas[0].port = b"\0\0\0\2"
    lab.client.insert(padded)
    assert lab.client.read(multicast(5)) == [multicast(5, (2, 1))]


def rids(lab: Lab, copies: int) -> list[int]:
    """The instances of a frame's copies on port 2, as they come."""
    lab.switch.send(1, probe(dst=1))
    received = [lab.switch.receive()[1] for _ in range(copies)]
    return [int.from_bytes(frame[16:18], "big") for frame in received]


def test_copies_come_in_the_order_of_bmv2(lab: Lab) -> None:
    action = lab.build.action("multicast", group=5)
    lab.client.insert(
        multicast(5, *[(2, n) for n in range(1, 16)]),
        lab.build.entry("exact_table", {"dst": 1, "port": 1}, action),
    )
    assert rids(lab, 15) == [15, 14, *range(1, 14)]
    lab.client.modify(multicast(5, *[(2, n) for n in (16, 3, 14, 1)]))
    assert rids(lab, 4) == [14, 1, 3, 16]
