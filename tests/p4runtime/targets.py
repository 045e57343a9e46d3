"""The switches under test: ours in this process, and BMv2's where it is installed."""

from __future__ import annotations

import itertools
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import grpc
import pytest

from p4native.p4runtime.server import ServerHandle, serve
from p4native.switch import device as switch_device

raw_sockets = pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")

PORTS = range(1, 9)
CPU_PORT = 510
DEADLINE_S = 5.0
_ALL_PROTOCOLS = 3
_serial = itertools.count()


class Switch(Protocol):
    """A running switch with device id 1 and ports 1 to 8."""

    address: str

    def send(self, port: int, frame: bytes) -> None:
        """Let a frame arrive on a port."""

    def receive(self, timeout: float = DEADLINE_S) -> tuple[int, bytes]:
        """The next frame that left a port; TimeoutError if there is none."""

    def drain(self) -> None:
        """Forget frames that left earlier."""

    def stop(self) -> None:
        """Stop the switch."""


class NativeSwitch:
    """The native switch with memory ports."""

    def __init__(self, tls: object = None, ports: range = PORTS, threads: int = 1) -> None:
        self.device = switch_device.Device(
            1, cpu_port=CPU_PORT, name=f"t{next(_serial)}", threads=threads
        )
        for port in ports:
            self.device.add_port(port)
        self.device.start()
        self.server: ServerHandle = serve(
            {1: self.device},
            "127.0.0.1:0",
            tls=tls,
            cpu_port=CPU_PORT,  # type: ignore[arg-type]
        )
        self.address = f"127.0.0.1:{self.server.port}"
        self._waiting: list[tuple[int, bytes]] = []

    def send(self, port: int, frame: bytes) -> None:
        self.device.inject(port, frame)

    def receive(self, timeout: float = DEADLINE_S) -> tuple[int, bytes]:
        if not self._waiting:
            self._waiting = self.device.collect(timeout)
        if not self._waiting:
            raise TimeoutError("no frame left the switch")
        return self._waiting.pop(0)

    def drain(self) -> None:
        self._waiting.clear()
        self.device.collect(0.0)

    def stop(self) -> None:
        self.server.stop()
        self.device.stop()


class VethPorts:
    """veth pairs named after this process: near ends for a switch, far ends for the test."""

    def __init__(self, ports: Iterable[int]) -> None:
        self._prefix = f"p4t{os.getpid() % 100000}{next(_serial)}"
        self.ports = tuple(ports)
        for port in self.ports:
            near, far = self.near_end(port), self.far_end(port)
            subprocess.run(
                ["ip", "link", "add", near, "type", "veth", "peer", "name", far], check=True
            )
            for name in (near, far):
                setting = f"net.ipv6.conf.{name}.disable_ipv6=1"
                subprocess.run(["sysctl", "-qw", setting], check=True)
                subprocess.run(["ip", "link", "set", name, "up"], check=True)

    def near_end(self, port: int) -> str:
        return f"{self._prefix}s{port}"

    def far_end(self, port: int) -> str:
        return f"{self._prefix}h{port}"

    def remove(self) -> None:
        for port in self.ports:
            subprocess.run(["ip", "link", "delete", self.near_end(port)], check=True)


class NativePorts:
    """The native switch on veth pairs, for clients that bring their own data plane."""

    def __init__(self, ports: Iterable[int], threads: int = 1) -> None:
        self._links = VethPorts(ports)
        self._switch = NativeSwitch(ports=range(0), threads=threads)
        for port in self._links.ports:
            self._switch.device.add_port(port, self._links.near_end(port))
        self.address = self._switch.address

    def far_end(self, port: int) -> str:
        return self._links.far_end(port)

    def __enter__(self) -> NativePorts:
        return self

    def __exit__(self, *_: object) -> None:
        self._switch.stop()
        self._links.remove()


class Bmv2Switch:
    """simple_switch_grpc on veth pairs, of which the far ends are raw sockets of ours."""

    def __init__(self) -> None:
        self._links = VethPorts(PORTS)
        self._sockets = {port: _raw_socket(self._links.far_end(port)) for port in PORTS}
        self._folder = tempfile.TemporaryDirectory()
        self._log = (Path(self._folder.name) / "bmv2.log").open("ab")
        self._start()

    def far_end(self, port: int) -> str:
        return self._links.far_end(port)

    def __enter__(self) -> Bmv2Switch:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        interfaces = [w for p in PORTS for w in ("-i", f"{p}@{self._links.near_end(p)}")]
        self._process = subprocess.Popen(
            ["simple_switch_grpc", "--no-p4", "--device-id", "1", *interfaces,
             "--thrift-port", str(free_port()), "--", "--grpc-server-addr", self.address,
             "--cpu-port", str(CPU_PORT), "--drop-port", "511"],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_for_server(self.address)

    def restart(self) -> None:
        """Replace the process by one that knows nothing of what this one went through."""
        self._process.kill()
        self._process.wait(DEADLINE_S)
        self._start()

    def send(self, port: int, frame: bytes) -> None:
        self._sockets[port].send(frame)

    def receive(self, timeout: float = DEADLINE_S) -> tuple[int, bytes]:
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            select.select(list(self._sockets.values()), (), (), left)
            for port, sock in self._sockets.items():
                frame = _take(sock)
                if frame is not None:
                    return port, frame
        raise TimeoutError("no frame left the switch")

    def drain(self) -> None:
        for sock in self._sockets.values():
            while _take(sock) is not None:
                pass

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE_S)
        self._log.close()
        for sock in self._sockets.values():
            sock.close()
        self._links.remove()
        self._folder.cleanup()


def _raw_socket(interface: str) -> socket.socket:
    # With a protocol from the start it would have frames of all interfaces until it is bound.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((interface, _ALL_PROTOCOLS))
    sock.setblocking(False)
    return sock


def _take(sock: socket.socket) -> bytes | None:
    """The next frame that came from the switch; our own, seen on their way out, do not count."""
    while True:
        try:
            frame, address = sock.recvfrom(65536)
        except BlockingIOError:
            return None
        if address[2] != socket.PACKET_OUTGOING:
            return frame


def free_port() -> int:
    """A TCP port that nobody uses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for_server(address: str, timeout: float = DEADLINE_S) -> None:
    """Wait until a server answers; FutureTimeoutError if it never does."""
    eager = [(f"grpc.{bound}_reconnect_backoff_ms", 50) for bound in ("min", "initial", "max")]
    with grpc.insecure_channel(address, eager) as channel:
        grpc.channel_ready_future(channel).result(timeout)
