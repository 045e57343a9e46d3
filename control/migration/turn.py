"""A lock that one task may take and give back more than once, in whatever order it needs."""

from __future__ import annotations

import asyncio


class Turn:
    """One migration's hold on the fabric's lock; taking it twice, or giving it twice, is fine.

    While a migration holds it, no policy change and no reconciliation writes entries between two
    of its steps.
    """

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._held = False

    async def take(self) -> None:
        """Wait for the lock unless it is held already."""
        if not self._held:
            await self._lock.acquire()
            self._held = True

    def give(self) -> None:
        """Release the lock if it is held."""
        if self._held:
            self._held = False
            self._lock.release()

    async def __aenter__(self) -> None:
        await self.take()

    async def __aexit__(self, *_exc: object) -> None:
        self.give()
