"""The bench of held connections, without a lab."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.suites.flows import megabytes
from bench.traffic import TrafficError


def test_a_process_has_memory_until_it_ends():
    assert megabytes(os.getpid()) > 1
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(TrafficError, match=f"process {process.pid} of a NIC has ended"):
        megabytes(process.pid)
