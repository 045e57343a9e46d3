"""What the steps of the tour share: checks, waiting, and programs that say when they are ready."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

from topologies.machine import Machine

GUEST = str(Path(__file__).with_name("guest.py"))
SETTLE_S = 5.0


class StepFailed(Exception):
    """A step saw something else than it should have."""


def expect(condition: bool, otherwise: str) -> None:
    """Fail the step unless the condition holds."""
    if not condition:
        raise StepFailed(otherwise)


def until(value: Callable[[], int], wanted: int) -> int:
    """Call ``value`` until it reaches ``wanted`` or time is up; returns the last value."""
    deadline = time.monotonic() + SETTLE_S
    while (now := value()) < wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    return now


@contextmanager
def ready(machine: Machine, command: list[str], stdin: int = DEVNULL) -> Iterator[Popen[str]]:
    """Start a program and wait for its first line; end it afterwards."""
    with machine.popen(command, stdin=stdin) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise StepFailed(f"{machine.name}: {command[0]} did not start")
            yield process
        finally:
            process.kill()


def tcp_gbps(source: Machine, target: Machine, seconds: int = 2) -> float:
    """TCP throughput in Gb/s by iperf3, as received; StepFailed if there is no connection."""
    with ready(target, ["iperf3", "-s", "-1", "--forceflush"]):
        command = ["iperf3", "-c", target.ip, "-t", str(seconds), "-J"]
        report = json.loads(source.run(command, timeout=seconds + 18).stdout)
    expect("error" not in report, str(report.get("error")))
    return float(report["end"]["sum_received"]["bits_per_second"]) / 1e9
