"""The lab end to end: traffic, rules, counters, and NICs that die."""

from __future__ import annotations

import os
import signal
import sys

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc

from bench.traffic import guest, guest_service
from control.errors import ControlError, RefusedError
from p4native.p4runtime.copy import primary
from topologies import tour
from topologies.lab import Lab

from .helpers import wait_for


@pytest.mark.parametrize(
    ("source", "target"),
    [("vm1", "vm2"), ("vm1", "vm3"), ("vm4", "vm2"), ("vm3", "vm4")],
)
def test_every_vm_reaches_the_others(lab: Lab, source: str, target: str) -> None:
    assert lab.vm(source).pings(lab.vm(target).ip, count=3) == 3


def test_servers_reach_each_other_through_their_pfs(lab: Lab) -> None:
    assert lab.server("server1").pings("192.168.0.2", count=3) == 3


def test_what_comes_while_a_nic_does_not_run_waits(lab: Lab) -> None:
    """A switch in user space stands still at times; its ports' queues have to last meanwhile."""
    sender, receiver = lab.vm("vm1"), lab.vm("vm2")
    assert sender.pings(receiver.ip) == 1
    process = lab.network.nics["nic1"].process
    with guest_service(receiver, "probe-receive", 7000) as probes:
        os.kill(process.pid, signal.SIGSTOP)
        try:
            sent = guest(sender, "probe-send", receiver.ip, 7000, 1000, 0.06).result()["sent"]
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert probes.result(sent)["received"] == sent > 40


def test_a_rule_acts_at_once_and_its_removal_too(lab: Lab) -> None:
    one, three = lab.vm("vm1"), lab.vm("vm3")
    rule = {"vm": "vm3", "action": "deny", "protocol": "icmp", "src": "vm1"}
    name = lab.run(lab.controller.acl_add(rule))
    try:
        assert one.pings(three.ip, count=3, wait=0.3) == 0
        assert lab.vm("vm2").pings(three.ip, count=2) == 2
    finally:
        lab.run(lab.controller.acl_delete(name))
    assert one.pings(three.ip, count=3) == 3


def test_a_nic_that_another_controller_took_is_taken_back(lab: Lab) -> None:
    """What it changed meanwhile is as the desired state has it again."""
    nic = lab.controller.fabric.nic("nic1")
    one, two = lab.vm("vm1"), lab.vm("vm2")
    everything = p4r.Entity(table_entry=p4r.TableEntry())
    with grpc.insecure_channel(nic.address) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        with primary(stub, nic.device_id, 500) as election:
            wait_for(lambda: not nic.is_up)
            request = p4r.ReadRequest(device_id=nic.device_id, entities=[everything])
            entities = [entity for part in stub.Read(request) for entity in part.entities]
            updates = [
                p4r.Update(type=p4r.Update.Type.DELETE, entity=entity)
                for entity in entities
                if not entity.table_entry.is_const
            ]
            stub.Write(
                p4r.WriteRequest(device_id=nic.device_id, election_id=election, updates=updates)
            )
            assert one.pings(two.ip, wait=0.3) == 0
            wait_for(lambda: "another controller is primary" in nic.last_error)
    wait_for(lambda: nic.is_up)
    assert one.pings(two.ip) == 1
    assert any("another controller" in event.line() for event in lab.bus.recent)


def test_a_higher_priority_wins(lab: Lab) -> None:
    deny = {"vm": "vm2", "action": "deny", "protocol": "icmp", "priority": 10, "name": "low"}
    allow = {"vm": "vm2", "action": "allow", "protocol": "icmp", "src": "vm1", "priority": 20}
    one, two, four = lab.vm("vm1"), lab.vm("vm2"), lab.vm("vm4")
    names = [lab.run(lab.controller.acl_add(rule)) for rule in (deny, allow)]
    try:
        assert one.pings(two.ip, count=3) == 3
        assert four.pings(two.ip, count=3, wait=0.3) == 0
    finally:
        for name in names:
            lab.run(lab.controller.acl_delete(name))


def test_forged_source_addresses_are_dropped_and_counted(lab: Lab) -> None:
    def counted() -> int:
        row = lab.run(lab.controller.stats("vm1"))[0]
        return sum(n for reason, n in row["drops"].items() if "forged source MAC" in reason)

    before = counted()
    words = ["forge", "eth0", tour.FORGED_MAC, lab.vm("vm2").mac, "7"]
    lab.vm("vm1").run([sys.executable, tour.GUEST, *words], check=True)
    wait_for(lambda: counted() == before + 7)


def test_counters_tell_sent_from_received(lab: Lab) -> None:
    def row() -> dict[str, int]:
        return lab.run(lab.controller.stats("vm3"))[0]

    before = row()
    assert lab.vm("vm3").pings(lab.vm("vm4").ip, count=20) == 20
    wait_for(lambda: row()["tx_packets"] >= before["tx_packets"] + 20)
    wait_for(lambda: row()["rx_packets"] >= before["rx_packets"] + 20)
    assert row()["tx_bytes"] - before["tx_bytes"] >= 20 * 98


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"vm": "vm9", "action": "deny"}, "no VM 'vm9'"),
        ({"vm": "vm1", "action": "forbid"}, "action"),
        ({"vm": "vm1", "protocol": "icmp", "dst_ports": "80"}, "must be tcp or udp"),
        ({"vm": "vm1", "src": "10.0.0.300"}, "src"),
        ({"vm": "vm1", "priority": 0}, "priority"),
    ],
)
def test_a_wrong_rule_is_refused_and_changes_nothing(
    lab: Lab, rule: dict[str, object], words: str
) -> None:
    before = lab.controller.document()
    with pytest.raises(RefusedError, match=words):
        lab.run(lab.controller.acl_add(rule))
    assert lab.controller.document() == before


def test_a_nic_that_dies_is_reported_restarted_and_reprogrammed(lab: Lab) -> None:
    nic = lab.network.nics["nic1"]
    assert nic.process is not None
    rule = {"vm": "vm2", "action": "deny", "protocol": "icmp", "src": "vm3"}
    name = lab.run(lab.controller.acl_add(rule))
    try:
        sessions = lab.controller.nics()[0]["sessions"]
        os.kill(nic.process.pid, signal.SIGKILL)
        wait_for(lambda: lab.controller.nics()[0]["sessions"] > sessions)
        wait_for(lambda: lab.controller.nics()[0]["up"])
        assert lab.vm("vm1").pings(lab.vm("vm2").ip, count=3) == 3
        assert lab.vm("vm3").pings(lab.vm("vm2").ip, count=2, wait=0.3) == 0
    finally:
        lab.run(lab.controller.acl_delete(name))
    texts = [event.text for event in lab.bus.recent if event.source == "nic1"]
    assert any("killed by SIGKILL" in text for text in texts)
    assert "started again" in texts


def test_what_is_changed_while_a_nic_is_down_reaches_it_when_it_is_back(lab: Lab) -> None:
    nic = lab.network.nics["nic2"]
    assert nic.process is not None
    sessions = lab.controller.nics()[1]["sessions"]
    os.kill(nic.process.pid, signal.SIGKILL)
    wait_for(lambda: not lab.controller.nics()[1]["up"])
    rule = {"vm": "vm4", "action": "deny", "protocol": "icmp", "src": "vm3"}
    name = lab.run(lab.controller.acl_add(rule))
    try:
        wait_for(lambda: lab.controller.nics()[1]["sessions"] > sessions)
        wait_for(lambda: lab.controller.nics()[1]["up"])
        assert lab.vm("vm3").pings(lab.vm("vm4").ip, count=2, wait=0.3) == 0
    finally:
        lab.run(lab.controller.acl_delete(name))
    assert lab.vm("vm3").pings(lab.vm("vm4").ip, count=2) == 2


def test_a_second_lab_in_the_same_run_directory_says_who_runs(lab: Lab) -> None:
    with pytest.raises(ControlError, match="running already"):
        Lab("one_server", lab.options).start()
    assert lab.vm("vm1").pings(lab.vm("vm2").ip) == 1
