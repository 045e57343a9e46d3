"""A running lab for migrations: every test begins and ends with the VMs at home."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from control.migration.record import Options
from tests.lab import helpers
from topologies.lab import Lab
from topologies.lab import Options as LabOptions

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


async def phases(lab: Lab, vm: str) -> AsyncIterator[str]:
    """Phases of a VM's migration as the journal shows them."""
    last = ""
    while True:
        record = lab.controller.migrations.journal().get(vm)
        if record is not None and record["phase"] != last:
            last = record["phase"]
            yield last
        await asyncio.sleep(0.005)
