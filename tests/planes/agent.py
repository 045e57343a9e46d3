"""What a test tells to speak and to answer, in a VM or server; see ``service.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.traffic import end
from topologies.machine import Machine

SERVICE = str(Path(__file__).with_name("service.py"))


class Agent:
    """What runs in one VM or server for all tests."""

    def __init__(self, place: Machine) -> None:
        command = [sys.executable, SERVICE]
        self.process = place.popen(command, stdin=subprocess.PIPE, stderr=None)
        assert self._answer() == "ready"

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def tell(self, *words: object) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Kill it."""
        end(self.process)
