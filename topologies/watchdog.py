"""Watches the switch processes: one that dies is reported, started again, and reprogrammed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from control.errors import ControlError
from control.events import EventBus

RESTARTS = 5
WITHIN_S = 30.0


class Watched(Protocol):
    """What runs where a NIC would be."""

    name: str

    @property
    def processes(self) -> Sequence[subprocess.Popen[bytes]]:
        """All that must run; none if it was stopped on purpose."""

    @property
    def output(self) -> Path:
        """What the switch process printed."""

    def obituary(self) -> str:
        """One paragraph on how a process ended."""

    def start(self, controllers: list[Any], /) -> None:
        """Start it, also when some of its processes have ended. Blocks; raises ControlError."""


class Watchdog:
    """One task per NIC, in the controller's loop. Reprogramming is the controller's business.

    ``restarted`` tells it that a NIC, by its name, runs again.
    """

    def __init__(
        self,
        nics: Iterable[Watched],
        bus: EventBus,
        restarted: Callable[[str], Awaitable[None]],
    ) -> None:
        self._nics = list(nics)
        self._bus = bus
        self._restarted = restarted
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch."""
        for nic in self._nics:
            self.watch(nic)

    def watch(self, nic: Watched) -> None:
        """Watch a NIC that runs, until it is stopped on purpose. Call it in the loop."""
        task = asyncio.create_task(self._watch(nic), name=f"watchdog {nic.name}")
        self._tasks.append(task)

    async def first_death(self) -> str:
        """Wait until a switch process ends; returns how, in one paragraph. For the lab's start."""
        waits = {
            asyncio.ensure_future(_any_ended(nic.processes)): nic
            for nic in self._nics
            if nic.processes
        }
        if not waits:
            await asyncio.Event().wait()  # nothing here can die
        done, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in others:
            wait.cancel()
        return waits[done.pop()].obituary()

    async def stop(self) -> None:
        """Stop watching, and wait for the tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, nic: Watched) -> None:
        """Restart a NIC's process whenever it ends, unless it keeps ending."""
        loop = asyncio.get_running_loop()
        deaths: list[float] = []
        while nic.processes:
            await _any_ended(nic.processes)
            if not nic.processes:
                return  # stopped on purpose
            self._bus.emit("nic", nic.name, nic.obituary())
            now = loop.time()
            deaths = [when for when in deaths if now - when < WITHIN_S] + [now]
            if len(deaths) > RESTARTS:
                text = f"gave up after {len(deaths)} deaths in {WITHIN_S:.0f} s; see {nic.output}"
                self._bus.emit("nic", nic.name, text)
                return
            try:
                await _to_its_end(nic.start)
            except ControlError as error:
                self._bus.emit("nic", nic.name, f"cannot be started again: {error}")
                return
            self._bus.emit("nic", nic.name, "started again")
            await self._restarted(nic.name)


async def _to_its_end(start: Callable[[list[Any]], None]) -> None:
    """Start a NIC in a thread; who cancels this waits until nothing more is started."""
    starting = asyncio.ensure_future(asyncio.to_thread(start, []))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.gather(starting, return_exceptions=True)
        raise


async def _any_ended(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until one of some processes has ended, and take note of its status."""
    waits = [asyncio.ensure_future(_ended(process.pid)) for process in processes]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    for process in processes:
        process.poll()


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
