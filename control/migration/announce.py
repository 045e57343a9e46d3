"""How a VM's new place is told to the physical network."""

from __future__ import annotations

import ipaddress

_ARP = 0x0806
_RARP = 0x8035
_MIN_FRAME = 60


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
