"""A controller killed at whatever phase: the VM is at one place, reachable, nothing left over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.migration.conftest import DataPlane
from tests.migration.helpers import urgent_threads
from tests.planes.agent import Agent

BEFORE = [
    "prepare", "prepare.done", "pre-copy.done", "freeze", "freeze.done", "transfer",
    "transfer.done",
]  # fmt: skip
AFTER = ["switch", "switch.done", "resume", "resume.done", "release", "release.done"]
QUICK = {"memory_mib": 2, "drain_s": 0.1}
OTHER = {"server1": "server2", "server2": "server1"}


@pytest.fixture(scope="module")
def client(data_plane: DataPlane) -> Iterator[Agent]:
    """Holds a connection from vm3 to vm1, whatever happens to vm1."""
    told = data_plane.controller()
    assert told
    assert told["error"] == ""
    service, client = Agent(data_plane.vm("vm1")), Agent(data_plane.vm("vm3"))
    try:
        service.tell("serve", 8080, "vm1")
        client.tell("hold", "10.0.0.1", 8080)
        yield client
    finally:
        service.end()
        client.end()


def move(plane: DataPlane, fault: str = "") -> dict[str, Any] | None:
    """Migrate vm1 to where it is not; what the controller told unless it was killed."""
    return plane.controller(migrate=[["vm1", OTHER[plane.where]]], options=QUICK, fault=fault)


def settled(plane: DataPlane, client: Agent, told: dict[str, Any] | None, server: str) -> None:
    """The VM is on ``server``; it reaches, and is reached from, VMs of both; nothing is left."""
    assert told
    assert told["places"]["vm1"] == server
    assert (told["journal"], told["leftovers"]) == ([], [])
    assert urgent_threads(plane.network) == 0
    plane.where = server
    assert client.tell("again", 5) == "vm1 10.0.0.3"
    for name in ("2", "3"):
        assert plane.vm("vm1").pings(f"10.0.0.{name}", count=2) == 2, f"vm1 cannot reach vm{name}"
        assert plane.vm(f"vm{name}").pings("10.0.0.1", count=2) == 2, f"vm{name} lost vm1"


def test_without_a_fault(data_plane: DataPlane, client: Agent):
    for _ in range(2):
        told = move(data_plane)
        assert told
        assert told["error"] == ""
        assert told["report"]["lost"] == 0
        settled(data_plane, client, told, OTHER[data_plane.where])
        assert told["wrote_at_start"] == []


@pytest.mark.parametrize("point", [*BEFORE, *AFTER])
def test_the_controller_is_killed(data_plane: DataPlane, client: Agent, point: str):
    """The next one undoes the migration up to the switch, and finishes it from there on."""
    where = data_plane.where
    assert move(data_plane, f"{point}:kill") is None
    told = data_plane.controller()
    settled(data_plane, client, told, OTHER[where] if point in AFTER else where)


@pytest.mark.parametrize("point", ["pre-copy", "transfer"])
def test_failure_before_the_switch_is_undone(data_plane: DataPlane, client: Agent, point: str):
    told = move(data_plane, f"{point}:fail")
    assert told
    assert "injected" in told["error"]
    settled(data_plane, client, told, data_plane.where)


@pytest.mark.parametrize("point", ["switch.done", "release"])
def test_failure_from_the_switch_on_is_overcome(data_plane: DataPlane, client: Agent, point: str):
    told = move(data_plane, f"{point}:fail")
    assert told
    assert told["error"] == ""
    settled(data_plane, client, told, OTHER[data_plane.where])
