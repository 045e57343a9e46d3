"""Entries of the port and destination tables: what each port is and what state its VF is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from control.model.state import UNTAGGED_ID, Vm
from control.model.types import mac_number
from control.policy.entries import Entry, MeterRate
from control.policy.reasons import PORT_PF, PORT_UPLINK
from control.policy.view import Guest, View

MODES = {"veb": 0, "vepa": 1, "private": 2}
MIN_BURST = 256 * 1024  # a few offloaded frames of 64 KiB
BURST_S = 0.02


def port_entries(view: View, policies: Mapping[str, int]) -> Iterator[Entry]:
    """Entries for uplinks, PF and VFs; ``policies`` maps VM names to policy numbers."""
    for port in sorted(view.uplinks_up):
        yield Entry(
            "port_table",
            (("port", port),),
            "admit_uplink",
            (("network", UNTAGGED_ID),),
            note="uplink" if port == PORT_UPLINK else "second uplink",
        )
    yield Entry(
        "port_table",
        (("port", PORT_PF),),
        "admit_pf",
        (("network", UNTAGGED_ID),),
        note=f"PF of {view.server.name}" if view.server else "PF",
    )
    for guest in view.local:
        policy = policies.get(guest.vm.name, 0)
        yield _admission(view, guest, policy)
        yield _destination(view, guest, policy)


def _admission(view: View, guest: Guest, policy: int) -> Entry:
    """The VF as the operator set it. A trusted guest may change its MAC, so it is not checked."""
    vm = guest.vm
    return Entry(
        "port_table",
        (("port", guest.port),),
        "admit_vf",
        (
            ("mac", mac_number(vm.mac)),
            ("network", guest.network.id),
            ("policy", policy),
            ("spoof_check", int(vm.spoofchk and not vm.trust)),
            ("trusted", int(vm.trust)),
            ("mode", MODES[view.nic.mode]),
            ("priority", vm.qos),
            ("mirror", 0),
        ),
        meter=vf_meter(vm),
        note=f"VF {guest.placement.vf} of {vm.name}",
    )


def _destination(view: View, guest: Guest, policy: int) -> Entry:
    """What happens to frames for the VF, by the VM's role here."""
    match = (("port", guest.port),)
    note = f"VF {guest.placement.vf} of {guest.vm.name}: {guest.role}"
    home = view.homes.get(guest.vm.name)
    if guest.role == "parked":
        return Entry("destination_table", match, "hold_for_migration", note=note)
    if guest.role == "moved" and home is not None:
        tunnel = view.tunnel_to(home.placement.nic)
        return Entry("destination_table", match, "redirect_moved", (("tunnel", tunnel),), note=note)
    return Entry("destination_table", match, "deliver", (("policy", policy),), note=note)


def vf_meter(vm: Vm) -> MeterRate | None:
    """The VF's policer in bytes per second; None if it is not limited."""
    if not vm.max_tx_rate:
        return None
    rate = bytes_per_second(vm.max_tx_rate)
    burst = max(MIN_BURST, int(rate * BURST_S))
    return MeterRate(rate, burst, rate, burst)


def bytes_per_second(mbps: float) -> int:
    """A rate in megabits per second as bytes per second."""
    return int(mbps * 125_000)
