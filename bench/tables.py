"""Results as terminal tables: medians with spread, and ratios to the hybrid NIC."""

from __future__ import annotations

import math

from rich.table import Table

from bench.measure import Bench, Case, Effort, Figure
from bench.results import Results
from bench.stats import paired_ratio, summarise

BASE = "hybrid"


def bench_table(bench: Bench, planes: tuple[str, ...], effort: Effort, results: Results) -> Table:
    """One row per condition and figure, one column per plane; in brackets the ratio to hybrid."""
    planes = bench.among(planes)
    table = Table(title=bench.title, title_justify="left")
    table.add_column("condition")
    table.add_column("figure")
    for plane in planes:
        table.add_column(plane, justify="right")
    for condition in bench.conditions(effort):
        for figure in bench.figures:
            cells = [cell(bench, plane, condition, figure, results) for plane in planes]
            if any(cells):
                table.add_row(condition, f"{figure.name}, {figure.unit}", *cells)
    return table


def cell(bench: Bench, plane: str, condition: str, figure: Figure, results: Results) -> str:
    """Median of the rounds, with the paired ratio to the hybrid NIC; empty without a figure."""
    case = Case(bench.name, plane, condition)
    values = results.values(case, figure.name)
    if not values:
        notes = results.series(case, "refused") or results.series(case, "failed")
        return "refused" if results.series(case, "refused") else "failed" if notes else ""
    text = number(summarise(values).median)
    base = results.values(Case(bench.name, BASE, condition), figure.name)
    if plane != BASE and len(base) == len(values):
        ratio = paired_ratio(values, base)
        text += f" ({ratio:.2f}x)" if math.isfinite(ratio) else ""
    return text


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
