"""Desired state and placements to one NIC's program, by a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control.model.state import DesiredState, Placement
from control.policy.entries import NicProgram
from control.policy.forwarding import forwarding_entries
from control.policy.guard import guard_entries
from control.policy.mirrors import mirror_entries, sessions
from control.policy.networks import flood_groups, network_entries
from control.policy.ports import port_entries
from control.policy.rates import meters
from control.policy.routing import routing_entries
from control.policy.rules import assign_policies, rule_entries
from control.policy.view import View


def compile_nic(
    state: DesiredState,
    nic: str,
    placements: Iterable[Placement] | None = None,
    *,
    uplinks_up: frozenset[int] = frozenset({1}),
    tags: Mapping[str, int] | None = None,
) -> NicProgram:
    """Everything that NIC ``nic`` holds by policy.

    ``placements``: where VMs are, as while one migrates; by default where the state puts them.
    ``uplinks_up``: uplink ports with link. ``tags``: policy numbers of the program before.
    Raises KeyError for an unknown NIC, ValueError if the state does not fit a NIC.
    """
    view = View(state, nic, placements, uplinks_up)
    policies = assign_policies(view, tags)
    entries = (
        *rule_entries(policies),
        *network_entries(view),
        *forwarding_entries(view),
        *routing_entries(view),
        *guard_entries(view),
        *mirror_entries(view),
        *port_entries(view, policies.of_vm, policies.mirroring),
    )
    return NicProgram(
        entries,
        tuple(flood_groups(view)),
        tuple(sessions(view)),
        tuple(meters(view)),
        policies.tags,
    )
