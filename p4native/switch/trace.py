"""What single frames meet in a pipeline: parser path, tables with key and entry, actions, ends.

A tracing pipeline is a build of its own (`Device.prepare(json, trace=True)`) that calls back for
every event; it runs without packet threads, so events come in order during `Device.inject`.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator
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


class Tracer:
    """Traces frames through a pipeline made with `trace=True`."""

    def __init__(self, device: Device, pipeline: Pipeline) -> None:
        self._device = device
        self._program = pipeline.program
        self._library = pipeline.library
        self._events: list[Event] = []
        self._fault: Exception | None = None
        self._headers = _numbered_headers(pipeline.program)
        self._tables = pipeline.program.tables
        self._actions = {a.id: a for a in pipeline.program.actions}
        self._errors = {value: name for name, value in pipeline.program.errors.items()}

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

    def _take(
        self, kind: int, name: bytes, numbers: Any, data: int | None, length: int,
        action_data: int | None,
    ) -> None:  # fmt: skip
        """The callback: nothing may be raised through C, so a fault waits for `run`."""
        try:
            octets = c.string_at(data, length) if data else b""
            self._add(_Kind(kind), name.decode(), list(numbers[:4]), octets, action_data)
        except Exception as fault:  # noqa: BLE001
            self._fault = self._fault or fault

    def _add(
        self, kind: _Kind, name: str, n: list[int], data: bytes, action_data: int | None
    ) -> None:
        match kind:
            case _Kind.PASS:
                self._put("pass", name, instance=INSTANCES.get(n[0], str(n[0])), port=n[1],
                          frame=data)  # fmt: skip
            case _Kind.STATE:
                self._put("state", name)
            case _Kind.EXTRACT:
                header = self._headers[n[0]]
                self._put("extract", header.name, fields=_fields(header.type, data))
            case _Kind.PARSED:
                error = self._errors.get(n[0], str(n[0]))
                self._put("parsed", error=error, bytes=n[1], checksum_error=bool(n[2]))
            case _Kind.CONDITION:
                self._put("condition", name, result=bool(n[0]))
            case _Kind.TABLE:
                self._table(name, n, data, action_data)
            case _Kind.CONST:
                self._const(name, n, action_data)
            case _Kind.CLONE:
                self._put("clone", session=n[0], where="egress" if n[1] else "ingress")
            case _Kind.DIGEST:
                lists = {f.id: f.name for f in self._program.learn_lists}
                self._put("digest", lists.get(n[0], str(n[0])))
            case _Kind.AGAIN:
                self._put("again", INSTANCES.get(n[0], str(n[0])))
            case _Kind.MULTICAST:
                self._put("multicast", group=n[0], exists=bool(n[1]))
            case _Kind.SENT:
                self._put("sent", port=n[0], frame=data)
            case _Kind.DROPPED:
                reason = DROP_REASONS[n[0]]
                self._put("dropped", reason, why=_DROPS.get(reason, reason))

    def _put(self, event: str, subject: str = "", **values: Any) -> None:
        self._events.append(Event(event, subject, values))

    def _table(self, name: str, n: list[int], data: bytes, action_data: int | None) -> None:
        table = self._tables[n[0]]
        values: dict[str, Any] = {"hit": bool(n[1])}
        if data:
            values["key"] = _key(table, data[: key_bytes(table)])
        if n[1]:
            values["entry"] = n[3]
        values |= self._action(n[2], action_data)
        self._put("table", name, **values)

    def _const(self, name: str, n: list[int], action_data: int | None) -> None:
        table = self._tables[n[0]]
        action = self._action(n[2], action_data)
        if not table.keys:
            self._put("run", action.pop("action"), **action)
            return
        values: dict[str, Any] = {"hit": n[1] >= 0}
        if n[1] >= 0:
            values["const_entry"] = n[1]
        self._put("table", name, **values, **action)

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
