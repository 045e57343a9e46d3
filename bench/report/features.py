"""The feature table: each plane is asked with a real document, and what it answers is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from control.model import AclRule, DesiredState
from control.model.services import (
    FloatingIp,
    GroupRule,
    HealthCheck,
    LoadBalancer,
    Member,
    Mirror,
    Router,
    SecurityGroup,
    SourceNat,
)
from control.model.state import Network
from control.ovs import unsupported as unsupported_ovs
from control.policy import compile_nic
from control.policy.sriov import unsupported_sriov

Change = Callable[[DesiredState], DesiredState]


def _vm(**fields: Any) -> Change:
    """The first VM with other settings."""

    def change(state: DesiredState) -> DesiredState:
        first = state.vms[0].model_copy(update=fields)
        return state.model_copy(update={"vms": [first, *state.vms[1:]]})

    return change


def _add(**lists: list[Any]) -> Change:
    """The state with more in some of its lists."""

    def change(state: DesiredState) -> DesiredState:
        more = {name: [*getattr(state, name), *items] for name, items in lists.items()}
        return state.model_copy(update=more)

    return change


def _nic(**fields: Any) -> Change:
    """Every NIC with other settings."""

    def change(state: DesiredState) -> DesiredState:
        nics = [nic.model_copy(update=fields) for nic in state.nics]
        return state.model_copy(update={"nics": nics})

    return change


def _network(**fields: Any) -> Change:
    """Every network with other settings."""

    def change(state: DesiredState) -> DesiredState:
        networks = [network.model_copy(update=fields) for network in state.networks]
        return state.model_copy(update={"networks": networks})

    return change


def _grouped(*, stateful: bool) -> Change:
    """The first VM in a security group."""
    group = SecurityGroup(
        name="web", stateful=stateful, rules=[GroupRule(protocol="tcp", ports="80")]
    )
    join, define = _vm(groups=["web"]), _add(groups=[group])
    return lambda state: join(define(state))


def _balanced(state: DesiredState) -> DesiredState:
    balancer = LoadBalancer(
        name="web",
        network=state.networks[0].name,
        address="10.0.0.100",
        port=80,
        members=[Member(vm=vm.name, port=80) for vm in state.vms[:2]],
    )
    return _add(load_balancers=[balancer])(state)


def _probed(state: DesiredState) -> DesiredState:
    document = _balanced(state)
    probed = [b.model_copy(update={"health": HealthCheck()}) for b in document.load_balancers]
    return document.model_copy(update={"load_balancers": probed})


def _guaranteed(state: DesiredState) -> DesiredState:
    return _nic(link_mbps=1000.0)(_vm(min_tx_rate=100.0)(state))


def _rule_mirrored(state: DesiredState) -> DesiredState:
    document = _grouped(stateful=False)(state)
    tap = Mirror(name="tap", id=1, to_port="pf", bytes=64)
    groups = [
        group.model_copy(
            update={"rules": [rule.model_copy(update={"mirror": "tap"}) for rule in group.rules]}
        )
        for group in document.groups
    ]
    return document.model_copy(update={"groups": groups, "mirrors": [tap]})


def _translated(state: DesiredState) -> DesiredState:
    tenant = state.networks[0].model_copy(
        update={"vni": 5000, "tenant": "red", "gateways": ["10.0.0.254/24"]}
    )
    router = Router(
        tenant="red",
        outside="out",
        gateway_mac="02:00:00:00:99:01",
        snat=[SourceNat(nic=nic.name, address=f"192.0.2.{nic.id}") for nic in state.nics],
    )
    floating = FloatingIp(address="192.0.2.100", vm=state.vms[0].name)
    return state.model_copy(
        update={
            "networks": [tenant, Network(name="out")],
            "routers": [router],
            "floating": [floating],
        }
    )


def _mirrored(state: DesiredState) -> DesiredState:
    return _add(mirrors=[Mirror(name="tap", id=1, vm=state.vms[0].name, to_port="pf")])(state)


FEATURES: tuple[tuple[str, Change], ...] = (
    ("MAC, spoof check, link state per VF", _vm(spoofchk=True, state="enable")),
    ("VLAN per VF, with priority", _vm(vlan=100, qos=5)),
    ("802.1ad tags", _vm(vlan=100, vlan_protocol="802.1ad")),
    ("trusted VF", _vm(trust=True)),
    ("source address guard", _vm(source_guard=True)),
    ("rate limit per VF", _vm(max_tx_rate=100.0)),
    ("guaranteed rate per VF", _guaranteed),
    ("VEPA", _nic(mode="vepa")),
    ("private mode", _nic(mode="private")),
    ("storm limit", _network(storm_pps=1000)),
    ("access list", _add(acl=[AclRule(name="a", protocol="tcp", dst_ports="22")])),
    ("security groups, stateless", _grouped(stateful=False)),
    ("security groups, stateful", _grouped(stateful=True)),
    ("load balancer", _balanced),
    ("load balancer that probes its members", _probed),
    ("floating addresses, source NAT, router", _translated),
    ("overlay (VXLAN)", _network(vni=5000)),
    ("mirror", _mirrored),
    ("mirror of what a rule allows, truncated", _rule_mirrored),
    ("two uplinks, bonded", _nic(uplinks=2)),
)


@dataclass(frozen=True)
class Row:
    """One feature: by plane, an empty text where it is accepted, else the refusal."""

    feature: str
    answers: dict[str, str]


def _hybrid(state: DesiredState) -> list[str]:
    try:
        for nic in state.nics:
            compile_nic(state, nic.name)
    except ValueError as error:
        return [str(error)]
    return []


PLANES: dict[str, Callable[[DesiredState], list[str]]] = {
    "sriov": unsupported_sriov,
    "ovs": unsupported_ovs,
    "hybrid": _hybrid,
}


def feature_table(state: DesiredState) -> list[Row]:
    """Ask every plane for every feature. Raises ValidationError if a sample document is wrong."""
    rows = []
    for name, change in FEATURES:
        document = DesiredState.model_validate(change(state).model_dump())
        answers = {plane: "; ".join(ask(document)) for plane, ask in PLANES.items()}
        rows.append(Row(name, answers))
    return rows
