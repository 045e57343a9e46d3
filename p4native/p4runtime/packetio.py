"""Controller headers: packet-in and packet-out metadata to and from header bytes.

The fields of a `@controller_header` are packed most significant bit first, as the deparser and
parser of the program see them (spec, "Packet I/O").
"""

from __future__ import annotations

from collections.abc import Iterable

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundField
from p4native.p4runtime.codec import byte_width
from p4native.p4runtime.errors import invalid_argument


class HeaderCodec:
    """One controller header; without fields it is empty and packets pass as they are."""

    def __init__(self, fields: tuple[BoundField, ...]) -> None:
        """Code for the fields of a `ControllerPacketMetadata`, in declaration order."""
        self._fields = fields
        self.size = byte_width(sum(field.width for field in fields))
        self._spare = self.size * 8 - sum(field.width for field in fields)

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
