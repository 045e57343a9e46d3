"""What moves with a VM: each item works at the new place as it did at the old one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4r

from bench.traffic import end, guest, guest_service
from control.migration.record import Options
from control.policy.reasons import vf_port
from tests.lab.helpers import wait_for
from tests.migration.helpers import GUEST, change, connections, go_home, leftovers, move
from topologies.lab import Lab
from topologies.machine import Machine


@pytest.fixture(autouse=True)
def as_at_first(lab: Lab) -> Iterator[None]:
    """Every test begins with the VMs and the policy of the topology."""
    yield
    go_home(lab)


LISTEN = """
import select, socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
raw.bind((sys.argv[1], 0))
source, found = bytes.fromhex(sys.argv[2].replace(":", "")), 0
print("ready", flush=True)
while sys.stdin not in (ready := select.select([raw, sys.stdin], [], [])[0]) or raw in ready:
    frame, address = raw.recvfrom(2048)
    found += frame[6:14] == source + b"\\x88\\xb5" and address[2] != 4  # not what it sends itself
print(found)
"""


@contextmanager
def listening(machine: Machine, interface: str, source: str) -> Iterator[list[int]]:
    """Count the frames of ``send`` from a MAC address that arrive; the count is added at the end.

    The block ends with a packet that takes the same way: what was sent before has arrived then.
    """
    found: list[int] = []
    command = [sys.executable, "-c", LISTEN, interface, source]
    process = machine.popen(command, stdin=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield found
        found.append(int(process.communicate("", timeout=10)[0]))
    finally:
        end(process)


def send(lab: Lab, vm: str, source: str, destination: str, count: int) -> None:
    """A VM sends frames with addresses of one's choice, then pings a VM of either server."""
    forge = [sys.executable, GUEST, "forge", "eth0", source, destination, str(count)]
    lab.vm(vm).run(forge, check=True)
    for other in {"vm1", "vm2", "vm3", "vm4"} - {vm}:
        lab.vm(vm).pings(lab.vm(other).ip, count=2)


def settings(lab: Lab, vm: str) -> set[Any]:
    """All that a VM's NIC holds by its port, but for the port's and the policy's number."""
    where = lab.controller.vm(vm)
    nic = lab.controller.fabric.nic(lab.controller.state.server(where.server).nic)
    port, found = vf_port(where.vf), set()
    meters = [
        p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=number))
        for number in nic.encoder.meter_ids.values()
    ]
    queries = [p4r.Entity(table_entry=p4r.TableEntry()), *meters]
    for entity in lab.run(nic.read(queries)):
        if entity.HasField("meter_entry"):
            meter = entity.meter_entry
            if meter.index.index == port and meter.config.cir:
                found.add((meter.meter_id, meter.config.SerializeToString()))
        elif entity.table_entry.table_id not in nic.encoder.const_tables:
            entry = nic.encoder.decode(entity.table_entry)
            match = dict(entry.match)
            if match.pop("port", None) == port:
                params = tuple(pair for pair in entry.params if pair[0] != "policy")
                found.add((entry.table, tuple(match.items()), entry.action, params))
    return found


def test_every_setting_of_the_vf_moves(lab: Lab):
    changed = {
        "vlan": 100, "qos": 5, "spoofchk": False, "source_guard": False, "trust": True,
        "max_tx_rate": 50.0, "min_tx_rate": 10.0, "state": "enable", "max_new_connections": 77,
    }  # fmt: skip
    nics = [{**nic.model_dump(), "link_mbps": 1000} for nic in lab.controller.state.nics]
    plain = settings(lab, "vm1")
    change(lab, settings=changed, nics=nics)
    before = settings(lab, "vm1")
    assert len(before) >= 3
    assert before != plain
    move(lab, "vm1", "server2")
    assert settings(lab, "vm1") == before
    assert lab.controller.vm("vm1").model_copy(update={"server": "server1", "vf": 0}) == (
        lab.topology.vm("vm1").model_copy(update=changed)
    )
    assert leftovers(lab) == []


def test_vlan_moves(lab: Lab):
    for vm in ("vm1", "vm4"):
        change(lab, vm, {"vlan": 100})
    move(lab, "vm1", "server2")
    assert lab.vm("vm1").pings(lab.vm("vm4").ip, count=3) == 3
    assert lab.vm("vm1").pings(lab.vm("vm3").ip, wait=0.3) == 0
    move(lab, "vm1", "server1")
    assert lab.vm("vm1").pings(lab.vm("vm4").ip, count=3) == 3


def test_link_state_moves(lab: Lab):
    change(lab, settings={"state": "disable"})
    move(lab, "vm1", "server2")
    assert lab.vm("vm3").pings(lab.vm("vm1").ip, wait=0.3) == 0
    change(lab, settings={"state": "auto"})
    assert lab.vm("vm3").pings(lab.vm("vm1").ip, count=3) == 3


def test_trust_moves(lab: Lab):
    change(lab, settings={"trust": True})
    move(lab, "vm1", "server2")
    other = "02:de:ad:be:ef:01"
    with listening(lab.vm("vm3"), "eth0", other) as seen:
        send(lab, "vm1", other, lab.vm("vm3").mac, 7)
    assert seen == [7]


def test_rate_limit_moves(lab: Lab):
    change(lab, settings={"max_tx_rate": 1.0})
    move(lab, "vm1", "server2")
    # 9 Mb/s, at a pace that BMv2 can take
    assert guest(lab.vm("vm1"), "load-send", lab.vm("vm3").ip, 7000, 1000, 0.7, 1000).result()
    drops = lab.run(lab.controller.stats("vm1"))[0]["drops"]
    assert any("max_tx_rate" in reason for reason in drops), drops


def test_group_membership_moves_and_rules_go_on_changing(lab: Lab):
    """A peer's rule that names the VM's group, and the VM's own rules, before and after a swap."""
    pings = {"protocol": "icmp"}
    groups = [
        {"name": "clients", "rules": [pings]},
        {"name": "servers", "rules": [{**pings, "remote_group": "clients"}]},
    ]
    change(lab, "vm1", {"groups": ["clients"]}, groups=groups)
    change(lab, "vm3", {"groups": ["servers"]})
    move(lab, "vm1", "server2")
    assert lab.vm("vm1").pings(lab.vm("vm3").ip, count=3) == 3
    assert lab.vm("vm2").pings(lab.vm("vm3").ip, wait=0.3) == 0
    assert lab.vm("vm2").pings(lab.vm("vm1").ip, count=3) == 3
    change(lab, "vm1", groups=[{"name": "clients", "rules": []}, groups[1]])
    assert lab.vm("vm2").pings(lab.vm("vm1").ip, wait=0.3) == 0
    move(lab, "vm1", "server1")
    assert lab.vm("vm2").pings(lab.vm("vm1").ip, wait=0.3) == 0
    assert lab.vm("vm1").pings(lab.vm("vm3").ip, count=3) == 3
    assert leftovers(lab) == []


@pytest.mark.parametrize("target", [{"to_port": "pf"}, {"to_vm": "vm4"}])
def test_mirror_moves(lab: Lab, target: dict[str, str]):
    change(lab, mirrors=[{"name": "tap", "id": 7, "vm": "vm1", "direction": "out", **target}])
    move(lab, "vm1", "server2")
    at = (lab.server("server2"), "pf0") if "to_port" in target else (lab.vm("vm4"), "eth0")
    with listening(*at, lab.vm("vm1").mac) as copies:
        send(lab, "vm1", lab.vm("vm1").mac, lab.vm("vm3").mac, 9)
    assert copies == [9]
    assert leftovers(lab) == []


def test_multicast_membership_moves(lab: Lab):
    """A group frame reaches the VM once at its new place, from both servers."""
    group = "01:00:5e:01:02:03"
    for server in ("server2", "server1"):
        move(lab, "vm1", server)
        for sender in ("vm2", "vm3"):
            with listening(lab.vm("vm1"), "eth0", lab.vm(sender).mac) as seen:
                send(lab, sender, lab.vm(sender).mac, group, 5)
            assert seen == [5], (server, sender)


def test_a_vm_that_opens_and_closes_connections_loses_none(lab: Lab):
    """In both directions, through stateful groups, during moves to and fro."""
    web = [{"name": "web", "rules": [{"protocol": "tcp", "ports": 8080}]}]
    change(lab, "vm1", {"groups": ["web"]}, groups=web)
    change(lab, "vm3", {"groups": ["web"]})
    vm1, vm2, vm3 = (lab.vm(name) for name in ("vm1", "vm2", "vm3"))
    with guest_service(vm1, "serve", 8080), guest_service(vm3, "serve", 8080):
        outward = guest(vm1, "request", vm3.ip, 8080, 100, 0)
        inward = guest(vm2, "request", vm1.ip, 8080, 100, 0)
        for number in range(6):
            move(lab, "vm1", ("server2", "server1")[number % 2])
        made = [outward.result(), inward.result()]
    assert [told["broken"] for told in made] == [0, 0]
    assert all(told["slowest_ms"] < 900 for told in made), made  # no frame had to be sent again
    for nic in ("nic1", "nic2"):
        wait_for(lambda nic=nic: connections(lab, nic) == 0)
    assert leftovers(lab) == []


def _sent(lab: Lab, vm: str) -> int:
    return int(
        Path(f"/proc/{lab.vm(vm).node.pid}/net/dev").read_text().split("eth0:")[1].split()[9]
    )


def test_frames_that_find_no_room_are_counted(lab: Lab):
    narrow = Options(memory_mib=4, drain_s=0.1, held_frames=3)
    with guest_service(lab.vm("vm1"), "probe-receive", 7000) as probes:
        sender = guest(lab.vm("vm3"), "probe-send", lab.vm("vm1").ip, 7000, 1000, 0)
        before = _sent(lab, "vm3")
        wait_for(lambda: _sent(lab, "vm3") > before + 100)
        report = move(lab, "vm1", "server2", narrow)
        sent, seen = sender.result(), probes.result()
    assert 0 < sent["sent"] - seen["received"] <= report.lost  # frames of other kinds count, too
