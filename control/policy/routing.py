"""Entries of router, neighbour answers, virtual services and floating addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from control.model.services import FloatingIp, LoadBalancer, Router
from control.model.state import Network
from control.model.types import PROTOCOL_NUMBERS, ip_number, is_v6, mac_number
from control.policy.deltas import checksum_delta
from control.policy.entries import Entry, MatchValue
from control.policy.networks import ROLE_PF, ROLE_UPLINK, ROLE_VF
from control.policy.view import ROUTER_MAC, Guest, View

SOLICITED_OVERRIDE = 0x60000000
FROM_ROUTER = 0x80000000


def routing_entries(view: View) -> Iterator[Entry]:
    """Everything above layer 2 that policy decides."""
    yield from _tunnel_end(view)
    for network in view.networks:
        yield from _gateways(network)
        if network.overlay:
            yield from _neighbors(view, network)
    for tenant in sorted(view.tenants):
        if _routes(view, tenant):
            yield from _hosts(view, tenant)
            yield from _router(view, tenant)
    yield from _prefixes(view)
    yield from _services(view)
    for router in view.routers:
        yield from _outside(view, router)


def _answer(network: int, role: int, address: str, mac: int, note: str) -> Entry:
    """An answer to ARP or ND for ``address``, to who asks from ``role``."""
    match = (("network", network), ("from", role), ("address", ip_number(address)))
    if is_v6(address):
        flags = SOLICITED_OVERRIDE | (FROM_ROUTER if mac >> 16 == ROUTER_MAC >> 16 else 0)
        return Entry("nd_table", match, "answer_nd", (("mac", mac), ("flags", flags)), note=note)
    return Entry("arp_table", match, "answer_arp", (("mac", mac),), note=note)


def _tunnel_end(view: View) -> Iterator[Entry]:
    mac = mac_number(view.nic.tunnel_mac)
    address = view.nic.tunnel_address
    yield _answer(view.untagged().id, ROLE_UPLINK, address, mac, f"tunnel end of {view.nic.name}")


def _gateways(network: Network) -> Iterator[Entry]:
    for gateway in network.gateways:
        address = gateway.partition("/")[0]
        yield _answer(network.id, ROLE_VF, address, ROUTER_MAC, f"gateway of {network.name}")


def _neighbors(view: View, network: Network) -> Iterator[Entry]:
    """In an overlay nobody needs to be asked: the controller knows every VM's MAC."""
    for guest in view.members(network):
        for address in (*guest.v4, *guest.v6):
            mac = mac_number(guest.vm.mac)
            yield _answer(network.id, ROLE_VF, address, mac, f"address of {guest.vm.name}")


def _routes(view: View, tenant: str) -> bool:
    """Whether anything in a tenant is routed: by gateway, virtual service or outside way."""
    networks = {n.name: n for n in view.state.networks if n.tenant_name == tenant}
    return (
        any(network.gateways for network in networks.values())
        or any(balancer.network in networks for balancer in view.state.load_balancers)
        or view.state.router(tenant) is not None
    )


def _hosts(view: View, tenant: str) -> Iterator[Entry]:
    """Every VM of the tenant by address, wherever it is."""
    for guest in view.homes.values():
        if guest.network.tenant_name == tenant:
            for address in (*guest.v4, *guest.v6):
                version = "v6" if is_v6(address) else "v4"
                yield Entry(
                    f"host_{version}_table",
                    (("tenant", view.tenant(guest.network)), ("address", ip_number(address))),
                    "route_to",
                    _next_hop(view, guest),
                    note=f"address of {guest.vm.name}",
                )


def _router(view: View, tenant: str) -> Iterator[Entry]:
    """The tenant's gateways and virtual services: what is for them alone, the host answers."""
    networks = [n for n in view.state.networks if n.tenant_name == tenant]
    names = {network.name for network in networks}
    addresses = {
        gateway.partition("/")[0]: f"gateway of {network.name}"
        for network in networks
        for gateway in network.gateways
    }
    for balancer in view.state.load_balancers:
        if balancer.network in names:
            addresses[balancer.address] = f"load balancer {balancer.name}"
    for address, note in sorted(addresses.items()):
        version = "v6" if is_v6(address) else "v4"
        match = (("tenant", view.state.tenant_id(tenant)), ("address", ip_number(address)))
        yield Entry(f"host_{version}_table", match, "for_router", note=note)


def _next_hop(view: View, guest: Guest) -> tuple[tuple[str, int], ...]:
    return (
        ("network", guest.network.id),
        ("mac", mac_number(guest.vm.mac)),
        ("router_mac", view.router_mac),
    )


def _prefixes(view: View) -> Iterator[Entry]:
    """Prefixes behind VMs."""
    for route in view.state.routes:
        guest = view.homes.get(route.via_vm)
        if guest is None or route.tenant not in view.tenants:
            continue
        prefix = ipaddress.ip_network(route.prefix)
        match: list[tuple[str, MatchValue]] = [("tenant", view.state.tenant_id(route.tenant))]
        if prefix.prefixlen:
            match.append(("prefix", (int(prefix.network_address), prefix.prefixlen)))
        yield Entry(
            f"route_v{prefix.version}_table",
            tuple(match),
            "route_to",
            _next_hop(view, guest),
            note=f"{route.prefix} via {route.via_vm}",
        )


def _services(view: View) -> Iterator[Entry]:
    """Virtual services of the tenants here; one NIC answers for them on the uplink."""
    for balancer in view.state.load_balancers:
        network = view.state.network(balancer.network)
        if network.tenant_name not in view.tenants:
            continue
        note = f"load balancer {balancer.name}"
        match = (
            ("tenant", view.tenant(network)),
            ("address", ip_number(balancer.address)),
            ("protocol", PROTOCOL_NUMBERS[balancer.protocol]),
            ("port", balancer.port),
        )
        yield Entry("service_table", match, "choose_member", note=note)
        yield _answer(network.id, ROLE_VF, balancer.address, ROUTER_MAC, note)
        yield _answer(network.id, ROLE_PF, balancer.address, view.router_mac, note)
        if not network.overlay and speaker_of(view, balancer) == view.nic.name:
            yield _answer(network.id, ROLE_UPLINK, balancer.address, view.router_mac, note)


def speaker_of(view: View, balancer: LoadBalancer) -> str | None:
    """The NIC that answers for a virtual service on the uplink: its first placed member's."""
    homes = (view.homes.get(member.vm) for member in balancer.members)
    return next((home.placement.nic for home in homes if home is not None), None)


def _outside(view: View, router: Router) -> Iterator[Entry]:
    """The tenant's default route, its VMs' floating addresses, and the shared address."""
    outside = view.state.network(router.outside)
    tenant = view.state.tenant_id(router.tenant)
    yield Entry(
        "route_v4_table",
        (("tenant", tenant),),
        "route_outside",
        (
            ("network", outside.id),
            ("mac", mac_number(router.gateway_mac)),
            ("router_mac", view.router_mac),
        ),
        note=f"way of {router.tenant} to {router.outside}",
    )
    for snat in router.snat:
        if snat.nic == view.nic.name:
            note = f"shared address of {router.tenant}"
            yield from _answer_outside(view, outside, snat.address, note)
            own = (("tenant", view.tenant(outside)), ("address", ip_number(snat.address)))
            yield Entry("host_v4_table", own, "for_router", note=note)
    for floating in view.state.floating:
        for guest in view.local:
            if guest.vm.name == floating.vm and guest.network.tenant_name == router.tenant:
                yield from _floating(view, outside, guest, floating)


def _answer_outside(view: View, outside: Network, address: str, note: str) -> Iterator[Entry]:
    """An outside address of this NIC, for the ToR's side and for the server itself."""
    for role in (ROLE_UPLINK, ROLE_PF):
        yield _answer(outside.id, role, address, view.router_mac, note)


def _floating(view: View, outside: Network, guest: Guest, floating: FloatingIp) -> Iterator[Entry]:
    """One VM's outside address in both directions; asked for where the VM is at home."""
    if not guest.v4:
        return
    note = f"floating address of {guest.vm.name}"
    own, public = ip_number(guest.v4[0]), ip_number(floating.address)
    tenant = view.tenant(guest.network)
    yield Entry(
        "floating_in_table",
        (("network", outside.id), ("address", public)),
        "to_inside",
        (
            ("address", own),
            ("tenant", tenant),
            ("tracked", view.tracked(guest.network)),
            ("delta", checksum_delta((public, 32), (own, 32))),
        ),
        note=note,
    )
    yield Entry(
        "floating_out_table",
        (("tenant", tenant), ("address", own)),
        "to_outside",
        (("address", public), ("delta", checksum_delta((own, 32), (public, 32)))),
        note=note,
    )
    if guest.is_home:
        yield from _answer_outside(view, outside, floating.address, note)
