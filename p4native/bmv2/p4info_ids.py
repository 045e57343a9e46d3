"""P4Info ids and aliases.

An id is an 8-bit kind and a 24-bit number: the `@id` annotation's or a hash of the full name
(Jenkins' one-at-a-time), names in order, the next free number on a collision. An alias is the
shortest unique suffix of dot-separated components of the name, over all kinds.
"""

from __future__ import annotations

from collections.abc import Iterable

from p4native.frontend.diagnostics import Loc, Reporter

PREFIX = {
    "action": 0x01,
    "table": 0x02,
    "value_set": 0x03,
    "controller_header": 0x04,
    "action_profile": 0x11,
    "counter": 0x12,
    "direct_counter": 0x13,
    "meter": 0x14,
    "direct_meter": 0x15,
    "register": 0x16,
    "digest": 0x17,
}
_MASK = 0xFFFFFF


def name_hash(name: str) -> int:
    """Jenkins' one-at-a-time hash of a name, 32 bits."""
    value = 0
    for byte in name.encode():
        value = (value + byte) & 0xFFFFFFFF
        value = (value + (value << 10)) & 0xFFFFFFFF
        value ^= value >> 6
    value = (value + (value << 3)) & 0xFFFFFFFF
    value ^= value >> 11
    return (value + (value << 15)) & 0xFFFFFFFF


class Symbols:
    """Collects the names of everything in a P4Info, then gives ids and aliases."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._ids: dict[str, dict[str, int]] = {}
        self._assigned: set[int] = set()
        self._names: dict[str, None] = {}
        self._passing: dict[str, int] = {}

    def add(self, kind: str, name: str, wanted: int | None = None, loc: Loc | None = None) -> None:
        """Add an object; `wanted` is the value of its `@id`. A known name is left as it is."""
        table = self._ids.setdefault(kind, {})
        if name in table:
            return
        table[name] = 0 if wanted is None else self._fixed(kind, wanted, loc)
        if name not in self._names:
            self._names[name] = None
            for suffix in _suffixes(name):
                self._passing[suffix] = self._passing.get(suffix, 0) + 1

    def _fixed(self, kind: str, wanted: int, loc: Loc | None) -> int:
        where = loc or Loc("<p4info>", 0, 0)
        prefix = PREFIX[kind]
        if wanted >> 24 not in (0, prefix):
            self._reporter.error("invalid", f"@id {wanted:#x} has the wrong 8-bit prefix", where)
            return 0
        number = prefix << 24 | (wanted & _MASK)
        if number in self._assigned:
            self._reporter.error(
                "invalid", f"@id {number} is assigned to more than one declaration", where
            )
            return 0
        self._assigned.add(number)
        return number

    def assign(self) -> None:
        """Give ids to everything without `@id`."""
        for kind in sorted(self._ids, key=lambda k: PREFIX[k]):
            table = self._ids[kind]
            for name in sorted(n for n, number in table.items() if number == 0):
                value = name_hash(name)
                while (number := PREFIX[kind] << 24 | (value & _MASK)) in self._assigned:
                    value += 1
                self._assigned.add(number)
                table[name] = number

    def id(self, kind: str, name: str) -> int:
        """The id of an object that was added."""
        return self._ids[kind][name]

    def alias(self, name: str) -> str:
        """The alias of a name that was added."""
        for suffix in _suffixes(name):
            if self._passing[suffix] < 2:
                return suffix
        return name


def _suffixes(name: str) -> Iterable[str]:
    parts = name.split(".")
    for i in range(len(parts) - 1, -1, -1):
        yield ".".join(parts[i:])


def field_ids(wanted: list[int | None], locs: list[Loc], reporter: Reporter) -> list[int]:
    """Ids of match fields, parameters...: those of `@id`, the others count from 1."""
    used: set[int] = set()
    for number, loc in zip(wanted, locs, strict=True):
        if number == 0:
            reporter.error("invalid", "0 is not a valid @id", loc)
        elif number is not None:
            if number in used:
                reporter.error("duplicate", f"@id {number} is used more than once", loc)
            used.add(number)
    found: list[int] = []
    index = 1
    for number in wanted:
        if number is not None:
            found.append(number)
            index += 1
            continue
        while index in used:
            index += 1
        used.add(index)
        found.append(index)
    return found
