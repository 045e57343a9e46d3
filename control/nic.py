"""One P4Runtime session with one NIC: pipeline, read-back, difference, writes, packet-in and -out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import finsy
from finsy import p4entity
from finsy.p4client import P4ClientError
from finsy.proto import p4r

from control.difference import Difference, compare
from control.errors import NicDownError, NicError

LOG = logging.getLogger(__name__)
BATCH = 2000
PACKET_QUEUE = 4096
_PROBE_S = 0.05
_RETRY_S = 0.5


@dataclass(frozen=True)
class Pipeline:
    """The two files of a compiled program."""

    p4info: Path
    blob: Path


class Nic:
    """A NIC as the controller sees it. ``run`` keeps the session up until it is cancelled."""

    def __init__(self, name: str, address: str, device_id: int, pipeline: Pipeline) -> None:
        self.name = name
        self.address = address
        self.device_id = device_id
        self.sessions = 0
        self._options = finsy.SwitchOptions(
            p4info=pipeline.p4info, p4blob=pipeline.blob, device_id=device_id
        )
        self._switch: finsy.Switch | None = None
        self._up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the session is established and the pipeline installed."""
        return self._up.is_set()

    async def wait_up(self) -> None:
        """Wait until the session is established and its first reconciliation is done."""
        await self._up.wait()

    async def run(self, on_up: Callable[[Nic], Awaitable[None]]) -> None:
        """Connect, call ``on_up``, and connect again whenever the session ends, until cancelled."""
        while True:
            try:
                await self._wait_listening()
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
            self.sessions += 1
            try:
                await on_up(self)
                self._up.set()
                await down
            finally:
                self._up.clear()
                self._switch = None

    def _require(self) -> finsy.Switch:
        """The established session; NicDownError if there is none."""
        if self._switch is None:
            raise NicDownError(
                f"{self.name} is not connected ({self.address}); wait for it to come back, "
                "or see its log."
            )
        return self._switch

    async def reconcile(
        self, desired: Iterable[p4entity.P4Entity], *, keep: frozenset[str] = frozenset()
    ) -> Difference:
        """Read the NIC back and write only what differs from ``desired``; returns what was written.

        Entries of the tables named in ``keep`` belong to somebody else and are left alone.
        """
        switch = self._require()
        want = p4entity.encode_entities(list(desired), switch.p4info)
        difference = compare(want, await self._read_back(switch, want, keep))
        await self._write(difference.updates)
        return difference

    async def _read_back(
        self, switch: finsy.Switch, want: Sequence[p4r.Entity], keep: frozenset[str]
    ) -> list[p4r.Entity]:
        """All table entries, groups and sessions, and the modify-only entities that are wanted."""
        left = {table.id for table in switch.p4info.tables if table.is_const or table.alias in keep}
        queries: list[p4entity.P4Entity] = [
            finsy.P4TableEntry(),
            finsy.P4MulticastGroupEntry(),
            finsy.P4CloneSessionEntry(),
        ]
        found = [
            entity
            async for entity in self._read_raw(switch, queries)
            if entity.table_entry.table_id not in left
        ]
        defaults = {e.table_entry.table_id for e in want if e.table_entry.is_default_action}
        names = [table.alias for table in switch.p4info.tables if table.id in defaults]
        more = [finsy.P4TableEntry(name, is_default_action=True) for name in names]
        return found + [entity async for entity in self._read_raw(switch, more)]

    async def _read_raw(
        self, switch: finsy.Switch, queries: Sequence[p4entity.P4Entity]
    ) -> AsyncIterator[p4r.Entity]:
        """Read entities as protobuf messages."""
        if not queries:
            return
        try:
            async for entity in _entities(switch, queries):
                yield entity.encode(switch.p4info)
        except P4ClientError as error:
            raise _translate(self.name, "read", error) from error

    async def read(self, *queries: p4entity.P4Entity) -> list[p4entity.P4Entity]:
        """Read entities; raises NicDownError or NicError."""
        switch = self._require()
        try:
            return [entity async for entity in _entities(switch, queries)]
        except P4ClientError as error:
            raise _translate(self.name, "read", error) from error

    async def write(self, updates: Sequence[p4entity.P4UpdateList]) -> None:
        """Write finsy updates (``+entry``, ``-entry``, ``~entry``, packet-outs) in batches."""
        switch = self._require()
        try:
            for start in range(0, len(updates), BATCH):
                await switch.write(updates[start : start + BATCH])
        except P4ClientError as error:
            raise _translate(self.name, "write", error) from error

    async def _write(self, updates: Sequence[p4r.Update]) -> None:
        """Write protobuf updates in batches."""
        switch = self._require()
        try:
            for start in range(0, len(updates), BATCH):
                await switch.write(updates[start : start + BATCH])
        except P4ClientError as error:
            raise _translate(self.name, "write", error) from error

    async def packet_out(self, payload: bytes, **metadata: int) -> None:
        """Send a packet through the NIC; ``metadata`` are the packet-out header's fields."""
        await self.write([finsy.P4PacketOut(payload, **metadata)])

    async def packets(self) -> AsyncIterator[finsy.P4PacketIn]:
        """Packets that the NIC sends up during the present session."""
        async for packet in self._require().read_packets(queue_size=PACKET_QUEUE):
            yield packet


def _entities(
    switch: finsy.Switch, queries: Sequence[p4entity.P4Entity]
) -> AsyncIterator[p4entity.P4Entity]:
    """Read from a session; finsy's overloads do not tell a type checker that this iterates."""
    read: Callable[[Sequence[p4entity.P4Entity]], AsyncIterator[p4entity.P4Entity]]
    read = cast(Any, switch).read
    return read(queries)


def _translate(name: str, what: str, error: P4ClientError) -> NicError | NicDownError:
    """Turn a gRPC error into the controller's own, naming the first failed update."""
    if error.code == finsy.GRPCStatusCode.UNAVAILABLE:
        return NicDownError(f"{name} went away during a {what}.")
    for index, detail in error.details.items():
        code = detail.canonical_code.name
        return NicError(
            f"{name} refused update {index} of a {what} ({code}: {detail.message or 'no reason'}); "
            f"{len(error.details)} updates failed."
        )
    return NicError(f"{name} refused a {what}: {error.code.name}: {error.message}")
