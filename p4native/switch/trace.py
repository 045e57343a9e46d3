"""What single frames meet in a pipeline: parser path, tables with key and entry, actions, ends.

A tracing pipeline is a build of its own (`Device.prepare(json, trace=True)`) that calls back for
every event; it runs without packet threads, so events come in order during `Device.inject`.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from p4native.bmv2 import model as m
from p4native.codegen.layout import (
    action_data_bytes,
    byte_width,
    key_bytes,
    key_fields,
    param_offsets,
)
from p4native.switch.device import DROP_REASONS, Device
from p4native.switch.pipeline import Pipeline


class _Kind(IntEnum):
    """enum p4n_trace_event."""

    PASS = 0
    STATE = 1
    EXTRACT = 2
    PARSED = 3
    CONDITION = 4
    TABLE = 5
    CONST = 6
    CLONE = 7
    DIGEST = 8
    AGAIN = 9
    MULTICAST = 10
    SENT = 11
    DROPPED = 12


INSTANCES = {
    0: "normal", 1: "ingress clone", 2: "egress clone", 4: "recirculated", 5: "replica",
    6: "resubmitted",
}  # fmt: skip
"""instance_type as BMv2 numbers it."""

_DROPS = {
    "ingress": "egress_spec is the drop port after ingress",
    "egress": "egress_spec is the drop port after egress",
    "multicast": "the multicast group or clone session has no members",
    "no_memory": "out of packet memory",
    "loop_full": "too many frames are resubmitted, recirculated or cloned",
    "too_long": "the headers do not fit in front of the frame",
    "priority": "its priority is beyond the port's queues",
    "assert": "assert() or assume() failed",
}

_SINK = c.CFUNCTYPE(
    None, c.c_uint32, c.c_char_p, c.POINTER(c.c_int64), c.c_void_p, c.c_uint32, c.c_void_p
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `kind` is a word, `name` the object, `values` what it was, by name."""

    kind: str
    name: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The event for JSON; byte strings become hex."""
        values = {k: v.hex() if isinstance(v, bytes) else v for k, v in self.values.items()}
        return {"event": self.kind, "name": self.name, **values}


@dataclass(frozen=True, slots=True)
class _Raw:
    """An event as C tells it; `action_data` is an address that is valid during the callback."""

    name: str
    n: tuple[int, ...]
    data: bytes
    action_data: int | None


class Tracer:
    """Traces frames through a pipeline made with `trace=True`."""

    def __init__(self, device: Device, pipeline: Pipeline) -> None:
        self._device = device
        self._program = pipeline.program
        self._library = pipeline.library
        self._events: list[Event] = []
        self._fault: Exception | None = None
        self._headers = _numbered_headers(pipeline.program)
        self._actions = {a.id: a for a in pipeline.program.actions}
        self._errors = {value: name for name, value in pipeline.program.errors.items()}
        self._translate: dict[_Kind, Callable[[_Raw], Event]] = {
            _Kind.PASS: self._pass,
            _Kind.STATE: lambda raw: Event("state", raw.name),
            _Kind.EXTRACT: self._extract,
            _Kind.PARSED: self._parsed,
            _Kind.CONDITION: lambda raw: Event("condition", raw.name, {"result": bool(raw.n[0])}),
            _Kind.TABLE: self._table,
            _Kind.CONST: self._const,
            _Kind.CLONE: lambda raw: Event(
                "clone", "", {"session": raw.n[0], "where": "egress" if raw.n[1] else "ingress"}
            ),
            _Kind.DIGEST: self._digest,
            _Kind.AGAIN: lambda raw: Event("again", INSTANCES.get(raw.n[0], str(raw.n[0]))),
            _Kind.MULTICAST: lambda raw: Event(
                "multicast", "", {"group": raw.n[0], "exists": bool(raw.n[1])}
            ),
            _Kind.SENT: lambda raw: Event("sent", "", {"port": raw.n[0], "frame": raw.data}),
            _Kind.DROPPED: self._dropped,
        }

    def run(self, port: int, frame: bytes) -> list[Event]:
        """What happens to a frame that arrives on `port`, until all its copies have ended."""
        self._events, self._fault = [], None
        with self._listening():
            self._device.inject(port, frame)
        if self._fault is not None:
            raise self._fault
        return self._events

    @contextmanager
    def _listening(self) -> Iterator[None]:
        sink = c.c_void_p.in_dll(self._library, "p4n_trace_sink")
        callback = _SINK(self._take)
        sink.value = c.cast(callback, c.c_void_p).value
        try:
            yield
        finally:
            sink.value = None

    def _take(self, kind: int, *details: Any) -> None:
        """The callback: nothing may be raised through C, so a fault waits for `run`."""
        try:
            name, numbers, data, length, action_data = details
            octets = c.string_at(data, length) if data else b""
            raw = _Raw(name.decode(), tuple(numbers[:4]), octets, action_data)
            self._events.append(self._translate[_Kind(kind)](raw))
        except Exception as fault:  # noqa: BLE001 - it is raised again outside the callback
            self._fault = self._fault or fault

    @staticmethod
    def _pass(raw: _Raw) -> Event:
        instance = INSTANCES.get(raw.n[0], str(raw.n[0]))
        values = {"instance": instance, "port": raw.n[1], "frame": raw.data}
        return Event("pass", raw.name, values)

    def _extract(self, raw: _Raw) -> Event:
        header = self._headers[raw.n[0]]
        return Event("extract", header.name, {"fields": _fields(header.type, raw.data)})

    def _parsed(self, raw: _Raw) -> Event:
        error = self._errors.get(raw.n[0], str(raw.n[0]))
        values = {"error": error, "bytes": raw.n[1], "checksum_error": bool(raw.n[2])}
        return Event("parsed", "", values)

    def _digest(self, raw: _Raw) -> Event:
        lists = {f.id: f.name for f in self._program.learn_lists}
        return Event("digest", lists.get(raw.n[0], str(raw.n[0])))

    @staticmethod
    def _dropped(raw: _Raw) -> Event:
        reason = DROP_REASONS[raw.n[0]]
        return Event("dropped", reason, {"why": _DROPS.get(reason, reason)})

    def _table(self, raw: _Raw) -> Event:
        table, n = self._program.tables[raw.n[0]], raw.n
        values: dict[str, Any] = {"hit": bool(n[1])}
        if raw.data:
            values["key"] = _key(table, raw.data[: key_bytes(table)])
        if n[1]:
            values["entry"] = n[3]
        return Event("table", raw.name, values | self._action(n[2], raw.action_data))

    def _const(self, raw: _Raw) -> Event:
        """A table that became code: its const entries, or only a default action to run."""
        table, n = self._program.tables[raw.n[0]], raw.n
        action = self._action(n[2], raw.action_data)
        if not table.keys:
            return Event("run", action.pop("action"), action)
        values: dict[str, Any] = {"hit": n[1] >= 0}
        if n[1] >= 0:
            values["const_entry"] = n[1]
        return Event("table", raw.name, values | action)

    def _action(self, number: int, address: int | None) -> dict[str, Any]:
        action = self._actions.get(number)
        if action is None:
            return {"action": None, "args": {}}
        data = c.string_at(address, action_data_bytes(action)) if address else b""
        args = {
            p.name: int.from_bytes(data[at : at + byte_width(p.width)], "big")
            for p, at in zip(action.params, param_offsets(action), strict=True)
        }
        return {"action": action.name, "args": args}


def _numbered_headers(program: m.Program) -> list[m.Header]:
    """Headers by the numbers that generated code gives them."""
    from p4native.codegen.context import make_context

    return make_context(program).layout.headers


def _key(table: m.Table, data: bytes) -> dict[str, int]:
    """The key's fields by name."""
    return {
        f.name: int.from_bytes(data[f.offset : f.offset + f.bytes], "big")
        for f in key_fields(table)
    }


def _fields(htype: m.HeaderType, data: bytes) -> dict[str, int]:
    """An extracted header's fields by name."""
    total = len(data) * 8
    extra = total - htype.fixed_bits
    number, at, fields = int.from_bytes(data, "big"), 0, {}
    for f in htype.fields:
        width = extra if f.varbit else f.width
        at += width
        fields[f.name] = number >> (total - at) & ((1 << width) - 1)
    return fields
