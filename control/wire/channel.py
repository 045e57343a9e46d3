"""gRPC calls over one HTTP/2 connection; messages are bytes, whoever calls knows their types."""

from __future__ import annotations

import asyncio
import base64
import binascii
import struct
from collections.abc import Callable, Iterable
from typing import NoReturn
from urllib.parse import unquote

from control.wire.http2 import Http2Connection, Http2Error, Http2Stream

UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL = 14, 4, 13
BACKLOG = 1 << 20
_PREFIX = struct.Struct("!BL")


class RpcError(Exception):
    """A call failed: gRPC's status code, the server's words, and a google.rpc.Status if it came."""

    def __init__(self, code: int, message: str, status: bytes = b"") -> None:
        super().__init__(f"{message} (gRPC status {code})")
        self.code = code
        self.message = message
        self.status = status


class Channel:
    """Calls to one server. ``await Channel.connect(address)``, and ``close`` it."""

    def __init__(self, connection: Http2Connection, address: str) -> None:
        self._connection = connection
        self._address = address

    @classmethod
    async def connect(cls, address: str) -> Channel:
        """Connect to "host:port". Raises OSError."""
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            Http2Connection, host.strip("[]") or "localhost", int(port)
        )
        return cls(connection, address)

    async def close(self) -> None:
        """Close the connection and wait until it is; open calls end with UNAVAILABLE."""
        self._connection.close()
        await self._connection.closed

    async def call(self, method: str, request: bytes, timeout: float) -> list[bytes]:
        """Send one request; all messages of the answer. Raises RpcError."""
        got: list[bytes] = []
        stream = self.open(method, got.extend)
        timer = asyncio.get_running_loop().call_later(timeout, stream.expire, timeout)
        try:
            stream.send((request,), last=True)
            await stream.ended
        finally:
            timer.cancel()
            stream.cancel()
        return got

    def open(self, method: str, on_messages: Callable[[list[bytes]], None]) -> Stream:
        """Begin a call, with the first message; ``on_messages`` gets those that come together."""
        headers = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", self._address),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        )
        try:
            return Stream(self._connection.open(headers), on_messages)
        except Http2Error as error:
            raise RpcError(UNAVAILABLE, str(error)) from None


class Stream:
    """A call in progress. ``ended`` is done when it is over, with an RpcError if it failed."""

    def __init__(self, http: Http2Stream, on_messages: Callable[[list[bytes]], None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A failure that nobody waits for any more is no defect.
        self.ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self._http = http
        self._on_messages = on_messages
        self._room = asyncio.Event()
        http.on_news = self._news

    def send(self, messages: Iterable[bytes], *, last: bool = False) -> None:
        """Send messages in order, without waiting; see ``drain``."""
        parts: list[bytes] = []
        for message in messages:
            parts += (_PREFIX.pack(0, len(message)), message)
        self._http.send(b"".join(parts), last=last)

    async def drain(self) -> None:
        """Wait until the server has taken most of what was sent. Raises RpcError at the end."""
        while len(self._http.unsent) > BACKLOG:
            self._room.clear()
            if self.ended.done():
                break
            await self._room.wait()
        if self.ended.done():
            self.ended.result()

    def expire(self, timeout: float) -> None:
        """End because the server has taken too long."""
        self.fail(RpcError(DEADLINE_EXCEEDED, f"no answer within {timeout:.0f} s"))

    def fail(self, error: RpcError) -> None:
        """End with an error, if it has not ended."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def cancel(self) -> None:
        """Leave the call, if it has not ended."""
        self._http.cancel()

    def _news(self) -> None:
        self._room.set()
        messages = _whole_messages(self._http.received)
        if messages:
            self._on_messages(messages)
        if self._http.ended and not self.ended.done():
            try:
                self._check()
            except RpcError as error:
                self.ended.set_exception(error)
            else:
                self.ended.set_result(None)

    def _check(self) -> None:
        """Raise RpcError unless the call ended well."""
        headers = self._http.headers
        if "grpc-status" in headers:
            if headers["grpc-status"] != "0":
                _raise_status(headers)
        elif self._http.error is not None:
            raise RpcError(UNAVAILABLE, str(self._http.error))
        else:
            code = headers.get(":status", "none")
            raise RpcError(INTERNAL, f"not a gRPC server's answer (HTTP status {code})")


def _raise_status(headers: dict[str, str]) -> NoReturn:
    text = headers.get("grpc-status-details-bin", "")
    try:
        status = base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        status = b""
    raise RpcError(int(headers["grpc-status"]), unquote(headers.get("grpc-message", "")), status)


def _whole_messages(received: bytearray) -> list[bytes]:
    """Take the messages that have come whole out of a buffer."""
    messages: list[bytes] = []
    at, end = 0, len(received)
    while end - at >= _PREFIX.size:
        size = _PREFIX.unpack_from(received, at)[1]
        if end - at - _PREFIX.size < size:
            break
        at += _PREFIX.size
        messages.append(bytes(received[at : at + size]))
        at += size
    if at:
        del received[:at]
    return messages
