"""What to do with a packet that the NIC sent up: a pure decision from state and placements."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

from control.connections.choice import PortPool, choose_member
from control.connections.flow import ICMP, Flow, flow_of, upper_of
from control.connections.judge import Judge
from control.connections.record import (
    ZONE_OF_VF,
    Connection,
    EntryKey,
    Places,
)
from control.model import DesiredState, LoadBalancer, Placement
from control.model.types import PROTOCOL_NUMBERS, ip_number, is_v6, port_range
from control.policy.guard import guarded
from control.policy.memory import Memory
from control.policy.reasons import PORT_VF0, PuntReason
from control.policy.rules import rule_sets
from control.policy.view import View

_LINK_LOCAL = 0xFE80 >> 6
_judges: Memory[str, Judge] = Memory(128)


class Refusal(Enum):
    """Why the host drops a packet, in the operator's words."""

    NOT_IP = "not a packet of a connection"
    POLICY = "denied by the rules, judged by the host"
    NO_MEMBER = "the service has no member that takes connections"
    NO_PORT = "all ports of the shared address are in use"
    NO_ADDRESS = "no shared address on this NIC"
    UNRELATED = "ICMP error about no known connection"
    QUOTA = "the VM has as many connections as it may have"


class Punt(NamedTuple):
    """A packet-in."""

    nic: str
    reason: int
    in_port: int
    network: int
    out_port: int
    frame: bytes


class Seen(NamedTuple):
    """What a packet is: its flow inside, its address space, and the key that would catch it."""

    flow: Flow
    tenant: int
    key: EntryKey


@dataclass(frozen=True, slots=True)
class SharedAddress:
    """An outside address that VMs share: where it lives, its ports, and the space it is in."""

    address: str
    nic: str
    ports: str
    zone: int


Decision = Connection | Refusal


class Decider:
    """Decides for all NICs of one state; make a new one when state or placements change.

    ``pools`` are the port pools of shared addresses, which outlive a decider.
    """

    def __init__(
        self,
        state: DesiredState,
        placements: Iterable[Placement],
        pools: dict[str, PortPool],
        unhealthy: frozenset[str] = frozenset(),
    ) -> None:
        self.state = state
        self._unhealthy = unhealthy
        self.pools = pools
        everyone = list(placements)
        self._views = {nic.name: View(state, nic.name, everyone) for nic in state.nics}
        self.places: Places = _places(everyone)
        self._at = {(p.nic, PORT_VF0 + p.vf): p.vm for p in everyone}
        view = next(iter(self._views.values()))
        self._tenant = {n.id: view.tenant(n) for v in self._views.values() for n in v.networks}
        self._tenant_name = {n.id: n.tenant_name for v in self._views.values() for n in v.networks}
        guests = view.homes.values()
        self._by_address = {
            (view.tenant(g.network), ip_number(a)): g.vm.name for g in guests for a in g.vm.ips
        }
        self._address = {
            g.vm.name: ip_number(next(a for a in g.vm.ips if not is_v6(a)))
            for g in guests
            if any(not is_v6(a) for a in g.vm.ips)
        }
        self._tenant_of = {g.vm.name: view.tenant(g.network) for g in guests}
        self._shared = self._make_shared()
        self._unguarded = {g.vm.name for g in guests if not guarded(g.vm)}
        self._stateful = {g.vm.name for g in guests if g.stateful}
        self._judges = self._make_judges()
        self._services = {
            (view.state.tenant_id(self._network_tenant(b.network)), ip_number(b.address),
             PROTOCOL_NUMBERS[b.protocol], b.port): b
            for b in state.load_balancers
        }  # fmt: skip
        self._floating = self._make_floating()
        self.quota = {vm.name: vm.max_connections for vm in state.vms}

    def _network_tenant(self, name: str) -> str:
        return self.state.network(name).tenant_name

    def _make_judges(self) -> dict[str, Judge]:
        """A judge per VM; VMs with the same rules share one, which outlives the decider."""
        found: dict[str, Judge] = {}
        for view in self._views.values():
            for vm, rules in rule_sets(view).items():
                found[vm] = _judges.recall(rules.digest, partial(Judge, rules))
        return found

    def _make_shared(self) -> dict[int, SharedAddress]:
        """Shared outside addresses by number."""
        return {
            ip_number(snat.address): SharedAddress(
                snat.address,
                snat.nic,
                snat.ports,
                self.state.tenant_id(self._network_tenant(router.outside)),
            )
            for router in self.state.routers
            for snat in router.snat
        }

    def _make_floating(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Outside network and address to the VM's tenant and own address."""
        found: dict[tuple[int, int], tuple[int, int]] = {}
        for floating in self.state.floating:
            tenant = self.state.segment(self.state.vm(floating.vm)).tenant_name
            router = self.state.router(tenant)
            if router is not None and floating.vm in self._address:
                outside = self.state.network(router.outside).id
                inside = (self.state.tenant_id(tenant), self._address[floating.vm])
                found[outside, ip_number(floating.address)] = inside
        return found

    def look(self, punt: Punt) -> Seen | None:
        """What a packet is; None if it belongs to no connection."""
        flow = flow_of(punt.frame)
        tenant = self._tenant.get(punt.network)
        if flow is None or tenant is None:
            return None
        if punt.in_port >= PORT_VF0:
            return Seen(flow, tenant, (punt.nic, ZONE_OF_VF | punt.in_port, flow))
        if (punt.network, flow.dst) in self._floating:
            tenant, own = self._floating[punt.network, flow.dst]
            flow = flow._replace(dst=own)
        return Seen(flow, tenant, (punt.nic, tenant, flow))

    def decide(self, punt: Punt, seen: Seen | None) -> Decision:
        """The connection to install, or why nothing is done."""
        if seen is None:
            return Refusal.NOT_IP
        flow, tenant, _ = seen
        vm_a = self._at.get((punt.nic, punt.in_port)) or self._by_address.get((tenant, flow.src))
        if vm_a is not None and not self.allows(vm_a, "out", flow):
            return Refusal.POLICY
        if punt.reason == PuntReason.BALANCE:
            return self._balance(punt, tenant, flow, vm_a)
        if punt.reason == PuntReason.NAT:
            return self._translate(punt, tenant, flow, vm_a)
        return self._plain(punt, tenant, flow, vm_a)

    def tenant_in(self, network: int) -> int:
        """The address space of a network by its number."""
        return self._tenant.get(network, 0)

    def floating_at(self, punt: Punt) -> tuple[int, int] | None:
        """Tenant and own address of the VM whose floating address a packet from outside is to."""
        upper = None if punt.in_port >= PORT_VF0 else upper_of(punt.frame)
        return None if upper is None else self._floating.get((punt.network, upper.flow.dst))

    def floating_of(self, vm: str) -> tuple[int, int] | None:
        """A VM's own address and its floating one, if it has one."""
        own = (self._tenant_of.get(vm, 0), self._address.get(vm, 0))
        found = (public for (_, public), inside in self._floating.items() if inside == own)
        return next(((own[1], public) for public in found), None)

    def leaves(self, tenant: int, address: int) -> bool:
        """Whether a tenant's packets to an address leave its address space."""
        if (tenant, address) in self._by_address:
            return False
        held = (r.prefix for r in self.state.routes if self.state.tenant_id(r.tenant) == tenant)
        number = ipaddress.IPv4Address(address)
        return not any(number in ipaddress.ip_network(prefix) for prefix in held)

    def vm_at(self, nic: str, port: int) -> str | None:
        """The VM behind a NIC's port."""
        return self._at.get((nic, port))

    def vm_with(self, tenant: int, address: int) -> str | None:
        """The VM with an address in an address space."""
        return self._by_address.get((tenant, address))

    def tenant_of(self, vm: str) -> int:
        """The address space of a VM."""
        return self._tenant_of.get(vm, 0)

    def network_of(self, vm: str) -> int:
        """The network of a VM."""
        return self.state.segment(self.state.vm(vm)).id

    def stateful(self, vms: set[str | None]) -> frozenset[str]:
        """Those of some VMs whose rules are stateful."""
        return frozenset(self._stateful & vms)

    def shared_address(self, number: int) -> SharedAddress | None:
        """The shared outside address of that number, if it is one."""
        return self._shared.get(number)

    def allows(self, vm: str, direction: str, flow: Flow) -> bool:
        """Whether a VM's rules allow a flow."""
        judge = self._judges.get(vm)
        return judge is None or judge.allows(direction, flow)

    def still_allowed(self, connection: Connection) -> bool:
        """Whether a connection that exists would be made today, with the same replies."""
        a, b, flow = connection.vm_a, connection.vm_b, connection.before
        return (
            self._has_its_ends(connection)
            and (a is None or self.allows(a, "out", flow))
            and (b is None or self.allows(b, "in", connection.after))
            and (connection.translated or connection.barring == self.barring(a, b, flow))
        )

    def _has_its_ends(self, connection: Connection) -> bool:
        """Whether its addresses are still those of its VMs, and of its NIC."""
        shared = connection.nat_port and self.shared_address(connection.after.src)
        return (
            self._holds(connection.vm_a, connection.zone_a, connection.before.src)
            and self._holds(connection.vm_b, connection.zone_b, connection.after.dst)
            and (connection.nat_port is None or bool(shared and shared.nic == connection.entry_nic))
        )

    def _holds(self, vm: str | None, tenant: int, address: int) -> bool:
        """Whether a packet's end in an address space is that VM, or outside if it is None."""
        owner = self._by_address.get((tenant, address))
        if owner is not None or vm is None:
            return owner == vm
        free = vm in self._unguarded or address >> 118 == _LINK_LOCAL
        return free and self._tenant_of.get(vm) == tenant

    def barring(self, vm_a: str | None, vm_b: str | None, flow: Flow) -> frozenset[str]:
        """Those of a flow's two VMs whose stateless rules deny the replies to it."""
        return frozenset(
            vm
            for vm, direction in ((vm_a, "in"), (vm_b, "out"))
            if vm is not None
            and vm not in self._stateful
            and not self.allows(vm, direction, flow.reverse)
        )

    def _plain(self, punt: Punt, tenant: int, flow: Flow, vm_a: str | None) -> Decision:
        vm_b = self._at.get((punt.nic, punt.out_port)) or self._by_address.get((tenant, flow.dst))
        if vm_b is not None and not self.allows(vm_b, "in", flow):
            if punt.out_port >= PORT_VF0:
                return Refusal.POLICY
            vm_b = None  # its own NIC drops and counts it
        connection = Connection(flow, flow, vm_a, vm_b, tenant, tenant, punt.nic)
        connection.tracks = self.stateful({vm_a, vm_b})
        connection.barring = self.barring(vm_a, vm_b, flow)
        return self._paid(punt, connection)

    def _balance(self, punt: Punt, tenant: int, flow: Flow, vm_a: str | None) -> Decision:
        balancer = self.service_of(tenant, flow)
        # Nothing reaches the port by which it came: a member is served by the others.
        out_of_reach = self._unhealthy if vm_a is None else self._unhealthy | {vm_a}
        member = choose_member(balancer, flow, out_of_reach) if balancer else None
        if balancer is None or member is None or member.vm not in self._address:
            return Refusal.NO_MEMBER
        after = flow._replace(dst=self._address[member.vm], dst_port=member.port)
        if not self.allows(member.vm, "in", after):
            return Refusal.POLICY
        connection = Connection(flow, after, vm_a, member.vm, tenant, tenant, punt.nic)
        connection.service = balancer.name
        return self._paid(punt, connection)

    def service_of(self, tenant: int, flow: Flow) -> LoadBalancer | None:
        """The virtual service that a flow is to, if any."""
        return self._services.get((tenant, flow.dst, flow.protocol, flow.dst_port))

    def _translate(self, punt: Punt, tenant: int, flow: Flow, vm_a: str | None) -> Decision:
        router = self.state.router(self._tenant_name[punt.network])
        if router is None or vm_a is None:
            return Refusal.NO_ADDRESS
        shared = next((s for s in router.snat if s.nic == punt.nic), None)
        if shared is None:
            return Refusal.NO_ADDRESS
        low, high = port_range(shared.ports)
        pool = self.pools.setdefault(shared.address, PortPool(low, high))
        pool.resize(low, high)
        port = pool.take(flow.protocol)
        if port is None:
            return Refusal.NO_PORT
        after = flow._replace(src=ip_number(shared.address), src_port=port)
        if flow.protocol == ICMP:
            after = after._replace(dst_port=port)
        outside = self._tenant[self.state.network(router.outside).id]
        connection = Connection(flow, after, vm_a, None, tenant, outside, punt.nic)
        connection.nat_port = (shared.address, flow.protocol, port)
        return self._paid(punt, connection)

    def _paid(self, punt: Punt, connection: Connection) -> Connection:
        """Note the VM whose quota pays: the sender if it is here, else the receiver."""
        here = self._at.get((punt.nic, punt.in_port))
        connection.payer = here or connection.vm_b or ""
        return connection


def _places(placements: Iterable[Placement]) -> Places:
    found: dict[str, list[tuple[str, int]]] = {}
    for place in placements:
        found.setdefault(place.vm, []).append((place.nic, place.vf))
    return found
