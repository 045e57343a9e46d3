"""CPU time of the machine, and whether it is quiet enough to measure."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_IDLE = (3, 4)  # idle and iowait in /proc/stat


def _busy_ticks() -> int:
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    return sum(int(value) for index, value in enumerate(fields) if index not in _IDLE)


class CpuMeter:
    """CPU seconds that the whole machine has spent since the meter was made."""

    def __init__(self) -> None:
        self._start = _busy_ticks()

    def seconds(self) -> float:
        """CPU seconds of all cores, in user, system and interrupt work."""
        return (_busy_ticks() - self._start) / _TICK


def busy_share(seconds: float = 0.5) -> float:
    """Share of all cores (0..1) that something else uses at the moment."""
    meter = CpuMeter()
    time.sleep(seconds)
    return min(1.0, meter.seconds() / (seconds * (os.cpu_count() or 1)))
