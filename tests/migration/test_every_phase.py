"""Each failure at each phase of a migration: undone before the switch, finished after it.

``test_faults`` kills the controller; here a NIC dies, an uplink goes, or the user changes his mind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from bench.traffic import guest, guest_service
from control.errors import ControlError, NicDownError, RefusedError
from control.migration import attempt
from control.migration.frames import HeldTraffic
from control.migration.record import Endpoint, Options
from control.operations import Operations
from tests.lab.helpers import cut, wait_for
from tests.migration.helpers import (
    QUICK,
    Arm,
    change,
    connections,
    go_home,
    kill,
    move,
    set_link,
    settled,
)
from tests.planes.agent import Agent
from topologies import uplinks, watchdog
from topologies.lab import Lab

BEFORE = ["prepare", "prepare.done", "pre-copy.done", "freeze", "freeze.done", "transfer.done"]
AFTER = ["switch", "switch.done", "resume.done", "release.done"]
OTHER = {"server1": "server2", "server2": "server1"}
GIVEN_UP_S = 4  # sooner than a connection would stall
IDLE = Options(memory_mib=4, dirty_mib_s=0, drain_s=0.1)


@pytest.fixture(autouse=True)
def as_at_first(lab: Lab) -> Iterator[None]:
    """Every test ends with the VMs and the policy of the topology."""
    yield
    go_home(lab)


@pytest.mark.parametrize("nic", ["nic1", "nic2"])
@pytest.mark.parametrize("point", [*BEFORE, *AFTER])
def test_a_nic_dies(lab: Lab, arm: Arm, monkeypatch: pytest.MonkeyPatch, point: str, nic: str):
    """Whether it is missed before the switch or only afterwards, the VM is at one place."""
    monkeypatch.setattr(watchdog, "RESTARTS", 100)
    session = lab.controller.fabric.nic(nic)
    before = session.sessions
    arm(point, lambda: kill(lab, nic))
    server = "server2"
    try:
        assert move(lab, "vm1", server).outcome == "moved"
    except ControlError:
        assert point in BEFORE
        server = "server1"
    wait_for(lambda: session.sessions > before and session.is_up)
    settled(lab, server)


def test_a_nic_dies_while_it_is_undone(lab: Lab, arm: Arm, monkeypatch: pytest.MonkeyPatch):
    """The guest does not stay frozen."""
    monkeypatch.setattr(watchdog, "RESTARTS", 100)
    session, followed = lab.controller.fabric.nic("nic1"), HeldTraffic.followed
    before = session.sessions

    async def die(traffic: HeldTraffic, end: Endpoint) -> None:
        if session.sessions == before and session.is_up:
            kill(lab, "nic1")
        await followed(traffic, end)

    monkeypatch.setattr(HeldTraffic, "followed", die)
    arm("freeze.done", lambda: lab.controller.abort("vm1"))
    with pytest.raises(ControlError, match="aborted by the user"):
        move(lab, "vm1", "server2")
    wait_for(lambda: session.sessions > before and session.is_up)
    settled(lab, "server1")


def test_a_destination_that_died_keeps_nothing(lab: Lab, arm: Arm, monkeypatch: pytest.MonkeyPatch):
    """Neither connections, when it is back, nor what its port had counted before, ever after."""
    monkeypatch.setattr(watchdog, "RESTARTS", 100)
    web = [{"name": "web", "rules": [{"protocol": "tcp", "ports": 8080}, {"protocol": "icmp"}]}]
    change(lab, groups=web, settings={"groups": ["web"]})
    session = lab.controller.fabric.nic("nic2")

    def packets() -> int:
        return int(lab.run(lab.controller.stats("vm1"))[0]["tx_packets"])

    move(lab, "vm1", "server2")
    assert lab.vm("vm2").pings(lab.vm("vm1").ip, count=20) == 20
    move(lab, "vm1", "server1")
    wait_for(lambda: connections(lab, "nic2") == 0)
    service, client = Agent(lab.vm("vm1")), Agent(lab.vm("vm2"))
    try:
        service.tell("serve", 8080, "vm1")
        client.tell("hold", lab.vm("vm1").ip, 8080)
        assert connections(lab, "nic2") == 0
        counted, before = packets(), session.sessions
        arm("transfer", lambda: kill(lab, "nic2"))
        with pytest.raises(ControlError, match="as before"):
            move(lab, "vm1", "server2")
        wait_for(lambda: session.sessions > before and session.is_up)
        assert connections(lab, "nic2") == 0
        move(lab, "vm1", "server2")
        assert packets() >= counted
        assert client.tell("again", 5) == f"vm1 {lab.vm('vm2').ip}"
    finally:
        service.end()
        client.end()


def test_a_destination_that_stays_away(lab: Lab, arm: Arm, monkeypatch: pytest.MonkeyPatch):
    """The user does not wait for ever, nothing else is done with the VM, and it goes on later."""
    monkeypatch.setattr(attempt, "NIC_RETURN_S", 0.3)
    arm("switch", lambda: lab.power("nic2", on=False))
    try:
        with pytest.raises(ControlError, match="on its way to server2 and cannot go on: nic2"):
            move(lab, "vm1", "server2")
        with pytest.raises(RefusedError, match="vm1 is migrating to server2 already"):
            move(lab, "vm1", "server2")
        with pytest.raises(RefusedError, match="switched to its new server already"):
            lab.controller.abort("vm1")
    finally:
        lab.power("nic2", on=True)
    wait_for(lambda: lab.controller.migrations.journal() == {})
    settled(lab, "server2")


def test_who_waits_for_it_goes_away(lab: Lab, arm: Arm):
    """As when the controller stops: it is undone."""
    waiting: list[asyncio.Task[object]] = []

    async def cancelled() -> None:
        waiting.append(asyncio.create_task(lab.controller.migrations.migrate("vm1", "server2")))
        await asyncio.wait(waiting)

    def go_away() -> None:
        waiting[0].cancel()

    arm("freeze.done", go_away)
    lab.run(cancelled(), timeout=30)
    assert waiting[0].cancelled()
    settled(lab, "server1")


@pytest.mark.parametrize("point", BEFORE)
def test_the_user_aborts(lab: Lab, arm: Arm, point: str):
    arm(point, lambda: lab.controller.abort("vm1"))
    with pytest.raises(ControlError, match="aborted by the user"):
        move(lab, "vm1", "server2")
    settled(lab, "server1")


@pytest.mark.parametrize("sender", ["vm2", "vm3"])
@pytest.mark.parametrize("point", ["freeze.done", "transfer.done"])
def test_what_was_held_is_not_lost(lab: Lab, arm: Arm, point: str, sender: str):
    """Aborted when frames are held, at last those of the destination's own VMs there, too."""
    with guest_service(lab.vm("vm1"), "probe-receive", 7000) as probes:
        sending = guest(lab.vm(sender), "probe-send", lab.vm("vm1").ip, 7000, 1000, 0)
        for _ in range(5):
            arm(point, lambda: lab.controller.abort("vm1"))
            with pytest.raises(ControlError, match="aborted by the user"):
                move(lab, "vm1", "server2")
        sent = sending.result()
        seen = probes.result(sent["sent"])
    assert seen["received"] == sent["sent"], seen["missing"]
    assert seen["duplicated"] == 0
    settled(lab, "server1")


@pytest.mark.parametrize("point", AFTER)
def test_too_late_to_abort(lab: Lab, arm: Arm, point: str):
    def late() -> None:
        with pytest.raises(RefusedError, match="switched to its new server already"):
            lab.controller.abort("vm1")

    arm(point, late)
    assert move(lab, "vm1", "server2").outcome == "moved"
    settled(lab, "server2")


@pytest.mark.parametrize("nic", ["nic1", "nic2"])
@pytest.mark.parametrize("point", ["prepare", "transfer.done", "switch"])
def test_an_uplink_is_told_to_be_down(lab: Lab, arm: Arm, point: str, nic: str):
    """Nobody moves to where there is no path, though little memory were left to cross."""
    fabric = lab.controller.fabric
    told: list[asyncio.Task[None]] = []
    arm(point, lambda: told.append(asyncio.create_task(fabric.set_uplinks(nic, frozenset()))))
    try:
        if point in AFTER:
            assert move(lab, "vm1", "server2", IDLE).outcome == "moved"
        else:
            words = f"{nic} went down or lost its uplinks. vm1 runs on server1 as before"
            with pytest.raises(ControlError, match=words):
                move(lab, "vm1", "server2", IDLE)
    finally:
        lab.run(asyncio.wait_for(told[0], 10))
        lab.run(fabric.set_uplinks(nic, frozenset({1})))
    settled(lab, "server2" if point in AFTER else "server1")


@pytest.mark.usefixtures("soon_usable")
def test_news_of_an_uplink_wait_for_no_other(lab: Lab):
    """A migration that has its turn hears that its path is gone, though a NIC waits to be told."""
    fabric = lab.controller.fabric

    async def end_turn() -> None:
        fabric.lock.release()

    lab.run(fabric.lock.acquire())
    try:
        for nic in ("nic1", "nic2"):
            set_link(lab, nic, "down")
            wait_for(lambda nic=nic: not fabric.has_link(nic))
    finally:
        for nic in ("nic1", "nic2"):
            set_link(lab, nic, "up")
        lab.run(end_turn())
    wait_for(lambda: fabric.uplinks("nic1") == fabric.uplinks("nic2") == {1})
    settled(lab, "server1")


@pytest.fixture
def soon_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that comes back is taken for one that forwards; ``settled`` waits until it does."""
    monkeypatch.setattr(uplinks, "UP_DELAY_S", 0.05)


@pytest.mark.usefixtures("soon_usable")
@pytest.mark.parametrize("nic", ["nic1", "nic2"])
@pytest.mark.parametrize("point", [*BEFORE, *AFTER])
def test_an_uplink_goes_down(lab: Lab, arm: Arm, point: str, nic: str):
    """Really, at the source by its own end, at the destination by the ToR's; nobody waits for it.

    Memory does not cross, which undoes it; from the switch on only the tables matter. The last
    moment before the switch may be too late for the news.
    """
    ports = lab.controller.fabric.uplinks
    cable = set_link if nic == "nic1" else cut
    arm(point, lambda: cable(lab, nic, "down"))
    server = "server2"
    began = time.monotonic()
    try:
        try:
            assert move(lab, "vm1", "server2").outcome == "moved"
            assert point in {"transfer.done", *AFTER}
        except ControlError as error:
            assert point in BEFORE
            assert "memory does not reach server2" in str(error)
            assert str(error).endswith("vm1 runs on server1 as before.")
            server = "server1"
        assert time.monotonic() - began < GIVEN_UP_S
        wait_for(lambda: not ports(nic))
        with pytest.raises(NicDownError, match=f"{nic} has no uplink with link"):
            move(lab, "vm1", OTHER[server])
    finally:
        cable(lab, nic, "up")
    wait_for(lambda: ports(nic) == {1})
    settled(lab, server)


@pytest.mark.parametrize("point", ["prepare", "freeze", "resume.done"])
def test_policy_changes_that_wait_for_their_turn(lab: Lab, arm: Arm, point: str):
    """They keep each other, and the VM where it has gone meanwhile."""
    rules = [{"name": f"r{port}", "protocol": "tcp", "dst_ports": str(port)} for port in (8, 9)]
    changes: list[asyncio.Task[str]] = []

    def two() -> None:
        changes.extend(asyncio.create_task(lab.controller.acl_add(rule)) for rule in rules)

    async def both() -> None:
        await lab.controller.migrations.migrate("vm1", "server2", QUICK)
        await asyncio.gather(*changes)

    arm(point, two)
    lab.run(both(), timeout=30)
    assert [rule["name"] for rule in lab.controller.acl()] == ["r8", "r9"]
    settled(lab, "server2")


def test_the_destination_is_full_when_the_switch_is_planned(lab: Lab, arm: Arm):
    """A VM that comes takes an entry more than one that is expected."""
    sizes = lab.controller.fabric.nic("nic2").encoder.table_sizes
    room = sizes["l2_table"]
    arm("prepare.done", lambda: sizes.update(l2_table=3))  # its server and its VMs
    try:
        with pytest.raises(ControlError, match=r"nic2 has no room: l2_table needs 4 .* as before"):
            move(lab, "vm1", "server2")
    finally:
        sizes["l2_table"] = room
    settled(lab, "server1")


def test_no_rate_is_promised_that_a_vm_on_its_way_has_been_promised(lab: Lab, arm: Arm):
    operations = Operations(lab.controller)
    nics = [nic.model_copy(update={"link_mbps": 10}) for nic in lab.controller.state.nics]
    change(lab, settings={"min_tx_rate": 5}, nics=nics)
    wishes: list[asyncio.Task[None]] = []

    def wish() -> None:
        wishes.append(asyncio.create_task(operations.vf_set("vm3", "min_tx_rate", "8")))

    arm("prepare.done", wish)
    assert move(lab, "vm1", "server2").outcome == "moved"
    with pytest.raises(ControlError, match=r"13 Mb/s promised on nic2, whose link has 10"):
        lab.run(asyncio.wait_for(wishes[0], 10))
    settled(lab, "server2")
