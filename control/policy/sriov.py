"""Policy for the fixed-function card (p4src/sriov_nic.p4): what it can do of a desired state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from control.model.state import DesiredState, Placement
from control.policy.entries import Entry, NicProgram
from control.policy.forwarding import forwarding_entries
from control.policy.networks import flood_groups, network_entries
from control.policy.ports import port_entries
from control.policy.reasons import PORT_UPLINK
from control.policy.view import View

# Tables and actions of the hybrid NIC that the card has, with the parameters that it takes.
_PARAMETERS = {
    ("port_table", "admit_vf"): ("mac", "network", "spoof_check", "trusted", "priority"),
    ("port_table", "admit_pf"): ("network",),
    ("port_table", "admit_uplink"): ("network",),
    ("vlan_table", "set_network"): ("network",),
    ("l2_table", "forward_to_port"): ("port",),
    ("tag_table", "send_untagged"): (),
    ("tag_table", "send_tagged"): ("tag_protocol", "vlan"),
}


def compile_sriov(
    state: DesiredState,
    nic: str,
    placements: Iterable[Placement] | None = None,
    *,
    uplinks_up: frozenset[int] = frozenset({PORT_UPLINK}),
    tags: Mapping[str, int] | None = None,
) -> NicProgram:
    """Everything that a fixed-function NIC holds; arguments as for ``compile_nic``.

    Raises ValueError, with everything that is refused, if the state asks for more.
    """
    refused = unsupported_sriov(state)
    if refused:
        raise ValueError("a fixed-function SR-IOV card has " + "; ".join(refused))
    view = View(state, nic, placements, uplinks_up)
    view.guests = [guest for guest in view.guests if guest.is_home]
    entries = tuple(_card(view))
    ports = {dict(entry.match)["port"] for entry in entries if entry.table == "port_table"}
    groups = (
        replace(group, replicas=tuple(r for r in group.replicas if r[0] in ports))
        for group in flood_groups(view)
        if group.id in {network.id for network in view.networks}
    )
    return NicProgram(entries, tuple(groups), tags=dict(tags or {}))


def _card(view: View) -> Iterator[Entry]:
    """The hybrid NIC's entries for tables that the card has, without what it does not know."""
    everything = (*network_entries(view), *forwarding_entries(view), *port_entries(view, {}))
    for entry in everything:
        known = _PARAMETERS.get((entry.table, entry.action))
        if known is not None:
            params = tuple(param for param in entry.params if param[0] in known)
            yield replace(entry, params=params)


def unsupported_sriov(state: DesiredState) -> list[str]:
    """What the card cannot do of a state, in the operator's words; empty if nothing."""
    sections = (
        ("no filters on addresses and ports (acl)", state.acl),
        ("no security groups", any(vm.groups for vm in state.vms)),
        ("no load balancer", state.load_balancers),
        ("no router and no NAT", state.routers or state.floating or state.routes),
        ("no mirrors", state.mirrors),
        ("no overlay networks (vni)", any(network.overlay for network in state.networks)),
        ("no gateways", any(network.gateways for network in state.networks)),
        ("no storm limit", any(network.storm_pps for network in state.networks)),
        ("no guaranteed rates (min_tx_rate)", any(vm.min_tx_rate for vm in state.vms)),
        ("no bonded uplinks", any(nic.uplinks > 1 for nic in state.nics)),
        ("only the VEB mode", any(nic.mode != "veb" for nic in state.nics)),
    )
    return [words for words, asked in sections if asked]
