"""Reading table entries: filters, wildcards, and engine records back to messages."""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundTable
from p4native.p4runtime.entities.action import decode_action
from p4native.p4runtime.entities.match import Match
from p4native.p4runtime.entities.meters import fill_marks, fill_meter_config
from p4native.p4runtime.entities.oneshot import decode_one_shot
from p4native.p4runtime.entities.tables import find_table
from p4native.p4runtime.errors import invalid_argument
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.p4runtime.roles import RoleScope
from p4native.p4runtime.translation import UnknownNameError
from p4native.switch.device import IdleEntry
from p4native.switch.records import Entry, Flag, unpack_entry

_SIZE_BYTES = 4
_NO_ACTION = -1


class TableQuery:
    """One `TableEntry` of a ReadRequest, checked (spec, "Wildcard Reads").

    `snapshot` copies what the engine has; `decode` turns a copied record into a message later,
    when the switch may have moved on.
    """

    def __init__(self, loaded: LoadedPipeline, request: p4r.TableEntry, scope: RoleScope) -> None:
        """Check the request; INVALID_ARGUMENT says which filter is wrong."""
        self._loaded = loaded
        self._request = request
        self._match: Match | None = None
        self._tables = self._choose(scope)
        if request.table_id:
            self._check_one(self._tables[0] if self._tables else None)

    def snapshot(self) -> list[tuple[BoundTable, memoryview | Entry]]:
        """Return copies of the records of all entries that may pass the filters."""
        request, state = self._request, self._loaded.state
        found: list[tuple[BoundTable, memoryview | Entry]] = []
        for table in self._tables:
            if request.is_default_action:
                entry = state.default(table.index) or _constant_default(table)
                if entry is not None:
                    found.append((table, entry))
            elif self._match is not None and (request.priority or not table.info.priority):
                entry = state.find(table.index, *self._match, request.priority)
                if entry is not None:
                    found.append((table, entry))
            else:
                found.extend((table, chunk) for chunk in state.entries(table.index))
        return found

    def decode(self, table: BoundTable, copied: memoryview | Entry) -> Iterator[p4r.Entity]:
        """Yield the entries in a copied record or chunk of records that pass the filters."""
        for entry in self.records(table, copied):
            entity = p4r.Entity()
            self._fill(table, entry, entity.table_entry)
            if self._keeps(entity.table_entry):
                yield entity

    def records(self, table: BoundTable, copied: memoryview | Entry) -> Iterator[Entry]:
        """Yield the records in a copied chunk that pass the filters on key and action."""
        entries = [copied] if isinstance(copied, Entry) else _unpack_chunk(table, copied)
        for entry in entries:
            if self._passes(table, entry):
                yield entry

    def fill_identity(self, table: BoundTable, entry: Entry, out: p4r.TableEntry) -> None:
        """Fill what identifies an entry, or that it is the default one."""
        if self._request.is_default_action:
            out.table_id, out.is_default_action = table.info.id, True
        else:
            fill_key(self._loaded, table, entry, out)

    def _choose(self, scope: RoleScope) -> list[BoundTable]:
        request = self._request
        if request.table_id:
            table = find_table(self._loaded, request.table_id)
            return [table] if scope.allows(table.info.id) else []
        filters = (
            request.match, request.HasField("action"), request.priority, request.metadata,
            request.controller_metadata,
        )  # fmt: skip
        if any(filters):
            raise invalid_argument("a read of all tables (table_id 0) takes no other filter")
        return [t for t in self._loaded.binding.tables.values() if scope.allows(t.info.id)]

    def _check_one(self, table: BoundTable | None) -> None:
        request = self._request
        if table is None:
            return
        name = table.info.name
        if request.is_default_action and request.match:
            raise invalid_argument(f"table {name}: the default entry has no match")
        if request.match:
            self._find_one(table)
        timed = table.info.idle_timeout and not request.is_default_action
        if request.HasField("time_since_last_hit") and not timed:
            what = "the default entry of " if request.is_default_action else ""
            raise invalid_argument(f"{what}table {name} does not support idle timeout")
        if request.HasField("counter_data") and table.info.counter is None:
            raise invalid_argument(f"table {name} has no direct counter")
        metered = request.HasField("meter_config") or request.HasField("meter_counter_data")
        if metered and table.info.meter is None:
            raise invalid_argument(f"table {name} has no direct meter")
        if request.HasField("action"):
            action_id = request.action.action.action_id
            if request.action.WhichOneof("type") != "action" or action_id not in table.actions:
                raise invalid_argument(f"table {name}: filter by an action id of its own")

    def _find_one(self, table: BoundTable) -> None:
        try:
            self._match = self._loaded.keys[table.info.id].encode(self._request.match)
        except UnknownNameError:
            self._tables = []  # what nothing is called, no entry has

    def _passes(self, table: BoundTable, entry: Entry) -> bool:
        """Check the filters that a record answers by itself."""
        request = self._request
        if request.priority and entry.priority != request.priority:
            return False
        if self._match is not None and self._match != (entry.key, entry.mask, entry.prefix_len):
            return False
        if request.HasField("action"):
            if entry.flags & (Flag.MEMBER | Flag.GROUP):
                return False
            action = table.by_json_id.get(entry.action)
            return action is not None and action.id == request.action.action.action_id
        return True

    def _keeps(self, message: p4r.TableEntry) -> bool:
        """Check the filters on what the controller attached."""
        request = self._request
        if request.metadata and message.metadata != request.metadata:
            return False
        return request.controller_metadata in (0, message.controller_metadata)

    def _fill(self, table: BoundTable, entry: Entry, out: p4r.TableEntry) -> None:
        request = self._request
        fill_entry(self._loaded, table, entry, out)
        if request.is_default_action:
            out.ClearField("match")
            out.is_default_action = True
            out.is_const = table.info.const_default or table.info.profile is not None
        if request.HasField("counter_data") and table.info.counter is not None:
            out.counter_data.packet_count = entry.packets
            out.counter_data.byte_count = entry.bytes
        if request.HasField("meter_config") and entry.meter is not None:
            fill_meter_config(entry.meter, out.meter_config)
        if request.HasField("meter_counter_data") and entry.marks is not None:
            fill_marks(entry.marks, out.meter_counter_data)
        if request.HasField("time_since_last_hit") and table.info.idle_timeout:
            out.time_since_last_hit.elapsed_ns = entry.age_ns


def _constant_default(table: BoundTable) -> Entry | None:
    """Return the default entry of an indirect table, which the engine does not have.

    It is NoAction for ever (spec, "Default Entry"), or nothing where the P4Info does not have that.
    """
    if table.info.profile is None:
        return None
    action = next((a.json_id for a in table.actions.values() if a.name == "NoAction"), _NO_ACTION)
    return Entry(
        table.index, handle=0, key=b"", mask=b"", prefix_len=0, priority=0, action=action,
        flags=Flag.CONST, data=b"", note=b"", idle_ns=0, age_ns=0, packets=0, bytes=0, meter=None,
        marks=None,
    )  # fmt: skip


def fill_entry(
    loaded: LoadedPipeline, table: BoundTable, entry: Entry, out: p4r.TableEntry
) -> None:
    """Fill key, action, timeout and the controller's own data of an entry."""
    if entry.note:
        out.MergeFromString(entry.note)
    fill_key(loaded, table, entry, out)
    out.idle_timeout_ns = entry.idle_ns
    out.is_const = bool(entry.flags & Flag.CONST)
    if out.HasField("action"):  # a one-shot, kept as written
        decode_one_shot(table, out.action)
    elif entry.flags & Flag.MEMBER:
        out.action.action_profile_member_id = entry.action
    elif entry.flags & Flag.GROUP:
        out.action.action_profile_group_id = entry.action
    elif entry.action in table.by_json_id:
        decode_action(table.by_json_id[entry.action], entry.data, out.action.action)


def fill_key(loaded: LoadedPipeline, table: BoundTable, entry: Entry, out: p4r.TableEntry) -> None:
    """Fill what identifies an entry: table, match and priority."""
    out.table_id = table.info.id
    if entry.key:
        loaded.keys[table.info.id].decode(entry.key, entry.mask, entry.prefix_len, out.match)
    out.priority = entry.priority


def idle_notifications(
    loaded: LoadedPipeline, idle: list[IdleEntry]
) -> list[p4r.IdleTimeoutNotification]:
    """Return one notification per table with its idle entries; entries gone by now are left out."""
    by_table: dict[int, p4r.IdleTimeoutNotification] = {}
    for item in idle:
        table = loaded.binding.tables_by_index.get(item.table)
        entry = None if table is None else loaded.state.by_handle(item.table, item.handle)
        if table is not None and entry is not None:
            message = by_table.setdefault(table.info.id, p4r.IdleTimeoutNotification())
            fill_entry(loaded, table, entry, message.table_entry.add())
    return list(by_table.values())


def _unpack_chunk(table: BoundTable, chunk: memoryview) -> Iterator[Entry]:
    at = 0
    while at < len(chunk):
        size = int.from_bytes(chunk[at : at + _SIZE_BYTES], "little")
        yield unpack_entry(chunk[at : at + size], table.key_size, table.masked)
        at += size
