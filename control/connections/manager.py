"""Connections in all NICs: new ones judged and installed, ended ones removed, moved ones copied."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from control.connections.adopt import adopt
from control.connections.choice import PortPool
from control.connections.decide import Decider, Decision, Punt, Refusal
from control.connections.flow import FIN, RST, TCP, Flow, parse, rewrite
from control.connections.record import (
    FROM_INITIATOR,
    FROM_RESPONDER,
    Change,
    Connection,
    EntryKey,
)
from control.connections.related import Related, icmp_error, related
from control.errors import ControlError
from control.inbox import Inbox
from control.policy.entries import Entry
from control.policy.reasons import PuntReason
from control.quirks import AGE_STEP_S, FRESH_S

LOG = logging.getLogger(__name__)
QUEUE = 8192
BATCH = 512
LINGER_S = 2.0
SWEEP_S = 0.5
SOFTWARE_IDLE_S = 120.0
RESUME, RESUME_APPROVED = 1, 2
FULL = "RESOURCE_EXHAUSTED"
EXISTS = "ALREADY_EXISTS"
MISSING = "NOT_FOUND"

Frame = tuple[bytes, int, int, int]  # frame, packet_out mode, port, network
Halves = dict[EntryKey, Flow | None]


class Switchboard(Protocol):
    """What connections need of the NICs. Errors are ControlError."""

    async def write_each(self, nic: str, changes: Sequence[Change]) -> list[str]:
        """Write changes that are independent of each other; per change "" or why it failed."""

    async def resume(self, nic: str, frames: Sequence[Frame]) -> None:
        """Send frames on."""

    async def set_overflow(self, nic: str, on: bool) -> None:
        """Whether a NIC asks the host about what it denies to stateful VMs."""

    async def idle_s(self, nic: str, keys: Sequence[EntryKey]) -> dict[EntryKey, float]:
        """Seconds since entries were last hit, or made; those that are not there are left out."""


class ConnectionManager:
    """Owns every connection of the fabric. All methods run in one event loop.

    ``decider`` is asked for the current decider whenever one is needed.
    """

    def __init__(
        self,
        board: Switchboard,
        decider: Callable[[], Decider],
        pools: dict[str, PortPool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._decider = decider
        self._pools = pools
        self._clock = clock
        self._by_entry: dict[EntryKey, Connection] = {}
        self._software: dict[EntryKey, tuple[Connection, float]] = {}
        self._overflowing: set[str] = set()
        self._closing: deque[Connection] = deque()  # by the time at which they end
        self._of_vm: defaultdict[str, set[Connection]] = defaultdict(set)
        self._moved: list[tuple[float, int, Connection]] = []  # heap by when they may be idle
        self._serial = itertools.count()
        self._paid: Counter[str] = Counter()
        self._queue: Inbox[Punt] = Inbox(QUEUE)
        self._lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.refused: Counter[Refusal] = Counter()
        self.installed = 0

    def __len__(self) -> int:
        return len(set(self._by_entry.values()))

    def count(self, vm: str) -> int:
        """Connections that count against a VM's quota."""
        return self._paid[vm]

    def of_vm(self, vm: str) -> frozenset[Connection]:
        """The connections of a VM that are in the NICs."""
        return frozenset(self._of_vm.get(vm, ()))

    # life cycle

    def start(self) -> None:
        """Begin to take packets and to remove what has ended."""
        self._tasks = [
            asyncio.create_task(self._work(), name="connections"),
            asyncio.create_task(self._sweep_forever(), name="connection sweep"),
        ]

    async def stop(self) -> None:
        """Stop; what is in the NICs stays there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    @property
    def overflow(self) -> int:
        """Packet-ins dropped because the host did not keep up."""
        return self._queue.dropped

    def offer(self, punts: Iterable[Punt]) -> None:
        """Take packet-ins; when the host cannot keep up they are dropped and counted."""
        self._queue.put(punts)

    async def _work(self) -> None:
        while True:
            batch = await self._queue.take(BATCH)
            try:
                await self.handle(batch)
            except ControlError as error:
                LOG.warning("connections: %d packets not handled: %s", len(batch), error)

    # new connections

    async def handle(self, batch: Sequence[Punt]) -> None:
        """Decide for packets, install what is new in one write per NIC, send the packets on."""
        async with self._lock:
            decider = self._decider()
            fresh: dict[EntryKey, Connection] = {}
            wanted: dict[Connection, Halves] = {}
            ways = [self._decided(decider, punt, fresh, wanted) for punt in batch]
            await self._install(wanted)
            frames: dict[str, list[Frame]] = {}
            for punt, way in zip(batch, ways, strict=True):
                if not isinstance(way, Refusal):
                    frames.setdefault(punt.nic, []).append(self._onward(decider, punt, way))
            for nic, some in frames.items():
                await self._board.resume(nic, some)

    def _decided(
        self,
        decider: Decider,
        punt: Punt,
        fresh: dict[EntryKey, Connection],
        wanted: dict[Connection, Halves],
    ) -> Decision | Related:
        """A decision, for which a connection that exists already stands in."""
        if punt.reason == PuntReason.RELATED or (
            punt.reason == PuntReason.ROUTER and icmp_error(punt.frame) is not None
        ):
            return self._about(decider, punt)
        seen = decider.look(punt)
        if seen is not None:
            known = fresh.get(seen.key) or self._known(seen.key)
            if known is not None:
                return known
        if punt.reason in (PuntReason.OVERFLOW, PuntReason.ROUTER):
            return self._refuse(Refusal.POLICY)
        decision = decider.decide(punt, seen)
        if isinstance(decision, Refusal):
            return self._refuse(decision)
        quota = decider.quota.get(decision.payer, 0)
        if quota and self._paid[decision.payer] >= quota:
            self._forget_port(decision)
            return self._refuse(Refusal.QUOTA)
        halves = decision.entries(decider.places)
        if halves:
            self._paid[decision.payer] += 1
            wanted[decision] = halves
            fresh.update(dict.fromkeys(halves, decision))
        return decision

    def _about(self, decider: Decider, punt: Punt) -> Decision | Related:
        """How an ICMP error goes on. What the router itself gets and is about nobody ends there."""
        error = related(decider, punt, self._known)
        if error is None or (punt.reason == PuntReason.ROUTER and error.frame == punt.frame):
            return self._refuse(Refusal.UNRELATED)
        return error

    def _refuse(self, refusal: Refusal) -> Refusal:
        self.refused[refusal] += 1
        return refusal

    def _known(self, key: EntryKey) -> Connection | None:
        """The connection that a packet belongs to, if it exists: a packet sent again."""
        found = self._by_entry.get(key)
        if found is None and key in self._software:
            found = self._software[key][0]
            self._software[key] = (found, self._clock())
        return found

    async def _install(self, wanted: Mapping[Connection, Halves]) -> None:
        """Write the entries of new connections; those that do not fit are kept in software."""
        by_nic: dict[str, list[tuple[Connection, EntryKey, Flow | None]]] = {}
        for connection, halves in wanted.items():
            for key, becomes in halves.items():
                by_nic.setdefault(key[0], []).append((connection, key, becomes))
        writes = [
            self._write(nic, [connection.insert(key, becomes) for connection, key, becomes in some])
            for nic, some in by_nic.items()
        ]
        failed: dict[Connection, Halves] = {}
        for items, results in zip(by_nic.values(), await asyncio.gather(*writes), strict=True):
            for (connection, key, becomes), result in zip(items, results, strict=True):
                if result in ("", EXISTS):
                    self._note(connection, key, becomes)
                else:
                    failed[connection] = wanted[connection]
        self.installed += len(wanted) - len(failed)
        if failed:
            await self._to_software(failed)

    def _note(self, connection: Connection, key: EntryKey, becomes: Flow | None) -> None:
        """An entry of a connection is in its NIC."""
        if not connection.installed:
            for vm in (connection.vm_a, connection.vm_b):
                if vm is not None:
                    self._of_vm[vm].add(connection)
        connection.installed[key] = becomes
        self._by_entry[key] = connection

    async def _write(self, nic: str, changes: Sequence[Change]) -> list[str]:
        """Write to one NIC; one that is away gets its connections when it is back."""
        try:
            return await self._board.write_each(nic, changes)
        except ControlError as error:
            LOG.warning("connections of %s: %s", nic, error)
            return [""] * len(changes)

    async def _to_software(self, connections: Mapping[Connection, Halves]) -> None:
        """A table is full: the host forwards these connections' packets itself."""
        await self._uninstall(connections)
        for connection, halves in connections.items():
            for key in halves:
                self._software[key] = (connection, self._clock())
        await self._tell_overflow()

    async def _tell_overflow(self) -> None:
        """Let the NICs with connections beyond their tables, and only they, ask the host."""
        beyond = {key[0] for key in self._software}
        for nic in beyond ^ self._overflowing:
            try:
                await self._board.set_overflow(nic, nic in beyond)
            except ControlError as error:
                LOG.warning("connections of %s: %s", nic, error)
        self._overflowing = beyond

    def in_software(self, punt: Punt) -> bool:
        """Whether a packet belongs to a connection that the host forwards itself."""
        seen = self._decider().look(punt)
        return seen is not None and seen.key in self._software

    def _onward(
        self, decider: Decider, punt: Punt, way: Connection | Related
    ) -> tuple[bytes, int, int, int]:
        """How a packet goes on: by its entries, or rewritten here if it has none."""
        if isinstance(way, Connection) and way.installed:
            return (punt.frame, RESUME, punt.in_port, punt.network)
        if isinstance(way, Related):
            return (way.frame, RESUME_APPROVED, punt.in_port, way.network)
        frame, network = punt.frame, punt.network
        if way.translated:
            packet = parse(frame)
            if packet is not None:
                forward = packet.flow == way.before
                frame = rewrite(frame, packet, way.after if forward else way.before.reverse)
                if not forward and way.vm_a is not None:
                    network = decider.network_of(way.vm_a)
        return (frame, RESUME_APPROVED, punt.in_port, network)

    # the end of connections

    def closed_by(self, nic: str, digest: Sequence[int]) -> None:
        """Take a closing_connection_t: zone, src, dst, src_port, dst_port, flags."""
        zone, src, dst, src_port, dst_port, flags = digest
        versions = (6,) if max(src, dst) >> 32 else (4, 6)
        for version in versions:
            flow = Flow(version, src, dst, TCP, src_port, dst_port)
            self.closing((nic, zone, flow), flags)

    def closing(self, key: EntryKey, flags: int) -> None:
        """A FIN or RST passed an entry: after both FINs, or one RST, the pair ends soon."""
        connection = self._by_entry.get(key)
        if connection is None:
            return
        if flags & FIN:
            initiator = _from_initiator(connection, key[2])
            connection.closing |= FROM_INITIATOR if initiator else FROM_RESPONDER
        both = connection.closing == FROM_INITIATOR | FROM_RESPONDER
        if (flags & RST or both) and connection.close_at is None:
            connection.close_at = self._clock() + LINGER_S
            self._closing.append(connection)

    async def idle(self, keys: Sequence[EntryKey]) -> None:
        """Entries have been idle for their time: connections end of which all is idle."""
        told = set(keys)
        found = {self._by_entry[key] for key in told if key in self._by_entry}
        over = {c for c in found if c.active_at is None and told.issuperset(c.installed)}
        await self._end(over | await self._idle_ones(found - over))

    async def _idle_ones(self, connections: Collection[Connection]) -> set[Connection]:
        """Those of some connections that no packet has met for their time, by what the NICs say."""
        by_nic: dict[str, list[EntryKey]] = {}
        for connection in connections:
            for key in connection.installed:
                by_nic.setdefault(key[0], []).append(key)
        ages: dict[EntryKey, float] = {}
        asked = self._clock()
        for nic, keys in by_nic.items():
            ages.update(await self._board.idle_s(nic, keys))
        over = asked + AGE_STEP_S
        return {c for c in connections if over - _last_packet(c, ages, asked) >= c.idle_s}

    async def sweep(self) -> None:
        """End closed connections whose time has come, and others that turn out to be idle."""
        now = self._clock()
        over = set()
        while self._closing and (self._closing[0].close_at or 0) <= now:
            over.add(self._closing.popleft())
        over |= {c for c, seen in self._software.values() if now - seen > SOFTWARE_IDLE_S}
        moved = set()
        while self._moved and self._moved[0][0] <= now:
            moved.add(heapq.heappop(self._moved)[2])
        await self._end(over | await self._idle_ones(moved))

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except ControlError as error:
                LOG.warning("connections: sweep: %s", error)

    async def _end(self, connections: Iterable[Connection]) -> None:
        """End connections, a batch at a time, so that new ones need not wait for all of them."""
        left = list(connections)
        while left:
            async with self._lock:
                await self._end_now(left[-BATCH:])
            del left[-BATCH:]

    async def _end_now(self, connections: Collection[Connection]) -> None:
        """Remove connections from the NICs, with one write per NIC, and forget them."""
        software = {item[0] for item in self._software.values()}
        alive = [c for c in connections if c.installed or c in software]
        await self._uninstall(alive)
        if not software.isdisjoint(alive):
            gone = set(alive)
            self._software = {k: item for k, item in self._software.items() if item[0] not in gone}
            await self._tell_overflow()
        for connection in alive:
            self._forget_port(connection)
            self._paid[connection.payer] -= 1

    def _forget_port(self, connection: Connection) -> None:
        if connection.nat_port is not None:
            address, protocol, port = connection.nat_port
            self._pools[address].release(protocol, port)

    async def _uninstall(self, connections: Iterable[Connection]) -> None:
        by_nic: dict[str, list[Change]] = {}
        for connection in connections:
            for key in connection.installed:
                by_nic.setdefault(key[0], []).append(Change("delete", key))
                self._by_entry.pop(key, None)
            connection.installed.clear()
            for vm in (connection.vm_a, connection.vm_b):
                if vm is not None:
                    self._of_vm[vm].discard(connection)
        await asyncio.gather(*(self._write(nic, changes) for nic, changes in by_nic.items()))

    # change of rules, NICs and places

    async def adopt(self, nic: str, held: dict[EntryKey, Entry]) -> int:
        """Take over the connections that a NIC holds; what belongs to none is removed.

        Returns how many connections were recognised that were not known yet.
        """
        async with self._lock:
            known = {(c.before, c.after): c for c in self._by_entry.values()}
            found = adopt(self._decider(), held, known)
            for connection in known.values():
                halves = dict(connection.installed)
                connection.installed.clear()
                for key, becomes in halves.items():
                    self._note(connection, key, becomes)
            for connection in found.connections:
                self._paid[connection.payer] += 1
            await self._write(nic, [Change("delete", key) for key in found.strangers])
            return len(found.connections)

    async def recheck(self) -> int:
        """End the connections that the present rules deny, or whose replies they judge otherwise.

        Returns how many. The next packet of one that is still allowed begins it anew.
        """
        async with self._lock:
            decider = self._decider()
            denied = {c for c in self._by_entry.values() if not decider.still_allowed(c)}
        await self._end(denied)
        return len(denied)

    async def restore(self, nic: str) -> int:
        """Install everything again on a NIC that has lost its tables; returns entries written."""
        async with self._lock:
            changes = [
                connection.insert(key, connection.installed[key])
                for key, connection in self._by_entry.items()
                if key[0] == nic
            ]
            await self._write(nic, changes)
            self._overflowing.discard(nic)
            await self._tell_overflow()
            return len(changes)

    async def copy(self, vm: str, source: str, destination: str) -> int:
        """Bring NIC ``destination`` up to date for a VM that moves there; entries written.

        The source's own entries follow where the VM's peers stay behind. May be repeated.
        """
        async with self._lock:
            decider = self._decider()
            missing: dict[str, list[tuple[Connection, EntryKey, Flow | None]]] = {}
            for connection in self._of_vm[vm]:
                for key, becomes in connection.entries(decider.places).items():
                    if key not in connection.installed:
                        missing.setdefault(key[0], []).append((connection, key, becomes))
            written = 0
            for nic in (destination, source, *missing):
                items = missing.pop(nic, [])
                changes = [connection.insert(key, becomes) for connection, key, becomes in items]
                results = await self._board.write_each(nic, changes)
                written += self._note_copied(nic, items, results)
            return written

    def _note_copied(
        self,
        nic: str,
        items: Sequence[tuple[Connection, EntryKey, Flow | None]],
        results: Sequence[str],
    ) -> int:
        """Note what was written; ControlError if the NIC has no room for all of it."""
        now = self._clock()
        for (connection, key, becomes), result in zip(items, results, strict=True):
            if result in ("", EXISTS):
                self._note(connection, key, becomes)
                connection.copied[key] = now
        refused = [result for result in results if result not in ("", EXISTS)]
        if refused:
            raise ControlError(
                f"{nic} has no room for {len(refused)} of {len(items)} connections "
                f"({refused[0]}); free some, or move the VM elsewhere."
            )
        return len(items)

    async def drop(self, vm: str, nic: str) -> None:
        """A VM has left a NIC: remove there, and at its peers, what its connections need no longer.

        What is left of their idle time goes with them: the NIC is asked when it last saw a packet
        of each, because the entries that have taken over begin to count anew.
        """
        async with self._lock:
            places = self._decider().places
            left = {**places, vm: [place for place in places.get(vm, ()) if place[0] != nic]}
            leaving: dict[str, dict[EntryKey, Connection]] = {}
            for connection in self._of_vm[vm]:
                wanted = connection.entries(left)
                for key in connection.installed:
                    if key not in wanted:
                        leaving.setdefault(key[0], {})[key] = connection
            for where, entries in leaving.items():
                await self._remove(where, entries)

    async def _remove(self, nic: str, leaving: Mapping[EntryKey, Connection]) -> None:
        """Remove entries of connections that go on."""
        await self._note_activity(nic, leaving)
        for key, connection in leaving.items():
            del connection.installed[key]
            connection.copied.pop(key, None)
            self._by_entry.pop(key, None)
        await self._write(nic, [Change("delete", key) for key in leaving])

    async def _note_activity(self, nic: str, leaving: Mapping[EntryKey, Connection]) -> None:
        """Remember when connections whose entries leave a NIC were last active there."""
        asked = self._clock()
        connections = set(leaving.values())
        try:
            ages = await self._board.idle_s(nic, list(leaving))
        except ControlError as error:
            LOG.warning("connections that leave %s get their full idle time: %s", nic, error)
            for connection in connections:
                connection.active_at = asked
            return
        for connection in connections:
            last = _last_packet(connection, ages, asked)
            if last > -math.inf:
                connection.active_at = last
                due = max(last + connection.idle_s, asked + FRESH_S)
                heapq.heappush(self._moved, (due, next(self._serial), connection))


def _last_packet(connection: Connection, ages: Mapping[EntryKey, float], asked: float) -> float:
    """When a connection last had a packet, from the ages that entries had when they were asked.

    An entry that was copied to a NIC and has met no packet there is as old as the copy, which says
    nothing: what was known when the connection moved counts then.
    """
    hits = [-math.inf if connection.active_at is None else connection.active_at]
    for key in connection.installed:
        if key in ages:
            hit = asked - ages[key]
            if hit > connection.copied.get(key, -math.inf) + AGE_STEP_S:
                hits.append(hit)
    return max(hits)


def _from_initiator(connection: Connection, flow: Flow) -> bool:
    """Whether a flow is what the initiator sends, before or after translation."""
    return flow in (connection.before, connection.after)
