"""``lab bench`` and ``make bench``: measure the planes side by side, and report."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench import run as runner
from bench.measure import FULL, QUICK, Case, Effort
from bench.results import Results, ResultsError
from bench.subjects import available, running
from bench.suites import BENCHES
from bench.suites.migration import MIGRATION, phase_table
from bench.tables import bench_table
from control.errors import ControlError

app = typer.Typer(add_completion=False, no_args_is_help=True)
DEFAULT = Path("build/bench.json")
_LAST_ROUND = 0.03  # of the budget: the round that is under way when it ends, and the labs' stop


@app.command()
def measure(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(BENCHES))] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="one short round of each")] = False,
    planes: Annotated[str, typer.Option(help="comma-separated; default all")] = "",
    count: Annotated[
        int | None, typer.Option(min=1, help="one round, with so many migrations")
    ] = None,
    output: Annotated[Path | None, typer.Option(help=f"results file; default {DEFAULT}")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget earlier rounds")] = False,
) -> None:
    """Measure benches (default: all) on every plane that runs here; resumes an interrupted run."""
    console = Console()
    chosen = _chosen(names, BENCHES, "bench")
    if quick and not names:
        chosen = [name for name in chosen if not BENCHES[name].costly]
    subjects, absent = available()
    for name, reason in absent.items():
        console.print(f"not measured: {name}: {reason}", highlight=False)
    wanted = _chosen([p for p in planes.split(",") if p] or None, subjects, "plane")
    effort = QUICK if quick else FULL
    output = output or DEFAULT
    if count is not None:
        longer = max(FULL.budget_s, 60 * count)
        effort = replace(effort, name=f"{count} migrations", rounds=1, count=count, budget_s=longer)
        if output == DEFAULT:  # figures of another effort would replace those in it
            output = DEFAULT.with_stem(f"{DEFAULT.stem}-{count}")
    for warning in runner.warnings():
        console.print(f"warning: {warning}", style="bold", highlight=False)
    results = Results.open(output, runner.context(effort), fresh=fresh)
    benches = {name: BENCHES[name] for name in chosen}
    wanted = [plane for plane in wanted if any(b.among([plane]) for b in benches.values())]
    todo = len(runner.pending(list(benches.values()), tuple(wanted), effort, results))
    console.print(f"{todo} rounds, {_clock(effort.budget_s)} at most on two cores", highlight=False)
    for what, value in runner.lessened(effort).items():
        console.print(f"{what}: {value}", highlight=False)
    began = time.monotonic()
    with _bar(console) as bar, running(wanted) as labs:
        task = bar.add_task("starting", total=todo)
        started = time.monotonic()

        def show(case: Case, left: int) -> None:
            bar.update(task, description=case.key, completed=todo - left)

        until = began + (1 - _LAST_ROUND) * effort.budget_s
        spent = runner.run(benches, labs, effort, results, show, until=until)
        bar.update(task, description="measured", completed=todo)
    for bench in benches.values():
        console.print(bench_table(bench, tuple(wanted), effort, results))
        if bench is MIGRATION:
            console.print(phase_table(bench.among(wanted), effort, results))
    _tell_times(console, effort, time.monotonic() - began, {"start": started - began} | spent)
    if left := len(runner.pending(list(benches.values()), tuple(wanted), effort, results)):
        text = f"{left} rounds did not fit; the same command again adds them"
        console.print(text, highlight=False)
    console.print(f"written to {output}", highlight=False)


def _tell_times(console: Console, effort: Effort, took: float, spent: dict[str, float]) -> None:
    """Say how long the run took beside its budget, and where the time went."""
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spent.items())
    text = f"took {_clock(took)} of {_clock(effort.budget_s)}: {parts}"
    late = took > effort.budget_s
    console.print(text + (": over the budget, a busy machine?" if late else ""), highlight=False)


def _clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@app.command()
def report(
    results: Annotated[Path, typer.Option(help="results file")] = DEFAULT,
    page: Annotated[Path, typer.Option(help="HTML file to write")] = Path("docs/report.html"),
    images: Annotated[Path, typer.Option(help="directory for PNG charts")] = Path("docs/report"),
) -> None:
    """Write the report from a results file."""
    from bench.report.page import write_report
    from topologies.loader import load

    written = write_report(Results.load(results), load("two_servers").state(), page, images)
    Console().print(f"written: {page} and {len(written) - 1} charts in {images}", highlight=False)


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


def _chosen(names: list[str] | None, known: Iterable[str], what: str) -> list[str]:
    """The names given, or all. Raises ControlError for an unknown one."""
    known_names = list(known)
    for name in names or []:
        if name not in known_names:
            raise ControlError(f"there is no {what} {name!r}; known: {', '.join(known_names)}.")
    return names or known_names


def main() -> None:
    """Entry point: errors in one paragraph, no traceback; labs are stopped on SIGTERM too."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        app()
    except (ControlError, ResultsError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
