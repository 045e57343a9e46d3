"""The migration's hands: placements, frames and announcements of one VM."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from control import announce
from control.errors import NicDownError
from control.fabric import OUT_TO_PORT
from control.migration.held import Frame
from control.model import Placement
from control.policy.reasons import vf_port
from control.session import PacketOut

if TYPE_CHECKING:
    from control.fabric import Fabric, HeldHandler, Plan
    from control.nic import Step

Placements = tuple[Placement, ...]


async def together(*steps: Awaitable[None]) -> None:
    """Take steps at the same time; a failure is raised when all have ended, not in their midst."""
    for result in await asyncio.gather(*steps, return_exceptions=True):
        if result is not None:
            raise result


class Site:
    """What one migration changes in the lab, in the words of the migration.

    Whoever calls ``place``, ``settle`` or ``carry_out`` holds the fabric's lock.
    """

    def __init__(self, fabric: Fabric, vm: str) -> None:
        self.fabric = fabric
        self.vm = vm

    def plan(self, placements: Placements, nics: Iterable[str], after: Plan | None = None) -> Plan:
        """Compute, and do not write, what other placements mean for ``nics``."""
        return self.fabric.plan({self.vm: placements}, after, nics)

    async def carry_out(
        self, placements: Placements, plan: Plan, *, skip_down: bool = False
    ) -> None:
        """Write a plan to all its NICs at once. NicDownError if one is down, unless skipped."""
        self.fabric.placements[self.vm] = placements
        await together(
            *(self._execute(nic, step, skip_down=skip_down) for nic, step in plan.items())
        )

    async def _execute(self, nic: str, step: Step, *, skip_down: bool) -> None:
        try:
            self.require_up(nic)
            await self.fabric.execute(nic, step)
        except NicDownError:
            if not skip_down:
                raise

    async def place(self, placements: Placements, nics: Iterable[str]) -> None:
        """Set the VM's placements and program ``nics`` in turn. NicDownError if one is down."""
        self.fabric.placements[self.vm] = placements
        for nic in nics:
            self.require_up(nic)
            await self.fabric.program([nic])

    async def settle(self, placements: Placements, nics: Iterable[str]) -> None:
        """Like ``place``, but leaves a NIC that is down to its reconciliation."""
        self.fabric.placements[self.vm] = placements
        await self.fabric.program(nics)

    def require_up(self, nic: str) -> None:
        """Raise NicDownError unless a NIC is connected and programmed."""
        if not self.is_up(nic):
            raise NicDownError(f"{nic} is not connected; its tables will be set when it is back.")

    def is_up(self, nic: str) -> bool:
        """Whether a NIC is connected and programmed."""
        return self.fabric.is_up(nic)

    def is_reachable(self, nic: str) -> bool:
        """Whether a NIC is up and has an uplink with link."""
        return self.is_up(nic) and self.fabric.has_link(nic)

    def others(self, *but: str) -> list[str]:
        """Names of all NICs except some."""
        return [name for name in self.fabric.nic_names if name not in but]

    def holding(self, handler: HeldHandler) -> AbstractContextManager[None]:
        """Hand the VM's held frames to ``handler`` within the block."""
        return self.fabric.holding(self.vm, handler)

    async def deliver(self, nic: str, vf: int, frames: Sequence[Frame]) -> None:
        """Send frames straight to a VF, in order."""
        if not frames:
            return
        await self.fabric.nic(nic).packet_outs(
            [
                PacketOut(frame.payload, (OUT_TO_PORT, vf_port(vf), frame.network))
                for frame in frames
            ]
        )

    async def caught_up(self, nics: Iterable[str]) -> None:
        """Wait until all that NICs have sent up so far has arrived, of those that are up."""
        up = [nic for nic in nics if self.is_up(nic)]
        await asyncio.gather(*(self.fabric.caught_up(nic) for nic in up))

    def dropped(self, nics: Iterable[str]) -> int:
        """Packets from NICs that found no room on their way to the handlers, so far."""
        return sum(self.fabric.nic(nic).packets_dropped for nic in nics)

    async def announce(self, nic: str) -> None:
        """Tell the network where the VM's addresses are now."""
        for item in announce.of_vm(self.fabric.state, self.vm, nic):
            await self.fabric.announce(nic, item)

    async def frames_to(self, nic: str, vf: int) -> int:
        """Frames that have met the VF's entry in a NIC's destination table."""
        return await self.fabric.frames_to(nic, vf_port(vf))
