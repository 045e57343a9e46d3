"""Controllers in processes of their own, so that a test can kill them for real.

Each line of standard input is a JSON object: where the data plane is, what to do, a fault to arm. A
child is forked for it, so that nothing is imported again, and its line of JSON goes to standard
output: the VM's place, what it wrote at its start, the migration's report, and what a fresh
read-back of the NICs finds to differ in the end; or null if the child was killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from control.errors import ControlError
from control.events import EventBus
from control.fabric import Endpoint, Fabric
from control.migration import faults
from control.migration.attempt import Attempt
from control.migration.manager import MigrationManager, Progress
from control.migration.record import Options, Record
from control.migration.report import MigrationReport
from control.migration.site import Site
from control.service import Controller
from control.session import Pipeline
from control.store import Store
from topologies.hypervisor import Hypervisor
from topologies.loader import load
from topologies.network import LabNetwork, Ports
from topologies.silicon import control_threads

READY_S = 20


@dataclass(frozen=True)
class RemoteNic:
    """What a hypervisor asks of a NIC, whose switch process another process has started."""

    process: int
    target: str

    @property
    def space(self) -> int:
        return os.getpid()

    def control_threads(self) -> list[int]:
        return control_threads(self.process) if self.target == "native" else []


class RemoteNetwork(LabNetwork):
    """Names and processes of a network that another process has built."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__(
            load(task["topology"]), task["target"], SimpleNamespace(), Ports(prefix=task["prefix"]),
            offloads=True,
        )  # fmt: skip
        self._pids = task["pids"]
        self.nics = {
            name: RemoteNic(process, task["target"]) for name, process in task["switches"].items()
        }

    def node(self, name: str) -> Any:
        return SimpleNamespace(pid=self._pids[name])


async def work(task: dict[str, Any]) -> dict[str, Any]:
    """Start a controller, do what the task says, and tell how things are then."""
    network = RemoteNetwork(task)
    endpoints = [Endpoint(**end) for end in task["endpoints"]]
    pipeline = Pipeline(Path(task["p4info"]), Path(task["json"]))
    store = Store(task["store"])
    fabric = Fabric(endpoints, pipeline, store, EventBus())
    hypervisor = Hypervisor(network)

    def begin(record: Record, progress: Progress | None) -> Attempt:
        site = Site(fabric, record.vm)
        return Attempt(record, site, store=store, hypervisor=hypervisor, progress=progress)

    controller = Controller(fabric, hypervisor, store, MigrationManager(fabric, store, begin))
    result: dict[str, Any] = {"error": ""}
    try:
        await controller.start(network.topology.state(), READY_S)
        result["wrote_at_start"] = [e.text for e in fabric.bus.recent if e.kind == "write"]
        options = Options.model_validate(task.get("options", {}))
        for vm, server in task.get("migrate", []):
            async for item in controller.migrations.stream(vm, server, options):
                if isinstance(item, MigrationReport):
                    result["report"] = asdict(item)
    except ControlError as error:
        result["error"] = str(error)
    finally:
        back = (fabric.nic(name).wait_up() for name in fabric.nic_names)
        await asyncio.wait_for(asyncio.gather(*back), READY_S)  # NICs that a test killed
        result["places"] = {vm.name: vm.server for vm in fabric.state.vms}
        result["journal"] = list(store.journal())
        result["leftovers"] = await fabric.audit()
        await controller.stop()
    return result


def one_controller(task: dict[str, Any]) -> dict[str, Any] | None:
    """Do a task in a child process; what it tells, None if it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.environ[faults.VARIABLE] = task["fault"]
        signal.alarm(task["timeout"])
        with os.fdopen(writing, "w") as answer:
            json.dump(asyncio.run(work(task)), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGKILL:
        return None
    assert status == 0, f"a controller ended with {status}"
    return json.loads(told)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(one_controller(json.loads(line))), flush=True)
