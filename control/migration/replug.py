"""Migration without the NIC's help, as SR-IOV and virtual switches do it: stop, copy, plug, tell.

There is nothing that holds or redirects packets: what is sent to the VM between the freeze and the
moment when switches have learned its new place goes to where it was. It is the contrast to
`control.migration.attempt`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from control.announce import Announcement, of_vm
from control.errors import ControlError
from control.migration.manager import Placed, Progress
from control.migration.memory import GuestMemory, Send, monotonic
from control.migration.ports import Hypervisor, MemoryChannel
from control.migration.record import Phase, Record, UndoneError
from control.migration.report import ROLLED_BACK, MigrationReport, PhaseTime


class Replugged(Placed, Protocol):
    """What this migration asks of a plane."""

    lock: asyncio.Lock

    def move(self, vm: str, server: str, vf: int) -> None:
        """Note in the desired state that a VM runs elsewhere now, and save it."""

    async def program(self) -> None:
        """Bring all NICs in line with the state; the caller holds ``lock``."""

    async def announce(self, nic: str, told: Announcement) -> None:
        """Send an announcement out of the NIC's port that it is for."""


class Replug:
    """One migration: the guest's device goes away at the source and comes back elsewhere."""

    def __init__(
        self, record: Record, progress: Progress | None, plane: Replugged, hypervisor: Hypervisor
    ) -> None:
        self.record = record
        self.report = MigrationReport(record.vm, record.source.server, record.destination.server)
        self._progress = progress
        self._plane = plane
        self._hypervisor = hypervisor
        self.aborted = False
        self.stuck = asyncio.Event()  # never: it is done or undone, whatever that leaves behind
        self._switched = False
        self._sending: asyncio.Task[None] | None = None

    async def run(self) -> MigrationReport:
        """All phases. Raises ControlError when it was rolled back."""
        ends = self.record.source.server, self.record.destination.server
        try:
            async with self._hypervisor.memory_channel(*ends) as channel:
                memory = GuestMemory(self.record.options, monotonic)
                send = partial(self._send, channel)
                await self._phase(Phase.PRE_COPY, lambda: self._pre_copy(memory, send))
                async with self._plane.lock:
                    await memory.catch_up(send)
                    with self._hypervisor.urgent():
                        await self._blackout(memory, send)
        except (ControlError, OSError) as error:
            await asyncio.shield(self.undo(str(error)))
            raise UndoneError(self.record, error) from error
        except asyncio.CancelledError:
            await asyncio.shield(self.undo("cancelled"))
            raise
        return self.report

    async def _blackout(self, memory: GuestMemory, send: Send) -> None:
        """The phases in which the guest stands still."""
        frozen_at = monotonic()
        await self._phase(Phase.FREEZE, lambda: self._freeze(memory))
        await self._phase(Phase.TRANSFER, lambda: self._transfer(memory, send))
        self._require_wanted()  # for the last time
        self._switched = True
        await self._phase(Phase.SWITCH, self._switch)
        await self._phase(Phase.RESUME, self._resume)
        self.report.blackout_ms = (monotonic() - frozen_at) * 1000

    async def complete(self) -> MigrationReport:
        """Nothing is journalled, so nothing is found."""
        return self.report

    def abort(self) -> bool:
        """Ask for the migration to be undone; memory that is crossing is not waited for."""
        self.aborted = not self._switched
        if self.aborted and self._sending is not None:
            self._sending.cancel()
        return self.aborted

    async def undo(self, reason: str) -> None:
        """Plug the device in at the source again."""
        record = self.record
        try:
            async with self._plane.lock:
                self._plane.move(record.vm, record.source.server, record.source.vf)
                self._plane.placements[record.vm] = record.placements("active", None)
                await self._plane.program()
            await self._hypervisor.attach(record.vm, record.source.nic, record.source.vf)
        finally:
            await self._hypervisor.thaw(record.vm)
        self.report.outcome, self.report.reason = ROLLED_BACK, reason

    async def _pre_copy(self, memory: GuestMemory, send: Send) -> None:
        await memory.pre_copy(send)
        self.report.bytes_copied = memory.sent
        self.report.throttle_percent = memory.throttle * 100

    async def _freeze(self, memory: GuestMemory) -> None:
        self._require_wanted()
        await self._hypervisor.freeze(self.record.vm)
        memory.stop()

    async def _transfer(self, memory: GuestMemory, send: Send) -> None:
        await memory.copy(send)
        self.report.bytes_copied = memory.sent

    async def _send(self, channel: MemoryChannel, octets: int) -> None:
        """Memory crosses, until it has, or the user aborts."""
        self._sending = asyncio.create_task(channel.send(octets), name=f"memory {self.record.vm}")
        try:
            await self._sending
        except asyncio.CancelledError:
            self._require_wanted()
            raise

    def _require_wanted(self) -> None:
        """Raise ControlError if the user has aborted."""
        if self.aborted:
            raise ControlError(f"the migration of {self.record.vm} was aborted by the user.")

    async def _switch(self) -> None:
        record = self.record
        self._plane.move(record.vm, record.destination.server, record.destination.vf)
        self._plane.placements[record.vm] = record.placements(None, "active")
        await self._plane.program()
        await self._hypervisor.attach(record.vm, record.destination.nic, record.destination.vf)

    async def _resume(self) -> None:
        vm, nic = self.record.vm, self.record.destination.nic
        await self._hypervisor.thaw(vm)
        for told in of_vm(self._plane.state, vm, nic):
            await self._plane.announce(nic, told)

    async def _phase(self, phase: Phase, step: Callable[[], Awaitable[None]]) -> None:
        """Run a phase and note its time."""
        self.record = self.record.at(phase)
        began = monotonic()
        await step()
        time = PhaseTime(phase.value, (monotonic() - began) * 1000)
        self.report.phases.append(time)
        if self._progress is not None:
            self._progress(time)
