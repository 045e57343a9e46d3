"""Runs benches: rounds interleaved over the planes, saved as they come, resumed if stopped."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.cpu import busy_share
from bench.engines import debug_builds
from bench.measure import FULL, Bench, Case, Effort, Round
from bench.results import Results
from bench.traffic import TrafficError
from control.errors import ControlError
from topologies.lab import Lab

BUSY = 0.15
Progress = Callable[[Case, int], None]


def context(effort: Effort) -> dict[str, Any]:
    """Machine and versions, as the results file records them."""
    return {
        "effort": effort.name,
        **lessened(effort),
        "machine": f"{os.cpu_count()} cores, {_cpu_model()}, Linux {platform.release()}",
        "python": platform.python_version(),
        "open vswitch": _version(["ovs-vswitchd", "--version"]),
        "bmv2": _version(["simple_switch_grpc", "--version"]),
        "iperf3": _version(["iperf3", "--version"]),
        "c compiler": _version(["cc", "--version"]),
    }


def lessened(effort: Effort) -> dict[str, str]:
    """What is measured, on all planes alike, with less than in a full run."""
    if effort.memory_mib == FULL.memory_mib:
        return {}
    present, usual = (f"{e.memory_mib} MiB, {e.dirty_mib_s} MiB/s" for e in (effort, FULL))
    return {"memory of guests that move, and what they change": f"{present} (full run: {usual})"}


def warnings() -> list[str]:
    """What makes this a bad place, or a bad moment, to measure."""
    found = debug_builds()
    share = busy_share()
    if share > BUSY:
        found.append(
            f"other programs use {share:.0%} of this machine; figures will be low and noisy. "
            "End them, or quote ratios only."
        )
    return found


def pending(
    benches: Sequence[Bench], planes: tuple[str, ...], effort: Effort, results: Results
) -> list[Case]:
    """Cases that lack rounds, one entry per missing round, round by round; spare ones last."""
    return [
        case
        for number in range(effort.rounds)
        for spare in (False, True)
        for bench in benches
        for case in bench.cases(planes, effort)
        if bench.spares(case, effort) is spare
        and results.count(case) <= number
        and not (bench.costly and number)
    ]


def run(
    benches: dict[str, Bench],
    labs: dict[str, Lab],
    effort: Effort,
    results: Results,
    progress: Progress,
    *,
    until: float = float("inf"),
) -> dict[str, float]:
    """Measure what is pending; each round is saved as it ends. Seconds by bench.

    From ``until`` on (monotonic seconds) only cases without any round are measured, and of a quick
    run none that is spare: a run keeps to its budget, and the next one adds the rounds left.
    """
    todo = pending(list(benches.values()), tuple(labs), effort, results)
    spent: dict[str, float] = {}
    for left, case in zip(range(len(todo), 0, -1), todo, strict=True):
        progress(case, left)
        wanted = not results.count(case) and not benches[case.bench].spares(case, effort)
        if not wanted and time.monotonic() > until:
            continue
        began = time.monotonic()
        results.add(case, measure(benches[case.bench], labs[case.plane], case, effort))
        spent[case.bench] = spent.get(case.bench, 0.0) + time.monotonic() - began
    return spent


def measure(bench: Bench, lab: Lab, case: Case, effort: Effort) -> Round:
    """One round of one case. What the plane refuses or cannot carry becomes a note, no figure."""
    try:
        return bench.measure(lab, case.condition, effort)
    except ControlError as error:
        return Round({}, {"refused": str(error)})
    except (TrafficError, TimeoutError) as error:
        return Round({}, {"failed": str(error)})


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _version(command: list[str]) -> str:
    """First line of a program's version, or why there is none."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "not installed"
    return (result.stdout or result.stderr).strip().splitlines()[0]
