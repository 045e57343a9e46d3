"""The two targets without interfaces: frames go in and out by number of port."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Protocol

import grpc

from p4native.stf.bmv2_dataplane import Dataplane

CPU_PORT = 510
DROP_PORT = 511
PORTS = (1, 2, 8, *range(16, 48))
_START_S = 20.0
_serial = itertools.count()


class Switch(Protocol):
    """A running switch, device 1."""

    address: str

    def ready(self) -> None:
        """Wait until packets are taken; after the pipeline is set."""

    def send(self, port: int, frame: bytes) -> None:
        """Let a frame arrive."""

    def settle(self) -> list[tuple[int, bytes]]:
        """Wait until the switch is empty; what left since the last call, by port."""

    def poll(self) -> list[tuple[int, bytes]]:
        """What has left since the last call, without waiting for anything."""

    def stop(self) -> None:
        """Stop it."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Dataplane(Dataplane):
    """The data-plane stream, also for what leaves without having been sent in by it."""

    def listen(self) -> None:
        if self._reader is None:
            self._open()


class Bmv2:
    """simple_switch_grpc; its data-plane stream knows when all packets are through."""

    def __init__(self) -> None:
        binary = shutil.which("simple_switch_grpc")
        assert binary is not None
        self._folder = tempfile.TemporaryDirectory()
        self._log = (Path(self._folder.name) / "bmv2.log").open("wb")
        control, packets = _free_port(), _free_port()
        self.address = f"127.0.0.1:{control}"
        command = [binary, "--no-p4", "--device-id", "1", "--thrift-port", str(_free_port())]
        command += ["--", "--grpc-server-addr", self.address, "--cpu-port", str(CPU_PORT)]
        command += ["--drop-port", str(DROP_PORT), "--dp-grpc-server-addr", f"127.0.0.1:{packets}"]
        self._process = subprocess.Popen(
            command, cwd=self._folder.name, stdout=self._log, stderr=subprocess.STDOUT
        )
        self._channel = grpc.insecure_channel(f"127.0.0.1:{packets}")
        for channel in (self._channel, grpc.insecure_channel(self.address)):
            grpc.channel_ready_future(channel).result(_START_S)
        self._dataplane = _Dataplane(self._channel, 1)
        self._seen = 0

    def ready(self) -> None:
        self._dataplane.wait_ready()

    def send(self, port: int, frame: bytes) -> None:
        self._dataplane.send(port, frame)

    def settle(self) -> list[tuple[int, bytes]]:
        self._dataplane.barrier()
        return self.poll()

    def poll(self) -> list[tuple[int, bytes]]:
        self._dataplane.listen()
        received = self._dataplane.received
        fresh, self._seen = received[self._seen :], len(received)
        return fresh

    def stop(self) -> None:
        self._channel.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        self._log.close()
        self._folder.cleanup()


class Native:
    """The native switch in this process, with memory ports and no packet thread."""

    def __init__(self) -> None:
        from p4native.p4runtime.server import serve
        from p4native.switch.device import Device

        name = f"nictest{next(_serial)}"
        self._device = Device(1, cpu_port=CPU_PORT, drop_port=DROP_PORT, name=name)
        for port in PORTS:
            self._device.add_port(port)
        self._device.start()
        self._server = serve({1: self._device}, "127.0.0.1:0", tls=None, cpu_port=CPU_PORT)
        self.address = f"127.0.0.1:{self._server.port}"

    def ready(self) -> None:
        return

    def send(self, port: int, frame: bytes) -> None:
        self._device.inject(port, frame)

    def settle(self) -> list[tuple[int, bytes]]:
        return self._device.collect(0.0)

    def poll(self) -> list[tuple[int, bytes]]:
        return self._device.collect(0.05)

    def stop(self) -> None:
        self._server.stop()
        self._device.stop()


TARGETS = {"native": Native, "bmv2": Bmv2}
