"""Live migration under load: blackout, loss, broken connections, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from typing import Any

from rich.table import Table

from bench.measure import Bench, Case, Effort, Figure, Round, fixed
from bench.results import Results
from bench.stats import percentile
from bench.traffic import background, guest, guest_service
from control.fabric import Fabric
from control.migration.record import Options
from control.migration.report import MigrationReport
from topologies.lab import Lab
from topologies.machine import Machine

_PROBE_PORT, _HTTP_PORT, _BULK_PORT = 7000, 8080, 5203
_PROBE_RATE = 1000
_HTTP_RATE = 300
_UNTIL_TOLD = 0
SERVERS = ("server2", "server1")


def _migration(lab: Lab, condition: str, effort: Effort) -> Round:
    """vm1 moves to and fro; vm3 probes it, vm2 makes requests, vm4 sends bulk TCP if asked.

    The same probes go before the first migration, too: what an overloaded switch drops anyway is
    no loss by migration.
    """
    moving, prober, client, bulk = (lab.vm(name) for name in ("vm1", "vm3", "vm2", "vm4"))
    with guest_service(moving, "serve", _HTTP_PORT), _bulk(bulk, moving, condition):
        before = _probed(prober, moving, seconds=effort.seconds)
        requests = guest(client, "request", moving.ip, _HTTP_PORT, _HTTP_RATE, _UNTIL_TOLD)
        with guest_service(moving, "probe-receive", _PROBE_PORT) as probes:
            words = ("probe-send", moving.ip, _PROBE_PORT, _PROBE_RATE, _UNTIL_TOLD)
            sender = guest(prober, *words)
            requests.wait_ready()
            sender.wait_ready()
            reports = [_move(lab, moving.name, n, effort) for n in range(effort.count)]
            sent, made = sender.result(), requests.result()
            seen = probes.result(sent["sent"])
    if effort.count % 2:
        _move(lab, moving.name, effort.count, effort)
    figures = {
        **_times(reports),
        "lost": sent["sent"] - seen["received"],
        "lost_permille": _permille(sent, seen),
        "unmoved_lost_permille": before,
        "duplicated": seen["duplicated"],
        "reordered": seen["reordered"],
        "longest_gap": seen["longest_gap_ms"],
        "broken": made["broken"],
        "requests": made["per_s"],
        "overflowed": sum(report.lost for report in reports),
    }
    if isinstance(lab.controller.fabric, Fabric):
        figures["leftover"] = len(lab.run(lab.controller.fabric.audit()))
    return Round(figures, {"reports": [asdict(report) for report in reports]})


@contextmanager
def _bulk(source: Machine, sink: Machine, condition: str) -> Iterator[None]:
    """One TCP flow as fast as it goes during the block, if the condition wants one."""
    if condition != "TCP load":
        yield
        return
    serving = background(sink, ["iperf3", "-s", "-p", str(_BULK_PORT)], _BULK_PORT)
    words = ["iperf3", "-c", sink.ip, "-p", str(_BULK_PORT), "-t", "0"]
    with serving, background(source, words):
        yield


def _probed(prober: Machine, target: Machine, seconds: float) -> float:
    """Probes lost of a thousand while nothing moves."""
    with guest_service(target, "probe-receive", _PROBE_PORT) as probes:
        sent = guest(prober, "probe-send", target.ip, _PROBE_PORT, _PROBE_RATE, seconds).result()
        return _permille(sent, probes.result(sent["sent"]))


def _permille(sent: dict[str, Any], seen: dict[str, Any]) -> float:
    return 1000 * float(sent["sent"] - seen["received"]) / float(sent["sent"])


def _move(lab: Lab, vm: str, number: int, effort: Effort) -> MigrationReport:
    """Migrate once: the even ones go, the odd ones come back."""
    options = Options(memory_mib=effort.memory_mib, dirty_mib_s=effort.dirty_mib_s)
    return lab.run(lab.controller.migrations.migrate(vm, SERVERS[number % 2], options))


def _times(reports: Sequence[MigrationReport]) -> dict[str, float]:
    """Milliseconds of the blackout and of the switch phase over all migrations."""
    blackouts = [report.blackout_ms for report in reports]
    switches = [p.milliseconds for r in reports for p in r.phases if p.name == "switch"]
    return {
        "blackout_p50": percentile(blackouts, 50),
        "blackout_p99": percentile(blackouts, 99),
        "blackout_max": max(blackouts),
        "switch_p50": percentile(switches, 50),
        "switch_p99": percentile(switches, 99),
    }


def phase_table(planes: Sequence[str], effort: Effort, results: Results) -> Table:
    """Median milliseconds of each phase, by plane and condition."""
    table = Table(title="Phases of a migration, median ms", title_justify="left")
    table.add_column("condition")
    table.add_column("phase")
    for plane in planes:
        table.add_column(plane, justify="right")
    for condition in MIGRATION.conditions(effort):
        medians = {plane: phase_medians(plane, condition, results) for plane in planes}
        for name in dict.fromkeys(chain.from_iterable(medians.values())):
            cells = (medians[plane].get(name) for plane in planes)
            shown = ("" if cell is None else f"{cell:.1f}" for cell in cells)
            table.add_row(condition, name, *shown)
    return table


def phase_medians(plane: str, condition: str, results: Results) -> dict[str, float]:
    """A plane's median milliseconds by phase, in the phases' order; empty without a round."""
    times: dict[str, list[float]] = {}
    for reports in results.series(Case(MIGRATION.name, plane, condition), "reports"):
        for phase in chain.from_iterable(report["phases"] for report in reports):
            times.setdefault(phase["name"], []).append(phase["milliseconds"])
    return {name: percentile(found, 50) for name, found in times.items()}


MIGRATION = Bench(
    "migration",
    "Live migration under UDP probes (1,000/s) and short requests (300/s)",
    (
        Figure("blackout_p50", "blackout of a migration, median", "ms", "lower"),
        Figure("blackout_p99", "blackout of a migration, p99", "ms", "lower"),
        Figure("blackout_max", "longest blackout of a migration", "ms", "lower"),
        Figure("switch_p50", "switch phase, median", "ms", "lower"),
        Figure("switch_p99", "switch phase, p99", "ms", "lower"),
        Figure("lost", "probes lost by migrations", "probes", "lower"),
        Figure("lost_permille", "share of probes lost by migrations", "of 1,000", "lower"),
        Figure(
            "unmoved_lost_permille",
            "share of probes lost before any migration",
            "of 1,000",
            "lower",
        ),
        Figure("duplicated", "probes duplicated", "probes", "lower"),
        Figure("reordered", "probes reordered", "probes", "lower"),
        Figure("longest_gap", "longest gap between probes", "ms", "lower"),
        Figure("broken", "requests broken by migrations", "requests", "lower"),
        Figure("requests", "requests beside migrations", "per s"),
        Figure("overflowed", "held frames without room", "held frames", "lower"),
        Figure("leftover", "entries left over", "entries", "lower"),
    ),
    fixed("light load", "TCP load"),
    _migration,
    variants=("hybrid-vf",),
)
