"""The packet that an operator asks about: ``tcp 10.0.0.1:40000 > 10.0.0.2:80``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from control.errors import RefusedError
from control.model import DesiredState, Server, Vm
from control.model.state import UNTAGGED_ID
from control.model.types import PROTOCOL_NUMBERS, ip_number, is_v6, mac_number
from control.policy.view import ROUTER_MAC

UNKNOWN_MAC = 0x02FFFFFFFFFF
BROADCAST_MAC = 0xFFFFFFFFFFFF
LIMITED_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
_SHAPE = re.compile(r"(tcp|udp|icmp|icmpv6)\s+(\S+)\s*>\s*(\S+)")
EXAMPLE = "tcp 10.0.0.1:40000 > 10.0.0.2:80"


@dataclass(frozen=True)
class Question:
    """A packet as a VM sends it. Numbers throughout; ports of an echo are its identifier."""

    version: int
    protocol: int
    src: int
    dst: int
    src_port: int
    dst_port: int
    src_mac: int
    dst_mac: int


def parse_question(text: str, state: DesiredState, vm: Vm) -> Question:
    """Read what a VM is said to send. Raises RefusedError with what was expected."""
    found = _SHAPE.fullmatch(text.strip().lower())
    if found is None:
        raise RefusedError(f"{text!r} is not a packet; write it as {EXAMPLE!r}.")
    protocol, source, target = found.groups()
    with_ports = protocol in ("tcp", "udp")
    src, src_port = _end(source, with_ports)
    dst, dst_port = _end(target, with_ports)
    if src.version != dst.version:
        raise RefusedError(f"{text!r} mixes IPv4 and IPv6; both ends must be of one version.")
    return Question(
        src.version,
        PROTOCOL_NUMBERS[protocol],
        int(src),
        int(dst),
        src_port,
        dst_port,
        mac_number(vm.mac),
        _destination_mac(state, vm, dst),
    )


def _end(text: str, with_port: bool) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """One end: ``10.0.0.1:80``, ``[fd00::1]:80``, or without a port for ICMP."""
    address, port = text, "0"
    if with_port:
        address, colon, port = text.rpartition(":")
        if not colon or not (port.isascii() and port.isdecimal()) or not 0 <= int(port) <= 65535:
            raise RefusedError(f"{text!r} lacks a port from 0 to 65535, as in {EXAMPLE!r}.")
    try:
        return ipaddress.ip_address(address.strip("[]")), int(port)
    except ValueError:
        raise RefusedError(f"{address!r} is not an IP address, as in {EXAMPLE!r}.") from None


def _destination_mac(
    state: DesiredState, vm: Vm, dst: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> int:
    """The MAC that the guest would use: its neighbour's, the gateway's, or a group's."""
    network = state.segment(vm)
    own = [ipaddress.ip_interface(ip) for ip in vm.ips]
    group = _group_mac(dst, [interface.network for interface in own])
    if group is not None:
        return group
    services = {b.address for b in state.load_balancers if b.network == vm.network}
    if str(dst) in services or not any(dst in interface.network for interface in own):
        return ROUTER_MAC
    neighbors: list[Vm | Server] = [v for v in state.vms if state.segment(v).id == network.id]
    if network.id == UNTAGGED_ID:
        neighbors += state.servers
    for other in neighbors:
        known = {ip_number(ip) for ip in other.ips if is_v6(ip) == (dst.version == 6)}
        if int(dst) in known:
            return mac_number(other.mac)
    return UNKNOWN_MAC


def _group_mac(
    dst: ipaddress.IPv4Address | ipaddress.IPv6Address,
    links: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> int | None:
    """The MAC of a broadcast or multicast address (RFC 1112, 2464); None of any other."""
    if dst.is_multicast:
        v4, v6 = 0x01005E000000 | int(dst) & 0x7FFFFF, 0x333300000000 | int(dst) & 0xFFFFFFFF
        return v4 if dst.version == 4 else v6
    everyone = {link.broadcast_address for link in links if link.version == 4}
    return BROADCAST_MAC if dst in everyone or dst == LIMITED_BROADCAST else None
