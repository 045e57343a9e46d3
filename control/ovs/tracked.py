"""Connections that a bridge tracks, and which of them the rules of today would not allow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from control.connections.flow import ICMP, ICMPV6, Flow, internet_checksum
from control.connections.judge import Judge
from control.model.types import PROTOCOL_NUMBERS, ip_number, is_v6
from control.policy.rules import rule_sets
from control.policy.view import View

_LINE = re.compile(
    r"^(?P<protocol>\w+),orig=\(src=(?P<src>[^,]+),dst=(?P<dst>[^,]+),"
    r"(?:sport=(?P<sport>\d+),dport=(?P<dport>\d+)|id=(?P<id>\d+))"
    r".*?\),reply=\(.*?\),zone=(?P<zone>\d+)",
    re.MULTILINE,
)
_ICMP = (ICMP, ICMPV6)
_IPV6 = 0x86DD
_ECHO_REPLY6 = 129


@dataclass(frozen=True)
class Tracked:
    """One connection, in the direction of its first packet."""

    zone: int
    flow: Flow
    text: str
    """The connection as ovs-appctl's dpctl/flush-conntrack wants it named."""


def parse_tracked(dump: str) -> Iterator[Tracked]:
    """Connections in the output of ovs-appctl's dpctl/dump-conntrack."""
    for found in _LINE.finditer(dump):
        protocol = PROTOCOL_NUMBERS.get(found["protocol"])
        if protocol is None:
            continue
        src, dst = found["src"], found["dst"]
        sport, dport = (int(found[name] or found["id"]) for name in ("sport", "dport"))
        version = 6 if is_v6(src) else 4
        flow = Flow(version, ip_number(src), ip_number(dst), protocol, sport, dport)
        yield Tracked(int(found["zone"]), flow, _named(flow, src, dst))


def echo_reply(flow: Flow) -> bytes:
    """An answer to an ICMPv6 echo connection, as a frame from nowhere to nowhere."""
    addresses = flow.dst.to_bytes(16, "big") + flow.src.to_bytes(16, "big")
    answer = bytes([_ECHO_REPLY6, 0, 0, 0]) + flow.src_port.to_bytes(2, "big") + bytes(2)
    pseudo = addresses + len(answer).to_bytes(4, "big") + ICMPV6.to_bytes(4, "big")
    checksum = internet_checksum(pseudo + answer).to_bytes(2, "big")
    header = bytes([0x60, 0, 0, 0, 0, len(answer), ICMPV6, 64]) + addresses
    return bytes(12) + _IPV6.to_bytes(2, "big") + header + answer[:2] + checksum + answer[4:]


def revoked(view: View, connections: Iterator[Tracked]) -> Iterator[Tracked]:
    """Connections of VMs here that their rules do not allow any more."""
    sets = rule_sets(view)
    guests = {guest.port: guest for guest in view.local if guest.vm.name in sets}
    judges = {port: Judge(sets[guest.vm.name]) for port, guest in guests.items()}
    own = {port: {ip_number(ip) for ip in guest.vm.ips} for port, guest in guests.items()}
    for connection in connections:
        port = connection.zone
        if port in judges:
            sent = connection.flow.src in own[port]
            if not judges[port].allows("out" if sent else "in", connection.flow):
                yield connection


def _named(flow: Flow, src: str, dst: str) -> str:
    family = "ct_ipv6" if flow.version == 6 else "ct_nw"
    text = f"{family}_src={src},{family}_dst={dst},ct_nw_proto={flow.protocol}"
    if flow.protocol in _ICMP:
        kind = 8 if flow.protocol == ICMP else 128
        return f"{text},icmp_type={kind},icmp_code=0,icmp_id={flow.src_port}"
    return f"{text},ct_tp_src={flow.src_port},ct_tp_dst={flow.dst_port}"
