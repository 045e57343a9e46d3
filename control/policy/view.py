"""One NIC's view of the lab: who is placed here, in which role, and where everyone else is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from control.model.services import Router
from control.model.state import (
    ROUTER_MAC_PREFIX,
    UNTAGGED_ID,
    DesiredState,
    Network,
    Nic,
    Placement,
    Server,
    Vm,
)
from control.model.types import is_v6, mac_number
from control.policy.reasons import vf_port

ROUTER_MAC = (
    ROUTER_MAC_PREFIX << 16
)  # every NIC's router answers to it, so that it moves with no VM


@dataclass(frozen=True)
class Guest:
    """A VM as placed on one NIC."""

    vm: Vm
    network: Network
    placement: Placement
    stateful: bool

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
        return self.placement.is_home

    @property
    def v4(self) -> list[str]:
        """The VM's IPv4 addresses without prefix length."""
        return [ip.partition("/")[0] for ip in self.vm.ips if not is_v6(ip)]

    @property
    def v6(self) -> list[str]:
        """The VM's IPv6 addresses without prefix length."""
        return [ip.partition("/")[0] for ip in self.vm.ips if is_v6(ip)]


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
        self.uplinks_up = sorted(uplinks_up)
        everyone = placements_of(state) if placements is None else list(placements)
        vms = {vm.name: vm for vm in state.vms}
        stateful = {group.name for group in state.groups if group.stateful}
        self.guests = [
            Guest(vm, state.segment(vm), p, not stateful.isdisjoint(vm.groups))
            for p in everyone
            if (vm := vms.get(p.vm)) is not None
        ]

    @property
    def router_mac(self) -> int:
        """This NIC's own router address, by which the ToR tells NICs apart."""
        return mac_number(self.nic.router_mac)

    @property
    def active_uplinks(self) -> list[int]:
        """Uplinks that carry traffic: all of a hashing bond, the first one of an active-backup."""
        return self.uplinks_up if self.nic.bond == "hash" else self.uplinks_up[:1]

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
    def tenants(self) -> set[str]:
        """Names of the address spaces that have VMs here."""
        return {guest.network.tenant_name for guest in self.local}

    @cached_property
    def routers(self) -> list[Router]:
        """Routers of the tenants that have VMs here."""
        return [router for router in self.state.routers if router.tenant in self.tenants]

    @cached_property
    def networks(self) -> list[Network]:
        """Networks that the NIC knows, by number: its tenants', outside ones, the untagged one."""
        outside = {router.outside for router in self.routers}
        found = {guest.network.id: guest.network for guest in self.local}
        for network in self.state.networks:
            wanted = network.tenant_name in self.tenants or network.name in outside
            if wanted or network.id == UNTAGGED_ID:
                found[network.id] = network
        found.setdefault(UNTAGGED_ID, Network(name="untagged"))
        return [found[number] for number in sorted(found)]

    @cached_property
    def peers(self) -> list[Nic]:
        """The other NICs, by id."""
        others = [nic for nic in self.state.nics if nic.name != self.nic.name]
        return sorted(others, key=lambda nic: nic.id)

    @cached_property
    def _tracked(self) -> set[str]:
        """Tenants whose packets may belong to a connection in this NIC."""
        found = {guest.network.tenant_name for guest in self.local if guest.stateful}
        tenant_of = {network.name: network.tenant_name for network in self.state.networks}
        found |= {tenant_of[balancer.network] for balancer in self.state.load_balancers}
        for router in self.routers:
            if any(snat.nic == self.nic.name for snat in router.snat):
                found |= {router.tenant, tenant_of[router.outside]}
        return found

    def tracked(self, network: Network) -> int:
        """1 if packets of that network's tenant may belong to a connection in this NIC."""
        return int(network.tenant_name in self._tracked)

    def tenant(self, network: Network) -> int:
        """Number of a network's address space."""
        return self.state.tenant_id(network.tenant_name) or network.id

    def untagged(self) -> Network:
        """The network of untagged frames on the uplink."""
        return next(network for network in self.networks if network.id == UNTAGGED_ID)

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
