"""While a guest stands still, its controller and the NICs' control threads run before the rest."""

from __future__ import annotations

import os
import threading

import pytest

from control.errors import ControlError
from control.migration import faults
from tests.migration.helpers import go_home, move, policy, urgent_threads
from topologies.lab import Lab
from topologies.network import LabNetwork
from topologies.silicon import Urgency

REAL_TIME, USUAL = os.SCHED_RR, os.SCHED_OTHER


def packet_policies(network: LabNetwork) -> set[int]:
    """The scheduling policies of all threads that forward packets."""
    found = set()
    for nic in network.nics.values():
        threads = {int(t) for p in nic.processes for t in os.listdir(f"/proc/{p.pid}/task")}
        found |= {policy(thread) for thread in threads - set(nic.control_threads())}
    return found


@pytest.mark.parametrize("fails", [False, True])
def test_only_while_the_guest_stands_still(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, *, fails: bool
):
    if any(nic.target != "native" for nic in lab.network.nics.values()):
        pytest.skip("which of BMv2's threads forward packets cannot be told")
    seen = {}

    async def reach(point: str) -> None:
        urgent, packet = urgent_threads(lab.network) > 0, packet_policies(lab.network)
        seen[point] = policy(0), urgent, packet
        if fails and point == "transfer.done":
            raise ControlError("it was to fail")

    monkeypatch.setattr(faults, "reach", reach)
    if fails:
        with pytest.raises(ControlError, match="it was to fail"):
            move(lab, "vm1", "server2")
    else:
        move(lab, "vm1", "server2")
    standing = {"freeze", "freeze.done", "transfer", "transfer.done"}
    if not fails:
        standing |= {"switch", "switch.done", "resume", "resume.done"}
    usual = (USUAL, False, {USUAL})
    for point, what in seen.items():
        assert what == ((REAL_TIME, True, {USUAL}) if point in standing else usual), point
    assert standing <= seen.keys()
    assert urgent_threads(lab.network) == 0
    go_home(lab)


def test_blocks_that_overlap():
    """The last block's end counts, in whatever order they end."""
    urgency = Urgency()
    first, second = urgency.urgent([]), urgency.urgent([])
    seen = []

    def work() -> None:
        for step in (first.__enter__, second.__enter__):
            step()
            seen.append(policy(0))
        for block in (first, second):
            block.__exit__(None, None, None)
            seen.append(policy(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [REAL_TIME, REAL_TIME, REAL_TIME, USUAL]
