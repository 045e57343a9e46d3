"""Labs for the tests: one that runs throughout, and a way to start more of them as processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from topologies.lab import Lab
from topologies.rundir import RunDirectory

from .helpers import (
    ROOT,
    Process,
    free_ports,
    lab_options,
    leftovers,
    needs_root,
    new_run_dir,
    sweep,
)

PREFIX = f"t{os.getpid() % 1000:03d}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that starts a lab is marked, and skipped with a reason without root."""
    for item in items:
        if {"lab", "start_lab"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lab)
            item.add_marker(needs_root)


@pytest.fixture(scope="session", autouse=True)
def clean_machine() -> Iterator[None]:
    """No lab of a test session that was killed stays behind."""
    if os.geteuid() == 0:
        sweep()
    yield
    if os.geteuid() == 0:
        sweep()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The two-server lab, running throughout the session on the target of ``TARGET``."""
    options = lab_options(new_run_dir("session"), PREFIX)
    with Lab("two_servers", options) as running:
        yield running
    assert leftovers(options.run_dir, PREFIX) == []


@pytest.fixture
def start_lab(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start labs as processes of their own; each ends with the test."""
    with starter(tmp_path.name, "u") as start:
        yield start


@contextlib.contextmanager
def starter(name: str, letter: str) -> Iterator[Callable[..., Process]]:
    """A function that starts labs, their links with a letter; each ends with the block."""
    started: list[Process] = []
    run_dir = new_run_dir(name)
    base = free_ports(4)
    prefix = f"{letter}{os.getpid() % 1000:03d}"

    def start(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> Process:
        environment = {**os.environ, "P4NIC_LAB_RUN": str(run_dir), "TERM": "dumb"}
        environment.update(env or {})
        command = [
            sys.executable, "-m", "topologies", "--prefix", prefix,
            "--p4runtime-port", str(base), "--thrift-port", str(base + 2), *arguments,
        ]  # fmt: skip
        defaults = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True}
        popen = subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=subprocess.STDOUT, **{**defaults, **options}
        )
        process = Process(popen, run_dir, base, prefix)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.popen.terminate()
            process.popen.wait(30)
        if process.popen.stdout is not None:
            process.popen.stdout.close()
    if run_dir.exists():
        with RunDirectory(run_dir) as rundir:
            rundir.acquire()  # after a failed test, whatever it left
        shutil.rmtree(run_dir)
