"""What tenants use a network for, on both planes: services, routers, outside addresses, mirrors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from control.errors import RefusedError
from control.migration.record import Options as MigrationOptions
from control.model.services import (
    FloatingIp,
    GroupRule,
    HealthCheck,
    LoadBalancer,
    Member,
    Mirror,
    Router,
    SecurityGroup,
    SourceNat,
)
from tests.lab.helpers import wait_for
from topologies.lab import Lab

from .agent import Agent
from .conftest import changed

PORT = "9000"
PATIENCE_S, SILENCE_S = 5.0, 0.8
VIP, FLOATING = "10.0.0.100", "192.168.0.150"
SHARED = {"nic1": "192.168.0.101", "nic2": "192.168.0.102"}


class Agents:
    """Of all labs, by lab and name; started when they are first asked for."""

    def __init__(self) -> None:
        self._all: dict[tuple[Lab, str], Agent] = {}

    def of(self, lab: Lab, name: str) -> Agent:
        if (lab, name) not in self._all:
            place = lab.server(name) if name.startswith("server") else lab.vm(name)
            self._all[lab, name] = Agent(place)
        return self._all[lab, name]

    def close(self) -> None:
        for agent in self._all.values():
            agent.end()
        self._all.clear()


AGENTS = Agents()


@pytest.fixture(scope="module", autouse=True)
def _agents(labs: dict[str, Lab]) -> Iterator[None]:  # after the labs, so that it ends before them
    yield
    AGENTS.close()


@contextmanager
def serving(lab: Lab, *names: str, port: str = PORT) -> Iterator[None]:
    """Some VMs and servers tell their names at a port."""
    for name in names:
        AGENTS.of(lab, name).tell("serve", port, name)
    try:
        yield
    finally:
        for name in names:
            AGENTS.of(lab, name).tell("close", port)


def ask(lab: Lab, name: str, address: str, port: str = PORT, count: int = 1) -> list[str]:
    """Answers to connections."""
    answers: list[str] = AGENTS.of(lab, name).tell("ask", address, port, count, PATIENCE_S)
    return answers


def reached(lab: Lab, name: str, address: str, port: str = PORT) -> bool:
    """Whether a connection is possible, with less patience."""
    return " " in AGENTS.of(lab, name).tell("ask", address, port, 1, SILENCE_S)[0]


def hold(lab: Lab, name: str, address: str, port: str = PORT) -> Callable[..., str | None]:
    """Open a connection; the function asks through it."""
    agent = AGENTS.of(lab, name)
    agent.tell("hold", address, port)
    return lambda patience=PATIENCE_S: agent.tell("again", patience)


def change(lab: Lab, **lists: object) -> None:
    lab.run(lab.controller.fabric.change(changed(lab.controller.state, **lists)))


def balancer(*members: Member, health: HealthCheck | None = None) -> LoadBalancer:
    return LoadBalancer(
        name="shop", network="web", address=VIP, port=80, members=list(members), health=health
    )


def grouped(lab: Lab, vm: str, *groups: str) -> list[object]:
    """All VMs, one of them in other groups."""
    vms = lab.controller.state.vms
    return [v.model_copy(update={"groups": list(groups)}) if v.name == vm else v for v in vms]


def test_overlapping_tenants_are_apart(lab: Lab):
    with serving(lab, "m3", "z3", "m1"):
        assert ask(lab, "a1", "10.0.0.3") == ["m3 10.0.0.1"]
        assert ask(lab, "z1", "10.0.0.3") == ["z3 10.0.0.1"]
        assert not reached(lab, "z1", "10.0.0.2")


def test_networks_of_a_tenant_are_routed(lab: Lab):
    a1 = lab.vm("a1")
    for address in ("10.0.1.4", "10.0.0.254", "10.0.1.254", "fd00::3", "fd00:1::4"):
        wait_for(lambda address=address: a1.pings(address) == 1, 5)
    assert "ttl=63" in a1.run(["ping", "-c", "1", "10.0.1.4"]).stdout


def test_a_service_keeps_connections_and_drains(lab: Lab):
    members = [Member(vm="m1", port=8080), Member(vm="m3", port=8080, weight=2)]
    change(lab, load_balancers=[balancer(*members)])
    with serving(lab, "m1", "m3", port="8080"):
        answers = ask(lab, "a1", VIP, "80", count=24)
        assert set(answers) == {"m1 10.0.0.1", "m3 10.0.0.1"}
        assert ask(lab, "d4", VIP, "80")[0] in {"m1 10.0.1.4", "m3 10.0.1.4"}
        again = hold(lab, "a1", VIP, "80")
        first = again()
        assert first in answers
        kept = first.partition(" ")[0]
        drained = [m.model_copy(update={"drain": m.vm == kept}) for m in members]
        change(lab, load_balancers=[balancer(*drained)])
        assert again() == first
        assert first not in ask(lab, "a1", VIP, "80", count=8)
        assert again() == first
        change(lab, load_balancers=[])
        assert not reached(lab, "a1", VIP, "80")


def test_a_member_is_judged_by_its_own_rules(lab: Lab):
    members = [Member(vm="m3", port=8080)]
    for stateful in (True, False):
        group = SecurityGroup(
            name="backend",
            stateful=stateful,
            rules=[
                GroupRule(protocol="tcp", ports="8080"),
                GroupRule(direction="out", protocol="udp"),
            ],
        )
        change(
            lab,
            load_balancers=[balancer(*members)],
            groups=[group],
            vms=grouped(lab, "m3", "backend"),
        )
        with serving(lab, "m3", port="8080"), serving(lab, "m3"):
            assert ask(lab, "a1", VIP, "80") == ["m3 10.0.0.1"]
            assert not reached(lab, "a1", "10.0.0.3")
            # Without state no rule lets replies out.
            assert reached(lab, "a1", "10.0.0.3", "8080") == stateful


def outside(lab: Lab, **floating: str) -> None:
    """Give the tenant a way out through the servers' network."""
    gateway = lab.topology.server("server1").mac
    snat = [SourceNat(nic=nic, address=address) for nic, address in SHARED.items()]
    router = Router(tenant="acme", outside="lan", gateway_mac=gateway, snat=snat)
    addresses = [FloatingIp(address=address, vm=vm) for vm, address in floating.items()]
    change(lab, routers=[router], floating=addresses)


def test_outside_addresses_shared_and_floating(lab: Lab):
    outside(lab, m3=FLOATING)
    with serving(lab, "server1", "m3"):
        assert ask(lab, "a1", "192.168.0.1", count=2) == [f"server1 {SHARED['nic1']}"] * 2
        assert ask(lab, "d4", "192.168.0.1") == [f"server1 {SHARED['nic2']}"]
        assert ask(lab, "m3", "192.168.0.1") == [f"server1 {FLOATING}"]
        assert ask(lab, "server1", FLOATING) == ["m3 192.168.0.1"]
        assert lab.vm("a1").pings("192.168.0.1") == 1
        assert lab.server("server1").pings(FLOATING) == 1
        assert lab.server("server1").pings(SHARED["nic1"]) == 1


def test_what_is_forbidden_ends(lab: Lab):
    rules = [GroupRule(protocol="tcp", ports=PORT), GroupRule(protocol="icmp")]
    vms = grouped(lab, "m3", "web")
    change(lab, groups=[SecurityGroup(name="web", rules=rules)], vms=vms)
    with serving(lab, "m3"):
        again = hold(lab, "a1", "10.0.0.3")
        assert again() == "m3 10.0.0.1"
        change(lab, groups=[SecurityGroup(name="web", rules=rules[1:])])
        assert again(SILENCE_S) is None
        assert not reached(lab, "a1", "10.0.0.3")
        change(lab, groups=[SecurityGroup(name="web", rules=rules)])
        answer = again()  # perhaps to both questions: the one that was lost is repeated
        assert answer is not None
        assert answer.startswith("m3 10.0.0.1")


def test_a_mirror_copies_to_the_server(lab: Lab):
    change(lab, mirrors=[Mirror(name="tap", id=1, vm="a1", to_port="pf", bytes=64)])
    command = ["tcpdump", "-Z", "root", "-l", "-n", "-e", "-c", "4", "-i", "pf0"]
    with lab.server("server1").popen([*command, "icmp and host 10.0.0.3"]) as watch:
        assert watch.stderr is not None
        while "listening" not in watch.stderr.readline():
            assert watch.poll() is None
        assert lab.vm("a1").pings("10.0.0.3", count=2) == 2
        try:
            lines = watch.communicate(timeout=5)[0].splitlines()
        finally:
            watch.terminate()
    assert sum("echo request" in line for line in lines) == 2
    assert sum("echo reply" in line for line in lines) == 2
    assert all("length 64" in line for line in lines)


def test_private_mode_isolates_and_quota_limits(lab: Lab):
    nics = [nic.model_copy(update={"mode": "private"}) for nic in lab.controller.state.nics]
    change(lab, nics=nics)
    assert lab.vm("a1").pings("10.0.0.2", wait=0.3) == 0
    assert lab.vm("a1").pings("10.0.0.3") == 1


def test_only_what_open_vswitch_cannot_do_is_refused(labs: dict[str, Lab]):
    lab = labs["ovs"]
    probed = balancer(Member(vm="m1", port=80), health=HealthCheck())
    with pytest.raises(RefusedError, match="health checks"):
        change(lab, load_balancers=[probed])


def migrate(lab: Lab, vm: str, server: str) -> None:
    options = MigrationOptions(memory_mib=1, dirty_mib_s=0, drain_s=0.1)
    lab.run(lab.controller.migrations.migrate(vm, server, options))


@contextmanager
def at_home(lab: Lab, *names: str) -> Iterator[None]:
    """Some VMs move in the block, and are where they were afterwards."""
    homes = {name: lab.controller.vm(name).server for name in names}
    try:
        yield
    finally:
        for name, server in homes.items():
            if lab.controller.vm(name).server != server:
                migrate(lab, name, server)


def test_a_moved_member_keeps_its_connections(lab: Lab):
    change(lab, load_balancers=[balancer(Member(vm="m1", port=8080))])
    with at_home(lab, "m1"), serving(lab, "m1", port="8080"):
        again, direct = hold(lab, "a1", VIP, "80"), hold(lab, "d4", "10.0.0.2", "8080")
        assert (again(), direct()) == ("m1 10.0.0.1", "m1 10.0.1.4")
        for server in ("server2", "server1"):
            migrate(lab, "m1", server)
            assert (again(), direct()) == ("m1 10.0.0.1", "m1 10.0.1.4")
            assert ask(lab, "a1", VIP, "80", count=2) == ["m1 10.0.0.1"] * 2


def test_a_drained_member_that_moves_keeps_its_connections(lab: Lab):
    """And gets no new ones, whether they come from its old server or its new one."""
    members = [Member(vm="m1", port=8080), Member(vm="m3", port=8080)]
    change(lab, load_balancers=[balancer(members[0])])
    with at_home(lab, "m1"), serving(lab, "m1", "m3", port="8080"):
        near, far = hold(lab, "a1", VIP, "80"), hold(lab, "d4", VIP, "80")
        kept = (near(), far())
        assert kept == ("m1 10.0.0.1", "m1 10.0.1.4")
        drained = members[0].model_copy(update={"drain": True})
        change(lab, load_balancers=[balancer(drained, members[1])])
        for server in ("server2", "server1"):
            migrate(lab, "m1", server)
            assert (near(), far()) == kept
            assert ask(lab, "a1", VIP, "80", count=3) == ["m3 10.0.0.1"] * 3
            assert ask(lab, "d4", VIP, "80", count=3) == ["m3 10.0.1.4"] * 3


@pytest.mark.parametrize("lab", ["hybrid"], indirect=True)  # Open vSwitch forgets the choice
def test_the_choice_of_a_service_stays_when_its_client_moves(lab: Lab):
    """Also when no new connection would be given to the member that was chosen."""
    members = [Member(vm="m1", port=8080), Member(vm="m3", port=8080)]
    change(lab, load_balancers=[balancer(*members)])
    with at_home(lab, "a1"), serving(lab, "m1", "m3", port="8080"):
        again = hold(lab, "a1", VIP, "80")
        first = again()
        assert first in {"m1 10.0.0.1", "m3 10.0.0.1"}
        drained = [m.model_copy(update={"drain": f"{m.vm} 10.0.0.1" == first}) for m in members]
        change(lab, load_balancers=[balancer(*drained)])
        for server in ("server2", "server1"):
            migrate(lab, "a1", server)
            assert again() == first
            assert first not in ask(lab, "a1", VIP, "80", count=4)


def test_a_floating_address_follows_its_vm(lab: Lab):
    outside(lab, m3=FLOATING)
    with at_home(lab, "m3"), serving(lab, "server1", "m3"):
        inward, outward = hold(lab, "server1", FLOATING), hold(lab, "m3", "192.168.0.1")
        for server in ("server1", "server2"):
            migrate(lab, "m3", server)
            assert (inward(), outward()) == ("m3 192.168.0.1", f"server1 {FLOATING}")
            assert ask(lab, "server1", FLOATING) == ["m3 192.168.0.1"]
            assert ask(lab, "m3", "192.168.0.1") == [f"server1 {FLOATING}"]


@pytest.mark.parametrize("lab", ["hybrid"], indirect=True)  # Open vSwitch forgets the port
def test_a_shared_outside_address_stays_with_a_connection(lab: Lab):
    """New connections have the address of the NIC that the VM is at."""
    outside(lab)
    with at_home(lab, "m1"), serving(lab, "server1"):
        again = hold(lab, "m1", "192.168.0.1")
        for server, nic in (("server2", "nic2"), ("server1", "nic1")):
            migrate(lab, "m1", server)
            assert again() == f"server1 {SHARED['nic1']}"
            assert ask(lab, "m1", "192.168.0.1") == [f"server1 {SHARED[nic]}"]
