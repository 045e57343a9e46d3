"""One P4Runtime session with one NIC: pipeline, read-back, difference, writes, packet I/O."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass

from finsy.proto import p4r, rpc_code

from control.difference import Difference, Key, compare, index
from control.encoder import Encoder
from control.errors import ControlError, NicDownError, NicError
from control.inbox import Inbox
from control.quirks import reset_meters
from control.session import Listener, P4Session, PacketIn, PacketOut, Pipeline, failed_updates
from control.wire import RpcError

LOG = logging.getLogger(__name__)
BATCH = 2000
PACKET_QUEUE = 4096
NOTICE_QUEUE = 1 << 17  # idle entries and digests: what a full connection table can tell at once
TAKEN = 1024  # packets or notices handed on together
DIGEST_LIST = 100  # records per digest message at the most
DIGEST_DELAY_NS = 100_000_000  # that a record may wait for others: what closes lingers for seconds
DIGEST_ACK_NS = 10**9
# These tables switch traffic over to entries written before, so they are changed last.
SWITCHING_TABLES = ("port_table", "destination_table")
_PROBE_S = 0.05
_RETRY_S = 0.5
GRACE_S = 0.02
_AWAY = (rpc_code.UNAVAILABLE, rpc_code.CANCELLED)  # a server that stops cancels calls


@dataclass(frozen=True)
class Step:
    """A difference that was computed and not yet written, and what the NIC holds afterwards."""

    difference: Difference
    want: Mapping[Key, p4r.Entity]


class Nic:
    """A NIC as the controller sees it. ``run`` keeps the session up until it is cancelled.

    Tables named in ``keep`` belong to somebody else: reconciliation leaves their entries alone.
    """

    def __init__(
        self,
        name: str,
        address: str,
        device_id: int,
        pipeline: Pipeline,
        *,
        keep: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.address = address
        self.device_id = device_id
        self.encoder = Encoder(pipeline.p4info)
        self.sessions = 0
        self.last_error = ""
        ids = self.encoder.table_ids
        self._left = self.encoder.const_tables | {ids[name] for name in keep if name in ids}
        self._rules = {number for name, number in ids.items() if name.startswith("rules_")}
        self._last = tuple(ids[name] for name in SWITCHING_TABLES if name in ids)
        self._pipeline = pipeline
        self._session: P4Session | None = None
        self._packets: Inbox[PacketIn] = Inbox(PACKET_QUEUE)
        self._digests: Inbox[p4r.DigestList] = Inbox(NOTICE_QUEUE)
        self._idle: Inbox[p4r.TableEntry] = Inbox(NOTICE_QUEUE)
        self._held: Mapping[Key, p4r.Entity] | None = None
        self._up = asyncio.Event()
        self._failed = asyncio.Event()
        self._at_end: list[Callable[[], object]] = []

    @property
    def is_connected(self) -> bool:
        """Whether there is a session; its first reconciliation may be under way still."""
        return self._session is not None

    @property
    def is_up(self) -> bool:
        """Whether the session is established and the NIC is programmed."""
        return self._up.is_set()

    async def wait_up(self) -> None:
        """Wait until the session is established and its first reconciliation is done."""
        await self._up.wait()

    async def wait_failed(self) -> None:
        """Wait until a session ends because the NIC refused something; see ``last_error``."""
        await self._failed.wait()

    async def run(
        self, on_up: Callable[[Nic], Awaitable[None]], on_refused: Callable[[Nic], None]
    ) -> None:
        """Connect, call ``on_up``, and connect again whenever the session ends, until cancelled.

        ``on_refused`` is called when the NIC has refused something anew; see ``last_error``.
        """
        while True:
            await self._wait_listening()
            try:
                await self._one_session(on_up)
            except (RpcError, ControlError, OSError) as error:
                known, self.last_error = self.last_error, str(error)
                if not _is_away(error):
                    self._failed.set()
                    if known != self.last_error:
                        on_refused(self)
                LOG.warning("%s: session ended: %s", self.name, error)
                await asyncio.sleep(_RETRY_S)

    async def _wait_listening(self) -> None:
        """Wait until something accepts TCP connections at the address.

        gRPC's own reconnection backs off for seconds; a restarted NIC should be found at once.
        """
        host, _, port = self.address.rpartition(":")
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(_PROBE_S)
            else:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                return

    async def _one_session(self, on_up: Callable[[Nic], Awaitable[None]]) -> None:
        """One session, from arbitration to the end of the stream."""
        listen = Listener(self._packets.put, lambda one: self._digests.put((one,)), self._idle.put)
        for inbox in (self._packets, self._digests, self._idle):
            inbox.clear()
        async with P4Session(self.address, self.device_id, self._pipeline, listen) as session:
            self._session = session
            self._held = None
            self.sessions += 1
            try:
                await on_up(self)
                self.last_error = ""
                self._up.set()
                await session.wait_ended()
            finally:
                self._up.clear()
                self._session = None
                for callback in self._at_end:
                    callback()
                self._at_end.clear()

    def at_end_of_session(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once, when the present session ends."""
        self._at_end.append(callback)

    def _require(self) -> P4Session:
        """The established session; NicDownError if there is none."""
        if self._session is None:
            raise NicDownError(
                f"{self.name} is not connected ({self.address}); wait until it is back "
                "(lab nics), or look into its log."
            )
        return self._session

    async def reconcile(self, desired: Mapping[Key, p4r.Entity]) -> Difference:
        """Write what differs between ``desired`` and what the NIC holds; returns what was written.

        The first time in a session the NIC is read back; later, what was written is known.
        """
        await self._hold()
        step = self.step(desired)
        await self.execute(step)
        return step.difference

    async def _hold(self) -> Mapping[Key, p4r.Entity]:
        """What the NIC holds, read back unless that is known."""
        self._require()
        if self._held is None:
            self._held = index(await self._read_back())
        return self._held

    async def holds_rules(self) -> bool:
        """Whether any rules are in the NIC; a NIC that has just started has none."""
        held = await self._hold()
        return any(entity.table_entry.table_id in self._rules for entity in held.values())

    def step(self, desired: Mapping[Key, p4r.Entity], after: Step | None = None) -> Step:
        """The difference between what the NIC holds (or will, ``after`` a step) and ``desired``.

        Raises NicDownError if what the NIC holds is not known.
        """
        have = self._held if after is None else after.want
        if have is None:
            raise NicDownError(f"{self.name} is not connected; what it holds is not known.")
        return Step(compare(desired, have, self._last), desired)

    def forget(self) -> None:
        """Read the NIC back at the next reconciliation, whatever it is believed to hold."""
        self._held = None

    async def execute(self, step: Step) -> None:
        """Write a step; afterwards the NIC holds what the step wants."""
        if not step.difference:
            return
        self._held = None  # unknown until all of it is written
        ahead, switching, removals = self._parts(step.difference)
        await self._write_part(ahead)
        await self._write_part(switching)
        if any(u.entity.table_entry.table_id in self._rules for u in removals):
            # A packet under way may have read the old policy number: its rules stay until it left.
            await asyncio.sleep(GRACE_S)
        await self._write_part(removals)
        self._held = step.want

    def _parts(self, difference: Difference) -> list[Sequence[p4r.Update]]:
        """What is written first, what switches traffic over to it, and what is removed.

        In writes of their own: an entry that the NIC refuses must not be switched to.
        """
        updates = difference.updates
        end = len(updates) - difference.deleted
        start = end
        while start and self._switches(updates[start - 1]):
            start -= 1
        return [updates[:start], updates[start:end], updates[end:]]

    def _switches(self, update: p4r.Update) -> bool:
        is_change = update.type == p4r.Update.MODIFY
        return is_change and update.entity.table_entry.table_id in self._last

    async def _write_part(self, updates: Sequence[p4r.Update]) -> None:
        await self.write(reset_meters(updates, self.encoder.metered))

    async def _read_back(self) -> list[p4r.Entity]:
        """Table entries with their meters, groups, sessions and meter cells that were set."""
        engine = p4r.PacketReplicationEngineEntry
        queries = [
            p4r.Entity(table_entry=p4r.TableEntry()),
            p4r.Entity(
                packet_replication_engine_entry=engine(
                    multicast_group_entry=p4r.MulticastGroupEntry()
                )
            ),
            p4r.Entity(
                packet_replication_engine_entry=engine(clone_session_entry=p4r.CloneSessionEntry())
            ),
        ]
        found = [
            entity
            for entity in await self.read(queries)
            if entity.table_entry.table_id not in self._left
        ]
        await self._add_meters(found)
        return found + await self._set_meter_cells()

    async def _set_meter_cells(self) -> list[p4r.Entity]:
        """Cells of indirect meters that have a rate; all the others are as at the start."""
        queries = [
            p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=meter))
            for meter in self.encoder.meter_ids.values()
        ]
        cells = await self.read(queries)
        return [cell for cell in cells if cell.meter_entry.config.cir]

    async def _add_meters(self, found: list[p4r.Entity]) -> None:
        """Fill in the direct meters of entries, which a read of table entries leaves out."""
        for table_id in self.encoder.metered - self._left:
            query = p4r.Entity()
            query.direct_meter_entry.table_entry.table_id = table_id
            entries = index(e for e in found if e.table_entry.table_id == table_id)
            for entity in await self.read([query]):
                meter = entity.direct_meter_entry
                key = next(iter(index([p4r.Entity(table_entry=meter.table_entry)])))
                if key in entries and meter.HasField("config"):
                    entries[key].table_entry.meter_config.CopyFrom(meter.config)

    async def read(self, queries: Sequence[p4r.Entity]) -> list[p4r.Entity]:
        """Read entities as protobuf messages; raises NicDownError or NicError."""
        session = self._require()
        try:
            return await session.read(queries)
        except RpcError as error:
            raise _translate(self.name, "read", error) from error

    async def read_counter(self, name: str, cells: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Those of an indirect counter's cells that have counted: index to (packets, bytes)."""
        counter = self.encoder.counter_ids[name]
        entry = p4r.CounterEntry
        queries = [
            p4r.Entity(counter_entry=entry(counter_id=counter, index=p4r.Index(index=cell)))
            for cell in cells
        ]
        found = [entity.counter_entry for entity in await self.read(queries)]
        return {
            cell.index.index: (cell.data.packet_count, cell.data.byte_count)
            for cell in found
            if cell.data.packet_count
        }

    async def write(self, updates: Sequence[p4r.Update]) -> None:
        """Write updates in batches, in order; raises NicDownError or NicError.

        Only for tables named in ``keep``: the others are changed by ``reconcile`` and ``execute``.
        """
        session = self._require()
        encoded = [update.SerializeToString() for update in updates]
        try:
            for start in range(0, len(encoded), BATCH):
                await session.write(encoded[start : start + BATCH])
        except RpcError as error:
            raise _translate(self.name, "write", error) from error

    async def write_each(self, updates: Sequence[bytes]) -> list[str]:
        """Write encoded updates that are independent; per update "" or why it was refused."""
        session = self._require()
        codes = [""] * len(updates)
        for start in range(0, len(updates), BATCH):
            try:
                await session.write(updates[start : start + BATCH])
            except RpcError as error:
                failed = failed_updates(error)
                if not failed:
                    raise _translate(self.name, "write", error) from error
                for number, (code, _) in failed.items():
                    codes[start + number] = code
        return codes

    async def packet_out(self, payload: bytes, *, mode: int, port: int, network: int) -> None:
        """Send a packet through the NIC; the keywords are the packet-out header's fields."""
        await self.packet_outs((PacketOut(payload, (mode, port, network)),))

    async def packet_outs(self, packets: Sequence[PacketOut]) -> None:
        """Send many packets through the NIC, in order."""
        session = self._require()
        try:
            await session.send_packets(packets)
        except RpcError as error:
            raise _translate(self.name, "packet-out", error) from error

    @property
    def packets_dropped(self) -> int:
        """Packets from the NIC that nobody took in time, so far."""
        return self._packets.dropped

    async def packets(self) -> AsyncIterator[list[PacketIn]]:
        """Packets that the NIC sends up during the present session, as many as wait at a time."""
        told = self._packets.dropped
        while True:
            packets = await self._packets.take(TAKEN)
            if self._packets.dropped > told:
                lost, told = self._packets.dropped - told, self._packets.dropped
                LOG.warning("%s: %d packet-ins dropped, the host does not keep up", self.name, lost)
            yield packets

    async def digests(self, name: str) -> AsyncIterator[list[p4r.DigestList]]:
        """Subscribe to a digest; its lists during the present session, each acknowledged."""
        entity = p4r.Entity()
        entity.digest_entry.digest_id = self.encoder.digest_ids[name]
        entity.digest_entry.config.max_list_size = DIGEST_LIST
        entity.digest_entry.config.max_timeout_ns = DIGEST_DELAY_NS
        entity.digest_entry.config.ack_timeout_ns = DIGEST_ACK_NS
        await self.write([p4r.Update(type=p4r.Update.INSERT, entity=entity)])
        while True:
            lists = await self._digests.take(TAKEN)
            yield lists
            self._require().acknowledge(lists)

    async def idle_timeouts(self) -> AsyncIterator[list[p4r.TableEntry]]:
        """Entries that have been idle for their time, during the present session."""
        while True:
            yield await self._idle.take(NOTICE_QUEUE)


def _is_away(error: Exception) -> bool:
    """Whether a session ended because the NIC did, not because it refused something."""
    unreachable = isinstance(error, RpcError) and error.code in _AWAY
    return unreachable or isinstance(error, (NicDownError, OSError))


def _translate(name: str, what: str, error: RpcError) -> NicError | NicDownError:
    """Turn a gRPC error into the controller's own, naming the first failed update."""
    if error.code in _AWAY:
        return NicDownError(f"{name} went away during a {what}.")
    failed = failed_updates(error)
    for number, (code, words) in failed.items():
        return NicError(
            f"{name} refused update {number} of a {what} "
            f"({code}: {words or 'no reason'}); {len(failed)} updates failed."
        )
    return NicError(f"{name} refused a {what}: {rpc_code.Code.Name(error.code)}: {error.message}")
