"""The Write RPC: a batch of updates, in order, under one of three atomicities.

Plain table entries become records and reach the engine many per call; everything else is written
one by one. What a ROLLBACK batch did is taken back in reverse order.
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
from p4native.p4runtime.entities.undo import Undo
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
from p4native.switch.records import Flag, Mode, Op, Status, pack_op

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
    """Try some updates in order; runs of plain table entries go to the engine in one call."""
    records, marks = _encode_fast(context, batch, piece)
    if all(marks):
        _run(context, batch, piece, (records, Mode.CONTINUE), results)
        return
    run: list[tuple[int, bytes]] = []
    at = 0
    for index, mark in zip(piece, marks, strict=True):
        if mark:
            run.append((index, records[at : at + mark]))
            at += mark
            continue
        try:
            update = batch[index]
            if _is_plain(context, update):
                run.append((index, _encode(context, update)))
                continue
            _flush(context, batch, run, results, Mode.CONTINUE)
            _write_one(context, update)
        except DecodeError:
            results[index] = invalid_argument("the update is not a p4.v1.Update message")
        except P4RuntimeError as error:
            results[index] = error
    _flush(context, batch, run, results, Mode.CONTINUE)


def _encode_fast(
    context: WriteContext, batch: RawWrite, piece: range
) -> tuple[bytes, Iterable[int]]:
    if context.scope.ids is not None:
        return b"", [0] * len(piece)
    return context.loaded.encoder.encode(batch, piece.start, len(piece))


def _all_or_none(context: WriteContext, batch: RawWrite, mode: Mode) -> Results:
    """Apply all updates or none of them."""
    piece = range(len(batch))
    results: Results = [None] * len(batch)
    records, marks = _encode_fast(context, batch, piece)
    if all(marks):
        _run(context, batch, piece, (records, mode), results)
        return results
    updates = batch[:]
    if all(_is_plain(context, update) for update in updates):
        return _plain_all_or_none(context, updates, mode)
    if mode == Mode.ATOMIC and len(updates) > 1:
        raise unimplemented(
            "DATAPLANE_ATOMIC batches of anything but table entries; use ROLLBACK_ON_ERROR"
        )
    undos: list[Undo] = []
    for index, update in enumerate(updates):
        try:
            undos.append(_write_one(context, update))
        except P4RuntimeError as error:
            results = [_aborted() for _ in updates]
            results[index] = error
            for undo in reversed(undos):
                undo()
            break
    return results


def _plain_all_or_none(context: WriteContext, updates: Sequence[p4r.Update], mode: Mode) -> Results:
    results: Results = [None] * len(updates)
    run: list[tuple[int, bytes]] = []
    for index, update in enumerate(updates):
        try:
            run.append((index, _encode(context, update)))
        except P4RuntimeError as error:
            results[index] = error
    if any(results):
        return [error or _aborted() for error in results]
    _flush(context, updates, run, results, mode)
    return results


def _aborted() -> P4RuntimeError:
    return P4RuntimeError(rpc_code.ABORTED, "not applied: another update of the batch was refused")


def _flush(
    context: WriteContext,
    updates: Sequence[p4r.Update],
    run: list[tuple[int, bytes]],
    results: Results,
    mode: Mode,
) -> None:
    """Hand the collected records to the engine and empty the collection."""
    if run:
        records = b"".join([record for _, record in run])
        _run(context, updates, [index for index, _ in run], (records, mode), results)
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
    table = context.loaded.binding.tables.get(update.entity.table_entry.table_id)
    return tables.status_error(table, update.type, status)


def _is_plain(context: WriteContext, update: p4r.Update) -> bool:
    """Whether the update is one that a record of its own can carry."""
    if update.entity.WhichOneof("entity") != "table_entry":
        return False
    entry = update.entity.table_entry
    if update.type == tables.MODIFY and not entry.HasField("action"):
        return entry.is_default_action
    return not oneshot.is_one_shot(context.loaded, update.type, entry)


def _encode(context: WriteContext, update: p4r.Update) -> bytes:
    entry = update.entity.table_entry
    _check_scope(context, entry.table_id)
    return tables.encode_update(context.loaded, update.type, entry)


def _check_scope(context: WriteContext, p4_id: int | None) -> None:
    if context.scope.ids is None or p4_id is None:
        return
    if not context.scope.allows(p4_id) or p4_id in context.barred:
        raise permission_denied(f"object 0x{p4_id:08x} is outside of this client's role")


def _write_one(context: WriteContext, update: p4r.Update) -> Undo:
    """Apply one update by itself; return how to take it back."""
    loaded, kind = context.loaded, update.type
    which = update.entity.WhichOneof("entity")
    if which is None:
        raise invalid_argument("update without an entity")
    entity: Any = getattr(update.entity, which)
    _check_scope(context, object_id(update.entity))
    if which == "table_entry":
        return _write_table(context, kind, entity)
    if which == "packet_replication_engine_entry":
        return replication.write(loaded, context.cpu_port, kind, entity)
    if which == "action_profile_group":
        return profiles.write_group(loaded, context.device, context.cpu_port, kind, entity)
    simple: dict[str, Callable[..., Undo]] = {
        "action_profile_member": profiles.write_member,
        "meter_entry": meters.write,
        "direct_meter_entry": direct.write_meter,
        "counter_entry": counters.write,
        "direct_counter_entry": direct.write_counter,
        "value_set_entry": value_sets.write,
        "register_entry": registers.write,
        "digest_entry": digests.write,
    }
    if which not in simple:
        raise unimplemented(f"{which}: the architecture (v1model) has no such externs")
    return simple[which](loaded, kind, entity)


def _write_table(context: WriteContext, kind: int, entry: p4r.TableEntry) -> Undo:
    loaded = context.loaded
    if kind == tables.MODIFY and not entry.HasField("action") and not entry.is_default_action:
        return direct.modify_without_action(loaded, entry)
    if oneshot.is_one_shot(loaded, kind, entry):
        writer = oneshot.OneShotWriter(loaded, context.device, context.cpu_port, entry.table_id)
        return writer.write(kind, entry)
    record = tables.encode_update(loaded, kind, entry)
    undo = _undo_table(context, kind, entry)
    statuses, _handles = loaded.state.write(record, 1)
    if statuses[0] != Status.OK:
        raise tables.status_error(tables.find_table(loaded, entry.table_id), kind, statuses[0])
    return undo


def _undo_table(context: WriteContext, kind: int, entry: p4r.TableEntry) -> Undo:
    """Return what brings a plain table entry, or the default, back to how it is now."""
    loaded = context.loaded
    state = loaded.state
    table = tables.find_table(loaded, entry.table_id)
    if entry.is_default_action:
        before = state.default(table.index)
        if before is None or before.flags & Flag.CONST:
            record = pack_op(Op.RESET_DEFAULT, table.index)
        else:
            record = tables.entry_record(table, Op.SET_DEFAULT, before)
        return lambda: _must(state.write(record, 1))
    match = tables.encode_match(loaded, table, entry)
    if kind == tables.INSERT:
        gone = pack_op(Op.DELETE, table.index, key=match.key, mask=match.mask,
                       prefix_len=match.prefix_len, priority=entry.priority)  # fmt: skip
        return lambda: _must(state.write(gone, 1))
    before = state.find(table.index, *match, entry.priority)
    if before is None:
        return lambda: None
    back = Op.INSERT if kind == tables.DELETE else Op.MODIFY
    again = tables.entry_record(table, back, before)
    return lambda: _must(state.write(again, 1))


def _must(outcome: tuple[Sequence[int], Sequence[int]]) -> None:
    if any(outcome[0]):
        raise RuntimeError(f"taking back an update failed with status {outcome[0][0]}")
