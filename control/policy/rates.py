"""Meters: VF rates, what guarantees leave of the link, storm limits, the slow path's quota."""

from __future__ import annotations

from collections.abc import Iterator

from control.model.state import Vm
from control.policy.entries import Meter, MeterRate
from control.policy.view import View

MIN_BURST = 256 * 1024  # a few offloaded frames of 64 KiB
BURST_S = 0.2
"""A sender that lost the end of its window is silent for 200 ms, Linux's least timeout; between
neighbours that is the rule. What a shorter burst saves meanwhile is all that TCP would get."""


def vf_rate(view: View, vm: Vm) -> MeterRate | None:
    """The VF's meter in bytes per second: guaranteed (green) and at most (red); None if unlimited.

    Where any VF of the NIC has a guarantee, the others are metered too: what they send above
    theirs (yellow) shares what the guarantees leave.
    """
    guarantees = any(guest.vm.min_tx_rate for guest in view.local)
    if not vm.max_tx_rate and not guarantees:
        return None
    peak = bytes_per_second(vm.max_tx_rate or view.nic.link_mbps)
    if not guarantees:
        return MeterRate(peak, _burst(peak), peak, _burst(peak))
    sure = bytes_per_second(vm.min_tx_rate)
    return MeterRate(max(sure, 1), _burst(sure) if sure else 1, peak, _burst(peak))


def meters(view: View) -> Iterator[Meter]:
    """The indirect meters that are set. ValueError if the link cannot keep what is guaranteed.

    A VM that migrates is guaranteed its rate at both ends.
    """
    placed = (guest for guest in view.guests if guest.placement.nic == view.nic.name)
    guaranteed = sum(guest.vm.min_tx_rate for guest in placed)
    if guaranteed > view.nic.link_mbps:
        raise ValueError(
            f"{guaranteed:g} Mb/s promised on {view.nic.name}, whose link has "
            f"{view.nic.link_mbps:g}; VMs on their way there count, too."
        )
    promised = sum(guest.vm.min_tx_rate for guest in view.local)
    if promised:
        rest = max(1, bytes_per_second(view.nic.link_mbps - promised))
        yield Meter("excess_meter", 0, MeterRate(rest, _burst(rest), rest, _burst(rest)))
    for guest in view.local:
        if guest.network.storm_pps:
            yield Meter("storm_meter", guest.port, _packets(guest.network.storm_pps))
        if guest.vm.max_new_connections:
            limit = _packets(guest.vm.max_new_connections)
            yield Meter("slow_path_meter", guest.port, limit)


def bytes_per_second(mbps: float) -> int:
    """A rate in megabits per second as bytes per second."""
    return int(mbps * 125_000)


def _burst(rate: int) -> int:
    return max(MIN_BURST, int(rate * BURST_S))


def _packets(per_second: int) -> MeterRate:
    """A limit in packets per second, with a burst of a tenth of a second."""
    burst = max(8, per_second // 10)
    return MeterRate(per_second, burst, per_second, burst)
