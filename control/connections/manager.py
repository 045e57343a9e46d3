"""Connections in all NICs: new ones judged and installed, ended ones removed, moved ones copied."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from control.connections.adopt import adopt
from control.connections.choice import PortPool
from control.connections.decide import Decider, Decision, Punt, Refusal, Related
from control.connections.flow import FIN, RST, TCP, Flow, parse, rewrite
from control.connections.record import Connection, EntryKey
from control.errors import ControlError
from control.policy.entries import Entry
from control.policy.reasons import PuntReason

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

Change = tuple[str, Entry]  # "insert", "modify" or "delete"


class Switchboard(Protocol):
    """What connections need of the NICs. Errors are ControlError."""

    async def write_each(self, nic: str, changes: Sequence[Change]) -> list[str]:
        """Write changes that are independent of each other; per change "" or why it failed."""

    async def resume(self, nic: str, frames: Sequence[tuple[bytes, int, int, int]]) -> None:
        """Send frames on: (frame, packet_out mode, port, network)."""

    async def set_overflow(self, nic: str, on: bool) -> None:
        """Whether a NIC asks the host about what it denies to stateful VMs."""

    async def idle_s(self, nic: str, entry: Entry) -> float | None:
        """Seconds since an entry was last hit; None if it is not there."""


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
        self._closing: set[Connection] = set()
        self._paid: Counter[str] = Counter()
        self._queue: asyncio.Queue[Punt] = asyncio.Queue(QUEUE)
        self._lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self.refused: Counter[Refusal] = Counter()
        self.overflow = 0
        self.installed = 0

    def __len__(self) -> int:
        return len(set(self._by_entry.values()))

    def count(self, vm: str) -> int:
        """Connections that count against a VM's quota."""
        return self._paid[vm]

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

    def offer(self, punt: Punt) -> None:
        """Take a packet-in; when the host cannot keep up it is dropped and counted."""
        try:
            self._queue.put_nowait(punt)
        except asyncio.QueueFull:
            self.overflow += 1

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
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
            ways = [self._decided(decider, punt, fresh) for punt in batch]
            await self._install(dict.fromkeys(fresh.values()))
            frames: dict[str, list[tuple[bytes, int, int, int]]] = {}
            for punt, way in zip(batch, ways, strict=True):
                if not isinstance(way, Refusal):
                    frames.setdefault(punt.nic, []).append(self._onward(decider, punt, way))
            for nic, some in frames.items():
                await self._board.resume(nic, some)

    def _decided(self, decider: Decider, punt: Punt, fresh: dict[EntryKey, Connection]) -> Decision:
        """A decision, for which a connection that exists already stands in."""
        known = self._known(decider, punt, fresh)
        if known is not None:
            return known
        if punt.reason in (PuntReason.OVERFLOW, PuntReason.ROUTER):
            return self._refuse(Refusal.POLICY)
        decision = decider.decide(punt)
        if isinstance(decision, Related):
            return (
                decision if self._has_flow(punt.nic, decision) else self._refuse(Refusal.UNRELATED)
            )
        if isinstance(decision, Refusal):
            return self._refuse(decision)
        quota = decider.quota.get(decision.payer, 0)
        if quota and self._paid[decision.payer] >= quota:
            self._forget_port(decision)
            return self._refuse(Refusal.QUOTA)
        self._paid[decision.payer] += 1
        decision.wanted = decision.entries(decider.places)
        for key in decision.wanted:
            fresh[key] = decision
        return decision

    def _refuse(self, refusal: Refusal) -> Refusal:
        self.refused[refusal] += 1
        return refusal

    def _known(
        self, decider: Decider, punt: Punt, fresh: Mapping[EntryKey, Connection]
    ) -> Connection | None:
        """The connection that a packet belongs to, if it exists: a packet sent again."""
        key = decider.entry_key(punt)
        if key is None:
            return None
        found = fresh.get(key) or self._by_entry.get(key)
        if found is None and key in self._software:
            found = self._software[key][0]
            self._software[key] = (found, self._clock())
        return found

    def _has_flow(self, nic: str, related: Related) -> bool:
        """Whether a NIC has a connection with that flow, from whatever side."""
        return any(
            connection.before in (related.flow, related.flow.reverse)
            or connection.after in (related.flow, related.flow.reverse)
            for key, connection in self._by_entry.items()
            if key[0] == nic
        )

    async def _install(self, connections: Iterable[Connection]) -> None:
        """Write the entries of new connections; those that do not fit are kept in software."""
        wanted: dict[str, list[tuple[Connection, EntryKey, Entry]]] = {}
        for connection in connections:
            for key, entry in connection.wanted.items():
                wanted.setdefault(key[0], []).append((connection, key, entry))
        failed: set[Connection] = set()
        for nic, items in wanted.items():
            results = await self._write(nic, [("insert", entry) for _, _, entry in items])
            for (connection, key, entry), result in zip(items, results, strict=True):
                if result in ("", EXISTS):
                    connection.installed[key] = entry
                    self._by_entry[key] = connection
                else:
                    failed.add(connection)
        self.installed += len({item[0] for items in wanted.values() for item in items} - failed)
        await self._to_software(failed)

    async def _write(self, nic: str, changes: Sequence[Change]) -> list[str]:
        """Write to one NIC; one that is away gets its connections when it is back."""
        try:
            return await self._board.write_each(nic, changes)
        except ControlError as error:
            LOG.warning("connections of %s: %s", nic, error)
            return [""] * len(changes)

    async def _to_software(self, connections: Iterable[Connection]) -> None:
        """A table is full: the host forwards these connections' packets itself."""
        await self._uninstall(connections)
        for connection in connections:
            for key in connection.wanted:
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
        return self._decider().entry_key(punt) in self._software

    def _onward(
        self, decider: Decider, punt: Punt, way: Connection | Related
    ) -> tuple[bytes, int, int, int]:
        """How a packet goes on: by its entries, or rewritten here if it has none."""
        if isinstance(way, Connection) and way.installed:
            return (punt.frame, RESUME, punt.in_port, punt.network)
        frame, network = punt.frame, punt.network
        if isinstance(way, Connection) and way.translated:
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
        for version in (4, 6):
            flow = Flow(version, src, dst, TCP, src_port, dst_port)
            self.closing((nic, zone, flow), flags)

    def closing(self, key: EntryKey, flags: int) -> None:
        """A FIN or RST passed an entry: after both FINs, or one RST, the pair ends soon."""
        connection = self._by_entry.get(key)
        if connection is None:
            return
        if flags & FIN:
            connection.closing.add(_from_initiator(connection, key[2]))
        if flags & RST or len(connection.closing) == 2:
            connection.close_at = self._clock() + LINGER_S
            self._closing.add(connection)

    async def idle(self, key: EntryKey) -> None:
        """An entry has been idle for its time: the connection ends if all of it is idle."""
        connection = self._by_entry.get(key)
        if connection is None:
            return
        for (other, _, _), entry in list(connection.installed.items()):
            seconds = await self._board.idle_s(other, entry)
            if seconds is not None and seconds * 1e9 < entry.idle_timeout_ns:
                return
        async with self._lock:
            await self._end({connection})

    async def sweep(self) -> None:
        """End closed connections whose time has come, and software ones that are idle."""
        now = self._clock()
        due = [c for c in self._closing if c.close_at is not None and c.close_at <= now]
        old = {c for c, seen in self._software.values() if now - seen > SOFTWARE_IDLE_S}
        async with self._lock:
            await self._end({*due, *old})

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except ControlError as error:
                LOG.warning("connections: sweep: %s", error)

    async def _end(self, connections: set[Connection]) -> None:
        """Remove connections from the NICs, with one write per NIC, and forget them."""
        if not connections:
            return
        await self._uninstall(connections)
        self._software = {
            key: item for key, item in self._software.items() if item[0] not in connections
        }
        await self._tell_overflow()
        self._closing -= connections
        for connection in connections:
            self._forget_port(connection)
            self._paid[connection.payer] -= 1

    def _forget_port(self, connection: Connection) -> None:
        if connection.nat_port is not None:
            address, protocol, port = connection.nat_port
            self._pools[address].release(protocol, port)

    async def _uninstall(self, connections: Iterable[Connection]) -> None:
        by_nic: dict[str, list[Change]] = {}
        for connection in connections:
            for key, entry in connection.installed.items():
                by_nic.setdefault(key[0], []).append(("delete", entry))
                self._by_entry.pop(key, None)
            connection.installed.clear()
        for nic, changes in by_nic.items():
            await self._write(nic, changes)

    # change of rules, NICs and places

    async def adopt(self, nic: str, held: dict[EntryKey, Entry]) -> int:
        """Take over the connections that a NIC holds; what belongs to none is removed.

        Returns how many connections were recognised that were not known yet.
        """
        async with self._lock:
            known = {(c.before, c.after): c for c in self._by_entry.values()}
            found = adopt(self._decider(), held, known)
            for connection in known.values():
                for key in connection.installed:
                    self._by_entry[key] = connection
            for connection in found.connections:
                self._paid[connection.payer] += 1
            await self._write(nic, [("delete", entry) for entry in found.strangers.values()])
            return len(found.connections)

    async def recheck(self) -> int:
        """End the connections that the present rules deny; returns how many."""
        async with self._lock:
            decider = self._decider()
            denied = {c for c in self._by_entry.values() if not decider.still_allowed(c)}
            await self._end(denied)
            return len(denied)

    async def restore(self, nic: str) -> int:
        """Install everything again on a NIC that has lost its tables; returns entries written."""
        async with self._lock:
            entries = [
                entry
                for connection in set(self._by_entry.values())
                for key, entry in connection.installed.items()
                if key[0] == nic
            ]
            await self._write(nic, [("insert", entry) for entry in entries])
            self._overflowing.discard(nic)
            await self._tell_overflow()
            return len(entries)

    async def copy(self, vm: str, source: str, destination: str) -> int:
        """Bring NIC ``destination`` up to date for a VM that moves there; entries written.

        The source's own entries follow where the VM's peers stay behind. May be repeated.
        """
        async with self._lock:
            decider = self._decider()
            missing: dict[str, list[tuple[Connection, EntryKey, Entry]]] = {}
            for connection in self._of(vm):
                for key, entry in connection.entries(decider.places).items():
                    if key not in connection.installed:
                        missing.setdefault(key[0], []).append((connection, key, entry))
            written = 0
            for nic in (destination, source, *missing):
                items = missing.pop(nic, [])
                results = await self._board.write_each(nic, [("insert", e) for _, _, e in items])
                written += await self._note(nic, items, results)
            return written

    async def _note(
        self, nic: str, items: list[tuple[Connection, EntryKey, Entry]], results: list[str]
    ) -> int:
        """Note what was written; ControlError if the NIC has no room for all of it."""
        for (connection, key, entry), result in zip(items, results, strict=True):
            if result in ("", EXISTS):
                connection.installed[key] = entry
                self._by_entry[key] = connection
        refused = [result for result in results if result not in ("", EXISTS)]
        if refused:
            raise ControlError(
                f"{nic} has no room for {len(refused)} of {len(items)} connections "
                f"({refused[0]}); free some, or move the VM elsewhere."
            )
        return len(items)

    async def drop(self, vm: str, nic: str) -> None:
        """Remove from a NIC what it holds of a VM's connections and no longer needs."""
        async with self._lock:
            decider = self._decider()
            changes: list[Change] = []
            for connection in self._of(vm):
                wanted = connection.entries(decider.places)
                for key in [k for k in connection.installed if k[0] == nic and k not in wanted]:
                    changes.append(("delete", connection.installed.pop(key)))
                    self._by_entry.pop(key, None)
            if changes:
                await self._write(nic, changes)

    def _of(self, vm: str) -> set[Connection]:
        return {c for c in self._by_entry.values() if vm in (c.vm_a, c.vm_b)}


def _from_initiator(connection: Connection, flow: Flow) -> bool:
    """Whether a flow is what the initiator sends, before or after translation."""
    return flow in (connection.before, connection.after)
