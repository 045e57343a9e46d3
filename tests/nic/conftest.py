"""Rigs: one switch per target for the whole run, wiped between tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control.model import DesiredState
from control.policy import NicProgram

from .client import Client
from .rig import Rig
from .stateful import Stateful
from .switches import TARGETS

SOURCE = Path(__file__).parents[2] / "p4src"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rig" in metafunc.fixturenames:
        chosen = os.environ.get("TARGET", "auto")
        names = [chosen] if chosen in TARGETS else list(TARGETS)
        metafunc.parametrize("rig", names, indirect=True)


@pytest.fixture(scope="session")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The NIC compiled: P4Info and JSON."""
    return compile_program("hybrid_nic", tmp_path_factory.mktemp("p4"))


def compile_program(name: str, folder: Path, *defines: str) -> tuple[Path, Path]:
    """Compile with p4c where it is installed and not refused, else with our own compiler."""
    info, blob = folder / f"{name}.p4info.txtpb", folder / f"{name}.json"
    source = SOURCE / f"{name}.p4"
    if shutil.which("p4c-bm2-ss") and os.environ.get("P4C", "auto") != "native":
        command = ["p4c-bm2-ss", str(source), "-o", str(blob), "--p4runtime-files", str(info)]
        command += [f"-D{name}" for name in defines]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
    else:
        from p4native.compiler import compile_program as compile_native

        result = compile_native(source, defines=dict.fromkeys(defines, "1"))
        blob.write_text(result.json_text)
        info.write_text(result.p4info_text)
    return info, blob


def require(target: str) -> None:
    """Skip, with the reason, what this machine cannot run."""
    if target == "bmv2" and shutil.which("simple_switch_grpc") is None:
        pytest.skip("simple_switch_grpc is not on PATH")


class Bench:
    """Running switches by target and program."""

    def __init__(self) -> None:
        self.rigs: dict[tuple[str, Path], Rig] = {}

    def rig(self, target: str, info: Path, blob: Path) -> Rig:
        key = (target, blob)
        if key not in self.rigs:
            switch = TARGETS[target]()
            client = Client(switch.address, info, blob)
            switch.ready()
            self.rigs[key] = Rig(switch, client)
        return self.rigs[key]


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    found = Bench()
    yield found
    for rig in found.rigs.values():
        rig.client.close()
        rig.switch.stop()


@pytest.fixture
def rig(request: pytest.FixtureRequest, bench: Bench, hybrid: tuple[Path, Path]) -> Iterator[Rig]:
    """A NIC with nothing installed."""
    require(request.param)
    found = bench.rig(request.param, *hybrid)
    yield found
    found.switch.settle()
    found.client.install(NicProgram(()))
    found.tags = {}
    while not found.client.packet_ins.empty():
        found.client.packet_ins.get()


@pytest.fixture
def nic(rig: Rig, request: pytest.FixtureRequest) -> Any:
    made: list[Stateful] = []

    def make(desired: DesiredState) -> Stateful:
        made.append(Stateful(rig, desired))
        return made[-1]

    yield make
    for one in made:
        one.clear()
