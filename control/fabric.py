"""All P4 NICs of a lab: desired state compiled, differences written, restarts reconciled."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from finsy.proto import p4r

from control import announce
from control.counters import port_stats
from control.difference import Key
from control.errors import ControlError, NicDownError, RefusedError
from control.events import HISTORY, EventBus
from control.model import DesiredState, Placement
from control.nic import Nic, Step
from control.plane import Edit, NicStatus, PortStats, tell_uplinks
from control.policy import Entry, NicProgram, compile_nic, placements_of
from control.policy.reasons import PORT_CPU, PORT_UPLINK, PORT_VF0, PUNT_NONE, PuntReason
from control.policy.room import lacking
from control.policy.swap import NoRoom, stages
from control.session import PacketIn, PacketOut, Pipeline
from control.store import POLICY_NUMBERS, STATE, Store

LOG = logging.getLogger(__name__)
CONNECTION_TABLES = frozenset({"connection_v4_table", "connection_v6_table"})

Held = tuple[int, bytes, int]
"""A frame held for a frozen VM: the port where it came in, the frame, and its network."""
PacketHandler = Callable[[str, Sequence[PacketIn]], Awaitable[None]]
HeldHandler = Callable[[str, Sequence[Held]], Awaitable[None]]
Placements = Mapping[str, Sequence[Placement]]
Plan = Mapping[str, Step]
Entities = Mapping[Key, p4r.Entity]


Compiler = Callable[..., NicProgram]
"""(state, NIC, placements, tags=...) -> what the NIC holds, as ``control.policy.compile_nic``."""
OUT_TO_PORT = 0  # packet_out mode: straight out of `port`, past all tables
ECHO_S = 0.1  # a NIC whose queue is longer than this is not waited for
_ECHO = bytes(12) + (0x88B5).to_bytes(2, "big")  # local experimental type; a number follows


@dataclass(frozen=True)
class Endpoint:
    """Where one NIC serves P4Runtime."""

    nic: str
    address: str
    device_id: int


class Companion(Protocol):
    """Somebody who programs tables of his own beside the fabric, such as connections."""

    async def session(self, nic: Nic) -> None:
        """A session with a NIC has begun, and the NIC is programmed."""

    async def changed(self) -> None:
        """The desired state has changed, and all NICs are programmed."""

    async def stop(self) -> None:
        """The fabric stops."""


class Fabric:
    """Owns one session task per NIC and the desired state. Implements ``Plane``.

    Whoever changes entries holds ``lock``: policy changes, reconciliations, migrations.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        pipeline: Pipeline,
        store: Store,
        bus: EventBus,
        compiler: Compiler = compile_nic,
    ) -> None:
        self._compiler = compiler
        self.bus = bus
        self.lock = asyncio.Lock()
        self.placements: dict[str, tuple[Placement, ...]] = {}
        self._store = store
        self._state: DesiredState | None = None
        self._nics = {
            end.nic: Nic(end.nic, end.address, end.device_id, pipeline, keep=CONNECTION_TABLES)
            for end in endpoints
        }
        self._tags: dict[str, Mapping[str, int]] = {}
        self._entries: dict[str, int] = {}
        self._programs: dict[str, NicProgram] = {}
        self._uplinks: dict[str, frozenset[int]] = {}
        self._without_link: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._handlers: dict[int, list[PacketHandler]] = {}
        self._echoes: dict[bytes, asyncio.Future[None]] = {}
        self._echo_number = 0
        self.companions: list[Companion] = []

    @property
    def state(self) -> DesiredState:
        """The desired state at present."""
        if self._state is None:
            raise ControlError("the controller has not been started.")
        return self._state

    def is_up(self, nic: str) -> bool:
        """Whether a NIC is connected and programmed."""
        return self.nic(nic).is_up

    @property
    def nic_names(self) -> list[str]:
        """All NICs, in the state's order."""
        return list(self._nics)

    def nic(self, name: str) -> Nic:
        """The session with a NIC; ControlError if there is no such NIC."""
        try:
            return self._nics[name]
        except KeyError:
            known = ", ".join(self._nics)
            raise ControlError(f"there is no NIC {name!r}; known: {known}.") from None

    # life cycle

    async def start(self, state: DesiredState) -> None:
        """Take up a desired state and begin connecting to every NIC."""
        self._adopt(state)
        self._tags = self._store.load(POLICY_NUMBERS) or {}
        for nic in self._nics.values():
            task = asyncio.create_task(
                nic.run(self._on_up, self._on_refused), name=f"nic {nic.name}"
            )
            task.add_done_callback(_log_defect)
            self._tasks.append(task)

    async def stop(self) -> None:
        """End all sessions and wait for their tasks."""
        for companion in self.companions:
            await companion.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def wait_ready(self, timeout: float) -> None:
        """Wait until every NIC is programmed; ControlError with the NICs' last words if not."""
        ready = asyncio.gather(*(nic.wait_up() for nic in self._nics.values()))
        failed = [asyncio.ensure_future(nic.wait_failed()) for nic in self._nics.values()]
        waited: list[asyncio.Future[Any]] = [ready, *failed]
        await asyncio.wait(
            [*waited, *self._tasks], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        is_ready = ready.done()
        await _cancel(*waited)
        if is_ready:
            return
        for task in self._tasks:
            if task.done():
                task.result()  # a defect: its traceback belongs into the log
        down = [nic for nic in self._nics.values() if not nic.is_up]
        # One that has refused something says why; those behind it were not waited for.
        down = [nic for nic in down if nic.last_error] or down
        reasons = "; ".join(nic.last_error or f"nothing listens at {nic.address}" for nic in down)
        names = ", ".join(nic.name for nic in down)
        raise ControlError(f"{names} cannot be programmed: {reasons}")

    def _on_refused(self, nic: Nic) -> None:
        self.bus.emit("nic", nic.name, f"not programmed: {nic.last_error}")

    async def _on_up(self, nic: Nic) -> None:
        """A session begins: program the NIC, and take its packets until the session ends."""
        again = " again" if nic.sessions > 1 else ""
        self.bus.emit("nic", nic.name, f"connected{again} at {nic.address}")
        async with self.lock:
            await self._program(nic)
        task = asyncio.create_task(self._take_packets(nic), name=f"packets {nic.name}")
        nic.at_end_of_session(task.cancel)
        for companion in self.companions:
            await companion.session(nic)

    # desired state

    def _adopt(self, state: DesiredState) -> None:
        """Take a state as the present one, with every VM where it puts it."""
        self._state = state
        self.placements = {p.vm: (p,) for p in placements_of(state)}

    async def change(self, state: DesiredState) -> None:
        """See ``Plane.change``."""
        await self.edit(lambda _: state)

    async def edit(self, edit: Edit) -> None:
        """Program an edited state everywhere and save it; see ``Plane.edit``."""
        async with self.lock:
            state = edit(self.state)
            wanted = self.check(state)
            before, placements = self.state, self.placements
            self._state, self.placements = state, self._placements_in(state)
            try:
                await self._write(wanted)
            except ControlError:
                self._state, self.placements = before, placements
                await self.program()
                raise
            self.save()
            for companion in self.companions:
                await companion.changed()

    def move(self, vm: str, server: str, vf: int) -> None:
        """Note in the desired state that a VM runs elsewhere, and save it; writes no entries."""
        moved = self.state.vm(vm).model_copy(update={"server": server, "vf": vf})
        vms = [moved if other.name == vm else other for other in self.state.vms]
        self._state = self.state.model_copy(update={"vms": vms})
        self.save()

    def save(self) -> None:
        """Store the desired state, and the numbers by which the NICs know its policies."""
        self._store.save(STATE, self.state.model_dump(mode="json"))
        self._store.save(POLICY_NUMBERS, self._tags)

    # programming

    async def program(self, nics: Iterable[str] | None = None) -> None:
        """Bring NICs (default: all) up to date; those that are down follow when they are back.

        The caller holds ``lock``.
        """
        names = self.nic_names if nics is None else nics
        connected = [nic for nic in map(self.nic, names) if nic.is_up]
        await self._write({nic.name: self._stages(nic, self.placements) for nic in connected})

    async def _write(self, wanted: Mapping[str, Sequence[NicProgram]]) -> None:
        """Bring the NICs that are connected to their programs."""
        results = await asyncio.gather(
            *(
                self._walk(nic, wanted[nic.name])
                for nic in self._nics.values()
                if nic.is_up and nic.name in wanted
            ),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, (NicDownError, asyncio.CancelledError)):
                # The client library cancels what waits for a session that ends.
                LOG.warning("a session ended during a write: %s", result)
            elif isinstance(result, BaseException):
                raise result

    async def audit(self) -> list[str]:
        """Read every NIC back and correct it; what had to be written, in words: nothing, mostly."""
        found = []
        async with self.lock:
            for nic in self._nics.values():
                nic.forget()
                difference = await nic.reconcile(self._compile(nic, self.placements))
                found += [f"{nic.name}: {nic.encoder.describe(u)}" for u in difference.updates]
        return found

    async def _program(self, nic: Nic) -> None:
        """Write what differs between what one NIC holds and what it should hold."""
        if not await nic.holds_rules():
            self._programs.pop(nic.name, None)  # restarted: nothing stands beside the new rules
        await self._walk(nic, self._stages(nic, self.placements))

    async def _walk(self, nic: Nic, programs: Iterable[NicProgram]) -> None:
        """Bring one NIC to the last of some programs, by way of the others."""
        for program in programs:
            before = self._tags.get(nic.name, {})
            entities = self._take(nic, program)
            self._tags[nic.name] = {**before, **program.tags}  # either may be there if this fails
            difference = await nic.reconcile(entities)
            self._tags[nic.name] = program.tags
            self._report(nic, Step(difference, {}))

    def check(self, state: DesiredState) -> dict[str, list[NicProgram]]:
        """By NIC, the programs by which it comes to hold a state; nothing is written.

        Raises ControlError if a NIC has no room for the state, or for the change to it.
        """
        placements = self._placements_in(state)
        return {nic.name: self._stages(nic, placements, state) for nic in self._nics.values()}

    def _placements_in(self, state: DesiredState) -> dict[str, tuple[Placement, ...]]:
        """Where the VMs of a state are: where they are now, or else where it puts them."""
        return {p.vm: self.placements.get(p.vm, (p,)) for p in placements_of(state)}

    def _stages(
        self, nic: Nic, placements: Placements, state: DesiredState | None = None
    ) -> list[NicProgram]:
        """Programs by which a NIC comes to hold a state; ControlError if it has no room."""
        program = self._build(nic, placements, state)
        try:
            return stages(program, nic.encoder.table_sizes, self._programs.get(nic.name))
        except NoRoom as error:
            raise _no_room(nic, error.words) from None

    def _build(
        self, nic: Nic, placements: Placements, state: DesiredState | None = None
    ) -> NicProgram:
        """What a NIC should hold with the VMs placed so."""
        everyone = [place for places in placements.values() for place in places]
        try:
            return self._compiler(
                state or self.state,
                nic.name,
                everyone,
                uplinks_up=self.uplinks(nic.name),
                tags=self._tags.get(nic.name),
            )
        except ValueError as error:
            raise RefusedError(str(error)) from None

    def _compile(self, nic: Nic, placements: Placements) -> Entities:
        """The entities that a NIC should hold with the VMs placed so, from now on."""
        program = self._build(nic, placements)
        missing = lacking(program, nic.encoder.table_sizes, self._programs.get(nic.name))
        if missing:
            raise _no_room(nic, missing)
        return self._take(nic, program)

    def _take(self, nic: Nic, program: NicProgram) -> Entities:
        """Note that a NIC is to hold a program; its entities."""
        self._programs[nic.name] = program
        entities = nic.encoder.indexed(program)
        self._tags[nic.name] = program.tags
        self._entries[nic.name] = len(entities)
        return entities

    def plan(
        self, placements: Placements, after: Plan | None = None, nics: Iterable[str] | None = None
    ) -> Plan:
        """What is to be written, by NIC, when some VMs' placements change (``after`` a plan).

        Nothing is read or written. Raises NicDownError if one of ``nics`` (default: all) is not
        connected.
        """
        everyone = {**self.placements, **placements}
        sessions = self._nics.values() if nics is None else [self.nic(name) for name in nics]
        return {
            nic.name: nic.step(self._compile(nic, everyone), after[nic.name] if after else None)
            for nic in sessions
        }

    async def execute(self, nic: str, step: Step) -> None:
        """Write one NIC's part of a plan. The caller holds ``lock`` and sets ``placements``."""
        session = self.nic(nic)
        await session.execute(step)
        self._report(session, step)

    def _report(self, nic: Nic, step: Step) -> None:
        """Tell the event bus what was written."""
        if step.difference:
            self.bus.emit("write", nic.name, str(step.difference))
        for update in step.difference.updates[-HISTORY:]:
            self.bus.emit("write", nic.name, nic.encoder.describe(update))

    def policy_entries(self, nic: str) -> Sequence[Entry]:
        """The entries that policy last made for a NIC, with their notes."""
        program = self._programs.get(nic)
        return () if program is None else program.entries

    def uplinks(self, nic: str) -> frozenset[int]:
        """Uplink ports of a NIC whose link is up; all of them until somebody says otherwise."""
        ports = frozenset(range(PORT_UPLINK, PORT_UPLINK + self.state.nic(nic).uplinks))
        return self._uplinks.get(nic, ports)

    def has_link(self, nic: str) -> bool:
        """Whether a NIC has an uplink with link; told at once, whoever has the lock."""
        return nic not in self._without_link

    async def restarted(self, nic: str) -> None:
        """Nothing: the NIC's session notices by itself."""

    async def set_uplinks(self, nic: str, ports: frozenset[int]) -> None:
        """Note which uplinks of a NIC have link: traffic leaves a dead one with one write."""
        if ports:
            self._without_link.discard(nic)
        else:
            self._without_link.add(nic)
        if ports == self.uplinks(nic):
            return
        tell_uplinks(self.bus, nic, ports)
        async with self.lock:
            self._uplinks[nic] = ports
            await self.program([nic])
        if ports:
            await self._announce_all(nic)

    async def _announce_all(self, nic: str) -> None:
        """Tell the physical network that what is behind a NIC is now behind its present uplinks."""
        here = [
            vm
            for vm, places in self.placements.items()
            if any(p.nic == nic and p.is_home for p in places)
        ]
        session = self.nic(nic)
        frames = [
            PacketOut(frame, (OUT_TO_PORT, port, network.id))
            for port, network, frame in announce.of_nic(self.state, nic, here)
        ]
        with contextlib.suppress(NicDownError):
            await session.packet_outs(frames)

    def status(self) -> list[NicStatus]:
        """Every NIC, in the state's order."""
        return [
            NicStatus(
                nic=nic.name,
                address=nic.address,
                device_id=nic.device_id,
                up=nic.is_up,
                entries=self._entries.get(nic.name, 0),
                sessions=nic.sessions,
            )
            for nic in self._nics.values()
        ]

    # packets and counters

    @contextlib.contextmanager
    def on_packet(self, reason: int, handler: PacketHandler) -> Iterator[None]:
        """Call ``handler`` with the packets that a NIC sends up for ``reason``."""
        handlers = self._handlers.setdefault(reason, [])
        handlers.append(handler)
        try:
            yield
        finally:
            handlers.remove(handler)

    @contextlib.contextmanager
    def holding(self, vm: str, handler: HeldHandler) -> Iterator[None]:
        """Call ``handler`` with a NIC and the frames that it has sent up to be held for a VM."""

        async def held(nic: str, packets: Sequence[PacketIn]) -> None:
            ports = {p.vf + PORT_VF0 for p in self.placements.get(vm, ()) if p.nic == nic}
            frames = [
                (metadata["ingress_port"], payload, metadata["network"])
                for metadata, payload in packets
                if metadata["destination_port"] in ports
            ]
            if frames:
                await handler(nic, frames)

        with self.on_packet(PuntReason.HELD, held):
            yield

    async def _take_packets(self, nic: Nic) -> None:
        """Hand packet-ins to the handlers until cancelled: in their order, by reason."""
        async for packets in nic.packets():
            for reason, alike in itertools.groupby(packets, _reason):
                if reason == PUNT_NONE:
                    self._echoed(alike)
                else:
                    await self._hand_on(nic.name, reason, list(alike))

    def _echoed(self, packets: Iterable[PacketIn]) -> None:
        for _, payload in packets:
            echo = self._echoes.get(payload)
            if echo is not None and not echo.done():
                echo.set_result(None)

    async def _hand_on(self, nic: str, reason: int, packets: Sequence[PacketIn]) -> None:
        words = _punt_words(reason)
        metadata, payload = packets[0]
        text = f"{len(payload)} bytes from port {metadata['ingress_port']}: {words}"
        more = f" and {len(packets) - 1} more of the same kind" if len(packets) > 1 else ""
        self.bus.emit("packet_in", nic, text + more)
        for handler in list(self._handlers.get(reason, ())):
            try:
                await handler(nic, packets)
            except ControlError as error:
                LOG.warning("%s: packet-in (%s) not handled: %s", nic, words, error)

    async def caught_up(self, nic: str) -> None:
        """Wait until the handlers have had all that a NIC has sent up so far, if it is there.

        A frame goes out of the NIC's port to the host, and comes back behind whatever waits there.
        """
        self._echo_number += 1
        frame = (_ECHO + self._echo_number.to_bytes(8, "big")).ljust(60, b"\0")
        self._echoes[frame] = asyncio.get_running_loop().create_future()
        try:
            await self.nic(nic).packet_out(frame, mode=OUT_TO_PORT, port=PORT_CPU, network=0)
            await asyncio.wait_for(self._echoes[frame], ECHO_S)
        except (NicDownError, asyncio.TimeoutError):
            LOG.warning("%s does not echo; frames held there may be overtaken", nic)
        finally:
            del self._echoes[frame]

    async def announce(self, nic: str, told: announce.Announcement) -> None:
        """Send an announcement out of the NIC's port that it is for."""
        await self.nic(nic).packet_out(
            told.frame, mode=OUT_TO_PORT, port=told.port, network=told.network.id
        )

    async def port_stats(self, nic: str, ports: Sequence[int]) -> dict[int, PortStats]:
        """Counters of some ports of one NIC, as the guest behind the port sees them."""
        return await port_stats(self.nic(nic), ports)

    async def frames_to(self, nic: str, port: int) -> int:
        """Frames that have met a VF's entry in the destination table since it was installed."""
        session = self.nic(nic)
        query = p4r.Entity()
        query.table_entry.table_id = session.encoder.table_ids["destination_table"]
        match = query.table_entry.match.add(field_id=1)  # the P4 program pins it: port
        match.exact.value = port.to_bytes(2, "big").lstrip(b"\0")
        query.table_entry.counter_data.SetInParent()
        found = await session.read([query])
        return sum(entity.table_entry.counter_data.packet_count for entity in found)


def _log_defect(task: asyncio.Task[None]) -> None:
    """A session task ends only when it is cancelled; anything else is a defect."""
    if not task.cancelled() and (error := task.exception()) is not None:
        LOG.error("task %s failed", task.get_name(), exc_info=error)


async def _cancel(*futures: asyncio.Future[Any]) -> None:
    """Cancel futures and wait for them."""
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)


def _no_room(nic: Nic, words: Iterable[str]) -> ControlError:
    """The refusal of what does not fit into a NIC's tables."""
    return ControlError(f"RESOURCE_EXHAUSTED: {nic.name} has no room: {'; '.join(words)}.")


def _reason(packet: PacketIn) -> int:
    return packet.metadata["reason"]


def _punt_words(reason: int) -> str:
    """A packet-in's reason in words."""
    try:
        return PuntReason(reason).name.lower().replace("_", " ")
    except ValueError:
        return f"reason {reason}"
