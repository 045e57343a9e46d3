"""Two plain paragraphs: where the hybrid NIC wins, and where it does not, as measured."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bench.measure import Bench, Case, Effort, Figure
from bench.report.features import Row
from bench.results import Results
from bench.stats import paired_ratio

BASE = "hybrid"
CLEAR = 1.1  # less than ten percent is called the same
NAMED = 6  # of each plane's differences, the largest are named


@dataclass(frozen=True)
class Difference:
    """One figure under one condition, in which hybrid is ``factor`` times better than a plane."""

    plane: str
    bench: str
    figure: str
    factor: float


def compare(
    benches: dict[str, Bench], planes: tuple[str, ...], effort: Effort, results: Results
) -> tuple[list[Difference], list[Difference]]:
    """What hybrid does clearly better than another plane, and what it does worse."""
    found = [
        Difference(
            plane, bench.name, figure.name, _factor(bench, condition, figure, plane, results)
        )
        for bench in benches.values()
        for condition in bench.conditions(effort)
        for figure in bench.figures
        for plane in planes
    ]
    wins = [difference for difference in found if difference.factor > CLEAR]
    losses = [difference for difference in found if 0 < difference.factor < 1 / CLEAR]
    return wins, losses


def _factor(bench: Bench, condition: str, figure: Figure, plane: str, results: Results) -> float:
    """How many times better hybrid is than ``plane``: above 1 better, 0 without a comparison."""
    ours = results.values(Case(bench.name, BASE, condition), figure.name)
    theirs = results.values(Case(bench.name, plane, condition), figure.name)
    if plane == BASE or not ours or len(ours) != len(theirs):
        return 0
    ratio = paired_ratio(ours, theirs)
    if ratio == 0 or math.isinf(ratio):
        return 0
    return ratio if figure.better == "higher" else 1 / ratio


def paragraphs(
    wins: list[Difference], losses: list[Difference], features: list[Row]
) -> tuple[str, str]:
    """The two paragraphs."""
    better = (
        f"Where it wins. The hybrid NIC {_accepted(features)} Of {len(wins) + len(losses)} "
        f"comparisons that differ by more than ten percent it is better in {len(wins)}. "
        + " ".join(_by_plane(wins, "Better than"))
    )
    worse = f"Where it does not. It is worse in {len(losses)}. " + " ".join(
        _by_plane(losses, "Worse than")
    )
    if not losses:
        worse = "Where it does not: in no comparison is it worse by more than ten percent."
    return better.strip(), worse.strip()


def _accepted(features: list[Row]) -> str:
    """How many of the features each plane accepts."""
    counts = {
        plane: sum(not row.answers[plane] for row in features) for plane in features[0].answers
    }
    others = ", ".join(f"{plane} {n}" for plane, n in counts.items() if plane != BASE)
    return f"accepts {counts[BASE]} of the {len(features)} features below ({others})."


def _by_plane(differences: list[Difference], words: str) -> Iterable[str]:
    """A sentence for each plane: its largest differences, over all conditions of a figure."""
    for plane in dict.fromkeys(difference.plane for difference in differences):
        factors: dict[str, list[float]] = {}
        for one in differences:
            if one.plane == plane:
                factors.setdefault(f"{one.bench} {one.figure}", []).append(
                    max(one.factor, 1 / one.factor)
                )
        largest = sorted(factors, key=lambda name: -max(factors[name]))
        named = ", ".join(f"{name} {_span(factors[name])}" for name in largest[:NAMED])
        more = f", and {len(largest) - NAMED} more" if len(largest) > NAMED else ""
        yield f"{words} {plane}: {named}{more}."


def _span(factors: list[float]) -> str:
    """The smallest and the largest of some factors."""
    low, high = f"{min(factors):.1f}", f"{max(factors):.1f}"
    return f"{high} times" if low == high else f"{low} to {high} times"
