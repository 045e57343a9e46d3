"""One loaded program and its state: tables, profiles, counters, meters, registers, replication."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator, Sequence
from typing import Any

from p4native.bmv2 import model
from p4native.codegen import layout
from p4native.switch import native
from p4native.switch.records import (
    HEADER,
    Entry,
    Mode,
    Op,
    Status,
    pack_op,
    unpack_entry,
)
from p4native.switch.replicas import instances, ordered
from p4native.switch.state import (
    CloneSession,
    Digest,
    GroupMember,
    IdleEntry,
    MeterConfig,
    Replica,
    SwitchError,
)

_ANY_HANDLE = (1 << 64) - 1
_NONE = 0xFFFFFFFF
_HANDLE_AT = 40
"""Offset of the handle in a record's header."""
_READ_BYTES = 1 << 20
_MASKED_KINDS = (model.MatchKind.TERNARY, model.MatchKind.RANGE, model.MatchKind.OPTIONAL)
_IDLE_BATCH = 4096


def _status_error(code: int, what: str) -> SwitchError:
    status = Status(code)
    text = {
        Status.EXISTS: "it exists already",
        Status.MISSING: "there is no such object",
        Status.FULL: "it is full",
        Status.IN_USE: "it is still referred to",
        Status.BAD_ACTION: "no such action, or its data has the wrong length",
        Status.NO_MEMORY: "out of memory",
    }.get(status, f"refused ({status.name})")
    return SwitchError(f"{what}: {text}", status)


def _meter_c(config: MeterConfig | None) -> Any:
    return None if config is None else c.byref(native.MeterConfigC(*config))


def _replicas_c(replicas: Sequence[Replica]) -> tuple[Any, int]:
    """Each copy followed by its backups, and their number."""
    flat = [
        native.ReplicaC(each.port, each.instance, each is not first)
        for first in replicas
        for each in (first, *first.backups)
    ]
    return (native.ReplicaC * max(1, len(flat)))(*flat), len(flat)


class Pipeline:
    """A loaded program and its state. Made by `Device.prepare`; not live before `commit`."""

    program: model.Program
    """The validated program: names, key layouts, action ids; its `tables` tuple is in index order.
    """

    def __init__(self, program: model.Program, library: c.CDLL, instance: int) -> None:
        """Take over a C instance; `Device.prepare` makes them."""
        self.program = program
        self.live = False
        self.library = library
        self._c = native.engine()
        self._instance: int | None = instance
        self._key_bytes = [layout.key_bytes(t) for t in program.tables]
        self._masked = [any(k.kind in _MASKED_KINDS for k in t.keys) for t in program.tables]
        self._groups: dict[int, tuple[Replica, ...]] = {}
        self._sessions: dict[int, CloneSession] = {}
        self._group_nodes: dict[int, list[int]] = {}
        self._session_nodes: dict[int, list[int]] = {}
        self._value_sets: dict[int, list[tuple[bytes, bytes]]] = {}

    @property
    def handle(self) -> int:
        """The C instance's address; SwitchError once the pipeline is closed."""
        if self._instance is None:
            raise SwitchError("the pipeline has been replaced or closed")
        return self._instance

    def _check(self, code: int, what: str) -> None:
        if code:
            raise _status_error(code, what)

    # -- table entries ---------------------------------------------------------------------------

    def write(
        self, records: bytes, count: int, mode: Mode = Mode.CONTINUE
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Run `count` concatenated operations (see records.py) in order, in one call.

        Returns their `Status` values and, for inserts, the entries' handles: numbers that stay
        with the entry for its life and are unique in its table.
        """
        statuses: Any = (c.c_int32 * count)()
        handles: Any = (c.c_uint64 * count)()
        done = self._c.p4n_write(self.handle, records, len(records), count, mode, statuses, handles)
        if done < 0:
            raise SwitchError("out of memory", Status.NO_MEMORY)
        return statuses, handles

    def entries(self, table: int, chunk: int = 1024) -> Iterator[memoryview]:
        """Yield the table's entries as buffers of concatenated records, `chunk` at a time.

        An entry that stays in the table throughout is yielded exactly once.
        """
        self._index(table, self.program.tables, "table")
        following, count = c.c_uint32(0), c.c_uint32(0)
        while following.value != _NONE:
            buffer = c.create_string_buffer(_READ_BYTES)
            size = self._c.p4n_read(
                self.handle, table, c.byref(following), buffer, _READ_BYTES, chunk, c.byref(count)
            )
            if count.value:
                yield memoryview(buffer)[:size]

    def read(self, table: int) -> Iterator[Entry]:
        """Yield the table's entries unpacked: convenient, and slower than `entries`."""
        for view in self.entries(table):
            at = 0
            while at < len(view):
                size = HEADER.unpack_from(view, at)[0]
                yield self.unpack(table, view[at : at + size])
                at += size

    def unpack(self, table: int, record: memoryview) -> Entry:
        """Return the entry in one record of `entries`."""
        return unpack_entry(record, self._key_bytes[table], self._masked[table])

    def _read_one(self, table: int, record: bytes) -> Entry | None:
        buffer = c.create_string_buffer(1 << 18)
        size = self._c.p4n_read_one(self.handle, record, buffer, len(buffer))
        return self.unpack(table, memoryview(buffer)[:size]) if size else None

    def find(
        self, table: int, key: bytes, mask: bytes = b"", prefix_len: int = 0, priority: int = 0
    ) -> Entry | None:
        """Return one entry by its match and priority."""
        size = self._key_bytes[self._index(table, self.program.tables, "table")]
        if len(key) != size or (self._masked[table] and len(mask) != size):
            raise SwitchError(f"table {table}: keys have {size} bytes, got {len(key)}")
        record = bytearray(
            pack_op(
                Op.DELETE, table, key=key, mask=mask if self._masked[table] else b"",
                prefix_len=prefix_len, priority=priority,
            )
        )  # fmt: skip
        record[_HANDLE_AT : _HANDLE_AT + 8] = _ANY_HANDLE.to_bytes(8, "little")
        return self._read_one(table, bytes(record))

    def by_handle(self, table: int, handle: int) -> Entry | None:
        """Return one entry by its handle."""
        self._index(table, self.program.tables, "table")
        record = bytearray(HEADER.pack(HEADER.size, Op.DELETE, table, *[0] * 10))
        record[_HANDLE_AT : _HANDLE_AT + 8] = handle.to_bytes(8, "little")
        return self._read_one(table, bytes(record))

    def default(self, table: int) -> Entry | None:
        """Return the default entry (flag CONST while it is the program's); None without one."""
        self._index(table, self.program.tables, "table")
        return self._read_one(table, pack_op(Op.SET_DEFAULT, table))

    def count_entries(self, table: int) -> int:
        """Return the number of entries, const ones included."""
        self._index(table, self.program.tables, "table")
        return int(self._c.p4n_entry_count(self.handle, table))

    def table_bytes(self, table: int) -> int:
        """Return the memory that a table's entries and indices take, in bytes."""
        self._index(table, self.program.tables, "table")
        return int(self._c.p4n_table_bytes(self.handle, table))

    def set_entry_counter(self, table: int, handle: int, packets: int, octets: int) -> None:
        """Overwrite an entry's direct counter; MISSING if there is no such entry."""
        self._index(table, self.program.tables, "table")
        code = self._c.p4n_entry_set_counter(self.handle, table, handle, packets, octets)
        self._check(code, f"table {table}, entry {handle}")

    def set_entry_meter(self, table: int, handle: int, config: MeterConfig | None) -> None:
        """Configure an entry's direct meter; None resets it to always green."""
        self._index(table, self.program.tables, "table")
        code = self._c.p4n_entry_set_meter(self.handle, table, handle, _meter_c(config))
        self._check(code, f"table {table}, entry {handle}: meter")

    def set_entry_marks(self, table: int, handle: int, marks: tuple[int, ...]) -> None:
        """Overwrite what an entry's direct meter counted per colour (`Entry.marks`)."""
        self._index(table, self.program.tables, "table")
        code = self._c.p4n_entry_set_marks(self.handle, table, handle, (c.c_uint64 * 6)(*marks))
        self._check(code, f"table {table}, entry {handle}: meter")

    def _index(self, index: int, objects: Sequence[object], what: str) -> int:
        if not 0 <= index < len(objects):
            raise SwitchError(f"{what} {index}: the program has {len(objects)}", Status.MISSING)
        return index

    # -- action profiles -------------------------------------------------------------------------

    def _write_member(self, op: Op, profile: int, member: int, action: int, data: bytes) -> None:
        self._index(profile, self.program.profiles, "action profile")
        code = self._c.p4n_member_write(self.handle, profile, op, member, action, data, len(data))
        self._check(code, f"action profile {profile}, member {member}")

    def insert_member(self, profile: int, member: int, action: int, data: bytes) -> None:
        """Add a member; EXISTS, or FULL (members and groups are each bounded by the size)."""
        self._write_member(Op.INSERT, profile, member, action, data)

    def modify_member(self, profile: int, member: int, action: int, data: bytes) -> None:
        """Replace a member's action; entries and groups that use it follow."""
        self._write_member(Op.MODIFY, profile, member, action, data)

    def delete_member(self, profile: int, member: int) -> None:
        """Remove a member; IN_USE while an entry or a group refers to it."""
        self._index(profile, self.program.profiles, "action profile")
        code = self._c.p4n_member_delete(self.handle, profile, member)
        self._check(code, f"action profile {profile}, member {member}")

    def members(self, profile: int) -> list[tuple[int, int, bytes]]:
        """Return (member id, JSON action id, data) of all members, by id."""
        self._index(profile, self.program.profiles, "action profile")
        member, action, data = c.c_uint32(0), c.c_uint32(0), c.create_string_buffer(1 << 16)
        found: list[tuple[int, int, bytes]] = []
        while True:
            size = self._c.p4n_member_next(
                self.handle, profile, c.byref(member), c.byref(action), data
            )
            if size < 0:
                return found
            found.append((member.value, action.value, data.raw[:size]))
            if member.value == _NONE:
                return found
            member.value += 1

    def _write_group(
        self, op: Op, profile: int, group: int, members: Sequence[GroupMember], max_size: int
    ) -> None:
        self._index(profile, self.program.profiles, "action profile")
        array = (native.GroupMemberC * max(1, len(members)))()
        for slot, m in zip(array, members, strict=False):
            watch = _NONE if m.watch_port is None else m.watch_port
            slot.member, slot.weight, slot.watch = m.member, m.weight, watch
        code = self._c.p4n_group_write(
            self.handle, profile, op, group, max_size, array, len(members)
        )
        self._check(code, f"action profile {profile}, group {group}")

    def insert_group(
        self, profile: int, group: int, members: Sequence[GroupMember], max_size: int = 0
    ) -> None:
        """Add a group; MISSING if a member does not exist, FULL beyond max_size (0: unbounded)."""
        self._write_group(Op.INSERT, profile, group, members, max_size)

    def modify_group(
        self, profile: int, group: int, members: Sequence[GroupMember], max_size: int = 0
    ) -> None:
        """Replace a group's members at once."""
        self._write_group(Op.MODIFY, profile, group, members, max_size)

    def delete_group(self, profile: int, group: int) -> None:
        """Remove a group; IN_USE while an entry refers to it."""
        self._index(profile, self.program.profiles, "action profile")
        code = self._c.p4n_group_delete(self.handle, profile, group)
        self._check(code, f"action profile {profile}, group {group}")

    def groups(self, profile: int) -> list[tuple[int, int, tuple[GroupMember, ...]]]:
        """Return (group id, max_size, members) of all groups, by id."""
        self._index(profile, self.program.profiles, "action profile")
        group, max_size, room = c.c_uint32(0), c.c_uint32(0), 1024
        found: list[tuple[int, int, tuple[GroupMember, ...]]] = []
        while True:
            array = (native.GroupMemberC * room)()
            size = self._c.p4n_group_next(
                self.handle, profile, c.byref(group), c.byref(max_size), array, room
            )
            if size < 0:
                return found
            if size > room:
                room = size
                continue
            members = tuple(
                GroupMember(m.member, m.weight, None if m.watch == _NONE else m.watch)
                for m in array[:size]
            )
            found.append((group.value, max_size.value, members))
            if group.value == _NONE:
                return found
            group.value += 1

    # -- counters, meters, registers, value sets -------------------------------------------------

    def counter_cells(self, counter: int, start: int, count: int) -> list[tuple[int, int]]:
        """Return (packets, bytes) of `count` cells from `start` on."""
        self._index(counter, self.program.counters, "counter")
        cells = (c.c_uint64 * (2 * max(1, count)))()
        if not self._c.p4n_counter_read(self.handle, counter, start, count, cells):
            raise self._beyond("counter", counter, start, count)
        return [(cells[2 * i], cells[2 * i + 1]) for i in range(count)]

    def set_counter(self, counter: int, index: int, packets: int, octets: int) -> None:
        """Overwrite one cell."""
        self._index(counter, self.program.counters, "counter")
        if not self._c.p4n_counter_write(self.handle, counter, index, packets, octets):
            raise self._beyond("counter", counter, index, 1)

    def _beyond(self, what: str, index: int, start: int, count: int) -> SwitchError:
        return SwitchError(
            f"{what} {index}: cells {start} to {start + count - 1} are beyond its size",
            Status.MISSING,
        )

    def meter_config(self, meter: int, index: int) -> MeterConfig | None:
        """Return one cell's configuration, None while it has none."""
        self._index(meter, self.program.meters, "meter")
        config = native.MeterConfigC()
        found = self._c.p4n_meter_get(self.handle, meter, index, c.byref(config))
        if found < 0:
            raise self._beyond("meter", meter, index, 1)
        if not found:
            return None
        return MeterConfig(config.cir, config.cburst, config.pir, config.pburst, config.eburst)

    def set_meter(self, meter: int, index: int, config: MeterConfig | None) -> None:
        """Configure one cell (its buckets start full); None makes it always green."""
        self._index(meter, self.program.meters, "meter")
        if not self._c.p4n_meter_set(self.handle, meter, index, _meter_c(config)):
            raise self._beyond("meter", meter, index, 1)

    def meter_marks(self, meter: int, index: int) -> tuple[int, ...]:
        """Return packets and bytes that one cell marked green, yellow and red: six numbers."""
        marks = (c.c_uint64 * 6)()
        self._meter_marks(meter, index, marks, write=False)
        return tuple(marks)

    def set_meter_marks(self, meter: int, index: int, marks: tuple[int, ...]) -> None:
        """Overwrite what `meter_marks` returns."""
        self._meter_marks(meter, index, (c.c_uint64 * 6)(*marks), write=True)

    def _meter_marks(self, meter: int, index: int, marks: Any, *, write: bool) -> None:
        self._index(meter, self.program.meters, "meter")
        if not self._c.p4n_meter_marks(self.handle, meter, index, marks, write):
            raise self._beyond("meter", meter, index, 1)

    def _register_copy(
        self, register: int, start: int, count: int, cells: Any, write: bool
    ) -> None:
        if not self._c.p4n_register_copy(self.handle, register, start, count, cells, write):
            raise self._beyond("register", register, start, count)

    def register_cells(self, register: int, start: int, count: int) -> list[int]:
        """Return `count` cells from `start` on, as unsigned values."""
        self._index(register, self.program.registers, "register")
        size = layout.register_cell_bytes(self.program.registers[register].width)
        cells = c.create_string_buffer(max(1, size * count))
        self._register_copy(register, start, count, cells, False)
        order = _cell_order(self.program.registers[register].width)
        raw = cells.raw
        return [int.from_bytes(raw[i * size : (i + 1) * size], order) for i in range(count)]

    def set_register(self, register: int, index: int, value: int) -> None:
        """Overwrite one cell."""
        self._index(register, self.program.registers, "register")
        width = self.program.registers[register].width
        if value < 0 or value >> width:
            raise SwitchError(f"register {register}: {value} does not fit {width} bits")
        cell = value.to_bytes(layout.register_cell_bytes(width), _cell_order(width))
        self._register_copy(register, index, 1, c.create_string_buffer(cell, len(cell)), True)

    def value_set(self, value_set: int) -> list[tuple[bytes, bytes]]:
        """Return the members as (value, mask)."""
        self._index(value_set, self.program.value_sets, "value set")
        return list(self._value_sets.get(value_set, ()))

    def set_value_set(self, value_set: int, members: Sequence[tuple[bytes, bytes]]) -> None:
        """Replace all members at once; FULL beyond the set's size."""
        self._index(value_set, self.program.value_sets, "value set")
        name = self.program.value_sets[value_set].name
        size = layout.packed_bytes(layout.value_set_widths(self.program, name))
        if any(len(value) != size or len(mask) != size for value, mask in members):
            raise SwitchError(f"value set {name}: values and masks have {size} bytes")
        packed = b"".join(value + mask for value, mask in members)
        self._check(
            self._c.p4n_value_set_write(self.handle, value_set, packed, len(members)),
            f"value set {name}",
        )
        self._value_sets[value_set] = list(members)

    # -- replication -----------------------------------------------------------------------------

    def multicast_group(self, group: int) -> tuple[Replica, ...] | None:
        """Return a group's replicas as written, None if there is no such group."""
        return self._groups.get(group)

    def set_multicast_group(self, group: int, replicas: Sequence[Replica] | None) -> None:
        """Create, replace or (None) delete a multicast group, at once for packets."""
        copies = ordered(replicas or (), self._group_nodes.get(group, ()))
        array, count = _replicas_c(copies)
        count = _NONE if replicas is None else count
        code = self._c.p4n_group_store(self.handle, group, array, count)
        self._check(code, f"multicast group {group} (1 to 65535)")
        if replicas is None:
            self._groups.pop(group, None)
            self._group_nodes.pop(group, None)
        else:
            self._groups[group] = tuple(replicas)
            self._group_nodes[group] = instances(copies)

    def multicast_groups(self) -> list[int]:
        """Return the ids of all multicast groups, ascending."""
        return sorted(self._groups)

    def clone_session(self, session: int) -> CloneSession | None:
        """Return a session as written, None if there is no such session."""
        return self._sessions.get(session)

    def set_clone_session(self, session: int, config: CloneSession | None) -> None:
        """Create, replace or (None) delete a clone session, at once for packets."""
        copies = ordered(config.replicas if config else (), self._session_nodes.get(session, ()))
        if config is None:
            code = self._c.p4n_session_store(self.handle, session, None, 0, 0, 0)
        else:
            array, count = _replicas_c(copies)
            code = self._c.p4n_session_store(
                self.handle, session, array, count,
                config.class_of_service, config.packet_length,
            )  # fmt: skip
        self._check(code, f"clone session {session} (0 to 65535)")
        if config is None:
            self._sessions.pop(session, None)
            self._session_nodes.pop(session, None)
        else:
            self._sessions[session] = config
            self._session_nodes[session] = instances(copies)

    def clone_sessions(self) -> list[int]:
        """Return the ids of all clone sessions, ascending."""
        return sorted(self._sessions)

    # -- digests and idle entries ----------------------------------------------------------------

    def configure_digest(
        self, learn_list: int, *, max_records: int, max_timeout_ns: int, ack_timeout_ns: int
    ) -> None:
        """Enable a digest: a list goes out when it has max_records or is max_timeout_ns old.

        A record that was sent and neither acknowledged nor ack_timeout_ns old is not sent again.
        """
        self._index(learn_list, self.program.learn_lists, "digest")
        self._c.p4n_digest_configure(
            self.handle, learn_list, True, max_records, max_timeout_ns, ack_timeout_ns
        )

    def disable_digest(self, learn_list: int) -> None:
        """Stop a digest and forget what it has collected."""
        self._index(learn_list, self.program.learn_lists, "digest")
        self._c.p4n_digest_configure(self.handle, learn_list, False, 1, 0, 0)

    def ack_digest(self, learn_list: int, list_id: int) -> None:
        """Acknowledge a list: its records may be reported again. Unknown ids are ignored."""
        self._index(learn_list, self.program.learn_lists, "digest")
        self._c.p4n_digest_ack(self.handle, learn_list, list_id)

    def wait_digest(self, deadline_ns: int, timestamp_ns: int) -> Digest | None:
        """Return the next digest list, None at the deadline (CLOCK_MONOTONIC)."""
        index, list_id = c.c_uint32(0), c.c_uint64(0)
        buffer = c.create_string_buffer(_READ_BYTES)
        count = self._c.p4n_digest_wait(
            self.handle, deadline_ns, c.byref(index), c.byref(list_id), buffer, _READ_BYTES
        )
        if not count:
            return None
        size = layout.learn_bytes(self.program.learn_lists[index.value])
        raw = memoryview(buffer)
        records = tuple(bytes(raw[i : i + size]) for i in range(0, size * count, size))
        return Digest(index.value, list_id.value, records, timestamp_ns)

    def sweep_idle(self, budget: int) -> list[IdleEntry]:
        """Look at `budget` entries of each table with timeouts; return those that are idle."""
        found = (native.IdleC * _IDLE_BATCH)()
        count = self._c.p4n_sweep_idle(self.handle, found, _IDLE_BATCH, budget)
        return [IdleEntry(e.table, e.handle) for e in found[:count]]

    @property
    def times_out(self) -> bool:
        """Whether any table supports idle timeouts."""
        return any(t.support_timeout for t in self.program.tables)

    # -- end -------------------------------------------------------------------------------------

    def wake(self) -> None:
        """End all waits for digests, for good."""
        if self._instance is not None:
            self._c.p4n_digest_close(self._instance)

    def close(self) -> None:
        """Free the state of a pipeline that is not live; called twice it does nothing."""
        if self.live:
            raise SwitchError("the pipeline is live: commit another one first")
        instance, self._instance = self._instance, None
        if instance is not None:
            self._c.p4n_instance_destroy(instance)


def _cell_order(width: int) -> Any:
    return "little" if width <= 64 else "big"
