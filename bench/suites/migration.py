"""Live migration under load: blackout, loss, and broken connections."""

from __future__ import annotations

from dataclasses import asdict

from bench.measure import Bench, Effort, Figure, Round, fixed
from bench.stats import percentile
from bench.traffic import background, guest, guest_service
from control.migration.record import Options
from control.migration.report import MigrationReport
from topologies.lab import Lab

_PROBE_PORT, _HTTP_PORT, _BULK_PORT = 7000, 8080, 5203
_PROBE_RATE = 1000
_HTTP_RATE = 300
_PAUSE_S = 0.3
SERVERS = ("server2", "server1")


def _migration(lab: Lab, condition: str, effort: Effort) -> Round:
    """vm1 moves to and fro; vm3 probes it, vm2 makes requests, vm4 sends bulk TCP if asked."""
    moving, prober, client, bulk = (lab.vm(name) for name in ("vm1", "vm3", "vm2", "vm4"))
    reports = []
    with guest_service(moving, "probe-receive", _PROBE_PORT) as probes:
        with guest_service(moving, "serve", _HTTP_PORT):
            sink = background(moving, ["iperf3", "-s", "-p", str(_BULK_PORT)], _BULK_PORT)
            source = ["iperf3", "-c", moving.ip, "-p", str(_BULK_PORT), "-t", "600"]
            seconds = effort.count * 3.0
            with sink, background(bulk, source if condition == "TCP load" else ["sleep", "600"]):
                sender = guest(prober, "probe-send", moving.ip, _PROBE_PORT, _PROBE_RATE, seconds)
                requests = guest(client, "request", moving.ip, _HTTP_PORT, _HTTP_RATE, seconds)
                for number in range(effort.count):
                    reports.append(_move(lab, moving.name, SERVERS[number % 2]))
                sent, made = sender.result(), requests.result()
        seen = probes.result()
    if effort.count % 2:
        _move(lab, moving.name, SERVERS[1])
    blackouts = [report.blackout_ms for report in reports]
    figures = {
        "blackout_p50": percentile(blackouts, 50),
        "blackout_p99": percentile(blackouts, 99),
        "lost": sent["sent"] - seen["received"],
        "duplicated": seen["duplicated"],
        "reordered": seen["reordered"],
        "longest_gap": seen["longest_gap_ms"],
        "broken": made["broken"],
    }
    return Round(
        figures, {"blackouts_ms": blackouts, "reports": [asdict(report) for report in reports]}
    )


def _move(lab: Lab, vm: str, server: str) -> MigrationReport:
    """Migrate once."""
    return lab.run(lab.controller.migrations.migrate(vm, server, Options()))


MIGRATION = Bench(
    "migration",
    "Live migration under UDP probes (1,000/s) and short requests (300/s)",
    (
        Figure("blackout_p50", "ms", "lower"),
        Figure("blackout_p99", "ms", "lower"),
        Figure("lost", "probes", "lower"),
        Figure("duplicated", "probes", "lower"),
        Figure("reordered", "probes", "lower"),
        Figure("longest_gap", "ms", "lower"),
        Figure("broken", "requests", "lower"),
    ),
    fixed("light load", "TCP load"),
    _migration,
)
