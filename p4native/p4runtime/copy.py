"""Copies what a running switch holds — program, entries, replication — to another device.

Reading needs no election; the copy is written through a P4Runtime server of its own, so that the
two devices agree about everything that P4Runtime can say.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from finsy.proto import p4r, p4r_grpc

from p4native.p4runtime.server import MAX_MESSAGE_BYTES, serve

_TIMEOUT_S = 30.0
_CHUNK = 4000
_OPTIONS = (("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),)


class CopyError(RuntimeError):
    """The switch cannot be read, or the copy refused what it holds."""


def copy_switch(address: str, device_id: int | None, device: Any) -> None:
    """Fills `device` (nothing loaded yet) with what device `device_id` at `address` runs.

    None is device 1, as clients call it, or else 0, as a switch does that was given no number.
    """
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        source = (1 if _has(stub, 1) else 0) if device_id is None else device_id
        try:
            config = _read_config(stub, source)
            entities = _read_all(stub, source)
        except grpc.RpcError as fault:
            raise CopyError(f"{address}, device {source}: {_reason(fault)}") from None
    handle = serve({source: device}, "127.0.0.1:0")
    try:
        _fill(f"127.0.0.1:{handle.port}", source, config, entities)
    finally:
        handle.stop()


def _has(stub: Any, device_id: int) -> bool:
    """Whether the server has this device; also if it does not answer, which is said elsewhere."""
    try:
        _read_config(stub, device_id)
    except grpc.RpcError as fault:
        return not (isinstance(fault, grpc.Call) and fault.code() is grpc.StatusCode.NOT_FOUND)
    except CopyError:
        pass
    return True


def _reason(fault: grpc.RpcError) -> str:
    if isinstance(fault, grpc.Call):
        return f"{fault.code().name}: {fault.details()}"
    return str(fault)


def _read_config(stub: Any, device_id: int) -> Any:
    request = p4r.GetForwardingPipelineConfigRequest(
        device_id=device_id,
        response_type=p4r.GetForwardingPipelineConfigRequest.ResponseType.ALL,
    )
    config = stub.GetForwardingPipelineConfig(request, timeout=_TIMEOUT_S).config
    if not config.p4_device_config:
        raise CopyError(
            f"device {device_id} has no program that P4Runtime knows; push one with its P4Info "
            "(one that the command line of the switch names has none)"
        )
    return config


def _read_all(stub: Any, device_id: int) -> list[Any]:
    """Every entity that decides what happens to packets, in an order that can be written."""
    wanted: list[dict[str, Any]] = [
        {"action_profile_member": p4r.ActionProfileMember()},
        {"action_profile_group": p4r.ActionProfileGroup()},
        {"table_entry": p4r.TableEntry()},
        {"table_entry": p4r.TableEntry(is_default_action=True)},
        {
            "packet_replication_engine_entry": p4r.PacketReplicationEngineEntry(
                multicast_group_entry=p4r.MulticastGroupEntry()
            )
        },
        {
            "packet_replication_engine_entry": p4r.PacketReplicationEngineEntry(
                clone_session_entry=p4r.CloneSessionEntry()
            )
        },
        {"value_set_entry": p4r.ValueSetEntry()},
        {"meter_entry": p4r.MeterEntry()},
        {"register_entry": p4r.RegisterEntry()},
    ]
    found: list[Any] = []
    for fields in wanted:
        request = p4r.ReadRequest(device_id=device_id, entities=[p4r.Entity(**fields)])
        try:
            for response in stub.Read(request, timeout=_TIMEOUT_S):
                found.extend(response.entities)
        except grpc.RpcError as fault:
            if not _unsupported(fault):
                raise
    return [e for e in found if not (e.HasField("table_entry") and e.table_entry.is_const)]


def _unsupported(fault: grpc.RpcError) -> bool:
    """BMv2 cannot read some entities; it answers so rather than with nothing."""
    codes = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND)
    return isinstance(fault, grpc.Call) and fault.code() in codes


def _fill(address: str, device_id: int, config: Any, entities: list[Any]) -> None:
    with grpc.insecure_channel(address) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        try:
            with primary(stub, device_id) as election:
                stub.SetForwardingPipelineConfig(
                    p4r.SetForwardingPipelineConfigRequest(
                        device_id=device_id,
                        election_id=election,
                        action=p4r.SetForwardingPipelineConfigRequest.Action.VERIFY_AND_COMMIT,
                        config=config,
                    )
                )
                for updates in _chunks(_updates(entities)):
                    stub.Write(
                        p4r.WriteRequest(device_id=device_id, election_id=election, updates=updates)
                    )
        except grpc.RpcError as fault:
            raise CopyError(f"the copy refused the state: {_reason(fault)}") from None


@contextmanager
def primary(stub: Any, device_id: int, number: int = 1) -> Iterator[Any]:
    """A stream that makes this client the primary controller, with that election id."""
    election = p4r.Uint128(low=number)
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stream = stub.StreamChannel(iter(requests.get, None))
    requests.put(
        p4r.StreamMessageRequest(
            arbitration=p4r.MasterArbitrationUpdate(device_id=device_id, election_id=election)
        )
    )
    next(stream)
    try:
        yield election
    finally:
        requests.put(None)
        stream.cancel()


def _updates(entities: Iterable[Any]) -> Iterator[Any]:
    for entity in entities:
        kind = p4r.Update.Type.INSERT
        entry = entity.table_entry if entity.HasField("table_entry") else None
        cells = ("meter_entry", "register_entry", "value_set_entry")
        if any(entity.HasField(name) for name in cells):
            kind = p4r.Update.Type.MODIFY
        if entry is not None:
            if entry.is_default_action:
                kind = p4r.Update.Type.MODIFY
            entry.ClearField("time_since_last_hit")
        yield p4r.Update(type=kind, entity=entity)


def _chunks(updates: Iterator[Any]) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for update in updates:
        chunk.append(update)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
