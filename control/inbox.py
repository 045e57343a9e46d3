"""A bounded queue from which everything that waits is taken at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Inbox(Generic[_T]):
    """Items for one taker in one event loop; what does not fit is dropped and counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[_T] = deque()
        self._filled = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Iterable[_T]) -> None:
        """Add items in order, as many as fit."""
        for item in items:
            if len(self._items) < self._limit:
                self._items.append(item)
            else:
                self.dropped += 1
        if self._items:
            self._filled.set()

    def clear(self) -> None:
        """Forget what waits."""
        self._items.clear()
        self._filled.clear()

    async def take(self, most: int) -> list[_T]:
        """Wait until there is something; the oldest items, ``most`` of them at the most."""
        await self._filled.wait()
        taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
        if not self._items:
            self._filled.clear()
        return taken
