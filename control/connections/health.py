"""Health of balanced members: a TCP SYN from the service's address, at each interval."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from control.connections.flow import RST, SYN, TCP, internet_checksum, parse
from control.model import DesiredState, LoadBalancer, Member
from control.model.types import is_v6, mac_number
from control.policy.view import ROUTER_MAC

ACK = 0x10
FIRST_PORT = 61_000


@dataclass(frozen=True)
class Probe:
    """One probe: the member's VM, the frame for its VF, and the network it is in."""

    vm: str
    frame: bytes
    network: int


@dataclass
class _Member:
    """What is known of one member."""

    missed: int = 0
    waiting: bool = False
    due: float = 0.0


class Health:
    """Who is healthy, from probes and answers. Members are healthy until they fail."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str, int], _Member] = {}
        self._limits: dict[tuple[str, str, int], int] = {}

    @property
    def unhealthy(self) -> frozenset[str]:
        """VMs of members that have missed as many probes as they may."""
        return frozenset(
            key[1] for key, m in self._members.items() if m.missed >= self._limits.get(key, 1)
        )

    def probes(self, state: DesiredState, now: float) -> Iterator[Probe]:
        """Probes that are due. A probe that the one before has not answered counts as missed."""
        live = set()
        for balancer in state.load_balancers:
            if balancer.health is None or balancer.protocol != "tcp":
                continue
            for number, member in enumerate(balancer.members):
                key = (balancer.name, member.vm, member.port)
                live.add(key)
                self._limits[key] = balancer.health.failures
                known = self._members.setdefault(key, _Member())
                if now < known.due:
                    continue
                known.missed += known.waiting
                known.waiting, known.due = True, now + balancer.health.interval_s
                probe = _probe(state, balancer, member, FIRST_PORT + number)
                if probe is not None:
                    yield probe
        for key in set(self._members) - live:
            del self._members[key]

    def answered(self, state: DesiredState, frame: bytes) -> Probe | None:
        """Take what came for the router; the reset that ends a probe which was answered."""
        packet = parse(frame)
        if packet is None or packet.flow.protocol != TCP:
            return None
        flow = packet.flow
        for balancer in state.load_balancers:
            if balancer.health is None or int(ipaddress.ip_address(balancer.address)) != flow.dst:
                continue
            number = flow.dst_port - FIRST_PORT
            if 0 <= number < len(balancer.members):
                member = balancer.members[number]
                known = self._members.get((balancer.name, member.vm, member.port))
                if known is None or flow.src_port != member.port:
                    return None
                if packet.tcp_flags & (SYN | ACK | RST) == SYN | ACK:
                    known.missed, known.waiting = 0, False
                    sequence = struct.unpack_from("!I", frame, packet.l4 + 8)[0]
                    return _probe(state, balancer, member, flow.dst_port, RST, sequence)
        return None


def _probe(  # noqa: PLR0917 - the fields of one segment
    state: DesiredState,
    balancer: LoadBalancer,
    member: Member,
    port: int,
    flags: int = SYN,
    sequence: int = 1,
) -> Probe | None:
    """A TCP segment from the service's address to a member; None if it has no IPv4 address."""
    vm = state.vm(member.vm)
    address = next((ip.partition("/")[0] for ip in vm.ips if not is_v6(ip)), None)
    if address is None:
        return None
    ends = ipaddress.IPv4Address(balancer.address).packed + ipaddress.IPv4Address(address).packed
    segment = struct.pack("!HHIIBBHHH", port, member.port, sequence, 0, 0x50, flags, 1024, 0, 0)
    pseudo = ends + struct.pack("!BBH", 0, TCP, len(segment))
    segment = segment[:16] + struct.pack("!H", internet_checksum(pseudo + segment)) + segment[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, TCP, 0) + ends
    head = head[:10] + struct.pack("!H", internet_checksum(head)) + head[12:]
    macs = mac_number(vm.mac).to_bytes(6, "big") + ROUTER_MAC.to_bytes(6, "big")
    return Probe(vm.name, macs + b"\x08\x00" + head + segment, state.segment(vm).id)
