"""Meters of a bridge: VF rates, storm limits, new connections; and how many it may have at all."""

from __future__ import annotations

from collections.abc import Iterator

from control.policy.rates import BURST_S, MIN_BURST
from control.policy.view import Guest, View

RATE, STORM, NEW = 0, 1000, 2000
"""What is added to a VF's port for the number of its meter."""

_MIN_PACKETS = 8
_BURST_PART = 10


def meters(view: View) -> Iterator[str]:
    """All meters, as ovs-ofctl reads them; with the same bursts as the NIC's."""
    for guest in view.local:
        if guest.vm.max_tx_rate:
            kbits = max(1, int(guest.vm.max_tx_rate * 1000))
            burst = max(MIN_BURST * 8 // 1000, int(kbits * BURST_S))
            yield _meter(RATE + guest.port, "kbps", kbits, burst)
        if guest.network.storm_pps:
            yield _packets(STORM + guest.port, guest.network.storm_pps)
        if guest.stateful and guest.vm.max_new_connections:
            yield _packets(NEW + guest.port, guest.vm.max_new_connections)


def paying(guest: Guest) -> list[str]:
    """Actions by which a VF's quota pays for a new connection."""
    return [f"meter:{NEW + guest.port}"] if guest.vm.max_new_connections else []


def connection_limits(view: View) -> dict[int, int]:
    """By zone, how many connections there may be; 0 is no limit."""
    return {guest.port: guest.vm.max_connections for guest in view.local if guest.stateful}


def _packets(number: int, per_second: int) -> str:
    burst = max(_MIN_PACKETS, per_second // _BURST_PART)
    return _meter(number, "pktps", per_second, burst)


def _meter(number: int, unit: str, rate: int, burst: int) -> str:
    return f"meter={number},{unit},burst,band=type=drop,rate={rate},burst_size={burst}"
