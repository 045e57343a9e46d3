"""Table entries: `TableEntry` messages to engine records (spec, "TableEntry")."""

from __future__ import annotations

from typing import NamedTuple

from finsy.proto import p4i, p4r, rpc_code

from p4native.p4runtime.bind import BoundTable
from p4native.p4runtime.entities.action import encode_action
from p4native.p4runtime.entities.match import Match
from p4native.p4runtime.entities.meters import NO_MARKS, check_marks, parse_meter_config
from p4native.p4runtime.errors import (
    P4RuntimeError,
    invalid_argument,
    not_found,
    permission_denied,
    resource_exhausted,
)
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.device import MeterConfig
from p4native.switch.records import Entry, Flag, Op, Status, pack_op

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
MAX_NOTE_BYTES = 0xFFFF
_OPS: dict[int, Op] = {INSERT: Op.INSERT, MODIFY: Op.MODIFY, DELETE: Op.DELETE}


_REFUSALS: dict[int, tuple[int, str]] = {
    Status.EXISTS: (rpc_code.ALREADY_EXISTS, "the entry exists already; MODIFY it"),
    Status.MISSING: (rpc_code.NOT_FOUND, "no such {what}"),
    Status.FULL: (rpc_code.RESOURCE_EXHAUSTED, "the table is full"),
    Status.CONST: (rpc_code.PERMISSION_DENIED, "the entry is const"),
    Status.NO_MEMORY: (rpc_code.RESOURCE_EXHAUSTED, "the switch is out of memory"),
    Status.BAD_ACTION: (rpc_code.INVALID_ARGUMENT, "the action cannot be run by this table"),
    Status.ABORTED: (rpc_code.ABORTED, "not applied: another update of the batch was refused"),
}


class Target(NamedTuple):
    """What a table entry's action resolves to: an action with data, a member or a group."""

    action: int
    flags: int
    data: bytes


def find_table(loaded: LoadedPipeline, table_id: int) -> BoundTable:
    """Return a table; INVALID_ARGUMENT if the P4Info has none of that id."""
    table = loaded.binding.tables.get(table_id)
    if table is None:
        raise invalid_argument(f"table id 0x{table_id:08x} is not in the P4Info")
    return table


def encode_update(loaded: LoadedPipeline, kind: int, message: p4r.TableEntry) -> bytes:
    """Return the engine record for an INSERT, MODIFY or DELETE of a table entry."""
    table = find_table(loaded, message.table_id)
    if kind not in _OPS:
        raise invalid_argument(f"update type {kind}: expected INSERT, MODIFY or DELETE")
    if message.is_const:
        raise invalid_argument(f"table {table.info.name}: is_const may not be written")
    if message.is_default_action:
        return _encode_default(loaded, table, kind, message)
    if table.info.const_entries:
        raise permission_denied(f"table {table.info.name} is const; its entries are fixed")
    if kind == INSERT and not table.fields:
        raise invalid_argument(f"table {table.info.name} has no key; only its default can be set")
    match = encode_match(loaded, table, message)
    if kind == DELETE:
        return pack_op(Op.DELETE, table.index, key=match.key, mask=match.mask,
                       prefix_len=match.prefix_len, priority=message.priority)  # fmt: skip
    check_direct(table, message)
    check_idle(table, message)
    if not message.HasField("action"):
        raise invalid_argument(f"table {table.info.name}: INSERT without an action")
    target = encode_target(loaded, table, message.action, default=False)
    return pack_op(
        _OPS[kind],
        table.index,
        key=match.key,
        mask=match.mask,
        prefix_len=match.prefix_len,
        priority=message.priority,
        action=target.action,
        flags=target.flags,
        data=target.data,
        note=encode_note(message),
        idle_ns=message.idle_timeout_ns,
        counter=counter_value(message),
        meter=meter_value(loaded, table, message),
        marks=marks_value(message),
    )


def encode_match(loaded: LoadedPipeline, table: BoundTable, message: p4r.TableEntry) -> Match:
    """Return the key of an entry; its priority must be there if, and only if, it has to be."""
    if table.info.priority and message.priority <= 0:
        raise invalid_argument(
            f"table {table.info.name}: priority {message.priority}, expected 1 or more "
            "(it has ternary, range or optional fields)"
        )
    if not table.info.priority and message.priority:
        raise invalid_argument(
            f"table {table.info.name}: priority {message.priority}, expected 0 "
            "(it has only exact and lpm fields)"
        )
    if not table.fields:
        raise not_found(f"table {table.info.name} has no key, and so no entries but its default")
    return loaded.keys[table.info.id].encode(message.match)


def find_entry(loaded: LoadedPipeline, table: BoundTable, match: Match, priority: int) -> Entry:
    """Return the entry as the engine has it, or NOT_FOUND."""
    entry = loaded.state.find(table.index, match.key, match.mask, match.prefix_len, priority)
    if entry is None:
        raise not_found(f"table {table.info.name}: no such entry")
    return entry


def encode_target(
    loaded: LoadedPipeline, table: BoundTable, message: p4r.TableAction, *, default: bool
) -> Target:
    """Return what a `TableAction` names; one-shots are not for here."""
    kind = message.WhichOneof("type")
    name = table.info.name
    if table.info.profile is None:
        if kind != "action":
            raise invalid_argument(f"table {name}: {kind or 'empty action'}, expected an action")
        return _direct_target(table, message.action, default=default)
    if kind not in ("action_profile_member_id", "action_profile_group_id"):
        raise invalid_argument(
            f"table {name}: {kind or 'empty action'}, expected a member or group"
        )
    one_shots = loaded.one_shots.get(table.info.profile)
    if one_shots is not None and one_shots.entries:
        raise invalid_argument(
            f"table {name}: its action profile is programmed by one-shots; do not mix with members"
        )
    if kind == "action_profile_member_id":
        member, flag = message.action_profile_member_id, Flag.MEMBER
    else:
        member, flag = message.action_profile_group_id, Flag.GROUP
        if not loaded.info.profiles[table.info.profile].selector:
            raise invalid_argument(f"table {name}: its action profile has no groups")
    if member == 0:
        raise invalid_argument(f"table {name}: {kind} is 0")
    return Target(member, flag, b"")


def _direct_target(table: BoundTable, message: p4r.Action, *, default: bool) -> Target:
    action, data = encode_action(f"table {table.info.name}", table.actions, message)
    scope = table.info.scopes[action.id]
    wrong = p4i.ActionRef.TABLE_ONLY if default else p4i.ActionRef.DEFAULT_ONLY
    if scope == wrong:
        place = "an entry" if default else "the default"
        raise permission_denied(
            f"table {table.info.name}: {action.name} may only be the action of {place}"
        )
    return Target(action.json_id, 0, data)


def _encode_default(
    loaded: LoadedPipeline, table: BoundTable, kind: int, message: p4r.TableEntry
) -> bytes:
    """Return the record that sets the default entry, or resets it (spec, "Default Entry")."""
    name = table.info.name
    if kind != MODIFY:
        raise invalid_argument(f"table {name}: the default entry can only be modified")
    if message.match or message.priority:
        raise invalid_argument(f"table {name}: the default entry has no match and no priority")
    if table.info.const_default or table.info.profile is not None:
        raise permission_denied(f"table {name}: its default action is const")
    if message.idle_timeout_ns or message.HasField("time_since_last_hit"):
        raise invalid_argument(f"table {name}: the default entry has no idle timeout")
    check_direct(table, message)
    if not message.HasField("action"):
        return pack_op(Op.RESET_DEFAULT, table.index)
    target = encode_target(loaded, table, message.action, default=True)
    return pack_op(
        Op.SET_DEFAULT,
        table.index,
        action=target.action,
        data=target.data,
        note=encode_note(message),
        counter=counter_value(message),
        meter=meter_value(loaded, table, message),
        marks=marks_value(message),
    )


def check_direct(table: BoundTable, message: p4r.TableEntry) -> None:
    """Refuse direct resources that the table does not have."""
    name = table.info.name
    if message.HasField("counter_data") and table.info.counter is None:
        raise invalid_argument(f"table {name} has no direct counter")
    metered = message.HasField("meter_config") or message.HasField("meter_counter_data")
    if metered and table.info.meter is None:
        raise invalid_argument(f"table {name} has no direct meter")
    check_marks(f"table {name}", message.meter_counter_data)


def check_idle(table: BoundTable, message: p4r.TableEntry) -> None:
    """Refuse idle timeouts where the table has none (spec, "Idle-timeout")."""
    name = table.info.name
    if message.HasField("time_since_last_hit"):
        raise invalid_argument(f"table {name}: time_since_last_hit can only be read")
    if message.idle_timeout_ns and not table.info.idle_timeout:
        raise invalid_argument(f"table {name} does not support idle timeout")
    if message.idle_timeout_ns < 0:
        raise invalid_argument(f"table {name}: idle timeout {message.idle_timeout_ns} is negative")


def encode_note(message: p4r.TableEntry, action: p4r.TableAction | None = None) -> bytes:
    """Return the controller's own data of an entry, as the engine keeps it: a partial message.

    A one-shot `action` is kept there too. RESOURCE_EXHAUSTED if it is more than an entry can have.
    """
    if not message.metadata and not message.controller_metadata and action is None:
        return b""
    note = p4r.TableEntry(
        metadata=message.metadata,
        controller_metadata=message.controller_metadata,
        action=action,
    )
    data: bytes = note.SerializeToString()
    if len(data) > MAX_NOTE_BYTES:
        raise resource_exhausted(
            f"an entry's metadata or one-shot takes {len(data)} bytes, at most {MAX_NOTE_BYTES}"
        )
    return data


def counter_value(message: p4r.TableEntry) -> tuple[int, int] | None:
    """Return (packets, bytes) if the message sets the direct counter."""
    if not message.HasField("counter_data"):
        return None
    data = message.counter_data
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid_argument("counter values may not be negative")
    return data.packet_count, data.byte_count


def meter_value(
    loaded: LoadedPipeline, table: BoundTable, message: p4r.TableEntry
) -> MeterConfig | None:
    """Return the direct meter's configuration if the message sets it."""
    if not message.HasField("meter_config") or table.info.meter is None:
        return None
    kind = loaded.info.meter_types[table.info.meter]
    return parse_meter_config(f"table {table.info.name}", kind, message.meter_config)


def marks_value(message: p4r.TableEntry) -> tuple[int, ...] | None:
    """Return what the direct meter's counters per colour become: zeros if set, else unchanged."""
    return NO_MARKS if message.HasField("meter_counter_data") else None


def entry_record(table: BoundTable, op: Op, entry: Entry) -> bytes:
    """Return the record that writes an entry as it was read, direct resources included."""
    keyed = op != Op.SET_DEFAULT
    return pack_op(
        op,
        table.index,
        key=entry.key if keyed else b"",
        mask=entry.mask if keyed else b"",
        prefix_len=entry.prefix_len,
        priority=entry.priority,
        action=entry.action,
        flags=entry.flags & (Flag.MEMBER | Flag.GROUP),
        data=entry.data,
        note=entry.note,
        idle_ns=entry.idle_ns,
        counter=None if table.info.counter is None else (entry.packets, entry.bytes),
        meter=entry.meter,
        marks=entry.marks,
    )


def status_error(table: BoundTable | None, kind: int, status: int) -> P4RuntimeError:
    """Return the error for an engine status that is not OK."""
    name = "entry" if table is None else f"table {table.info.name}"
    indirect = table is None or table.info.profile is not None
    what = "entry, member or group" if indirect and kind != DELETE else "entry"
    code, text = _REFUSALS.get(status, (rpc_code.INTERNAL, f"the engine's status is {status}"))
    return P4RuntimeError(code, f"{name}: {text.format(what=what)}")
