"""One VM floods; another has been promised a rate."""

from __future__ import annotations

from bench.measure import Bench, Effort, Figure, Round, fixed
from bench.rules import applied
from bench.traffic import flood, random_flows, tcp_gbps
from topologies.lab import Lab

LIMIT_MBPS = 20.0


def _neighbours(lab: Lab, condition: str, effort: Effort) -> Round:
    """vm2 floods vm4 beside vm1's TCP to vm3; a rate limit on vm2 protects vm1's promise."""
    victim, peer, attacker, target = (lab.vm(name) for name in ("vm1", "vm3", "vm2", "vm4"))
    state = lab.controller.state
    if condition == "flood, limited":
        limited = [
            vm.model_copy(update={"max_tx_rate": LIMIT_MBPS}) if vm.name == attacker.name else vm
            for vm in state.vms
        ]
        state = state.model_copy(update={"vms": limited})
    with applied(lab, state):
        if condition == "alone":
            return Round({"gbps": tcp_gbps(victim, peer, effort.seconds)})
        with flood(attacker, random_flows(attacker, target)):
            return Round({"gbps": tcp_gbps(victim, peer, effort.seconds)})


NEIGHBOURS = Bench(
    "neighbours",
    f"TCP beside a flooding VM, without and with a limit of {LIMIT_MBPS:.0f} Mb/s on it",
    (Figure("gbps", "TCP beside the flooding VM", "Gb/s"),),
    fixed("alone", "flood", "flood, limited"),
    _neighbours,
    spare=("flood, limited",),
)
