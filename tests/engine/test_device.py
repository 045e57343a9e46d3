"""The device from Python: groups, digests, idle times, the CPU port, exchanging programs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from p4native.switch.device import Device, GroupMember, SwitchError
from p4native.switch.pipeline import Pipeline
from p4native.switch.records import Flag, Mode, Op, Status, pack_op
from tests.engine.net import network
from tests.engine.programs import program
from tests.engine.test_ports import transfer

CPU = 510
GROUPED, TIMED = "forward.grouped", "forward.timed"
DST = bytes.fromhex("020000000001")


def frame(flow: int | None = None, source: int = 7, size: int = 60) -> bytes:
    kind = b"\x11\x11" + flow.to_bytes(2, "big") if flow is not None else b"\x88\xb5"
    return (DST + source.to_bytes(6, "big") + kind).ljust(size, b"\0")


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device(cpu_port=CPU, packet_in_limit=8)
    device.commit(device.prepare(program("features")))
    for port in range(1, 9):
        device.add_port(port)
    yield device
    device.stop()


def live(device: Device) -> Pipeline:
    assert device.pipeline is not None
    return device.pipeline


def table_index(pipeline: Pipeline, name: str) -> int:
    return next(i for i, t in enumerate(pipeline.program.tables) if t.name == name)


def action_id(pipeline: Pipeline, table: str, action: str) -> int:
    found = pipeline.program.tables[table_index(pipeline, table)]
    return next(a for a in found.action_ids if pipeline.program.action(a).name == action)


def insert(device: Device, table: str, action: str, data: bytes = b"", **extra: int) -> int:
    pipeline = live(device)
    record = pack_op(
        Op.INSERT, table_index(pipeline, table), key=DST,
        action=action_id(pipeline, table, action), data=data, **extra,  # type: ignore[arg-type]
    )  # fmt: skip
    statuses, handles = pipeline.write(record, 1)
    assert statuses[0] == Status.OK
    return handles[0]


def spread(device: Device, weights: dict[int, int], watched: bool = False) -> None:
    """The group of all members, one per port, behind the grouped table's entry."""
    pipeline = live(device)
    send = action_id(pipeline, GROUPED, "forward.send")
    known = {m for m, _, _ in pipeline.members(0)}
    for port in weights:
        if port not in known:
            pipeline.insert_member(0, port, send, port.to_bytes(2, "big"))
    members = [GroupMember(p, w, p if watched else None) for p, w in weights.items()]
    if pipeline.groups(0):
        pipeline.modify_group(0, 1, members)
        return
    pipeline.insert_group(0, 1, members)
    record = pack_op(Op.INSERT, table_index(pipeline, GROUPED), key=DST, action=1, flags=Flag.GROUP)
    assert pipeline.write(record, 1)[0][0] == Status.OK


def used_ports(device: Device, flows: int = 60) -> Counter[int]:
    for flow in range(flows):
        device.inject(1, frame(flow))
    return Counter(port for port, _ in device.collect())


def test_groups_choose_by_weight(device: Device) -> None:
    spread(device, {2: 1, 3: 2, 4: 3})
    assert used_ports(device) == {2: 10, 3: 20, 4: 30}
    spread(device, {2: 1, 5: 1})
    assert used_ports(device) == {2: 30, 5: 30}


def test_members_whose_port_is_down_are_passed_over(device: Device) -> None:
    spread(device, {2: 1, 3: 1}, watched=True)
    device.set_port_up(3, False)
    assert used_ports(device) == {2: 60}
    device.remove_port(2)
    assert used_ports(device) == {}
    device.set_port_up(3, True)
    assert used_ports(device) == {3: 60}


def test_what_is_referred_to_stays(device: Device) -> None:
    spread(device, {2: 1, 3: 1})
    pipeline = live(device)
    for call, words in (
        (lambda: pipeline.delete_member(0, 2), "still referred to"),
        (lambda: pipeline.delete_group(0, 1), "still referred to"),
        (lambda: pipeline.insert_group(0, 2, [GroupMember(99)]), "no such object"),
        (lambda: pipeline.insert_member(0, 2, 0, b""), "exists already|no such action"),
        (lambda: pipeline.modify_group(0, 1, [GroupMember(2, 20)], 5), "full"),
    ):
        with pytest.raises(SwitchError, match=words):
            call()
    record = pack_op(Op.DELETE, table_index(pipeline, GROUPED), key=DST)
    assert pipeline.write(record, 1)[0][0] == Status.OK
    pipeline.delete_group(0, 1)
    pipeline.delete_member(0, 2)
    assert [m for m, _, _ in pipeline.members(0)] == [3]


def test_a_changed_member_changes_its_groups(device: Device) -> None:
    spread(device, {2: 1})
    pipeline = live(device)
    send = action_id(pipeline, GROUPED, "forward.send")
    pipeline.modify_member(0, 2, send, (6).to_bytes(2, "big"))
    assert used_ports(device) == {6: 60}


def test_digests_fill_up_or_grow_old(device: Device) -> None:
    pipeline = live(device)
    device.inject(1, frame(source=1))
    assert device.wait_digests(0) == []
    pipeline.configure_digest(0, max_records=3, max_timeout_ns=50_000_000, ack_timeout_ns=10**12)
    for source in (1, 2, 1, 3):
        device.inject(1, frame(source=source))
    (first,) = device.wait_digests(5)
    assert [r[:6] for r in first.records] == [i.to_bytes(6, "big") for i in (1, 2, 3)]
    device.inject(1, frame(source=2))
    device.inject(1, frame(source=4))
    (second,) = device.wait_digests(5)
    assert [r[:6] for r in second.records] == [(4).to_bytes(6, "big")]
    pipeline.ack_digest(0, first.list_id)
    device.inject(1, frame(source=2))
    (third,) = device.wait_digests(5)
    assert len(third.records) == 1
    assert third.list_id > second.list_id


def test_idle_entries_are_reported_each_time(device: Device) -> None:
    handle = insert(device, TIMED, "forward.send", b"\0\2", idle_ns=80_000_000)
    index = table_index(live(device), TIMED)
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        device.inject(1, frame())
        assert device.wait_idle(0.01) == []
    for _ in range(2):
        (idle,) = device.wait_idle(5)
        assert idle == (index, handle)
    entry = live(device).by_handle(index, handle)
    assert entry is not None
    assert entry.idle_ns == 80_000_000
    assert entry.age_ns >= 160_000_000


def test_packet_ins_are_bounded_and_counted(device: Device) -> None:
    insert(device, TIMED, "forward.to_cpu")
    for _ in range(20):
        device.inject(3, frame())
    frames = device.wait_packet_in(0)
    assert [f[:2] for f in frames] == [b"\0\3"] * 8
    assert device.packet_in_dropped == 12
    assert device.wait_packet_in(0) == []


def test_packet_outs_need_a_cpu_port(device: Device) -> None:
    device.packet_out((4).to_bytes(2, "big") + frame())
    assert device.collect(5) == [(4, frame())]
    other = Device()
    with pytest.raises(SwitchError, match="--cpu-port"):
        other.packet_out(frame())
    other.stop()


def test_stopping_wakes_every_waiter(device: Device) -> None:
    device.start()
    waits = (device.wait_packet_in, device.wait_digests, device.wait_idle, device.collect)
    threads = [threading.Thread(target=wait, args=(60.0,)) for wait in waits]
    for thread in threads:
        thread.start()
    device.stop()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_programs_are_exchanged_under_traffic(device: Device) -> None:
    device.start()
    insert(device, TIMED, "forward.send", b"\0\2")
    done = threading.Event()
    sent = 0

    def traffic() -> None:
        nonlocal sent
        while not done.is_set():
            device.inject(1, frame())
            sent += 1

    thread = threading.Thread(target=traffic)
    thread.start()
    received = 0
    for _ in range(20):
        fresh = device.prepare(program("features"))
        record = pack_op(
            Op.INSERT, table_index(fresh, TIMED), key=DST, data=b"\0\3",
            action=action_id(fresh, TIMED, "forward.send"),
        )  # fmt: skip
        assert fresh.write(record, 1, Mode.ATOMIC)[0][0] == Status.OK
        old = live(device)
        device.commit(fresh)
        with pytest.raises(SwitchError, match="replaced"):
            old.count_entries(0)
        received += len(device.collect())
    done.set()
    thread.join()
    received += len(device.collect())
    assert received == sent, "no packet met a switch without entries"


def test_default_actions_can_be_set_and_reset(device: Device) -> None:
    pipeline, index = live(device), table_index(live(device), TIMED)
    before = pipeline.default(index)
    assert before is not None
    assert before.flags & Flag.CONST
    send = action_id(pipeline, TIMED, "forward.send")
    record = pack_op(Op.SET_DEFAULT, index, action=send, data=b"\0\5")
    assert pipeline.write(record, 1)[0][0] == Status.OK
    device.inject(1, frame())
    assert [p for p, _ in device.collect()] == [5]
    assert pipeline.write(pack_op(Op.RESET_DEFAULT, index), 1)[0][0] == Status.OK
    after = pipeline.default(index)
    assert after is not None
    assert after._replace(age_ns=0) == before._replace(age_ns=0)


def test_super_frames_cross_the_cpu_port(device: Device) -> None:
    """What a VM sent with TSO goes to the controller whole, and comes back as segments."""
    with network() as net:
        a, b = net.host(1), net.host(2)
        net.neighbours()
        device.stop()
        switch = Device(cpu_port=CPU, packet_in_limit=1 << 16)
        switch.commit(switch.prepare(program("features")))
        pipeline = live(switch)
        to_cpu = action_id(pipeline, TIMED, "forward.to_cpu")
        index = table_index(pipeline, TIMED)
        pipeline.write(pack_op(Op.SET_DEFAULT, index, action=to_cpu), 1)
        switch.add_port(1, a.port)
        switch.add_port(2, b.port)
        switch.start()
        done, sizes = threading.Event(), []

        def controller() -> None:
            while not done.is_set():
                for packet in switch.wait_packet_in(0.05):
                    sizes.append(len(packet))
                    out = b"\0\2" if packet[:2] == b"\0\1" else b"\0\1"
                    switch.packet_out(out + packet[2:])

        thread = threading.Thread(target=controller)
        thread.start()
        try:
            transfer(a, b)
        finally:
            done.set()
            thread.join()
            switch.stop()
        assert max(sizes) > 10_000
