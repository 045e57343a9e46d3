"""Two plain paragraphs: where the hybrid NIC wins, and where it does not, as measured."""

from __future__ import annotations

from bench.measure import Bench, Case, Effort, Figure
from bench.results import Results
from bench.stats import paired_ratio

BASE = "hybrid"
CLEAR = 1.1  # less than ten percent is called the same


def compare(
    benches: dict[str, Bench], planes: tuple[str, ...], effort: Effort, results: Results
) -> tuple[list[str], list[str]]:
    """Sentences on what hybrid does better, and on what it does worse, than another plane."""
    wins, losses = [], []
    for bench in benches.values():
        for condition in bench.conditions(effort):
            for figure in bench.figures:
                for plane in planes:
                    verdict = _verdict(bench, condition, figure, plane, results)
                    if verdict > CLEAR:
                        wins.append(_sentence(bench, condition, figure, plane, verdict))
                    elif 0 < verdict < 1 / CLEAR:
                        losses.append(_sentence(bench, condition, figure, plane, 1 / verdict))
    return wins, losses


def _verdict(bench: Bench, condition: str, figure: Figure, plane: str, results: Results) -> float:
    """How many times better hybrid is than ``plane``: above 1 better, 0 without a comparison."""
    ours = results.values(Case(bench.name, BASE, condition), figure.name)
    theirs = results.values(Case(bench.name, plane, condition), figure.name)
    if plane == BASE or not ours or len(ours) != len(theirs):
        return 0
    ratio = paired_ratio(ours, theirs)
    if ratio in (0, float("inf")):
        return 0
    return ratio if figure.better == "higher" else 1 / ratio


def _sentence(bench: Bench, condition: str, figure: Figure, plane: str, factor: float) -> str:
    return f"{bench.name}, {condition}, {figure.name} against {plane}: {factor:.1f} times"


def paragraphs(wins: list[str], losses: list[str]) -> tuple[str, str]:
    """The two paragraphs."""
    better = (
        f"The hybrid NIC is better in {len(wins)} of {len(wins) + len(losses)} comparisons that "
        "differ by more than ten percent: " + "; ".join(wins) + "."
    )
    worse = f"It is worse in {len(losses)}: " + "; ".join(losses) + "."
    if not losses:
        worse = "In no comparison is it worse by more than ten percent."
    return better, worse
