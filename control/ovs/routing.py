"""Neighbour answers, routes and translated addresses: the NIC's own entries as OpenFlow.

What a NIC's tables would hold (`control.policy.routing`) is written as rules of a bridge, entry by
entry, so that both planes route and answer alike by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address

from control.ovs.tables import (
    ANY_ROUTER,
    ENTER,
    Reg,
    Role,
    Table,
    Zone,
    flow,
    goto,
    has,
    load,
    mac_text,
    turn_back,
)
from control.policy.entries import Entry
from control.policy.routing import routing_entries
from control.policy.view import View

_ECHO_TTL = 64
_HOST, _PREFIX = 400, 30
_ANY_ROLE = (Role.UPLINK, Role.PF, Role.VF)


def routing_flows(view: View) -> Iterator[str]:
    """Everything above layer 2 except virtual services."""
    for entry in routing_entries(view):
        translate = _TRANSLATORS.get(entry.table)
        if translate is not None:
            yield from translate(entry)
    yield from _advertise()
    for router in routed(view):
        yield flow(Table.ROUTER, 10, router, goto(Table.ROUTES))
    for version in ("ip", "ipv6"):
        yield flow(Table.ROUTES, 0, version)
    yield from _shared(view)


def routed(view: View) -> tuple[str, str]:
    """Matches for frames to the router: from a VF to any NIC's, else only to this one's."""
    own = f"dl_dst={view.nic.router_mac}"
    return f"{has(Reg.ROLE, Role.VF)},dl_dst={ANY_ROUTER}", own


def hop(network: int, mac: str, router_mac: str) -> list[str]:
    """Actions that send a packet to its next hop."""
    return [
        "dec_ttl",
        load(Reg.NETWORK, network),
        f"set_field:{mac}->eth_dst",
        f"set_field:{router_mac}->eth_src",
    ]


def _arp(entry: Entry) -> Iterator[str]:
    """A request is answered, except an announcement (sender = target)."""
    match, params = dict(entry.match), dict(entry.params)
    address, mac = _v4(match["address"]), mac_text(params["mac"])
    yield from _answer(
        f"{_who(match)},arp,arp_op=1,arp_tpa={address}",
        f"arp_spa={address}",
        f"set_field:{mac}->eth_src",
        "set_field:2->arp_op",
        "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]",
        "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]",
        f"set_field:{mac}->arp_sha",
        f"set_field:{address}->arp_spa",
        *turn_back(_int(match["from"])),
    )


def _nd(entry: Entry) -> Iterator[str]:
    """A solicitation is answered, except duplicate address detection (from ::)."""
    match, params = dict(entry.match), dict(entry.params)
    address, mac = _v6(match["address"]), mac_text(params["mac"])
    yield from _answer(
        f"{_who(match)},icmp6,icmp_type=135,icmp_code=0,nd_target={address}",
        "ipv6_src=::",
        f"set_field:{mac}->eth_src",
        "move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[]",
        f"set_field:{address}->ipv6_src",
        "set_field:136->icmpv6_type",
        f"set_field:{params['flags']}->nd_reserved",
        "set_field:2->nd_options_type",
        goto(Table.ADVERTISE),
    )


def _who(match: dict[str, int | tuple[int, int]]) -> str:
    """The match for who asks: the ports of one role in one network."""
    return f"{has(Reg.NETWORK, _int(match['network']))},{has(Reg.ROLE, _int(match['from']))}"


def _answer(question: str, unless: str, *answer: str) -> Iterator[str]:
    """A question for a neighbor is answered to its sender; one that is none goes its way."""
    yield flow(Table.NEIGHBOR, 20, f"{question},{unless}", goto(Table.INSIDE))
    back = "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]"
    yield flow(Table.NEIGHBOR, 10, question, back, *answer)


def _advertise() -> Iterator[str]:
    """The answer's option, which can only be written once the packet is an advertisement."""
    link_address = "move:NXM_OF_ETH_SRC[]->NXM_NX_ND_TLL[]"
    for role in _ANY_ROLE:
        match = f"{has(Reg.ROLE, role)},icmp6,icmp_type=136,icmp_code=0"
        yield flow(Table.ADVERTISE, 10, match, link_address, *turn_back(role))


def _route(entry: Entry) -> Iterator[str]:
    """A VM's address, an address of the router itself, or a prefix."""
    match = dict(entry.match)
    tenant = has(Reg.TENANT, _int(match["tenant"]))
    field, priority = _destination(entry, match)
    if entry.action == "for_router":
        yield from _for_router(tenant, field)
        return
    params = dict(entry.params)
    way = hop(params["network"], mac_text(params["mac"]), mac_text(params["router_mac"]))
    after = Table.OUTSIDE if entry.action == "route_outside" else Table.FORWARD
    yield flow(Table.ROUTES, priority, f"{tenant},{field}", *way, goto(after))


def _destination(entry: Entry, match: dict[str, int | tuple[int, int]]) -> tuple[str, int]:
    """The match for a route's destination, and its priority: the longest prefix wins."""
    v6 = "_v6_" in entry.table
    family, name, text = ("ipv6", "ipv6_dst", _v6) if v6 else ("ip", "nw_dst", _v4)
    if "address" in match:
        return f"{family},{name}={text(match['address'])}", _HOST
    prefix = match.get("prefix")
    if not isinstance(prefix, tuple):
        return family, _PREFIX
    return f"{family},{name}={text(prefix[0])}/{prefix[1]}", _PREFIX + prefix[1]


def _for_router(tenant: str, field: str) -> Iterator[str]:
    """A ping is answered; nothing else is for the router."""
    yield flow(Table.ROUTES, _HOST, f"{tenant},{field}")
    if not field.startswith("ip,"):
        return
    address = field.partition("=")[2]
    for role in _ANY_ROLE:
        yield flow(
            Table.ROUTES,
            _HOST + 10,
            f"{tenant},{has(Reg.ROLE, role)},icmp,nw_dst={address},icmp_type=8,icmp_code=0",
            "push:NXM_OF_ETH_SRC[]",
            "move:NXM_OF_ETH_DST[]->NXM_OF_ETH_SRC[]",
            "pop:NXM_OF_ETH_DST[]",
            "move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]",
            f"set_field:{address}->nw_src",
            "set_field:0->icmp_type",
            f"mod_nw_ttl:{_ECHO_TTL}",
            *turn_back(role),
        )


def _floating_in(entry: Entry) -> Iterator[str]:
    """A floating address becomes the VM's own, whoever outside asked the router for it."""
    match, params = dict(entry.match), dict(entry.params)
    network = has(Reg.NETWORK, _int(match["network"]))
    for role in (Role.UPLINK, Role.PF):
        yield flow(
            Table.INSIDE,
            20,
            f"{network},{has(Reg.ROLE, role)},ip,nw_dst={_v4(match['address'])},"
            f"dl_dst={ANY_ROUTER}",
            f"set_field:{_v4(params['address'])}->nw_dst",
            load(Reg.TENANT, params["tenant"]),
            goto(Table.OUT),
        )


def _floating_out(entry: Entry) -> Iterator[str]:
    """A VM's own address becomes its floating one."""
    match, params = dict(entry.match), dict(entry.params)
    yield flow(
        Table.OUTSIDE,
        20,
        f"{has(Reg.TENANT, _int(match['tenant']))},ip,nw_src={_v4(match['address'])}",
        ENTER,
        f"set_field:{_v4(params['address'])}->nw_src",
        goto(Table.FORWARD),
    )


def _shared(view: View) -> Iterator[str]:
    """Shared outside addresses: out with a port of their range, replies back in."""
    for router in view.routers:
        outside = view.state.network(router.outside)
        tenant = view.state.tenant_id(router.tenant)
        zone = Zone.SHARED | tenant
        for snat in router.snat:
            if snat.nic != view.nic.name:
                continue
            who = f"{has(Reg.TENANT, tenant)},{has(Reg.ROLE, Role.VF)}"
            for protocol in ("tcp", "udp", "icmp,icmp_type=8"):
                ports = "" if protocol.startswith("icmp") else f":{snat.ports}"
                nat = f"nat(src={snat.address}{ports})"
                commit = f"ct(commit,zone={zone},{nat},table={Table.TRANSLATED:d})"
                yield flow(Table.OUTSIDE, 10, f"{who},{protocol}", ENTER, commit)
            for role in (Role.UPLINK, Role.PF):
                back = f"{has(Reg.NETWORK, outside.id)},{has(Reg.ROLE, role)},ip"
                back += f",nw_dst={snat.address},dl_dst={view.nic.router_mac}"
                track = f"ct(nat,zone={zone},table={Table.KNOWN:d})"
                yield flow(Table.INSIDE, 20, back, track)
            known = [load(Reg.TENANT, tenant), load(Reg.KNOWN, 1), goto(Table.ROUTER)]
            for state in ("+est+rpl", "+rel"):
                match = f"ct_zone={zone},ct_state=+trk{state}-inv"
                yield flow(Table.KNOWN, 10, match, *known)
            match = f"ct_zone={zone},ct_state=+trk-inv"
            yield flow(Table.TRANSLATED, 10, match, load(Reg.KNOWN, 1), goto(Table.FORWARD))


def _int(value: int | tuple[int, int]) -> int:
    assert isinstance(value, int)
    return value


def _v4(number: int | tuple[int, int]) -> str:
    return str(IPv4Address(_int(number)))


def _v6(number: int | tuple[int, int]) -> str:
    return str(IPv6Address(_int(number)))


_TRANSLATORS: dict[str, Callable[[Entry], Iterator[str]]] = {
    "arp_table": _arp,
    "nd_table": _nd,
    "host_v4_table": _route,
    "host_v6_table": _route,
    "route_v4_table": _route,
    "route_v6_table": _route,
    "floating_in_table": _floating_in,
    "floating_out_table": _floating_out,
}
