"""The Write RPC: a batch of updates, in order, under one of three atomicities.

Updates become records, which reach the engine many per call. What this server keeps beside the
engine changes while the records are made, and is taken back if the batch does not come to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from finsy.proto import p4r, rpc_code
from google.protobuf.message import DecodeError

from p4native.p4runtime.entities import (
    counters,
    digests,
    direct,
    meters,
    oneshot,
    profiles,
    registers,
    replication,
    tables,
    value_sets,
)
from p4native.p4runtime.entities.ids import object_id
from p4native.p4runtime.errors import (
    P4RuntimeError,
    invalid_argument,
    permission_denied,
    unimplemented,
)
from p4native.p4runtime.fastpath import RawWrite
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.p4runtime.roles import RoleScope
from p4native.switch.device import Device
from p4native.switch.draft import Draft
from p4native.switch.records import Mode, Status

Results = list[P4RuntimeError | None]
_CONTINUE = p4r.WriteRequest.CONTINUE_ON_ERROR
_ROLLBACK = p4r.WriteRequest.ROLLBACK_ON_ERROR
_ATOMIC = p4r.WriteRequest.DATAPLANE_ATOMIC
_PIECE = 16384
_PIECE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class WriteContext:
    """What a batch works on, and what its role may touch (`barred`: other roles' own ids)."""

    loaded: LoadedPipeline
    device: Device
    cpu_port: int | None
    scope: RoleScope
    barred: frozenset[int]


def write_batch(context: WriteContext, batch: RawWrite) -> Results | None:
    """Apply a batch; None if all went well, else one result per update, in order."""
    atomicity = batch.head.atomicity
    if atomicity == _CONTINUE:
        results = _continue(context, batch)
    elif atomicity == _ROLLBACK:
        results = _all_or_none(context, batch, Mode.ROLLBACK)
    elif atomicity == _ATOMIC:
        results = _all_or_none(context, batch, Mode.ATOMIC)
    else:
        raise invalid_argument(f"atomicity {atomicity} is not known")
    return results if any(results) else None


def _continue(context: WriteContext, batch: RawWrite) -> Results:
    """Try every update, in pieces that bound what the batch takes besides its own bytes."""
    results: Results = [None] * len(batch)
    for piece in _pieces(batch):
        _continue_piece(context, batch, piece, results)
    return results


def _pieces(batch: RawWrite) -> Iterator[range]:
    """Yield runs of updates, each bounded in number and, but for a single one, in bytes."""
    start = held = 0
    for index, size in enumerate(batch.sizes):
        if index > start and (index - start == _PIECE or held + size > _PIECE_BYTES):
            yield range(start, index)
            start, held = index, 0
        held += size
    if start < len(batch):
        yield range(start, len(batch))


def _continue_piece(context: WriteContext, batch: RawWrite, piece: range, results: Results) -> None:
    """Try some updates in order; runs of single records go to the engine in one call."""
    records, marks = _encode_fast(context, batch, piece)
    if all(marks):
        _run(context, batch, piece, (records, Mode.CONTINUE), results)
        return
    run: list[tuple[int, bytes]] = []
    for index, record in _records(piece, records, marks):
        if record:
            run.append((index, record))
            continue
        draft = Draft()
        draft.owner = index
        results[index] = _plan(draft, context, batch, index)
        if results[index] is None and draft.is_plain:
            run.append((index, draft.records[0]))
        elif results[index] is None:
            _flush(context, batch, run, results)
            _apply(context, batch, draft, Mode.ROLLBACK, results)
        else:
            draft.take_back()
    _flush(context, batch, run, results)


def _records(piece: range, records: bytes, marks: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Yield each update's index and its record, empty where C code made none."""
    at = 0
    for index, mark in zip(piece, marks, strict=True):
        yield index, records[at : at + mark]
        at += mark


def _encode_fast(
    context: WriteContext, batch: RawWrite, piece: range
) -> tuple[bytes, Iterable[int]]:
    if context.scope.ids is not None:
        return b"", [0] * len(piece)
    return context.loaded.encoder.encode(batch, piece.start, len(piece))


def _all_or_none(context: WriteContext, batch: RawWrite, mode: Mode) -> Results:
    """Apply all updates or none of them: the engine gets them in one call, if none is at fault."""
    everything = range(len(batch))
    results: Results = [None] * len(batch)
    records, marks = _encode_fast(context, batch, everything)
    if all(marks):
        _run(context, batch, everything, (records, mode), results)
        return results
    draft = Draft()
    for index, record in _records(everything, records, marks):
        draft.owner = index
        if record:
            draft.add(record)
        else:
            results[index] = _plan(draft, context, batch, index)
    if any(results):
        draft.take_back()
        return [error or _aborted() for error in results]
    _apply(context, batch, draft, mode, results)
    return results


def _apply(
    context: WriteContext, updates: Sequence[p4r.Update], draft: Draft, mode: Mode, results: Results
) -> None:
    """Run a draft whose owners are indices of updates; note which of them were refused."""
    if not draft.records:
        return
    owners = [*draft.owners]
    statuses = context.loaded.state.run(draft, mode)
    if not any(statuses):
        return
    for index, status in zip(owners, statuses, strict=True):
        if results[index] is None or status != Status.ABORTED:
            results[index] = _refusal(context, updates[index], status)


def _aborted() -> P4RuntimeError:
    return P4RuntimeError(rpc_code.ABORTED, "not applied: another update of the batch was refused")


def _flush(
    context: WriteContext, updates: Sequence[p4r.Update], run: list[tuple[int, bytes]],
    results: Results,
) -> None:  # fmt: skip
    """Hand the collected records to the engine and empty the collection."""
    if run:
        records = b"".join([record for _, record in run])
        _run(context, updates, [index for index, _ in run], (records, Mode.CONTINUE), results)
        run.clear()


def _run(
    context: WriteContext,
    updates: Sequence[p4r.Update],
    indices: Sequence[int],
    run: tuple[bytes, Mode],
    results: Results,
) -> None:
    """Hand records to the engine and note which of them it refused."""
    records, mode = run
    statuses, _handles = context.loaded.state.write(records, len(indices), mode)
    if any(statuses):
        for index, status in zip(indices, statuses, strict=True):
            if status != Status.OK:
                results[index] = _refusal(context, updates[index], status)


def _refusal(context: WriteContext, update: p4r.Update, status: int) -> P4RuntimeError:
    """Return the error for an update that the engine refused."""
    if status == Status.ABORTED:
        return _aborted()
    which = update.entity.WhichOneof("entity") or ""
    entity: Any = getattr(update.entity, which)
    if which.startswith("action_profile"):
        return profiles.status_error(context.loaded, entity, status)
    table_id = object_id(update.entity)
    table = context.loaded.binding.tables.get(table_id or 0)
    return tables.status_error(table, update.type, status)


def _plan(
    draft: Draft, context: WriteContext, batch: Sequence[p4r.Update], index: int
) -> P4RuntimeError | None:
    """Make an update part of the draft; return why it cannot be."""
    try:
        update = batch[index]
        if update.type == tables.DELETE:
            _plan_update(draft, context, update)
        else:
            with context.loaded.info.translations.learning(draft):
                _plan_update(draft, context, update)
    except DecodeError:
        return invalid_argument("the update is not a p4.v1.Update message")
    except P4RuntimeError as error:
        return error
    return None


def _plan_update(draft: Draft, context: WriteContext, update: p4r.Update) -> None:
    loaded, kind = context.loaded, update.type
    which = update.entity.WhichOneof("entity")
    if which is None:
        raise invalid_argument("update without an entity")
    entity: Any = getattr(update.entity, which)
    _check_scope(context, object_id(update.entity))
    if which == "table_entry":
        _plan_entry(draft, context, kind, entity)
    elif which == "packet_replication_engine_entry":
        replication.write(draft, loaded, kind, entity, cpu_port=context.cpu_port)
    elif which == "action_profile_group":
        device, cpu_port = context.device, context.cpu_port
        profiles.write_group(draft, loaded, kind, entity, device=device, cpu_port=cpu_port)
    elif which in _WRITERS:
        _WRITERS[which](draft, loaded, kind, entity)
    else:
        raise unimplemented(f"{which}: the architecture (v1model) has no such externs")


def _check_scope(context: WriteContext, p4_id: int | None) -> None:
    if context.scope.ids is None or p4_id is None:
        return
    if not context.scope.allows(p4_id) or p4_id in context.barred:
        raise permission_denied(f"object 0x{p4_id:08x} is outside of this client's role")


def _plan_entry(draft: Draft, context: WriteContext, kind: int, entry: p4r.TableEntry) -> None:
    loaded = context.loaded
    if kind == tables.MODIFY and not entry.HasField("action") and not entry.is_default_action:
        direct.modify_without_action(draft, loaded, entry)
    elif oneshot.is_one_shot(loaded, kind, entry):
        writer = oneshot.OneShotWriter(
            draft, loaded, context.device, context.cpu_port, entry.table_id
        )
        writer.write(kind, entry)
    else:
        draft.add(tables.encode_update(loaded, kind, entry))


_WRITERS: dict[str, Callable[[Draft, LoadedPipeline, int, Any], None]] = {
    "action_profile_member": profiles.write_member,
    "meter_entry": meters.write,
    "direct_meter_entry": direct.write_meter,
    "counter_entry": counters.write,
    "direct_counter_entry": direct.write_counter,
    "value_set_entry": value_sets.write,
    "register_entry": registers.write,
    "digest_entry": digests.write,
}
