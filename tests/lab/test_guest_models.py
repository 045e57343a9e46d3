"""Both ways in which a VF reaches a guest: behind a stable back end, and as the guest's device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from control.migration.record import Options as MigrationOptions
from topologies.lab import Lab

from .helpers import altered_lab, needs_root

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
