"""The same desired state lets the same packets through on Open vSwitch and on the hybrid NIC.

Generated policies judge generated packets: from one VM to another on its server and to one on
another server, and the replies to all of them, answered or not. One batch is one policy.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from control.model import DesiredState
from topologies.lab import Lab
from topologies.machine import Machine

from .strategies import MAC, V4, A, B, C, Probe, mark, probes, states

WIRE = str(Path(__file__).with_name("wire.py"))
POLICIES = 8
PACKETS = 70
OWN_PORTS = 2000
BATCHES: list[tuple[int, int, int]] = []

Verdicts = dict[str, set[int]]


class Wire:
    """A VM's end: frames in and out, the guest's kernel out of the way."""

    def __init__(self, machine: Machine) -> None:
        machine.run(["ip", "addr", "flush", "dev", "eth0"], check=True)
        self.process = machine.popen([sys.executable, WIRE], stdin=subprocess.PIPE)
        assert self._answer() == "ready\n"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def _tell(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()

    def send(self, packets: list[Packet]) -> None:
        self._tell(" ".join(["send", *(bytes(packet).hex() for packet in packets)]))

    def take(self) -> set[int]:
        """Numbers of what came; the sentinel must be among them."""
        seen = set(json.loads(self._tell("take")))
        assert 0 in seen, f"the sentinel was lost; {len(seen)} frames came"
        return seen - {0}

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate()


@pytest.fixture(scope="module")
def wires(labs: dict[str, Lab]) -> Iterator[dict[str, dict[str, Wire]]]:
    """By plane and VM."""
    ends = {plane: {vm: Wire(lab.vm(vm)) for vm in MAC} for plane, lab in labs.items()}
    yield ends
    for wire in (wire for by_vm in ends.values() for wire in by_vm.values()):
        wire.close()


def sentinel(sender: str) -> Packet:
    """A frame that every policy lets through to everybody: an ARP announcement."""
    own = {"hwsrc": MAC[sender], "psrc": V4[sender], "pdst": V4[sender]}
    return Ether(src=MAC[sender], dst="ff:ff:ff:ff:ff:ff") / ARP(**own) / mark(0)


def judged(ends: dict[str, Wire], batch: list[Probe], first_port: int) -> Verdicts:
    """Numbers of the packets that arrive, by receiving VM."""
    numbered = list(enumerate(batch, 1))
    ends[A].send([p.packet(n, first_port + n) for n, p in numbered] + [sentinel(A)])
    there = taken(ends, B, C)
    for vm in (B, C):
        replies = [p.reply(n, first_port + n) for n, p in numbered if p.to == vm and not p.forged]
        ends[vm].send([*replies, sentinel(vm)])
    return {**there, "back": taken(ends, A, B, C)[A]}


def taken(ends: dict[str, Wire], *vms: str) -> Verdicts:
    """What came to some VMs, awaited at the same time."""
    with ThreadPoolExecutor(len(vms)) as pool:
        return dict(zip(vms, pool.map(lambda vm: ends[vm].take(), vms), strict=True))


def on_plane(
    lab: Lab, ends: dict[str, Wire], state: DesiredState, batch: list[Probe], first_port: int
) -> Verdicts:
    lab.run(lab.controller.fabric.change(state))
    return judged(ends, batch, first_port)


@settings(
    max_examples=POLICIES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a batch takes a second: what failed is told, not shrunk
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_same_packets_pass(
    labs: dict[str, Lab], wires: dict[str, dict[str, Wire]], data: st.DataObject
):
    state = data.draw(states(labs["ovs"].topology.state()))
    batch = data.draw(st.lists(probes, min_size=PACKETS, max_size=PACKETS))
    first_port = OWN_PORTS + len(BATCHES) * 100
    with ThreadPoolExecutor(2) as pool:
        work = {
            plane: pool.submit(on_plane, lab, wires[plane], state, batch, first_port)
            for plane, lab in labs.items()
        }
        verdicts = {plane: job.result() for plane, job in work.items()}
    BATCHES.append((PACKETS, len(verdicts["ovs"][B] | verdicts["ovs"][C]),
                    len(verdicts["ovs"]["back"])))  # fmt: skip
    for where in (B, C, "back"):
        different = verdicts["ovs"][where] ^ verdicts["hybrid"][where]
        told = {n: (batch[n - 1], "ovs" if n in verdicts["ovs"][where] else "hybrid")
                for n in sorted(different)}  # fmt: skip
        assert not told, f"passed to {where} on one plane only: {told}\n{state.groups}\n{state.acl}"


def test_policies_told_packets_apart():
    """The comparison above means something: much passed and much did not, in both directions."""
    sent, there, back = map(sum, zip(*BATCHES, strict=True))
    assert sent // 10 < there < sent * 9 // 10
    assert sent // 10 < back < sent * 9 // 10
