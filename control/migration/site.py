"""The migration's hands: placements, frames and announcements of one VM."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from control import announce
from control.errors import NicDownError
from control.fabric import OUT_TO_PORT
from control.migration.held import Frame
from control.model import Placement
from control.policy.reasons import PORT_UPLINK, vf_port

if TYPE_CHECKING:
    from control.fabric import Fabric, HeldHandler, Plan

Placements = tuple[Placement, ...]


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
        """Write a plan, NIC after NIC. NicDownError if one is down, unless such are skipped."""
        self.fabric.placements[self.vm] = placements
        for nic, step in plan.items():
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

    def others(self, *but: str) -> list[str]:
        """Names of all NICs except some."""
        return [name for name in self.fabric.nic_names if name not in but]

    def holding(self, handler: HeldHandler) -> AbstractContextManager[None]:
        """Hand the VM's held frames to ``handler`` within the block."""
        return self.fabric.holding(self.vm, handler)

    async def deliver(self, nic: str, vf: int, frame: Frame) -> None:
        """Send a frame straight to a VF."""
        await self._send(nic, frame.payload, vf_port(vf), frame.network)

    async def announce(self, nic: str) -> None:
        """Tell the physical network where the VM's addresses are now; tunnels need no telling."""
        for network, frame in announce.of_vm(self.fabric.state, self.vm, nic):
            await self._send(nic, frame, PORT_UPLINK, network)

    async def _send(self, nic: str, payload: bytes, port: int, network: int) -> None:
        session = self.fabric.nic(nic)
        await session.packet_out(payload, mode=OUT_TO_PORT, port=port, network=network)

    async def frames_to(self, nic: str, vf: int) -> int:
        """Frames that have met the VF's entry in a NIC's destination table."""
        return await self.fabric.frames_to(nic, vf_port(vf))
