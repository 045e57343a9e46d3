"""Traffic between machines of the lab, by well-known tools: iperf3, sockperf, trafgen."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from topologies.machine import Machine

LISTEN_S = 5.0
_OPEN = ("0A", "07")  # TCP's LISTEN, and what an unconnected UDP socket has
_GUEST = Path(__file__).with_name("guest.py")
_IPERF_PORT = 5201
_SOCKPERF_PORT = 11111
_ECHO_PORT = 7001


class TrafficError(Exception):
    """A traffic tool failed; the text holds its words."""


@contextmanager
def background(
    machine: Machine, command: Sequence[str], port: int | None = None, *, udp: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a machine during the block; waits until it listens on ``port``."""
    process = machine.popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        if port is not None:
            _await_listener(machine, process, port, udp=udp)
        yield process
    finally:
        end_all(process)


def _await_listener(
    machine: Machine, process: subprocess.Popen[str], port: int, *, udp: bool
) -> None:
    """Wait until something in the machine's namespace listens on ``port``."""
    tables = [Path(f"/proc/{process.pid}/net/{'udp' if udp else 'tcp'}{v}") for v in ("", "6")]
    mark = f":{port:04X} "
    deadline = time.monotonic() + LISTEN_S
    while not any(mark in _local(table) for table in tables):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TrafficError(f"{machine.name}: nothing listens on port {port} after {LISTEN_S} s")
        time.sleep(0.01)


def _local(table: Path) -> str:
    """Local addresses in a /proc/net table that take what comes, not those of connections."""
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return ""
    words = [line.split() for line in lines]
    return " ".join(word[1] + " " for word in words if word[3] in _OPEN)


def _iperf(client: Machine, server: Machine, seconds: float, *words: str) -> dict[str, Any]:
    """One iperf3 run; its JSON."""
    with background(server, ["iperf3", "-s", "-1"], _IPERF_PORT):
        result = client.run(
            ["iperf3", "-J", "-c", server.ip, "-t", str(seconds), *words], timeout=seconds + 20
        )
    try:
        report: dict[str, Any] = json.loads(result.stdout)
    except ValueError:
        raise TrafficError(f"iperf3 printed no report: {result.stderr.strip()}") from None
    if "error" in report:
        raise TrafficError(f"iperf3 {client.name} to {server.name}: {report['error']}")
    return report


def tcp_gbps(client: Machine, server: Machine, seconds: float, flows: int = 1) -> float:
    """TCP throughput in Gb/s that the server received."""
    report = _iperf(client, server, seconds, "-P", str(flows))
    return float(report["end"]["sum_received"]["bits_per_second"]) / 1e9


def udp_pps(client: Machine, server: Machine, seconds: float, payload: int = 18) -> float:
    """UDP packets per second that arrived, of as many as one sender can send."""
    report = _iperf(client, server, seconds, "-u", "-b", "0", "-l", str(payload))
    summary = report["end"]["sum"]
    arrived = float(summary["packets"]) - float(summary["lost_packets"])
    return arrived / float(summary["seconds"])


def rtt_us(client: Machine, server: Machine, seconds: float) -> list[float]:
    """Round-trip times in microseconds of one UDP request after another."""
    endpoint = ["-i", server.ip, "-p", str(_SOCKPERF_PORT)]
    with (
        tempfile.NamedTemporaryFile(suffix=".csv") as log,
        background(server, ["sockperf", "server", *endpoint], _SOCKPERF_PORT, udp=True),
    ):
        command = ["sockperf", "ping-pong", *endpoint, "-t", str(max(1, round(seconds)))]
        command += ["--full-rtt", "--full-log", log.name]
        result = client.run(command, timeout=seconds + 20)
        samples = _sockperf_log(Path(log.name).read_text(encoding="ascii"))
    if not samples:
        raise TrafficError(f"sockperf measured nothing: {result.stdout[-300:].strip()}")
    return samples


def _sockperf_log(text: str) -> list[float]:
    """Round trips from sockperf's log, whose last column is microseconds."""
    _, _, rows = text.partition("rtt(usec)\n")
    return [float(row.rpartition(",")[2]) for row in rows.splitlines() if "," in row]


def round_trips(
    client: Machine, server: Machine, seconds: float, rate: float = 0
) -> tuple[list[float], float]:
    """Round-trip times of UDP requests in microseconds, and the percentage without an answer.

    One request after another, or ``rate`` per second whatever happens to those before. One without
    an answer counts as a round trip that took as long as it was waited for.
    """
    with guest_service(server, "echo", _ECHO_PORT):
        words: tuple[str | float, ...] = ("ping-pong", server.ip, _ECHO_PORT, seconds)
        if rate:
            words = ("round-trips", server.ip, _ECHO_PORT, rate, seconds)
        told = guest(client, *words).result()
    answered, lost = told["rtt_us"], told["unanswered_us"]
    if not answered and not lost:
        raise TrafficError(f"{client.name} sent no request to {server.name} in {seconds} s")
    return answered + lost, 100 * len(lost) / len(answered + lost)


def tcp_series(client: Machine, server: Machine, seconds: float, interval: float) -> list[float]:
    """TCP throughput in Gb/s, one value per interval."""
    report = _iperf(client, server, seconds, "-i", str(interval))
    return [float(part["sum"]["bits_per_second"]) / 1e9 for part in report["intervals"]]


def received_pps(machine: Machine, seconds: float) -> float:
    """Packets per second that arrive at a machine's interface."""
    before, began = _received(machine), time.monotonic()
    time.sleep(seconds)
    return (_received(machine) - before) / (time.monotonic() - began)


def _received(machine: Machine) -> int:
    """Packets that eth0 of a machine has received."""
    for line in Path(f"/proc/{machine.node.pid}/net/dev").read_text(encoding="ascii").splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "eth0":
            return int(numbers.split()[1])
    raise TrafficError(f"{machine.name} has no eth0")


class Guest:
    """A program of bench/guest.py that runs in a VM."""

    def __init__(self, machine: Machine, *words: str | float) -> None:
        command = [sys.executable, str(_GUEST), *(str(word) for word in words)]
        self._name = f"{machine.name}: {words[0]}"
        self._process = machine.popen(command, stdin=subprocess.PIPE)

    def wait_ready(self) -> None:
        """Wait until a service listens, or what runs until it is told to end has begun."""
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise TrafficError(f"{self._name} did not start: {self._process.communicate()[1]}")

    def result(self, last: int | None = None, *, timeout: float = 120) -> dict[str, Any]:
        """Close its standard input, by which a service ends, and wait; what it tells.

        ``last`` is a number that the service is told before.
        """
        word = None if last is None else f"{last}\n"
        output, errors = self._process.communicate(word, timeout=timeout)
        try:
            told: dict[str, Any] = json.loads(output.splitlines()[-1])
        except (ValueError, IndexError):
            raise TrafficError(f"{self._name} told nothing: {errors.strip()[-300:]}") from None
        return told

    def kill(self) -> None:
        """End it if it still runs, and close its pipes."""
        end(self._process)


def end_all(leader: subprocess.Popen[str]) -> None:
    """Kill a process that leads a session of its own, with all it has started (trafgen forks)."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    end(leader)


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process if it still runs, wait for it, and close its pipes."""
    with process:
        process.kill()


def guest(machine: Machine, *words: str | float) -> Guest:
    """Start a program of bench/guest.py in a VM."""
    return Guest(machine, *words)


@contextmanager
def guest_service(machine: Machine, *words: str | float) -> Iterator[Guest]:
    """A service of bench/guest.py in a VM during the block."""
    service = Guest(machine, *words)
    try:
        service.wait_ready()
        yield service
    finally:
        service.kill()


@contextmanager
def flood(machine: Machine, frame: str) -> Iterator[None]:
    """Send frames made from a trafgen description as fast as one CPU can, during the block."""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write(frame)
        config.flush()
        command = [
            "trafgen",
            "--dev",
            "eth0",
            "--conf",
            config.name,
            "--cpus",
            "1",
            "--no-sock-mem",
        ]
        with background(machine, command):
            yield


def random_flows(source: Machine, destination: Machine) -> str:
    """A trafgen description: UDP from one VM to another, both ports random in every packet."""
    return (
        f"{{ eth(da={destination.mac}, sa={source.mac}) "
        f"ipv4(sa={source.ip}, da={destination.ip}, ttl=64) "
        "udp(sp=drnd(), dp=drnd()) fill('x', 18) }"
    )


def random_headers(source: Machine, destination: Machine) -> str:
    """A trafgen description: frames whose destination, ports, TTL and TOS are random."""
    return (
        f"{{ eth(da={destination.mac}, sa={source.mac}) "
        f"ipv4(sa={source.ip}, da=drnd(), ttl=drnd(), tos=drnd()) "
        "udp(sp=drnd(), dp=drnd()) fill('x', 18) }"
    )
