"""What must not end a plane, and that one comes back when it ends all the same."""

from __future__ import annotations

import os
import signal

from control.model.services import GroupRule, SecurityGroup
from tests.lab.helpers import wait_for
from topologies.lab import Lab

from .conftest import changed

OPEN = [GroupRule(protocol="any")]


def judge_m3(lab: Lab, *rules: GroupRule) -> None:
    """Let only these rules guard one VM."""
    state = lab.controller.state
    vms = [v.model_copy(update={"groups": ["web"]}) if v.name == "m3" else v for v in state.vms]
    groups = [SecurityGroup(name="web", rules=list(rules))]
    lab.run(lab.controller.fabric.change(changed(state, groups=groups, vms=vms)))


def echoes(lab: Lab, address: str) -> bool:
    """Whether an echo request of always the same identifier, one connection, is answered."""
    command = ["ping", "-c", "1", "-W", "1", "-e", "77", address]
    return lab.vm("a1").run(command).returncode == 0


def test_echoes_end_with_their_rule_and_nothing_else_does(lab: Lab):
    nics = lab.network.nics.values()
    before = [process.pid for nic in nics for process in nic.processes]
    for address in ("10.0.0.3", "fd00::3"):
        judge_m3(lab, *OPEN)
        wait_for(lambda address=address: echoes(lab, address), 5)
        judge_m3(lab, GroupRule(protocol="tcp"))
        assert not echoes(lab, address)
    assert [process.pid for nic in nics for process in nic.processes] == before


def test_a_plane_that_dies_is_reported_restarted_and_reprogrammed(lab: Lab):
    nic = lab.network.nics["nic2"]
    judge_m3(lab, *OPEN)
    wait_for(lambda: echoes(lab, "10.0.0.3"), 5)
    for number in range(len(nic.processes)):  # of Open vSwitch, either daemon
        os.kill(nic.processes[number].pid, signal.SIGKILL)
        judge_m3(lab, GroupRule(protocol="tcp"))  # it is not up yet: this is for when it is
        wait_for(lambda: lab.vm("a1").pings("10.0.1.4"))
        assert not echoes(lab, "10.0.0.3")
        judge_m3(lab, *OPEN)
        wait_for(lambda: echoes(lab, "10.0.0.3"), 5)
    texts = [event.text for event in lab.bus.recent if event.source == "nic2"]
    assert sum("killed by SIGKILL" in text for text in texts) >= len(nic.processes)
    assert texts.count("started again") >= len(nic.processes)
