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
    offset = _l3_offset(frame)
    try:
        if offset is None:
            return None
        if frame[offset] >> 4 == 4:
            return _parse_v4(frame, offset)
        return _parse_v6(frame, offset)
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


def _parse_v4(frame: bytes, offset: int) -> Packet | None:
    version_ihl, fragment, protocol, src, dst = struct.unpack_from("!BxxxxxHxBxxII", frame, offset)
    words = version_ihl & 0xF
    if words < 5 or fragment & 0x1FFF:
        return None
    return _parse_l4(frame, Flow(4, src, dst, protocol, 0, 0), offset, offset + 4 * words)


def _parse_v6(frame: bytes, offset: int) -> Packet | None:
    upper = _upper_v6(frame, offset)
    if upper is None:
        return None
    protocol, l4 = upper
    src = int.from_bytes(frame[offset + 8 : offset + 24], "big")
    dst = int.from_bytes(frame[offset + 24 : offset + 40], "big")
    return _parse_l4(frame, Flow(6, src, dst, protocol, 0, 0), offset, l4)


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


def _parse_l4(frame: bytes, flow: Flow, l3: int, l4: int) -> Packet | None:
    """Complete a flow with its ports."""
    flags = 0
    if flow.protocol in (TCP, UDP):
        src_port, dst_port = struct.unpack_from("!HH", frame, l4)
        if flow.protocol == TCP:
            flags = frame[l4 + 13]
    elif frame[l4] in _ECHO.get(flow.protocol, ()):
        src_port = dst_port = frame[l4 + 4] << 8 | frame[l4 + 5]
    else:
        return None
    return Packet(flow._replace(src_port=src_port, dst_port=dst_port), flags, l3, l4)


def embedded(frame: bytes) -> Flow | None:
    """The flow of the packet that an ICMP error quotes; None if it quotes none."""
    offset = _l3_offset(frame)
    if offset is None:
        return None
    version = frame[offset] >> 4
    quoted = offset + (4 * (frame[offset] & 0xF) if version == 4 else 40) + 8
    kind = struct.pack("!H", _IPV4 if version == 4 else _IPV6)
    packet = parse(bytes(12) + kind + frame[quoted:] + bytes(20))
    return packet.flow if packet is not None else None


def rewrite(frame: bytes, packet: Packet, new: Flow) -> bytes:
    """``frame`` with another IPv4 flow; checksums are adjusted by RFC 1624."""
    out = bytearray(frame)
    old = packet.flow
    addresses = struct.pack("!II", new.src, new.dst)
    _adjust(out, packet.l3 + 10, bytes(out[packet.l3 + 12 : packet.l3 + 20]), addresses)
    out[packet.l3 + 12 : packet.l3 + 20] = addresses
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


def _adjust(out: bytearray, at: int, before: bytes, after: bytes) -> None:
    """Change the checksum at ``at`` for bytes (an even number) that change under it."""
    count = len(before) // 2
    total = ~(out[at] << 8 | out[at + 1]) & 0xFFFF
    total += sum(~word & 0xFFFF for word in struct.unpack(f"!{count}H", before))
    total += sum(struct.unpack(f"!{count}H", after))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", out, at, ~total & 0xFFFF)
