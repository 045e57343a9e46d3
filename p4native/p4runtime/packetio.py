"""Controller headers: packet-in and packet-out metadata to and from header bytes.

The fields of a `@controller_header` are packed most significant bit first, as the deparser and
parser of the program see them (spec, "Packet I/O").

Packets come in crowds with few different headers: ports, reasons. What a header is in protobuf, and
back, is remembered, so that most packets cost neither a message object nor a look at their fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from finsy.proto import p4r
from google.protobuf.message import DecodeError

from p4native.p4runtime.bind import BoundField
from p4native.p4runtime.codec import byte_width
from p4native.p4runtime.errors import P4RuntimeError, invalid_argument

PACKET = b"\x12"
"""How a stream message that is a packet begins, in either direction."""
_PAYLOAD = 0x0A
_REMEMBERED = 4096


class HeaderCodec:
    """One controller header; without fields it is empty and packets pass as they are."""

    def __init__(self, fields: tuple[BoundField, ...]) -> None:
        """Code for the fields of a `ControllerPacketMetadata`, in declaration order."""
        self._fields = fields
        self.size = byte_width(sum(field.width for field in fields))
        self._spare = self.size * 8 - sum(field.width for field in fields)
        # Names come and go with updates: what they stand for is looked up every time.
        remembered = 0 if any(field.names for field in fields) else _REMEMBERED
        self._shown = lru_cache(remembered)(self._show)
        self._packed = lru_cache(remembered)(self._pack_encoded)

    def packet_in(self, frame: bytes) -> bytes:
        """Return the encoded StreamMessageResponse of a frame from the program."""
        size = self.size if len(frame) >= self.size else 0
        metadata = self._shown(frame[:size]) if size else b""
        payload = frame[size:]
        if payload:
            metadata = b"".join((b"\x0a", _varint(len(payload)), payload, metadata))
        return b"".join((PACKET, _varint(len(metadata)), metadata))

    def packet_out(self, raw: bytes) -> bytes | None:
        """Return the frame of an encoded StreamMessageRequest with a packet.

        None if it is not laid out as most clients do it, or is wrong: `pack` tells.
        """
        body = _length(raw, 1)
        if body is None or body[1] != len(raw) or body[0] >= len(raw) or raw[body[0]] != _PAYLOAD:
            return None
        payload = _length(raw, body[0] + 1)
        if payload is None or payload[1] > len(raw):
            return None
        header = self._packed(raw[payload[1] :])
        return None if header is None else header + raw[payload[0] : payload[1]]

    def _pack_encoded(self, metadata: bytes) -> bytes | None:
        try:
            packet = p4r.PacketOut.FromString(metadata)
            return None if packet.payload else self.pack(packet.metadata)
        except (DecodeError, P4RuntimeError):
            return None

    def _show(self, header: bytes) -> bytes:
        encoded: bytes = self.unpack(header).SerializeToString()
        return encoded

    def pack(self, metadata: Iterable[p4r.PacketMetadata]) -> bytes:
        """Return the header; INVALID_ARGUMENT for a missing, unknown or repeated field."""
        values: dict[int, bytes] = {}
        for item in metadata:
            if item.metadata_id in values:
                raise invalid_argument(f"packet-out metadata id {item.metadata_id} is given twice")
            values[item.metadata_id] = item.value
        header = 0
        for field in self._fields:
            if field.id not in values:
                raise invalid_argument(
                    f"packet-out lacks metadata id {field.id} ({field.name}, bit<{field.width}>)"
                )
            value = field.value(values.pop(field.id), f"packet-out {field.name}")
            header = header << field.width | value
        if values:
            raise invalid_argument(
                f"packet-out metadata id {min(values)} is not in the P4Info, "
                f"which has {[field.id for field in self._fields]}"
            )
        return (header << self._spare).to_bytes(self.size, "big")

    def unpack(self, frame: bytes) -> p4r.PacketIn:
        """Return the frame as a packet-in; a frame shorter than the header has no metadata."""
        if len(frame) < self.size:
            return p4r.PacketIn(payload=frame)
        packet = p4r.PacketIn(payload=frame[self.size :])
        header = int.from_bytes(frame[: self.size], "big")
        shift = self.size * 8
        for field in self._fields:
            shift -= field.width
            value = (header >> shift) & ((1 << field.width) - 1)
            data = field.shown(value.to_bytes(field.size, "big"))
            packet.metadata.add(metadata_id=field.id, value=data)
        return packet


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _length(raw: bytes, at: int) -> tuple[int, int] | None:
    """Return where a field whose length stands at `at` begins and ends; None for a bad length."""
    size, shift = 0, 0
    for position in range(at, min(at + 5, len(raw))):
        byte = raw[position]
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return position + 1, position + 1 + size
        shift += 7
    return None
