"""All benches, in the order in which they run."""

from __future__ import annotations

from bench.measure import Bench
from bench.suites.connections import CONNECTIONS
from bench.suites.control import CONTROL
from bench.suites.flows import FLOWS, HELD
from bench.suites.migration import MIGRATION
from bench.suites.neighbours import NEIGHBOURS
from bench.suites.plain import COST, LATENCY, THROUGHPUT
from bench.suites.policy import POLICY
from bench.suites.worst_case import WORST_CASE

BENCHES: dict[str, Bench] = {
    bench.name: bench
    for bench in (
        THROUGHPUT,
        LATENCY,
        POLICY,
        WORST_CASE,
        CONNECTIONS,
        FLOWS,
        HELD,
        NEIGHBOURS,
        MIGRATION,
        CONTROL,
        COST,
    )
}
