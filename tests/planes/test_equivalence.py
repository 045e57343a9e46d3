"""The same desired state lets the same packets through on Open vSwitch and on the hybrid NIC."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from control.model import AclRule, DesiredState
from control.model.services import GroupRule, SecurityGroup
from tests.lab.helpers import free_ports
from topologies.lab import Lab, Options
from topologies.network import Ports

WIRE = str(Path(__file__).with_name("wire.py"))
SENTINEL = 0
POLICIES = 4
PACKETS = 60
A, B = "vm1", "vm2"
PASSED: list[int] = []


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Lab]]:
    """One lab per plane, both up at once."""
    directory = tmp_path_factory.mktemp("planes")
    base = free_ports(4)
    with ExitStack() as stack:
        running = {}
        for number, plane in enumerate(("hybrid", "ovs")):
            options = Options(
                plane=plane,
                target=os.environ.get("TARGET", "auto"),
                run_dir=directory / plane,
                ports=Ports(
                    prefix=f"q{os.getpid() % 100:02d}{number}",
                    p4runtime=base + number,
                    thrift=base + 2 + number,
                ),
            )
            running[plane] = stack.enter_context(Lab("one_server", options))
        yield running


def random_rule(chance: random.Random) -> GroupRule:
    protocol = chance.choice(["any", "tcp", "udp", "icmp"])
    low = chance.randrange(1, 200)
    ports = f"{low}-{low + chance.choice([0, 7, 60])}" if protocol in ("tcp", "udp") else None
    remote = chance.choice([None, "10.0.0.0/24", "10.0.0.1/32", "10.0.0.2/32", "10.0.0.128/25"])
    return GroupRule(
        direction=chance.choice(["in", "in", "out"]),
        action=chance.choice(["allow", "deny"]),
        protocol=protocol,
        ports=ports,
        remote=remote,
        priority=chance.randrange(2, 6),
    )


def random_state(state: DesiredState, chance: random.Random, *, stateful: bool) -> DesiredState:
    groups = [
        SecurityGroup(
            name=name,
            stateful=stateful,
            rules=[
                GroupRule(direction="in", priority=1, remote=chance.choice([None, "10.0.0.0/24"])),
                GroupRule(direction="out", priority=1, protocol=chance.choice(["any", "tcp"])),
                *(random_rule(chance) for _ in range(chance.randrange(1, 7))),
            ],
        )
        for name in ("one", "two")
    ]
    vms = [
        vm.model_copy(update={"groups": [chance.choice(["one", "two"])]})
        if vm.name in (A, B)
        else vm
        for vm in state.vms
    ]
    acl = [AclRule(name="no-ssh", protocol="tcp", dst_ports="22", priority=9)]
    changed = state.model_copy(update={"vms": vms, "groups": groups, "acl": acl})
    return DesiredState.model_validate(changed.model_dump())


def random_packet(chance: random.Random, number: int, seed: int) -> Packet:
    """One packet of a connection that no other packet, of this seed or another, belongs to."""
    own = 1000 * (seed + 1) + number
    source = chance.choice(["10.0.0.1"] * 9 + ["10.0.0.77"])  # the last is forged
    ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    ip = ether / IP(src=source, dst="10.0.0.2")
    ports = {"sport": own, "dport": chance.choice([22, chance.randrange(1, 260)])}
    layer = chance.choice([TCP(flags="S", **ports), UDP(**ports), ICMP(id=own)])
    return ip / layer / Raw(f"#{number}#".encode().ljust(24, b"."))


def sentinel() -> Packet:
    """A frame that every policy lets through: the guest's own ARP."""
    ether = Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
    arp = ARP(hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", pdst="10.0.0.2")
    return ether / arp / Raw(f"#{SENTINEL}#".encode().ljust(24, b"."))


def delivered(lab: Lab, state: DesiredState, packets: list[Packet]) -> set[int]:
    """Numbers of the packets that reach vm2 when vm1 sends them all under a policy."""
    lab.run(lab.controller.fabric.change(state))
    receiver = lab.vm(B).popen([sys.executable, WIRE, "receive"])
    assert receiver.stdout is not None
    assert receiver.stdout.readline() == "ready\n"
    frames = "".join(bytes(packet).hex() + "\n" for packet in [*packets, sentinel()])
    sender = lab.vm(A).popen([sys.executable, WIRE, "send"], stdin=subprocess.PIPE)
    _, errors = sender.communicate(frames)
    assert sender.returncode == 0, errors
    output, errors = receiver.communicate(timeout=30)
    assert receiver.returncode == 0, errors
    seen = set(json.loads(output))
    assert SENTINEL in seen, "the sentinel was lost"
    return seen


@pytest.mark.parametrize("stateful", [False, True], ids=["stateless", "stateful"])
@pytest.mark.parametrize("seed", range(POLICIES))
def test_same_packets_pass(labs: dict[str, Lab], seed: int, stateful: bool):
    chance = random.Random(f"{seed} {stateful}")
    state = random_state(labs["ovs"].topology.state(), chance, stateful=stateful)
    packets = [random_packet(chance, number, seed) for number in range(1, PACKETS + 1)]
    passed = {plane: delivered(lab, state, packets) for plane, lab in labs.items()}
    only = {plane: sorted(passed[plane] - set.intersection(*passed.values())) for plane in passed}
    named = {plane: [packets[n - 1].summary() for n in numbers] for plane, numbers in only.items()}
    assert passed["ovs"] == passed["hybrid"], f"only there: {named}\n{state.groups}"
    PASSED.append(len(passed["ovs"]) - 1)


def test_policies_told_packets_apart():
    """The comparison above means something: some packets passed, and never all of them."""
    assert any(count > PACKETS // 10 for count in PASSED)
    assert all(count < PACKETS for count in PASSED)
