"""Direct counters and meters, and updates of entries that leave the action alone."""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundTable
from p4native.p4runtime.entities.meters import NO_MARKS, check_marks, fill_marks, fill_meter_config
from p4native.p4runtime.entities.table_read import TableQuery
from p4native.p4runtime.entities.tables import (
    MODIFY,
    check_direct,
    check_idle,
    counter_value,
    encode_match,
    encode_note,
    entry_record,
    find_entry,
    find_table,
    marks_value,
    meter_value,
    status_error,
)
from p4native.p4runtime.entities.undo import Undo, only_modify
from p4native.p4runtime.errors import invalid_argument, not_found, permission_denied
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.p4runtime.roles import RoleScope
from p4native.switch.device import MeterConfig
from p4native.switch.records import Entry, Flag, Op, Status


def modify_without_action(loaded: LoadedPipeline, message: p4r.TableEntry) -> Undo:
    """MODIFY an entry whose `action` is unset: all but the action takes its new state."""
    table = find_table(loaded, message.table_id)
    match = encode_match(loaded, table, message)
    check_direct(table, message)
    check_idle(table, message)
    old = find_entry(loaded, table, match, message.priority)
    counter, meter = counter_value(message), meter_value(loaded, table, message)
    if old.flags & Flag.CONST:
        if message.idle_timeout_ns or encode_note(message):
            raise permission_denied(f"table {table.info.name}: the entry is const")
        marks = marks_value(message)
        return _set_direct(loaded, table, old, counter=counter, meter=meter, marks=marks, both=True)
    kept = p4r.TableEntry.FromString(old.note)  # a one-shot stays in its note
    changed = old._replace(
        note=encode_note(message, kept.action if kept.HasField("action") else None),
        idle_ns=message.idle_timeout_ns, meter=meter,
        marks=marks_value(message),
    )  # fmt: skip
    if counter is not None:
        changed = changed._replace(packets=counter[0], bytes=counter[1])
    _write(loaded, entry_record(table, Op.MODIFY, changed), table)
    return lambda: _write(loaded, entry_record(table, Op.MODIFY, old), table)


def write_counter(loaded: LoadedPipeline, kind: int, message: p4r.DirectCounterEntry) -> Undo:
    """Set an entry's direct counter; without data nothing changes."""
    only_modify("direct counter", kind)
    table, entry = _find(loaded, message.table_entry)
    if table.info.counter is None:
        raise invalid_argument(f"table {table.info.name} has no direct counter")
    data = message.data
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid_argument(f"table {table.info.name}: counter values may not be negative")
    if not message.HasField("data"):
        return lambda: None
    return _set_direct(loaded, table, entry, counter=(data.packet_count, data.byte_count))


def write_meter(loaded: LoadedPipeline, kind: int, message: p4r.DirectMeterEntry) -> Undo:
    """Configure an entry's direct meter; without a config it goes back to always green."""
    only_modify("direct meter", kind)
    table, entry = _find(loaded, message.table_entry)
    if table.info.meter is None:
        raise invalid_argument(f"table {table.info.name} has no direct meter")
    wanted = p4r.TableEntry()
    if message.HasField("config"):
        wanted.meter_config.CopyFrom(message.config)
    check_marks(f"table {table.info.name}", message.counter_data)
    marks = NO_MARKS if message.HasField("counter_data") else None
    meter = meter_value(loaded, table, wanted)
    return _set_direct(loaded, table, entry, meter=meter, marks=marks, both=True)


class DirectQuery:
    """A read of direct counters or meters: table entries, of which the resource is kept."""

    def __init__(
        self, loaded: LoadedPipeline,
        message: p4r.DirectCounterEntry | p4r.DirectMeterEntry, scope: RoleScope,
    ) -> None:  # fmt: skip
        """Check the request; NOT_FOUND if it names an entry that does not exist."""
        self._counters = isinstance(message, p4r.DirectCounterEntry)
        self._marks = isinstance(message, p4r.DirectMeterEntry) and message.HasField("counter_data")
        asked = message.table_entry
        request = p4r.TableEntry(
            table_id=asked.table_id, match=asked.match, priority=asked.priority,
            is_default_action=asked.is_default_action,
        )  # fmt: skip
        if asked.table_id:
            self._check(find_table(loaded, asked.table_id))
            if asked.match:
                _find(loaded, asked)
        self._query = TableQuery(loaded, request, scope)

    def snapshot(self) -> list[tuple[BoundTable, memoryview | Entry]]:
        """Copy the records of the entries asked for."""
        return [item for item in self._query.snapshot() if self._has(item[0])]

    def decode(self, table: BoundTable, copied: memoryview | Entry) -> Iterator[p4r.Entity]:
        """Yield the direct resources in a copied record or chunk."""
        for entry in self._query.records(table, copied):
            entity = p4r.Entity()
            if self._counters:
                out = entity.direct_counter_entry
                out.data.packet_count, out.data.byte_count = entry.packets, entry.bytes
                self._query.fill_identity(table, entry, out.table_entry)
            else:
                self._query.fill_identity(table, entry, entity.direct_meter_entry.table_entry)
                if entry.meter is not None:
                    fill_meter_config(entry.meter, entity.direct_meter_entry.config)
                if self._marks and entry.marks is not None:
                    fill_marks(entry.marks, entity.direct_meter_entry.counter_data)
            yield entity

    def _has(self, table: BoundTable) -> bool:
        resource = table.info.counter if self._counters else table.info.meter
        return resource is not None

    def _check(self, table: BoundTable) -> None:
        if not self._has(table):
            kind = "counter" if self._counters else "meter"
            raise invalid_argument(f"table {table.info.name} has no direct {kind}")


def _find(loaded: LoadedPipeline, message: p4r.TableEntry) -> tuple[BoundTable, Entry]:
    table = find_table(loaded, message.table_id)
    if message.is_default_action:
        entry = loaded.state.default(table.index)
        if entry is None:
            raise not_found(f"table {table.info.name} has no default entry")
        return table, entry
    match = encode_match(loaded, table, message)
    return table, find_entry(loaded, table, match, message.priority)


def _set_direct(
    loaded: LoadedPipeline, table: BoundTable, entry: Entry, *,
    counter: tuple[int, int] | None = None, meter: MeterConfig | None = None,
    marks: tuple[int, ...] | None = None, both: bool = False,
) -> Undo:  # fmt: skip
    """Set the counter and the marks if given; set the meter if given, or reset it if `both`."""
    state, index, handle = loaded.state, table.index, entry.handle
    metered = table.info.meter is not None and (both or meter is not None)
    if counter is not None:
        state.set_entry_counter(index, handle, *counter)
    if metered:
        state.set_entry_meter(index, handle, meter)
    if marks is not None:
        state.set_entry_marks(index, handle, marks)

    def undo() -> None:
        if counter is not None:
            state.set_entry_counter(index, handle, entry.packets, entry.bytes)
        if metered:
            old = None if entry.meter is None else MeterConfig(*entry.meter)
            state.set_entry_meter(index, handle, old)
        if marks is not None and entry.marks is not None:
            state.set_entry_marks(index, handle, entry.marks)

    return undo


def _write(loaded: LoadedPipeline, record: bytes, table: BoundTable) -> None:
    statuses, _handles = loaded.state.write(record, 1)
    if statuses[0] != Status.OK:
        raise status_error(table, MODIFY, statuses[0])
