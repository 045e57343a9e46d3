"""Packets to and from ``simple_switch_grpc`` over its gRPC data-plane interface.

The switch exposes one bidirectional stream of (port, bytes). It ends the stream only
after every packet in it has left the switch, which makes ending it an exact barrier:
no guessing with timeouts whether a packet was dropped or is merely late.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from p4native.stf.errors import TargetError

_METHOD = "/p4.bm.DataplaneInterface/PacketStream"
_FIELDS = (("id", 1, "TYPE_UINT64"), ("device_id", 2, "TYPE_UINT64"),
           ("port", 3, "TYPE_UINT32"), ("packet", 4, "TYPE_BYTES"))  # fmt: skip
_BARRIER_SECONDS = 30.0
_READY_SECONDS = 10.0


def _message_class(name: str) -> Any:
    """The stream's message; request and response have the same fields."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"p4native/{name}.proto", package="p4.bm", syntax="proto3"
    )
    message = file.message_type.add(name=name)
    for field, number, kind in _FIELDS:
        message.field.add(
            name=field,
            number=number,
            type=getattr(descriptor_pb2.FieldDescriptorProto, kind),
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"p4.bm.{name}"))


class Dataplane:
    """The packet stream of one switch; opened by the first packet after a barrier."""

    def __init__(self, channel: grpc.Channel, device_id: int) -> None:
        self._device_id = device_id
        self._request = _message_class("PacketStreamRequest")
        self._call = channel.stream_stream(
            _METHOD,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=_message_class("PacketStreamResponse").FromString,
        )
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._received: list[tuple[int, bytes]] = []
        self._failure: str | None = None

    @property
    def received(self) -> list[tuple[int, bytes]]:
        """Packets that came out so far, as (port, bytes)."""
        return list(self._received)

    def wait_ready(self) -> None:
        """Returns when the switch takes packets: it starts its ports in the background."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            self._failure = None
            self._open()
            try:
                self.barrier()
                return
            except TargetError:
                if time.monotonic() > deadline:
                    raise

    def send(self, port: int, data: bytes) -> None:
        """Injects a packet at a port."""
        if self._reader is None:
            self._open()
        self._outbox.put(self._request(device_id=self._device_id, port=port, packet=data))

    def barrier(self) -> None:
        """Returns when every packet sent has been processed and its results received."""
        if self._reader is None:
            return
        self._outbox.put(None)
        self._reader.join(_BARRIER_SECONDS)
        stuck = self._reader.is_alive()
        self._reader = None
        if stuck:
            raise TargetError(f"BMv2 did not finish its packets in {_BARRIER_SECONDS:g} s")
        if self._failure is not None:
            raise TargetError(f"BMv2 closed the packet stream: {self._failure}")

    def _open(self) -> None:
        self._outbox = queue.SimpleQueue()
        responses = self._call(self._requests(self._outbox))
        self._reader = threading.Thread(
            target=self._read, args=(responses,), name="bmv2-packets", daemon=True
        )
        self._reader.start()

    @staticmethod
    def _requests(outbox: queue.SimpleQueue[Any]) -> Iterator[Any]:
        while (request := outbox.get()) is not None:
            yield request

    def _read(self, responses: Any) -> None:
        try:
            for response in responses:
                self._received.append((response.port, response.packet))
        except grpc.RpcError as fault:
            self._failure = fault.details() if isinstance(fault, grpc.Call) else str(fault)
