"""A server or VM for scripts: run programs in its namespace."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

from topologies.errors import LabError


class Machine:
    """Wraps a Mininet host; safe to use from several threads."""

    def __init__(self, node: Any, mac: str = "", interfaces: Sequence[str] = ()) -> None:
        self.node = node
        self.name: str = node.name
        self.mac = mac
        self.ip = interfaces[0].partition("/")[0] if interfaces else ""
        """The first address, without prefix length."""

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program inside; its output is text on pipes unless ``options`` say otherwise."""
        inside = ["mnexec", "-a", str(self.node.pid), *command]
        defaults: dict[str, Any] = {
            "env": self.node.rundir.environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }
        return subprocess.Popen(inside, **{**defaults, **options})

    def run(
        self, command: Sequence[str], *, timeout: float = 30, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end. With ``check``, LabError if it fails."""
        with self.popen(command) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise LabError(
                    f"{self.name}: {' '.join(command)} has not ended after {timeout:.0f} s"
                ) from None
        if check and process.returncode:
            raise LabError(f"{self.name}: {' '.join(command)}: {(errors or output).strip()}")
        return subprocess.CompletedProcess(list(command), process.returncode, output, errors)

    def pings(self, address: str, *, count: int = 1, wait: float = 1) -> int:
        """How many of ``count`` echo requests to an address are answered within ``wait`` s each."""
        command = ["ping", "-n", "-c", str(count), "-i", "0.05", "-W", str(wait), address]
        output = self.run(command, timeout=count * (wait + 0.1) + 5).stdout
        return output.count(" bytes from ")
