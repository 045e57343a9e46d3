"""What a hostile VM takes from its neighbour on the same NIC."""

from __future__ import annotations

import threading
import time

from bench.measure import Bench, Effort, Figure, Round, fixed
from bench.rules import applied, group, with_group
from bench.stats import kept, percentile
from bench.traffic import flood, random_flows, random_headers, round_trips, tcp_series
from topologies.lab import Lab
from topologies.machine import Machine

INTERVAL_S = 0.1
_INJECTED = 500
_REQUESTS_PER_S = 500


def _worst_case(lab: Lab, condition: str, effort: Effort) -> Round:
    """vm1 talks to vm3; vm2, on vm1's NIC, attacks by sending to vm4, on vm3's."""
    victim, peer, attacker, target = (lab.vm(name) for name in ("vm1", "vm3", "vm2", "vm4"))
    state = lab.controller.state
    if condition == "policy injection":
        rules = group(_INJECTED, stateful=False, spread=True)
        state = with_group(state, rules, attacker.name, target.name)
    frame = random_flows(attacker, target)
    if condition == "random headers":
        frame = random_headers(attacker, target)
    part = effort.seconds
    with applied(lab, state):
        calm, _ = _p99(victim, peer, effort.rtt_seconds)
        with flood(attacker, frame):
            attacked, unanswered = _p99(victim, peer, effort.rtt_seconds)
        storm = threading.Thread(target=_attack, args=(attacker, frame, part))
        storm.start()
        series = tcp_series(victim, peer, 3 * part, INTERVAL_S)
        storm.join()
    third = len(series) // 3
    before = sum(series[2:third]) / max(1, third - 2)
    during = sum(series[third + 2 : 2 * third]) / max(1, third - 2)
    figures = {
        "kept": 100 * kept(during, before),
        "p99_calm": calm,
        "p99_attacked": attacked,
        "unanswered": unanswered,
    }
    return Round(figures, {"gbps": series, "attack_s": [part, 2 * part]})


def _p99(client: Machine, server: Machine, seconds: float) -> tuple[float, float]:
    """The neighbour's p99 in microseconds, and the percentage of requests without an answer."""
    samples, unanswered = round_trips(client, server, seconds, _REQUESTS_PER_S)
    return percentile(samples, 99), unanswered


def _attack(attacker: Machine, frame: str, part: float) -> None:
    """Stay calm for one part of the timeline, attack during the second."""
    time.sleep(part)
    with flood(attacker, frame):
        time.sleep(part)


WORST_CASE = Bench(
    "worst-case",
    "A neighbour's service under attack",
    (
        Figure("kept", "neighbour's TCP under attack", "% of before"),
        Figure("p99_calm", "neighbour's round-trip time before the attack, p99", "µs", "lower"),
        Figure("p99_attacked", "neighbour's round-trip time under attack, p99", "µs", "lower"),
        Figure("unanswered", "neighbour's requests without answer", "% of requests", "lower"),
    ),
    fixed(
        "new flows",
        "random headers",
        "policy injection",
        quick=("new flows", "policy injection"),
    ),
    _worst_case,
    spare=("policy injection",),
)
