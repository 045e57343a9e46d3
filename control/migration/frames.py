"""Frames on their way to a VM that is frozen: held, then delivered in order, then passed on."""

from __future__ import annotations

from control.errors import NicDownError
from control.migration.held import Frame, HeldFrames
from control.migration.memory import MIB
from control.migration.record import Endpoint, Record
from control.migration.site import Site


class HeldTraffic:
    """Collects what the NICs send up for one frozen VM."""

    def __init__(self, record: Record, site: Site) -> None:
        options = record.options
        self.frames = HeldFrames(
            options.held_frames,
            int(options.held_mib * MIB),
            (record.source.nic, record.destination.nic),
        )
        self._site = site
        self._open_at: Endpoint | None = None

    async def arrived(self, nic: str, payload: bytes, network: int) -> None:
        """A NIC sent up a frame for the VM."""
        frame = Frame(payload, network)
        kept = self.frames.put(nic, frame)
        if kept and self._open_at is not None:
            await self._flush(self._open_at)

    async def release(self, end: Endpoint) -> None:
        """Deliver what is held to the guest at ``end``; later arrivals follow at once."""
        await self._flush(end)
        self._open_at = end

    async def _flush(self, end: Endpoint) -> None:
        while (frame := self.frames.take()) is not None:
            try:
                await self._site.deliver(end.nic, end.vf, frame)
            except NicDownError:
                self.frames.put_back(end.nic, frame)
                raise
