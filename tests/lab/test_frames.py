"""HTTP/2 as the controller's client speaks it: frames, header blocks, one end of a connection."""

from __future__ import annotations

import asyncio

import pytest
from hpack import Decoder, Encoder

from control.wire import frames
from control.wire.frames import FrameError, HeaderReader, content, frame, header_block, take_frames
from control.wire.http2 import Http2Connection, Http2Error

_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]


class Wire(asyncio.Transport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def take(self) -> list[frames.Frame]:
        return take_frames(self.sent)


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
async def connection(wire: Wire) -> Http2Connection:
    made = Http2Connection()
    made.connection_made(wire)
    del wire.sent[: len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
    wire.take()
    return made


def test_frames_are_taken_when_they_are_whole() -> None:
    sent = frame(frames.PING, 0, 0, b"12345678") + frame(frames.DATA, frames.END_STREAM, 5, b"abc")
    buffer, got = bytearray(), []
    for byte in sent:
        buffer.append(byte)
        got += take_frames(buffer)
    assert got == [(frames.PING, 0, 0, b"12345678"), (frames.DATA, frames.END_STREAM, 5, b"abc")]
    assert not buffer


def test_a_frame_may_not_be_longer_than_was_agreed() -> None:
    with pytest.raises(FrameError, match="16385 bytes"):
        take_frames(bytearray(frame(frames.DATA, 0, 1, bytes(frames.FRAME_SIZE + 1))))


@pytest.mark.parametrize(
    ("flags", "payload", "carried"),
    [
        (0, b"abc", b"abc"),
        (frames.PADDED, b"\2abc\0\0", b"abc"),
        (frames.PADDED, b"\0abc", b"abc"),
        (frames.PRIORITY, b"\0\0\0\0\0abc", b"abc"),
        (frames.PADDED | frames.PRIORITY, b"\1\0\0\0\0\0abc\0", b"abc"),
    ],
)
def test_padding_and_priority_are_not_content(flags: int, payload: bytes, carried: bytes) -> None:
    assert content(flags, payload) == carried


@pytest.mark.parametrize("payload", [b"", b"\4abc", b"\xff"])
def test_padding_may_not_be_longer_than_its_frame(payload: bytes) -> None:
    with pytest.raises(FrameError, match="padding"):
        content(frames.PADDED, payload)


@pytest.mark.parametrize("size", [0, 126, 127, 128, 5000])
def test_header_blocks_are_read_as_they_were_meant(size: int) -> None:
    headers = [(":path", "/" + "p" * size), ("te", "trailers")]
    assert Decoder(1 << 20).decode(header_block(headers)) == headers


def test_a_block_means_what_the_table_says_at_its_time() -> None:
    """The same indices stand for other headers after the table has changed."""
    encoder, reader = Encoder(), HeaderReader(1 << 20)
    seen: dict[bytes, set[str]] = {}
    for number in range(200):
        for value in (str(number), str(number), str(max(0, number - 1))):
            block = encoder.encode([*_HEADERS, ("grpc-status", value)])
            assert reader.read(block)["grpc-status"] == value
            seen.setdefault(block, set()).add(value)
    assert any(len(values) > 1 for values in seen.values())


@pytest.mark.parametrize("block", [b"\xff\xff\xff\xff\xff\x0f", b"\x40\x03ab", b"\xc0"])
def test_what_is_no_header_block_is_said_to_be_so(block: bytes) -> None:
    with pytest.raises(FrameError, match="headers"):
        HeaderReader(1 << 20).read(block)


async def test_the_peer_gets_its_acknowledgements(connection: Http2Connection, wire: Wire) -> None:
    connection.data_received(
        frames.settings({frames.MAX_STREAMS: 2}) + frame(frames.PING, 0, 0, b"is it up")
    )
    assert wire.take() == [
        (frames.SETTINGS, frames.ACK, 0, b""),
        (frames.PING, frames.ACK, 0, b"is it up"),
    ]


async def test_no_more_streams_than_the_peer_takes(connection: Http2Connection) -> None:
    connection.data_received(frames.settings({frames.MAX_STREAMS: 2}))
    streams = [connection.open(b"") for _ in range(2)]
    with pytest.raises(Http2Error, match="2 are under way"):
        connection.open(b"")
    connection.cancel(streams[0])
    assert connection.open(b"").number == 5


async def test_data_waits_for_the_windows_of_stream_and_connection(
    connection: Http2Connection, wire: Wire
) -> None:
    connection.data_received(frames.settings({frames.INITIAL_WINDOW: 10}))
    stream = connection.open(b"")
    wire.take()
    stream.send(bytes(30), last=True)
    assert [len(payload) for *_, payload in wire.take()] == [0, 10]
    connection.data_received(frames.window_update(stream.number, 5))
    assert [len(payload) for *_, payload in wire.take()] == [5]
    connection.data_received(frames.settings({frames.INITIAL_WINDOW: 100}))
    *_, (kind, flags, _, payload) = wire.take()
    assert (kind, flags, len(payload)) == (frames.DATA, frames.END_STREAM, 15)


async def test_headers_may_come_in_parts(connection: Http2Connection) -> None:
    stream = connection.open(b"")
    block = header_block(_HEADERS)
    connection.data_received(frame(frames.HEADERS, frames.END_STREAM, stream.number, block[:5]))
    connection.data_received(frame(frames.CONTINUATION, 0, stream.number, block[5:9]))
    assert not stream.ended
    last = frame(frames.CONTINUATION, frames.END_HEADERS, stream.number, block[9:])
    connection.data_received(last)
    assert stream.ended and stream.headers == dict(_HEADERS)


async def test_streams_that_a_leaving_server_has_seen_go_on(connection: Http2Connection) -> None:
    seen, unseen = connection.open(b""), connection.open(b"")
    goodbye = frames.WORD.pack(seen.number) + frames.WORD.pack(frames.NO_ERROR)
    connection.data_received(frame(frames.GOAWAY, 0, 0, goodbye))
    assert unseen.ended and str(unseen.error) == "the server is going away"
    with pytest.raises(Http2Error, match="going away"):
        connection.open(b"")
    connection.data_received(frame(frames.DATA, frames.END_STREAM, seen.number, b"to the end"))
    assert seen.ended and seen.error is None and seen.received == b"to the end"


@pytest.mark.parametrize(
    "wrong",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        frame(frames.HEADERS, 0, 1, b"") + frame(frames.PING, 0, 0, bytes(8)),
        frame(frames.CONTINUATION, 0, 1, b""),
        frame(frames.SETTINGS, 0, 0, b"12345"),
        frame(frames.WINDOW_UPDATE, 0, 0, b""),
        frame(frames.PUSH_PROMISE, 0, 1, bytes(8)),
    ],
)
async def test_a_peer_that_breaks_the_rules_is_left(
    connection: Http2Connection, wire: Wire, wrong: bytes
) -> None:
    stream = connection.open(b"")
    connection.data_received(wrong)
    assert wire.closed and stream.ended and "not HTTP/2" in str(stream.error)
    assert wire.take()[-1][0] == frames.GOAWAY
