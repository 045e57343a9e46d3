"""One P4Runtime session with one NIC: pipeline, read-back, difference, writes, packet I/O."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import finsy
from finsy.p4client import P4Client, P4ClientError
from finsy.proto import p4r

from control.difference import Difference, Key, compare, index
from control.encoder import Encoder
from control.errors import ControlError, NicDownError, NicError
from control.policy import Entry
from control.quirks import reset_meters

LOG = logging.getLogger(__name__)
BATCH = 2000
PACKET_QUEUE = 4096
DIGEST_LIST = 100  # records per digest message at the most
DIGEST_DELAY_NS = 5_000_000  # that a record may wait for others
# These tables switch traffic over to entries written before, so they are changed last.
SWITCHING_TABLES = ("port_table", "destination_table")
_PROBE_S = 0.05
_RETRY_S = 0.5
GRACE_S = 0.02


@dataclass(frozen=True)
class Pipeline:
    """The two files of a compiled program."""

    p4info: Path
    blob: Path


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
        self._options = finsy.SwitchOptions(
            p4info=pipeline.p4info, p4blob=pipeline.blob, device_id=device_id
        )
        self._switch: finsy.Switch | None = None
        self._held: Mapping[Key, p4r.Entity] | None = None
        self._stream = asyncio.Lock()  # gRPC takes one message at a time into a stream
        self._up = asyncio.Event()
        self._failed = asyncio.Event()
        self._at_end: list[Callable[[], object]] = []

    @property
    def is_connected(self) -> bool:
        """Whether there is a session; its first reconciliation may be under way still."""
        return self._switch is not None

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

    async def run(self, on_up: Callable[[Nic], Awaitable[None]]) -> None:
        """Connect, call ``on_up``, and connect again whenever the session ends, until cancelled."""
        while True:
            await self._wait_listening()
            try:
                await self._session(on_up)
            except (P4ClientError, ControlError, RuntimeError, OSError) as error:
                self.last_error = str(error)
                if not isinstance(error, NicDownError):
                    self._failed.set()
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

    async def _session(self, on_up: Callable[[Nic], Awaitable[None]]) -> None:
        """One session, from arbitration to the end of the stream."""
        async with finsy.Switch(self.name, self.address, self._options) as switch:
            down = asyncio.Event()
            switch.ee.once(finsy.SwitchEvent.CHANNEL_DOWN, lambda _: down.set())
            self._switch = switch
            self._held = None
            self.sessions += 1
            try:
                await on_up(self)
                self._up.set()
                await down.wait()
            finally:
                self._up.clear()
                self._switch = None
                for callback in self._at_end:
                    callback()
                self._at_end.clear()

    def at_end_of_session(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once, when the present session ends."""
        self._at_end.append(callback)

    def _require(self) -> finsy.Switch:
        """The established session; NicDownError if there is none."""
        if self._switch is None:
            raise NicDownError(
                f"{self.name} is not connected ({self.address}); wait until it is back "
                "(lab nics), or look into its log."
            )
        return self._switch

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
        self._require()
        request = p4r.ReadRequest(device_id=self.device_id, entities=queries)
        found: list[p4r.Entity] = []
        try:
            async with P4Client(self.address) as client:
                async for reply in client.request_iter(request):
                    found.extend(reply.entities)
        except P4ClientError as error:
            raise _translate(self.name, "read", error) from error
        return found

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
        switch = self._require()
        try:
            for start in range(0, len(updates), BATCH):
                await self._own(switch.write(updates[start : start + BATCH]))
        except P4ClientError as error:
            raise _translate(self.name, "write", error) from error

    async def _own(self, call: Coroutine[Any, Any, None]) -> None:
        """Await a call of the session. NicDownError if the session ends meanwhile.

        The client library cancels the calls of a session that ends; a caller that nobody has
        cancelled must not see that as its own cancellation.
        """
        task = asyncio.ensure_future(call)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        if task.cancelled():
            raise NicDownError(f"{self.name} went away during a call.")
        task.result()

    async def write_each(self, updates: Sequence[p4r.Update]) -> list[str]:
        """Write updates that are independent; per update "" or the code it was refused with."""
        switch = self._require()
        codes = [""] * len(updates)
        for start in range(0, len(updates), BATCH):
            try:
                await self._own(switch.write(updates[start : start + BATCH]))
            except P4ClientError as error:
                if not error.details:
                    raise _translate(self.name, "write", error) from error
                for number, detail in error.details.items():
                    codes[start + number] = detail.canonical_code.name
        return codes

    async def packet_out(self, payload: bytes, **metadata: int) -> None:
        """Send a packet through the NIC; ``metadata`` are the packet-out header's fields."""
        switch = self._require()
        try:
            async with self._stream:
                await self._own(switch.write([finsy.P4PacketOut(payload, **metadata)]))
        except P4ClientError as error:
            raise _translate(self.name, "packet-out", error) from error

    async def packet_outs(self, packets: Sequence[finsy.P4PacketOut]) -> None:
        """Send many packets through the NIC, in order."""
        switch = self._require()
        try:
            async with self._stream:
                await self._own(switch.write(list(packets)))
        except P4ClientError as error:
            raise _translate(self.name, "packet-out", error) from error

    async def packets(self) -> AsyncIterator[finsy.P4PacketIn]:
        """Packets that the NIC sends up during the present session."""
        async for packet in self._require().read_packets(queue_size=PACKET_QUEUE):
            yield packet

    # connections: entries, notifications and digests outside of reconciliation

    async def apply(
        self,
        inserts: Sequence[Entry] = (),
        modifies: Sequence[Entry] = (),
        deletes: Sequence[Entry] = (),
    ) -> None:
        """Write entries of tables named in ``keep``; raises NicDownError or NicError."""
        kinds = (
            (p4r.Update.INSERT, inserts),
            (p4r.Update.MODIFY, modifies),
            (p4r.Update.DELETE, deletes),
        )
        await self.write(
            [
                p4r.Update(type=kind, entity=self.encoder.entry(entry))
                for kind, entries in kinds
                for entry in entries
            ]
        )

    async def digests(self, name: str) -> AsyncIterator[Sequence[Any]]:
        """Subscribe to a digest; yields its lists during the present session, each acknowledged."""
        switch = self._require()
        config = finsy.P4DigestEntry(
            name, max_list_size=DIGEST_LIST, max_timeout_ns=DIGEST_DELAY_NS, ack_timeout_ns=10**9
        )
        try:
            await switch.insert([config])
        except P4ClientError as error:
            raise _translate(self.name, "digest subscription", error) from error
        async for digest in switch.read_digests(name, queue_size=PACKET_QUEUE):
            yield digest.data
            async with self._stream:
                await switch.write([digest.ack()])

    async def idle_timeouts(self) -> AsyncIterator[finsy.P4TableEntry]:
        """Entries that have been idle for their time, during the present session."""
        switch = self._require()
        async for notification in switch.read_idle_timeouts(queue_size=PACKET_QUEUE):
            for entry in notification:
                yield entry


def _translate(name: str, what: str, error: P4ClientError) -> NicError | NicDownError:
    """Turn a gRPC error into the controller's own, naming the first failed update."""
    if error.code == finsy.GRPCStatusCode.UNAVAILABLE:
        return NicDownError(f"{name} went away during a {what}.")
    for number, detail in error.details.items():
        code = detail.canonical_code.name
        return NicError(
            f"{name} refused update {number} of a {what} "
            f"({code}: {detail.message or 'no reason'}); {len(error.details)} updates failed."
        )
    return NicError(f"{name} refused a {what}: {error.code.name}: {error.message}")
