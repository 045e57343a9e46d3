"""The tour's second part: what the NIC's tables can do beyond switching, one change at a time.

Each step changes the desired state, looks at traffic, and puts the state back.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from subprocess import PIPE
from typing import Any

from control.model import DesiredState
from control.model.types import is_v6
from topologies.lab import Lab
from topologies.machine import Machine
from topologies.tour_tools import GUEST, StepFailed, expect, ready, until

SERVICE_PORT, VIRTUAL_PORT, CLOSED_PORT = 8080, 80, 8081
VNI = 4242
REQUESTS = 12


@contextmanager
def changed(lab: Lab, **sections: Any) -> Iterator[None]:
    """The lab with some sections of its desired state replaced, for a while."""
    fabric, before = lab.controller.fabric, lab.controller.state
    lab.run(fabric.change(DesiredState.model_validate({**before.model_dump(), **sections})))
    try:
        yield
    finally:
        lab.run(fabric.change(before))


def security_group(lab: Lab, source: Machine, target: Machine) -> str:
    """A stateful group lets one port of a VM be reached, and nothing else."""
    rules = [{"protocol": "tcp", "ports": str(SERVICE_PORT)}]
    vms = [vm.model_dump() for vm in lab.controller.state.vms]
    for vm in vms:
        if vm["name"] == target.name:
            vm["groups"] = ["service"]
    with ExitStack() as stack:
        for port in (SERVICE_PORT, CLOSED_PORT):
            stack.enter_context(ready(target, _answer(target, port)))
        expect(_ask(source, target.ip, CLOSED_PORT) == target.name, "not reachable before")
        stack.enter_context(changed(lab, groups=[{"name": "service", "rules": rules}], vms=vms))
        expect(source.pings(target.ip, count=2, wait=0.3) == 0, "ping passes the group")
        expect(_ask(source, target.ip, CLOSED_PORT) == "", "a closed port passes the group")
        expect(_ask(source, target.ip, SERVICE_PORT) == target.name, "the open port does not")
    return f"port {SERVICE_PORT} open, all else closed; replies pass by connection"


def load_balancer(lab: Lab, client: Machine, members: list[Machine]) -> str:
    """Requests to a virtual address are spread over two VMs."""
    address = _free_address(lab, client)
    service = {
        "name": "tour",
        "network": lab.controller.state.networks[0].name,
        "address": address,
        "port": VIRTUAL_PORT,
        "members": [{"vm": member.name, "port": SERVICE_PORT} for member in members],
    }
    with ExitStack() as stack:
        for member in members:
            stack.enter_context(ready(member, _answer(member, SERVICE_PORT)))
        stack.enter_context(changed(lab, load_balancers=[service]))
        answers = [_ask(client, address, VIRTUAL_PORT) for _ in range(REQUESTS)]
    counts = {member.name: answers.count(member.name) for member in members}
    expect(sum(counts.values()) == REQUESTS, f"{answers.count('')} of {REQUESTS} not answered")
    expect(min(counts.values()) > 0, f"all went to one member: {counts}")
    shares = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"{REQUESTS} requests to {address}:{VIRTUAL_PORT}: {shares}"


def _free_address(lab: Lab, client: Machine) -> str:
    """The last IPv4 address of a VM's subnet that nobody has."""
    vm, state = lab.controller.vm(client.name), lab.controller.state
    own = next((ip for ip in vm.ips if not is_v6(ip)), None)
    if own is None:
        raise StepFailed(f"{vm.name} has no IPv4 address, which the balancer's clients need")
    subnet = ipaddress.ip_interface(own).network
    given = [ip for other in state.vms for ip in other.ips]
    given += [ip for network in state.networks for ip in network.gateways]
    taken = {ipaddress.ip_interface(ip).ip for ip in given}
    hosts = range(subnet.num_addresses - 2, 0, -1)
    found = next((subnet[host] for host in hosts if subnet[host] not in taken), None)
    if found is None:
        raise StepFailed(f"{subnet} has no free address for a service")
    return str(found)


def overlay(lab: Lab, source: Machine, target: Machine) -> str:
    """The same VMs in a VXLAN overlay: the underlay sees tunnels only, the guests nothing."""
    networks = [network.model_dump() for network in lab.controller.state.networks]
    networks[0]["vni"] = VNI
    tor = Machine(lab.network.node(lab.topology.tor))
    counting = [sys.executable, GUEST, "tunnels", lab.controller.state.nics[0].name, str(VNI)]
    with changed(lab, networks=networks), ready(tor, counting, stdin=PIPE) as counter:
        expect(until(lambda: source.pings(target.ip), 1) == 1, "no answer in the overlay")
        answered = source.pings(target.ip, count=5)
        output, _ = counter.communicate(timeout=15)
    expect(answered == 5, f"{answered} of 5 answered")
    expect(int(output) >= 10, f"only {output.strip()} tunnel frames on the uplink")
    return f"5 of 5 answered, in VXLAN with VNI {VNI} on the uplink"


def _answer(machine: Machine, port: int) -> list[str]:
    """A program that answers every connection with the VM's name."""
    return [sys.executable, GUEST, "answer", str(port), machine.name]


def _ask(client: Machine, address: str, port: int) -> str:
    """The name that a guest's ``answer`` program returns, or an empty string."""
    result = client.run([sys.executable, GUEST, "ask", address, str(port), "0.7"])
    return result.stdout.strip()
