"""Frames on their way to a VM that is frozen: held, then delivered in order, then passed on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from control.errors import NicDownError
from control.migration.held import Frame, HeldFrames
from control.migration.memory import MIB
from control.migration.record import Endpoint, Record
from control.migration.site import Site
from control.policy.reasons import PORT_PF

if TYPE_CHECKING:
    from control.fabric import Held

BURST = 48  # BMv2 queues 64 packets at a port


class HeldTraffic:
    """Collects what the NICs send up for one frozen VM."""

    def __init__(self, record: Record, site: Site) -> None:
        options = record.options
        self._nics = record.source.nic, record.destination.nic
        self.frames = HeldFrames(
            options.held_frames,
            int(options.held_mib * MIB),
            [(nic, inside) for nic in self._nics for inside in (False, True)],
        )
        self._site = site
        self._dropped_before = site.dropped(self._nics)
        self._open_at: Endpoint | None = None
        self._releasing = False
        self._passing = False
        self.late = 0

    @property
    def lost(self) -> int:
        """Frames that found no room, here or on their way here."""
        return self.frames.overflowed + self._site.dropped(self._nics) - self._dropped_before

    async def arrived(self, nic: str, frames: Sequence[Held]) -> None:
        """A NIC sent up frames for the VM."""
        for port, payload, network in frames:
            kept = self.frames.put((nic, port >= PORT_PF), Frame(payload, network))
            self.late += kept and self._passing
        if self._open_at is not None and not self._releasing:
            await self._flush(self._open_at, len(self.frames))

    async def release(self, end: Endpoint, begun: Callable[[], Awaitable[None]]) -> None:
        """Deliver all that the NICs have sent up to the guest at ``end``; what comes follows.

        In bursts that a switch's queue takes, each sent when the one before has been handled.
        ``begun`` is called when the first is on its way.
        """
        await self._site.caught_up(self._nics)
        self._open_at, self._releasing = end, True
        try:
            waiting = len(self.frames)
            await self._flush(end, BURST)
            await begun()
            await self.followed(end)
            for _ in range(BURST, waiting, BURST):
                await self._flush(end, BURST)
                await self.followed(end)
        finally:
            self._releasing = False
        await self._flush(end, len(self.frames))

    async def followed(self, end: Endpoint) -> None:
        """Wait until what was released has left the NIC at ``end``: a write could overtake it."""
        await self._site.caught_up([end.nic])

    def passing(self) -> None:
        """From now on frames go straight to the guest; any that still come up are late."""
        self._passing = True

    async def _flush(self, end: Endpoint, most: int) -> None:
        frames = self.frames.take(most)
        try:
            await self._site.deliver(end.nic, end.vf, frames)
        except NicDownError:
            self.frames.put_back(frames)
            raise
