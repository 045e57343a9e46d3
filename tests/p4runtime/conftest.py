"""One switch per target for the conformance tests, and a fresh pipeline for each test."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .builder import Builder
from .client import Client
from .programs import Program, load_program
from .targets import Bmv2Switch, NativeSwitch, Switch

PROGRAMS = Path(__file__).parent / "programs"
BMV2 = shutil.which("simple_switch_grpc")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bmv2_gap(reason): BMv2 is known to differ here")
    config.addinivalue_line("markers", "native_only: looks inside of the native switch")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "switch" in metafunc.fixturenames:
        native_only = metafunc.definition.get_closest_marker("native_only") is not None
        targets = ["native"] if native_only or BMV2 is None else ["native", "bmv2"]
        metafunc.parametrize("switch", targets, indirect=True)


@pytest.fixture(scope="session")
def entities() -> Program:
    """The program with one object of each kind."""
    return load_program(PROGRAMS / "entities.p4")


@pytest.fixture(scope="session")
def _switches() -> Iterator[dict[str, Switch]]:
    running: dict[str, Switch] = {}
    yield running
    for switch in running.values():
        switch.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_passed] = report.passed
    return report


_passed = pytest.StashKey[bool]()


@pytest.fixture
def switch(request: pytest.FixtureRequest, _switches: dict[str, Switch]) -> Iterator[Switch]:
    """A running switch of the target, device 1, ports 1 to 8, CPU port 510."""
    kind = request.param
    gap = request.node.get_closest_marker("bmv2_gap")
    if kind == "bmv2" and gap is not None:
        request.applymarker(pytest.mark.xfail(reason=gap.args[0], strict=True))
    if kind not in _switches:
        _switches[kind] = NativeSwitch() if kind == "native" else Bmv2Switch()
    found = _switches[kind]
    found.drain()
    yield found
    # What a refused request did to BMv2 may outlive it: the next test gets a new one.
    if isinstance(found, Bmv2Switch) and not request.node.stash.get(_passed, False):
        found.restart()


@dataclass
class Lab:
    """What most tests need: a primary client of a switch that runs entities.p4."""

    switch: Switch
    client: Client
    stream: Any
    build: Builder
    program: Program

    @property
    def native(self) -> NativeSwitch:
        """Our switch, for tests that look inside of it."""
        assert isinstance(self.switch, NativeSwitch), "mark the test native_only"
        return self.switch

    def another(self) -> Client:
        """A further client of the same switch."""
        client = Client(self.switch.address)
        self.others.append(client)
        return client

    def __post_init__(self) -> None:
        self.others: list[Client] = []


_elections = iter(range(1, 1 << 40))


def fresh_election() -> int:
    """An election id above all that tests have used: the switch outlives its tests."""
    return next(_elections) << 8


@pytest.fixture
def client(switch: Switch) -> Iterator[Client]:
    """A client that has not arbitrated."""
    found = Client(switch.address)
    yield found
    found.close()


@pytest.fixture
def lab(switch: Switch, client: Client, entities: Program) -> Iterator[Lab]:
    """A primary client and a fresh pipeline."""
    stream = client.lead(fresh_election())
    client.set_pipeline(entities.config())
    stream.forget()  # what the old pipeline's entries still told
    found = Lab(switch, client, stream, Builder(entities.info), entities)
    yield found
    for other in found.others:
        other.close()
