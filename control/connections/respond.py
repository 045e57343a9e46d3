"""The router's own voice: answers to pings of gateways, and word that a packet's time is over."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

from control.connections.decide import Punt
from control.connections.flow import ICMP, ICMPV6, Packet, internet_checksum, upper_of
from control.policy.reasons import PuntReason

_ETHERNET = 14
_QUOTED = {4: 28, 6: 1232}  # IPv4: header and 8 bytes; IPv6: what fits into 1280 bytes
_TIME_EXCEEDED = {4: b"\x0b\0", 6: b"\x03\0"}
_ECHO = {ICMP: (b"\x08", b"\0\0"), ICMPV6: (b"\x80", b"\x81\0")}
_ERRORS = {ICMP: b"\x03\x04\x05\x0b\x0c", ICMPV6: bytes(range(128))}
_TTL = 64


def response(punt: Punt, gateways: Iterable[str]) -> bytes | None:
    """The frame to send back where the packet came from; None if there is nothing to say.

    ``gateways``: the router's addresses in the sender's network.
    """
    upper = upper_of(punt.frame)
    if upper is None or upper.l3 != _ETHERNET:
        return None
    version, _, dst, protocol, *_ = upper.flow
    kind = punt.frame[upper.l4 : upper.l4 + 1]
    if punt.reason == PuntReason.TTL:
        own = map(ipaddress.ip_address, gateways)
        gateway = next((int(address) for address in own if address.version == version), None)
        if gateway is None or (kind and kind in _ERRORS.get(protocol, b"")):
            return None  # nobody is told of an error about an error (RFC 1122, 4443)
        quoted = punt.frame[_ETHERNET : _end(punt.frame, upper)][: _QUOTED[version]]
        return _packet(punt.frame, upper, gateway, _TIME_EXCEEDED[version] + bytes(6) + quoted)
    request, reply = _ECHO.get(protocol, (None, b""))
    if kind != request:
        return None
    body = punt.frame[upper.l4 + 4 : _end(punt.frame, upper)]
    return _packet(punt.frame, upper, dst, reply + bytes(2) + body)


def _end(frame: bytes, upper: Packet) -> int:
    """Where the IP packet ends; frames may be padded behind it."""
    if upper.flow.version == 4:
        return upper.l3 + int(struct.unpack_from("!H", frame, upper.l3 + 2)[0])
    return upper.l3 + 40 + int(struct.unpack_from("!H", frame, upper.l3 + 4)[0])


def _packet(request: bytes, upper: Packet, src: int, icmp: bytes) -> bytes:
    """An ICMP packet back to the sender of ``request``; ``icmp`` has a zero checksum."""
    dst = upper.flow.src
    if upper.flow.version == 4:
        head = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(icmp), 0, 0, _TTL, ICMP, 0, src, dst)
        head = head[:10] + struct.pack("!H", internet_checksum(head)) + head[12:]
        summed = icmp
    else:
        ends = src.to_bytes(16, "big") + dst.to_bytes(16, "big")
        head = struct.pack("!IHBB", 6 << 28, len(icmp), ICMPV6, _TTL) + ends
        summed = ends + struct.pack("!II", len(icmp), ICMPV6) + icmp
    icmp = icmp[:2] + struct.pack("!H", internet_checksum(summed)) + icmp[4:]
    return request[6:12] + request[0:6] + request[12:14] + head + icmp
