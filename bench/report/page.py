"""Writes the report: one HTML file with everything inside, and the charts as PNG files."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator
from pathlib import Path

from bench.measure import FULL, QUICK, Bench, Case, Effort
from bench.report import plots
from bench.report.features import Row, feature_table
from bench.report.words import compare, paragraphs
from bench.results import Results, ResultsError
from bench.suites import BENCHES
from bench.suites.migration import phase_medians
from bench.suites.worst_case import INTERVAL_S
from bench.tables import cell
from control.model import DesiredState

ORDER = ("sriov", "ovs", "hybrid", "hybrid-bmv2")
_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #888; padding: .25rem .6rem; text-align: left; }
td.number { text-align: right; } img { max-width: 100%; } code { background: #eee; }
"""


def write_report(results: Results, state: DesiredState, page: Path, images: Path) -> list[Path]:
    """Write the page and its charts; returns the files written."""
    efforts = {e.name: e for e in (QUICK, FULL)}
    if results.context["effort"] not in efforts:
        raise ResultsError(
            f"{results.path} holds {results.context['effort']} only; the report needs a run of "
            "make bench or make bench-quick."
        )
    effort = efforts[results.context["effort"]]
    planes = tuple(p for p in ORDER if any(f"/{p}" in key for key in results.cases()))
    charts = dict(_charts(planes, effort, results))
    images.mkdir(parents=True, exist_ok=True)
    written = [page]
    for name, data in charts.items():
        path = images / f"{name}.png"
        path.write_bytes(data)
        written.append(path)
    body = "\n".join(_sections(results, state, planes, effort, charts))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        "<!doctype html>\n<html lang=en><meta charset=utf-8>"
        "<title>SR-IOV, Open vSwitch and the hybrid NIC, side by side</title>"
        f"<style>{_STYLE}</style>\n{body}\n</html>\n",
        encoding="utf-8",
    )
    return written


def _charts(
    planes: tuple[str, ...], effort: Effort, results: Results
) -> Iterator[tuple[str, bytes]]:
    """Names and images of all charts for which there are figures."""
    for bench in BENCHES.values():
        for figure in bench.figures:
            canvas = plots.bars(bench, figure, bench.conditions(effort), planes, results)
            if canvas is not None:
                yield f"{bench.name}-{figure.name.replace('.', '-')}", plots.png(canvas)
    latency, attack = BENCHES["latency"], BENCHES["worst-case"]
    for condition in latency.conditions(effort):
        if _has(latency, condition, planes, "rtt_us", results):
            canvas = plots.latency_cdfs(latency, condition, planes, results)
            yield f"latency-cdf-{_slug(condition)}", plots.png(canvas)
    for condition in attack.conditions(effort):
        if _has(attack, condition, planes, "gbps", results):
            canvas = plots.timeline(attack, condition, planes, INTERVAL_S, results)
            yield f"worst-case-timeline-{_slug(condition)}", plots.png(canvas)
    phases = {plane: phase_medians(plane, "TCP load", results) for plane in planes}
    phases = {plane: medians for plane, medians in phases.items() if medians}
    if phases:
        yield "migration-phases", plots.png(plots.migration_phases(phases))


def _has(
    bench: Bench, condition: str, planes: tuple[str, ...], name: str, results: Results
) -> bool:
    return any(results.series(Case(bench.name, p, condition), name) for p in planes)


def _slug(text: str) -> str:
    return text.lower().replace(", ", "-").replace(" ", "-")


def _sections(
    results: Results,
    state: DesiredState,
    planes: tuple[str, ...],
    effort: Effort,
    charts: dict[str, bytes],
) -> Iterator[str]:
    """The page's parts in their order."""
    yield "<h1>SR-IOV, Open vSwitch and the hybrid NIC, side by side</h1>"
    yield f"<p>{_machine(results)}</p>"
    features = feature_table(state)
    for paragraph in paragraphs(compare(BENCHES, planes, effort, results), features):
        yield f"<p>{html.escape(paragraph)}</p>"
    yield "<h2>What each plane accepts</h2>"
    yield _features(features)
    for bench in BENCHES.values():
        yield f"<h2 id={bench.name}>{html.escape(bench.title)}</h2>"
        yield _figures(bench, planes, effort, results)
        for name, data in charts.items():
            if name.startswith(bench.name):
                encoded = base64.b64encode(data).decode()
                yield f'<p><img alt="{name}" src="data:image/png;base64,{encoded}"></p>'
        command = f"make {'bench-quick' if effort is QUICK else 'bench'} ARGS={bench.name}"
        yield f"<p>Reproduce: <code>{command}</code></p>"


def _machine(results: Results) -> str:
    items = (f"{html.escape(k)}: {html.escape(str(v))}" for k, v in results.context.items())
    counts = results.rounds()
    rounds = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"Measured in one interleaved run, rounds per case: {rounds}. " + "; ".join(items) + "."


def _features(rows: list[Row]) -> str:
    planes = list(rows[0].answers)
    head = "".join(f"<th>{plane}</th>" for plane in planes)
    lines = [f"<tr><th>feature</th>{head}</tr>"]
    for row in rows:
        cells = "".join(
            f"<td>{'no: ' + html.escape(answer) if answer else 'yes'}</td>"
            for answer in (row.answers[plane] for plane in planes)
        )
        lines.append(f"<tr><td>{html.escape(row.feature)}</td>{cells}</tr>")
    return "<table>" + "\n".join(lines) + "</table>"


def _figures(bench: Bench, planes: tuple[str, ...], effort: Effort, results: Results) -> str:
    head = "".join(f"<th>{plane}</th>" for plane in planes)
    lines = [f"<tr><th>condition</th><th>figure</th>{head}</tr>"]
    for condition in bench.conditions(effort):
        for figure in bench.figures:
            cells = [cell(bench, plane, condition, figure, results) for plane in planes]
            if any(cells):
                numbers = "".join(f"<td class=number>{html.escape(text)}</td>" for text in cells)
                what = html.escape(f"{figure.means} [{figure.unit}]")
                lines.append(f"<tr><td>{condition}</td><td>{what}</td>{numbers}</tr>")
    return (
        "<p>Medians; in brackets the ratio to hybrid, paired round by round.</p>"
        "<table>" + "\n".join(lines) + "</table>"
    )
