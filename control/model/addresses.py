"""Checks of addresses: each has one owner where it is seen, and what points to it can reach it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from control.model.types import Misplaced, ip_number, is_v6, mac_number

if TYPE_CHECKING:
    from control.model.state import DesiredState

_OWN_MACS = (0x064E4943, 0x064E4952)  # tunnel ends and routers
Place = tuple[int | str, ...]


class _Claim(NamedTuple):
    """Somebody's address in an address space, and where the document says so."""

    space: str
    address: str
    owner: str
    place: Place


def check_addresses(state: DesiredState) -> None:
    """Refuse addresses that cannot work: reserved or claimed twice, or of another address space."""
    _check_macs(state)
    _check_ips(state)
    _check_claims(state)
    _check_members(state)
    _check_ways_out(state)
    _check_routes(state)


def _check_macs(state: DesiredState) -> None:
    untagged = next((n.name for n in state.networks if n.vlan is None and not n.overlay), "")
    owners: dict[tuple[str, str], str] = {}
    claims = [(untagged, s.mac, s.name, ("servers", i)) for i, s in enumerate(state.servers)]
    claims += [(state.segment(v).name, v.mac, v.name, ("vms", i)) for i, v in enumerate(state.vms)]
    for segment, mac, name, place in claims:
        number = mac_number(mac)
        if not number or number >> 16 in _OWN_MACS:
            text = f"{name} has MAC address {mac}, which is the NICs' own (06:4e:49:43:xx:xx and "
            text += "06:4e:49:52:xx:xx) or none; choose another, such as 02:00:00:00:00:01"
            raise Misplaced(text, *place)
        other = owners.setdefault((segment, mac), name)
        if other != name:
            text = f"{name} has MAC address {mac}, which {other} has in the same network; "
            raise Misplaced(text + "choose another", *place)


def _check_ips(state: DesiredState) -> None:
    for index, server in enumerate(state.servers):
        for ip in server.ips:
            _check_host(server.name, ip, ("servers", index))
    for index, vm in enumerate(state.vms):
        for ip in vm.ips:
            _check_host(vm.name, ip, ("vms", index))
    for index, network in enumerate(state.networks):
        for ip in network.gateways:
            _check_host(f"the gateway of {network.name}", ip, ("networks", index))


def _check_host(name: str, text: str, place: Place) -> None:
    """Refuse an address that no single host can have."""
    interface = ipaddress.ip_interface(text)
    ends = {interface.network.network_address, interface.network.broadcast_address}
    wide = interface.version == 4 and interface.network.prefixlen < 31
    ip = interface.ip
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback or (wide and ip in ends):
        words = f"{name} has address {text}, which no host can have; give one within its network"
        raise Misplaced(words, *place)


def _claims(state: DesiredState) -> Iterator[_Claim]:
    """Every address that leads to one owner, by address space."""
    untagged = next((n.tenant_name for n in state.networks if n.vlan is None and not n.overlay), "")
    for index, server in enumerate(state.servers):
        for ip in server.ips:
            yield _Claim(untagged, ip, f"server {server.name}", ("servers", index))
    for index, vm in enumerate(state.vms):
        for ip in vm.ips:
            yield _Claim(state.segment(vm).tenant_name, ip, f"VM {vm.name}", ("vms", index))
    for index, network in enumerate(state.networks):
        for ip in network.gateways:
            owner = f"the gateway of {network.name}"
            yield _Claim(network.tenant_name, ip, owner, ("networks", index))
    for index, router in enumerate(state.routers):
        space = state.network(router.outside).tenant_name
        for number, snat in enumerate(router.snat):
            owner = f"the shared address of {router.tenant} on {snat.nic}"
            yield _Claim(space, snat.address, owner, ("routers", index, "snat", number))
    for index, floating in enumerate(state.floating):
        router_of = state.router(state.segment(state.vm(floating.vm)).tenant_name)
        if router_of is not None:
            space = state.network(router_of.outside).tenant_name
            owner = f"the floating address of {floating.vm}"
            yield _Claim(space, floating.address, owner, ("floating", index))


def _check_claims(state: DesiredState) -> None:
    owners: dict[tuple[str, int], str] = {}
    for space, ip, owner, place in _claims(state):
        address = ip.partition("/")[0]
        other = owners.setdefault((space, ip_number(address)), owner)
        if other != owner:
            text = f"{owner} has address {address}, which {other} has too; choose another"
            raise Misplaced(text, *place)
    for index, balancer in enumerate(state.load_balancers):
        space = state.network(balancer.network).tenant_name
        other = owners.get((space, ip_number(balancer.address)), "")
        if other and not other.startswith("the gateway"):
            text = f"load balancer {balancer.name} has address {balancer.address}, which {other} "
            raise Misplaced(text + "has too; choose another", "load_balancers", index)


def _check_members(state: DesiredState) -> None:
    for index, balancer in enumerate(state.load_balancers):
        tenant = state.network(balancer.network).tenant_name
        seen: set[tuple[str, int]] = set()
        for number, member in enumerate(balancer.members):
            vm = state.vm(member.vm)
            place = ("load_balancers", index, "members", number)
            if state.segment(vm).tenant_name != tenant:
                text = f"{vm.name} is of tenant {state.segment(vm).tenant_name}, but load balancer "
                text += f"{balancer.name} is of {tenant}; members must be of the same"
                raise Misplaced(text, *place)
            if all(map(is_v6, vm.ips)):
                raise Misplaced(f"{vm.name} has no IPv4 address; a member needs one", *place)
            if (vm.name, member.port) in seen:
                text = f"{vm.name} port {member.port} is a member twice; give it a weight instead"
                raise Misplaced(text, *place)
            seen.add((vm.name, member.port))


def _check_ways_out(state: DesiredState) -> None:
    """Floating addresses are one to one, and a NIC has one shared address per tenant."""
    floats: dict[str, str] = {}
    for index, floating in enumerate(state.floating):
        if all(map(is_v6, state.vm(floating.vm).ips)):
            text = f"{floating.vm} has no IPv4 address for {floating.address} to stand for"
            raise Misplaced(f"{text}; give it one", "floating", index)
        other = floats.setdefault(floating.vm, floating.address)
        if other != floating.address:
            text = f"{floating.vm} has floating address {floating.address} and {other}; "
            raise Misplaced(text + "expected one per VM", "floating", index)
    for index, router in enumerate(state.routers):
        shared: dict[str, str] = {}
        for number, snat in enumerate(router.snat):
            other = shared.setdefault(snat.nic, snat.address)
            if other != snat.address:
                text = f"{snat.nic} has shared address {snat.address} and {other}; expected one"
                raise Misplaced(text, "routers", index, "snat", number)


def _check_routes(state: DesiredState) -> None:
    for index, route in enumerate(state.routes):
        tenant = state.segment(state.vm(route.via_vm)).tenant_name
        if tenant != route.tenant:
            text = f"{route.via_vm} is of tenant {tenant}; a route of {route.tenant} needs a VM "
            raise Misplaced(text + "of that tenant", "routes", index)
        if route.prefix == "0.0.0.0/0" and state.router(route.tenant) is not None:
            text = f"{route.prefix} of {route.tenant} is its router's way outside; "
            raise Misplaced(text + "remove the route or the router", "routes", index)
