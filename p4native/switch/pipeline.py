"""One loaded program and its state: tables, profiles, counters, meters, registers, replication."""

from __future__ import annotations

import ctypes as c
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from p4native.bmv2 import model
from p4native.codegen import layout
from p4native.switch import native
from p4native.switch.draft import Draft
from p4native.switch.records import (
    COUNTER,
    HEADER,
    MARKS,
    METER,
    Entry,
    Flag,
    Mode,
    Op,
    Status,
    pack,
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
_REPLICA = struct.Struct("<IHH")
"""port, instance, whether it is a backup"""
_GROUP_MEMBER = struct.Struct("<III")
"""member, weight, watch port"""
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


def _replicas(replicas: Sequence[Replica]) -> tuple[bytes, int]:
    """Return each copy followed by its backups as the engine has them, and their number."""
    flat = [
        _REPLICA.pack(each.port, each.instance, each is not first)
        for first in replicas
        for each in (first, *first.backups)
    ]
    return b"".join(flat), len(flat)


class Pipeline:
    """A loaded program and its state. Made by `Device.prepare`; not live before `commit`.

    Methods that change something do so at once and raise SwitchError if they cannot, or, given a
    draft, make it part of that batch.
    """

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

    # -- table entries ---------------------------------------------------------------------------

    def write(
        self, records: bytes, count: int, mode: Mode = Mode.CONTINUE
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Run `count` concatenated operations (see records.py) in order, in one call.

        Returns their `Status` values and, for inserts, the entries' handles: numbers that stay
        with the entry for its life and are unique in its table.
        """
        if mode == Mode.ATOMIC and not self.live:
            mode = Mode.ROLLBACK  # no packet is in it: none has to wait
        statuses: Any = (c.c_int32 * count)()
        handles: Any = (c.c_uint64 * count)()
        done = self._c.p4n_write(self.handle, records, len(records), count, mode, statuses, handles)
        if done < 0:
            raise SwitchError("out of memory", Status.NO_MEMORY)
        return statuses, handles

    def run(self, draft: Draft, mode: Mode = Mode.ROLLBACK) -> Sequence[int]:
        """Carry out a whole draft or, if any of it is refused, take it back; return `Status`es."""
        statuses, _handles = self.write(b"".join(draft.records), len(draft.records), mode)
        if any(statuses):
            draft.take_back()
        return statuses

    @contextmanager
    def drafting(self, what: str, draft: Draft | None = None) -> Iterator[Draft]:
        """Yield the draft to add to; without one a new one, which is run at the end."""
        own = draft or Draft()
        yield own
        if draft is None:
            refused = [status for status in self.run(own) if status not in (0, Status.ABORTED)]
            if refused:
                raise _status_error(refused[0], what)

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

    def _index(self, index: int, objects: Sequence[object], what: str) -> int:
        if not 0 <= index < len(objects):
            raise SwitchError(f"{what} {index}: the program has {len(objects)}", Status.MISSING)
        return index

    # -- action profiles -------------------------------------------------------------------------

    def _write_member(
        self, op: Op, profile: int, member: int, draft: Draft | None, *, action: int = 0,
        data: bytes = b"",
    ) -> None:  # fmt: skip
        self._index(profile, self.program.profiles, "action profile")
        with self.drafting(f"action profile {profile}, member {member}", draft) as own:
            own.add(pack(op, profile, data, number=member, count=action, data_bytes=len(data)))

    def insert_member(
        self, profile: int, member: int, action: int, data: bytes, draft: Draft | None = None
    ) -> None:
        """Add a member; EXISTS, or FULL (members and groups are each bounded by the size)."""
        self._write_member(Op.MEMBER_INSERT, profile, member, draft, action=action, data=data)

    def modify_member(
        self, profile: int, member: int, action: int, data: bytes, draft: Draft | None = None
    ) -> None:
        """Replace a member's action; entries and groups that use it follow."""
        self._write_member(Op.MEMBER_MODIFY, profile, member, draft, action=action, data=data)

    def delete_member(self, profile: int, member: int, draft: Draft | None = None) -> None:
        """Remove a member; IN_USE while an entry or a group refers to it."""
        self._write_member(Op.MEMBER_DELETE, profile, member, draft)

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
        self, op: Op, profile: int, group: int, draft: Draft | None, *,
        members: Sequence[GroupMember] = (), max_size: int = 0,
    ) -> None:  # fmt: skip
        self._index(profile, self.program.profiles, "action profile")
        body = b"".join(
            _GROUP_MEMBER.pack(m.member, m.weight, _NONE if m.watch_port is None else m.watch_port)
            for m in members
        )
        with self.drafting(f"action profile {profile}, group {group}", draft) as own:
            own.add(pack(op, profile, body, number=group, count=len(members), length=max_size))

    def insert_group(
        self, profile: int, group: int, members: Sequence[GroupMember], max_size: int = 0,
        draft: Draft | None = None,
    ) -> None:  # fmt: skip
        """Add a group; MISSING if a member does not exist, FULL beyond max_size (0: unbounded)."""
        self._write_group(
            Op.GROUP_INSERT, profile, group, draft, members=members, max_size=max_size
        )

    def modify_group(
        self, profile: int, group: int, members: Sequence[GroupMember], max_size: int = 0,
        draft: Draft | None = None,
    ) -> None:  # fmt: skip
        """Replace a group's members at once."""
        self._write_group(
            Op.GROUP_MODIFY, profile, group, draft, members=members, max_size=max_size
        )

    def delete_group(self, profile: int, group: int, draft: Draft | None = None) -> None:
        """Remove a group; IN_USE while an entry refers to it."""
        self._write_group(Op.GROUP_DELETE, profile, group, draft)

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

    def counter_cells(self, counter: int, start: int, count: int) -> Iterator[tuple[int, int]]:
        """Copy `count` cells from `start` on; return what yields their (packets, bytes)."""
        self._index(counter, self.program.counters, "counter")
        words = (c.c_uint64 * (2 * max(1, count)))()
        if not self._c.p4n_counter_read(self.handle, counter, start, count, words):
            raise self._beyond("counter", counter, start, count)
        return ((words[2 * i], words[2 * i + 1]) for i in range(count))

    def set_counter(
        self, counter: int, cells: range, packets: int, octets: int, draft: Draft | None = None
    ) -> None:
        """Overwrite cells, all with the same."""
        self._index(counter, self.program.counters, "counter")
        body = COUNTER.pack(packets, octets)
        with self.drafting(f"counter {counter}", draft) as own:
            own.add(pack(Op.COUNTER, counter, body, number=cells.start, count=len(cells)))

    def _beyond(self, what: str, index: int, start: int, count: int) -> SwitchError:
        return SwitchError(
            f"{what} {index}: cells {start} to {start + count - 1} are beyond its size",
            Status.MISSING,
        )

    def meter_configs(self, meter: int, start: int, count: int) -> Iterator[MeterConfig | None]:
        """Copy the configurations of `count` cells; return what yields them, None without one."""
        self._index(meter, self.program.meters, "meter")
        configs = (native.MeterConfigC * max(1, count))()
        there = (c.c_bool * max(1, count))()
        if not self._c.p4n_meter_get(self.handle, meter, start, count, configs, there):
            raise self._beyond("meter", meter, start, count)
        return (_meter_config(configs[i]) if there[i] else None for i in range(count))

    def set_meter(
        self, meter: int, cells: range, config: MeterConfig | None,
        marks: tuple[int, ...] | None = None, draft: Draft | None = None,
    ) -> None:  # fmt: skip
        """Configure cells (their buckets start full); None makes them always green.

        `marks` is what `meter_marks` is to return, None leaves that alone.
        """
        self._index(meter, self.program.meters, "meter")
        body = b"" if config is None else METER.pack(*config)
        flags = Flag.NO_METER if config is None else Flag.METER
        if marks is not None:
            body, flags = body + MARKS.pack(*marks), flags | Flag.MARKS
        start, count = cells.start, len(cells)
        with self.drafting(f"meter {meter}", draft) as own:
            own.add(pack(Op.METER, meter, body, number=start, count=count, flags=flags))

    def meter_marks(self, meter: int, start: int, count: int) -> Iterator[tuple[int, ...]]:
        """Copy what `count` cells marked; return what yields it, six numbers each.

        They are the packets and bytes that were marked green, yellow and red.
        """
        self._index(meter, self.program.meters, "meter")
        marks = (c.c_uint64 * (6 * max(1, count)))()
        if not self._c.p4n_meter_marks(self.handle, meter, start, count, marks):
            raise self._beyond("meter", meter, start, count)
        return (tuple(marks[6 * i : 6 * i + 6]) for i in range(count))

    def register_cells(self, register: int, start: int, count: int) -> Iterator[int]:
        """Copy `count` cells from `start` on; return what yields them, as unsigned values."""
        self._index(register, self.program.registers, "register")
        size = layout.register_cell_bytes(self.program.registers[register].width)
        cells = c.create_string_buffer(max(1, size * count))
        if not self._c.p4n_register_read(self.handle, register, start, count, cells):
            raise self._beyond("register", register, start, count)
        order = _cell_order(self.program.registers[register].width)
        raw = memoryview(cells).cast("B")
        return (int.from_bytes(raw[i * size : (i + 1) * size], order) for i in range(count))

    def set_register(
        self, register: int, cells: range, value: int, draft: Draft | None = None
    ) -> None:
        """Overwrite cells, all with the same."""
        self._index(register, self.program.registers, "register")
        width = self.program.registers[register].width
        if value < 0 or value >> width:
            raise SwitchError(f"register {register}: {value} does not fit {width} bits")
        cell = value.to_bytes(layout.register_cell_bytes(width), _cell_order(width))
        start, count = cells.start, len(cells)
        with self.drafting(f"register {register}", draft) as own:
            own.add(
                pack(Op.REGISTER, register, cell, number=start, count=count, data_bytes=len(cell))
            )

    def value_set(self, value_set: int) -> list[tuple[bytes, bytes]]:
        """Return the members as (value, mask)."""
        self._index(value_set, self.program.value_sets, "value set")
        return list(self._value_sets.get(value_set, ()))

    def set_value_set(
        self, value_set: int, members: Sequence[tuple[bytes, bytes]], draft: Draft | None = None
    ) -> None:
        """Replace all members at once; FULL beyond the set's size."""
        self._index(value_set, self.program.value_sets, "value set")
        name = self.program.value_sets[value_set].name
        size = layout.packed_bytes(layout.value_set_widths(self.program, name))
        if any(len(value) != size or len(mask) != size for value, mask in members):
            raise SwitchError(f"value set {name}: values and masks have {size} bytes")
        packed = b"".join(value + mask for value, mask in members)
        with self.drafting(f"value set {name}", draft) as own:
            own.add(pack(Op.VALUE_SET, value_set, packed, count=len(members)))
            own.put(self._value_sets, value_set, list(members))

    # -- replication -----------------------------------------------------------------------------

    def multicast_group(self, group: int) -> tuple[Replica, ...] | None:
        """Return a group's replicas as written, None if there is no such group."""
        return self._groups.get(group)

    def set_multicast_group(
        self, group: int, replicas: Sequence[Replica] | None, draft: Draft | None = None
    ) -> None:
        """Create, replace or (None) delete a multicast group, at once for packets."""
        copies = ordered(replicas or (), self._group_nodes.get(group, ()))
        body, count = _replicas(copies)
        with self.drafting(f"multicast group {group} (1 to 65535)", draft) as own:
            if replicas is None:
                own.add(pack(Op.MULTICAST_DELETE, 0, number=group))
                own.drop(self._groups, group)
                own.drop(self._group_nodes, group)
            else:
                own.add(pack(Op.MULTICAST, 0, body, number=group, count=count))
                own.put(self._groups, group, tuple(replicas))
                own.put(self._group_nodes, group, instances(copies))

    def multicast_groups(self) -> list[int]:
        """Return the ids of all multicast groups, ascending."""
        return sorted(self._groups)

    def clone_session(self, session: int) -> CloneSession | None:
        """Return a session as written, None if there is no such session."""
        return self._sessions.get(session)

    def set_clone_session(
        self, session: int, config: CloneSession | None, draft: Draft | None = None
    ) -> None:
        """Create, replace or (None) delete a clone session, at once for packets."""
        copies = ordered(config.replicas if config else (), self._session_nodes.get(session, ()))
        body, count = _replicas(copies)
        with self.drafting(f"clone session {session} (0 to 65535)", draft) as own:
            if config is None:
                own.add(pack(Op.CLONE_DELETE, 0, number=session))
                own.drop(self._sessions, session)
                own.drop(self._session_nodes, session)
                return
            own.add(
                pack(
                    Op.CLONE, 0, body, number=session, count=count,
                    priority=config.class_of_service, length=config.packet_length,
                )
            )  # fmt: skip
            own.put(self._sessions, session, config)
            own.put(self._session_nodes, session, instances(copies))

    def clone_sessions(self) -> list[int]:
        """Return the ids of all clone sessions, ascending."""
        return sorted(self._sessions)

    # -- digests and idle entries ----------------------------------------------------------------

    def configure_digest(
        self, learn_list: int, *, max_records: int, max_timeout_ns: int, ack_timeout_ns: int,
        draft: Draft | None = None,
    ) -> None:  # fmt: skip
        """Enable a digest: a list goes out when it has max_records or is max_timeout_ns old.

        A record that was sent and neither acknowledged nor ack_timeout_ns old is not sent again.
        """
        self._index(learn_list, self.program.learn_lists, "digest")
        with self.drafting(f"digest {learn_list}", draft) as own:
            own.add(
                pack(
                    Op.DIGEST, learn_list, count=max_records, idle_ns=max_timeout_ns,
                    ack_ns=ack_timeout_ns,
                )
            )  # fmt: skip

    def disable_digest(self, learn_list: int, draft: Draft | None = None) -> None:
        """Stop a digest and forget what it has collected."""
        self._index(learn_list, self.program.learn_lists, "digest")
        with self.drafting(f"digest {learn_list}", draft) as own:
            own.add(pack(Op.DIGEST_OFF, learn_list))

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


def _meter_config(found: native.MeterConfigC) -> MeterConfig:
    return MeterConfig(found.cir, found.cburst, found.pir, found.pburst, found.eburst)
