"""What a bench is: conditions, each measured on every plane in interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from control.model.types import GuestModel
from topologies.lab import Lab

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Figure:
    """One measured quantity: what it is in words, its unit, and which direction is better."""

    name: str
    means: str
    unit: str
    better: Better = "higher"


@dataclass(frozen=True)
class Case:
    """One cell of a bench: a plane under one condition, e.g. 1,000 rules."""

    bench: str
    plane: str
    condition: str = ""

    @property
    def key(self) -> str:
        """Stable name, for the results file."""
        return "/".join(part for part in (self.bench, self.plane, self.condition) if part)


@dataclass
class Round:
    """What one run of one case gave: figures by name, and raw series for the plots."""

    figures: dict[str, float]
    series: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Effort:
    """How long and how often: seconds per measurement, rounds per case, migrations, rules.

    ``seconds`` are whole ones (iperf3 takes no others); ``memory_mib`` is what a guest has when it
    moves, on every plane, and ``dirty_mib_s`` how much of it it changes meanwhile; ``budget_s`` is
    what a run of all planes may take on two cores.
    """

    name: str
    seconds: int
    rtt_seconds: float
    rounds: int
    count: int
    rules: tuple[int, ...]
    memory_mib: int
    dirty_mib_s: int
    budget_s: int


QUICK = Effort(
    "quick",
    seconds=1,
    rtt_seconds=0.5,
    rounds=1,
    count=1,
    rules=(0, 1000),
    memory_mib=4,
    dirty_mib_s=1,
    budget_s=180,
)
FULL = Effort(
    "full",
    seconds=2,
    rtt_seconds=2,
    rounds=2,
    count=6,
    rules=(0, 100, 1000, 10000),
    memory_mib=64,
    dirty_mib_s=8,
    budget_s=1800,
)
VARIANTS: dict[str, GuestModel] = {"hybrid-vf": "vf"}
"""The hybrid NIC with another guest model, by which only migrations differ."""

Measure = Callable[[Lab, str, Effort], Round]
"""(lab, condition, effort) -> one round. ControlError: the plane refuses the condition."""


@dataclass(frozen=True)
class Bench:
    """A named measurement: its figures, its conditions, and how one of them is measured."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    conditions: Callable[[Effort], tuple[str, ...]]
    measure: Measure
    costly: bool = False
    """Takes a minute on a plane: one round of it is enough, and none in a quick run of all."""
    variants: tuple[str, ...] = ()
    """Variants of planes (``VARIANTS``) that this bench measures beside the planes."""
    spare: tuple[str, ...] = ()
    """Conditions that a quick run measures last, as variants, and only if it has time left."""

    def among(self, planes: Iterable[str]) -> tuple[str, ...]:
        """Those of some planes and variants that this bench measures."""
        return tuple(p for p in planes if p not in VARIANTS or p in self.variants)

    def spares(self, case: Case, effort: Effort) -> bool:
        """Whether the case is one for which a run of this effort need not find time."""
        return effort is QUICK and (case.condition in self.spare or case.plane in self.variants)

    def cases(self, planes: tuple[str, ...], effort: Effort) -> list[Case]:
        """Every case, planes innermost, so that neighbours in time are compared."""
        return [
            Case(self.name, plane, condition)
            for condition in self.conditions(effort)
            for plane in self.among(planes)
        ]


def fixed(*conditions: str, quick: tuple[str, ...] = ()) -> Callable[[Effort], tuple[str, ...]]:
    """The same conditions whatever the effort, but for a quick run, if it has some of its own."""
    return lambda effort: quick if quick and effort is QUICK else conditions
