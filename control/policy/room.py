"""Table sizes are real: what a program needs of a card, and what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from control.policy.entries import NicProgram


def lacking(
    program: NicProgram, sizes: Mapping[str, int], before: NicProgram | None = None
) -> list[str]:
    """Tables that cannot hold a program beside what they hold ``before``, in words.

    Old and new rules stand side by side while a policy is swapped: both must fit.
    """
    alone = Counter(entry.table for entry in program.entries)
    needed = alone
    if before is not None:
        held = {id(entry) for entry in before.entries}  # most entries are the same objects still
        most = Counter(entry.table for entry in before.entries)
        most.update(entry.table for entry in program.entries if id(entry) not in held)
        if all(count <= sizes.get(table, count) for table, count in most.items()):
            return []
        keys = {entry.key for entry in (*program.entries, *before.entries)}
        needed = Counter(key[0] for key in keys)
    found = []
    for table, count in sorted(needed.items()):
        size = sizes.get(table)
        if size is None or count <= size:
            continue
        swap = f" while old and new rules stand side by side ({alone[table]} new)"
        found.append(f"{table} needs {count} entries{swap * (alone[table] < count)}, has {size}")
    return found
