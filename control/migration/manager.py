"""All migrations of a lab: refused early, carried out, aborted, and recovered after a restart."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from control.errors import ControlError, NicDownError, RefusedError
from control.migration.record import Endpoint, Options, Phase, Record
from control.migration.report import ROLLED_BACK, MigrationReport, PhaseTime
from control.model import DesiredState, Placement
from control.model.checks import check_capacity
from control.store import Store

LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
PARALLEL = 3
Progress = Callable[[PhaseTime], None]


class Placed(Protocol):
    """The part of a plane that the manager looks at."""

    placements: dict[str, tuple[Placement, ...]]

    @property
    def state(self) -> DesiredState:
        """The desired state at present."""

    def is_up(self, nic: str) -> bool:
        """Whether a NIC is connected and programmed."""

    def uplinks(self, nic: str) -> frozenset[int]:
        """Uplink ports of a NIC that have link, as far as is known."""


class Run(Protocol):
    """One migration as a plane carries it out."""

    record: Record
    report: MigrationReport
    aborted: bool
    stuck: asyncio.Event
    """Set when it can neither be finished nor undone for long; ``report.reason`` tells why."""

    async def run(self) -> MigrationReport:
        """All phases after the check. Raises ControlError when it was rolled back."""

    async def complete(self) -> MigrationReport:
        """Finish a migration that the journal has in or after its switch."""

    async def undo(self, reason: str) -> None:
        """Put everything back as it was before the migration."""

    def abort(self) -> bool:
        """Ask for the migration to be undone; False once that is impossible."""


Begin = Callable[[Record, "Progress | None"], Run]


@dataclass(frozen=True)
class Tried:
    """A server that a VM was to go to, and why the migration was rolled back."""

    server: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """One VM of an evacuation: its report, or why it stayed; and where it was tried before."""

    vm: str
    report: MigrationReport | None
    error: str = ""
    tried: tuple[Tried, ...] = ()


class MigrationManager:
    """Starts, tracks and recovers migrations. Use it from the controller's event loop."""

    def __init__(self, plane: Placed, store: Store, begin: Begin) -> None:
        self._plane = plane
        self._store = store
        self._begin = begin
        self._running: dict[str, Run] = {}
        self._claimed: dict[str, Endpoint] = {}
        self._emptied: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def migrate(
        self,
        vm: str,
        server: str,
        options: Options | None = None,
        progress: Progress | None = None,
    ) -> MigrationReport:
        """Move a VM to another server.

        Raises RefusedError before anything changed, or ControlError after rolling back, or when it
        is stuck; it goes on by itself then.
        """
        attempt = self._begin(self._claim(vm, server, options), progress)
        return await self._carry_out(attempt, attempt.run())

    async def _carry_out(self, attempt: Run, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a migration whose destination is claimed; the VM stays claimed until it has ended."""
        vm = attempt.record.vm
        self._running[vm] = attempt
        ending = asyncio.create_task(work, name=f"migration of {vm}")
        ending.add_done_callback(lambda _: self._forget(vm))
        stuck = asyncio.create_task(attempt.stuck.wait(), name=f"stuck {vm}")
        try:
            await asyncio.wait({ending, stuck}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                return ending.result()
        except asyncio.CancelledError:
            ending.cancel()
            await asyncio.wait({ending, stuck}, return_when=asyncio.FIRST_COMPLETED)
            raise
        finally:
            stuck.cancel()
        self._keep(ending)
        raise ControlError(attempt.report.reason)

    def _forget(self, vm: str) -> None:
        del self._running[vm], self._claimed[vm]

    async def stream(
        self, vm: str, server: str, options: Options | None = None
    ) -> AsyncIterator[PhaseTime | MigrationReport]:
        """Like ``migrate``; yields each phase as it ends, then the report.

        The migration goes on when the caller stops listening.
        """
        ended: asyncio.Queue[PhaseTime | None] = asyncio.Queue()
        task = self._start(self.migrate(vm, server, options, ended.put_nowait), f"migrate {vm}")
        task.add_done_callback(lambda _: ended.put_nowait(None))
        while (phase := await ended.get()) is not None:
            yield phase
        yield task.result()

    def _start(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        """Do something that goes on when nobody waits for it."""
        return self._keep(asyncio.create_task(work, name=name))

    def _keep(self, task: asyncio.Task[_T]) -> asyncio.Task[_T]:
        """Let a task go on until it ends, or ``stop``."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            LOG.info("%s: %s", task.get_name(), task.exception())

    async def stop(self) -> None:
        """Cancel what is under way, which undoes it or leaves it in the journal, and wait."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def evacuate(self, server: str, options: Options | None = None) -> AsyncIterator[Outcome]:
        """Move all VMs off a server, several at a time; yields what became of each as it ends.

        One that cannot move does not stop others. Each goes to the server that has the most free
        VFs at that moment, of those that can take it; if it is rolled back for something that
        another server may not have, to the next, and to each once. The evacuation goes on when the
        caller stops listening; until it ends nothing moves to the server.
        """
        state = self._plane.state
        self._known("server", server, [s.name for s in state.servers])
        slots = asyncio.Semaphore(PARALLEL)
        leaving = [
            self._start(self._leave(vm.name, server, options, slots), f"evacuate {vm.name}")
            for vm in state.vms
            if vm.server == server or self._is_bound_for(vm.name, server)
        ]
        self._emptied[server] += 1
        asyncio.gather(*leaving, return_exceptions=True).add_done_callback(
            lambda _: self._emptied.subtract([server])
        )
        for ended in asyncio.as_completed(leaving):
            outcome = await ended
            if outcome is not None:
                yield outcome

    async def _leave(
        self, vm: str, server: str, options: Options | None, slots: asyncio.Semaphore
    ) -> Outcome | None:
        """Move a VM off a server; None if somebody else has done so before its turn came."""
        tried: tuple[Tried, ...] = ()
        async with slots:
            if self._is_bound_for(vm, server):
                words = (
                    f"{vm} is on its way to {server}; abort that, or evacuate it again afterwards."
                )
                return Outcome(vm, None, words)
            while self._plane.state.vm(vm).server == server:
                try:
                    others = self._others(server, [failed.server for failed in tried])
                    record = self._claim(vm, self._first_fit(vm, others), options)
                except ControlError as error:
                    return Outcome(vm, None, str(error), tried)
                attempt = self._begin(record, None)
                try:
                    return Outcome(vm, await self._carry_out(attempt, attempt.run()), tried=tried)
                except ControlError as error:
                    if len(others) == 1 or not _fits_elsewhere(attempt):
                        return Outcome(vm, None, str(error), tried)
                    tried += (Tried(record.destination.server, attempt.report.reason),)
        return None

    def _is_bound_for(self, vm: str, server: str) -> bool:
        return vm in self._claimed and self._claimed[vm].server == server

    def abort(self, vm: str) -> None:
        """Undo a migration that is under way. RefusedError if there is none, or it is too late."""
        attempt = self._running.get(vm)
        if attempt is None:
            raise RefusedError(f"{vm} is not migrating; there is nothing to abort.")
        if not attempt.abort():
            raise RefusedError(
                f"{vm} has switched to its new server already; migrate it back instead."
            )

    # -- recovery --------------------------------------------------------------------------------

    def restore(self) -> None:
        """At start, before NICs are programmed: place VMs as their interrupted migrations need."""
        for record in self._records():
            source, destination = _roles(record.phase)
            placements = record.placements(source, destination)
            self._plane.placements[record.vm] = placements

    def home(self, vm: str) -> tuple[str, int]:
        """The NIC and its VF where a VM belongs: of one that has switched, the destination's."""
        place = next(place for place in self._plane.placements[vm] if place.is_home)
        return place.nic, place.vf

    async def recover(self) -> list[MigrationReport]:
        """Once NICs are connected: finish or undo every migration that the journal has."""
        reports = []
        for record in self._records():
            attempt = self._begin(record, None)
            self._claimed[record.vm] = record.destination
            try:
                await self._carry_out(attempt, _taken_up(attempt))
            except ControlError as error:
                attempt.report.outcome, attempt.report.reason = "under way", str(error)
            reports.append(attempt.report)
        return reports

    def journal(self) -> dict[str, dict[str, Any]]:
        """Migrations under way by VM, as the journal has them."""
        return self._store.journal()

    def _records(self) -> list[Record]:
        return [Record.model_validate(body) for body in self.journal().values()]

    # -- the check phase -------------------------------------------------------------------------

    def _claim(self, vm: str, server: str, options: Options | None) -> Record:
        """Refuse what cannot work, and reserve the destination's VF."""
        record = self._check(vm, server, options)
        self._claimed[vm] = record.destination
        return record

    def _check(self, vm: str, server: str, options: Options | None = None) -> Record:
        """The migration that is to be. RefusedError or NicDownError if it cannot work."""
        state = self._plane.state
        self._known("VM", vm, [v.name for v in state.vms])
        self._known("server", server, [s.name for s in state.servers])
        guest = state.vm(vm)
        if self._emptied[server]:
            raise RefusedError(f"{server} is being evacuated; name another server.")
        if vm in self._claimed:
            where = self._claimed[vm].server
            raise RefusedError(f"{vm} is migrating to {where} already; wait, or abort it.")
        if guest.server == server:
            raise RefusedError(f"{vm} is on {server} already; name another server.")
        source = Endpoint(server=guest.server, nic=state.server(guest.server).nic, vf=guest.vf)
        destination = self._free_endpoint(server)
        self._keeps_promises(vm, server)
        for nic in (source.nic, destination.nic):
            if not self._plane.is_up(nic):
                raise NicDownError(f"{nic} is not connected; {vm} stays where it is. See: lab nics")
            if not self._plane.uplinks(nic):
                raise NicDownError(
                    f"{nic} has no uplink with link, and memory no path; {vm} stays where it is."
                )
        options = options or Options(memory_mib=guest.memory_mib)
        return Record(vm=vm, source=source, destination=destination, options=options)

    def _keeps_promises(self, vm: str, server: str) -> None:
        """Refuse a move after which a link could not keep the rates that are guaranteed on it."""
        state = self._plane.state
        going = {name: end.server for name, end in self._claimed.items()} | {vm: server}
        vms = [v.model_copy(update={"server": going.get(v.name, v.server)}) for v in state.vms]
        try:
            check_capacity(state.model_copy(update={"vms": vms}))
        except ValueError as error:
            raise RefusedError(f"{vm} cannot move to {server}: {error}.") from None

    def _free_endpoint(self, server: str) -> Endpoint:
        """The lowest free VF of a server. RefusedError if there is none."""
        free = self._free_vfs(server)
        nic = self._plane.state.server(server).nic
        if not free:
            raise RefusedError(
                f"{server} has no free VF: {nic} offers {self._plane.state.nic(nic).vfs} and "
                "all are assigned; move a VM away from it first."
            )
        return Endpoint(server=server, nic=nic, vf=free[0])

    def _free_vfs(self, server: str) -> list[int]:
        state = self._plane.state
        taken = {vm.vf for vm in state.vms if vm.server == server}
        nic = state.server(server).nic
        for placements in self._plane.placements.values():
            taken |= {p.vf for p in placements if p.nic == nic}
        taken |= {end.vf for end in self._claimed.values() if end.server == server}
        return [vf for vf in range(state.nic(nic).vfs) if vf not in taken]

    def _others(self, leaving: str, tried: Sequence[str]) -> list[str]:
        """Servers but one, and but those that were tried, roomiest first. RefusedError if none."""
        names = [s.name for s in self._plane.state.servers if s.name != leaving]
        if not names:
            raise RefusedError(f"there is no server but {leaving}; nothing can move.")
        others = [name for name in names if name not in tried]
        return sorted(others, key=lambda name: -len(self._free_vfs(name)))

    def _first_fit(self, vm: str, others: Sequence[str]) -> str:
        """The first of some servers that can take a VM; if none, raises the first one's reason."""
        objections = []
        for server in others:
            try:
                self._check(vm, server)
            except ControlError as error:
                objections.append(error)
            else:
                return server
        raise objections[0]

    def _known(self, what: str, name: str, known: list[str]) -> None:
        if name not in known:
            raise RefusedError(f"there is no {what} {name!r}; known: {', '.join(known) or 'none'}.")


def _roles(phase: Phase) -> tuple[str | None, str | None]:
    """Roles (source, destination) in which a migration interrupted in ``phase`` is taken up."""
    if not phase.forward:
        return "active", None
    return "moved", "active" if phase is Phase.RELEASE else "parked"


async def _taken_up(attempt: Run) -> None:
    """Finish or undo a migration that the journal has."""
    phase = attempt.record.phase
    if phase.forward:
        await attempt.complete()
    else:
        await attempt.undo(f"the controller stopped in phase {phase.value}")


def _fits_elsewhere(attempt: Run) -> bool:
    """Whether one that failed may succeed to another server: all is as before, and nobody minds.

    What fails at the freeze is at the source: the guest that does not stop.
    """
    undone = attempt.report.outcome == ROLLED_BACK and not attempt.aborted
    return undone and attempt.record.phase is not Phase.FREEZE
