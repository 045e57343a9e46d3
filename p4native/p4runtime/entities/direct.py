"""Direct counters and meters, and updates of entries that leave the action alone."""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundTable
from p4native.p4runtime.entities.match import Match
from p4native.p4runtime.entities.meters import NO_MARKS, check_marks, fill_marks, fill_meter_config
from p4native.p4runtime.entities.oneshot import (
    find_one_shot,
    plan_one_shot,
    uses_one_shots,
)
from p4native.p4runtime.entities.table_read import TableQuery
from p4native.p4runtime.entities.tables import (
    MODIFY,
    check_direct,
    check_idle,
    counter_value,
    encode_match,
    encode_note,
    find_entry,
    find_table,
    marks_value,
    meter_value,
    status_error,
)
from p4native.p4runtime.entities.updates import only_modify
from p4native.p4runtime.errors import invalid_argument
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.p4runtime.roles import RoleScope
from p4native.switch.device import MeterConfig
from p4native.switch.draft import Draft
from p4native.switch.records import Entry, Flag, Op, Status, pack_op


def modify_without_action(draft: Draft, loaded: LoadedPipeline, message: p4r.TableEntry) -> None:
    """MODIFY an entry whose `action` is unset: all but the action takes its new state."""
    table = find_table(loaded, message.table_id)
    if message.is_const:
        raise invalid_argument(f"table {table.info.name}: is_const may not be written")
    match = encode_match(loaded, table, message)
    check_direct(table, message)
    check_idle(table, message)
    note = encode_note(message)
    if uses_one_shots(loaded, table):
        old = find_one_shot(draft, loaded, table, match, message.priority)
        if old is None:
            raise status_error(table, MODIFY, Status.MISSING)
        note = encode_note(message, p4r.TableEntry.FromString(old.note).action)
        plan_one_shot(draft, table, match, message.priority, old._replace(note=note))
    draft.add(
        _direct_record(
            Op.KEEP_ACTION, table, match, message.priority,
            note=note,
            idle_ns=message.idle_timeout_ns,
            counter=counter_value(message),
            meter=meter_value(loaded, table, message),
            marks=marks_value(message),
        )
    )  # fmt: skip


def write_counter(
    draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.DirectCounterEntry
) -> None:
    """Set an entry's direct counter; without data nothing changes."""
    only_modify("direct counter", kind)
    table, op, match = _find(loaded, message.table_entry)
    if table.info.counter is None:
        raise invalid_argument(f"table {table.info.name} has no direct counter")
    wanted = p4r.TableEntry()
    if message.HasField("data"):
        wanted.counter_data.CopyFrom(message.data)
    counter = counter_value(wanted)
    priority = message.table_entry.priority
    draft.add(_direct_record(op, table, match, priority, counter=counter, both=False))


def write_meter(
    draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.DirectMeterEntry
) -> None:
    """Configure an entry's direct meter; without a config it goes back to always green."""
    only_modify("direct meter", kind)
    table, op, match = _find(loaded, message.table_entry)
    if table.info.meter is None:
        raise invalid_argument(f"table {table.info.name} has no direct meter")
    wanted = p4r.TableEntry()
    if message.HasField("config"):
        wanted.meter_config.CopyFrom(message.config)
    check_marks(f"table {table.info.name}", message.counter_data)
    marks = NO_MARKS if message.HasField("counter_data") else None
    meter = meter_value(loaded, table, wanted)
    priority = message.table_entry.priority
    draft.add(_direct_record(op, table, match, priority, meter=meter, marks=marks))


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
                _must_exist(loaded, asked)
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


def _must_exist(loaded: LoadedPipeline, message: p4r.TableEntry) -> None:
    table = find_table(loaded, message.table_id)
    find_entry(loaded, table, encode_match(loaded, table, message), message.priority)


def _find(loaded: LoadedPipeline, message: p4r.TableEntry) -> tuple[BoundTable, Op, Match]:
    """Return the table, and how the engine finds the entry."""
    table = find_table(loaded, message.table_id)
    if message.is_default_action:
        return table, Op.DEFAULT_DIRECT, Match(b"", b"", 0)
    return table, Op.DIRECT, encode_match(loaded, table, message)


def _direct_record(
    op: Op, table: BoundTable, match: Match, priority: int, *, note: bytes = b"", idle_ns: int = 0,
    counter: tuple[int, int] | None = None, meter: MeterConfig | None = None,
    marks: tuple[int, ...] | None = None, both: bool = True,
) -> bytes:  # fmt: skip
    """Set what is given; without a meter, `both` makes it always green."""
    return pack_op(
        op,
        table.index,
        key=match.key,
        mask=match.mask,
        prefix_len=match.prefix_len,
        priority=priority,
        flags=Flag.NO_METER if both and meter is None else Flag(0),
        note=note,
        idle_ns=idle_ns,
        counter=counter,
        meter=meter,
        marks=marks,
    )
