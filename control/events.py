"""What happens in the lab, for whoever listens: traces, progress, the log."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["nic", "write", "packet_in", "migration", "policy", "lab"]
HISTORY = 1000
QUEUE = 1000


@dataclass(frozen=True)
class Event:
    """One thing that happened: what kind, where, and a sentence."""

    kind: Kind
    source: str
    text: str
    time: float = field(default_factory=time.time)  # seconds since the epoch

    def line(self) -> str:
        """The event as one line for a terminal or a log."""
        clock = time.strftime("%H:%M:%S", time.localtime(self.time))
        thousandths = int(self.time * 1000) % 1000
        return f"{clock}.{thousandths:03d} {self.kind:9} {self.source}: {self.text}"


class EventBus:
    """Keeps the recent events and hands new ones to subscribers; a slow one loses the oldest."""

    def __init__(self) -> None:
        self.recent: deque[Event] = deque(maxlen=HISTORY)
        self._queues: list[asyncio.Queue[Event]] = []

    def emit(self, kind: Kind, source: str, text: str) -> None:
        """Record an event. Call it from the event loop's thread."""
        event = Event(kind, source, text)
        self.recent.append(event)
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    @contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[Event]]:
        """A queue of the events from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE)
        self._queues.append(queue)
        try:
            yield queue
        finally:
            self._queues.remove(queue)
