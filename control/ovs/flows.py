"""Desired state to one bridge's OpenFlow rules, by a pure function.

| table | does |
|---|---|
| 0 | port role: network, spoof check, guest tags, rate; tags and tunnels off |
| 1 | source guard |
| 10, 11 | rules of the sending VM, before and after connection tracking |
| 20 | forwarding by network and MAC address |
| 30, 31 | rules of the receiving VM, before and after connection tracking |
| 40 | the network's tag or tunnel on, and out |

Registers: reg0 network, reg1 sending VF's port, reg3 port to leave by, reg6 1 = from the uplink.
Connections are tracked in a zone per VF, so that two VMs on one server are judged apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

from control.model import DesiredState
from control.model.state import Network
from control.ovs.rules import rule_flows
from control.policy.guard import link_local
from control.policy.reasons import PORT_PF, PORT_UPLINK
from control.policy.view import Guest, View

TUNNEL_PORT = 100
GROUP_BIT = "01:00:00:00:00:00/01:00:00:00:00:00"
_CLASSIFIED = 1
_FORWARD = 20
_TAG = {"802.1q": "0x8100", "802.1ad": "0x88a8"}
_METER_KBITS = 1000


def unsupported(state: DesiredState) -> list[str]:
    """What a document asks for that this plane does not do, in the operator's words."""
    found = []
    if state.load_balancers:
        found.append("load balancers")
    if state.routers or state.floating or state.routes:
        found.append("routers and address translation")
    if state.mirrors or any(r.mirror for g in state.groups for r in g.rules):
        found.append("mirrors")
    if any(nic.uplinks > 1 for nic in state.nics):
        found.append("bonded uplinks")
    if any(nic.mode != "veb" for nic in state.nics):
        found.append("VEPA and private mode")
    if any(network.storm_pps for network in state.networks):
        found.append("the storm limit")
    return found


def bridge_flows(state: DesiredState, nic: str) -> list[str]:
    """All OpenFlow rules of the bridge that stands for ``nic``, as ovs-ofctl reads them."""
    view = View(state, nic)
    return [
        *_ports(view),
        *(flow for guest in view.local for flow in _guest(guest)),
        *rule_flows(view),
        *(flow for network in view.networks for flow in _forward(view, network)),
        "table=40,priority=0,actions=output:reg3",
        *(flow for network in view.networks for flow in _leave(network)),
    ]


def meters(state: DesiredState, nic: str) -> list[str]:
    """One meter per VF with a rate limit, as ovs-ofctl reads them; its number is the VF's port."""
    return [
        f"meter={guest.port},kbps,burst,band=type=drop,"
        f"rate={int(guest.vm.max_tx_rate * _METER_KBITS)},"
        f"burst_size={max(1000, int(guest.vm.max_tx_rate * _METER_KBITS / 50))}"
        for guest in View(state, nic).local
        if guest.vm.max_tx_rate
    ]


def _ports(view: View) -> Iterator[str]:
    """Table 0 of the PF, the uplink and the tunnels."""
    untagged = next(n for n in view.networks if n.vlan is None and not n.overlay)
    to_forward = f"goto_table:{_FORWARD}"
    yield f"table=0,priority=10,in_port={PORT_PF},actions={_load(0, untagged.id)},{to_forward}"
    for network in view.networks:
        mark = f"{_load(0, network.id)},{_load(6, 1)},{to_forward}"
        if network.overlay:
            match = f"in_port={TUNNEL_PORT},tun_id={network.wire_vni}"
            yield f"table=0,priority=10,{match},actions={mark}"
        elif network.vlan is None:
            yield f"table=0,priority=10,in_port={PORT_UPLINK},vlan_tci=0,actions={mark}"
        else:
            match = f"in_port={PORT_UPLINK},dl_vlan={network.vlan}"
            yield f"table=0,priority=10,{match},actions=pop_vlan,{mark}"


def _guest(guest: Guest) -> Iterator[str]:
    """Tables 0 and 1 of one VF: what the guest may send at all."""
    vm, port = guest.vm, guest.port
    match = f"in_port={port}"
    if not vm.trust:
        match += ",vlan_tci=0"
        match += f",dl_src={vm.mac}" if vm.spoofchk else ""
    meter = f"meter:{port}," if vm.max_tx_rate else ""
    marks = f"{_load(0, guest.network.id)},{_load(1, port)}"
    yield f"table=0,priority=10,{match},actions={meter}{marks},goto_table:{_CLASSIFIED}"
    yield from _guard(guest)


def _guard(guest: Guest) -> Iterator[str]:
    """Table 1: the guest's own addresses, and those it has before it has one."""
    vm, mark = guest.vm, f"table=1,priority={{}},reg1={guest.port}"
    go = "actions=goto_table:10"
    if not vm.source_guard or not vm.ips or vm.trust:
        yield f"{mark.format(5)},{go}"
        return
    for address in ("0.0.0.0", *_v4(guest)):
        yield f"{mark.format(10)},ip,nw_src={address},{go}"
        yield f"{mark.format(10)},arp,arp_spa={address},{go}"
    for text in ("::", str(IPv6Address(link_local(vm.mac))), *_v6(guest)):
        yield f"{mark.format(10)},ipv6,ipv6_src={text},{go}"
    for protocol in ("ip", "arp", "ipv6"):
        yield f"{mark.format(8)},{protocol},actions=drop"
    yield f"{mark.format(5)},{go}"


def _forward(view: View, network: Network) -> Iterator[str]:
    """Table 20 of one network: known addresses, floods, and what is unknown."""
    head = f"table=20,reg0={network.id}"
    local = [g for g in view.local if g.network.id == network.id]
    with_pf = network.vlan is None and not network.overlay
    if with_pf and view.server is not None:
        yield f"{head},priority=20,dl_dst={view.server.mac},actions={_to(PORT_PF)}"
    for guest in local:
        yield f"{head},priority=20,dl_dst={guest.vm.mac},actions={_to(guest.port)}"
    if network.overlay:
        for guest in view.members(network):
            if guest.placement.nic != view.nic.name:
                yield f"{head},priority=20,dl_dst={guest.vm.mac},actions={_tunnel(view, guest)}"
    here = [f"output:{guest.port}" for guest in local]
    here += [f"output:{PORT_PF}"] if with_pf else []
    away = _flood_away(view, network)
    yield f"{head},priority=15,reg6=1,dl_dst={GROUP_BIT},actions={','.join(here) or 'drop'}"
    flood = ",".join([*here, *away]) or "drop"
    yield f"{head},priority=14,dl_dst={GROUP_BIT},actions={flood}"
    promiscuous = [f"output:{guest.port}" for guest in local if guest.vm.trust]
    yield f"{head},priority=11,reg6=1,actions={','.join(promiscuous) or 'drop'}"
    if not network.overlay:
        yield f"{head},priority=10,actions={_to(PORT_UPLINK)}"
    else:
        yield f"{head},priority=10,actions={flood if network.unknown == 'flood' else 'drop'}"


def _flood_away(view: View, network: Network) -> list[str]:
    """Actions that carry a flood off the server; last, since they change the frame."""
    if not network.overlay:
        return [*_tag(network), f"output:{PORT_UPLINK}"]
    nics = {g.placement.nic for g in view.members(network)} - {view.nic.name}
    return [
        f"set_field:{network.wire_vni}->tun_id,"
        f"set_field:{view.state.nic(nic).tunnel_address}->tun_dst,output:{TUNNEL_PORT}"
        for nic in sorted(nics)
    ]


def _leave(network: Network) -> Iterator[str]:
    """Table 40 of one network: the tag or the VNI."""
    if network.overlay:
        actions = f"set_field:{network.wire_vni}->tun_id,output:{TUNNEL_PORT}"
        yield f"table=40,priority=10,reg0={network.id},reg3={TUNNEL_PORT},actions={actions}"
    elif network.vlan is not None:
        actions = ",".join([*_tag(network), f"output:{PORT_UPLINK}"])
        yield f"table=40,priority=10,reg0={network.id},reg3={PORT_UPLINK},actions={actions}"


def _tag(network: Network) -> list[str]:
    """Actions that put a network's tag on."""
    if network.vlan is None:
        return []
    push = f"push_vlan:{_TAG[network.vlan_protocol]}"
    return [push, f"set_field:{0x1000 | network.vlan}->vlan_vid"]


def _to(port: int) -> str:
    """Actions that send a frame to a port, past the receiving VM's rules."""
    return f"{_load(3, port)},goto_table:30"


def _tunnel(view: View, guest: Guest) -> str:
    """Actions that send a frame to the server of another VM."""
    address = view.state.nic(guest.placement.nic).tunnel_address
    return f"set_field:{address}->tun_dst,{_load(3, TUNNEL_PORT)},goto_table:30"


def _load(register: int, value: int) -> str:
    return f"set_field:{value}->reg{register}"


def _v4(guest: Guest) -> list[str]:
    return [ip.partition("/")[0] for ip in guest.vm.ips if ":" not in ip]


def _v6(guest: Guest) -> list[str]:
    return [ip.partition("/")[0] for ip in guest.vm.ips if ":" in ip]
