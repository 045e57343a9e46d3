"""One NIC's view of the lab: who is placed here, in which role, and where everyone else is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from control.model.state import DesiredState, Network, Nic, Placement, Server, Vm
from control.policy.reasons import vf_port


@dataclass(frozen=True)
class Guest:
    """A VM as placed on one NIC."""

    vm: Vm
    network: Network
    placement: Placement

    @property
    def port(self) -> int:
        """The VF's port number."""
        return vf_port(self.placement.vf)

    @property
    def role(self) -> str:
        """The placement's role."""
        return self.placement.role

    @property
    def is_home(self) -> bool:
        """Whether the VM's addresses lead to this placement."""
        return self.placement.role in ("active", "parked")


def placements_of(state: DesiredState) -> list[Placement]:
    """Where the VMs are when none migrates."""
    nics = {server.name: server.nic for server in state.servers}
    return [Placement(vm=vm.name, nic=nics[vm.server], vf=vm.vf) for vm in state.vms]


class View:
    """The state as one NIC sees it. ``uplinks_up`` are the uplink ports whose link is up."""

    def __init__(
        self,
        state: DesiredState,
        nic: str,
        placements: Iterable[Placement] | None = None,
        uplinks_up: frozenset[int] = frozenset({1}),
    ) -> None:
        self.state = state
        self.nic: Nic = state.nic(nic)
        self.server: Server | None = state.server_of_nic(nic)
        self.uplinks_up = uplinks_up
        everyone = placements_of(state) if placements is None else list(placements)
        vms = {vm.name: vm for vm in state.vms}
        self.guests = [
            Guest(vms[p.vm], state.segment(vms[p.vm]), p) for p in everyone if p.vm in vms
        ]

    @cached_property
    def local(self) -> list[Guest]:
        """Placements on this NIC whose link is up, by VF number."""
        here = [g for g in self.guests if g.placement.nic == self.nic.name and self._link_up(g)]
        return sorted(here, key=lambda guest: guest.placement.vf)

    @cached_property
    def homes(self) -> dict[str, Guest]:
        """By VM name, the placement to which its addresses lead."""
        return {guest.vm.name: guest for guest in self.guests if guest.is_home}

    @cached_property
    def networks(self) -> list[Network]:
        """Networks that this NIC carries, by number; the untagged one is always among them."""
        found = {guest.network.id: guest.network for guest in self.local}
        untagged = Network(name="untagged")
        found.setdefault(untagged.id, untagged)
        return [found[number] for number in sorted(found)]

    @cached_property
    def peers(self) -> list[Nic]:
        """The other NICs, by id."""
        others = [nic for nic in self.state.nics if nic.name != self.nic.name]
        return sorted(others, key=lambda nic: nic.id)

    def members(self, network: Network) -> list[Guest]:
        """All VMs of a network, at their home, in the document's order."""
        return [g for g in self.homes.values() if g.network.id == network.id]

    def tunnel_to(self, nic: str) -> int:
        """Number of the tunnel to another NIC: that NIC's id."""
        return self.state.nic(nic).id

    def _link_up(self, guest: Guest) -> bool:
        """Link state as `ip link set PF vf N state` means it: auto follows the uplink."""
        if guest.vm.state == "auto":
            return bool(self.uplinks_up)
        return guest.vm.state == "enable"
