"""Migrations that re-plug the guest: an abort is heeded until the switch, and what it undoes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest

from control.errors import ControlError
from control.migration.record import Endpoint, Options, Record
from control.migration.replug import Replug

RECORD = Record(
    vm="vm1",
    source=Endpoint(server="server1", nic="nic1", vf=0),
    destination=Endpoint(server="server2", nic="nic2", vf=2),
    options=Options(memory_mib=1, dirty_mib_s=0),
)


class World:
    """A plane, a hypervisor and the memory's path, which write down what is asked of them."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.placements: dict[str, Any] = {}
        self.done: list[str] = []
        self.at: dict[str, Callable[[], object]] = {}
        self.replug = Replug(RECORD, None, self, self)  # type: ignore[arg-type]

    def _note(self, what: str) -> None:
        self.done.append(what)
        self.at.pop(what, lambda: None)()

    def move(self, vm: str, server: str, vf: int) -> None:
        self._note(f"{vm} is on {server}")

    async def program(self) -> None:
        assert self.lock.locked()
        self._note("program")

    async def attach(self, vm: str, nic: str, vf: int) -> None:
        self._note(f"attach to {nic}")

    async def freeze(self, vm: str) -> None:
        self._note("freeze")

    async def thaw(self, vm: str) -> None:
        self._note("thaw")

    def urgent(self) -> nullcontext[None]:
        return nullcontext()

    @asynccontextmanager
    async def memory_channel(self, source: str, destination: str) -> AsyncIterator[World]:
        yield self

    async def send(self, octets: int) -> None:
        self._note(f"send {octets}")
        if "for ever" in self.at:
            await asyncio.Event().wait()


BACK = ["vm1 is on server1", "program", "attach to nic1", "thaw"]


@pytest.mark.parametrize("point", ["send 1048576", "freeze", "send 0"])
async def test_an_abort_before_the_switch_is_heeded(point: str):
    world = World()
    world.at[point] = world.replug.abort
    with pytest.raises(ControlError, match=r"aborted by the user\. vm1 runs on server1 as before"):
        await world.replug.run()
    assert world.done[-4:] == BACK
    assert "attach to nic2" not in world.done


async def test_an_abort_does_not_wait_for_memory():
    world = World()
    crossing = asyncio.Event()
    world.at = {"send 1048576": crossing.set, "for ever": crossing.set}
    running = asyncio.create_task(world.replug.run())
    await crossing.wait()
    assert world.replug.abort()
    with pytest.raises(ControlError, match="aborted by the user"):
        await asyncio.wait_for(running, 5)
    assert world.done == ["send 1048576", *BACK]


async def test_a_guest_that_cannot_be_plugged_back_runs():
    world = World()

    def fail() -> None:
        raise ControlError("no such device.")

    world.at["freeze"] = world.replug.abort
    world.at["attach to nic1"] = fail
    with pytest.raises(ControlError, match="no such device"):
        await world.replug.run()
    assert world.done[-1] == "thaw"


async def test_what_the_system_refuses_is_undone_like_the_rest():
    world = World()

    def fail() -> None:
        raise OSError("no such device")

    world.at["attach to nic2"] = fail
    with pytest.raises(ControlError, match=r"no such device\. vm1 runs on server1 as before"):
        await world.replug.run()
    assert world.done[-4:] == BACK
