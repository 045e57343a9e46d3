"""Migrations of a running lab under load: what moves, what it costs, what is refused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.traffic import end, guest, guest_service
from control.connections import record
from control.connections.service import ConnectionService
from control.errors import ControlError, NicDownError, RefusedError
from control.migration.manager import Outcome
from control.migration.record import Options
from control.model import AclRule
from control.model.services import GroupRule, SecurityGroup
from tests.lab.helpers import wait_for
from tests.migration.helpers import GUEST, QUICK, go_home, lab_options, leftovers, move, phases
from topologies import memory
from topologies.lab import Lab
from topologies.loader import load
from topologies.machine import Machine


@pytest.fixture(autouse=True)
def as_at_first(lab: Lab) -> Iterator[None]:
    """Every test begins with the VMs and the policy of the topology."""
    yield
    go_home(lab)


def test_twenty_migrations_lose_nothing(lab: Lab):
    moves, rate = 20, 500
    with (
        guest_service(lab.vm("vm1"), "probe-receive", 7000) as probes,
        guest_service(lab.vm("vm1"), "serve", 8080),
    ):
        sender = guest(lab.vm("vm3"), "probe-send", lab.vm("vm1").ip, 7000, rate, 0)
        requests = guest(lab.vm("vm2"), "request", lab.vm("vm1").ip, 8080, 50, 0)
        for number in range(moves):
            report = move(lab, "vm1", "server1" if number % 2 else "server2")
            assert report.lost == 0
        sent, made = sender.result(), requests.result()
        seen = probes.result(sent["sent"])
    assert seen["received"] == sent["sent"], seen["missing"]
    assert seen["duplicated"] == 0
    assert made["broken"] == 0
    assert made["done"] > 0
    assert leftovers(lab) == []


def test_a_download_goes_on(lab: Lab):
    server = lab.vm("vm3").popen([sys.executable, GUEST, "serve", "5001"])
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    client = lab.vm("vm1").popen(
        [sys.executable, GUEST, "download", lab.vm("vm3").ip, "5001"], stdin=subprocess.PIPE
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        move(lab, "vm1", "server2")
        move(lab, "vm1", "server1")
        told = json.loads(client.communicate("", timeout=20)[0])
    finally:
        end(server)
        end(client)
    assert told["error"] == ""
    assert told["bytes"] > 0


def test_the_guest_notices_nothing(lab: Lab):
    def seen() -> tuple[str, ...]:
        vm = lab.vm("vm1")
        commands = (["cat", "/sys/class/net/eth0/address"], ["ip", "route"], ["ip", "-o", "addr"])
        return tuple(vm.run(list(command), check=True).stdout for command in commands)

    assert lab.vm("vm1").pings(lab.vm("vm4").ip) == 1
    before = seen()
    move(lab, "vm1", "server2")
    assert seen() == before
    assert lab.vm("vm1").pings(lab.vm("vm4").ip, count=3) == 3
    assert lab.vm("vm1").pings(lab.vm("vm2").ip, count=3) == 3


def test_rules_move(lab: Lab):
    rule = AclRule(name="no-ping", vm="vm1", protocol="icmp", action="deny")
    state = lab.controller.state
    lab.run(lab.controller.fabric.change(state.model_copy(update={"acl": [rule]})))
    assert lab.vm("vm3").pings(lab.vm("vm1").ip, wait=0.3) == 0
    move(lab, "vm1", "server2")
    assert lab.vm("vm3").pings(lab.vm("vm1").ip, wait=0.3) == 0
    lab.run(lab.controller.fabric.change(lab.controller.state.model_copy(update={"acl": []})))
    assert lab.vm("vm3").pings(lab.vm("vm1").ip, count=3) == 3


def test_vf_settings_move(lab: Lab):
    state = lab.controller.state
    vms = [
        vm.model_copy(update={"spoofchk": True, "max_tx_rate": 50.0}) if vm.name == "vm1" else vm
        for vm in state.vms
    ]
    lab.run(lab.controller.fabric.change(state.model_copy(update={"vms": vms})))
    move(lab, "vm1", "server2")
    forged = [sys.executable, GUEST, "forge", "eth0", "02:de:ad:be:ef:00"]
    lab.vm("vm1").run([*forged, lab.vm("vm3").mac, "7"], check=True)

    def dropped() -> int:
        row = lab.run(lab.controller.stats("vm1"))[0]
        return sum(n for reason, n in row["drops"].items() if "forged source MAC" in reason)

    assert dropped() == 7
    entry = lab.controller.state.vm("vm1")
    assert (entry.max_tx_rate, entry.spoofchk) == (50.0, True)
    assert leftovers(lab) == []


def test_counters_go_on(lab: Lab):
    def packets() -> int:
        return int(lab.run(lab.controller.stats("vm1"))[0]["tx_packets"])

    lab.vm("vm1").pings(lab.vm("vm2").ip, count=20)
    before = packets()
    assert before >= 20
    move(lab, "vm1", "server2")
    assert packets() >= before
    lab.vm("vm1").pings(lab.vm("vm3").ip, count=20)
    after = packets()
    assert after >= before + 20
    move(lab, "vm1", "server1")
    assert after <= packets() < after + 40


def test_established_connections_move(lab: Lab):
    """A stateful group that no longer admits new connections keeps those that it has."""
    open_group = SecurityGroup(name="web", rules=[GroupRule(protocol="tcp", ports="5001")])
    state = lab.controller.state
    vms = [
        vm.model_copy(update={"groups": ["web"]}) if vm.name == "vm1" else vm for vm in state.vms
    ]
    changed = state.model_copy(update={"vms": vms, "groups": [open_group]})
    lab.run(lab.controller.fabric.change(changed))
    server = lab.vm("vm1").popen([sys.executable, GUEST, "serve", "5001"])
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    client = lab.vm("vm3").popen(
        [sys.executable, GUEST, "download", lab.vm("vm1").ip, "5001"], stdin=subprocess.PIPE
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        report = move(lab, "vm1", "server2")
        assert report.state_entries > 0
        told = json.loads(client.communicate("", timeout=20)[0])
    finally:
        end(server)
        end(client)
    assert told["error"] == ""
    assert told["gap_ms"] < 3000


def test_idle_time_goes_on(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """A connection that was idle before the move ends when it would have without it."""
    monkeypatch.setitem(record.IDLE_S, 17, 8)
    (service,) = (c for c in lab.controller.fabric.companions if isinstance(c, ConnectionService))
    group = SecurityGroup(name="log", rules=[GroupRule(protocol="udp", ports="5140")])
    state = lab.controller.state
    vms = [
        vm.model_copy(update={"groups": ["log"]}) if vm.name == "vm1" else vm for vm in state.vms
    ]
    changed = state.model_copy(update={"vms": vms, "groups": [group]})
    lab.run(lab.controller.fabric.change(changed))
    began = time.monotonic()
    guest(lab.vm("vm3"), "flows-send", lab.vm("vm1").ip, 5140, 0, 1, 1).result()
    wait_for(lambda: len(service.manager) == 1)
    (connection,) = service.manager.of_vm("vm1")
    keys = [key for key in connection.installed if key[0] == "nic1"]
    wait_for(lambda: time.monotonic() - began > 4)
    assert min(lab.run(service.idle_s("nic1", keys)).values()) > 3
    move(lab, "vm1", "server2")
    moved = time.monotonic()
    wait_for(lambda: len(service.manager) == 0)
    assert time.monotonic() - began >= 8
    assert time.monotonic() - moved < 8  # all of it again would be more
    assert leftovers(lab) == []


async def evacuated(lab: Lab) -> list[Outcome]:
    """What became of the VMs of server1."""
    return [outcome async for outcome in lab.controller.migrations.evacuate("server1", QUICK)]


def test_evacuation_empties_a_server(lab: Lab):
    outcomes = lab.run(evacuated(lab), timeout=90)
    assert sorted(outcome.vm for outcome in outcomes) == ["vm1", "vm2"]
    assert all(outcome.report is not None for outcome in outcomes), outcomes
    assert all(vm.server == "server2" for vm in lab.controller.state.vms)
    assert lab.vm("vm1").pings(lab.vm("vm4").ip, count=3) == 3
    assert leftovers(lab) == []


def test_evacuation_goes_on_past_one_that_fails(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    async def both() -> Any:
        migrations = lab.controller.migrations
        first = asyncio.create_task(migrations.migrate("vm1", "server2", QUICK))
        await asyncio.sleep(0)
        outcomes = await evacuated(lab)
        await first
        return outcomes

    outcomes = {outcome.vm: outcome for outcome in lab.run(both(), timeout=90)}
    assert outcomes["vm1"].report is None
    assert "migrating to server2 already" in outcomes["vm1"].error
    assert outcomes["vm2"].report is not None


def test_abort_before_the_switch(lab: Lab):
    async def aborted() -> None:
        migrations = lab.controller.migrations
        slow = Options(memory_mib=1 << 20)  # an hour
        task = asyncio.create_task(migrations.migrate("vm1", "server2", slow))
        async for event in phases(lab, "vm1"):
            if event == "pre-copy":
                break
        migrations.abort("vm1")
        await task

    with pytest.raises(ControlError, match="aborted by the user"):
        lab.run(aborted(), timeout=60)
    assert lab.controller.vm("vm1").server == "server1"
    assert lab.vm("vm3").pings(lab.vm("vm1").ip, count=3) == 3
    assert leftovers(lab) == []


@pytest.mark.parametrize(
    ("vm", "server", "words"),
    [
        ("vm9", "server2", "no VM 'vm9'"),
        ("vm1", "server9", "no server 'server9'"),
        ("vm1", "server1", "on server1 already"),
    ],
)
def test_refused_early(lab: Lab, vm: str, server: str, words: str):
    with pytest.raises(RefusedError, match=words):
        move(lab, vm, server)


def test_a_rate_that_the_destination_cannot_guarantee(lab: Lab):
    state = lab.controller.state
    nics = [n.model_copy(update={"link_mbps": {1: 10, 2: 4}[n.id]}) for n in state.nics]
    vms = [v.model_copy(update={"min_tx_rate": 5}) if v.name == "vm1" else v for v in state.vms]
    lab.run(lab.controller.fabric.change(state.model_copy(update={"nics": nics, "vms": vms})))
    with pytest.raises(RefusedError, match=r"5 Mb/s promised on nic2, whose link has 4"):
        move(lab, "vm1", "server2")
    assert lab.controller.vm("vm1").server == "server1"


def test_no_free_vf(lab: Lab):
    state = lab.controller.state
    nics = [n.model_copy(update={"vfs": 2}) if n.name == "nic2" else n for n in state.nics]
    lab.run(lab.controller.fabric.change(state.model_copy(update={"nics": nics})))
    with pytest.raises(RefusedError, match="server2 has no free VF"):
        move(lab, "vm1", "server2")
    assert lab.controller.vm("vm1").server == "server1"


def test_destination_table_full(lab: Lab):
    sizes = lab.controller.fabric.nic("nic2").encoder.table_sizes
    room = sizes["destination_table"]
    sizes["destination_table"] = 2  # as many VMs as are there
    try:
        with pytest.raises(ControlError, match="nic2 has no room"):
            move(lab, "vm1", "server2")
    finally:
        sizes["destination_table"] = room
    assert lab.controller.vm("vm1").server == "server1"
    assert lab.vm("vm3").pings(lab.vm("vm1").ip, count=3) == 3
    assert leftovers(lab) == []


def test_no_uplink(lab: Lab):
    fabric = lab.controller.fabric
    lab.run(fabric.set_uplinks("nic2", frozenset()))
    try:
        with pytest.raises(NicDownError, match=r"nic2 has no uplink with link.* vm1 stays"):
            move(lab, "vm1", "server2")
    finally:
        lab.run(fabric.set_uplinks("nic2", frozenset({1})))
    assert lab.controller.vm("vm1").server == "server1"


def test_servers_that_do_not_reach_each_other(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """Though both NICs have link: something between them does not forward."""
    monkeypatch.setattr(memory, "CONNECT_S", 0.2)
    address = ["ip", "addr", "del", "192.168.0.2/24", "dev", "pf0"]
    lab.server("server2").run(address, check=True)
    try:
        with pytest.raises(ControlError, match=r"do not reach each other.* vm1 runs on server1"):
            move(lab, "vm1", "server2")
    finally:
        lab.server("server2").run(["add" if w == "del" else w for w in address], check=True)
    assert lab.vm("vm2").pings(lab.vm("vm1").ip, count=3) == 3
    assert leftovers(lab) == []


def test_servers_that_reach_each_other_late(lab: Lab):
    """The kernel has given up asking for the other server once, as while a NIC was away."""
    one, two = lab.server("server1"), lab.server("server2")

    def answers(machine: Machine, value: int) -> None:
        machine.run(["sysctl", "-w", f"net.ipv4.conf.pf0.arp_ignore={value}"], check=True)

    async def late() -> None:
        channel = memory.memory_channel(one.node.pid, two.node.pid, two.ip)
        connecting = asyncio.create_task(channel.__aenter__())
        shown = ["ip", "neigh", "show", "dev", "pf0"]
        while "FAILED" not in await asyncio.to_thread(lambda: one.run(shown).stdout):
            assert not connecting.done()
        answers(two, 0)
        await (await connecting).send(memory.IN_FLIGHT)
        await channel.__aexit__(None, None, None)

    def patience(probes: int, each_ms: int) -> None:
        for setting in (f"mcast_solicit={probes}", f"retrans_time_ms={each_ms}"):
            one.run(["sysctl", "-w", f"net.ipv4.neigh.pf0.{setting}"], check=True)

    patience(1, 20)
    answers(two, 8)  # none
    one.run(["ip", "neigh", "flush", "dev", "pf0"], check=True)
    try:
        lab.run(late(), timeout=10)
    finally:
        answers(two, 0)
        patience(3, 1000)


def test_plain_sriov_guest(tmp_path: Path):
    """Model vf: the device itself is exchanged; what comes meanwhile is held, and none is lost."""
    with Lab(load("two_servers").with_guest_model("vf"), lab_options(tmp_path, "v")) as lab:
        with guest_service(lab.vm("vm1"), "probe-receive", 7000) as probes:
            sender = guest(lab.vm("vm3"), "probe-send", lab.vm("vm1").ip, 7000, 500, 0)
            for server in ("server2", "server1", "server2", "server1"):
                assert move(lab, "vm1", server).lost == 0
                assert lab.vm("vm1").pings(lab.vm("vm2").ip, count=3) == 3
                assert lab.vm("vm1").pings(lab.vm("vm4").ip, count=3) == 3
            sent = sender.result()
            seen = probes.result(sent["sent"])
        assert seen["received"] == sent["sent"], seen["missing"]
        assert leftovers(lab) == []
