"""Writes from the wire to the engine's records without a Python object per entry.

C code (runtime/p4runtime) splits a WriteRequest and encodes the plain, correct table entries of a
pipeline's direct tables; whatever else there is comes back as protobuf messages, one by one.
"""

from __future__ import annotations

import ctypes as c
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import overload

from finsy.proto import p4i, p4r

from p4native.p4runtime.bind import Binding, BoundAction, BoundField, BoundTable
from p4native.p4runtime.errors import resource_exhausted
from p4native.switch.build import runtime_library
from p4native.switch.records import HEADER, pad8

MAX_UPDATES = 1 << 20
"""Updates in one batch: what a batch needs besides its own bytes grows with their number."""
_MAX_FIELDS = 64
_MAX_DATA = 4000
_SLACK = 4096 + 64
_PRIORITY, _MASKED, _IDLE = 1, 2, 4


@lru_cache(maxsize=1)
def _library() -> c.CDLL:
    library = c.CDLL(str(runtime_library("p4runtime")))
    words = c.POINTER(c.c_uint32)
    library.p4r_split.restype = c.c_int64
    library.p4r_split.argtypes = (
        c.c_char_p, c.c_size_t, c.c_char_p, c.POINTER(c.c_size_t), words, words,
    )  # fmt: skip
    library.p4r_encode.restype = c.c_size_t
    library.p4r_encode.argtypes = (
        words, c.c_char_p, words, words, c.c_uint32, c.c_char_p, c.c_size_t, words,
    )  # fmt: skip
    return library


class RawWrite(Sequence[p4r.Update]):
    """A WriteRequest as it came: `head` has all but the updates, which are decoded when asked for.

    RESOURCE_EXHAUSTED for more than MAX_UPDATES updates; DecodeError if it is not a WriteRequest.
    """

    def __init__(self, raw: bytes) -> None:
        """Split `raw`."""
        self.raw = raw
        size = c.c_size_t()
        split = _library().p4r_split
        count = split(raw, len(raw), None, c.byref(size), None, None)
        if count < 0:
            # Groups, or not protobuf at all: let protobuf judge, and start again from its form.
            whole = p4r.WriteRequest.FromString(raw)
            whole.DiscardUnknownFields()
            self.raw = raw = whole.SerializeToString()
            count = split(raw, len(raw), None, c.byref(size), None, None)
        if count > MAX_UPDATES:
            raise resource_exhausted(f"{count} updates in one batch, at most {MAX_UPDATES}")
        self._count = int(count)
        head = c.create_string_buffer(size.value)
        self.offsets = (c.c_uint32 * self._count)()
        self.sizes = (c.c_uint32 * self._count)()
        split(raw, len(raw), head, c.byref(size), self.offsets, self.sizes)
        self.head = p4r.WriteRequest.FromString(head.raw[: size.value])

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> p4r.Update: ...
    @overload
    def __getitem__(self, index: slice) -> list[p4r.Update]: ...
    def __getitem__(self, index: int | slice) -> p4r.Update | list[p4r.Update]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        start = self.offsets[index]
        update: p4r.Update = p4r.Update.FromString(self.raw[start : start + self.sizes[index]])
        return update


class Encoder:
    """Encodes the plain table entries of one pipeline."""

    def __init__(self, binding: Binding) -> None:
        """Lay the pipeline's tables out as the plan that the C code reads."""
        tables = [t for t in binding.tables.values() if _is_simple(t)]
        plan = _lay_out(tables)
        self.plan = (c.c_uint32 * len(plan)).from_buffer(plan)
        self._fixed = HEADER.size + _SLACK
        self._per_update = max((_record_size(t) for t in tables), default=0)

    def encode(self, batch: RawWrite, start: int, count: int) -> tuple[bytes, Iterable[int]]:
        """Return the records of updates [start, start + count), concatenated, and their sizes.

        A size of 0 marks an update that has no record here.
        """
        sizes = batch.sizes
        notes = sum(sizes[start : start + count])
        room = count * self._per_update + notes + self._fixed
        out = c.create_string_buffer(room)
        marks = (c.c_uint32 * count)()
        used = _library().p4r_encode(
            self.plan,
            batch.raw,
            _from(batch.offsets, start),
            _from(sizes, start),
            count,
            out,
            room,
            marks,
        )
        return bytes(memoryview(out)[:used]), marks


def _from(words: c.Array[c.c_uint32], start: int) -> c._Pointer[c.c_uint32]:
    return c.cast(c.byref(words, start * 4), c.POINTER(c.c_uint32))


def _is_simple(table: BoundTable) -> bool:
    """Whether the C code knows enough to take entries of this table."""
    if table.profile is not None or table.info.const_entries or not table.fields:
        return False
    if len(table.fields) > _MAX_FIELDS:
        return False
    params = (param for action in table.actions.values() for param in action.params)
    if any(field.names is not None for field in (*table.fields, *params)):
        return False
    return all(a.size <= _MAX_DATA and len(a.params) <= _MAX_FIELDS for a in table.actions.values())


def _record_size(table: BoundTable) -> int:
    data = max((action.size for action in table.actions.values()), default=0)
    # Notes take as much as the metadata in the update itself, which is counted apart.
    return HEADER.size + 2 * pad8(table.key_size) + pad8(data) + 32


def _lay_out(tables: list[BoundTable]) -> array[int]:
    """Return the plan: tables, then each one's fields, actions and their parameters."""
    plan = array("I", [len(tables), *(0 for _ in range(8 * len(tables)))])
    for number, table in enumerate(tables):
        fields = len(plan)
        plan.extend(chain.from_iterable(map(_field_words, table.fields)))
        actions = [
            action
            for action in table.actions.values()
            if table.info.scopes[action.id] != p4i.ActionRef.DEFAULT_ONLY
        ]
        start = _add_actions(plan, actions)
        flags = _PRIORITY * table.info.priority + _MASKED * table.masked
        flags += _IDLE * table.info.idle_timeout
        words = (
            table.info.id, table.index, flags, table.key_size, len(table.fields), len(actions),
            fields, start,
        )  # fmt: skip
        plan[1 + 8 * number : 9 + 8 * number] = array("I", words)
    return plan


def _add_actions(plan: array[int], actions: list[BoundAction]) -> int:
    """Append parameters and actions to the plan; return where the actions are."""
    params = []
    for action in actions:
        params.append(len(plan))
        plan.extend(chain.from_iterable(map(_field_words, action.params)))
    start = len(plan)
    for action, at in zip(actions, params, strict=True):
        plan.extend((action.id, action.json_id, action.size, len(action.params), at))
    return start


def _field_words(field: BoundField) -> tuple[int, int, int, int, int]:
    return field.id, field.kind, field.width, field.offset, field.size
