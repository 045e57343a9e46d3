"""Desired state to everything that one bridge holds, by a pure function.

| table | does |
|---|---|
| 0, 1 | port role: network, spoof check, guest tags, rate, storm limit; source guard |
| 2, 5 | ARP and ND answers |
| 3, 4 | outside addresses to inside ones; connections that a translation knows |
| 10, 11, 12 | rules of the sending VM: tracked, judged, entered |
| 13, 15, 16, 17 | virtual services: members' replies, choice of a member |
| 18, 19, 20, 21 | router: next hop, and outside addresses |
| 22, 23 | forwarding by network and MAC address; VEPA and private mode |
| 24, 25 | virtual services at the member |
| 30, 31, 32 | rules of the receiving VM |
| 33, 34, 35, 36 | copies that rules ask for; connections entered for their sender |
| 40 | the network's tag or tunnel on, and out |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from control.model import DesiredState
from control.ovs.balance import balance_flows, balance_groups
from control.ovs.forward import forward_flows, uplink_group
from control.ovs.mirrors import MirrorRecord, finish_flows, mirror_records
from control.ovs.ports import port_flows
from control.ovs.rates import connection_limits, meters
from control.ovs.routing import routing_flows
from control.ovs.rules import rule_flows
from control.ovs.tables import DEFAULTS, flow, goto
from control.policy.view import View


@dataclass(frozen=True)
class BridgeProgram:
    """What a bridge holds: rules, groups and meters as ovs-ofctl reads them, and the rest.

    ``neighbors``: MAC by address of the other servers' ends of the tunnels. ``limits``: how many
    connections there may be by zone.
    """

    flows: tuple[str, ...]
    groups: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()
    mirrors: tuple[MirrorRecord, ...] = ()
    neighbors: dict[str, str] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)


def bridge_program(
    state: DesiredState, nic: str, uplinks_up: Iterable[int] = (1,)
) -> BridgeProgram:
    """Everything that the bridge in place of ``nic`` holds."""
    view = View(state, nic, uplinks_up=frozenset(uplinks_up))
    flows = (
        *port_flows(view),
        *routing_flows(view),
        *rule_flows(view),
        *balance_flows(view),
        *forward_flows(view),
        *finish_flows(view),
        *(flow(table, 0, "", goto(after)) for table, after in DEFAULTS),
    )
    ends = {p.tunnel_address: view.nic.underlay_gateway or p.tunnel_mac for p in view.peers}
    return BridgeProgram(
        flows,
        (uplink_group(view), *balance_groups(view)),
        tuple(meters(view)),
        tuple(mirror_records(view)),
        ends,
        connection_limits(view),
    )
