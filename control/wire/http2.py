"""One HTTP/2 connection as a gRPC client needs it (RFC 9113): streams, flow control, pings.

Everything that one read of the socket brings is handled before anybody is told, and what is sent to
a stream in one call leaves in one write: that is what makes small messages cheap.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum

import hpack

WINDOW = 16 << 20
"""Bytes that the peer may send, per stream and in all, before we have taken them."""
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = struct.Struct("!HBBBL")
_SETTING = struct.Struct("!HL")
_NUMBER = struct.Struct("!L")
_DEFAULT_WINDOW = 65535
_HEADER_LIST = 16 << 20
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_CANCEL = 8

Headers = Sequence[tuple[str, str]]


class _Kind(IntEnum):
    """Frame types."""

    DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
    PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9


class _Setting(IntEnum):
    """Settings that matter here."""

    HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE = 1, 2, 4
    MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 5, 6


class Http2Error(Exception):
    """The stream or its connection ended before its time; the text says how."""


class Http2Stream:
    """One stream. ``on_news`` is called after new data, headers or the end have come."""

    def __init__(self, connection: Http2Connection, number: int, window: int) -> None:
        self.number = number
        self.headers: dict[str, str] = {}
        self.received = bytearray()
        self.ended = False
        self.error: Http2Error | None = None
        self.on_news: Callable[[], None] = lambda: None
        self.window = window
        self.unsent = bytearray()
        self.closing = False
        self.taken = 0
        self._connection = connection

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Send as much as the peer takes now and keep the rest until it takes more."""
        self.unsent += data
        self.closing = self.closing or last
        self._connection.pump(self)

    def cancel(self) -> None:
        """Tell the peer that nobody wants the rest."""
        self._connection.cancel(self)


class Http2Connection(asyncio.Protocol):
    """The client's side of a connection; made by ``asyncio.loop.create_connection``."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder(max_header_list_size=_HEADER_LIST)
        self._streams: dict[int, Http2Stream] = {}
        self._next = 1
        self._window = _DEFAULT_WINDOW
        self._initial_window = _DEFAULT_WINDOW
        self._frame_size = 16384
        self._taken = 0
        self._block: tuple[int, int, bytes] | None = None
        self._news: dict[int, Http2Stream] = {}
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # life cycle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface and our settings."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = (
            (_Setting.ENABLE_PUSH, 0),
            (_Setting.INITIAL_WINDOW_SIZE, WINDOW),
            (_Setting.MAX_HEADER_LIST_SIZE, _HEADER_LIST),
        )
        body = b"".join(_SETTING.pack(*setting) for setting in settings)
        grow = _NUMBER.pack(WINDOW - _DEFAULT_WINDOW)
        transport.write(
            _PREFACE + _frame(_Kind.SETTINGS, 0, 0, body) + _frame(_Kind.WINDOW_UPDATE, 0, 0, grow)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """End every stream."""
        self._transport = None
        self._fail(list(self._streams.values()), f"the connection was lost ({exc or 'closed'})")
        self._tell()
        if not self.closed.done():
            self.closed.set_result(None)

    def close(self) -> None:
        """Close the connection; its streams end with an error."""
        if self._transport is not None:
            self._transport.close()

    # sending

    def open(self, headers: Headers) -> Http2Stream:
        """Begin a stream. Http2Error if the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            raise Http2Error("the connection is closed")
        stream = Http2Stream(self, self._next, self._initial_window)
        self._next += 2
        self._streams[stream.number] = stream
        block = self._encoder.encode(headers)
        self._transport.write(_frame(_Kind.HEADERS, _END_HEADERS, stream.number, block))
        return stream

    def pump(self, stream: Http2Stream) -> None:
        """Send what the windows allow of a stream's data."""
        if self._transport is None or stream.number not in self._streams:
            stream.unsent.clear()
            return
        frames = []
        while stream.unsent or stream.closing:
            size = min(len(stream.unsent), stream.window, self._window, self._frame_size)
            if size <= 0 and stream.unsent:
                break
            piece = bytes(stream.unsent[:size])
            del stream.unsent[:size]
            stream.window -= size
            self._window -= size
            last = stream.closing and not stream.unsent
            frames.append(_frame(_Kind.DATA, _END_STREAM if last else 0, stream.number, piece))
            if last:
                stream.closing = False
        if frames:
            self._transport.write(b"".join(frames))

    def cancel(self, stream: Http2Stream) -> None:
        """Reset a stream that has not ended."""
        if self._streams.pop(stream.number, None) is not None and self._transport is not None:
            body = _NUMBER.pack(_CANCEL)
            self._transport.write(_frame(_Kind.RST_STREAM, 0, stream.number, body))

    # receiving

    def data_received(self, data: bytes) -> None:
        """Handle all whole frames, then tell the streams that have news."""
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        try:
            while end - at >= _HEAD.size:
                high, low, kind, flags, number = _HEAD.unpack_from(buffer, at)
                until = at + _HEAD.size + (high << 8 | low)
                if until > end:
                    break
                payload = buffer[at + _HEAD.size : until]
                self._handle(kind, flags, number & 0x7FFFFFFF, payload)
                at = until
        except (struct.error, IndexError, hpack.HPACKError) as error:
            self._fail(list(self._streams.values()), f"not HTTP/2: {error}")
            self.close()
        self._rest = buffer[at:]
        self._tell()

    def _tell(self) -> None:
        while self._news:
            news, self._news = self._news, {}
            for stream in news.values():
                stream.on_news()

    def _handle(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _Kind.DATA:
            self._on_data(flags, number, payload)
        elif kind in (_Kind.HEADERS, _Kind.CONTINUATION):
            self._on_headers(kind, flags, number, payload)
        elif kind == _Kind.WINDOW_UPDATE:
            self._on_window(number, _NUMBER.unpack(payload)[0])
        elif kind == _Kind.SETTINGS and not flags & _ACK:
            self._on_settings(payload)
        elif kind == _Kind.PING and not flags & _ACK:
            self._write(_frame(_Kind.PING, _ACK, 0, payload))
        elif kind == _Kind.RST_STREAM:
            if number in self._streams:
                code = _NUMBER.unpack(payload)[0]
                self._fail([self._streams[number]], f"the server reset the stream (code {code})")
        elif kind == _Kind.GOAWAY:
            last = _NUMBER.unpack_from(payload)[0] & 0x7FFFFFFF
            unseen = [stream for stream in self._streams.values() if stream.number > last]
            self._fail(unseen, "the server is going away")

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        if flags & _PADDED:
            payload = payload[1 : size - payload[0]]
        self._taken += size
        updates = b""
        if self._taken > WINDOW // 2:
            updates = _frame(_Kind.WINDOW_UPDATE, 0, 0, _NUMBER.pack(self._taken))
            self._taken = 0
        stream = self._streams.get(number)
        if stream is not None:
            stream.received += payload
            stream.taken += size
            if stream.taken > WINDOW // 2:
                updates += _frame(_Kind.WINDOW_UPDATE, 0, number, _NUMBER.pack(stream.taken))
                stream.taken = 0
            self._note(stream, ended=bool(flags & _END_STREAM))
        if updates:
            self._write(updates)

    def _on_headers(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Collect a header block, which may come in several frames, and decode it."""
        if kind == _Kind.HEADERS:
            padding = payload[0] if flags & _PADDED else 0
            skip = (1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0)
            self._block = (number, flags, payload[skip : len(payload) - padding])
        elif self._block is not None:
            self._block = (number, self._block[1], self._block[2] + payload)
        if not flags & _END_HEADERS or self._block is None:
            return
        (number, first, block), self._block = self._block, None
        fields = self._decoder.decode(block)
        stream = self._streams.get(number)
        if stream is not None:
            stream.headers.update((str(name), str(value)) for name, value in fields)
            self._note(stream, ended=bool(first & _END_STREAM))

    def _note(self, stream: Http2Stream, *, ended: bool) -> None:
        self._news[stream.number] = stream
        if ended:
            stream.ended = True
            self._streams.pop(stream.number, None)

    def _fail(self, streams: Sequence[Http2Stream], reason: str) -> None:
        for stream in streams:
            stream.error = Http2Error(reason)
            self._note(stream, ended=True)

    def _on_settings(self, payload: bytes) -> None:
        for identifier, value in _SETTING.iter_unpack(payload):
            if identifier == _Setting.INITIAL_WINDOW_SIZE:
                for stream in self._streams.values():
                    stream.window += value - self._initial_window
                self._initial_window = value
            elif identifier == _Setting.MAX_FRAME_SIZE:
                self._frame_size = value
            elif identifier == _Setting.HEADER_TABLE_SIZE:
                self._encoder.header_table_size = min(value, 4096)
        self._write(_frame(_Kind.SETTINGS, _ACK, 0, b""))
        self._pump_all()

    def _on_window(self, number: int, grown: int) -> None:
        if number:
            stream = self._streams.get(number)
            if stream is not None:
                stream.window += grown
                self.pump(stream)
                self._news[number] = stream
            return
        self._window += grown
        self._pump_all()

    def _pump_all(self) -> None:
        for stream in list(self._streams.values()):
            if stream.unsent:
                self.pump(stream)
                self._news[stream.number] = stream

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, number) + payload
