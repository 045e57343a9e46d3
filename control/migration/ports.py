"""What migration needs of others: the hypervisor's side, and state that moves with a VM."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol


class MemoryChannel(Protocol):
    """A connection between two servers over which guest memory travels."""

    async def send(self, octets: int) -> None:
        """Move that many bytes; returns when the other side has them, ControlError if it cannot.

        Cancelled, it stops at once, and the channel is of no more use.
        """


class Hypervisor(Protocol):
    """Acts on guests, as the servers' hypervisors would. Errors are ControlError."""

    async def make_way(self, vm: str, nic: str, vf: int) -> None:
        """Ready a VF for a guest that is to come; attaching it elsewhere takes that back."""

    async def attach(self, vm: str, nic: str, vf: int) -> None:
        """Connect a guest to a VF, or move it there; repeating it changes nothing."""

    async def freeze(self, vm: str) -> None:
        """Stop the guest's processes; repeating it changes nothing."""

    async def thaw(self, vm: str) -> None:
        """Let the guest's processes run; repeating it changes nothing."""

    def urgent(self) -> AbstractContextManager[None]:
        """A block in which the caller's thread, and NICs for it, run before guests and packets."""

    def memory_channel(
        self, source: str, destination: str
    ) -> AbstractAsyncContextManager[MemoryChannel]:
        """Open a path between two servers' PFs; ControlError if one does not reach the other."""


class MovableState(Protocol):
    """State of a VM in a NIC that policy does not compute, such as its connections."""

    async def copy(self, vm: str, source: str, destination: str) -> int:
        """Bring NIC ``destination`` up to date with NIC ``source``; returns entries written."""

    async def drop(self, vm: str, nic: str) -> None:
        """Remove the VM's state from a NIC; of one that is down, forget that it was there."""
