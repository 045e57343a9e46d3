"""Pre-copy of guest memory: send all, then what was dirtied meanwhile, until little is left.

After "Live Migration of Virtual Machines" (Clark et al., NSDI 2005): rounds shrink while the link
is faster than the guest dirties pages; the last remainder is sent while the guest is frozen.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from control.migration.record import Options

MIB = 1024 * 1024
SHRINK = 0.5  # a round should leave no more than this share of what it sent
THROTTLE_STEP, THROTTLE_MOST = 0.2, 0.99
Send = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Copied:
    """Bytes sent, bytes still dirty, and the share of CPU time (0..1) taken from the guest."""

    sent: int
    dirty: int
    throttle: float


async def pre_copy(options: Options, send: Send, clock: Callable[[], float]) -> Copied:
    """Send memory in rounds until no more than ``limit_mib`` is dirty, or ``rounds`` have passed.

    ``send(n)`` moves n bytes and returns when they have arrived. While the remainder does not
    shrink enough, the guest's CPUs are throttled further, as QEMU's auto-converge does.
    """
    total = int(options.memory_mib * MIB)
    dirty, sent, throttle = total, 0, 0.0
    for _ in range(options.rounds):
        began = clock()
        await send(dirty)
        sent += dirty
        rate = options.dirty_mib_s * MIB * (1 - throttle)
        dirtied = min(total, int((clock() - began) * rate))
        if dirtied > dirty * SHRINK:
            throttle = min(THROTTLE_MOST, throttle + THROTTLE_STEP)
        dirty = dirtied
        if dirty <= options.limit_mib * MIB:
            break
    return Copied(sent, dirty, throttle)


def monotonic() -> float:
    """Seconds on the clock that migrations are timed by."""
    return time.monotonic()
