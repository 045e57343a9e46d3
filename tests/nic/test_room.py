"""A small NIC that is really full: refused whole, swapped one by one, or carried in software."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4r

from control.connections.service import ConnectionService
from control.difference import index
from control.errors import ControlError
from control.events import EventBus
from control.fabric import Endpoint, Fabric
from control.model import DesiredState
from control.policy import Entry
from control.session import Pipeline
from control.store import Store

from .client import DEADLINE_S
from .conftest import compile_program, require
from .rig import UPLINK, state, tcp, udp, vf, vm
from .switches import TARGETS, Switch

RULES, CONNECTIONS = 2048, 65536
READY_S = 30.0
EVERYTHING = p4r.Entity(table_entry=p4r.TableEntry())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The NIC compiled with little memory."""
    return compile_program("hybrid_nic", tmp_path_factory.mktemp("small"), "SMALL_NIC")


def _targets() -> list[str]:
    chosen = os.environ.get("TARGET", "auto")
    return [chosen] if chosen in TARGETS else list(TARGETS)


@pytest.fixture(params=_targets())
def switch(request: pytest.FixtureRequest) -> Iterator[Switch]:
    require(request.param)
    running = TARGETS[request.param]()
    yield running
    running.stop()


@pytest.fixture
async def fabric(switch: Switch, small: tuple[Path, Path]) -> AsyncIterator[Fabric]:
    """The controller of one small NIC, with its connections."""
    made = await _controller(switch, small, Store())
    switch.ready()
    yield made
    await made.stop()


async def _controller(switch: Switch, small: tuple[Path, Path], store: Store) -> Fabric:
    end = Endpoint("nic1", switch.address, 1)
    made = Fabric([end], Pipeline(*small), store, EventBus())
    made.companions.append(ConnectionService(made))
    await made.start(state())
    await made.wait_ready(READY_S)
    return made


def _groups(count: int, first: int, *numbers: int) -> DesiredState:
    """Each of some VMs in a group of its own: ``count`` UDP ports from ``first`` on."""
    ports = range(first, first + count)
    rules = [{"protocol": "udp", "ports": port, "remote": "10.0.0.0/8"} for port in ports]
    groups = [
        {"name": f"g{n}", "stateful": False,
         "rules": [*rules, {"protocol": "udp", "ports": 60000 + n, "remote": "10.0.0.0/8"}]}
        for n in numbers
    ]  # fmt: skip
    members = [vm(n, groups=[f"g{n}"] if n in numbers else []) for n in (1, 2, 3)]
    return state(groups=groups, vms=[*members, vm(4, server="server2", vf=0)])


async def _held(fabric: Fabric) -> dict[Any, Any]:
    """All entries of the NIC, as read from it."""
    return index(await fabric.nic("nic1").read([EVERYTHING]))


def _passes(switch: Switch, number: int, port: int) -> bool:
    frame = bytes(udp(4, number, dport=port))
    switch.settle()
    switch.send(UPLINK, frame)
    return switch.settle() == [(vf(number - 1), frame)]


async def test_rules_that_do_not_fit_are_refused_whole(fabric: Fabric, switch: Switch) -> None:
    await fabric.change(_groups(1500, 1000, 2))
    before = await _held(fabric)
    for count, first, words in (
        (3000, 1000, r"RESOURCE_EXHAUSTED: nic1 .* rules_in_v4_table needs 3001 entries, has 2048"),
        (1500, 5000, r"needs 3002 .* side by side for the new policy of VF 1 of vm2"),
    ):
        with pytest.raises(ControlError, match=words):
            await fabric.change(_groups(count, first, 2))
        assert await _held(fabric) == before
    assert _passes(switch, 2, 1000) and _passes(switch, 2, 2499)
    assert not _passes(switch, 2, 2500) and not _passes(switch, 2, 5000)
    assert await fabric.audit() == []


async def test_a_table_that_is_full_of_others_entries_is_told_by_the_nic(
    fabric: Fabric, switch: Switch
) -> None:
    await fabric.change(_groups(500, 1000, 2))
    before = await _held(fabric)
    await _insert(fabric, [_foreign(number) for number in range(RULES - 501)])
    with pytest.raises(ControlError, match="RESOURCE_EXHAUSTED"):
        await fabric.change(_groups(700, 5000, 2))
    assert _passes(switch, 2, 1000) and not _passes(switch, 2, 5000)
    assert await _held(fabric) == before  # what was nobody's is gone, too


async def _insert(fabric: Fabric, entries: list[Entry]) -> None:
    """Write entries behind the fabric's back."""
    nic = fabric.nic("nic1")
    entities = [nic.encoder.entry(entry) for entry in entries]
    await nic.write([p4r.Update(type=p4r.Update.INSERT, entity=entity) for entity in entities])


def _foreign(number: int) -> Entry:
    match = (("policy", (0xFFFF, 0xFFFF)), ("dst_port", (number, number)))
    return Entry("rules_in_v4_table", match, "deny_in_v4", priority=1)


async def test_policies_that_do_not_fit_twice_are_swapped_one_by_one(
    fabric: Fabric, switch: Switch
) -> None:
    await fabric.change(_groups(450, 1000, 1, 2, 3))
    over = threading.Event()
    watching = asyncio.create_task(asyncio.to_thread(_stamped, switch, over))
    try:
        await fabric.change(_groups(450, 2000, 1, 2, 3))
    finally:
        over.set()
    sent, got = await watching
    for number in (1, 2, 3):
        seen = [stamp for target, stamp in got if target == number]
        flip = next(stamp for stamp in seen if stamp % 2)
        before = [stamp for stamp in seen if stamp < flip]
        assert before in (list(range(0, flip, 2)), list(range(0, flip - 1, 2)))
        assert [s for s in seen if s >= flip] == list(range(flip, sent, 2))
    assert await fabric.audit() == []


def _stamped(switch: Switch, over: threading.Event) -> tuple[int, list[tuple[int, int]]]:
    """Numbered packets to three VMs until a change is over; even ones are for the old rules."""
    got: list[tuple[int, int]] = []
    sent, last = 0, 200
    deadline = time.monotonic() + DEADLINE_S
    while last and time.monotonic() < deadline:
        for number in (1, 2, 3):
            packet = bytes(udp(4, number, dport=(1100, 2100)[sent % 2]))
            switch.send(UPLINK, packet + sent.to_bytes(4, "big"))
        sent += 1
        last -= over.is_set()
        if sent % 10 == 0 or not last:
            frames = switch.settle()
            got += [(port - vf(0) + 1, int.from_bytes(f[-4:], "big")) for port, f in frames]
    return sent, got


async def test_connections_beyond_a_full_table_go_on_in_software(
    fabric: Fabric, switch: Switch
) -> None:
    web = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}]}
    await fabric.change(state(groups=[web], vms=[vm(1), vm(2, groups=["web"]), vm(3)]))
    await _insert(fabric, [_connection(number) for number in range(CONNECTIONS - 1)])
    for sport in (4001, 4002, 4001, 4002):
        for port, out, packet in (
            (vf(0), vf(1), bytes(tcp(1, 2, "S", sport=sport))),
            (vf(1), vf(0), bytes(tcp(2, 1, "SA", sport=80, dport=sport))),
        ):
            assert await _through(switch, port, packet) == (out, packet)
    (service,) = fabric.companions
    assert isinstance(service, ConnectionService)
    assert len({connection for connection, _ in service.manager._software.values()}) == 2


def _connection(number: int) -> Entry:
    """A connection of nobody: with an outside address that is not used here."""
    match = (
        ("zone", 1), ("src", 0xC6336401), ("dst", 0xC6336402), ("protocol", 6),
        ("src_port", number & 0xFFFF), ("dst_port", 1),
    )  # fmt: skip
    return Entry("connection_v4_table", match, "pass_connection")


async def _through(switch: Switch, port: int, packet: bytes) -> tuple[int, bytes]:
    """What leaves after a packet that the host may have to carry."""
    await asyncio.to_thread(switch.send, port, packet)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        frames = await asyncio.to_thread(switch.poll)
        if frames:
            (frame,) = frames
            return frame
    raise TimeoutError("no frame left the NIC")


async def test_a_new_controller_writes_nothing(
    switch: Switch, small: tuple[Path, Path], tmp_path: Path
) -> None:
    """Even if policies have got numbers that a new controller would not choose."""
    first = await _controller(switch, small, Store(tmp_path / "state.db"))
    wanted = _groups(1200, 1000, 2)
    await first.change(_groups(700, 5000, 2))
    await first.change(wanted)
    await first.stop()
    end = Endpoint("nic1", switch.address, 1)
    bus = EventBus()
    with bus.subscribe() as events:
        second = Fabric([end], Pipeline(*small), Store(tmp_path / "state.db"), bus)
        await second.start(wanted)
        await second.wait_ready(READY_S)
        await second.stop()
    kinds = {events.get_nowait().kind for _ in range(events.qsize())}
    assert "write" not in kinds
