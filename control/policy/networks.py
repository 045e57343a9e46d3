"""Entries of the network tables: tags and VNIs, tunnels, unknown destinations, floods."""

from __future__ import annotations

from collections.abc import Iterator

from control.model.state import Network
from control.model.types import ip_number, mac_number
from control.policy.entries import Entry, Group, Params
from control.policy.reasons import PORT_CPU, PORT_PF
from control.policy.view import Guest, View

ROLE_UPLINK = 1
ROLE_PF = 2
ROLE_VF = 3
TAG_PROTOCOLS = {"802.1q": 0x8100, "802.1ad": 0x88A8}
PRIORITY_ONLY = 0  # a tag with this VLAN names none: its frame counts as untagged
PROMISCUOUS_GROUPS = 0x4000


def network_entries(view: View) -> Iterator[Entry]:
    """Entries for every network that the NIC carries."""
    end = ip_number(view.nic.tunnel_address)
    for network in view.networks:
        number = (("network", network.id),)
        setting = (
            *number,
            ("tenant", view.tenant(network)),
            ("tracked", view.tracked(network)),
        )
        vni = (("vni", network.wire_vni),)
        note = f"network {network.name} in tunnels"
        match = (("tunnel_end", end), *vni)
        yield Entry("vni_table", match, "set_network", setting, note=note)
        yield Entry("network_vni_table", number, "set_vni", vni, note=note)
        note = f"network {network.name}"
        yield Entry("resume_table", number, "set_network", setting, note=note)
        if not network.overlay:
            yield from _plain(network, setting)
        yield from _unknown(view, network)
    yield from _tunnels(view)


def _plain(network: Network, setting: Params) -> Iterator[Entry]:
    """An untagged or VLAN network on the uplink."""
    number = (("network", network.id),)
    note = f"network {network.name} on the uplink"
    if network.vlan is None:
        match = (("tag_protocol", TAG_PROTOCOLS["802.1q"]), ("vlan", PRIORITY_ONLY))
        yield Entry("vlan_table", match, "set_network", setting, note=note)
        yield Entry("tag_table", number, "send_untagged", note=note)
        return
    protocol = ("tag_protocol", TAG_PROTOCOLS[network.vlan_protocol])
    vlan = ("vlan", network.vlan)
    yield Entry("vlan_table", (protocol, vlan), "set_network", setting, note=note)
    yield Entry("tag_table", number, "send_tagged", (protocol, vlan), note=note)


def _unknown(view: View, network: Network) -> Iterator[Entry]:
    """Unknown unicast: out by the uplink of a plain network, and to promiscuous VFs."""
    note = f"unknown destinations in {network.name}"
    promiscuous = (("group", PROMISCUOUS_GROUPS + network.id),)
    for role in (ROLE_UPLINK, ROLE_PF, ROLE_VF):
        match = (("network", network.id), ("from", role))
        if role != ROLE_UPLINK and network.overlay and network.unknown == "flood":
            group = (("group", network.id),)
            yield Entry("unknown_table", match, "unknown_to_group", group, note=note)
        elif _promiscuous(view, network):
            yield Entry("unknown_table", match, "unknown_to_group", promiscuous, note=note)
        elif role != ROLE_UPLINK and not network.overlay:
            yield Entry("unknown_table", match, "unknown_to_uplink", note=note)


def _tunnels(view: View) -> Iterator[Entry]:
    """One tunnel to each other NIC; through the underlay's gateway where there is one."""
    own = view.nic
    for peer in view.peers:
        yield Entry(
            "tunnel_table",
            (("tunnel", peer.id),),
            "encapsulate",
            (
                ("src_mac", mac_number(own.tunnel_mac)),
                ("dst_mac", mac_number(own.underlay_gateway or peer.tunnel_mac)),
                ("src", ip_number(own.tunnel_address)),
                ("dst", ip_number(peer.tunnel_address)),
            ),
            note=f"tunnel to {peer.name}",
        )


def flood_groups(view: View) -> Iterator[Group]:
    """Per network the flood group, and the group of its promiscuous VFs if it has any."""
    for network in view.networks:
        replicas = {_replica(guest) for guest in view.local if _floods(guest, network)}
        uplinks = view.uplinks_up[:1]  # one copy, whatever the bond
        if network.overlay:
            remote = {g.placement.nic for g in view.members(network)} - {view.nic.name}
            replicas |= {(port, view.tunnel_to(nic)) for port in uplinks for nic in remote}
        else:
            replicas |= {(port, 0) for port in uplinks}
        if network.vlan is None and not network.overlay:
            replicas.add((PORT_PF, 0))
        if replicas:
            yield Group(network.id, tuple(sorted(replicas)))
        promiscuous = _promiscuous(view, network)
        if promiscuous:
            members = {(guest.port, 0) for guest in promiscuous}
            if not network.overlay:
                members |= {(port, 0) for port in uplinks}
            yield Group(PROMISCUOUS_GROUPS + network.id, tuple(sorted(members)))


def _floods(guest: Guest, network: Network) -> bool:
    return guest.network.id == network.id and guest.is_home


def _replica(guest: Guest) -> tuple[int, int]:
    """A parked VM's copy goes to the host, which learns from the instance for whom it is."""
    return (PORT_CPU, guest.port) if guest.role == "parked" else (guest.port, 0)


def _promiscuous(view: View, network: Network) -> list[Guest]:
    """Trusted VFs of the network: they see unknown unicast."""
    return [
        g for g in view.local if g.vm.trust and g.network.id == network.id and g.role == "active"
    ]
