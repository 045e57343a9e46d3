"""The report's charts: readable in black and white, axes labelled with units."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import chain
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from bench.measure import Bench, Case, Figure
from bench.results import Results
from bench.stats import cdf, summarise
from bench.tables import number as number_text
from control.migration.record import Phase

HATCHES = ("", "///", "...", "xxx", "++")
GREYS = ("#222222", "#dddddd", "#999999", "#ffffff", "#bbbbbb")
LINES = ("-", "--", ":", "-.", (0, (1, 1)))
SIZE = (8.0, 3.6)
STANDING_STILL = ("freeze", "transfer", "switch", "resume")
_LINEAR = 30  # times that a bar may be higher than another


def bars(
    bench: Bench, figure: Figure, conditions: Sequence[str], planes: Sequence[str], results: Results
) -> Canvas | None:
    """Medians by condition and plane, with the range of the rounds; None without any figure."""
    found = {
        (condition, plane): results.values(Case(bench.name, plane, condition), figure.name)
        for condition in conditions
        for plane in planes
    }
    used = [c for c in conditions if any(found[c, plane] for plane in planes)]
    if not used:
        return None
    canvas, axes = plt.subplots(figsize=SIZE)
    width = 0.8 / len(planes)
    for number, plane in enumerate(planes):
        for place, condition in enumerate(used):
            if not found[condition, plane]:
                continue
            summary = summarise(found[condition, plane])
            error = [[summary.median - summary.low], [summary.high - summary.median]]
            drawn = axes.bar(
                place + (number - (len(planes) - 1) / 2) * width,
                summary.median,
                width,
                yerr=error,
                capsize=2,
                color=GREYS[number % len(GREYS)],
                hatch=HATCHES[number % len(HATCHES)],
                edgecolor="black",
                label=plane if condition == used[0] else None,
            )
            axes.bar_label(drawn, [number_text(summary.median)], fontsize=6, padding=1)
    _scale(axes, [summarise(values).median for values in found.values() if values])
    axes.set_xticks(range(len(used)), [c.replace(", ", "\n") for c in used])
    _finish(axes, "", f"{figure.means} [{figure.unit}]", bench.title)
    return canvas


def _scale(axes: Any, medians: list[float]) -> None:
    """A logarithmic axis where the small bars could not be seen beside the large ones."""
    if min(medians) > 0 and max(medians) > _LINEAR * min(medians):
        axes.set_yscale("log")
        axes.set_ylim(bottom=min(medians) / 3)


def latency_cdfs(bench: Bench, condition: str, planes: Sequence[str], results: Results) -> Canvas:
    """Distribution of round-trip times by plane, on a logarithmic axis."""
    canvas, axes = plt.subplots(figsize=SIZE)
    for number, plane in enumerate(planes):
        rounds = results.series(Case(bench.name, plane, condition), "rtt_us")
        samples = list(chain.from_iterable(rounds))
        if samples:
            points = cdf(samples)
            axes.plot(
                [value for value, _ in points],
                [share for _, share in points],
                linestyle=LINES[number % len(LINES)],
                color="black",
                label=plane,
            )
    axes.set_xscale("log")
    _finish(axes, "round-trip time [µs]", "share of requests", f"{bench.title}: {condition}")
    return canvas


def timeline(
    bench: Bench, condition: str, planes: Sequence[str], interval: float, results: Results
) -> Canvas:
    """Throughput of the neighbour over time, with the attack shaded."""
    canvas, axes = plt.subplots(figsize=SIZE)
    for number, plane in enumerate(planes):
        rounds = results.series(Case(bench.name, plane, condition), "gbps")
        if rounds:
            series = rounds[-1]
            axes.plot(
                [interval * (i + 1) for i in range(len(series))],
                series,
                linestyle=LINES[number % len(LINES)],
                color="black",
                label=plane,
            )
            attack = results.series(Case(bench.name, plane, condition), "attack_s")[-1]
    axes.axvspan(attack[0], attack[1], color="#dddddd", label="attack")
    axes.set_yscale("symlog", linthresh=0.1)
    _finish(axes, "time [s]", "TCP of the neighbour [Gb/s]", f"{bench.title}: {condition}")
    return canvas


def migration_phases(medians: dict[str, dict[str, float]]) -> Canvas:
    """Median milliseconds of each phase, by plane: the whole migration, and what the guest awaits.

    A bar of the second chart ends with ``resume``; the guest runs before that ends.
    """
    canvas, (whole, still) = plt.subplots(1, 2, figsize=(10.5, 3.2), sharey=True)
    names = [phase.value for phase in Phase if any(phase.value in m for m in medians.values())]
    for place, times in enumerate(medians.values()):
        _stacked(whole, place, {name: ms / 1000 for name, ms in times.items()}, names)
        waits = {name: times[name] for name in STANDING_STILL if name in times}
        _stacked(still, place, waits, names)
    whole.set_yticks(range(len(medians)), list(medians))
    _finish(whole, "time [s]", "", "Phases of a live migration, median")
    _finish(still, "time [ms]", "", "from freeze to resume")
    handles = [_patch(number, name) for number, name in enumerate(names)]
    still.legend(handles=handles, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return canvas


def _stacked(axes: Any, place: int, times: dict[str, float], names: list[str]) -> None:
    """One plane's phases, one after the other, and their sum at the end."""
    left = 0.0
    for name, time in times.items():
        axes.barh(place, time, left=left, **_look(names.index(name)))
        left += time
    axes.annotate(
        number_text(left), (left, place), (3, 0), textcoords="offset points", fontsize=7,
        va="center",
    )  # fmt: skip
    axes.margins(x=0.15)


def _look(number: int) -> dict[str, Any]:
    """Grey and hatch of the phase with this number; no two of ten are alike."""
    return {
        "facecolor": GREYS[number % len(GREYS)],
        "hatch": HATCHES[number * 2 // len(GREYS) % len(HATCHES)],
        "edgecolor": "black",
        "linewidth": 0.5,
    }


def _patch(number: int, name: str) -> Patch:
    return Patch(label=name, **_look(number))


def _finish(axes: Any, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="both", linewidth=0.3)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))


def png(canvas: Canvas) -> bytes:
    """The chart as a PNG image; closes it."""
    out = io.BytesIO()
    canvas.savefig(out, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(canvas)
    return out.getvalue()
