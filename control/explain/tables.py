"""Lookups in a NIC's installed entries, as the NIC does them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control.policy.entries import Entry

Fields = Mapping[str, int]


class Tables:
    """A NIC's entries by table, for exact, longest-prefix and prioritised lookups."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_table: dict[str, list[Entry]] = {}
        self._exact: dict[tuple[str, frozenset[object]], Entry] = {}
        for entry in entries:
            self._by_table.setdefault(entry.table, []).append(entry)
            self._exact[entry.table, frozenset(entry.match)] = entry

    def exact(self, table: str, **fields: int) -> Entry | None:
        """The entry whose fields are these."""
        return self._exact.get((table, frozenset(fields.items())))

    def rule(self, table: str, fields: Fields) -> Entry | None:
        """The matching entry of highest priority; ports are ranges, the rest has masks."""
        matching = [e for e in self._by_table.get(table, ()) if _matches(e, fields)]
        return max(matching, key=lambda entry: entry.priority, default=None)

    def prefix(self, table: str, width: int, tenant: int, address: int) -> Entry | None:
        """The entry with the longest prefix that holds an address of a tenant."""
        best: tuple[int, Entry] | None = None
        for entry in self._by_table.get(table, ()):
            match = dict(entry.match)
            wanted = match.get("prefix", (0, 0))
            value, length = (wanted, width) if isinstance(wanted, int) else wanted
            shift = width - length
            if match["tenant"] == tenant and address >> shift == value >> shift:
                best = max(best or (-1, entry), (length, entry), key=lambda item: item[0])
        return best[1] if best else None


def _matches(entry: Entry, fields: Fields) -> bool:
    for name, wanted in entry.match:
        if isinstance(wanted, int):
            return False
        if name.endswith("_port"):
            if not wanted[0] <= fields[name] <= wanted[1]:
                return False
        elif fields[name] & wanted[1] != wanted[0] & wanted[1]:
            return False
    return True
