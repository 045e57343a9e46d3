"""One P4Runtime session with one NIC: pipeline, read-back, difference, writes, packet I/O."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import finsy
from finsy.p4client import P4Client, P4ClientError
from finsy.proto import p4r

from control.difference import Difference, Key, compare, index
from control.encoder import Encoder
from control.errors import NicDownError, NicError

LOG = logging.getLogger(__name__)
BATCH = 2000
PACKET_QUEUE = 4096
# These tables switch traffic over to entries written before, so they are changed last.
SWITCHING_TABLES = ("port_table", "destination_table")
_PROBE_S = 0.05
_RETRY_S = 0.5


@dataclass(frozen=True)
class Pipeline:
    """The two files of a compiled program."""

    p4info: Path
    blob: Path


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
        ids = self.encoder.table_ids
        self._left = self.encoder.const_tables | {ids[name] for name in keep if name in ids}
        self._last = tuple(ids[name] for name in SWITCHING_TABLES if name in ids)
        self._options = finsy.SwitchOptions(
            p4info=pipeline.p4info, p4blob=pipeline.blob, device_id=device_id
        )
        self._switch: finsy.Switch | None = None
        self._held: dict[Key, p4r.Entity] | None = None
        self._writing = asyncio.Lock()
        self._up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the session is established and the NIC is programmed."""
        return self._up.is_set()

    async def wait_up(self) -> None:
        """Wait until the session is established and its first reconciliation is done."""
        await self._up.wait()

    async def run(self, on_up: Callable[[Nic], Awaitable[None]]) -> None:
        """Connect, call ``on_up``, and connect again whenever the session ends, until cancelled."""
        while True:
            await self._wait_listening()
            try:
                await self._session(on_up)
            except (P4ClientError, NicError, NicDownError, RuntimeError, OSError) as error:
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
            down = switch.ee.event_future(finsy.SwitchEvent.CHANNEL_DOWN)
            self._switch = switch
            self._held = None
            self.sessions += 1
            try:
                await on_up(self)
                self._up.set()
                await down
            finally:
                self._up.clear()
                self._switch = None
                down.cancel()

    def _require(self) -> finsy.Switch:
        """The established session; NicDownError if there is none."""
        if self._switch is None:
            raise NicDownError(
                f"{self.name} is not connected ({self.address}); wait until it is back "
                "(lab nics), or look into its log."
            )
        return self._switch

    async def reconcile(self, desired: Iterable[p4r.Entity]) -> Difference:
        """Write what differs between ``desired`` and what the NIC holds; returns what was written.

        The first time in a session the NIC is read back; later, what was written is known.
        """
        async with self._writing:
            if self._held is None:
                self._held = index(await self._read_back())
            want = index(desired)
            difference = compare(want, self._held, self._last)
            self._held = None  # unknown until all of it is written
            await self._write_batches(difference.updates)
            self._held = want
            return difference

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
        return found

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

    async def read_counter(self, name: str, cell: int | None = None) -> dict[int, tuple[int, int]]:
        """Cells of an indirect counter that have counted: index to (packets, bytes)."""
        query = p4r.Entity()
        query.counter_entry.counter_id = self.encoder.counter_ids[name]
        if cell is not None:
            query.counter_entry.index.index = cell
        return {
            entity.counter_entry.index.index: (
                entity.counter_entry.data.packet_count,
                entity.counter_entry.data.byte_count,
            )
            for entity in await self.read([query])
            if entity.counter_entry.data.packet_count
        }

    async def write(self, updates: Sequence[p4r.Update]) -> None:
        """Write updates of tables named in ``keep``; raises NicDownError or NicError."""
        async with self._writing:
            await self._write_batches(updates)

    async def _write_batches(self, updates: Sequence[p4r.Update]) -> None:
        """Write in batches, in order."""
        switch = self._require()
        try:
            for start in range(0, len(updates), BATCH):
                await switch.write(updates[start : start + BATCH])
        except P4ClientError as error:
            raise _translate(self.name, "write", error) from error

    async def packet_out(self, payload: bytes, **metadata: int) -> None:
        """Send a packet through the NIC; ``metadata`` are the packet-out header's fields."""
        switch = self._require()
        try:
            await switch.write([finsy.P4PacketOut(payload, **metadata)])
        except P4ClientError as error:
            raise _translate(self.name, "packet-out", error) from error

    async def packets(self) -> AsyncIterator[finsy.P4PacketIn]:
        """Packets that the NIC sends up during the present session."""
        async for packet in self._require().read_packets(queue_size=PACKET_QUEUE):
            yield packet


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
