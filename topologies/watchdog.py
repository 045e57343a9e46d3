"""Watches the switch processes: one that dies is reported, started again, and reprogrammed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable

from control.events import EventBus
from topologies.errors import LabError
from topologies.nodes import Nic

RESTARTS = 5
WITHIN_S = 30.0


class Watchdog:
    """One task per NIC, in the controller's loop. Reprogramming is the controller's business."""

    def __init__(self, nics: Iterable[Nic], bus: EventBus) -> None:
        self._nics = list(nics)
        self._bus = bus
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch."""
        for nic in self._nics:
            self.watch(nic)

    def watch(self, nic: Nic) -> None:
        """Watch a NIC that runs, until it is stopped on purpose. Call it in the loop."""
        task = asyncio.create_task(self._watch(nic), name=f"watchdog {nic.name}")
        self._tasks.append(task)

    async def first_death(self) -> str:
        """Wait until a switch process ends; returns how, in one paragraph. For the lab's start."""
        waits = {
            asyncio.ensure_future(_ended(nic.process.pid)): nic
            for nic in self._nics
            if nic.process is not None
        }
        if not waits:
            await asyncio.Event().wait()  # nothing here can die
        done, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in others:
            wait.cancel()
        dead = waits[done.pop()]
        if dead.process is not None:
            dead.process.wait()
        return dead.obituary()

    async def stop(self) -> None:
        """Stop watching, and wait for the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, nic: Nic) -> None:
        """Restart a NIC's process whenever it ends, unless it keeps ending."""
        loop = asyncio.get_running_loop()
        deaths: list[float] = []
        while nic.process is not None:
            await _ended(nic.process.pid)
            if nic.process is None:
                return  # stopped on purpose
            nic.process.wait()
            self._bus.emit("nic", nic.name, nic.obituary())
            now = loop.time()
            deaths = [when for when in deaths if now - when < WITHIN_S] + [now]
            if len(deaths) > RESTARTS:
                text = f"gave up after {len(deaths)} deaths in {WITHIN_S:.0f} s; see {nic.output}"
                self._bus.emit("nic", nic.name, text)
                return
            try:
                nic.start([])
            except LabError as error:
                self._bus.emit("nic", nic.name, f"cannot be started again: {error}")
                return
            self._bus.emit("nic", nic.name, "started again")


async def _ended(pid: int) -> None:
    """Wait until a process has ended."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        with contextlib.suppress(ValueError):
            loop.remove_reader(descriptor)
        os.close(descriptor)
