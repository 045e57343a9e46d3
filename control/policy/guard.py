"""Entries of the source guard: the addresses from which each VF may send."""

from __future__ import annotations

from collections.abc import Iterator

from control.model.state import Vm
from control.model.types import ip_number, mac_number
from control.policy.entries import Entry
from control.policy.view import Guest, View

LINK_LOCAL = 0xFE80 << 112


def guard_entries(view: View) -> Iterator[Entry]:
    """Addresses of every VF whose sources are checked."""
    for guest in view.local:
        if guarded(guest.vm):
            yield from _guest(guest)


def guarded(vm: Vm) -> bool:
    """Whether a VM may send only from its own addresses."""
    return vm.source_guard and bool(vm.ips) and not vm.trust


def _guest(guest: Guest) -> Iterator[Entry]:
    """The VM's own addresses, and those it has before it has one (DHCP, probes, link-local)."""
    v4 = {0, *map(ip_number, guest.v4)}
    v6 = {0, link_local(guest.vm.mac), *map(ip_number, guest.v6)}
    for table, addresses in (("v4", v4), ("arp", v4), ("v6", v6), ("nd", v6 - {0})):
        for address in sorted(addresses):
            match = (("port", guest.port), ("address", address))
            note = f"address of {guest.vm.name}"
            yield Entry(f"source_{table}_table", match, "NoAction", note=note)


def link_local(mac: str) -> int:
    """The link-local IPv6 address that follows from a MAC address (EUI-64)."""
    number = mac_number(mac) ^ (2 << 40)
    return LINK_LOCAL | (number >> 24) << 40 | 0xFFFE << 24 | number & 0xFFFFFF
