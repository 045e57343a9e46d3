"""A running lab for migrations: every test begins and ends with the VMs at home."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from finsy.proto import p4r

from control.migration.record import Options
from tests.lab import helpers
from tests.lab.helpers import wait_for
from topologies.lab import Lab
from topologies.lab import Options as LabOptions
from topologies.network import LabNetwork

Arm = Callable[[str, Callable[[], object]], None]
QUICK = Options(memory_mib=4, drain_s=0.1)
GUEST = str(Path(__file__).parents[2] / "topologies" / "guest.py")


def lab_options(directory: Path, prefix: str) -> LabOptions:
    """Options of a lab that meets no other."""
    return helpers.lab_options(directory, f"{prefix}{os.getpid() % 100:02d}")


def move(lab: Lab, vm: str, server: str, options: Options = QUICK) -> Any:
    return lab.run(lab.controller.migrations.migrate(vm, server, options), timeout=90)


def change(lab: Lab, vm: str = "vm1", settings: dict[str, Any] | None = None, **lists: Any) -> None:
    """Change settings of one VM, and lists of the desired state such as its rules."""
    state = lab.controller.state
    vms = [v.model_copy(update=settings or {}) if v.name == vm else v for v in state.vms]
    wanted = state.model_validate({**state.model_dump(), "vms": vms, **lists})
    lab.run(lab.controller.fabric.change(wanted))


def set_link(lab: Lab, nic: str, state: str) -> None:
    """Really set a NIC's end of its uplink ``up`` or ``down``."""
    subprocess.run(["ip", "link", "set", lab.network.uplink(nic), state], check=True)


def kill(lab: Lab, nic: str) -> None:
    """Kill a NIC's process; the lab's watchdog starts it again."""
    os.kill(lab.network.nics[nic].process.pid, signal.SIGKILL)


def go_home(lab: Lab) -> None:
    """VMs and policy as in the topology."""
    first = lab.topology.state()
    for vm in first.vms:
        if lab.controller.vm(vm.name).server != vm.server:
            move(lab, vm.name, vm.server)
    vfs = {vm.name: vm.vf for vm in lab.controller.state.vms}
    vms = [vm.model_copy(update={"vf": vfs[vm.name]}) for vm in first.vms]
    lab.run(lab.controller.fabric.change(first.model_copy(update={"vms": vms})))


def leftovers(lab: Lab) -> list[str]:
    """What a reconciliation from a fresh read-back has to change: nothing."""
    return lab.run(lab.controller.fabric.audit())


def policy(thread: int) -> int:
    """A thread's scheduling policy; 0 is the caller."""
    return os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK


def urgent_threads(network: LabNetwork) -> int:
    """How many of the NICs' control threads run in real time."""
    threads = [thread for nic in network.nics.values() for thread in nic.control_threads()]
    return sum(policy(thread) == os.SCHED_RR for thread in threads)


def connections(lab: Lab, nic: str) -> int:
    """How many entries a NIC has of connections."""
    session = lab.controller.fabric.nic(nic)
    query = p4r.Entity()
    query.table_entry.table_id = session.encoder.table_ids["connection_v4_table"]
    return len(lab.run(session.read([query])))


async def phases(lab: Lab, vm: str) -> AsyncIterator[str]:
    """Phases of a VM's migration as the journal shows them."""
    last = ""
    while True:
        record = lab.controller.migrations.journal().get(vm)
        if record is not None and record["phase"] != last:
            last = record["phase"]
            yield last
        await asyncio.sleep(0.005)


def settled(lab: Lab, server: str) -> None:
    """vm1 is on ``server`` only: reached from all, nothing left over anywhere."""
    fabric = lab.controller.fabric
    wait_for(lambda: all(fabric.is_up(nic) for nic in fabric.nic_names))
    assert lab.controller.vm("vm1").server == server
    assert [p.role for p in fabric.placements["vm1"]] == ["active"]
    assert lab.controller.migrations.journal() == {}
    assert leftovers(lab) == []
    wait_for(lambda: lab.vm("vm1").pings(lab.vm("vm3").ip, count=2) == 2)  # it speaks first
    for other in ("vm2", "vm3"):
        assert lab.vm(other).pings(lab.vm("vm1").ip, count=2) == 2, other
