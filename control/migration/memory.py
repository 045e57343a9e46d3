"""Pre-copy of guest memory: send all, then what was dirtied meanwhile, until little is left.

After "Live Migration of Virtual Machines" (Clark et al., NSDI 2005): rounds shrink while the link
is faster than the guest dirties pages; the last remainder is sent while the guest is frozen.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from control.migration.record import Options

MIB = 1024 * 1024
Send = Callable[[int], Awaitable[None]]


async def pre_copy(options: Options, send: Send, clock: Callable[[], float]) -> tuple[int, int]:
    """Send memory in rounds; returns (bytes sent, bytes still dirty).

    ``send(n)`` moves n bytes and returns when they have arrived. Ends when no more than
    ``limit_mib`` is dirty, when a round does not shrink the remainder, or after ``rounds``.
    """
    total = int(options.memory_mib * MIB)
    dirty, sent = total, 0
    for _ in range(options.rounds):
        began = clock()
        await send(dirty)
        sent += dirty
        dirtied = min(total, int((clock() - began) * options.dirty_mib_s * MIB))
        converging = dirtied < dirty
        dirty = dirtied
        if dirty <= options.limit_mib * MIB or not converging:
            break
    return sent, dirty


def monotonic() -> float:
    """Seconds on the clock that migrations are timed by."""
    return time.monotonic()
