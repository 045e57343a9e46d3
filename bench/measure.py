"""What a bench is: cases measured in interleaved rounds, each giving named figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Figure:
    """One measured quantity: its unit, and which direction is better."""

    name: str
    unit: str
    better: Better = "higher"


@dataclass(frozen=True)
class Case:
    """One cell of a bench: a plane (with engine) under one condition, e.g. 1,000 rules."""

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


Measure = Callable[[Case], Round]


@dataclass(frozen=True)
class Bench:
    """A named measurement: its figures, its cases in order, and how one case is measured."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    conditions: tuple[str, ...]
    measure: Callable[[Any, str, Mapping[str, float]], Round]
    """(lab, condition, effort) -> Round; ``effort`` holds seconds and counts for this run."""

    def cases(self, planes: tuple[str, ...]) -> list[Case]:
        """Every case, planes innermost, so that neighbours in time are compared."""
        return [
            Case(self.name, plane, condition)
            for condition in self.conditions or ("",)
            for plane in planes
        ]
