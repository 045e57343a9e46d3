"""Both ways in which a VF reaches a guest: behind a stable back end, and as the guest's device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from control.migration.record import Options as MigrationOptions
from tests.planes.agent import Agent
from topologies.errors import LabError
from topologies.hypervisor import Hypervisor
from topologies.lab import Lab

from .helpers import altered_lab, evacuate, needs_root

pytestmark = [pytest.mark.lab, needs_root]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two servers; vm2 has its VF itself, the others a back end."""
    folder = tmp_path_factory.mktemp("guests")
    with altered_lab(folder, "guests", "{name: vm2,", "{name: vm2, model: vf,") as lab:
        yield lab


def devices(lab: Lab, vm: str) -> tuple[str, str]:
    """MAC address and IPv4 address of a guest's eth0."""
    output = lab.vm(vm).run(["ip", "-o", "addr", "show", "eth0"], check=True).stdout
    link = lab.vm(vm).run(["ip", "-o", "link", "show", "eth0"], check=True).stdout
    return link.split("link/ether ")[1].split()[0], output.split("inet ")[1].split()[0]


def test_a_guest_with_a_vf_of_its_own_talks_to_all(mixed: Lab) -> None:
    assert devices(mixed, "vm2") == ("02:00:00:00:00:02", "10.0.0.2/24")
    for other in ("vm1", "vm3"):
        assert mixed.vm("vm2").pings(mixed.vm(other).ip, count=2) == 2


@pytest.mark.parametrize("vm", ["vm1", "vm2"])
def test_both_models_move_there_and_back(mixed: Lab, vm: str) -> None:
    before = devices(mixed, vm)
    migrations = mixed.controller.migrations
    for server in ("server2", "server1"):
        options = MigrationOptions(memory_mib=1, dirty_mib_s=0)
        report = mixed.run(migrations.migrate(vm, server, options))
        assert report.outcome == "moved"
        assert mixed.controller.vm(vm).server == server
        assert devices(mixed, vm) == before
        for other in ("vm3", "vm4"):
            assert mixed.vm(other).pings(mixed.vm(vm).ip, count=3) == 3


def offer(lab: Lab, nic: str, vfs: int) -> None:
    """Change how many VFs a NIC offers; the VMs have little memory from now on."""
    state = lab.controller.state
    nics = [n.model_copy(update={"vfs": vfs}) if n.name == nic else n for n in state.nics]
    vms = [vm.model_copy(update={"memory_mib": 1}) for vm in state.vms]
    lab.run(lab.controller.fabric.change(state.model_copy(update={"nics": nics, "vms": vms})))


@pytest.fixture
def held(mixed: Lab) -> Iterator[Agent]:
    """Holds a connection from vm2 to vm1."""
    service, client = Agent(mixed.vm("vm1")), Agent(mixed.vm("vm2"))
    try:
        service.tell("serve", 8080, "vm1")
        client.tell("hold", mixed.vm("vm1").ip, 8080)
        yield client
    finally:
        service.end()
        client.end()


def test_a_full_server_is_evacuated(
    mixed: Lab, held: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that can leave do, guests of both models at once; a connection between two stays."""
    offer(mixed, "nic2", 8)
    quick = MigrationOptions(memory_mib=1, drain_s=0.1)
    for name in ("vm3", "vm4"):
        mixed.run(mixed.controller.migrations.migrate(name, "server1", quick))
    freeze = Hypervisor.freeze

    async def reluctant(hypervisor: Hypervisor, vm: str) -> None:
        if vm == "vm2":
            raise LabError("vm2 does not stop.")
        await freeze(hypervisor, vm)

    with monkeypatch.context() as patch:
        patch.setattr(Hypervisor, "freeze", reluctant)
        status, lines, error = evacuate(mixed, "server1")
    assert (status, error) == (1, "error: 1 of 4 VMs could not leave server1."), lines
    assert lines.pop(1) == "vm2: stays: vm2 does not stop. vm2 runs on server1 as before."
    for name, line in zip(("vm1", "vm3", "vm4"), lines, strict=True):
        assert line.startswith(f"{name}: moved to server2, blackout ")
    assert held.tell("again", 5) == "vm1 10.0.0.2"

    offer(mixed, "nic2", 3)
    no_room = "vm2: stays: server2 has no free VF: nic2 offers 3 and all are assigned; "
    no_room += "move a VM away from it first."
    failed = (1, [no_room], "error: 1 of 1 VMs could not leave server1.")
    assert evacuate(mixed, "server1") == failed
    offer(mixed, "nic2", 8)
    status, lines, error = evacuate(mixed, "server1")
    assert (status, len(lines), error) == (0, 1, "")
    assert evacuate(mixed, "server1") == (0, ["there are no VMs on server1"], "")
    assert held.tell("again", 5) == "vm1 10.0.0.2"

    assert {vm.server for vm in mixed.controller.state.vms} == {"server2"}
    assert mixed.controller.migrations.journal() == {}
    assert mixed.run(mixed.controller.fabric.audit()) == []
    for name in ("vm2", "vm3", "vm4"):
        assert mixed.vm(name).pings(mixed.vm("vm1").ip, count=2) == 2
        assert mixed.vm("vm1").pings(mixed.vm(name).ip, count=2) == 2
