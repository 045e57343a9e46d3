"""How fast the control plane is: rules applied, a policy swapped under probes, a NIC back."""

from __future__ import annotations

import os
import signal
import time

from bench.measure import Bench, Effort, Figure, Round
from bench.rules import applied, group, with_group
from bench.traffic import guest, guest_service
from control.model import DesiredState
from control.model.services import SecurityGroup
from topologies.lab import Lab

_BACK_S = 60.0
_GROUP = 1000  # rules
_PROBE_PORT, _PROBE_RATE, _PROBE_S = 7000, 1000, 1.5


def _control(lab: Lab, condition: str, effort: Effort) -> Round:
    """Groups of up to 1,000 rules: all but one are vm1's, that one is vm2's and is swapped."""
    count = int(condition.split(maxsplit=1)[0].replace(",", ""))
    groups = [_group(number, min(count, _GROUP)) for number in range(max(1, count // _GROUP))]
    state = lab.controller.state
    for other in groups[1:]:
        state = with_group(state, other, "vm1")
    wanted = with_group(state, groups[0], "vm2")
    began = time.monotonic()
    with applied(lab, wanted):
        applied_s = time.monotonic() - began
        swapped = with_group(state, _group(len(groups), min(count, _GROUP)), "vm2")
        figures = {"rules_per_s": count / applied_s, **_swap(lab, swapped)}
        if lab.kit.source is not None:
            figures["reconcile_ms"] = _reconcile(lab) * 1e3
    return Round(figures)


def _group(number: int, count: int) -> SecurityGroup:
    return group(count, stateful=False, seed=number, name=f"bench{number}")


def _swap(lab: Lab, state: DesiredState) -> dict[str, float]:
    """What a change of vm2's policy takes, and how many probes to vm2 it costs."""
    prober, target = lab.vm("vm1"), lab.vm("vm2")
    with guest_service(target, "probe-receive", _PROBE_PORT) as probes:
        stream = guest(prober, "probe-send", target.ip, _PROBE_PORT, _PROBE_RATE, _PROBE_S)
        began = time.monotonic()
        lab.run(lab.controller.fabric.change(state))
        swapped_s = time.monotonic() - began
        sent = stream.result()["sent"]
        seen = probes.result(sent)["received"]
    return {"swap_ms": swapped_s * 1e3, "lost": sent - seen}


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
        Figure("rules_per_s", "rules applied", "rules/s"),
        Figure("swap_ms", "time to exchange a policy", "ms", "lower"),
        Figure("lost", "probes lost while a policy is exchanged", "probes", "lower"),
        Figure("reconcile_ms", "time to reconcile a restarted NIC", "ms", "lower"),
    ),
    lambda effort: tuple(f"{count:,} rules" for count in effort.rules if count),
    _control,
)
