"""Choices that the NIC leaves to the host: a service's member, a shared address's port."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable

from control.connections.flow import Flow
from control.model import LoadBalancer, Member


def choose_member(
    balancer: LoadBalancer, flow: Flow, unhealthy: Collection[str] = ()
) -> Member | None:
    """The member for a new connection: weighted rendezvous hashing of the flow.

    The same flow gets the same member as long as that one takes connections, and a member that
    comes or goes moves only its own share. None if no member takes connections.
    """
    best: tuple[float, Member] | None = None
    for member in balancer.members:
        if member.drain or member.vm in unhealthy:
            continue
        digest = hashlib.blake2b(repr((member.vm, member.port, flow)).encode(), digest_size=8)
        uniform = (int.from_bytes(digest.digest(), "big") + 1) / (2**64 + 1)
        score = -member.weight / math.log(uniform)
        if best is None or score > best[0]:
            best = (score, member)
    return best[1] if best else None


class PortPool:
    """Free source ports of one shared address, by protocol; the longest unused goes first."""

    def __init__(self, low: int, high: int) -> None:
        self._range = range(low, high + 1)
        self._next: dict[int, int] = {}
        self._used: dict[int, set[int]] = {}

    def resize(self, low: int, high: int) -> None:
        """Give out ports of this range; those of another one that are in use stay so."""
        if self._range != range(low, high + 1):
            self._range = range(low, high + 1)
            self._next.clear()

    def take(self, protocol: int) -> int | None:
        """A port that nobody uses; None if all are in use."""
        used = self._used.setdefault(protocol, set())
        if len(used) >= len(self._range) and used.issuperset(self._range):
            return None
        position = self._next.get(protocol, 0)
        while self._range[position] in used:
            position = (position + 1) % len(self._range)
        self._next[protocol] = (position + 1) % len(self._range)
        used.add(self._range[position])
        return self._range[position]

    def mark(self, protocol: int, ports: Iterable[int]) -> None:
        """Note ports as used."""
        self._used.setdefault(protocol, set()).update(ports)

    def release(self, protocol: int, port: int) -> None:
        """Give a port back."""
        self._used.get(protocol, set()).discard(port)
