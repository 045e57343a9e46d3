"""Two plain paragraphs: where the hybrid NIC wins, and where it does not, as measured."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bench.measure import Bench, Case, Effort, Figure
from bench.report.features import Row
from bench.results import Results
from bench.stats import paired_ratio, summarise
from bench.tables import number

BASE = "hybrid"
CLEAR = 1.1  # less than ten percent is called the same
NAMED = 8  # of each plane's differences, the largest are named
NAMES = {
    "sriov": "the fixed-function SR-IOV card",
    "ovs": "Open vSwitch",
    "hybrid-bmv2": "the same NIC on BMv2",
}


@dataclass(frozen=True)
class Difference:
    """One figure under one condition, in which hybrid is ``factor`` times better than a plane.

    The factor is infinite, or 0, where one of the two medians, ``ours`` and ``theirs``, is 0.
    """

    plane: str
    figure: Figure
    factor: float
    ours: float
    theirs: float

    @property
    def wins(self) -> bool:
        """Whether hybrid is clearly better."""
        return self.factor > CLEAR

    @property
    def times(self) -> float:
        """How many times as high hybrid's figure is, or how many times as low; at least 1."""
        return max(self.factor, 1 / self.factor) if self.factor else math.inf

    @property
    def direction(self) -> str:
        """Whether hybrid's figure is higher or lower."""
        return "higher" if self.wins == (self.figure.better == "higher") else "lower"


def compare(
    benches: dict[str, Bench], planes: tuple[str, ...], effort: Effort, results: Results
) -> list[Difference]:
    """What hybrid does clearly better than another plane, and what it does clearly worse."""
    found = (
        _difference(bench, condition, figure, plane, results)
        for bench in benches.values()
        for condition in bench.conditions(effort)
        for figure in bench.figures
        for plane in planes
        if plane != BASE
    )
    return [d for d in found if d is not None and not 1 / CLEAR <= d.factor <= CLEAR]


def _difference(
    bench: Bench, condition: str, figure: Figure, plane: str, results: Results
) -> Difference | None:
    """Hybrid and another plane compared; None if there is nothing to compare."""
    ours = results.values(Case(bench.name, BASE, condition), figure.name)
    theirs = results.values(Case(bench.name, plane, condition), figure.name)
    if not ours or len(ours) != len(theirs):
        return None
    better, worse = (ours, theirs) if figure.better == "higher" else (theirs, ours)
    factor = paired_ratio(better, worse)
    return Difference(plane, figure, factor, summarise(ours).median, summarise(theirs).median)


def paragraphs(differences: list[Difference], features: list[Row]) -> tuple[str, str]:
    """Two paragraphs: where hybrid wins, and where it does not."""
    better = f"Where the hybrid NIC wins. It {_accepted(features)} " + " ".join(
        _by_plane(differences, "better", wins=True)
    )
    worse = "Where it does not. " + " ".join(_by_plane(differences, "worse", wins=False))
    if all(difference.wins for difference in differences):
        worse = "Where it does not: in no comparison is it worse by more than ten percent."
    return better.strip(), worse.strip()


def _accepted(features: list[Row]) -> str:
    """How many of the features each plane accepts."""
    counts = {
        plane: sum(not row.answers[plane] for row in features) for plane in features[0].answers
    }
    others = ", ".join(f"{NAMES[plane]} {n}" for plane, n in counts.items() if plane != BASE)
    return f"accepts {counts[BASE]} of the {len(features)} features below ({others})."


def _by_plane(differences: list[Difference], word: str, *, wins: bool) -> Iterable[str]:
    """A sentence for each plane: its largest differences, over all conditions of a figure."""
    for plane in dict.fromkeys(difference.plane for difference in differences):
        against = [d for d in differences if d.plane == plane]
        those = [d for d in against if d.wins == wins]
        if not those:
            continue
        figures: dict[Figure, list[Difference]] = {}
        for one in those:
            figures.setdefault(one.figure, []).append(one)
        largest = sorted(figures.values(), key=lambda same: -max(d.times for d in same))
        named = "; ".join(_told(same) for same in largest[:NAMED])
        more = f"; and {len(largest) - NAMED} more" if len(largest) > NAMED else ""
        yield (
            f"Against {NAMES[plane]} it is {word} in {len(those)} of {len(against)} comparisons "
            f"that differ by more than ten percent: {named}{more}."
        )


def _told(same: list[Difference]) -> str:
    """One figure in words, with the smallest and the largest factor of its conditions."""
    means, last = same[0].figure.means, max(same, key=lambda d: max(d.ours, d.theirs))
    if any(math.isinf(difference.times) for difference in same):
        return f"{means} {number(last.ours)} against {number(last.theirs)}"
    low, high = (f"{pick(d.times for d in same):.1f}" for pick in (min, max))
    span = high if low == high else f"{low} to {high}"
    return f"{means} {span} times {same[0].direction}"
