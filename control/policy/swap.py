"""Changes of policy too large for both versions to stand side by side: one policy after another.

Each VF still goes from its old rules to its new ones by one write; only different VFs may be at
different versions for a moment, as they are anyway when they are changed one by one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from control.policy.entries import Entry, NicProgram
from control.policy.room import lacking

_ROWS = ("port_table", "destination_table")  # the entries that name a VF's policy
_POLICY = ("policy", "stateful", "rules_mirror")  # what of such an entry belongs to the policy

Rules = Mapping[int, tuple[Entry, ...]]


@dataclass(frozen=True)
class NoRoom(Exception):
    """A NIC cannot go from one program to another. ``words``: which tables lack room, and why."""

    words: tuple[str, ...]


def stages(
    after: NicProgram, sizes: Mapping[str, int], before: NicProgram | None = None
) -> list[NicProgram]:
    """The programs by which a NIC comes to ``after``, each of which fits beside the one before it.

    One stage wherever there is room for it. Raises NoRoom if a table cannot hold what must stand
    in it at the same time.
    """
    missing = lacking(after, sizes, before)
    if not missing:
        return [after]
    if before is None or lacking(after, sizes):
        raise NoRoom(tuple(lacking(after, sizes) or missing))
    crowded = lacking(_without_rules(after), sizes, _without_rules(before))
    if crowded:
        raise NoRoom(tuple(crowded))
    return _Swap(before, after, sizes).stages()


class _Swap:
    """The order in which VFs go over from the policies of one program to those of another."""

    def __init__(self, before: NicProgram, after: NicProgram, sizes: Mapping[str, int]) -> None:
        self._after = after
        self._sizes = sizes
        self._old, self._new = _rules(before), _rules(after)
        old, new = _policies(before), _policies(after)
        self._current = {port: old[port] for port in new if port in old}
        self._wanted = {port: dict(row)["policy"] for port, row in new.items()}
        self._rows = new

    def stages(self) -> list[NicProgram]:
        """First everything but the policies, then one policy after another."""
        found = [self._program()]
        pending = {port for port in self._rows if self._current.get(port) != self._rows[port]}
        while pending:
            by_policy: dict[int, list[int]] = defaultdict(list)
            for port in pending:
                by_policy[self._wanted[port]].append(port)
            number = self._next(by_policy)
            for port in by_policy[number]:
                self._current[port] = self._rows[port]
            pending.difference_update(by_policy[number])
            found.append(self._program())
        return [*found[:-1], self._after]

    def _next(self, by_policy: Mapping[int, Iterable[int]]) -> int:
        """The policy to install next: one that fits, and of those one that frees the most."""
        held = self._live()
        fits = [number for number in sorted(by_policy) if not self._lacking(held | {number})]
        if not fits:
            number = min(by_policy, key=lambda n: (len(self._rules_of(n)), n))
            words = self._lacking(held | {number})
            raise NoRoom(tuple(f"{text} for {self._name(number)}" for text in words))

        def left(number: int) -> int:
            moved = set(by_policy[number])
            rest = {dict(row)["policy"] for p, row in self._current.items() if p not in moved}
            return sum(len(self._rules_of(n)) for n in rest | {number})

        return min(fits, key=lambda number: (left(number), number))

    def _live(self) -> set[int]:
        return {dict(row)["policy"] for row in self._current.values()}

    def _rules_of(self, number: int) -> tuple[Entry, ...]:
        return self._new.get(number) or self._old.get(number, ())

    def _lacking(self, numbers: Iterable[int]) -> list[str]:
        """Tables in which the rules of these policies do not stand side by side, in words."""
        needed = Counter(entry.table for n in numbers for entry in self._rules_of(n))
        return [
            f"{table} needs {count} entries, has {self._sizes[table]}, while old and new rules "
            "stand side by side"
            for table, count in sorted(needed.items())
            if count > self._sizes.get(table, count)
        ]

    def _name(self, number: int) -> str:
        """A policy by the notes of the entries that name it: the VFs of its VMs."""
        ports = sorted(port for port, wanted in self._wanted.items() if wanted == number)
        notes = [
            entry.note
            for entry in self._after.entries
            if entry.table == "port_table" and dict(entry.match)["port"] in ports
        ]
        return f"the new policy of {', '.join(notes)}"

    def _program(self) -> NicProgram:
        """The program with the VFs at their present policies."""
        entries = [entry for n in sorted(self._live()) for entry in self._rules_of(n)]
        for entry in self._after.entries:
            port = _port(entry)
            if port is not None and port in self._current:
                policy = dict(self._current[port])
                params = tuple((name, policy.get(name, value)) for name, value in entry.params)
                entries.append(replace(entry, params=params))
            elif port is None and not _is_rule(entry):
                entries.append(entry)
        return replace(self._after, entries=tuple(entries))


def _is_rule(entry: Entry) -> bool:
    return entry.table.startswith("rules_")


def _without_rules(program: NicProgram) -> NicProgram:
    return replace(program, entries=tuple(e for e in program.entries if not _is_rule(e)))


def _rules(program: NicProgram) -> Rules:
    """Rules by the number of their policy."""
    found: dict[int, list[Entry]] = defaultdict(list)
    for entry in program.entries:
        if _is_rule(entry):
            number = dict(entry.match)["policy"]
            assert isinstance(number, tuple)
            found[number[0]].append(entry)
    return {number: tuple(entries) for number, entries in found.items()}


def _port(entry: Entry) -> int | None:
    """The port whose policy an entry names; None if it names none."""
    if entry.table not in _ROWS or "policy" not in dict(entry.params):
        return None
    port = dict(entry.match)["port"]
    assert isinstance(port, int)
    return port


def _policies(program: NicProgram) -> dict[int, tuple[tuple[str, int], ...]]:
    """By port, what its entries say of its policy."""
    return {
        port: tuple((name, value) for name, value in entry.params if name in _POLICY)
        for entry in program.entries
        if (port := _port(entry)) is not None
    }
