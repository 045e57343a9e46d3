"""The lab's Mininet nodes: Server, VirtualMachine and Nic."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mininet.node import Host, Node, Switch

from topologies.errors import LabError
from topologies.rundir import RunDirectory
from topologies.silicon import control_threads, start_switch
from topologies.toolchain import SwitchOptions, switch_command

START_DEADLINE_S = 15.0
STOP_DEADLINE_S = 3.0


class Marked(Node):
    """A node whose processes carry the lab's mark in their environment, as do their children."""

    def __init__(self, name: str, *, rundir: RunDirectory, **params: Any) -> None:
        self.rundir = rundir
        super().__init__(name, **params)

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[bytes]:
        """Start a process; Mininet starts all of a node's processes through this."""
        params.setdefault("env", self.rundir.environment)
        process: subprocess.Popen[bytes] = super()._popen(cmd, **params)
        return process


class StoppedTogether(Switch):
    """Switches whose ends take the kernel a while: it waits once for each socket of a port."""

    @classmethod
    def batchShutdown(cls, switches: Sequence[Switch], run: Any = None) -> Sequence[Switch]:
        """Stop all at the same time; Mininet calls this, and passes over those returned."""
        with ThreadPoolExecutor(len(switches)) as pool:
            list(pool.map(lambda switch: switch.stop(), switches))
        return switches


class Quiet(Marked, Host):
    """A host whose interfaces are configured elsewhere, in batches."""

    def configDefault(self, **_params: Any) -> dict[str, Any]:
        """Do nothing; Mininet would run several shells per interface."""
        return {}


class Server(Quiet):
    """A server: a namespace of its own with the NIC's physical function as ``pf0``."""


class VirtualMachine(Quiet):
    """A virtual machine: a namespace whose ``eth0`` is, or is backed by, a VF."""


class Nic(Marked, StoppedTogether):
    """A NIC: one P4 switch process whose ports are interfaces of the root namespace."""

    def __init__(self, name: str, *, target: str, options: SwitchOptions, **params: Any) -> None:
        params.update(inNamespace=False, dpid=f"{options.device_id:x}")
        super().__init__(name, **params)
        self.target = target
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        """The switch process; none if it is stopped."""
        return [] if self.process is None else [self.process]

    def control_threads(self) -> list[int]:
        """Threads that serve the controller and forward no packets, as far as they can be told."""
        if self.target != "native":
            return []
        return [thread for process in self.processes for thread in control_threads(process.pid)]

    @property
    def address(self) -> str:
        """Where the NIC's P4Runtime server listens."""
        return f"127.0.0.1:{self.options.grpc_port}"

    @property
    def space(self) -> int:
        """A process in the network namespace that its ports are in."""
        return os.getpid()

    @property
    def output(self) -> Path:
        """What the switch process printed."""
        return self.rundir.logs / f"{self.name}.out"

    def start(self, _controllers: list[Any]) -> None:
        """Start the switch process; ``wait_listening`` tells when it serves."""
        require_free_port(self.name, self.options.grpc_port)
        command = [*switch_command(self.target), *self.options.arguments(self.target)]
        with self.output.open("ab") as output:
            try:
                self.process = start_switch(
                    command, stdout=output, stderr=output, env=self.rundir.environment
                )
            except OSError as error:
                raise LabError(
                    f"{self.name}: cannot start {command[0]}: {error.strerror}"
                ) from None
        self.rundir.record_process(self.process.pid)

    def listening(self) -> bool:
        """Whether the P4Runtime server accepts connections; LabError if the process has died."""
        if self.process is None or self.process.poll() is not None:
            raise LabError(self.obituary())
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.options.grpc_port)) == 0

    def wait_listening(self, seconds: float = START_DEADLINE_S) -> None:
        """Block until the P4Runtime server accepts connections, or raise LabError."""
        deadline = time.monotonic() + seconds
        while not self.listening():
            if time.monotonic() > deadline:
                raise LabError(
                    f"{self.name} does not listen at {self.address} {seconds:.0f} s after its "
                    f"start; see {self.output}"
                )
            time.sleep(0.02)

    def obituary(self) -> str:
        """One paragraph on how the switch process ended."""
        how = "was not started" if self.process is None else how_ended(self.process)
        return f"the switch process of {self.name} {how}. {tail(self.output)}".strip()

    def stop(self, deleteIntfs: bool = True) -> None:
        """End the switch process; the links stay until the lab's clean-up."""
        process, self.process = self.process, None  # None first: this is no death to report
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def require_free_port(name: str, port: int) -> None:
    """Raise LabError if something listens on 127.0.0.1:port already."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise LabError(
                f"port {port}, where {name} should serve P4Runtime, is taken by another process "
                f"(see: ss -ltnp sport = :{port}); end that process, or give the lab other ports "
                "with --p4runtime-port N."
            )


def how_ended(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, as a predicate."""
    code = process.poll()
    if code is None:
        return "runs"
    return (
        f"ended with status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
    )


def tail(path: Path, lines: int = 5) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    if not text:
        return f"It printed nothing ({path})."
    return f"Its last words ({path}):\n" + "\n".join(text.splitlines()[-lines:])
