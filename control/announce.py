"""How a new place of addresses is told to whoever is behind the NIC's ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from control.model import DesiredState
from control.model.state import UNTAGGED_ID, Network
from control.policy.reasons import PORT_PF, PORT_UPLINK, vf_port

_ARP = 0x0806
_RARP = 0x8035
_MIN_FRAME = 60
_UNTAGGED = Network(name="untagged")


class Announcement(NamedTuple):
    """A frame, the port of the NIC that it leaves by, and the network it is in."""

    port: int
    network: Network
    frame: bytes


def of_vm(state: DesiredState, vm: str, nic: str) -> Iterator[Announcement]:
    """A VM's MAC address and its floating addresses, at a NIC; tunnels need no telling.

    What is behind the NIC itself hears of floating addresses, too: it had the MAC address of the
    router of the NIC where the VM was.
    """
    guest = state.vm(vm)
    segment: Network = state.segment(guest)
    if not segment.overlay:
        yield Announcement(PORT_UPLINK, segment, rarp(guest.mac))
    router = state.router(segment.tenant_name)
    if router is None:
        return
    outside = state.network(router.outside)
    for floating in state.floating:
        if floating.vm == vm:
            frame = gratuitous_arp(state.nic(nic).router_mac, floating.address)
            for port in (PORT_UPLINK, *_ports_in(state, outside, nic)):
                yield Announcement(port, outside, frame)


def _ports_in(state: DesiredState, network: Network, nic: str) -> Iterator[int]:
    """The PF and the VFs of a NIC that are in a network."""
    if network.id == UNTAGGED_ID:
        yield PORT_PF
    for vm in state.vms:
        if state.server(vm.server).nic == nic and state.segment(vm) == network:
            yield vf_port(vm.vf)


def of_nic(state: DesiredState, nic: str, vms: Iterable[str]) -> Iterator[Announcement]:
    """Everything that is behind a NIC's uplinks: tunnel end, router, PF, and ``vms``."""
    card, server = state.nic(nic), state.server_of_nic(nic)
    for mac in (card.tunnel_mac, card.router_mac, *((server.mac,) if server else ())):
        yield Announcement(PORT_UPLINK, _UNTAGGED, rarp(mac))
    for vm in vms:
        yield from of_vm(state, vm, nic)


def rarp(mac: str) -> bytes:
    """A broadcast reverse-ARP request from ``mac``: switches learn the port it came from.

    Hypervisors send it after a migration, since it needs no knowledge of the guest's addresses.
    """
    own = bytes.fromhex(mac.replace(":", ""))
    header = b"\xff" * 6 + own + _RARP.to_bytes(2, "big")
    ethernet_ipv4_request = bytes.fromhex("0001080006040003")
    return (header + ethernet_ipv4_request + 2 * (own + bytes(4))).ljust(_MIN_FRAME, b"\0")


def gratuitous_arp(mac: str, address: str) -> bytes:
    """A broadcast ARP request for its own address: whoever knows ``address`` learns its new MAC.

    For a VM's floating address, which the router of the NIC where the VM is answers for.
    """
    own = bytes.fromhex(mac.replace(":", ""))
    protocol = ipaddress.IPv4Address(address).packed
    header = b"\xff" * 6 + own + _ARP.to_bytes(2, "big")
    ethernet_ipv4_request = bytes.fromhex("0001080006040001")
    body = ethernet_ipv4_request + own + protocol + bytes(6) + protocol
    return (header + body).ljust(_MIN_FRAME, b"\0")
