"""How fast the control plane is: rules applied, policies swapped, a NIC brought back."""

from __future__ import annotations

import os
import signal
import time

from bench.measure import Bench, Effort, Figure, Round
from bench.rules import applied, group, with_group
from control.model import DesiredState
from topologies.lab import Lab

_BACK_S = 60.0


def _control(lab: Lab, condition: str, effort: Effort) -> Round:
    count = int(condition.split(maxsplit=1)[0].replace(",", ""))
    state = with_group(lab.controller.state, group(count, stateful=False), "vm1")
    began = time.monotonic()
    with applied(lab, state):
        applied_s = time.monotonic() - began
        other = with_group(_without(state), group(count, stateful=False, seed=2), "vm1")
        began = time.monotonic()
        lab.run(lab.controller.fabric.change(other))
        swapped_s = time.monotonic() - began
        figures = {"rules_per_s": count / applied_s, "swap_ms": swapped_s * 1e3}
        if lab.kit.source is not None:
            figures["reconcile_ms"] = _reconcile(lab) * 1e3
    return Round(figures)


def _without(state: DesiredState) -> DesiredState:
    """The state before the bench's group was added."""
    vms = [vm.model_copy(update={"groups": []}) for vm in state.vms]
    return state.model_copy(update={"vms": vms, "groups": []})


def _reconcile(lab: Lab) -> float:
    """Seconds from the death of a NIC's process until it forwards again."""
    nic = lab.network.nics["nic1"]
    first, second = lab.vm("vm1"), lab.vm("vm2")
    began = time.monotonic()
    os.kill(nic.process.pid, signal.SIGKILL)
    while not first.pings(second.ip, wait=0.05):
        if time.monotonic() - began > _BACK_S:
            raise TimeoutError(f"{nic.name} does not forward {_BACK_S:.0f} s after its restart")
    return time.monotonic() - began


CONTROL = Bench(
    "control",
    "Rules through the control plane",
    (
        Figure("rules_per_s", "rules/s"),
        Figure("swap_ms", "ms", "lower"),
        Figure("reconcile_ms", "ms", "lower"),
    ),
    lambda effort: tuple(f"{count:,} rules" for count in effort.rules if count),
    _control,
)
