"""The migration's hands: placements, frames and announcements, through the controller."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from control.errors import NicDownError
from control.migration.held import Frame
from control.model import Placement
from control.policy.reasons import vf_port

if TYPE_CHECKING:
    from control.controller import Controller


class Site:
    """What one migration changes in the lab, in the words of the migration."""

    def __init__(self, controller: Controller, vm: str) -> None:
        self.controller = controller
        self.vm = vm

    async def place(self, placements: tuple[Placement, ...], nics: Iterable[str]) -> None:
        """Set the VM's placements and program ``nics`` one after the other.

        Raises NicDownError if one of them is not connected (it is programmed when it is back).
        """
        self.controller.moving[self.vm] = placements
        for nic in nics:
            await self.controller.program([nic])
            self.require_up(nic)

    async def settle(self, placements: tuple[Placement, ...], nics: Iterable[str]) -> None:
        """Like ``place``, but leaves a NIC that is down to its reconciliation."""
        self.controller.moving[self.vm] = placements
        await self.controller.program(list(nics))

    def done(self) -> None:
        """Forget the placements: the VM is where the desired state says."""
        self.controller.moving.pop(self.vm, None)

    def require_up(self, nic: str) -> None:
        """Raise NicDownError unless a NIC is connected."""
        if not self.is_up(nic):
            raise NicDownError(f"{nic} is not connected; its tables will be set when it is back.")

    def is_up(self, nic: str) -> bool:
        """Whether a NIC is connected and programmed."""
        return any(status.nic == nic and status.up for status in self.controller.plane.status())

    def other_nics(self, *but: str) -> list[str]:
        """Names of the NICs that are connected, except some."""
        return [s.nic for s in self.controller.plane.status() if s.up and s.nic not in but]

    async def deliver(self, nic: str, vf: int, frame: Frame) -> None:
        """Send a frame straight to a VF."""
        await self.controller.plane.send(nic, vf_port(vf), frame.network, frame.payload)

    async def frames_to(self, nic: str, vf: int) -> int:
        """Frames that the VF's destination entry has handled since it was installed."""
        return await self.controller.plane.frames_to(nic, vf_port(vf))

    async def announce(self, nic: str) -> None:
        """Tell the physical network where the VM's MAC address is now; tunnels need no telling."""
        state = self.controller.state
        if not state.segment(state.vm(self.vm)).overlay:
            await self.controller.plane.announce(state, self.vm, nic)
