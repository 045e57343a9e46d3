"""The Read RPC: a snapshot taken at once, decoded and streamed in pieces afterwards.

The device is locked for the snapshot alone, so a slow reader holds up nobody. What snapshots
occupy together is bounded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence

from finsy.proto import p4r

from p4native.p4runtime.entities import (
    counters,
    digests,
    meters,
    profiles,
    registers,
    replication,
    value_sets,
)
from p4native.p4runtime.entities.direct import DirectQuery
from p4native.p4runtime.entities.ids import object_id
from p4native.p4runtime.entities.table_read import TableQuery
from p4native.p4runtime.errors import (
    P4RuntimeError,
    invalid_argument,
    resource_exhausted,
    unimplemented,
)
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.p4runtime.roles import RoleScope
from p4native.switch.records import Entry

MAX_SNAPSHOT_BYTES = 512 << 20
"""Bytes of copied table records that all reads may hold together."""
_PIECE_ENTITIES = 1000
_PIECE_BYTES = 512 << 10
# Entities of other kinds are few or small: they are copied as messages.
_ENTITY_BYTES = 64

# Those may have millions of cells: they become messages one by one, while they are sent.
_ARRAYS: dict[str, Callable[..., Iterator[p4r.Entity]]] = {
    "counter_entry": counters.read,
    "meter_entry": meters.read,
    "register_entry": registers.read,
}

_Part = Callable[[], Iterator[p4r.Entity]]
Results = list[P4RuntimeError | None]


class _Budget:
    """Bytes that snapshots hold, over all devices of the process."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        with self._lock:
            if size > self._left:
                raise resource_exhausted("too many large reads at once; read again later")
            self._left -= size

    def give(self, size: int) -> None:
        with self._lock:
            self._left += size


_budget = _Budget(MAX_SNAPSHOT_BYTES)


class OpenRead:
    """A snapshot: parts to stream, and a result for each element of the request."""

    def __init__(self, results: Results) -> None:
        """Start without parts."""
        self.results = results
        self.parts: list[_Part] = []
        self._held = 0

    def hold(self, size: int) -> None:
        """Account for `size` bytes until `close`."""
        _budget.take(size)
        self._held += size

    def close(self) -> None:
        """Release the snapshot; idempotent."""
        self.parts.clear()
        _budget.give(self._held)
        self._held = 0


def open_read(loaded: LoadedPipeline, request: p4r.ReadRequest, scope: RoleScope) -> OpenRead:
    """Snapshot what each element asks for; an element that fails does not stop the others."""
    opened = OpenRead([None] * len(request.entities))
    for index, entity in enumerate(request.entities):
        try:
            _snapshot(opened, loaded, entity, scope)
        except P4RuntimeError as error:
            opened.results[index] = error
        except BaseException:
            opened.close()
            raise
    return opened


def read_pieces(opened: OpenRead) -> Generator[p4r.ReadResponse, None, Results | None]:
    """Yield the response in pieces; return one result per element if any failed."""
    response, size = p4r.ReadResponse(), 0
    try:
        for part in opened.parts:
            for entity in part():
                response.entities.append(entity)
                size += entity.ByteSize()
                if len(response.entities) >= _PIECE_ENTITIES or size >= _PIECE_BYTES:
                    yield response
                    response, size = p4r.ReadResponse(), 0
        if response.entities:
            yield response
    finally:
        opened.close()
    return opened.results if any(opened.results) else None


def _snapshot(
    opened: OpenRead, loaded: LoadedPipeline, entity: p4r.Entity, scope: RoleScope
) -> None:
    which = entity.WhichOneof("entity")
    if which is None:
        raise invalid_argument("entity without a type; a read names the entities it wants")
    query: TableQuery | DirectQuery
    if which == "table_entry":
        query = TableQuery(loaded, entity.table_entry, scope)
        _add_tables(opened, query)
    elif which in ("direct_counter_entry", "direct_meter_entry"):
        query = DirectQuery(loaded, getattr(entity, which), scope)
        _add_tables(opened, query)
    elif which in _ARRAYS:
        cells = _ARRAYS[which](loaded, getattr(entity, which), opened.hold)
        opened.parts.append(lambda: (each for each in cells if _visible(scope, each)))
    else:
        entities = [e for e in _read_small(loaded, which, entity) if _visible(scope, e)]
        opened.hold(len(entities) * _ENTITY_BYTES)
        opened.parts.append(lambda: iter(entities))


def _visible(scope: RoleScope, entity: p4r.Entity) -> bool:
    number = object_id(entity)
    return number is None or scope.allows(number)


def _add_tables(opened: OpenRead, query: TableQuery | DirectQuery) -> None:
    snapshot = query.snapshot()
    opened.hold(sum(_size(copied) for _, copied in snapshot))
    opened.parts.append(lambda: _decode(query, snapshot))


def _decode(
    query: TableQuery | DirectQuery, snapshot: Sequence[tuple[object, memoryview | Entry]]
) -> Iterator[p4r.Entity]:
    for table, copied in snapshot:
        yield from query.decode(table, copied)  # type: ignore[arg-type]


def _size(copied: memoryview | Entry) -> int:
    return len(copied) if isinstance(copied, memoryview) else _ENTITY_BYTES


def _read_small(loaded: LoadedPipeline, which: str, entity: p4r.Entity) -> Iterator[p4r.Entity]:
    readers: dict[str, Callable[..., Iterator[p4r.Entity]]] = {
        "action_profile_member": profiles.read_members,
        "action_profile_group": profiles.read_groups,
        "packet_replication_engine_entry": replication.read,
        "value_set_entry": value_sets.read,
        "digest_entry": digests.read,
    }
    if which == "extern_entry":
        if entity.extern_entry.extern_type_id or entity.extern_entry.extern_id:
            raise unimplemented("extern entries: the architecture (v1model) has none")
        return iter(())
    return readers[which](loaded, getattr(entity, which))
