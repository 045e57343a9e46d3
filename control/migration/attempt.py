"""One migration, phase by phase. docs/migration.md tells what holds at each step and why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, TypeVar

from control.errors import ControlError, NicDownError
from control.migration import faults
from control.migration.ahead import Ahead, plan_ahead
from control.migration.frames import HeldTraffic
from control.migration.manager import Progress
from control.migration.memory import GuestMemory, Send, monotonic
from control.migration.ports import Hypervisor, MovableState
from control.migration.record import Phase, Record, UndoneError
from control.migration.report import ROLLED_BACK, MigrationReport, PhaseTime
from control.migration.site import Site, together
from control.migration.turn import Turn

if TYPE_CHECKING:
    from control.store import Store

_T = TypeVar("_T")
Step = Callable[[], Awaitable[None]]
DRAIN_TIMES = 4  # at the most: senders on the source itself never stop, and may go either way
NIC_RETURN_S = 60.0
POLL_S = 0.02
STUCK_POLL_S = 0.5


class Attempt:
    """Carries one record through its phases: back before the switch, only forward after it."""

    def __init__(
        self,
        record: Record,
        site: Site,
        *,
        store: Store,
        hypervisor: Hypervisor,
        movers: Sequence[MovableState] = (),
        progress: Progress | None = None,
    ) -> None:
        self.record = record
        self.report = MigrationReport(record.vm, record.source.server, record.destination.server)
        self._traffic = HeldTraffic(record, site)
        self._site = site
        self._store = store
        self._turn = Turn(site.fabric.lock)
        self._hypervisor = hypervisor
        self._urgent = ExitStack()
        self._movers = movers
        self._progress = progress
        self.aborted = False
        self.stuck = asyncio.Event()
        self._frozen_at: float | None = None
        self._ahead: Ahead | None = None
        self._before_redirect: int | None = None
        self._destination_holds = False

    async def run(self) -> MigrationReport:
        """All phases from prepare on. Raises ControlError when it was rolled back."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._site.holding(self._traffic.arrived))
            stack.callback(self._turn.give)
            stack.callback(self._urgent.close)
            try:
                await self._until_switch(stack)
            except (ControlError, OSError) as error:
                await asyncio.shield(self.undo(str(error)))
                raise UndoneError(self.record, error) from error
            except asyncio.CancelledError:
                await asyncio.shield(self.undo("cancelled"))
                raise
            await self._forward(Phase.SWITCH, self._switch)
            await self._forward(Phase.RESUME, self._resume)
            self._urgent.close()
            self._turn.give()
            await self._forward(Phase.RELEASE, self._release)
        return self.report

    async def complete(self) -> MigrationReport:
        """Finish a migration that the journal has in or after its switch."""
        steps = ((Phase.SWITCH, self._switch), (Phase.RESUME, self._resume))
        reached = list(Phase).index(self.record.phase)
        with self._site.holding(self._traffic.arrived):
            self._urgent.enter_context(self._hypervisor.urgent())
            for phase, step in steps:
                if list(Phase).index(phase) >= reached:
                    await self._forward(phase, step)
            self._urgent.close()
            self._turn.give()
            await self._forward(Phase.RELEASE, self._release)
        self.report.outcome = "finished after a restart"
        return self.report

    def abort(self) -> bool:
        """Ask for the migration to be undone; False once the switch has begun."""
        self.aborted = not self.record.phase.forward
        return self.aborted

    async def undo(self, reason: str) -> None:
        """Back to where the VM was: it runs at the source, no trace is left at the destination."""
        self._urgent.enter_context(self._hypervisor.urgent())
        await self._insist(self._go_back, self.record.source.server)
        self._urgent.close()
        self._turn.give()
        self.report.outcome, self.report.reason = ROLLED_BACK, reason

    async def _go_back(self) -> None:
        """Undo all phases, whichever have begun; may be repeated."""
        record = self.record
        source, destination = record.source, record.destination
        await self._hypervisor.attach(record.vm, source.nic, source.vf)
        if self._site.is_up(source.nic):
            await self._traffic.release(source, self._thaw)
        await self._thaw()  # also where nothing can be delivered
        if self._site.is_up(source.nic):
            await self._traffic.followed(source)
        if self._destination_holds:
            await self._send_on_from_destination()
        await self._site.settle(record.placements("active", None), [source.nic])
        await self._site.caught_up([source.nic])  # what it sent up until then follows
        self._traffic.passing()
        await self._drop_state(destination.nic)
        await self._site.settle(record.placements("active", None), [destination.nic])
        self._finished()

    async def _send_on_from_destination(self) -> None:
        """What the destination has held is delivered; what comes there goes to the source."""
        ends = self.record.source.nic, self.record.destination.nic
        await self._site.settle(self.record.placements("active", "prepared"), ends)
        await self._site.caught_up(ends)

    # -- phases before the switch ------------------------------------------------------------------

    async def _until_switch(self, stack: AsyncExitStack) -> None:
        await self._phase(Phase.PREPARE, self._prepare)
        ends = self.record.source.server, self.record.destination.server
        connecting = stack.enter_async_context(self._hypervisor.memory_channel(*ends))
        channel = await self._on_its_way(connecting)

        async def send(octets: int) -> None:
            await self._on_its_way(channel.send(octets))

        memory = GuestMemory(self.record.options, monotonic)
        await self._phase(Phase.PRE_COPY, lambda: self._pre_copy(memory, send))
        await self._turn.take()
        ahead = self._ahead = plan_ahead(self.record, self._site)
        await memory.catch_up(send)
        self._urgent.enter_context(self._hypervisor.urgent())
        await self._phase(Phase.FREEZE, lambda: self._freeze(memory, ahead))
        await self._phase(Phase.TRANSFER, lambda: self._transfer(memory, send, ahead))
        self._require_way()  # for the last time: the switch begins without a pause

    async def _prepare(self) -> None:
        """The destination knows the VM, but nothing leads there."""
        async with self._turn:
            roles = self.record.placements("active", "prepared")
            await self._site.place(roles, [self.record.destination.nic])
        end = self.record.destination
        await self._hypervisor.make_way(self.record.vm, end.nic, end.vf)
        await self._copy_state()

    async def _pre_copy(self, memory: GuestMemory, send: Send) -> None:
        """Memory crosses while the guest runs."""
        await memory.pre_copy(send)
        self.report.bytes_copied = memory.sent
        self.report.throttle_percent = memory.throttle * 100
        await self._copy_state()

    async def _freeze(self, memory: GuestMemory, ahead: Ahead) -> None:
        """The guest stops; the source sends frames for it up to be held."""
        self._frozen_at = monotonic()
        await together(
            self._site.carry_out(self.record.placements("parked", "prepared"), ahead.park),
            self._hypervisor.freeze(self.record.vm),
        )
        memory.stop()

    async def _transfer(self, memory: GuestMemory, send: Send, ahead: Ahead) -> None:
        """What was still dirty, and what state has changed since; the destination is made to hold.

        It holds what its own VMs send from here on, and nothing else leads there yet.
        """
        self._destination_holds = True
        await together(
            memory.copy(send),
            self._note_seen(),
            self._site.carry_out(self.record.placements("parked", "parked"), ahead.hold),
        )
        self.report.bytes_copied = memory.sent
        await self._copy_state()

    async def _on_its_way(self, work: Awaitable[_T]) -> _T:
        """The result of what takes the path between the servers, as long as there is that path.

        Nobody waits for it to come back: the guest may stand still, and a NIC that died is not
        programmed while this migration has its turn. Nor does the user wait who has aborted.
        """
        working = asyncio.ensure_future(work)
        try:
            while not working.done():
                await asyncio.wait({working}, timeout=POLL_S)
                self._require_way()
            return working.result()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    # -- phases from the switch on: each may be repeated -------------------------------------------

    async def _switch(self) -> None:
        """The guest is connected to the destination, the source sends on, peers learn.

        At every moment a frame for the VM is held at the source, sent on by it, or held at the
        destination, which holds before anything leads there.
        """
        record, site = self.record, self._site
        source, destination = record.source.nic, record.destination.nic
        roles, ahead = record.placements("moved", "parked"), self._ahead
        if ahead is None:
            await site.place(roles, [destination])
        await self._hypervisor.attach(record.vm, destination, record.destination.vf)
        if ahead is not None:
            redirected = site.carry_out(roles, ahead.redirect, skip_down=True)
        else:
            redirected = site.settle(roles, [source, *site.others(source, destination)])
        await together(redirected, site.announce(destination))

    async def _resume(self) -> None:
        """Held frames first, then frames as they come; the guest runs as soon as it has the first.

        Until the destination's entry is ``deliver``, frames go on by way of the host, in order.
        """
        record = self.record
        nic, vf = record.destination.nic, record.destination.vf
        await self._traffic.release(record.destination, self._thaw)
        await self._traffic.followed(record.destination)
        roles = record.placements("moved", "active")
        if self._ahead is not None:
            await self._site.carry_out(roles, self._ahead.deliver)
        else:
            await self._site.place(roles, [nic])
        self._traffic.passing()
        await self._site.announce(nic)  # again: the first may be lost with a NIC that died
        self._site.fabric.move(record.vm, record.destination.server, vf)

    async def _release(self) -> None:
        """The source forgets the VM once nothing has arrived there for the drain time."""
        record = self.record
        await self._drain()
        await self._drop_state(record.source.nic)
        async with self._turn:
            roles = record.placements(None, "active")
            await self._site.settle(roles, [record.source.nic, record.destination.nic])
        self.report.held = self._traffic.frames.held
        self.report.late = self._traffic.late
        self.report.lost = self._traffic.lost
        self._finished()

    async def _drain(self) -> None:
        """Wait until the source's redirect entry counts no more frames."""
        drain_s = self.record.options.drain_s
        deadline = monotonic() + DRAIN_TIMES * drain_s
        last, quiet_since = -1, monotonic()
        while monotonic() < deadline and monotonic() - quiet_since < drain_s:
            count = await self._seen_by_source()
            if count is None:
                return  # a NIC that is down sends nothing on
            if count != last:
                last, quiet_since = count, monotonic()
            await asyncio.sleep(POLL_S)
        if self._before_redirect is not None:
            self.report.redirected = last - self._before_redirect

    async def _note_seen(self) -> None:
        """Remember how many frames have come before any is redirected."""
        self._before_redirect = await self._seen_by_source()

    async def _seen_by_source(self) -> int | None:
        """Frames for the VM that the source has handled; None while it is down."""
        try:
            return await self._site.frames_to(self.record.source.nic, self.record.source.vf)
        except NicDownError:
            return None

    # -- helpers -----------------------------------------------------------------------------------

    async def _phase(self, phase: Phase, step: Step) -> None:
        """Journal a phase, run it, and note its time."""
        if not phase.forward:
            self._require_way()
        self.record = self.record.at(phase)
        self._store.journal_put(self.record.vm, self.record.model_dump(mode="json"))
        began = monotonic()
        await faults.reach(phase.value)
        await step()
        await faults.reach(f"{phase.value}.done")
        time = PhaseTime(phase.value, (monotonic() - began) * 1000)
        self.report.phases.append(time)
        if self._progress is not None:
            self._progress(time)

    async def _forward(self, phase: Phase, step: Step) -> None:
        """Run a phase until it succeeds: there is no way back."""
        where, alone = self.record.destination.server, phase is not Phase.RELEASE
        await self._insist(lambda: self._phase(phase, step), where, alone=alone)

    async def _insist(self, step: Step, where: str, *, alone: bool = True) -> None:
        """Take a step until it succeeds, since a NIC that died comes back; ``alone``: locked."""
        deadline = monotonic() + NIC_RETURN_S
        while True:
            try:
                if alone:
                    await self._turn.take()
                return await step()
            except (ControlError, OSError) as error:
                self._urgent.close()  # what has to be waited for does not come sooner
                self._ahead = None  # what the NICs hold now must be looked up
                self._turn.give()  # the NIC's reconciliation needs it
                if monotonic() > deadline:
                    self._tell_stuck(where, error)
                await asyncio.sleep(STUCK_POLL_S if self.stuck.is_set() else POLL_S)

    def _tell_stuck(self, where: str, error: Exception) -> None:
        """Let nobody wait any longer for what goes on as soon as it can."""
        self.report.reason = (
            f"{self.record.vm} is on its way to {where} and cannot go on: {error} "
            "It goes on by itself when that has passed, also after a restart of the controller."
        )
        self.stuck.set()

    def _require_way(self) -> None:
        """Raise ControlError if the user has aborted, or memory cannot reach the destination."""
        record = self.record
        if self.aborted:
            raise ControlError(f"the migration of {record.vm} was aborted by the user.")
        ends = record.source.nic, record.destination.nic
        lost = [nic for nic in ends if not self._site.is_reachable(nic)]
        if lost:
            raise NicDownError(
                f"guest memory does not reach {record.destination.server}: "
                f"{' and '.join(lost)} went down or lost its uplinks."
            )

    async def _copy_state(self) -> None:
        ends = self.record.source.nic, self.record.destination.nic
        for mover in self._movers:
            self.report.state_entries += await mover.copy(self.record.vm, *ends)

    async def _drop_state(self, nic: str) -> None:
        for mover in self._movers:
            await mover.drop(self.record.vm, nic)

    async def _thaw(self) -> None:
        await self._hypervisor.thaw(self.record.vm)
        if self._frozen_at is not None:
            self.report.blackout_ms = (monotonic() - self._frozen_at) * 1000
            self._frozen_at = None

    def _finished(self) -> None:
        """The VM is where the desired state says; the journal forgets the migration."""
        self._store.journal_drop(self.record.vm)
