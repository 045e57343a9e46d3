"""Entries of the forwarding tables: which port or tunnel a MAC address is behind."""

from __future__ import annotations

from collections.abc import Iterator

from control.model.state import UNTAGGED_ID
from control.model.types import mac_number
from control.policy.entries import Entry
from control.policy.reasons import PORT_PF
from control.policy.view import Guest, View


def forwarding_entries(view: View) -> Iterator[Entry]:
    """L2 entries: the PF, VMs that are or were here, and overlay VMs elsewhere."""
    if view.server is not None:
        yield _l2(UNTAGGED_ID, view.server.mac, ("port", PORT_PF), f"PF of {view.server.name}")
    here = {guest.vm.name for guest in view.local if guest.role != "prepared"}
    for guest in view.local:
        if guest.role != "prepared":
            yield _l2(guest.network.id, guest.vm.mac, ("port", guest.port), guest.vm.name)
    carried = {network.id for network in view.networks if network.overlay}
    for guest in view.homes.values():
        if guest.network.id in carried and _elsewhere(view, guest) and guest.vm.name not in here:
            tunnel = view.tunnel_to(guest.placement.nic)
            yield _l2(guest.network.id, guest.vm.mac, ("tunnel", tunnel), guest.vm.name)


def _elsewhere(view: View, guest: Guest) -> bool:
    return guest.placement.nic != view.nic.name


def _l2(network: int, mac: str, target: tuple[str, int], note: str) -> Entry:
    """One L2 entry towards a port or a tunnel."""
    match = (("network", network), ("mac", mac_number(mac)))
    return Entry("l2_table", match, f"forward_to_{target[0]}", (target,), note=note)
