"""How a VM's new place is told to the physical network."""

from __future__ import annotations

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
