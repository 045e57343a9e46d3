"""A controller killed at whatever phase: the VM is at one place, reachable, nothing left over."""

from __future__ import annotations

import pytest

from tests.migration.conftest import DataPlane

BEFORE = ["prepare", "prepare.done", "pre-copy.done", "freeze.done", "transfer.done"]
AFTER = ["switch", "switch.done", "resume.done", "release.done"]
QUICK = {"memory_mib": 2, "drain_s": 0.1}
MOVE = [["vm1", "server2"]]


@pytest.fixture(autouse=True)
def at_home(data_plane: DataPlane) -> None:
    """Every test begins with vm1 on server1 and both NICs as the desired state says."""
    if not data_plane.at_home:
        data_plane.forget()
        told = data_plane.controller()
        assert told and told["error"] == ""
        reachable(data_plane)
    data_plane.at_home = False


def reachable(plane: DataPlane) -> None:
    """vm1 reaches, and is reached from, a VM of each server; it speaks first, as guests do."""
    assert plane.vm("vm1").pings("10.0.0.3", count=3, wait=2) == 3, "vm1 cannot reach vm3"
    for name in ("vm2", "vm3"):
        assert plane.vm(name).pings("10.0.0.1", count=3, wait=2) == 3, f"{name} lost vm1"


def settled(plane: DataPlane, server: str) -> None:
    """A new controller finds the VM on ``server``, nothing to write, and an empty journal."""
    told = plane.controller()
    assert told is not None
    assert told["error"] == ""
    assert told["places"]["vm1"] == server
    assert told["journal"] == []
    assert told["wrote_at_start"] == []
    reachable(plane)
    plane.at_home = server == "server1"


def test_without_a_fault(data_plane: DataPlane):
    told = data_plane.controller(migrate=MOVE, options=QUICK)
    assert told and told["error"] == ""
    assert told["report"]["lost"] == 0
    assert told["wrote_at_start"] == []
    settled(data_plane, "server2")


@pytest.mark.parametrize("point", BEFORE)
def test_controller_killed_before_the_switch(data_plane: DataPlane, point: str):
    assert data_plane.controller(migrate=MOVE, options=QUICK, fault=f"{point}:kill") is None
    assert data_plane.controller() is not None  # recovers
    settled(data_plane, "server1")


@pytest.mark.parametrize("point", AFTER)
def test_controller_killed_from_the_switch_on(data_plane: DataPlane, point: str):
    assert data_plane.controller(migrate=MOVE, options=QUICK, fault=f"{point}:kill") is None
    assert data_plane.controller() is not None  # recovers
    settled(data_plane, "server2")


@pytest.mark.parametrize("point", ["pre-copy", "transfer"])
def test_failure_before_the_switch_is_undone(data_plane: DataPlane, point: str):
    told = data_plane.controller(migrate=MOVE, options=QUICK, fault=f"{point}:fail")
    assert told and "injected" in told["error"]
    settled(data_plane, "server1")


@pytest.mark.parametrize("point", ["switch.done", "release"])
def test_failure_from_the_switch_on_is_overcome(data_plane: DataPlane, point: str):
    told = data_plane.controller(migrate=MOVE, options=QUICK, fault=f"{point}:fail")
    assert told and told["error"] == ""
    settled(data_plane, "server2")
