"""Pre-copy of guest memory: send all, then what was dirtied meanwhile, until little is left.

After "Live Migration of Virtual Machines" (Clark et al., NSDI 2005): rounds shrink while the link
is faster than the guest dirties pages; the last remainder is sent while the guest is frozen.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from control.migration.record import Options

MIB = 1024 * 1024
SHRINK = 0.5  # a round should leave no more than this share of what it sent
THROTTLE_STEP, THROTTLE_MOST = 0.2, 0.99
Send = Callable[[int], Awaitable[None]]


class GuestMemory:
    """What of a guest's memory the other server lacks: all at first, and what the guest dirties.

    ``send(n)`` moves n bytes and returns when they have arrived. The guest dirties
    ``dirty_mib_s`` by the clock, also between two rounds, until it is ``stop``ped.
    """

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._total = int(options.memory_mib * MIB)
        self._left, self._since = self._total, clock()
        self._running = True
        self.sent = 0  # bytes
        self.throttle = 0.0  # share of CPU time (0..1) taken from the guest
        self._converged = False  # whether rounds brought it below the limit

    @property
    def dirty(self) -> int:
        """Bytes that the other server lacks now."""
        rate = self._options.dirty_mib_s * MIB * (1 - self.throttle) if self._running else 0
        return min(self._total, self._left + int((self._clock() - self._since) * rate))

    def _settle(self, left: int) -> None:
        self._left, self._since = left, self._clock()

    async def copy(self, send: Send) -> None:
        """Send what is dirty; the guest may dirty pages again meanwhile."""
        octets = self.dirty
        self._settle(0)
        await send(octets)
        self.sent += octets

    async def pre_copy(self, send: Send) -> None:
        """Copy in rounds until no more than ``limit_mib`` is dirty, or ``rounds`` have passed.

        While the remainder does not shrink enough, the guest's CPUs are throttled further, as
        QEMU's auto-converge does.
        """
        for _ in range(self._options.rounds):
            before = self.dirty
            await self.copy(send)
            if self.dirty > before * SHRINK:
                self._settle(self.dirty)
                self.throttle = min(THROTTLE_MOST, self.throttle + THROTTLE_STEP)
            if self.dirty <= self._options.limit_mib * MIB:
                self._converged = True
                break

    async def catch_up(self, send: Send) -> None:
        """A last round just before the freeze, unless rounds do not help with this guest."""
        if self._converged:
            await self.copy(send)

    def stop(self) -> None:
        """The guest stands still: nothing more becomes dirty."""
        self._settle(self.dirty)
        self._running = False


def monotonic() -> float:
    """Seconds on the clock that migrations are timed by."""
    return time.monotonic()
