"""Connects the connection manager to the fabric: packet-ins, digests, idle entries, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import cast

from finsy.proto import p4r

from control.connections.choice import PortPool
from control.connections.decide import Decider, Punt
from control.connections.encode import FLOW_FIELDS, TABLES, ChangeEncoder
from control.connections.flow import Flow
from control.connections.health import Health, Probe
from control.connections.manager import ConnectionManager, Frame
from control.connections.record import Change, EntryKey
from control.connections.related import icmp_error
from control.connections.respond import response
from control.errors import ControlError
from control.fabric import Fabric
from control.nic import Nic
from control.policy.entries import Entry
from control.policy.reasons import PORT_PF, PuntReason, vf_port
from control.session import PacketIn, PacketOut

LOG = logging.getLogger(__name__)
PROBE_TICK_S = 0.1
DIGEST = "closing_connection_t"
ASKED = 500  # entries asked for at once
VERSIONS = {table: version for version, table in TABLES.items()}
REASONS = (
    PuntReason.NEW_CONNECTION,
    PuntReason.BALANCE,
    PuntReason.NAT,
    PuntReason.RELATED,
    PuntReason.OVERFLOW,
)  # fmt: skip


class ConnectionService:
    """The manager of all connections of one fabric; a companion of the fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._pools: dict[str, PortPool] = {}
        self._decider: Decider | None = None
        self._decided_for: tuple[object, object] = (None, None)
        self._health = Health()
        self._probing: asyncio.Task[None] | None = None
        self.manager = ConnectionManager(self, self.decider, self._pools)
        self._handlers = contextlib.ExitStack()
        self._served: set[str] = set()
        self._encoders: dict[str, ChangeEncoder] = {}

    @property
    def unhealthy(self) -> frozenset[str]:
        """VMs that fail the health check of a service."""
        return self._health.unhealthy

    def decider(self) -> Decider:
        """The decider for the present state, placements and health."""
        present = (self._fabric.state, (dict(self._fabric.placements), self.unhealthy))
        if self._decider is None or present != self._decided_for:
            everyone = [place for places in self._fabric.placements.values() for place in places]
            state = self._fabric.state
            self._decider = Decider(state, everyone, self._pools, self.unhealthy)
            self._decided_for = present
        return self._decider

    # companion of the fabric

    async def session(self, nic: Nic) -> None:
        """A NIC is programmed: take its notices, and give a restarted one its connections."""
        if not self._served:
            self._begin()
        if nic.name in self._served:
            await self.manager.restore(nic.name)
        else:
            await self._adopt(nic)
        self._served.add(nic.name)
        for notices in (self._take_digests(nic), self._take_idle(nic)):
            task = asyncio.create_task(notices, name=f"connections {nic.name}")
            nic.at_end_of_session(task.cancel)

    async def changed(self) -> None:
        """The rules have changed: connections that they deny end."""
        await self.manager.recheck()

    async def stop(self) -> None:
        """End the tasks; connections stay in the NICs."""
        self._handlers.close()
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self.manager.stop()

    def _begin(self) -> None:
        for reason in REASONS:
            self._handlers.enter_context(self._fabric.on_packet(reason, self._on_packets))
        for reason in (PuntReason.ROUTER, PuntReason.TTL):
            self._handlers.enter_context(self._fabric.on_packet(reason, self._on_router))
        self.manager.start()
        self._probing = asyncio.create_task(self._probe_forever(), name="health checks")

    async def _adopt(self, nic: Nic) -> None:
        """Take over what an earlier controller has left in the NIC."""
        held: dict[EntryKey, Entry] = {}
        for table in VERSIONS:
            query = p4r.Entity()
            query.table_entry.table_id = nic.encoder.table_ids[table]
            for entity in await nic.read([query]):
                held[_key(nic, entity.table_entry)] = nic.encoder.decode(entity.table_entry)
        if held:
            count = await self.manager.adopt(nic.name, held)
            self._fabric.bus.emit("policy", nic.name, f"{count} connections taken over")

    async def _on_packets(self, nic: str, packets: Sequence[PacketIn]) -> None:
        self.manager.offer([_punt(nic, packet) for packet in packets])

    # the router's own packets

    async def _on_router(self, nic: str, packets: Sequence[PacketIn]) -> None:
        """Packets for a gateway or service address, or whose time is over."""
        for packet in packets:
            await self._answer(nic, packet)

    async def _answer(self, nic: str, packet: PacketIn) -> None:
        state = self._fabric.state
        reset = self._health.answered(state, packet.payload)
        if reset is not None:
            await self._send_probe(reset)
            return
        punt = _punt(nic, packet)
        if self.manager.in_software(punt) or icmp_error(punt.frame) is not None:
            self.manager.offer([punt])
            return
        answer = response(punt, self._gateways(punt.network))
        if answer is not None and punt.in_port >= PORT_PF:
            where = {"mode": 0, "port": punt.in_port, "network": punt.network}
            await self._fabric.nic(nic).packet_out(answer, **where)

    def _gateways(self, number: int) -> list[str]:
        """The router's addresses in a network."""
        networks = (n for n in self._fabric.state.networks if n.id == number)
        return [gateway.partition("/")[0] for n in networks for gateway in n.gateways]

    async def _probe_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = self.unhealthy
            for probe in list(self._health.probes(self._fabric.state, loop.time())):
                try:
                    await self._send_probe(probe)
                except ControlError as error:
                    LOG.debug("health check of %s: %s", probe.vm, error)
            for vm in sorted(before ^ self.unhealthy):
                word = "fails" if vm in self.unhealthy else "is well again"
                self._fabric.bus.emit("policy", vm, f"health check {word}")
            await asyncio.sleep(PROBE_TICK_S)

    async def _send_probe(self, probe: Probe) -> None:
        for place in self._fabric.placements.get(probe.vm, ()):
            if place.role == "active":
                where = {"mode": 0, "port": vf_port(place.vf), "network": probe.network}
                await self._fabric.nic(place.nic).packet_out(probe.frame, **where)

    async def _take_digests(self, nic: Nic) -> None:
        async for lists in nic.digests(DIGEST):
            for one in lists:
                for record in one.data:
                    members = record.struct.members
                    fields = [int.from_bytes(member.bitstring, "big") for member in members]
                    self.manager.closed_by(nic.name, fields)

    async def _take_idle(self, nic: Nic) -> None:
        async for entries in nic.idle_timeouts():
            await self.manager.idle([_key(nic, entry) for entry in entries])

    # switchboard of the manager

    async def write_each(self, nic: str, changes: Sequence[Change]) -> list[str]:
        """See ``Switchboard``."""
        session = self._fabric.nic(nic)
        encoder = self._encoders.get(nic)
        if encoder is None:
            encoder = self._encoders[nic] = ChangeEncoder(session.encoder)
        return await session.write_each([encoder.update(change) for change in changes])

    async def resume(self, nic: str, frames: Sequence[Frame]) -> None:
        """See ``Switchboard``."""
        await self._fabric.nic(nic).packet_outs(
            [PacketOut(frame, (mode, port, network)) for frame, mode, port, network in frames]
        )

    async def set_overflow(self, nic: str, on: bool) -> None:
        """See ``Switchboard``."""
        session = self._fabric.nic(nic)
        entry = Entry("overflow_table", (), "ask_host" if on else "NoAction")
        update = p4r.Update(type=p4r.Update.MODIFY, entity=session.encoder.entry(entry))
        update.entity.table_entry.is_default_action = True
        await session.write([update])

    async def idle_s(self, nic: str, keys: Sequence[EntryKey]) -> dict[EntryKey, float]:
        """See ``Switchboard``."""
        session = self._fabric.nic(nic)
        clock = asyncio.get_running_loop().time
        began = clock()
        ages = {}
        for start in range(0, len(keys), ASKED):
            since = clock() - began  # ages are as of the call
            queries = [_question(session, key) for key in keys[start : start + ASKED]]
            for entity in await session.read(queries):
                elapsed = entity.table_entry.time_since_last_hit.elapsed_ns / 1e9
                ages[_key(session, entity.table_entry)] = elapsed - since
        return ages


def _punt(nic: str, packet: PacketIn) -> Punt:
    """A packet-in with its metadata."""
    metadata, payload = packet
    return Punt(
        nic, metadata["reason"], metadata["ingress_port"], metadata["network"],
        metadata["destination_port"], payload,
    )  # fmt: skip


def _question(nic: Nic, key: EntryKey) -> p4r.Entity:
    """A read of how long ago an entry was last hit."""
    query = nic.encoder.entry(Change("insert", key).entry)
    query.table_entry.ClearField("action")
    query.table_entry.ClearField("idle_timeout_ns")
    query.table_entry.time_since_last_hit.SetInParent()
    return query


def _key(nic: Nic, entry: p4r.TableEntry) -> EntryKey:
    """The key of a connection's entry as a NIC tells it."""
    table, fields = nic.encoder.decode_match(entry)
    match = cast(dict[str, int], dict(fields))
    return nic.name, match["zone"], Flow(VERSIONS[table], *(match[name] for name in FLOW_FIELDS))
