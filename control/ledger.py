"""Counters that go on when a VM moves: what earlier ports have counted for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from control.errors import NicDownError
from control.plane import PortStats
from control.policy.reasons import vf_port
from control.store import Store

if TYPE_CHECKING:
    from control.fabric import Fabric

_CARRIED = "carried counters"
_BASE = "counters at a destination"
_BEFORE = "counters of a VM's port before it came"


class CounterLedger:
    """Adds, for each VM, what its ports have counted so far; survives the controller.

    A `control.migration.ports.MovableState`: at the first ``copy`` it notes what the destination's
    port has counted for others before; when the source's state is dropped, it carries the sum. A
    port that has counted less than before the VM came is that of a NIC that has started anew.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fabric: Fabric | None = None

    def watch(self, fabric: Fabric) -> None:
        """Read ports of this fabric from now on."""
        self._fabric = fabric

    def total(self, vm: str, now: PortStats) -> PortStats:
        """What the operator sees: counted by the present port for the VM, and carried."""
        before = self._load(_BEFORE, vm)
        if _is_behind(now, before):
            self._save(vm, {_BEFORE: None})
        return self._counted(vm, now)

    async def copy(self, vm: str, source: str, destination: str) -> int:
        """Note the destination port's counters as they are before the VM uses it."""
        base = self._base(vm)
        if base is None or base["nic"] != destination:
            stats = await self._port(vm, destination)
            if stats is not None:
                self._save(vm, {_BASE: {"nic": destination, **asdict(stats)}})
        return 0

    async def drop(self, vm: str, nic: str) -> None:
        """At the source: carry its counters. At the destination: the migration was undone.

        A source that is down has forgotten what it counted; what was carried before goes on. What
        is carried is saved with the note that it is: whoever is killed before does it again.
        """
        base = self._base(vm)
        if base is None:
            return
        gone: dict[str, dict[str, Any] | None] = {_BASE: None}
        if nic != base.pop("nic"):
            try:
                last = await self._port(vm, nic)
            except NicDownError:
                last = PortStats()
            if last is not None:
                gone |= {_CARRIED: asdict(self._counted(vm, last)), _BEFORE: base}
        self._save(vm, gone)

    def _counted(self, vm: str, now: PortStats) -> PortStats:
        """By the present port for the VM, and carried; one that started anew had nothing before."""
        before = self._load(_BEFORE, vm)
        if not _is_behind(now, before):
            now = _sum(now, before, -1)
        return _sum(now, self._load(_CARRIED, vm), 1)

    async def _port(self, vm: str, nic: str) -> PortStats | None:
        """Counters of the VM's port on one NIC; None if it has none there."""
        if self._fabric is None:
            return None
        places = [p for p in self._fabric.placements.get(vm, ()) if p.nic == nic]
        if not places:
            return None
        port = vf_port(places[0].vf)
        return (await self._fabric.port_stats(nic, [port]))[port]

    def _base(self, vm: str) -> dict[str, Any] | None:
        """The destination of the VM's migration, and what its port has counted before."""
        found: dict[str, Any] | None = (self._store.load(_BASE) or {}).get(vm)
        return found

    def _load(self, document: str, vm: str) -> PortStats:
        found = (self._store.load(document) or {}).get(vm)
        return PortStats() if found is None else PortStats(**found)

    def _save(self, vm: str, parts: dict[str, dict[str, Any] | None]) -> None:
        """Store one VM's parts of documents, all at once; None removes one."""
        bodies = {}
        for document, part in parts.items():
            body = self._store.load(document) or {}
            body.pop(vm, None)
            bodies[document] = body if part is None else {**body, vm: part}
        self._store.save_together(bodies)


def _is_behind(now: PortStats, before: PortStats) -> bool:
    """Whether any counter is less than it was before."""
    gone = _sum(now, before, -1)
    plain = (getattr(gone, field.name) for field in fields(gone) if field.name != "drops")
    return any(count < 0 for count in (*plain, *gone.drops.values()))


def _sum(left: PortStats, right: PortStats, sign: int) -> PortStats:
    """Field by field left + sign * right; drop reasons that sum to nothing are left out."""
    result = PortStats()
    for field in fields(PortStats):
        if field.name != "drops":
            value = getattr(left, field.name) + sign * getattr(right, field.name)
            setattr(result, field.name, value)
    drops = Counter(left.drops)
    for reason, packets in right.drops.items():
        drops[reason] += sign * packets
    result.drops = {reason: packets for reason, packets in drops.items() if packets}
    return result
