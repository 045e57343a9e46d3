"""Virtual services: a member is chosen at the client's server, translated to at the member's.

| table | does |
|---|---|
| 15, 16, 17 | known connections to their member, by its mark; new ones by a select group |
| 24, 25 | at the member: service address to member's; at the client: replies seen |
| 3, 4 | replies of members without stateful rules are told apart from what else they send |
| 13 | at the member: its address back to the service's |

The packet travels under the service's address, to the member's MAC. So replies need no way back
through the server where the choice was made, and a member that moves keeps its connections: what
was chosen stays at the client's server, the translation follows from the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from control.model.services import LoadBalancer, Member
from control.model.types import ip_number
from control.ovs.routing import hop, routed
from control.ovs.tables import ENTER, TUNNEL_PORT, Reg, Role, Table, Zone, flow, goto, has, load
from control.policy.reasons import PORT_UPLINK
from control.policy.rules import rule_sets
from control.policy.view import Guest, View

_FIRST_GROUP, _LAST_GROUP = 1_000, 0xFFFF_FF00 - 1


@dataclass(frozen=True)
class _Target:
    """A VM that serves, with its ports and their weights."""

    guest: Guest
    members: tuple[Member, ...]

    @property
    def address(self) -> str:
        return self.guest.v4[0]

    @property
    def mark(self) -> int:
        """The member in a connection's mark: its address, which is its own in the tenant."""
        return ip_number(self.address)

    @property
    def open(self) -> list[Member]:
        """Members that take new connections."""
        return [member for member in self.members if not member.drain]

    @property
    def weight(self) -> int:
        return sum(member.weight for member in self.open)


@dataclass(frozen=True)
class _Service:
    """One virtual service as a server sees it."""

    balancer: LoadBalancer
    tenant: int
    targets: tuple[_Target, ...]

    @property
    def fields(self) -> str:
        """Match: packets to the service."""
        b = self.balancer
        return f"{b.protocol},nw_dst={b.address},tp_dst={b.port}"

    @property
    def replies(self) -> str:
        """Match: packets from the service."""
        b = self.balancer
        return f"{b.protocol},nw_src={b.address},tp_src={b.port}"

    @property
    def group(self) -> int:
        """Number of the group that chooses a VM."""
        return _group_number(self.balancer.name)

    def port_group(self, target: _Target) -> int:
        """Number of the group that chooses among several ports of one VM."""
        return _group_number(f"{self.balancer.name} {target.guest.vm.name}")


def _group_number(name: str) -> int:
    """A number that stays when other groups come and go."""
    return _FIRST_GROUP + crc32(name.encode()) % (_LAST_GROUP - _FIRST_GROUP)


def _services(view: View) -> Iterator[_Service]:
    """Services of the tenants that have VMs here."""
    for balancer in view.state.load_balancers:
        network = view.state.network(balancer.network)
        if network.tenant_name not in view.tenants:
            continue
        members: dict[str, list[Member]] = {}
        for member in balancer.members:
            members.setdefault(member.vm, []).append(member)
        targets = tuple(
            _Target(view.homes[name], tuple(ports))
            for name, ports in members.items()
            if name in view.homes and view.homes[name].v4
        )
        yield _Service(balancer, view.tenant(network), targets)


def balance_flows(view: View) -> Iterator[str]:
    """Everything about virtual services."""
    services = list(_services(view))
    for service in services:
        yield from _choose(view, service)
        yield from _replies(service)
        for target in _local(view, service):
            yield from _serve(service, target)
            yield from _restore(view, service, target)
    if services:
        for port in (PORT_UPLINK, TUNNEL_PORT):  # only who is here sees replies here
            yield flow(Table.SERVE, 30, has(Reg.TO, port), goto(Table.IN))


def balance_groups(view: View) -> Iterator[str]:
    """Select groups: of every service here, and of every VM here that serves on several ports."""
    for service in _services(view):
        go_on = f"resubmit(,{Table.PICKED:d})"
        buckets = [(t.weight, [load(Reg.MEMBER, t.mark), go_on]) for t in service.targets if t.open]
        yield _select(service.group, buckets)
        for target in _local(view, service):
            if len(target.members) > 1:
                choices = target.open or list(target.members)
                ports = [(m.weight, [_translate(service, target, m)]) for m in choices]
                yield _select(service.port_group(target), ports)


def _local(view: View, service: _Service) -> list[_Target]:
    here = {guest.vm.name for guest in view.local}
    return [target for target in service.targets if target.guest.vm.name in here]


def _select(number: int, buckets: list[tuple[int, list[str]]]) -> str:
    """A group that shares connections out by weight, by the packet's hash."""
    texts = [
        f"bucket=bucket_id:{position},weight:{weight},actions={','.join(actions)}"
        for position, (weight, actions) in enumerate(buckets)
    ]
    return ",".join([f"group_id={number},type=select,selection_method=dp_hash", *texts])


def _choose(view: View, service: _Service) -> Iterator[str]:
    """Tables 15, 16 and 17: what goes to the service, by way of its member's MAC."""
    zone = Zone.CHOICE | service.tenant
    tenant = has(Reg.TENANT, service.tenant)
    track = f"ct(zone={zone},table={Table.CHOSEN:d})"
    any_router, own = routed(view)
    turned = f"{has(Reg.ROLE, Role.UPLINK)},{own}"
    match = f"{tenant},{service.fields}"
    yield flow(Table.CHOOSE, 10, f"{match},{any_router}", ENTER, track)
    yield flow(Table.CHOOSE, 11, f"{match},{own}", ENTER, track)
    yield flow(Table.CHOOSE, 12, f"{match},{turned}", load(Reg.ROLE, Role.TURNED), track)
    for target in service.targets:
        known = f"{match},ct_mark={target.mark}"
        way = [*_to_member(view, target), goto(Table.FORWARD)]
        yield flow(Table.CHOSEN, 20, known, *way)
        picked = f"{tenant},{has(Reg.MEMBER, target.mark)},ip"
        commit = f"ct(commit,zone={zone},exec(set_field:{target.mark}->ct_mark))"
        yield flow(Table.PICKED, 10, picked, commit, *way)
    yield flow(Table.CHOSEN, 10, match, f"group:{service.group}")


def _to_member(view: View, target: _Target) -> list[str]:
    guest = target.guest
    return hop(guest.network.id, guest.vm.mac, view.nic.router_mac)


def _translate(service: _Service, target: _Target, member: Member) -> str:
    """Action: to the member's own address and port, and judged by its rules."""
    nat = f"nat(dst={target.address}:{member.port})"
    return f"ct(commit,zone={Zone.MEMBER | service.tenant},{nat},table={Table.SERVED:d})"


def _serve(service: _Service, target: _Target) -> Iterator[str]:
    """Table 24, at the member's server."""
    match = f"{has(Reg.TO, target.guest.port)},{service.fields}"
    if len(target.members) > 1:
        yield flow(Table.SERVE, 20, match, f"group:{service.port_group(target)}")
    else:
        yield flow(Table.SERVE, 20, match, _translate(service, target, target.members[0]))
    untranslated = f"ct_zone={Zone.MEMBER | service.tenant},ct_state=+trk+inv"
    yield flow(Table.SERVED, 20, untranslated)


def _replies(service: _Service) -> Iterator[str]:
    """Tables 24 and 25, at the client's server: replies belong to the connection chosen for."""
    zone = Zone.CHOICE | service.tenant
    match = f"{has(Reg.TENANT, service.tenant)},{service.replies}"
    yield flow(Table.SERVE, 10, match, f"ct(zone={zone},table={Table.SERVED:d})")
    known = f"ct_zone={zone},ct_state=+trk+rpl-inv"
    yield flow(Table.SERVED, 10, known, load(Reg.KNOWN, 1), goto(Table.IN))


def _restore(view: View, service: _Service, target: _Target) -> Iterator[str]:
    """Tables 3, 4 and 13: a member's replies get the service's address."""
    zone = Zone.MEMBER | service.tenant
    guest = target.guest
    judged = guest.vm.name in rule_sets(view) and not guest.stateful
    for member in target.members:
        sent = f"{service.balancer.protocol},nw_src={target.address},tp_src={member.port}"
        match = f"{has(Reg.FROM, guest.port)},{sent}"
        yield flow(Table.REPLY, 10, match, f"ct(nat,zone={zone},table={Table.CHOOSE:d})")
        if judged:
            yield flow(Table.INSIDE, 10, match, f"ct(zone={zone},table={Table.KNOWN:d})")
    if judged:
        known = f"ct_zone={zone},ct_state=+trk+est+rpl-inv"
        yield flow(Table.KNOWN, 10, known, load(Reg.KNOWN, 1), goto(Table.OUT))
