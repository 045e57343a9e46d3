"""The same traffic with ever more security rules."""

from __future__ import annotations

from bench.measure import Bench, Effort, Figure, Round
from bench.rules import applied, group, with_group
from bench.stats import percentile
from bench.suites.plain import pair
from bench.traffic import flood, random_flows, received_pps, round_trips, tcp_gbps
from topologies.lab import Lab


def _policy(lab: Lab, condition: str, effort: Effort) -> Round:
    count = int(condition.split(maxsplit=1)[0].replace(",", ""))
    client, server = pair(lab, "one server")
    state = lab.controller.state
    if count:
        state = with_group(state, group(count, stateful=False), client.name, server.name)
    with applied(lab, state):
        figures = {"gbps": tcp_gbps(client, server, effort.seconds)}
        figures["p99"] = percentile(round_trips(client, server, effort.rtt_seconds)[0], 99)
        with flood(client, random_flows(client, server)):
            figures["kpps"] = received_pps(server, effort.rtt_seconds) / 1e3
    return Round(figures)


POLICY = Bench(
    "policy",
    "Stateless security rules on both VMs",
    (
        Figure("gbps", "TCP under stateless rules", "Gb/s"),
        Figure("p99", "round-trip time under stateless rules, p99", "µs", "lower"),
        Figure("kpps", "random flows under stateless rules", "1,000 packets/s"),
    ),
    lambda effort: tuple(f"{count:,} rules" for count in effort.rules),
    _policy,
)
