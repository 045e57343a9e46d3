"""The router's own voice: answers to pings of gateways, and word that a packet's time is over."""

from __future__ import annotations

import ipaddress
import struct

from control.connections.decide import Punt
from control.connections.flow import ICMP, internet_checksum, parse
from control.policy.reasons import PuntReason

_ETHERNET = 14
_QUOTED = 28  # IPv4 header and 8 bytes
_TTL = 64


def response(punt: Punt, gateway: str | None) -> bytes | None:
    """The frame to send back where the packet came from; None if there is nothing to say.

    ``gateway``: the router's address in the sender's network, None if it has none.
    """
    frame = punt.frame
    if len(frame) < _ETHERNET + 20 or frame[12:14] != b"\x08\x00" or frame[14] != 0x45:
        return None
    if punt.reason == PuntReason.TTL:
        return _time_exceeded(frame, gateway) if gateway is not None else None
    packet = parse(frame)
    if packet is None or packet.flow.protocol != ICMP or frame[packet.l4] != 8:
        return None
    return _echo_reply(frame)


def _echo_reply(frame: bytes) -> bytes:
    """The answer to an echo request, payload and all."""
    length = struct.unpack_from("!H", frame, 16)[0]
    body = b"\0\0\0\0" + frame[_ETHERNET + 24 : _ETHERNET + length]
    return _packet(frame, frame[30:34], frame[26:30], body)


def _time_exceeded(frame: bytes, gateway: str) -> bytes:
    body = b"\x0b\0\0\0" + bytes(4) + frame[_ETHERNET : _ETHERNET + _QUOTED]
    return _packet(frame, ipaddress.IPv4Address(gateway).packed, frame[26:30], body)


def _packet(request: bytes, src: bytes, dst: bytes, icmp: bytes) -> bytes:
    """An ICMP packet back to the sender of ``request``; ``icmp`` has a zero checksum."""
    icmp = icmp[:2] + struct.pack("!H", internet_checksum(icmp)) + icmp[4:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 0, 0, _TTL, ICMP, 0) + src + dst
    head = head[:10] + struct.pack("!H", internet_checksum(head)) + head[12:]
    return request[6:12] + request[0:6] + b"\x08\x00" + head + icmp
