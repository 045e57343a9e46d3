"""nic1 with a connection manager, and the states that its tests use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from finsy.proto import p4r
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from control.connections import ConnectionManager, Decider, PortPool, Punt, Refusal
from control.connections.encode import ChangeEncoder
from control.connections.record import Change, EntryKey
from control.model import DesiredState, Placement
from control.policy import Entry, placements_of

from .client import Client
from .rig import Rig, mac, state, vm

ROUTER = "06:4e:49:52:00:00"
OWN_ROUTER = "06:4e:49:52:00:01"


class Board:
    """The switchboard of one real NIC; what others hold is only noted."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._encoder = ChangeEncoder(client.encoder)
        self.elsewhere: dict[str, dict[object, Entry]] = {}
        self.ages: dict[str, float] = {}  # seconds since the last packet, by NIC
        self.limit = 10**9

    async def write_each(self, nic: str, changes: Sequence[Change]) -> list[str]:
        if nic != "nic1":
            held = self.elsewhere.setdefault(nic, {})
            for change in changes:
                held.pop(change.entry.key, None)
                if change.kind != "delete":
                    held[change.entry.key] = change.entry
            return [""] * len(changes)
        return [self._write(change) for change in changes]

    def _write(self, change: Change) -> str:
        if change.kind == "insert" and self.limit == 0:
            return "RESOURCE_EXHAUSTED"
        self.limit -= change.kind == "insert"
        self._client.write([p4r.Update.FromString(self._encoder.update(change))])
        return ""

    async def resume(self, nic: str, frames: Sequence[tuple[bytes, int, int, int]]) -> None:
        assert nic == "nic1"
        for frame, mode, port, network in frames:
            self._client.packet_out(frame, mode=mode, port=port, network=network)

    async def set_overflow(self, nic: str, on: bool) -> None:
        entry = Entry("overflow_table", (), "ask_host" if on else "NoAction")
        update = p4r.Update(type=p4r.Update.MODIFY, entity=self._client.encoder.entry(entry))
        update.entity.table_entry.is_default_action = True
        self._client.write([update])

    async def idle_s(self, nic: str, keys: Sequence[EntryKey]) -> dict[EntryKey, float]:
        return {key: self.ages.get(key[0], 10.0**6) for key in keys}


class Stateful:
    """nic1 with its connection manager."""

    def __init__(self, rig: Rig, desired: DesiredState) -> None:
        self.rig = rig
        self.board = Board(rig.client)
        self.pools: dict[str, PortPool] = {}
        self.now = 0.0
        self.unhealthy: frozenset[str] = frozenset()
        self.change(desired)
        self.manager = ConnectionManager(
            self.board, lambda: self.decider, self.pools, clock=lambda: self.now
        )

    def change(self, desired: DesiredState, placements: list[Placement] | None = None) -> None:
        self.rig.configure(desired, placements)
        places = placements_of(desired) if placements is None else placements
        self.decider = Decider(desired, places, self.pools, self.unhealthy)

    def first(self, port: int, packet: Packet | bytes) -> list[tuple[int, bytes]]:
        """Send a packet that the host must decide; what leaves after it has."""
        up = self.rig.punted(port, packet)
        self.rig.listen()
        asyncio.run(self.manager.handle([punt(up)]))
        try:
            return [self.rig.next_frame()]
        except TimeoutError:
            return []

    def refused(self, port: int, packet: Packet | bytes) -> Refusal:
        """Send a packet that the host refuses; why it does."""
        before = self.manager.refused.copy()
        up = self.rig.punted(port, packet)
        asyncio.run(self.manager.handle([punt(up)]))
        (reason,) = self.manager.refused - before
        return reason

    def clear(self) -> None:
        software = {connection for connection, _ in self.manager._software.values()}
        asyncio.run(self.manager._end({*self.manager._by_entry.values(), *software}))


def punt(up: Any) -> Punt:
    meta = up.meta
    return Punt(
        "nic1", meta["reason"], meta["ingress_port"], meta["network"],
        meta["destination_port"], up.payload,
    )  # fmt: skip


def web(**changes: Any) -> DesiredState:
    """vm2 in a stateful group that takes TCP port 80."""
    group = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}, {"protocol": "icmp"}]}
    document = {"groups": [group], "vms": [vm(1), vm(2, groups=["web"], **changes), vm(3)]}
    return state(**document)


def balanced(**changes: Any) -> DesiredState:
    balancer = {
        "name": "shop", "network": "lan", "address": "10.0.0.100", "port": 80,
        "members": [{"vm": "vm2", "port": 8080}, {"vm": "vm3", "port": 8080}],
    }  # fmt: skip
    return state(load_balancers=[balancer | changes])


def to_vip(sport: int, flags: str = "S") -> Packet:
    ip = IP(src="10.0.0.1", dst="10.0.0.100")
    return Ether(src=mac(1), dst=ROUTER) / ip / TCP(sport=sport, dport=80, flags=flags) / b"hello"


def checked(frame: bytes) -> Packet:
    """A frame whose IP and TCP or UDP checksums are right."""
    packet = Ether(frame)
    again = packet.copy()
    for layer in (IP, TCP, UDP, ICMP):
        if layer in again:
            del again[layer].chksum
    assert bytes(again) == frame
    return packet


def natted(**changes: Any) -> DesiredState:
    """Tenant acme in an overlay, with a router to the untagged network."""
    document: dict[str, Any] = {
        "networks": [
            {"name": "lan"},
            {"name": "blue", "vni": 7, "tenant": "acme", "gateways": ["10.0.0.254/24"]},
        ],
        "vms": [vm(1, network="blue"), vm(2, network="blue"), vm(3)],
        "routers": [
            {"tenant": "acme", "outside": "lan", "gateway_mac": "0a:00:00:00:00:fe",
             "snat": [{"nic": "nic1", "address": "192.0.2.1", "ports": "20000-20003"}]}
        ],
        "floating": [{"address": "192.0.2.50", "vm": "vm2"}],
    }  # fmt: skip
    return state(**(document | changes))


def sent_outside(src: int, payload: Packet) -> Packet:
    return Ether(src=mac(src), dst=ROUTER) / IP(src=f"10.0.0.{src}", dst="198.51.100.9") / payload


def sent_inside(dst: str, payload: Packet) -> Packet:
    return (
        Ether(src="0a:00:00:00:00:fe", dst=OWN_ROUTER) / IP(src="198.51.100.9", dst=dst) / payload
    )
