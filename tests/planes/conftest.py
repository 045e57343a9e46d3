"""One lab per plane, both up for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from control.model import DesiredState
from tests.lab.helpers import free_ports, leftovers, new_run_dir
from topologies.lab import Lab, Options
from topologies.network import Ports

ROOMS = str(Path(__file__).with_name("rooms.yaml"))
PLANES = ("hybrid", "ovs")


def options(plane: str, number: int) -> Options:
    """Options of a lab beside others."""
    base = free_ports(4)
    return Options(
        plane=plane,
        target=os.environ.get("TARGET", "auto"),
        run_dir=new_run_dir(f"planes-{plane}{number}"),
        ports=Ports(prefix=f"q{os.getpid() % 100:02d}{number}", p4runtime=base, thrift=base + 2),
    )


@pytest.fixture(scope="session")
def labs() -> Iterator[dict[str, Lab]]:
    """The lab of each plane, by its name."""
    chosen = {plane: options(plane, number) for number, plane in enumerate(PLANES)}
    with ExitStack() as stack:
        yield {plane: stack.enter_context(Lab(ROOMS, chosen[plane])) for plane in PLANES}
    for plane in PLANES:
        run_dir = chosen[plane].run_dir
        assert run_dir is not None
        assert leftovers(run_dir, chosen[plane].ports.prefix) == []


@pytest.fixture(params=PLANES)
def lab(request: pytest.FixtureRequest, labs: dict[str, Lab]) -> Iterator[Lab]:
    """Each plane's lab in turn, in the state of its topology; and back in it afterwards."""
    chosen = labs[request.param]
    initial = chosen.topology.state()
    chosen.run(chosen.controller.fabric.change(initial))
    yield chosen
    chosen.run(chosen.controller.fabric.change(initial))


def changed(state: DesiredState, **lists: object) -> DesiredState:
    """The state with some lists replaced, and validated again."""
    return DesiredState.model_validate({**state.model_dump(), **lists})
