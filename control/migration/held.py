"""Frames held while a guest is frozen: bounded, in order, and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """A frame that a NIC sent up instead of to the frozen guest, and the network it is in."""

    payload: bytes
    network: int


Place = tuple[str, bool]
"""The NIC that held a frame, and whether the frame came from inside its server."""


class HeldFrames:
    """Frames by the place that held them, bounded together in count and bytes.

    They leave in the order of ``places``: the source's, which were sent before the peers' path
    changed, first; then what its redirect sent on to the destination, which came in by the uplink;
    then what the destination's own VMs sent, who sent to the source before.
    """

    def __init__(self, max_frames: int, max_bytes: int, places: Iterable[Place]) -> None:
        self._max_frames, self._max_bytes = max_frames, max_bytes
        self._queues: dict[Place, list[Frame]] = {place: [] for place in places}
        self._bytes = 0
        self.held = 0
        self.overflowed = 0

    def put(self, place: Place, frame: Frame) -> bool:
        """Hold a frame; False, counted in ``overflowed``, when there is no room for it."""
        size = len(frame.payload)
        if len(self) >= self._max_frames or self._bytes + size > self._max_bytes:
            self.overflowed += 1
            return False
        self._queues[place].append(frame)
        self._bytes += size
        self.held += 1
        return True

    def take(self, most: int) -> list[Frame]:
        """The next frames to deliver, ``most`` of them at the most; they are not held any more."""
        taken: list[Frame] = []
        for queue in self._queues.values():
            part = queue[: most - len(taken)]
            del queue[: len(part)]
            taken += part
        self._bytes -= sum(len(frame.payload) for frame in taken)
        return taken

    def put_back(self, frames: Sequence[Frame]) -> None:
        """Hold frames again that could not be delivered, before all others."""
        first = next(iter(self._queues.values()))
        first[:0] = frames
        self._bytes += sum(len(frame.payload) for frame in frames)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
