"""What a NIC is told, as light immutable values named as in the P4Info; no P4Runtime here."""

from __future__ import annotations

from dataclasses import dataclass, field

MatchValue = int | tuple[int, int]
Match = tuple[tuple[str, MatchValue], ...]
Params = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class MeterRate:
    """A two-rate three-colour meter: committed and peak rate per second, bursts, in its units."""

    cir: int
    cburst: int
    pir: int
    pburst: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One table entry.

    Match values: exact ``int``; ternary ``(value, mask)``; range ``(low, high)``; LPM
    ``(value, prefix length)``. Fields that do not matter are absent. ``priority`` is 0 where the
    table has none. ``meter`` sets the table's direct meter. ``note`` says in the operator's words
    what the entry is for; it is not compared.
    """

    table: str
    match: Match
    action: str
    params: Params = ()
    priority: int = 0
    meter: MeterRate | None = None
    idle_timeout_ns: int = 0
    note: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, Match, int]:
        """What identifies the entry in its NIC."""
        return (self.table, self.match, self.priority)


@dataclass(frozen=True, slots=True)
class Group:
    """A multicast group: its number and its (port, instance) replicas, sorted."""

    id: int
    replicas: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A clone session: its number and the port that receives the copies."""

    id: int
    port: int


@dataclass(frozen=True, slots=True)
class Meter:
    """One cell of an indirect meter."""

    name: str
    index: int
    rate: MeterRate


@dataclass(frozen=True)
class NicProgram:
    """Everything one NIC holds by policy. ``tags`` are the policy numbers, to be passed back."""

    entries: tuple[Entry, ...]
    groups: tuple[Group, ...] = ()
    sessions: tuple[Session, ...] = ()
    meters: tuple[Meter, ...] = ()
    tags: dict[str, int] = field(default_factory=dict, compare=False)
