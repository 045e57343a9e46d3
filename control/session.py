"""One P4Runtime session: arbitration, pipeline, reads, writes and the stream, over bytes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from finsy.proto import p4i, p4r, rpc_code, rpc_status
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from control.quirks import refusal
from control.wire import Channel, RpcError, Stream

LOG = logging.getLogger(__name__)
FIRST_ELECTION_ID = 10
CALL_S = 10.0
_SERVICE = "/p4.v1.P4Runtime/"
_PACKET = b"\x12"  # tag of `packet` in StreamMessageRequest and StreamMessageResponse
_Set = p4r.SetForwardingPipelineConfigRequest
_Get = p4r.GetForwardingPipelineConfigRequest


@dataclass(frozen=True)
class Pipeline:
    """The two files of a compiled program."""

    p4info: Path
    blob: Path


class PacketIn(NamedTuple):
    """A packet that a NIC sends up: its metadata by name, and its bytes."""

    metadata: dict[str, int]
    payload: bytes


class PacketOut(NamedTuple):
    """A packet for a NIC, with the fields of its packet-out header in their order."""

    payload: bytes
    metadata: tuple[int, ...]


@dataclass
class Listener:
    """Who gets what the NIC tells. The functions must not wait."""

    packets: Callable[[list[PacketIn]], None]
    digest: Callable[[p4r.DigestList], None]
    idle: Callable[[Sequence[p4r.TableEntry]], None]


class P4Session:
    """A session as primary with one NIC; ``async with`` opens and ends it. Errors are RpcError."""

    def __init__(self, address: str, device_id: int, pipeline: Pipeline, listen: Listener) -> None:
        self.address = address
        self.device_id = device_id
        self._pipeline = pipeline
        self._info = text_format.Parse(pipeline.p4info.read_text(encoding="utf-8"), p4i.P4Info())
        headers = {h.preamble.name: h.metadata for h in self._info.controller_packet_metadata}
        self._in_names = {field.id: field.name for field in headers.get("packet_in", ())}
        self._out_ids = tuple(field.id for field in headers.get("packet_out", ()))
        self._out_metadata = lru_cache(4096)(self._encode_metadata)
        self._listen = listen
        self._election_id = FIRST_ELECTION_ID
        self._channel: Channel | None = None
        self._stream: Stream | None = None
        self._advice: asyncio.Queue[p4r.MasterArbitrationUpdate] = asyncio.Queue()
        self._leading = False

    # life cycle

    async def __aenter__(self) -> P4Session:
        """Connect, become primary, and set the pipeline unless the NIC has it."""
        try:
            self._channel = await Channel.connect(self.address)
        except OSError as error:
            raise RpcError(rpc_code.UNAVAILABLE, f"cannot connect: {error}") from None
        try:
            self._stream = self._channel.open(f"{_SERVICE}StreamChannel", self._take)
            await self._arbitrate()
            await self._set_pipeline()
        except BaseException:
            await self._channel.close()
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Close the connection."""
        assert self._channel is not None
        await self._channel.close()

    async def wait_ended(self) -> None:
        """Wait until the stream ends. Raises RpcError if it was not a good end."""
        await asyncio.shield(self._open_stream().ended)

    def _open_stream(self) -> Stream:
        if self._stream is None:
            raise RpcError(rpc_code.UNAVAILABLE, "the session has not begun")
        return self._stream

    async def _arbitrate(self) -> None:
        """Become primary, with the highest election id that the NIC remembers if need be."""
        while True:
            self._send_arbitration()
            advice = await self._next_advice()
            highest = _number(advice.election_id)
            if advice.status.code == rpc_code.OK:
                self._leading = True
                return
            if advice.status.code != rpc_code.NOT_FOUND or highest <= self._election_id:
                raise _outvoted(highest)
            self._election_id = highest

    def _send_arbitration(self) -> None:
        update = p4r.MasterArbitrationUpdate(device_id=self.device_id, election_id=self._election())
        request = p4r.StreamMessageRequest(arbitration=update)
        self._open_stream().send((request.SerializeToString(),))

    async def _next_advice(self) -> p4r.MasterArbitrationUpdate:
        stream = self._open_stream()
        advice = asyncio.ensure_future(self._advice.get())
        try:
            await asyncio.wait(
                {advice, stream.ended}, timeout=CALL_S, return_when=asyncio.FIRST_COMPLETED
            )
            if advice.done():
                return advice.result()
            if stream.ended.done():
                stream.ended.result()
            raise RpcError(rpc_code.DEADLINE_EXCEEDED, f"no arbitration within {CALL_S:.0f} s")
        finally:
            advice.cancel()

    def _election(self) -> p4r.Uint128:
        return p4r.Uint128(high=self._election_id >> 64, low=self._election_id & (2**64 - 1))

    async def _set_pipeline(self) -> None:
        blob = await asyncio.to_thread(self._pipeline.blob.read_bytes)
        digest = hashlib.blake2b(self._info.SerializeToString(deterministic=True), digest_size=8)
        digest.update(blob)
        cookie = int.from_bytes(digest.digest(), "big")
        if await self._cookie() == cookie:
            return
        config = p4r.ForwardingPipelineConfig(p4info=self._info, p4_device_config=blob)
        config.cookie.cookie = cookie
        request = _Set(
            device_id=self.device_id, election_id=self._election(), config=config,
            action=_Set.VERIFY_AND_COMMIT,
        )  # fmt: skip
        await self._call("SetForwardingPipelineConfig", request.SerializeToString())

    async def _cookie(self) -> int | None:
        """The cookie of the NIC's pipeline; None if it has none."""
        request = _Get(device_id=self.device_id, response_type=_Get.COOKIE_ONLY)
        try:
            (raw,) = await self._call("GetForwardingPipelineConfig", request.SerializeToString())
        except RpcError as error:
            if error.code != rpc_code.FAILED_PRECONDITION:
                raise
            return None
        config = p4r.GetForwardingPipelineConfigResponse.FromString(raw).config
        return int(config.cookie.cookie) if config.HasField("cookie") else None

    # calls

    async def _call(self, method: str, request: bytes) -> list[bytes]:
        if self._channel is None:
            raise RpcError(rpc_code.UNAVAILABLE, "the session has not begun")
        return await self._channel.call(_SERVICE + method, request, CALL_S)

    async def read(self, queries: Sequence[p4r.Entity]) -> list[p4r.Entity]:
        """Read entities."""
        request = p4r.ReadRequest(device_id=self.device_id, entities=queries)
        found: list[p4r.Entity] = []
        for raw in await self._call("Read", request.SerializeToString()):
            found.extend(p4r.ReadResponse.FromString(raw).entities)
        return found

    async def write(self, updates: Sequence[bytes]) -> None:
        """Write a batch of encoded p4.v1.Update messages, in order."""
        head = p4r.WriteRequest(device_id=self.device_id, election_id=self._election())
        parts = [head.SerializeToString()]
        for update in updates:
            parts += (b"\x22", varint(len(update)), update)
        await self._call("Write", b"".join(parts))

    # stream

    async def send_packets(self, packets: Iterable[PacketOut]) -> None:
        """Send packets out, in order."""
        stream = self._open_stream()
        messages = []
        for payload, metadata in packets:
            body = b"".join((b"\x0a", varint(len(payload)), payload, self._out_metadata(metadata)))
            messages.append(b"".join((_PACKET, varint(len(body)), body)))
        stream.send(messages)
        await stream.drain()

    def _encode_metadata(self, values: tuple[int, ...]) -> bytes:
        packet = p4r.PacketOut()
        for number, value in zip(self._out_ids, values, strict=True):
            packet.metadata.add(metadata_id=number, value=canonical(value))
        encoded: bytes = packet.SerializeToString()
        return encoded

    def acknowledge(self, digests: Iterable[p4r.DigestList]) -> None:
        """Acknowledge digest lists."""
        acks = (p4r.DigestListAck(digest_id=d.digest_id, list_id=d.list_id) for d in digests)
        requests = [p4r.StreamMessageRequest(digest_ack=ack) for ack in acks]
        self._open_stream().send([request.SerializeToString() for request in requests])

    def _take(self, messages: list[bytes]) -> None:
        """Hand on what has come on the stream."""
        packets: list[PacketIn] = []
        for raw in messages:
            try:
                message = p4r.StreamMessageResponse.FromString(raw)
            except DecodeError:
                LOG.warning("%s: a stream message that is none: %r", self.address, raw[:64])
                continue
            if raw.startswith(_PACKET):
                packets.append(self._packet_in(message.packet))
            else:
                self._take_other(message)
        if packets:
            self._listen.packets(packets)

    def _packet_in(self, packet: p4r.PacketIn) -> PacketIn:
        names = self._in_names
        metadata = {
            names.get(item.metadata_id, ""): int.from_bytes(item.value, "big")
            for item in packet.metadata
        }
        return PacketIn(metadata, packet.payload)

    def _take_other(self, message: p4r.StreamMessageResponse) -> None:
        kind = message.WhichOneof("update")
        if kind == "arbitration":
            if not self._leading:
                self._advice.put_nowait(message.arbitration)
            elif message.arbitration.status.code != rpc_code.OK:
                self._open_stream().fail(_outvoted(_number(message.arbitration.election_id)))
        elif kind == "digest":
            self._listen.digest(message.digest)
        elif kind == "idle_timeout_notification":
            self._listen.idle(message.idle_timeout_notification.table_entry)
        elif kind == "error":
            LOG.error("%s: %s", self.address, message.error.message)


def _number(election: p4r.Uint128) -> int:
    return election.high << 64 | election.low


def _outvoted(highest: int) -> RpcError:
    words = f"another controller is primary (election id {highest}); end it first"
    return RpcError(rpc_code.ALREADY_EXISTS, words)


def failed_updates(error: RpcError) -> dict[int, tuple[str, str]]:
    """Position, code and words of each update that a write failed with."""
    failed = {}
    for number, detail in enumerate(rpc_status.Status.FromString(error.status).details):
        one = p4r.Error()
        if detail.Unpack(one) and one.canonical_code != rpc_code.OK:
            failed[number] = (refusal(one), one.message)
    return failed


def varint(value: int) -> bytes:
    """An unsigned number as protobuf writes it."""
    if value < 0x80:
        return _SHORT[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SHORT = [bytes((value,)) for value in range(0x80)]


def canonical(value: int) -> bytes:
    """A number as P4Runtime's canonical byte string: as short as possible, one byte at least."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
