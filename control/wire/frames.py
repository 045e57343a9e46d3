"""HTTP/2's frames (RFC 9113) and header blocks (RFC 7541), as bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hpack import Decoder, HPACKError
from hpack.hpack import encode_integer

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
ACK, END_STREAM, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_HEADERS = 2, 3, 4, 5, 6
NO_ERROR, PROTOCOL_ERROR, CANCEL = 0, 1, 8
_REMEMBERED, _SHORT = 256, 128  # header blocks, and bytes of one
FRAME_SIZE = 16384
"""Bytes in a frame at the most, as long as nobody has agreed to more."""
_HEAD = struct.Struct("!BHBBL")
_SETTING = struct.Struct("!HL")
WORD = struct.Struct("!L")

Headers = Sequence[tuple[str, str]]
Frame = tuple[int, int, int, bytes]  # kind, flags, stream, payload


class FrameError(Exception):
    """What came is not HTTP/2, or too large."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    size = len(payload)
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def read_settings(payload: bytes) -> dict[int, int]:
    """The values of a SETTINGS frame."""
    if len(payload) % _SETTING.size:
        raise FrameError(f"settings of {len(payload)} bytes")
    return dict(_SETTING.iter_unpack(payload))


def window_update(stream: int, size: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, WORD.pack(size))


def read_word(payload: bytes, at: int = 0) -> int:
    """A 32-bit number of a frame."""
    if len(payload) < at + WORD.size:
        raise FrameError(f"a frame of {len(payload)} bytes that has to have {at + WORD.size}")
    number: int = WORD.unpack_from(payload, at)[0]
    return number


def take_frames(received: bytearray) -> list[Frame]:
    """Take the frames that have come whole out of a buffer."""
    frames: list[Frame] = []
    at, end = 0, len(received)
    while end - at >= _HEAD.size:
        high, low, kind, flags, stream = _HEAD.unpack_from(received, at)
        size = high << 16 | low
        if size > FRAME_SIZE:
            raise FrameError(f"a frame of {size} bytes, {FRAME_SIZE} are allowed")
        start = at + _HEAD.size
        if end - start < size:
            break
        at = start + size
        frames.append((kind, flags, stream & 0x7FFFFFFF, bytes(received[start:at])))
    del received[:at]
    return frames


def content(flags: int, payload: bytes) -> bytes:
    """What a DATA or HEADERS frame carries, without padding and priority."""
    if not flags & (PADDED | PRIORITY):
        return payload
    start = 1 if flags & PADDED else 0
    end = len(payload) - (payload[0] if start and payload else 0)
    start += 5 if flags & PRIORITY else 0
    if end < start:
        raise FrameError("padding longer than its frame")
    return payload[start:end]


def header_block(headers: Headers) -> bytes:
    """Headers as literals, without indexing: always the same bytes, which may be kept."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(text: str) -> bytes:
    data = text.encode("ascii")
    return bytes(encode_integer(len(data), 7)) + data


class HeaderReader:
    """Decodes the peer's header blocks, in the order in which they come.

    A peer says the same again and again, by indices of what it has said before. What a block means
    is remembered until another one changes the table behind the indices.
    """

    def __init__(self, most: int) -> None:
        """Take blocks that are ``most`` bytes at the most when they are decoded."""
        self._decoder = Decoder(most)
        self._known: dict[bytes, dict[str, str]] = {}

    def read(self, block: bytes) -> dict[str, str]:
        """The headers by name. FrameError if they are none."""
        headers = self._known.get(block)
        if headers is not None:
            return headers
        before = self._table()
        try:
            headers = {str(name): str(value) for name, value in self._decoder.decode(block)}
        except (HPACKError, UnicodeDecodeError) as error:
            raise FrameError(f"headers: {error}") from None
        if self._table() != before or len(self._known) == _REMEMBERED:
            self._known.clear()
        elif len(block) <= _SHORT:
            self._known[block] = headers
        return headers

    def _table(self) -> tuple[object, ...]:
        """All that the meaning of a block depends on."""
        table = self._decoder.header_table
        return table.maxsize, *table.dynamic_entries
