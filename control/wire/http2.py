"""One HTTP/2 connection as a gRPC client needs it, over an asyncio transport.

Everything that one read of the socket brings is handled before anybody is told, and what is sent to
a stream in one call leaves in one write: that is what makes small messages cheap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from control.wire import frames
from control.wire.frames import FrameError, HeaderReader, frame

WINDOW = 16 << 20
"""Bytes that the peer may send, per stream and in all, before we have taken them."""
_DEFAULT_WINDOW = 65535
_HEADER_LIST = 16 << 20
_PREFACE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + frames.settings(
        {
            frames.ENABLE_PUSH: 0,
            frames.INITIAL_WINDOW: WINDOW,
            frames.MAX_HEADERS: _HEADER_LIST,
        }
    )
    + frames.window_update(0, WINDOW - _DEFAULT_WINDOW)
)
_LAST_STREAM = 0x7FFFFFFF


class Http2Error(Exception):
    """The stream or its connection ended before its time; the text says how."""


class Http2Stream:
    """One stream. ``on_news`` is called after new data, headers or the end have come."""

    def __init__(self, connection: Http2Connection, number: int, window: int) -> None:
        self.number = number
        self.window = window  # bytes that the peer takes now
        self.headers: dict[str, str] = {}
        self.received = bytearray()
        self.taken = 0  # bytes that have come since the peer was last told that it may send more
        self.ended = False
        self.error: Http2Error | None = None
        self.on_news: Callable[[], None] = lambda: None
        self.unsent = bytearray()
        self.closing = False
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
        self._received = bytearray()
        self._out: list[bytes] = []
        self._streams: dict[int, Http2Stream] = {}
        self._news: dict[int, Http2Stream] = {}
        self._next = 1
        self._leaving = False  # the peer takes no new streams
        self._window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._frame_size = frames.FRAME_SIZE
        self._most_streams = _LAST_STREAM
        self._taken = 0
        self._reader = HeaderReader(_HEADER_LIST)
        self._block: tuple[int, int, bytearray] | None = None  # headers that have not come whole
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # life cycle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface and our settings."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_PREFACE)

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

    def open(self, block: bytes) -> Http2Stream:
        """Begin a stream with a header block, which leaves with the first data.

        Http2Error if none can begin.
        """
        if self._transport is None or self._transport.is_closing():
            raise Http2Error("the connection is closed")
        if self._leaving or self._next > _LAST_STREAM:
            raise Http2Error("no call can begin: the server is going away")
        if len(self._streams) >= self._most_streams:
            raise Http2Error(f"no call can begin: {len(self._streams)} are under way")
        stream = Http2Stream(self, self._next, self._stream_window)
        self._next += 2
        self._streams[stream.number] = stream
        self._out.append(frame(frames.HEADERS, frames.END_HEADERS, stream.number, block))
        return stream

    def pump(self, stream: Http2Stream) -> None:
        """Send what the windows allow of a stream's data."""
        if self._transport is None or stream.number not in self._streams:
            stream.unsent.clear()
            return
        while stream.unsent or stream.closing:
            size = min(len(stream.unsent), stream.window, self._window, self._frame_size)
            if size <= 0 and stream.unsent:
                break
            last = stream.closing and size == len(stream.unsent)
            flags = frames.END_STREAM if last else 0
            self._out.append(frame(frames.DATA, flags, stream.number, bytes(stream.unsent[:size])))
            del stream.unsent[:size]
            stream.window -= size
            self._window -= size
            if last:
                stream.closing = False
        self._flush()

    def cancel(self, stream: Http2Stream) -> None:
        """Reset a stream that has not ended."""
        if self._streams.pop(stream.number, None) is not None and self._transport is not None:
            reason = frames.WORD.pack(frames.CANCEL)
            self._out.append(frame(frames.RST_STREAM, 0, stream.number, reason))
            self._flush()

    def _flush(self) -> None:
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    # receiving

    def data_received(self, data: bytes) -> None:
        """Handle all that has come, then tell the streams that have news."""
        self._received += data
        try:
            for kind, flags, number, payload in frames.take_frames(self._received):
                if self._block is not None and kind != frames.CONTINUATION:
                    raise FrameError("headers that do not end")
                handler = self._HANDLERS.get(kind)
                if handler is not None:  # other kinds are to be ignored
                    handler(self, flags, number, payload)
        except FrameError as error:
            self._fail(list(self._streams.values()), f"not HTTP/2: {error}")
            goodbye = frames.WORD.pack(0) + frames.WORD.pack(frames.PROTOCOL_ERROR)
            self._out.append(frame(frames.GOAWAY, 0, 0, goodbye))
            self._flush()
            self.close()
        self._flush()
        self._tell()

    def _tell(self) -> None:
        while self._news:
            news, self._news = self._news, {}
            for stream in news.values():
                stream.on_news()

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._taken += len(payload)
        if self._taken >= WINDOW // 2:
            self._out.append(frames.window_update(0, self._taken))
            self._taken = 0
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.received += frames.content(flags & frames.PADDED, payload)
        self._news[number] = stream
        if flags & frames.END_STREAM:
            self._end(stream)
            return
        stream.taken += len(payload)
        if stream.taken >= WINDOW // 2:
            self._out.append(frames.window_update(number, stream.taken))
            stream.taken = 0

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        block = frames.content(flags, payload)
        if flags & frames.END_HEADERS:
            self._on_block(flags, number, block)
        else:
            self._block = number, flags, bytearray(block)

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise FrameError("a continuation of nothing")
        _, first, block = self._block
        block += payload
        if len(block) > _HEADER_LIST:
            raise FrameError(f"headers of more than {_HEADER_LIST} bytes")
        if flags & frames.END_HEADERS:
            self._block = None
            self._on_block(first, number, bytes(block))

    def _on_block(self, flags: int, number: int, block: bytes) -> None:
        headers = self._reader.read(block)
        stream = self._streams.get(number)
        if stream is not None:
            stream.headers.update(headers)
            self._news[number] = stream
            if flags & frames.END_STREAM:
                self._end(stream)

    def _on_reset(self, _flags: int, number: int, payload: bytes) -> None:
        code = frames.read_word(payload)
        stream = self._streams.get(number)
        if stream is not None:
            self._fail([stream], f"the server reset the stream (code {code})")

    def _on_settings(self, flags: int, _number: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        values = frames.read_settings(payload)
        grown = values.get(frames.INITIAL_WINDOW, self._stream_window) - self._stream_window
        self._stream_window += grown
        self._frame_size = values.get(frames.MAX_FRAME, self._frame_size)
        self._most_streams = values.get(frames.MAX_STREAMS, self._most_streams)
        self._out.append(frame(frames.SETTINGS, frames.ACK, 0))
        for stream in self._streams.values():
            stream.window += grown
        self._pump_all()

    def _on_window_update(self, _flags: int, number: int, payload: bytes) -> None:
        size = frames.read_word(payload) & 0x7FFFFFFF
        if number == 0:
            self._window += size
            self._pump_all()
        elif (stream := self._streams.get(number)) is not None:
            stream.window += size
            self._pump_waiting(stream)

    def _on_ping(self, flags: int, _number: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self._out.append(frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _flags: int, _number: int, payload: bytes) -> None:
        self._leaving = True
        last = frames.read_word(payload) & 0x7FFFFFFF
        unseen = [stream for stream in self._streams.values() if stream.number > last]
        self._fail(unseen, "the server is going away")

    def _on_push(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise FrameError("a push, which was not allowed")

    _HANDLERS: dict[int, Callable[[Http2Connection, int, int, bytes], None]] = {
        frames.DATA: _on_data,
        frames.HEADERS: _on_headers,
        frames.RST_STREAM: _on_reset,
        frames.SETTINGS: _on_settings,
        frames.PUSH_PROMISE: _on_push,
        frames.PING: _on_ping,
        frames.GOAWAY: _on_goaway,
        frames.WINDOW_UPDATE: _on_window_update,
        frames.CONTINUATION: _on_continuation,
    }

    def _end(self, stream: Http2Stream) -> None:
        stream.ended = True
        self._news[stream.number] = stream
        self._streams.pop(stream.number, None)

    def _fail(self, streams: Sequence[Http2Stream], reason: str) -> None:
        for stream in streams:
            stream.error = Http2Error(reason)
            self._end(stream)

    def _pump_all(self) -> None:
        for stream in list(self._streams.values()):
            self._pump_waiting(stream)

    def _pump_waiting(self, stream: Http2Stream) -> None:
        """Send what a stream could not send before, and tell it that there is room."""
        if stream.unsent:
            self.pump(stream)
            self._news[stream.number] = stream
