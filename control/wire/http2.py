"""One HTTP/2 connection as a gRPC client needs it, by the h2 library over an asyncio transport.

Everything that one read of the socket brings is handled before anybody is told, and what is sent to
a stream in one call leaves in one write: that is what makes small messages cheap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

WINDOW = 16 << 20
"""Bytes that the peer may send, per stream and in all, before we have taken them."""
_HEADER_LIST = 16 << 20
_SETTINGS = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
    SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_LIST,
}
# gRPC's headers are ours and the server's own; checking each again costs more than the message.
_CONFIG = H2Configuration(
    client_side=True,
    header_encoding="utf-8",
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
)

Headers = Sequence[tuple[str, str]]


class Http2Error(Exception):
    """The stream or its connection ended before its time; the text says how."""


class Http2Stream:
    """One stream. ``on_news`` is called after new data, headers or the end have come."""

    def __init__(self, connection: Http2Connection, number: int) -> None:
        self.number = number
        self.headers: dict[str, str] = {}
        self.received = bytearray()
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
        self._h2 = H2Connection(_CONFIG)
        self._h2.local_settings = Settings(client=True, initial_values=_SETTINGS)
        self._h2.decoder.max_header_list_size = _HEADER_LIST
        self._streams: dict[int, Http2Stream] = {}
        self._news: dict[int, Http2Stream] = {}
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # life cycle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface and our settings."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW - self._h2.inbound_flow_control_window)
        self._flush()

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
        """Begin a stream, with the first data sent to it. Http2Error if the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            raise Http2Error("the connection is closed")
        try:
            number = self._h2.get_next_available_stream_id()
            self._h2.send_headers(number, headers)
        except H2Error as error:
            raise Http2Error(f"no call can begin: {error}") from None
        stream = Http2Stream(self, number)
        self._streams[number] = stream
        return stream

    def pump(self, stream: Http2Stream) -> None:
        """Send what the windows allow of a stream's data."""
        if self._transport is None or stream.number not in self._streams:
            stream.unsent.clear()
            return
        while stream.unsent or stream.closing:
            window = self._h2.local_flow_control_window(stream.number)
            size = min(len(stream.unsent), window, self._h2.max_outbound_frame_size)
            if size <= 0 and stream.unsent:
                break
            piece = bytes(stream.unsent[:size])
            del stream.unsent[:size]
            last = stream.closing and not stream.unsent
            self._h2.send_data(stream.number, piece, end_stream=last)
            if last:
                stream.closing = False
        self._flush()

    def cancel(self, stream: Http2Stream) -> None:
        """Reset a stream that has not ended."""
        if self._streams.pop(stream.number, None) is not None and self._transport is not None:
            self._h2.reset_stream(stream.number, ErrorCodes.CANCEL)
            self._flush()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)

    # receiving

    def data_received(self, data: bytes) -> None:
        """Handle all that has come, then tell the streams that have news."""
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
        except H2Error as error:
            self._fail(list(self._streams.values()), f"not HTTP/2: {error}")
            self._flush()
            self.close()
        self._flush()
        self._tell()

    def _tell(self) -> None:
        while self._news:
            news, self._news = self._news, {}
            for stream in news.values():
                stream.on_news()

    def _handle(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._on_data(event)
        elif isinstance(event, ResponseReceived | TrailersReceived):
            if (stream := self._streams.get(event.stream_id)) is not None:
                stream.headers.update((str(name), str(value)) for name, value in event.headers)
                self._news[stream.number] = stream
        elif isinstance(event, StreamEnded):
            if (stream := self._streams.get(event.stream_id)) is not None:
                self._end(stream)
        elif isinstance(event, StreamReset):
            if (stream := self._streams.get(event.stream_id)) is not None:
                self._fail([stream], f"the server reset the stream (code {event.error_code})")
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            self._pump_all()
        elif isinstance(event, ConnectionTerminated):
            last = event.last_stream_id or 0
            unseen = [stream for stream in self._streams.values() if stream.number > last]
            self._fail(unseen, "the server is going away")

    def _on_data(self, event: DataReceived) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.received += event.data
            self._news[stream.number] = stream

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
            if stream.unsent:
                self.pump(stream)
                self._news[stream.number] = stream
