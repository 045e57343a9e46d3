"""What the controller asks of a data plane, whatever it is made of: P4 NICs, or an Open vSwitch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from control.events import EventBus
from control.model import DesiredState

Edit = Callable[[DesiredState], DesiredState]
"""What becomes of the desired state. ControlError if the edit is not possible in it."""


@dataclass(frozen=True)
class NicStatus:
    """One NIC as the operator sees it."""

    nic: str
    address: str
    device_id: int
    up: bool
    entries: int
    sessions: int


@dataclass
class PortStats:
    """Counters of one port since its NIC started. ``rx``/``tx`` as the guest sees them."""

    rx_packets: int = 0
    rx_bytes: int = 0
    rx_multicast: int = 0
    rx_broadcast: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_multicast: int = 0
    tx_broadcast: int = 0
    drops: dict[str, int] = field(default_factory=dict)


class Plane(Protocol):
    """Programs the NICs (or what stands in for them) of one lab from its desired state."""

    bus: EventBus

    @property
    def state(self) -> DesiredState:
        """The desired state at present."""

    async def start(self, state: DesiredState) -> None:
        """Take up a desired state and begin connecting; returns at once."""

    async def stop(self) -> None:
        """End all sessions and tasks, and wait for them."""

    async def wait_ready(self, timeout: float) -> None:
        """Wait until every NIC is connected and programmed; ControlError after ``timeout`` s."""

    async def edit(self, edit: Edit) -> None:
        """Make all NICs hold what the edited state asks for, and save it.

        The edit is made when its turn has come, so that nothing done meanwhile is undone by it: a
        VM that has moved, another edit. A NIC that is down gets it when it comes back. If a NIC
        refuses, the old state is put back everywhere and its NicError raised.
        """

    async def change(self, state: DesiredState) -> None:
        """Like ``edit``, whatever the state is by then."""

    async def restarted(self, nic: str) -> None:
        """Bring a NIC whose processes were started again in line, if it is not noticed anyway."""

    async def set_uplinks(self, nic: str, ports: frozenset[int]) -> None:
        """Note which uplinks of a NIC have link, and bring it in line."""

    def uplinks(self, nic: str) -> frozenset[int]:
        """Uplink ports of a NIC that have link, as far as is known."""

    def save(self) -> None:
        """Store the desired state."""

    def status(self) -> list[NicStatus]:
        """Every NIC, in the state's order."""

    async def port_stats(self, nic: str, ports: Sequence[int]) -> dict[int, PortStats]:
        """Counters of some ports of one NIC."""


def tell_uplinks(bus: EventBus, nic: str, ports: Iterable[int]) -> None:
    """Tell watchers which uplinks of a NIC have link now."""
    names = ", ".join(map(str, sorted(ports))) or "none"
    bus.emit("nic", nic, f"uplinks with link: {names}")
