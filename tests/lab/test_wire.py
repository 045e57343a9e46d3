"""The controller's gRPC client, against gRPC's own server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from finsy.proto import p4r, rpc_code, rpc_status

from control.errors import NicDownError
from control.nic import _translate
from control.session import failed_updates, varint
from control.wire import Channel, RpcError

_UPDATES = 3000


class Server:
    """Methods by name: Echo, Count, Refuse, Hang, Talk, Deaf."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        methods = {
            "Echo": grpc.unary_unary_rpc_method_handler(lambda raw, _: raw),
            "Count": grpc.unary_stream_rpc_method_handler(_count),
            "Refuse": grpc.unary_unary_rpc_method_handler(_refuse),
            "Hang": grpc.unary_unary_rpc_method_handler(self._hang),
            "Talk": grpc.stream_stream_rpc_method_handler(lambda raws, _: raws),
            "Deaf": grpc.stream_stream_rpc_method_handler(self._deaf),
        }
        self._pool = ThreadPoolExecutor(8)
        # no growing windows: a stream that is not read is to be held back soon
        options = [("grpc.max_receive_message_length", -1), ("grpc.http2.bdp_probe", 0)]
        self.server = grpc.server(self._pool, options=options)
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Test", methods),)
        )
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def _hang(self, raw: bytes, _context: Any) -> bytes:
        self.let_go.wait(10)
        return raw

    def _deaf(self, raws: Iterator[bytes], _context: Any) -> Iterator[bytes]:
        """Reads nothing until it is let go; tells how many messages there were."""
        self.let_go.wait(10)
        yield len(list(raws)).to_bytes(4, "big")

    def stop(self) -> None:
        self.let_go.set()
        self.server.stop(0).wait()
        self._pool.shutdown()


def _count(raw: bytes, _context: Any) -> Iterator[bytes]:
    for number in range(int(raw)):
        yield str(number).encode()


def _refuse(_raw: bytes, context: grpc.ServicerContext) -> bytes:
    """A status as a failed Write has it: one error per update, in a header of many frames."""
    status = rpc_status.Status(code=rpc_code.UNKNOWN, message="so nicht: größer")
    for number in range(_UPDATES):
        code = rpc_code.NOT_FOUND if number % 2 else rpc_code.OK
        status.details.add().Pack(p4r.Error(canonical_code=code, message=f"no {number}"))
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    context.set_trailing_metadata(details)
    context.abort(grpc.StatusCode.UNKNOWN, status.message)
    raise AssertionError  # abort does not return


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
async def channel(server: Server) -> AsyncIterator[Channel]:
    opened = await Channel.connect(server.address)
    yield opened
    await opened.close()


@pytest.mark.parametrize("size", [0, 1, 100_000, 20_000_000])
async def test_messages_of_all_sizes_come_back(channel: Channel, size: int) -> None:
    for _ in range(2):  # windows must have been opened again
        message = bytes(range(256)) * (size // 256) + bytes(size % 256)
        assert await channel.call("/test.Test/Echo", message, 10) == [message]


async def test_calls_may_overlap(channel: Channel) -> None:
    calls = [channel.call("/test.Test/Echo", bytes([n]) * 50_000, 10) for n in range(40)]
    answers = await asyncio.gather(*calls)
    assert [answer[0][0] for answer in answers] == list(range(40))


async def test_an_answer_may_have_many_messages(channel: Channel) -> None:
    assert await channel.call("/test.Test/Count", b"5000", 10) == [
        str(number).encode() for number in range(5000)
    ]


async def test_a_refusal_has_its_code_words_and_details(channel: Channel) -> None:
    with pytest.raises(RpcError) as caught:
        await channel.call("/test.Test/Refuse", b"", 10)
    assert (caught.value.code, caught.value.message) == (rpc_code.UNKNOWN, "so nicht: größer")
    failed = failed_updates(caught.value)
    assert list(failed) == list(range(1, _UPDATES, 2))
    assert failed[1] == ("NOT_FOUND", "no 1")
    # the connection lives on
    assert await channel.call("/test.Test/Echo", b"x", 10) == [b"x"]


async def test_a_method_that_is_not_there(channel: Channel) -> None:
    with pytest.raises(RpcError) as caught:
        await channel.call("/test.Test/None", b"", 10)
    assert caught.value.code == rpc_code.UNIMPLEMENTED


async def test_a_call_that_takes_too_long(channel: Channel, server: Server) -> None:
    with pytest.raises(RpcError) as caught:
        await channel.call("/test.Test/Hang", b"", 0.05)
    assert caught.value.code == rpc_code.DEADLINE_EXCEEDED
    server.let_go.set()
    assert await channel.call("/test.Test/Echo", b"x", 10) == [b"x"]


async def test_stream_messages_keep_their_order_and_come_together(channel: Channel) -> None:
    got: list[bytes] = []
    batches: list[int] = []
    complete = asyncio.Event()

    def take(messages: list[bytes]) -> None:
        got.extend(messages)
        batches.append(len(messages))
        if len(got) == len(sent):
            complete.set()

    sent = [b"%d" % number for number in range(5000)]
    stream = channel.open("/test.Test/Talk", take)
    for start in range(0, len(sent), 500):
        stream.send(sent[start : start + 500])
    await asyncio.wait_for(complete.wait(), 10)
    assert got == sent
    stream.send((), last=True)
    await asyncio.wait_for(stream.ended, 10)


async def test_a_server_that_does_not_read_holds_the_sender_back(
    channel: Channel, server: Server
) -> None:
    told = asyncio.get_running_loop().create_future()
    stream = channel.open("/test.Test/Deaf", lambda messages: told.set_result(messages[0]))
    stream.send([bytes(100_000)] * 100)
    drained = asyncio.ensure_future(stream.drain())
    assert await channel.call("/test.Test/Echo", b"x", 10) == [b"x"]
    assert not drained.done()
    server.let_go.set()
    await asyncio.wait_for(drained, 10)
    stream.send((), last=True)
    assert await asyncio.wait_for(told, 10) == (100).to_bytes(4, "big")


async def test_calls_to_a_server_that_ends_are_no_cancellations(
    channel: Channel, server: Server
) -> None:
    call = asyncio.ensure_future(channel.call("/test.Test/Hang", b"", 10))
    assert await channel.call("/test.Test/Echo", b"x", 10) == [b"x"]
    server.server.stop(0)
    with pytest.raises(RpcError) as caught:
        await call
    assert caught.value.code in (rpc_code.UNAVAILABLE, rpc_code.CANCELLED)
    for _ in range(2):
        with pytest.raises(RpcError) as caught:
            await channel.call("/test.Test/Echo", b"", 10)
    assert isinstance(_translate("nic1", "read", caught.value), NicDownError)


async def test_something_else_than_grpc_is_said_to_be_so() -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(chat, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    channel = await Channel.connect(f"127.0.0.1:{port}")
    with pytest.raises(RpcError) as caught:
        await channel.call("/test.Test/Echo", b"", 10)
    assert caught.value.code == rpc_code.UNAVAILABLE
    await channel.close()
    other.close()
    await other.wait_closed()


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**64 - 1])
def test_varints(value: int) -> None:
    entry = p4r.TableEntry(metadata=b"", controller_metadata=value)
    encoded = b"" if value == 0 else b"\x28" + varint(value)
    assert entry.SerializeToString() == encoded
