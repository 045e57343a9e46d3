"""Frames held while a guest is frozen: bounded, in order, and counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Frame:
    """A frame that a NIC sent up instead of to the frozen guest, and the network it is in."""

    payload: bytes
    network: int


@dataclass
class HeldFrames:
    """Frames by the NIC that held them, bounded together in count and bytes.

    The source's frames were sent before the peers' path changed, so they leave first.
    """

    max_frames: int
    max_bytes: int
    order: tuple[str, ...]
    held: int = 0
    overflowed: int = 0
    _bytes: int = 0
    _queues: dict[str, deque[Frame]] = field(default_factory=dict)

    def put(self, nic: str, frame: Frame) -> bool:
        """Hold a frame; False, counted in ``overflowed``, when there is no room for it."""
        size = len(frame.payload)
        if len(self) >= self.max_frames or self._bytes + size > self.max_bytes:
            self.overflowed += 1
            return False
        self._queues.setdefault(nic, deque()).append(frame)
        self._bytes += size
        self.held += 1
        return True

    def take(self) -> Frame | None:
        """The next frame to deliver, or None when all are gone."""
        for nic in (*self.order, *self._queues):
            queue = self._queues.get(nic)
            if queue:
                frame = queue.popleft()
                self._bytes -= len(frame.payload)
                return frame
        return None

    def put_back(self, nic: str, frame: Frame) -> None:
        """Hold a frame again that could not be delivered, before all others of its NIC."""
        self._queues.setdefault(nic, deque()).appendleft(frame)
        self._bytes += len(frame.payload)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
