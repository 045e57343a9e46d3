"""Starts and stops a private ``simple_switch_grpc`` without interfaces."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import grpc

from p4native.stf.errors import StfError, TargetError

BINARY = "simple_switch_grpc"
CLI = "simple_switch_CLI"
DEVICE_ID = 1
_START_SECONDS = 20.0
_ATTEMPTS = 3


def require_binary(name: str) -> str:
    """The path of a BMv2 program; StfError tells how to go on without it."""
    path = shutil.which(name)
    if path is None:
        raise StfError(f"{name} is not on PATH; install BMv2 or use --target native")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bmv2Process:
    """A running switch; its servers listen on 127.0.0.1 only."""

    def __init__(self) -> None:
        binary = require_binary(BINARY)
        self._directory = tempfile.TemporaryDirectory(prefix="p4native-stf-")
        self._log = Path(self._directory.name) / "switch.log"
        for attempt in range(1, _ATTEMPTS + 1):
            self._start(binary)
            try:
                self._wait_ready()
                return
            except TargetError:
                self.stop()
                if attempt == _ATTEMPTS:
                    raise

    def _start(self, binary: str) -> None:
        """A port may be taken between the probe and the bind: the caller tries again."""
        grpc_port, packet_port, self.thrift_port = (_free_port() for _ in range(3))
        command = [binary, "--no-p4", "--device-id", str(DEVICE_ID)]
        command += ["--thrift-port", str(self.thrift_port), "--"]
        command += ["--grpc-server-addr", f"127.0.0.1:{grpc_port}"]
        command += ["--dp-grpc-server-addr", f"127.0.0.1:{packet_port}"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self._directory.name, stdout=log, stderr=subprocess.STDOUT
            )
        self.control = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
        self.packets = grpc.insecure_channel(f"127.0.0.1:{packet_port}")

    def _wait_ready(self) -> None:
        for channel in (self.control, self.packets):
            try:
                grpc.channel_ready_future(channel).result(timeout=_START_SECONDS)
            except grpc.FutureTimeoutError:
                raise TargetError(f"BMv2 did not start: {self.log_tail()}") from None

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def log_tail(self) -> str:
        """The last lines that the switch printed."""
        lines = self._log.read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:]) or "it printed nothing"

    def stop(self) -> None:
        """Ends the process and closes the channels; does nothing the second time."""
        self.control.close()
        self.packets.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Stops the switch and removes its directory."""
        self.stop()
        self._directory.cleanup()
