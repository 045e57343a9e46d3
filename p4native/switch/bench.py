"""Measures a pipeline in memory: nanoseconds, cycles and misses per packet."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from dataclasses import dataclass

from p4native.switch import native
from p4native.switch.device import Device

_UNKNOWN = (1 << 64) - 1
_PROBE_BATCHES = 200
_RUNS = 5


@dataclass(frozen=True, slots=True)
class Result:
    """Per packet, the best of several runs; None where the machine does not count it.

    `ns` is the pipeline alone, without what allocating and copying frames takes (`overhead_ns`).
    """

    packets: int
    ns: float
    overhead_ns: float
    cycles: float | None
    instructions: float | None
    cache_misses: float | None
    branch_misses: float | None

    @property
    def packets_per_second(self) -> float:
        """What one thread could do without any I/O."""
        return 1e9 / max(self.ns, 1e-3)


class Bench:
    """Frames for one device, laid out for the C loop. The device has no packet threads running."""

    def __init__(self, device: Device, frames: Sequence[tuple[int, bytes]]) -> None:
        """`frames` are (port, bytes), at least one."""
        self._device = device
        self._data = b"".join(data for _, data in frames)
        self._count = len(frames)
        self._lens = (c.c_uint32 * len(frames))(*(len(data) for _, data in frames))
        self._ports = (c.c_uint32 * len(frames))(*(port for port, _ in frames))

    def run(self, seconds: float) -> Result:
        """Measures for about `seconds`, in several runs of which the fastest counts."""
        probe = self._once(_PROBE_BATCHES, process=True)
        per_batch = max(probe[0] / _PROBE_BATCHES, 1.0)
        batches = max(_PROBE_BATCHES, int(seconds * 1e9 / per_batch / _RUNS))
        runs = [self._once(batches, process=True) for _ in range(_RUNS)]
        idle = min(self._once(batches, process=False)[0] for _ in range(_RUNS))
        best = min(runs, key=lambda r: r[0])
        packets = best[1]
        overhead = idle / packets
        counts = [None if n == _UNKNOWN else n / packets for n in best[2:]]
        return Result(packets * _RUNS, max(0.0, best[0] / packets - overhead), overhead, *counts)

    def _once(self, batches: int, *, process: bool) -> list[int]:
        out = (c.c_uint64 * 6)()
        native.engine().p4n_bench(
            self._device.handle, self._data, self._lens, self._ports, self._count, batches,
            process, out,
        )  # fmt: skip
        if not out[1]:
            raise MemoryError("the packet pool is exhausted: too many frames go round in circles")
        return list(out)
