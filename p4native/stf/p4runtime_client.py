"""The few P4Runtime calls that a packet test makes, as the primary client of a switch."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import grpc
from finsy.proto import p4i, p4r, p4r_grpc, rpc_code, rpc_status

from p4native.stf.errors import TargetError

_TIMEOUT = 30.0


def _explain(fault: Any) -> str:
    """The server's message, with the per-update errors of a batch."""
    parts = [f"{fault.code().name}: {fault.details()}".rstrip(": ")]
    for key, value in fault.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = rpc_status.Status.FromString(value)
            for detail in status.details:
                error = p4r.Error()
                if detail.Unpack(error) and error.canonical_code != rpc_code.OK:
                    parts.append(error.message)
    return "; ".join(part for part in parts if part)


class P4RuntimeClient:
    """A session with election id 1 on an otherwise unused switch."""

    def __init__(self, channel: grpc.Channel, device_id: int) -> None:
        self._stub = p4r_grpc.P4RuntimeStub(channel)
        self._device_id = device_id
        self._election = p4r.Uint128(low=1)
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stream = self._stub.StreamChannel(self._requests())
        self._arbitrate()

    def _requests(self) -> Iterator[Any]:
        while (request := self._outbox.get()) is not None:
            yield request

    def _arbitrate(self) -> None:
        update = p4r.MasterArbitrationUpdate(device_id=self._device_id, election_id=self._election)
        self._outbox.put(p4r.StreamMessageRequest(arbitration=update))
        try:
            next(self._stream)
        except grpc.RpcError as fault:
            raise TargetError(f"no P4Runtime session: {_explain(fault)}") from fault

    def close(self) -> None:
        """Ends the session."""
        self._outbox.put(None)
        self._stream.cancel()

    def set_pipeline(self, p4info: p4i.P4Info, device_config: bytes) -> None:
        """Loads and commits a program."""
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self._device_id,
            election_id=self._election,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=p4r.ForwardingPipelineConfig(p4info=p4info, p4_device_config=device_config),
        )
        self._call(self._stub.SetForwardingPipelineConfig, request)

    def write(self, kind: p4r.Update.Type.ValueType, entity: p4r.Entity) -> None:
        """One update; ``kind`` is p4r.Update.INSERT, MODIFY or DELETE."""
        request = p4r.WriteRequest(device_id=self._device_id, election_id=self._election)
        update = request.updates.add(entity=entity)
        update.type = kind
        self._call(self._stub.Write, request)

    def read(self, entity: p4r.Entity) -> list[p4r.Entity]:
        """Everything that matches the entity."""
        request = p4r.ReadRequest(device_id=self._device_id, entities=[entity])
        try:
            return [
                found
                for response in self._stub.Read(request, timeout=_TIMEOUT)
                for found in response.entities
            ]
        except grpc.RpcError as fault:
            raise TargetError(_explain(fault)) from fault

    def _call(self, method: Any, request: Any) -> None:
        try:
            method(request, timeout=_TIMEOUT)
        except grpc.RpcError as fault:
            raise TargetError(_explain(fault)) from fault
