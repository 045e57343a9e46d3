"""Packet I/O, digests and idle notifications (design/p4runtime.md, "Entities", "Limits")."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import grpc
import pytest
from finsy.proto import p4r, rpc_code
from google.protobuf.any_pb2 import Any as AnyMessage

from p4native.p4runtime.server import ServerHandle
from p4native.switch.device import IdleEntry
from p4native.switch.pipeline import Pipeline

from .builder import DELETE, INSERT, MODIFY, octets, probe
from .client import DEADLINE_S
from .conftest import Lab


def packet_out(port: int, payload: bytes, *, pad: int | None = 0) -> p4r.PacketOut:
    packet = p4r.PacketOut(payload=payload)
    packet.metadata.add(metadata_id=1, value=octets(port))
    if pad is not None:
        packet.metadata.add(metadata_id=2, value=octets(pad))
    return packet


def to_cpu(lab: Lab, reason: int = 5) -> p4r.Entity:
    return lab.build.entry(
        "exact_table", {"dst": 1, "port": 3}, lab.build.action("to_cpu", reason=reason)
    )


def test_packet_out_leaves_by_the_port_in_its_metadata(lab: Lab) -> None:
    for port in (1, 4, 8):
        lab.stream.send(packet=packet_out(port, probe(value=port)))
        assert lab.switch.receive() == (port, probe(value=port))


def test_packet_in_carries_its_metadata(lab: Lab) -> None:
    lab.client.insert(to_cpu(lab, reason=0x55))
    lab.switch.send(3, probe(dst=1))
    packet = lab.stream.next("packet")
    assert packet.payload == probe(dst=1)
    assert {m.metadata_id: m.value for m in packet.metadata} == {1: b"\x03", 2: b"\x55"}


@pytest.mark.native_only
def test_super_frames_cross_whole(lab: Lab) -> None:
    frame = probe(dst=1) + bytes(range(256)) * 240
    lab.client.insert(to_cpu(lab))
    lab.switch.send(3, frame)
    assert lab.stream.next("packet").payload == frame
    lab.stream.send(packet=packet_out(2, frame))
    assert lab.switch.receive() == (2, frame)


def test_packet_in_goes_to_the_primary_alone(lab: Lab) -> None:
    backup = lab.another().open()
    backup.arbitrate(lab.client.election_id - 1)
    backup.next("arbitration")
    lab.client.insert(to_cpu(lab))
    for value in range(10):
        lab.switch.send(3, probe(dst=1, value=value))
        assert lab.stream.next("packet").payload == probe(dst=1, value=value)
    with pytest.raises(queue.Empty):
        backup.next("packet", timeout=0.05)


@pytest.mark.bmv2_gap("a packet-out with wrong metadata is sent or dropped without an error")
@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ([(1, b"\x01")], "INVALID_ARGUMENT"),
        ([], "INVALID_ARGUMENT"),
        ([(1, b"\x01"), (2, b"\0"), (3, b"\0")], "INVALID_ARGUMENT"),
        ([(1, b"\x01"), (1, b"\x01"), (2, b"\0")], "INVALID_ARGUMENT"),
        ([(1, b"\x02\x00"), (2, b"\0")], "OUT_OF_RANGE"),
        ([(1, b""), (2, b"\0")], "OUT_OF_RANGE"),
    ],
)
def test_packet_out_with_wrong_metadata_is_refused(
    lab: Lab, metadata: list[tuple[int, bytes]], code: str
) -> None:
    packet = p4r.PacketOut(payload=b"x" * 60)
    for number, value in metadata:
        packet.metadata.add(metadata_id=number, value=value)
    lab.stream.send(packet=packet)
    error = lab.stream.next("error", timeout=2)
    assert error.canonical_code == grpc.StatusCode[code].value[0]
    assert error.packet_out.packet_out == packet
    lab.stream.send(packet=packet_out(2, probe()))
    assert lab.switch.receive() == (2, probe())


@pytest.mark.native_only
def test_packet_out_that_cannot_be_sent_is_an_error(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too long, or no CPU port: the client is told and keeps its stream."""
    lab.stream.send(packet=packet_out(2, bytes(70_000)))
    error = lab.stream.next("error")
    assert error.canonical_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "65536" in error.message
    device = lab.native.device
    with monkeypatch.context() as patched:
        patched.setattr(device, "cpu_port", None)
        lab.stream.send(packet=packet_out(2, probe()))
        error = lab.stream.next("error")
    assert error.canonical_code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    lab.stream.send(packet=packet_out(2, probe()))
    assert lab.switch.receive() == (2, probe())


@pytest.mark.bmv2_gap("unknown stream messages are ignored")
def test_odd_stream_messages_get_errors(lab: Lab) -> None:
    lab.stream.send(other={"type_url": "type.googleapis.com/x.Y"})
    error = lab.stream.next("error", timeout=2)
    assert error.canonical_code == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert error.WhichOneof("details") == "other"
    lab.stream.send(digest_ack=p4r.DigestListAck(digest_id=1, list_id=1))
    error = lab.stream.next("error")
    assert error.canonical_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert error.WhichOneof("details") == "digest_list_ack"
    lab.stream.send()
    assert lab.stream.next("error").canonical_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


@pytest.mark.native_only
@pytest.mark.slow
def test_slow_reader_stalls_neither_packets_nor_others(lab: Lab) -> None:
    """A primary that never reads its stream: packets flow, others are served, drops are counted."""
    lab.client.insert(to_cpu(lab))
    lab.client.insert(
        lab.build.entry("exact_table", {"dst": 2, "port": 1}, lab.build.action("forward", port=2))
    )
    deaf = lab.another()
    requests: queue.Queue[p4r.StreamMessageRequest | None] = queue.Queue()
    requests.put(arbitration(lab.client.election_id + 1))
    call = deaf.stub.StreamChannel(iter(requests.get, None))
    assert next(call).arbitration.status.code == 0
    server = lab.native.server
    before = dropped(server)
    frame = probe(dst=1) + bytes(8000)
    deadline = time.monotonic() + 30
    while dropped(server) == before and time.monotonic() < deadline:
        for _ in range(200):
            lab.switch.send(3, frame)
    assert dropped(server) > before
    lab.switch.drain()
    lab.switch.send(1, probe(dst=2))
    assert lab.switch.receive()[0] == 2
    assert len(lab.client.read(lab.build.counter("port_counter", None))) == 16
    requests.put(None)
    call.cancel()


def arbitration(election_id: int) -> p4r.StreamMessageRequest:
    update = p4r.MasterArbitrationUpdate(device_id=1)
    update.election_id.low = election_id
    return p4r.StreamMessageRequest(arbitration=update)


def dropped(server: ServerHandle) -> int:
    stats = server.stats()
    return int(stats.get("stream_dropped_packet", 0)) + int(stats["packet_in_overrun"])


# -- digests --------------------------------------------------------------------------------------


def learn(lab: Lab) -> p4r.Entity:
    return lab.build.entry("ternary_table", {"port": 1}, lab.build.action("learn"), priority=1)


def learned(digest: p4r.DigestList) -> list[tuple[bytes, bytes]]:
    return [(d.struct.members[0].bitstring, d.struct.members[1].bitstring) for d in digest.data]


def test_digest_reports_and_is_acknowledged(lab: Lab) -> None:
    lab.client.insert(lab.build.digest("learn_t", 1, 0, 3_600_000_000_000), learn(lab))
    lab.switch.send(1, probe(src=0xABCD))
    first = lab.stream.next("digest")
    assert first.digest_id == lab.build.id("digests", "learn_t")
    assert learned(first) == [(b"\xab\xcd", b"\x01")]
    lab.switch.send(1, probe(src=0xABCD))
    lab.switch.send(1, probe(src=0xABCE))
    second = lab.stream.next("digest")
    assert learned(second) == [(b"\xab\xce", b"\x01")]
    assert second.list_id != first.list_id
    ack = p4r.DigestListAck(digest_id=first.digest_id, list_id=first.list_id)
    lab.stream.send(digest_ack=ack)
    assert learned(_next_digest(lab, probe(src=0xABCD))) == [(b"\xab\xcd", b"\x01")]


def _next_digest(lab: Lab, frame: bytes) -> Any:
    """The digest of a frame that is learned again once the server has handled an ack."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        lab.switch.send(1, frame)
        try:
            return lab.stream.next("digest", timeout=0.1)
        except queue.Empty:
            assert time.monotonic() < deadline, "the acknowledged entry is not learned again"


@pytest.mark.bmv2_gap("timestamps are not since the epoch")
def test_digest_timestamp(lab: Lab) -> None:
    lab.client.insert(lab.build.digest("learn_t", 1, 0, 0), learn(lab))
    before = time.time_ns()
    lab.switch.send(1, probe())
    assert before <= lab.stream.next("digest").timestamp <= time.time_ns()


@pytest.mark.bmv2_gap("digest lists may be longer than max_list_size")
def test_digest_lists_are_filled_or_time_out(lab: Lab) -> None:
    lab.client.insert(lab.build.digest("learn_t", 3, 200_000_000, 0), learn(lab))
    for src in (1, 2, 2, 3, 4):
        lab.switch.send(1, probe(src=src))
    assert [src for src, _ in learned(lab.stream.next("digest"))] == [b"\1", b"\2", b"\3"]
    assert [src for src, _ in learned(lab.stream.next("digest"))] == [b"\4"]


@pytest.mark.native_only
@pytest.mark.parametrize("most", [0, 2**31 - 1])
def test_digest_lists_of_any_size_time_out(lab: Lab, most: int) -> None:
    """A client that leaves the size open gets what has come by then."""
    lab.client.insert(lab.build.digest("learn_t", most, 200_000_000, 0), learn(lab))
    for src in (1, 2, 3):
        lab.switch.send(1, probe(src=src))
    assert [src for src, _ in learned(lab.stream.next("digest"))] == [b"\1", b"\2", b"\3"]


@pytest.mark.bmv2_gap("an unknown digest, DELETE and MODIFY without INSERT get other codes")
def test_digest_configuration(lab: Lab) -> None:
    config = lab.build.digest("learn_t", 1, 2, 3)
    changed = lab.build.digest("learn_t", 4, 5, 6)
    negative = lab.build.digest("learn_t", -1, 0, 0)
    unknown = p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=0x17_00_00_01))
    wildcard = p4r.Entity(digest_entry=p4r.DigestEntry())
    for kind, entity, code in (
        (MODIFY, config, "NOT_FOUND"),
        (DELETE, config, "NOT_FOUND"),
        (INSERT, negative, "INVALID_ARGUMENT"),
        (INSERT, unknown, "INVALID_ARGUMENT"),
    ):
        assert lab.client.refused(kind, entity) == [code]
    lab.client.insert(config)
    assert lab.client.refused(INSERT, config) == ["ALREADY_EXISTS"]
    lab.client.modify(changed)
    assert lab.client.read(wildcard) == [changed]
    lab.client.delete(config)
    assert lab.client.read(wildcard) == []


@pytest.mark.native_only
def test_an_ack_may_come_while_the_pipeline_is_replaced(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, digest_id = lab.native.device.commit, lab.build.id("digests", "learn_t")

    def commit_and_ack(state: Pipeline) -> None:
        commit(state)
        lab.stream.send(digest_ack=p4r.DigestListAck(digest_id=digest_id, list_id=1))
        lab.stream.send(other=AnyMessage())
        assert lab.stream.next("error").canonical_code == rpc_code.UNIMPLEMENTED

    monkeypatch.setattr(lab.native.device, "commit", commit_and_ack)
    lab.client.set_pipeline(lab.program.config())


def test_disabled_digest_is_silent(lab: Lab) -> None:
    lab.client.insert(learn(lab), to_cpu(lab))
    lab.switch.send(1, probe())
    lab.switch.send(3, probe(dst=1))
    kinds = [lab.stream.next().WhichOneof("update")]
    assert kinds == ["packet"]


# -- idle timeout ---------------------------------------------------------------------------------


@pytest.mark.bmv2_gap("idle notifications lack the metadata")
@pytest.mark.slow
def test_idle_entries_are_reported_again_and_again(lab: Lab) -> None:
    entry = lab.build.entry(
        "idle_table", {"src": 7}, lab.build.action("mark", value=1),
        idle_timeout_ns=100_000_000, metadata=b"why", controller_metadata=3,
    )  # fmt: skip
    endless = lab.build.entry("idle_table", {"src": 8}, lab.build.action("mark", value=1))
    lab.client.insert(entry, endless)
    stamps = []
    for _ in range(2):
        notice = lab.stream.next("idle_timeout_notification")
        (found,) = notice.table_entry
        assert found.match == entry.table_entry.match
        assert (found.metadata, found.controller_metadata) == (b"why", 3)
        assert found.idle_timeout_ns == 100_000_000
        assert found.table_id == entry.table_entry.table_id
        stamps.append(notice.timestamp)
    assert stamps[1] - stamps[0] >= 50_000_000


@pytest.mark.slow
def test_packets_keep_an_entry_alive(lab: Lab) -> None:
    """Frames come well within the timeout; on a machine that held us up, only gaps may expire."""
    entry = lab.build.entry(
        "idle_table", {"src": 7}, lab.build.action("mark", value=1), idle_timeout_ns=500_000_000
    )
    lab.client.insert(entry)
    start = last = time.monotonic()
    while last - start < 1.0:
        lab.switch.send(1, probe(src=7))
        sent, last = last, time.monotonic()
        try:
            lab.stream.next("idle_timeout_notification", timeout=0.05)
        except queue.Empty:
            continue
        assert time.monotonic() - sent > 0.45
    asked = lab.build.entry("idle_table", {"src": 7})
    asked.table_entry.time_since_last_hit.SetInParent()
    (found,) = lab.client.read(asked)
    elapsed = found.table_entry.time_since_last_hit.elapsed_ns / 1e9
    assert elapsed < time.monotonic() - last + 0.1
    lab.stream.next("idle_timeout_notification")


@pytest.mark.native_only
def test_a_replaced_pipeline_has_no_idle_entries(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it still reports is not taken for the new one's entries, which have the same handles."""
    device, told = lab.native.device, threading.Event()
    wait_idle = device.wait_idle
    entry = lab.build.entry("idle_table", {"src": 7}, lab.build.action("mark", value=1))
    index = next(i for i, t in enumerate(device.pipeline.program.tables) if "idle" in t.name)

    def replaced_meanwhile(_timeout: float) -> list[IdleEntry]:
        monkeypatch.setattr(device, "wait_idle", wait_idle)
        lab.client.set_pipeline(lab.program.config())
        lab.client.insert(entry)
        told.set()
        return [IdleEntry(index, 0)]

    monkeypatch.setattr(device, "wait_idle", replaced_meanwhile)
    assert told.wait(DEADLINE_S)
    lab.client.insert(to_cpu(lab))
    lab.switch.send(3, probe(dst=1))
    assert lab.stream.next().WhichOneof("update") == "packet"


@pytest.mark.bmv2_gap("entries without a timeout have no age")
def test_to_be_modified_is_not_to_be_hit(lab: Lab) -> None:
    """Neither with a new action nor without one: the entry is as idle as it was."""
    asked = lab.build.entry("idle_table", {"src": 7})
    asked.table_entry.time_since_last_hit.SetInParent()

    def idle_ms() -> int:
        (found,) = lab.client.read(asked)
        return int(found.table_entry.time_since_last_hit.elapsed_ns) // 1_000_000

    lab.client.insert(lab.build.entry("idle_table", {"src": 7}, lab.build.action("mark", value=1)))
    deadline = time.monotonic() + 5
    while idle_ms() < 100:
        assert time.monotonic() < deadline
    for action in (lab.build.action("mark", value=2), None):
        lab.client.modify(lab.build.entry("idle_table", {"src": 7}, action, metadata=b"new"))
        assert idle_ms() >= 100


@pytest.mark.slow
def test_timeouts_beyond_the_clock_do_not_wrap(lab: Lab) -> None:
    """The engine counts 32 bits of milliseconds: one of 2^32 + 1 ms must not end after 1 ms."""
    action = lab.build.action("mark", value=1)
    for src, timeout in enumerate(((2**32 + 1) * 1_000_000, 2**63 - 1)):
        entry = lab.build.entry("idle_table", {"src": src}, action, idle_timeout_ns=timeout)
        lab.client.insert(entry)
        assert entry in lab.client.read(lab.build.entry("idle_table"))
    with pytest.raises(queue.Empty):
        lab.stream.next("idle_timeout_notification", timeout=0.4)
