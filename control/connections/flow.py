"""Frames as the slow path sees them: the flow they belong to, and rewriting one in software."""

from __future__ import annotations

import struct
from typing import NamedTuple

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
FIN, SYN, RST = 0x01, 0x02, 0x04
_ETHERNET = 14
_TAGS = (0x8100, 0x88A8)
_IPV4, _IPV6 = 0x0800, 0x86DD
_ECHO = {ICMP: (0, 8), ICMPV6: (128, 129)}
_EXTENSIONS, _FRAGMENT, _OPTIONS = 4, 44, (0, 43, 60)  # as the NIC's parser reads them
_CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}


class Flow(NamedTuple):
    """One direction of a connection; an echo's identifier is both of its ports."""

    version: int
    src: int
    dst: int
    protocol: int
    src_port: int
    dst_port: int

    @property
    def reverse(self) -> Flow:
        """The other direction."""
        return Flow(self.version, self.dst, self.src, self.protocol, self.dst_port, self.src_port)


_PLAIN = struct.Struct("!12xHB5xHxB2xIIHH")  # Ethernet, IPv4 without options, ports


def flow_of(frame: bytes) -> Flow | None:
    """A frame's flow, as ``parse`` reads it; at once for the most usual frames."""
    if len(frame) >= _ETHERNET + 40:
        kind, version, fragment, protocol, src, dst, src_port, dst_port = _PLAIN.unpack_from(frame)
        if kind == _IPV4 and version == 0x45 and not fragment & 0x1FFF and protocol in (TCP, UDP):
            return Flow(4, src, dst, protocol, src_port, dst_port)
    packet = parse(frame)
    return packet.flow if packet is not None else None


class Packet(NamedTuple):
    """A frame's flow, its TCP flags (0 if it is not TCP) and where its headers begin."""

    flow: Flow
    tcp_flags: int
    l3: int
    l4: int


def parse(frame: bytes) -> Packet | None:
    """Read a frame; None if it is not IP with known ports, as the NIC's parser decides it."""
    upper = upper_of(frame)
    try:
        return None if upper is None else _with_ports(frame, upper)
    except (struct.error, IndexError):
        return None


def upper_of(frame: bytes) -> Packet | None:
    """Read a frame as far as its upper protocol; None if none begins in it. Its ports are 0."""
    offset = _l3_offset(frame)
    try:
        if offset is None:
            return None
        return (_read_v4 if frame[offset] >> 4 == 4 else _read_v6)(frame, offset)
    except (struct.error, IndexError):
        return None


def _l3_offset(frame: bytes) -> int | None:
    """Where the IP header begins, behind at most one VLAN tag."""
    if len(frame) < _ETHERNET + 20:
        return None
    kind = frame[12] << 8 | frame[13]
    offset = _ETHERNET
    if kind in _TAGS:
        kind = frame[16] << 8 | frame[17]
        offset += 4
    return offset if kind in (_IPV4, _IPV6) else None


def _read_v4(frame: bytes, offset: int) -> Packet | None:
    version_ihl, fragment, protocol, src, dst = struct.unpack_from("!BxxxxxHxBxxII", frame, offset)
    words = version_ihl & 0xF
    if words < 5 or fragment & 0x1FFF:
        return None
    return Packet(Flow(4, src, dst, protocol, 0, 0), 0, offset, offset + 4 * words)


def _read_v6(frame: bytes, offset: int) -> Packet | None:
    upper = _upper_v6(frame, offset)
    if upper is None:
        return None
    protocol, l4 = upper
    src = int.from_bytes(frame[offset + 8 : offset + 24], "big")
    dst = int.from_bytes(frame[offset + 24 : offset + 40], "big")
    return Packet(Flow(6, src, dst, protocol, 0, 0), 0, offset, l4)


def _upper_v6(frame: bytes, offset: int) -> tuple[int, int] | None:
    """What follows an IPv6 header's extensions, and where; None if a later fragment follows."""
    protocol, at = frame[offset + 6], offset + 40
    for _ in range(_EXTENSIONS):
        if protocol == _FRAGMENT:
            if (frame[at + 2] << 8 | frame[at + 3]) & 0xFFF8:
                return None
            protocol, at = frame[at], at + 8
        elif protocol in _OPTIONS:
            protocol, at = frame[at], at + 8 + 8 * frame[at + 1]
    return protocol, at


def _with_ports(frame: bytes, upper: Packet) -> Packet | None:
    """Complete a flow with its ports."""
    flow, flags, l3, l4 = upper
    if flow.protocol in (TCP, UDP):
        src_port, dst_port = struct.unpack_from("!HH", frame, l4)
        if flow.protocol == TCP:
            flags = frame[l4 + 13]
    elif frame[l4] in _ECHO.get(flow.protocol, ()):
        src_port = dst_port = frame[l4 + 4] << 8 | frame[l4 + 5]
    else:
        return None
    return Packet(flow._replace(src_port=src_port, dst_port=dst_port), flags, l3, l4)


def rewrite(frame: bytes, packet: Packet, new: Flow) -> bytes:
    """``frame`` with another IPv4 flow; checksums are adjusted by RFC 1624."""
    out = bytearray(frame)
    old = packet.flow
    addresses = readdress(out, packet.l3, new.src, new.dst)
    at = packet.l4 + _CHECKSUM_AT[old.protocol]
    if old.protocol == ICMP:
        before = bytes(out[packet.l4 + 4 : packet.l4 + 6])
        after = struct.pack("!H", new.src_port)
        _adjust(out, at, before, after)
        out[packet.l4 + 4 : packet.l4 + 6] = after
        return bytes(out)
    before = struct.pack("!IIHH", old.src, old.dst, old.src_port, old.dst_port)
    ports = struct.pack("!HH", new.src_port, new.dst_port)
    if old.protocol == TCP or out[at : at + 2] != b"\0\0":
        _adjust(out, at, before, addresses + ports)
    out[packet.l4 : packet.l4 + 4] = ports
    return bytes(out)


def readdress(out: bytearray, l3: int, src: int, dst: int) -> bytes:
    """Give the IPv4 header at ``l3`` other addresses; returns them as they are written."""
    addresses = struct.pack("!II", src, dst)
    _adjust(out, l3 + 10, bytes(out[l3 + 12 : l3 + 20]), addresses)
    out[l3 + 12 : l3 + 20] = addresses
    return addresses


def _adjust(out: bytearray, at: int, before: bytes, after: bytes) -> None:
    """Change the checksum at ``at`` for bytes (an even number) that change under it."""
    count = len(before) // 2
    total = ~(out[at] << 8 | out[at + 1]) & 0xFFFF
    total += sum(~word & 0xFFFF for word in struct.unpack(f"!{count}H", before))
    total += sum(struct.unpack(f"!{count}H", after))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", out, at, ~total & 0xFFFF)


def internet_checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of some bytes."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
