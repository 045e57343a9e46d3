"""A running lab, and a data plane without a controller: tests bring, and kill, their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from control.migration import faults
from tests.lab.helpers import free_ports
from tests.migration.helpers import Arm, lab_options
from topologies.hypervisor import Hypervisor
from topologies.lab import Lab
from topologies.loader import load
from topologies.machine import Machine
from topologies.network import LabNetwork, Ports
from topologies.planes import plane
from topologies.rundir import RunDirectory
from topologies.toolchain import ROOT, choose_compiler, choose_target, compile_program

SCRIPT = Path(__file__).with_name("controller_process.py")


class DataPlane:
    """Servers, NICs and VMs of ``two_servers``."""

    def __init__(self, network: LabNetwork, directory: Path) -> None:
        self.network = network
        self.where = "server1"
        self._errors = directory / "controllers.log"
        with self._errors.open("w") as errors:
            self._controllers = subprocess.Popen(
                [sys.executable, str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                text=True,
            )
        program = compile_program(
            plane("hybrid").source, choose_compiler(os.environ.get("P4C", "auto")).name
        )
        self.task: dict[str, Any] = {
            "topology": "two_servers",
            "target": network.target,
            "prefix": network.ports.prefix,
            "switches": {n.name: n.process.pid for n in network.nics.values()},
            "pids": {n.name: n.pid for n in network.net.hosts},
            "endpoints": [
                {"nic": n.name, "address": n.address, "device_id": n.options.device_id}
                for n in network.nics.values()
            ],
            "p4info": str(program.p4info),
            "json": str(program.json),
            "store": str(directory / "state.db"),
        }

    def vm(self, name: str) -> Machine:
        return Machine(self.network.node(name))

    def controller(
        self, *, fault: str = "", timeout: int = 60, **task: Any
    ) -> dict[str, Any] | None:
        """Run a controller process to its end; what it told, or None if it was killed."""
        wanted = {**self.task, "fault": fault, "timeout": timeout, **task}
        assert self._controllers.stdin is not None and self._controllers.stdout is not None
        self._controllers.stdin.write(json.dumps(wanted) + "\n")
        self._controllers.stdin.flush()
        told = self._controllers.stdout.readline()
        assert told, self._errors.read_text()
        return json.loads(told)

    def close(self) -> None:
        """End the process that controllers are forked from."""
        with self._controllers:
            assert self._controllers.stdin is not None
            self._controllers.stdin.close()


@pytest.fixture(scope="module")
def data_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataPlane]:
    """A running data plane, connected and ready for controllers."""
    directory = tmp_path_factory.mktemp("migration")
    target = choose_target(os.environ.get("TARGET", "auto")).name
    base = free_ports(4)
    prefix = f"m{os.getpid() % 1000:03d}"[:3]
    rundir = RunDirectory(directory / "run")
    rundir.acquire()
    network = LabNetwork(
        load("two_servers"),
        target,
        rundir,
        Ports(prefix=prefix, p4runtime=base, thrift=base + 2),
        offloads=target == "native",
    )
    try:
        network.build()
        for nic in network.nics.values():
            nic.wait_listening()
        asyncio.run(Hypervisor(network).prepare())
        with contextlib.closing(DataPlane(network, directory)) as running:
            yield running
    finally:
        network.stop()
        rundir.release()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of two servers with two VMs each, for the tests of one module."""
    with Lab("two_servers", lab_options(tmp_path_factory.mktemp("live"), "l")) as running:
        yield running


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Arm]:
    """Do something when a migration reaches a point, once; it has to."""
    pending: list[str] = []

    def at(point: str, act: Callable[[], object]) -> None:
        pending.append(point)

        async def reach(reached: str) -> None:
            if reached in pending:
                pending.remove(reached)
                act()
                await asyncio.sleep(0)  # what it has begun begins

        monkeypatch.setattr(faults, "reach", reach)

    yield at
    assert pending == [], "no migration has come that far"
