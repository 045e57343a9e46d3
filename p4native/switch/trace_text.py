"""A trace as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from p4native.switch.trace import Event

_HEX_FROM = 10  # smaller numbers look the same in decimal


def render(events: Iterable[Event]) -> Iterator[str]:
    """The lines of a trace; the parser's path is one line."""
    path: list[str] = []
    for event in events:
        if event.kind == "state":
            path.append(event.name)
            continue
        if event.kind == "parsed":
            yield from _parsed(event, path)
            path = []
            continue
        yield from _lines(event)


def _parsed(event: Event, path: list[str]) -> Iterator[str]:
    values = event.values
    accepted = values["error"] in ("NoError", "0")
    verdict = "accepted" if accepted else f"error {values['error']}"
    wrong = ", checksum wrong" if values["checksum_error"] else ""
    yield f"  parser: {' → '.join(path)}: {verdict}, {values['bytes']} bytes{wrong}"


def _lines(event: Event) -> Iterator[str]:
    values = event.values
    match event.kind:
        case "pass":
            extra = "" if values["instance"] == "normal" else f" ({values['instance']})"
            size = len(values["frame"])
            yield f"{event.name}{extra}, port {values['port']}, {size} bytes"
        case "extract":
            yield f"    {event.name}: {_numbers(values['fields'])}"
        case "condition":
            yield f"  if ({event.name}): {'true' if values['result'] else 'false'}"
        case "table":
            yield from _table(event)
        case "run":
            yield f"  run {_call(event.name, values['args'])}"
        case "clone":
            yield f"  clone at {values['where']} to session {values['session']}"
        case "digest":
            yield f"  digest {event.name}"
        case "again":
            yield f"  goes round again: {event.name}"
        case "multicast":
            missing = "" if values["exists"] else ", which does not exist"
            yield f"  multicast to group {values['group']}{missing}"
        case "sent":
            frame = values["frame"]
            yield f"sent to port {values['port']}, {len(frame)} bytes: {frame.hex()}"
        case "dropped":
            yield f"dropped ({event.name}): {values['why']}"


def _table(event: Event) -> Iterator[str]:
    values = event.values
    where = "miss"
    if values["hit"]:
        entry = values.get("entry")
        where = f"hit entry {entry}" if entry is not None else f"hit const {values['const_entry']}"
    yield f"  table {event.name}: {where}"
    if values.get("key"):
        yield f"      key {_numbers(values['key'])}"
    if values["action"] is None:
        yield "      no action"
    else:
        yield f"      run {_call(values['action'], values['args'])}"


def _call(action: str, args: dict[str, int]) -> str:
    return f"{action}({_numbers(args, ', ')})"


def _numbers(fields: dict[str, Any], separator: str = " ") -> str:
    return separator.join(f"{name}={_number(value)}" for name, value in fields.items())


def _number(value: int) -> str:
    return str(value) if value < _HEX_FROM else hex(value)
