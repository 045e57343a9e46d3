"""Packed records that carry operations, and table entries, between Python and the C engine.

A record is a 56-byte header and a body, padded with zeros to a multiple of 8 bytes. The body of a
table's, each part padded: the key, the mask (ternary and range tables only: mask, or range high
bound), the action data, the note (opaque bytes of the caller's), 16 bytes of counter if F_COUNTER,
40 of meter if F_METER, 48 of what the meter marked if F_MARKS. Key, mask and data layouts:
p4native/codegen/layout.py. Bodies of other objects: see `pack`.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

HEADER = struct.Struct("<IHHIIiIQHHIQQ")
"""size, op, table, action (JSON id, member or group id), flags, priority (larger wins), prefix_len,
idle_ns, data_bytes, note_bytes, 0, handle, age_ns (time since the last hit). The last two are only
set in records that are read."""

COUNTER = struct.Struct("<QQ")
"""packets, bytes"""

METER = struct.Struct("<qqqqq")
"""cir, cburst, pir, pburst, eburst: units per second and units"""

MARKS = struct.Struct("<6Q")
"""packets and bytes that a meter marked green, yellow and red"""


class Op(IntEnum):
    """What a record asks for."""

    INSERT = 1
    MODIFY = 2
    DELETE = 3
    SET_DEFAULT = 4
    RESET_DEFAULT = 5
    KEEP_ACTION = 6
    """as MODIFY, and the action stays; of a const entry, the direct resources alone"""
    DIRECT = 7
    """sets an entry's direct resources where they are"""
    DEFAULT_DIRECT = 8
    MEMBER_INSERT = 9
    MEMBER_MODIFY = 10
    MEMBER_DELETE = 11
    GROUP_INSERT = 12
    GROUP_MODIFY = 13
    GROUP_DELETE = 14
    COUNTER = 15
    METER = 16
    REGISTER = 17
    VALUE_SET = 18
    MULTICAST = 19
    MULTICAST_DELETE = 20
    CLONE = 21
    CLONE_DELETE = 22
    DIGEST = 23
    DIGEST_OFF = 24


class Flag(IntFlag):
    """Header flags."""

    MEMBER = 1
    GROUP = 2
    CONST = 4
    COUNTER = 8
    METER = 16
    MARKS = 32
    NO_METER = 64
    """the meter goes back to always green"""


class Status(IntEnum):
    """The outcome of one operation."""

    OK = 0
    EXISTS = 1
    MISSING = 2
    FULL = 3
    CONST = 4
    BAD_ACTION = 5
    BAD_RECORD = 6
    NO_MEMORY = 7
    IN_USE = 8
    ABORTED = 9
    """not tried or undone, because another operation of the same batch failed"""


class Mode(IntEnum):
    """What one failure does to the rest of a batch, and what packets may see."""

    CONTINUE = 0
    ROLLBACK = 1
    ATOMIC = 2
    """as ROLLBACK, and a packet sees all of the batch or nothing of it"""


class Entry(NamedTuple):
    """A table entry as read; `age_ns` is the time since its last hit or its insertion."""

    table: int
    handle: int
    key: bytes
    mask: bytes
    prefix_len: int
    priority: int
    action: int
    flags: int
    data: bytes
    note: bytes
    idle_ns: int
    age_ns: int
    packets: int
    bytes: int
    meter: tuple[int, ...] | None
    marks: tuple[int, ...] | None


def pad8(n: int) -> int:
    """Return n rounded up to a multiple of 8."""
    return (n + 7) & ~7


def pack_op(
    op: Op,
    table: int,
    *,
    key: bytes = b"",
    mask: bytes = b"",
    prefix_len: int = 0,
    priority: int = 0,
    action: int = 0,
    flags: int = 0,
    data: bytes = b"",
    note: bytes = b"",
    idle_ns: int = 0,
    counter: tuple[int, int] | None = None,
    meter: tuple[int, ...] | None = None,
    marks: tuple[int, ...] | None = None,
) -> bytes:
    """Return one operation's record; callers in a hurry precompile their own struct per table."""
    parts = [part.ljust(pad8(len(part)), b"\0") for part in (key, mask, data, note)]
    if counter is not None:
        flags |= Flag.COUNTER
        parts.append(COUNTER.pack(*counter))
    if meter is not None:
        flags |= Flag.METER
        parts.append(METER.pack(*meter))
    if marks is not None:
        flags |= Flag.MARKS
        parts.append(MARKS.pack(*marks))
    body = b"".join(parts)
    return (
        HEADER.pack(
            HEADER.size + len(body), op, table, action, flags, priority, prefix_len,
            idle_ns, len(data), len(note), 0, 0, 0,
        )
        + body
    )  # fmt: skip


def pack(
    op: Op,
    index: int,
    body: bytes = b"",
    *,
    number: int = 0,
    count: int = 0,
    flags: int = 0,
    priority: int = 0,
    length: int = 0,
    idle_ns: int = 0,
    ack_ns: int = 0,
    data_bytes: int = 0,
) -> bytes:
    """Return the record of an operation on anything but a table.

    `number` is the id of a member, group or session, or the first of `count` cells; of lists in the
    body, `count` is the number of items; of a member it is the action.
    """
    body = body.ljust(pad8(len(body)), b"\0")
    return (
        HEADER.pack(
            HEADER.size + len(body), op, index, count, flags, priority, length, idle_ns,
            data_bytes, 0, 0, number, ack_ns,
        )
        + body
    )  # fmt: skip


def unpack_entry(view: memoryview, key_bytes: int, has_mask: bool) -> Entry:
    """Return the entry in one record that was read from a table with that key layout."""
    (_, _, table, action, flags, priority, prefix_len, idle_ns, data_len, note_len, _, handle,
     age_ns) = HEADER.unpack_from(view)  # fmt: skip
    at = HEADER.size

    def take(n: int) -> bytes:
        nonlocal at
        piece = bytes(view[at : at + n])
        at += pad8(n)
        return piece

    key = take(key_bytes)
    mask = take(key_bytes) if has_mask else b""
    data, note = take(data_len), take(note_len)
    packets, octets = COUNTER.unpack(take(COUNTER.size)) if flags & Flag.COUNTER else (0, 0)
    meter = METER.unpack(take(METER.size)) if flags & Flag.METER else None
    marks = MARKS.unpack(take(MARKS.size)) if flags & Flag.MARKS else None
    return Entry(
        table, handle, key, mask, prefix_len, priority, action, flags, data, note,
        idle_ns, age_ns, packets, octets, meter, marks,
    )  # fmt: skip
