"""Entries of the port and destination tables: what each port is and what state its VF is in."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping

from control.model.types import is_v6, mac_number
from control.policy.entries import Entry, Params
from control.policy.guard import guarded
from control.policy.mirrors import mirror_of
from control.policy.rates import vf_rate
from control.policy.reasons import PORT_PF, PORT_UPLINK
from control.policy.view import Guest, View

MODES = {"veb": 0, "vepa": 1, "private": 2}
UPLINK_BUCKETS = 8


def port_entries(
    view: View, policies: Mapping[str, int], mirroring: Collection[int] = ()
) -> Iterator[Entry]:
    """Entries for uplinks, PF and VFs.

    ``policies`` maps VM names to policy numbers; ``mirroring`` are those with rules that mirror.
    """
    yield from _uplinks(view)
    yield from _pf(view)
    for guest in view.local:
        policy = policies.get(guest.vm.name, 0)
        yield _replica(view, guest, has_rules=bool(policy))
        yield _admission(view, guest, policy, int(policy in mirroring))
        yield _destination(view, guest, policy, int(policy in mirroring))


def _uplinks(view: View) -> Iterator[Entry]:
    """Uplinks that carry traffic, and which of them carries which flows out."""
    ports = view.active_uplinks
    for port in ports:
        note = "uplink" if port == PORT_UPLINK else "second uplink"
        yield Entry("port_table", (("port", port),), "admit_uplink", _untagged(view), note=note)
    if ports and ports != [PORT_UPLINK]:
        for bucket in range(UPLINK_BUCKETS):
            port = ports[bucket % len(ports)]
            match = (("bucket", bucket),)
            yield Entry("uplink_table", match, "use_uplink", (("port", port),), note="bond")


def _pf(view: View) -> Iterator[Entry]:
    """The PF: private VFs reach it, but a VEPA leaves also its frames to the ToR."""
    match = (("port", PORT_PF),)
    note = f"PF of {view.server.name}" if view.server else "PF"
    mode = ("mode", MODES["vepa" if view.nic.mode == "vepa" else "veb"])
    yield Entry("port_table", match, "admit_pf", (*_untagged(view), mode), note=note)
    if view.server is not None:
        own = _copies(view.server.mac, 0, has_rules=False, ips=())
        yield Entry("replica_table", match, "copy_to_vf", own, note=note)


def _untagged(view: View) -> Params:
    network = view.untagged()
    return (
        ("network", network.id),
        ("tenant", view.tenant(network)),
        ("tracked", view.tracked(network)),
        ("router", view.router_mac & 0xFFFF),
    )


def _admission(view: View, guest: Guest, policy: int, rules_mirror: int) -> Entry:
    """The VF as the operator set it. A trusted guest may change its MAC, so it is not checked."""
    vm = guest.vm
    return Entry(
        "port_table",
        (("port", guest.port),),
        "admit_vf",
        (
            ("mac", mac_number(vm.mac)),
            ("network", guest.network.id),
            ("tenant", view.tenant(guest.network)),
            ("policy", policy),
            ("stateful", int(guest.stateful)),
            ("tracked", view.tracked(guest.network)),
            ("spoof_check", int(vm.spoofchk and not vm.trust)),
            ("source_guard", int(guarded(vm))),
            ("trusted", int(vm.trust)),
            ("mode", _mode(view, guest)),
            ("priority", vm.qos),
            ("mirror", mirror_of(view, guest, "out")),
            ("rules_mirror", rules_mirror),
        ),
        meter=vf_rate(view, vm),
        note=f"VF {guest.placement.vf} of {vm.name}",
    )


def _mode(view: View, guest: Guest) -> int:
    """How the VF sees the others. No ToR sends a tunnel's frame back, so overlays know no VEPA."""
    is_vepa = view.nic.mode == "vepa"
    return MODES["veb" if is_vepa and guest.network.overlay else view.nic.mode]


def _destination(view: View, guest: Guest, policy: int, rules_mirror: int) -> Entry:
    """What happens to frames for the VF, by the VM's role here."""
    match = (("port", guest.port),)
    note = f"VF {guest.placement.vf} of {guest.vm.name}: {guest.role}"
    home = view.homes.get(guest.vm.name)
    if guest.role == "moved" and home is not None:
        tunnel = (("tunnel", view.tunnel_to(home.placement.nic)),)
        return Entry("destination_table", match, "redirect_moved", tunnel, note=note)
    rules = (("policy", policy), ("stateful", int(guest.stateful)))
    if guest.role in ("prepared", "parked"):  # held as soon as anything leads there
        return Entry("destination_table", match, "hold_for_migration", rules, note=note)
    mirrors = (("mirror", mirror_of(view, guest, "in")), ("rules_mirror", rules_mirror))
    params = (*rules, *mirrors)
    return Entry("destination_table", match, "deliver", params, note=note)


def _replica(view: View, guest: Guest, *, has_rules: bool) -> Entry:
    """Copies of group-addressed frames: not to the VF whose own they are."""
    mirror = mirror_of(view, guest, "in")
    params = _copies(guest.vm.mac, mirror, has_rules=has_rules, ips=guest.vm.ips)
    note = f"VF {guest.placement.vf} of {guest.vm.name}"
    return Entry("replica_table", (("port", guest.port),), "copy_to_vf", params, note=note)


def _copies(mac: str, mirror: int, *, has_rules: bool, ips: Iterable[str]) -> Params:
    """How a port gets copies; where there are rules, of IPv4 only what is for everyone."""
    subnets = (ipaddress.IPv4Interface(ip).network for ip in ips if not is_v6(ip))
    wide = (subnet for subnet in subnets if subnet.prefixlen < 31)
    broadcast = next((int(subnet.broadcast_address) for subnet in wide), 0)
    return (
        ("mac", mac_number(mac)),
        ("mirror", mirror),
        ("rules", int(has_rules)),
        ("subnet_broadcast", broadcast),
    )
