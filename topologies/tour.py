"""The tour: what the lab can do, shown step by step on real traffic, each step checked."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from subprocess import PIPE
from typing import Literal

from rich.console import Console
from rich.table import Table

from control.errors import ControlError, RefusedError
from control.migration.record import Options
from topologies import tour_policy
from topologies.errors import LabError
from topologies.lab import Lab
from topologies.machine import Machine
from topologies.tour_tools import GUEST, StepFailed, expect, ready, tcp_gbps, until

FORGED_MAC = "02:de:ad:be:ef:00"
FORGED = 10
TEST_PORT = 5001
GAP_LIMIT_MS = 1000.0
# A mostly idle guest, so that pre-copy converges on the slowest switch too.
TOUR_MIGRATION = Options(memory_mib=32, dirty_mib_s=2)


@dataclass(frozen=True)
class Result:
    """One step's outcome for the table."""

    name: str
    outcome: Literal["pass", "refused", "FAIL"]
    detail: str
    seconds: float

    @property
    def mark(self) -> str:
        """The outcome in its colour."""
        colour = {"pass": "green", "refused": "yellow", "FAIL": "red"}[self.outcome]
        return f"[{colour}]{self.outcome}[/]"


class Tour:
    """Walks a lab of at least two VMs on one server, and one on another."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        vms = [vm for vm in lab.controller.state.vms if not vm.groups]
        vms = [vm for vm in vms if vm.network == vms[0].network]
        first = vms[0].server if vms else ""
        local = [vm.name for vm in vms if vm.server == first]
        remote = [vm.name for vm in vms if vm.server != first]
        if len(local) < 2:
            raise LabError(
                "the tour needs a topology whose first server has two VMs of one network, without "
                "security groups; take TOPO=two_servers"
            )
        self.a, self.b = lab.vm(local[0]), lab.vm(local[1])
        self.far = lab.vm(remote[0]) if remote else None
        self.home = first

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Names and functions of the steps that this topology allows, in order."""
        a, b, far = self.a, self.b, self.far
        yield f"ping {a.name} → {b.name}, through one NIC", lambda: self.ping(a, b)
        if far is not None:
            yield f"ping {a.name} → {far.name}, across servers", lambda: self.ping(a, far)
        yield "ACL denies, then lets through again", self.acl
        yield "forged source MAC dropped and counted", self.forged_mac
        yield f"TCP {a.name} → {b.name}, through one NIC", lambda: self.throughput(a, b)
        if far is not None:
            yield f"TCP {a.name} → {far.name}, across servers", lambda: self.throughput(a, far)
            yield f"live migration of {b.name} under a download", self.migration
        yield from self.policy_steps()
        yield "counters", self.counters

    def policy_steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Steps that need the VMs in one plain network."""
        lab, a, b, far = self.lab, self.a, self.b, self.far
        plain = [network.vni is None for network in lab.controller.state.networks] == [True]
        if not plain or far is None:
            return
        yield f"security group on {far.name}", lambda: tour_policy.security_group(lab, a, far)
        yield "load balancer", lambda: tour_policy.load_balancer(lab, a, [b, far])
        yield "the same network as an overlay", lambda: tour_policy.overlay(lab, a, far)

    # the steps: each returns a detail for the table or raises StepFailed

    def ping(self, source: Machine, target: Machine) -> str:
        """Every echo request is answered."""
        answered = source.pings(target.ip, count=5)
        expect(answered == 5, f"{answered} of 5 echo requests answered")
        return "5 of 5 answered"

    def acl(self) -> str:
        """A deny rule stops ping at once, and its removal lets it through at once."""
        rule = {"vm": self.b.name, "action": "deny", "protocol": "icmp", "src": self.a.name}
        name = self.lab.run(self.lab.controller.acl_add(rule))
        try:
            denied = self.a.pings(self.b.ip, count=3, wait=0.3)
        finally:
            self.lab.run(self.lab.controller.acl_delete(name))
        allowed = self.a.pings(self.b.ip, count=3)
        expect(denied == 0, f"{denied} of 3 echo requests passed the rule")
        expect(allowed == 3, f"{allowed} of 3 answered after its removal")
        return "0 of 3 answered with the rule, 3 of 3 without"

    def forged_mac(self) -> str:
        """Frames with a source MAC that is not the VF's do not arrive, and are counted."""
        before = self._spoofed(self.a)
        python = sys.executable
        listening = [python, GUEST, "listen", "eth0", FORGED_MAC, "1.0"]
        with ready(self.b, listening) as listener:
            forging = ["forge", "eth0", FORGED_MAC, self.b.mac, str(FORGED)]
            self.a.run([python, GUEST, *forging], check=True)
            output, _ = listener.communicate(timeout=10)
        arrived = int(output)
        expect(arrived == 0, f"{arrived} forged frames arrived")
        if self.lab.kit.source is None:
            return f"0 of {FORGED} arrived (this plane does not count drops by reason)"
        counted = until(lambda: self._spoofed(self.a) - before, FORGED)
        expect(counted == FORGED, f"{counted} of {FORGED} drops counted")
        return f"0 of {FORGED} arrived, {counted} counted as forged"

    def throughput(self, source: Machine, target: Machine) -> str:
        """iperf3 for two seconds."""
        rate = tcp_gbps(source, target)
        expect(rate > 1e-3, f"only {1000 * rate:.1f} Mb/s")
        return f"{rate:.2f} Gb/s"

    def migration(self) -> str:
        """A VM that downloads from another moves; the download goes on."""
        other = next(s.name for s in self.lab.controller.state.servers if s.name != self.home)
        python = sys.executable
        command = [python, GUEST, "download", self.a.ip, str(TEST_PORT)]
        with (
            ready(self.a, [python, GUEST, "serve", str(TEST_PORT)]),
            ready(self.b, command, stdin=PIPE) as download,
        ):
            self._receiving(self.b)
            moved = self.lab.run(
                self.lab.controller.migrations.migrate(self.b.name, other, TOUR_MIGRATION)
            )
            self._receiving(self.b)
            output, _ = download.communicate(timeout=20)
        report = json.loads(output)
        expect(not report["error"], f"the download broke: {report['error']}")
        expect(report["gap_ms"] < GAP_LIMIT_MS, f"a gap of {report['gap_ms']:.0f} ms")
        where = self.lab.controller.vm(self.b.name).server
        expect(where == other, f"{self.b.name} is on {where}, not on {other}")
        rate = report["bytes"] * 8 / report["seconds"] / 1e9
        return (
            f"longest gap in the download {report['gap_ms']:.1f} ms (guest frozen for "
            f"{moved.blackout_ms:.1f} ms), {moved.lost} packets lost, {rate:.2f} Gb/s"
        )

    def counters(self) -> str:
        """Every VM's VF has counted traffic in both directions."""
        rows = self.lab.run(self.lab.controller.stats())
        machines = (self.a, self.b, *([self.far] if self.far else []))
        by_name = {row["port"]: row for row in rows if row["port"] not in ("PF", "uplink")}
        for machine in machines:
            row = by_name[machine.name]
            expect(row["tx_packets"] > 0, f"{machine.name} has sent nothing")
            expect(row["rx_packets"] > 0, f"{machine.name} has received nothing")
        packets = sum(row["tx_packets"] for row in by_name.values())
        return f"{len(by_name)} VFs sent {packets} packets"

    # helpers

    def _receiving(self, machine: Machine) -> None:
        """Wait until a machine's download runs."""

        def received() -> int:
            return int(self.lab.run(self.lab.controller.stats(machine.name))[0]["rx_packets"])

        before = received()
        expect(until(lambda: received() - before, 200) >= 200, "the download does not start")

    def _spoofed(self, machine: Machine) -> int:
        """Frames of a VM dropped for their source MAC."""
        row = self.lab.run(self.lab.controller.stats(machine.name))[0]
        return sum(n for reason, n in row["drops"].items() if "forged source MAC" in reason)


def run(lab: Lab, console: Console) -> bool:
    """Walk the tour, print the table, and return whether no step failed.

    What a plane other than the hybrid NIC cannot do it refuses with the reason: that is shown, and
    is no failure.
    """
    results = []
    for name, step in Tour(lab).steps():
        with console.status(name):
            result = take(lab, name, step)
        results.append(result)
        console.print(f"{result.mark} {name}: {result.detail}", highlight=False)
    console.print(_table(results))
    well = all(result.outcome != "FAIL" for result in results)
    if not well:
        console.print(f"events: {lab.rundir.logs}/lab.log", highlight=False)
    return well


def take(lab: Lab, name: str, step: Callable[[], str]) -> Result:
    """Take one step of the tour."""
    outcome: Literal["pass", "refused", "FAIL"] = "pass"
    began = time.monotonic()
    try:
        detail = step()
    except (StepFailed, LabError, ControlError) as problem:
        refused = isinstance(problem, RefusedError) and lab.kit.name != "hybrid"
        outcome, detail = "refused" if refused else "FAIL", str(problem)
    return Result(name, outcome, detail, time.monotonic() - began)


def _table(results: list[Result]) -> Table:
    """The pass/fail table."""
    outcomes = [result.outcome for result in results]
    title = f"tour: {outcomes.count('pass')} of {len(results)} steps passed"
    if refused := outcomes.count("refused"):
        title += f", {refused} refused by this plane"
    table = Table(title=title, title_justify="left")
    table.add_column("step")
    table.add_column("")
    table.add_column("seen")
    table.add_column("s", justify="right")
    for result in results:
        table.add_row(result.name, result.mark, result.detail, f"{result.seconds:.1f}")
    return table
