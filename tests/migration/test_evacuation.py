"""A VM that leaves a server goes to the next one when the first fails in the midst."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from control.errors import RefusedError
from control.migration import faults
from control.migration.manager import Outcome
from tests.lab.helpers import altered_lab, evacuate, needs_root, wait_for
from tests.migration.helpers import Arm, change, kill, move, set_link, settled
from topologies import watchdog
from topologies.lab import Lab

pytestmark = [pytest.mark.lab, needs_root]

TWO = "nics:\n  - {name: nic1, id: 1, vfs: 8}\n  - {name: nic2, id: 2, vfs: 8}\n"
THIRD = '  - {name: server3, nic: nic3, mac: "02:00:00:00:03:00", ips: [192.168.0.3/24]}\n'
THREE = THIRD + TWO + "  - {name: nic3, id: 3, vfs: 8}\n"
NO_WAY = "guest memory does not reach {0}: {1} went down or lost its uplinks."
AS_BEFORE = "vm1 runs on server1 as before."


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three servers: vm1 on the first, the others on the second."""
    with altered_lab(tmp_path_factory.mktemp("evacuation"), "evacuated", TWO, THREE) as lab:
        for vm in ("vm1", "vm2", "vm3", "vm4"):
            change(lab, vm, {"memory_mib": 2})
        move(lab, "vm2", "server2")
        yield lab


@pytest.fixture(autouse=True)
def as_at_first(three: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test ends with all NICs there, and the VMs where they were."""
    monkeypatch.setattr(watchdog, "RESTARTS", 100)
    sizes = {
        nic: dict(three.controller.fabric.nic(nic).encoder.table_sizes) for nic in _nics(three)
    }
    yield
    for nic, size in sizes.items():
        three.controller.fabric.nic(nic).encoder.table_sizes.update(size)
    wait_for(lambda: all(three.controller.fabric.is_up(nic) for nic in _nics(three)))
    wait_for(lambda: all(three.controller.fabric.uplinks(nic) for nic in _nics(three)))
    for vm in ("vm1", "vm2", "vm3", "vm4"):
        home = "server1" if vm == "vm1" else "server2"
        if three.controller.vm(vm).server != home:
            move(three, vm, home)


def _nics(lab: Lab) -> list[str]:
    return lab.controller.fabric.nic_names


def fill(lab: Lab, nic: str) -> None:
    """A NIC has room for no other VM any more, as after another change."""
    entries = lab.controller.fabric.policy_entries(nic)
    room = sum(entry.table == "l2_table" for entry in entries)
    lab.controller.fabric.nic(nic).encoder.table_sizes.update(l2_table=room)


def test_the_next_server_takes_it_when_the_nic_dies(three: Lab, arm: Arm):
    arm("pre-copy", lambda: kill(three, "nic3"))
    status, (moved, tried), error = evacuate(three, "server1")
    assert (status, error) == (0, "")
    assert tried == "vm1: tried server3: " + NO_WAY.format("server3", "nic3")
    assert moved.startswith("vm1: moved to server2, blackout ")
    settled(three, "server2")


def test_the_next_server_takes_it_when_the_uplink_goes(three: Lab, arm: Arm):
    arm("freeze.done", lambda: set_link(three, "nic3", "down"))
    try:
        status, (moved, tried), error = evacuate(three, "server1")
    finally:
        set_link(three, "nic3", "up")
    assert (status, error) == (0, "")
    assert tried == "vm1: tried server3: " + NO_WAY.format("server3", "nic3")
    assert moved.startswith("vm1: moved to server2, blackout ")
    settled(three, "server2")


def test_the_next_server_takes_it_when_the_tables_are_full(three: Lab, arm: Arm):
    arm("prepare.done", lambda: fill(three, "nic3"))
    status, (moved, tried), error = evacuate(three, "server1")
    assert (status, error) == (0, "")
    assert tried.startswith("vm1: tried server3: RESOURCE_EXHAUSTED: nic3 has no room: l2_table")
    assert moved.startswith("vm1: moved to server2, blackout ")
    settled(three, "server2")


def test_each_server_is_tried_once(three: Lab, arm: Arm):
    """What is said of one that stays is the last server's reason, those before have their own."""
    fill(three, "nic2")
    arm("transfer", lambda: kill(three, "nic3"))
    status, (stays, tried), error = evacuate(three, "server1")
    assert (status, error) == (1, "error: 1 of 1 VMs could not leave server1.")
    assert tried == "vm1: tried server3: " + NO_WAY.format("server3", "nic3")
    assert stays.startswith("vm1: stays: RESOURCE_EXHAUSTED: nic2 has no room: ")
    assert stays.endswith(AS_BEFORE)
    settled(three, "server1")


@pytest.mark.parametrize("point", ["freeze", "prepare"])
def test_what_is_no_servers_fault(
    three: Lab, arm: Arm, monkeypatch: pytest.MonkeyPatch, point: str
):
    """Neither a guest that does not stop is tried elsewhere, nor one whose user has aborted."""
    if point == "freeze":
        monkeypatch.setenv(faults.VARIABLE, "freeze:fail")
    else:
        arm(point, lambda: three.controller.abort("vm1"))
    why = {
        "freeze": "injected at freeze",
        "prepare": "the migration of vm1 was aborted by the user",
    }[point]
    failed = (1, [f"vm1: stays: {why}. {AS_BEFORE}"], "error: 1 of 1 VMs could not leave server1.")
    assert evacuate(three, "server1") == failed
    settled(three, "server1")


def test_three_leave_while_a_destination_dies(three: Lab, arm: Arm):
    """Those that it hit before their switch go elsewhere, the others are finished."""
    arm("transfer", lambda: kill(three, "nic3"))
    status, lines, error = evacuate(three, "server2")
    assert (status, error) == (0, ""), lines
    assert sum(": moved to " in line for line in lines) == 3
    assert any(": tried server3: " in line for line in lines)
    assert any(": moved to server1" in line for line in lines)
    assert "server2" not in {vm.server for vm in three.controller.state.vms}
    settled(three, "server1")
    for vm in ("vm2", "vm3", "vm4"):
        assert three.vm(vm).pings(three.vm("vm1").ip, count=2) == 2, vm


async def all_of(lab: Lab, server: str) -> list[Outcome]:
    """Evacuate a server."""
    return [outcome async for outcome in lab.controller.migrations.evacuate(server)]


def test_one_that_is_on_its_way_there(three: Lab, arm: Arm):
    """It is told of: the server will not be empty."""
    emptied: list[asyncio.Task[list[Outcome]]] = []
    arm("pre-copy", lambda: emptied.append(asyncio.create_task(all_of(three, "server3"))))
    move(three, "vm1", "server3")
    (outcome,) = three.run(asyncio.wait_for(emptied[0], 10))
    assert (outcome.vm, outcome.report) == ("vm1", None)
    assert outcome.error.startswith("vm1 is on its way to server3; ")
    settled(three, "server3")


def test_two_servers_are_emptied_at_once(three: Lab, arm: Arm):
    """Neither's VMs go to the other, though it be roomier by and by, nor does another VM."""
    nics = three.controller.state.nics
    few = [nic.model_copy(update={"vfs": 4}) if nic.name == "nic3" else nic for nic in nics]
    change(three, "vm1", nics=few)
    refused: list[asyncio.Task[object]] = []

    async def both() -> list[Outcome]:
        outcomes = await asyncio.gather(all_of(three, "server2"), all_of(three, "server1"))
        await asyncio.wait(refused)
        return [*outcomes[0], *outcomes[1]]

    def migrate() -> None:
        moving = three.controller.migrations.migrate("vm1", "server2")
        refused.append(asyncio.create_task(moving))

    arm("prepare", migrate)
    try:
        outcomes = three.run(both(), timeout=30)
        assert all(outcome.report for outcome in outcomes), outcomes
        assert {vm.server for vm in three.controller.state.vms} == {"server3"}
        with pytest.raises(RefusedError, match="server2 is being evacuated"):
            refused[0].result()
    finally:
        change(three, "vm1", nics=nics)
