"""A P4Runtime client of bare gRPC stubs, for tests that look at the protocol itself."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterable
from typing import Any

import grpc
from finsy.proto import p4r, p4r_grpc, rpc_code, rpc_status

from .builder import DELETE, INSERT, MODIFY

DEADLINE_S = 5.0
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 4 << 20),
)


def code_of(error: grpc.RpcError) -> str:
    """The name of an error's canonical code."""
    return str(error.code().name)


def update_codes(error: grpc.RpcError) -> list[str]:
    """The canonical codes of each update in a failed batch."""
    assert code_of(error) == "UNKNOWN", error
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = rpc_status.Status.FromString(details)
    assert status.code == rpc_code.UNKNOWN
    codes = []
    for detail in status.details:
        one = p4r.Error()
        assert detail.Unpack(one)
        codes.append(rpc_code.Code.Name(one.canonical_code))
    return codes


class Stream:
    """An open StreamChannel; messages are collected by a thread."""

    def __init__(self, stub: Any) -> None:
        self._requests: queue.Queue[Any] = queue.Queue()
        self.received: queue.Queue[Any] = queue.Queue()
        self.call = stub.StreamChannel(iter(self._requests.get, None))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for message in self.call:
                self.received.put(message)
        except grpc.RpcError as error:
            self.received.put(error)
        else:
            self.received.put(None)

    def send(self, **fields: Any) -> None:
        """Send a StreamMessageRequest."""
        self._requests.put(p4r.StreamMessageRequest(**fields))

    def arbitrate(
        self, election_id: int | None, device_id: int = 1, role: p4r.Role | None = None
    ) -> None:
        """Send an arbitration update."""
        update = p4r.MasterArbitrationUpdate(device_id=device_id, role=role)
        if election_id is not None:
            update.election_id.CopyFrom(uint128(election_id))
        self.send(arbitration=update)

    def next(self, kind: str | None = None, timeout: float = DEADLINE_S) -> Any:
        """The next message (of `kind`, skipping others); raises the stream's error."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.received.get(timeout=max(0.001, deadline - time.monotonic()))
            if isinstance(message, grpc.RpcError):
                raise message
            if message is None:
                raise EOFError("the server ended the stream")
            if kind is None:
                return message
            if message.WhichOneof("update") == kind:
                return getattr(message, kind)

    def forget(self) -> None:
        """Drop the messages that came and nobody asked for. Raises the stream's error."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.next(timeout=0)

    def advice(self) -> tuple[str, int | None]:
        """The next arbitration's status name and election id."""
        update = self.next("arbitration")
        election = update.election_id
        value = (election.high << 64) | election.low if update.HasField("election_id") else None
        return rpc_code.Code.Name(update.status.code), value

    def close(self) -> None:
        """End the stream as a client does that goes away."""
        self._requests.put(None)
        self.call.cancel()
        self._reader.join(DEADLINE_S)


def uint128(value: int) -> p4r.Uint128:
    """A 128-bit number."""
    return p4r.Uint128(high=value >> 64, low=value & (1 << 64) - 1)


class Client:
    """A client of one device; `lead` makes it primary."""

    def __init__(self, address: str, device_id: int = 1, credentials: Any = None) -> None:
        if credentials is None:
            self.channel = grpc.insecure_channel(address, OPTIONS)
        else:
            self.channel = grpc.secure_channel(address, credentials, OPTIONS)
        self.stub = p4r_grpc.P4RuntimeStub(self.channel)
        self.device_id = device_id
        self.election_id = 0
        self.role = ""
        self._streams: list[Stream] = []

    def open(self) -> Stream:
        """Open a stream that has not arbitrated."""
        stream = Stream(self.stub)
        self._streams.append(stream)
        return stream

    def lead(self, election_id: int = 1, role: p4r.Role | None = None) -> Stream:
        """Open a stream and become primary."""
        stream = self.open()
        stream.arbitrate(election_id, self.device_id, role)
        assert stream.advice() == ("OK", election_id)
        self.election_id = election_id
        self.role = role.name if role is not None else ""
        return stream

    def set_pipeline(
        self,
        config: p4r.ForwardingPipelineConfig | None,
        action: str = "VERIFY_AND_COMMIT",
        **fields: Any,
    ) -> None:
        """Push a pipeline config."""
        kind = p4r.SetForwardingPipelineConfigRequest.Action.Value(action)
        fields.setdefault("election_id", uint128(self.election_id))
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self.device_id, role=self.role, action=kind, config=config, **fields
        )
        self.stub.SetForwardingPipelineConfig(request, timeout=60)

    def get_pipeline(self, kind: str = "ALL") -> p4r.GetForwardingPipelineConfigResponse:
        """Fetch the pipeline config."""
        response_type = p4r.GetForwardingPipelineConfigRequest.ResponseType.Value(kind)
        return self.stub.GetForwardingPipelineConfig(
            p4r.GetForwardingPipelineConfigRequest(
                device_id=self.device_id, response_type=response_type
            ),
            timeout=DEADLINE_S,
        )

    def write(self, updates: Iterable[p4r.Update], atomicity: str = "CONTINUE_ON_ERROR") -> None:
        """Write a batch as the primary; raises RpcError."""
        request = p4r.WriteRequest(
            device_id=self.device_id,
            role=self.role,
            election_id=uint128(self.election_id),
            updates=updates,
            atomicity=p4r.WriteRequest.Atomicity.Value(atomicity),
        )
        self.stub.Write(request, timeout=60)

    def insert(self, *entities: p4r.Entity, **fields: Any) -> None:
        """INSERT entities in one batch."""
        self.write([p4r.Update(type=INSERT, entity=e) for e in entities], **fields)

    def modify(self, *entities: p4r.Entity, **fields: Any) -> None:
        """MODIFY entities in one batch."""
        self.write([p4r.Update(type=MODIFY, entity=e) for e in entities], **fields)

    def delete(self, *entities: p4r.Entity, **fields: Any) -> None:
        """DELETE entities in one batch."""
        self.write([p4r.Update(type=DELETE, entity=e) for e in entities], **fields)

    def refused(self, kind: int, *entities: p4r.Entity, **fields: Any) -> list[str]:
        """Write a batch that must fail; return the code of each update."""
        try:
            self.write([p4r.Update(type=kind, entity=e) for e in entities], **fields)
        except grpc.RpcError as error:
            return update_codes(error)
        raise AssertionError("the batch was accepted")

    def pieces(self, *entities: p4r.Entity, role: str = "") -> list[p4r.ReadResponse]:
        """Read; return the responses as they were streamed."""
        request = p4r.ReadRequest(device_id=self.device_id, entities=entities, role=role)
        return list(self.stub.Read(request, timeout=60))

    def read(self, *entities: p4r.Entity, role: str = "") -> list[p4r.Entity]:
        """Read; return all entities."""
        return [e for piece in self.pieces(*entities, role=role) for e in piece.entities]

    def close(self) -> None:
        """Close streams and channel."""
        for stream in self._streams:
            stream.close()
        self.channel.close()
