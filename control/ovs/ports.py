"""Tables 0 and 1: what a port is, and what a VF may send at all."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from control.model.state import Network
from control.ovs.rates import RATE, STORM
from control.ovs.tables import (
    GROUP_BIT,
    TUNNEL_PORT,
    UPLINK_GROUP,
    Reg,
    Role,
    Table,
    flow,
    goto,
    load,
)
from control.policy.guard import link_local
from control.policy.reasons import PORT_PF
from control.policy.view import Guest, View


def port_flows(view: View) -> Iterator[str]:
    """Everything about who sends."""
    yield from _underlay(view)
    untagged = view.untagged()
    match = f"in_port={PORT_PF}"
    yield flow(Table.PORT, 10, match, *_enter(view, untagged, Role.PF), goto(Table.NEIGHBOR))
    for network in view.networks:
        yield from _network(view, network)
    for guest in view.local:
        yield from _admission(view, guest)
        yield from _guard(guest)


def _enter(view: View, network: Network, role: Role) -> list[str]:
    """Actions that note network, tenant and role of a packet."""
    return [
        load(Reg.NETWORK, network.id),
        load(Reg.TENANT, view.tenant(network)),
        load(Reg.ROLE, role),
    ]


def _underlay(view: View) -> Iterator[str]:
    """What is for the server's own end of the tunnels, or comes from it."""
    for port in view.active_uplinks:
        match = f"in_port={port},vlan_tci=0"
        yield flow(Table.PORT, 20, f"{match},dl_dst={view.nic.tunnel_mac}", "local")
        asked = f"{match},arp,arp_op=1,arp_tpa={view.nic.tunnel_address}"
        yield flow(Table.PORT, 20, asked, "local")
    yield flow(Table.PORT, 10, "in_port=local", f"group:{UPLINK_GROUP}")


def _network(view: View, network: Network) -> Iterator[str]:
    """A network's frames from outside, its tag or tunnel taken off."""
    mark = [*_enter(view, network, Role.UPLINK), goto(Table.NEIGHBOR)]
    if network.overlay:
        match = f"in_port={TUNNEL_PORT},tun_id={network.wire_vni}"
        yield flow(Table.PORT, 10, match, *mark)
        return
    for port in view.active_uplinks:
        if network.vlan is None:
            yield flow(Table.PORT, 10, f"in_port={port},vlan_tci=0", *mark)
        else:
            match = f"in_port={port},dl_vlan={network.vlan}"
            yield flow(Table.PORT, 10, match, "pop_vlan", *mark)


def _admission(view: View, guest: Guest) -> Iterator[str]:
    """Spoof check, guest tags and rates. A trusted guest may change its MAC."""
    vm, port = guest.vm, guest.port
    match = f"in_port={port}"
    if not vm.trust:
        match += ",vlan_tci=0"
        match += f",dl_src={vm.mac}" if vm.spoofchk else ""
    rate = [f"meter:{RATE + port}"] if vm.max_tx_rate else []
    marks = [*_enter(view, guest.network, Role.VF), load(Reg.FROM, port)]
    marks += [load(Reg.PRIORITY, vm.qos)] if vm.qos else []
    yield flow(Table.PORT, 10, match, *rate, *marks, goto(Table.GUARD))
    if guest.network.storm_pps:
        storm = f"meter:{STORM + port}"
        match += f",dl_dst={GROUP_BIT}"
        yield flow(Table.PORT, 15, match, *rate, storm, *marks, goto(Table.GUARD))


def _guard(guest: Guest) -> Iterator[str]:
    """The guest's own addresses, and those it has before it has one."""
    vm, who = guest.vm, f"reg{Reg.FROM:d}={guest.port}"
    go = goto(Table.NEIGHBOR)
    if not vm.source_guard or not vm.ips or vm.trust:
        return
    own = f",arp_sha={vm.mac}" if vm.spoofchk else ""
    for address in ("0.0.0.0", *guest.v4):
        yield flow(Table.GUARD, 10, f"{who},ip,nw_src={address}", go)
        yield flow(Table.GUARD, 10, f"{who},arp,arp_spa={address}{own}", go)
    own_v6 = (str(IPv6Address(link_local(vm.mac))), *guest.v6)
    advertised = f"{who},icmp6,icmp_type=136,icmp_code=0"
    yield flow(Table.GUARD, 11, f"{who},icmp6,icmp_type=136")
    for text in ("::", *own_v6):
        yield flow(Table.GUARD, 10, f"{who},ipv6,ipv6_src={text}", go)
        for target in own_v6:  # nobody speaks for another's address
            yield flow(Table.GUARD, 12, f"{advertised},ipv6_src={text},nd_target={target}", go)
    for protocol in ("ip", "arp", "ipv6"):
        yield flow(Table.GUARD, 8, f"{who},{protocol}")
