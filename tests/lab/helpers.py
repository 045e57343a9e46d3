"""Free ports, waiting, labs as processes, and what they leave behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from topologies.errors import LabError
from topologies.lab import Lab, Options
from topologies.loader import HERE
from topologies.network import Ports
from topologies.rundir import MARK, RunDirectory

ROOT = Path(__file__).resolve().parents[2]
RUNS = Path("/run/p4nic-tests")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and interfaces need root")


def new_run_dir(name: str) -> Path:
    """A run directory of this session, where a later one finds it if this one is killed."""
    return RUNS / f"{os.getpid()}-{name}"


def sweep() -> None:
    """Remove what the labs of killed test sessions left, as the next start of a lab would."""
    for folder in RUNS.glob("*"):
        rundir = RunDirectory(folder)
        try:
            rundir.acquire()
        except LabError:
            continue  # in use by a session that runs
        rundir.release()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> int:
    """The first of ``count`` neighbouring TCP ports of 127.0.0.1 that nothing uses."""
    for base in range(20000 + os.getpid() % 1000 * 10, 60000, 10):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise RuntimeError("no free ports")


def wait_for(condition: Callable[[], object], seconds: float = 15.0) -> object:
    """Call ``condition`` until it returns something true; fails after a deadline."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return value


@dataclass
class Process:
    """A lab started as ``python -m topologies``."""

    popen: subprocess.Popen[str]
    run_dir: Path
    base: int
    prefix: str

    def finish(self, seconds: float = 60) -> tuple[int, str]:
        """Wait for the end; returns status and all output."""
        output, _ = self.popen.communicate(timeout=seconds)
        return self.popen.returncode, output

    def wait_up(self) -> None:
        """Wait until the control API listens."""

        def up() -> bool:
            assert self.popen.poll() is None, self.popen.communicate()[0]
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(self.run_dir / "control.sock")) == 0

        wait_for(up, 40)

    def lab(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the ``lab`` command against this lab."""
        environment = {**os.environ, "P4NIC_LAB_RUN": str(self.run_dir)}
        command = [sys.executable, "-m", "control.cli", *words]
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
        )

    def leftovers(self) -> list[str]:
        """Whatever of this lab is still there."""
        return leftovers(self.run_dir, self.prefix)


def lab_options(run_dir: Path, prefix: str) -> Options:
    """Options of a lab that meets no other: target and compiler are those of the test run."""
    base = free_ports(6)
    return Options(
        target=os.environ.get("TARGET", "auto"),
        compiler=os.environ.get("P4C", "auto"),
        run_dir=run_dir,
        ports=Ports(prefix=prefix, p4runtime=base, thrift=base + 3),
    )


@contextlib.contextmanager
def altered_lab(folder: Path, name: str, old: str, new: str) -> Iterator[Lab]:
    """A lab of the two-server topology with one change in its text, for a module's tests."""
    text = (HERE / "two_servers.yaml").read_text(encoding="utf-8")
    assert old in text
    path = folder / f"{name}.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    run_dir, prefix = new_run_dir(name), f"{name[0]}{os.getpid() % 1000:03d}"
    with Lab(str(path), lab_options(run_dir, prefix)) as lab:
        yield lab
    assert leftovers(run_dir, prefix) == []


def evacuate(lab: Lab, server: str) -> tuple[int, list[str], str]:
    """Exit status of ``lab evacuate``, what it prints of the VMs, sorted, and its error."""
    told = subprocess.run(
        [sys.executable, "-m", "control.cli", "evacuate", server],
        env={**os.environ, "P4NIC_LAB_RUN": str(lab.rundir.path), "COLUMNS": "200"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return told.returncode, sorted(told.stdout.splitlines()), told.stderr.strip()


def cut(lab: Lab, cable: str, state: str) -> None:
    """Set the ToR's end of a cable down or up."""
    assert lab.network.node("tor").cmd(f"ip link set dev {cable} {state}").strip() == ""


def leftovers(run_dir: Path, prefix: str) -> list[str]:
    """Links, pinned namespaces and processes of a lab that are still there."""
    found = [f"link {p.name}" for p in Path("/sys/class/net").glob(f"{prefix}*")]
    found += [f"namespace {p.name}" for p in (run_dir / "ns").glob("*")]
    found += [f"journal of {run_dir}"] if (run_dir / "journal").exists() else []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = process.joinpath("environ").read_bytes().split(b"\0")
            marks = [word for word in words if word.startswith(MARK.encode())]
            runs = f"P4NIC_LAB_RUN={run_dir}".encode() in words
            if marks and runs and process.name != str(os.getpid()):
                found.append(f"process {process.name}")
    return found
