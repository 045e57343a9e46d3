"""The planes under test: each joins two namespaces, and forwards by MAC address behind a policy."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from topologies.machine import Machine

PROGRAM = Path(__file__).with_name("l2_acl.p4")
_WIRE = Path(__file__).with_name("wire.c")
BMV2 = "simple_switch_grpc"
START_S = 20.0
_OFFLOADS = ("tx", "tso", "gso", "gro")


class PlaneError(Exception):
    """A plane could not be set up; the text says what failed."""


def command(*words: str) -> str:
    """Run a program to its end; PlaneError with its words if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PlaneError(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Host(Machine):
    """A namespace with eth0; `port` is its other end. Takes commands as lab machines do."""

    def __init__(self, name: str, port: str, mac: str, ip: str) -> None:
        """Name what `hosts` makes."""
        self.name, self.port = name, port
        self.mac, self.ip = mac, ip

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program inside; its output is text on pipes unless `options` say otherwise."""
        pipe = subprocess.PIPE
        defaults = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, "text": True}
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command], **{**defaults, **options}
        )

    def received(self) -> int:
        """Frames that have arrived at eth0."""
        path = "/sys/class/net/eth0/statistics/rx_packets"
        return int(self.run(["cat", path], check=True).stdout)


@contextmanager
def hosts(offloads: bool) -> Iterator[tuple[Host, Host]]:
    """Two namespaces that know each other's MAC address; gone when the block ends."""
    prefix = f"b{os.getpid() % 1000000}"
    pair = tuple(
        Host(f"{prefix}h{i}", f"{prefix}p{i}", f"02:00:00:00:00:0{i}", f"10.92.0.{i}")
        for i in (1, 2)
    )
    try:
        for host in pair:
            _make(host, offloads)
        for host, other in (pair, pair[::-1]):
            command("ip", "-n", host.name, "neigh", "replace", other.ip, "lladdr", other.mac,
                    "dev", "eth0")  # fmt: skip
        yield pair[0], pair[1]
    finally:
        for host in pair:
            subprocess.run(["ip", "link", "del", host.port], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)


def _make(host: Host, offloads: bool) -> None:
    command("ip", "netns", "add", host.name)
    command("ip", "link", "add", host.port, "type", "veth", "peer", "name", "eth0",
            "address", host.mac, "netns", host.name)  # fmt: skip
    Path(f"/proc/sys/net/ipv6/conf/{host.port}/disable_ipv6").write_text("1")
    command("ip", "link", "set", host.port, "up")
    command("ip", "-n", host.name, "link", "set", "lo", "up")
    command("ip", "-n", host.name, "link", "set", "eth0", "up")
    command("ip", "-n", host.name, "addr", "add", f"{host.ip}/24", "dev", "eth0")
    if not offloads:
        words = [word for name in _OFFLOADS for word in (name, "off")]
        command("ip", "netns", "exec", host.name, "ethtool", "-K", "eth0", *words)
        command("ethtool", "-K", host.port, *words)  # libpcap's ring holds 32 frames otherwise


def await_port(port: int, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Wait until something listens on a local TCP port; PlaneError if the process ends first."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise PlaneError(f"the switch does not listen on port {port}") from None
            time.sleep(0.02)


def free_port() -> int:
    """A TCP port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def bridge() -> Iterator[tuple[Host, Host, int | None]]:
    """A Linux bridge, all offloads on."""
    name = f"b{os.getpid() % 1000000}br"
    with hosts(True) as pair:
        command("ip", "link", "add", name, "type", "bridge")
        try:
            command("ip", "link", "set", name, "up")
            for host in pair:
                command("ip", "link", "set", host.port, "master", name)
            yield pair[0], pair[1], None
        finally:
            subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)


@contextmanager
def wire() -> Iterator[tuple[Host, Host, int | None]]:
    """The same kind of socket as p4native's, and nothing between them; all offloads on."""
    with tempfile.TemporaryDirectory() as folder, hosts(True) as pair:
        program = f"{folder}/wire"
        command("cc", "-O3", "-march=native", "-o", program, str(_WIRE))
        with _running([program, *(host.port for host in pair)]):
            yield pair[0], pair[1], None


@contextmanager
def _running(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs as long as the block does; what it says is not for anyone."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _switch(words: list[str], offloads: bool) -> Iterator[tuple[Host, Host, int | None]]:
    """A P4 switch process without program, and the port of its P4Runtime server."""
    with hosts(offloads) as pair:
        port = free_port()
        ports = [w for i, h in enumerate(pair) for w in ("-i", f"{i + 1}@{h.port}")]
        switch = _running(
            [*words, "--no-p4", "--device-id", "0", *ports, "--", "--grpc-server-addr",
             f"127.0.0.1:{port}", "--cpu-port", "510"]
        )  # fmt: skip
        with switch as process:
            await_port(port, process)
            yield pair[0], pair[1], port


def native() -> Any:
    """`p4native switch`, all offloads on."""
    return _switch([sys.executable, "-m", "p4native", "switch"], True)


def bmv2() -> Any:
    """`simple_switch_grpc`, offloads off: it sends frames as they are."""
    return _switch([BMV2, "--thrift-port", str(free_port())], False)


PLANES = {"bridge": bridge, "wire": wire, "native": native, "bmv2": bmv2}


def available() -> list[str]:
    """Planes that can run here."""
    return [name for name in PLANES if name != "bmv2" or shutil.which(BMV2)]
