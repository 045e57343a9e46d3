"""Rules of VMs as OpenFlow: by priority, with connection tracking where a group is stateful.

Connections are tracked in a zone per VF, so that two VMs on one server are judged apart. What the
NIC does not take for part of a connection is not tracked here either: other protocols than TCP,
UDP and echo, and frames to group addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from control.model.types import PROTOCOL_NUMBERS, is_v6, port_range
from control.ovs.ranges import masks
from control.ovs.rates import paying
from control.ovs.tables import GROUP_BIT, Reg, Table, flow, goto, has, load
from control.policy.rules import Rule, RuleSet, rule_sets
from control.policy.view import Guest, View

_JUDGED = 50_000
_DEFAULT = 1
_V4_TRACKED = ("tcp", "udp", *(f"icmp,icmp_type={t}" for t in (0, 3, 8, 11, 12)))
_V6_TRACKED = ("tcp6", "udp6", *(f"icmp6,icmp_type={t}" for t in (1, 2, 3, 4, 128, 129)))
_NEIGHBOR_TYPES = range(133, 138)


@dataclass(frozen=True)
class _Side:
    """The tables of one direction, and the register that names the VM."""

    direction: str
    first: Table
    rules: Table
    commit: Table
    after: Table
    who: Reg
    mirror: Reg


_SIDES = (
    _Side(
        "out",
        Table.OUT,
        Table.OUT_RULES,
        Table.OUT_COMMIT,
        Table.REPLY,
        Reg.FROM,
        Reg.MIRROR_OUT,
    ),
    _Side("in", Table.IN, Table.IN_RULES, Table.IN_COMMIT, Table.FINISH, Reg.TO, Reg.MIRROR_IN),
)


def rule_flows(view: View) -> Iterator[str]:
    """The rules of all VMs of one server, in both directions."""
    sets = rule_sets(view)
    for side in _SIDES:
        if sets:
            yield from _exempt(side)
        for guest in view.local:
            if guest.vm.name in sets:
                yield from _judge(guest, sets[guest.vm.name], side)


def _exempt(side: _Side) -> Iterator[str]:
    """Neighbour discovery works whatever the rules say, as ARP does."""
    for kind in _NEIGHBOR_TYPES:
        yield flow(side.first, 30, f"icmp6,icmp_type={kind}", goto(side.after))


def _judge(guest: Guest, rules: RuleSet, side: _Side) -> Iterator[str]:
    """One VM in one direction: tracked first if stateful, then the rules, then the default."""
    who = has(side.who, guest.port)
    yield from _stateful(guest, side, who) if guest.stateful else _stateless(side, who)
    for protocol in ("ip", "ipv6"):
        yield flow(side.first, 5, f"{who},{protocol}", "ct_clear", goto(side.rules))
    allow = goto(side.commit if guest.stateful else side.after)
    ranks = _ranks(rules)
    mirrored = any(rule.mirror for rule in rules.rules if rule.direction == side.direction)
    seen: set[tuple[int, str]] = set()
    for rule in rules.rules:
        if rule.direction == side.direction:
            copy = [load(side.mirror, rule.mirror)] if rule.mirror else []
            actions = [*copy, allow] if rule.allow else []
            rank = ranks[rule.table_priority]
            for match in _matches(rule):
                if (rank, match) not in seen:
                    seen.add((rank, match))
                    yield flow(side.rules, rank, f"{who},{match}", *actions)
                    if guest.stateful and mirrored:  # it copies known connections too
                        known = f"{who},{match},ct_state=+trk+est-inv"
                        yield flow(side.rules, _JUDGED + rank, known, *copy, goto(side.after))
    is_open = rules.open_out if side.direction == "out" else rules.open_in
    for protocol in ("ip", "ipv6"):
        yield flow(side.rules, _DEFAULT, f"{who},{protocol}", *([allow] if is_open else []))


def _stateless(side: _Side, who: str) -> Iterator[str]:
    """What a translation knows already is not judged again."""
    yield flow(side.first, 15, f"{who},{has(Reg.KNOWN, 1)}", goto(side.after))


def _stateful(guest: Guest, side: _Side, who: str) -> Iterator[str]:
    """Into the tracker and on: known connections pass, new ones are entered when allowed.

    The sender's entry waits until the receiver, if it is here, has allowed the connection too.
    """
    track = f"ct(table={side.rules:d},zone={guest.port})"
    for version in ("ip", "ipv6"):
        match = f"{who},{version},dl_dst={GROUP_BIT}"
        yield flow(side.first, 20, match, "ct_clear", goto(side.rules))
    for protocol in (*_V4_TRACKED, *_V6_TRACKED):
        yield flow(side.first, 10, f"{who},{protocol}", track)
    for state in ("+est", "+rel"):
        match = f"{who},ct_state=+trk{state}-inv"
        yield flow(side.rules, _JUDGED, match, goto(side.after))
    yield flow(side.rules, _JUDGED, f"{who},{has(Reg.KNOWN, 1)}", goto(side.commit))
    commit = f"ct(commit,zone={guest.port})"
    for version in ("ip", "ipv6"):
        new = f"{who},{version},ct_state=+trk+new"
        if side.direction == "out":
            marks = [load(Reg.PAID, 1), load(Reg.ENTERS, guest.port)]
            yield flow(side.commit, 10, new, *paying(guest), *marks, goto(side.after))
            entering = f"{version},{has(Reg.ENTERS, guest.port)}"
            yield flow(Table.ENTER, 10, entering, commit, load(Reg.ENTERS, 0))
            continue
        yield flow(side.commit, 10, new, *paying(guest), commit, goto(side.after))
        if paying(guest):
            yield flow(side.commit, 20, f"{new},{has(Reg.PAID, 1)}", commit, goto(side.after))


def _ranks(rules: RuleSet) -> dict[int, int]:
    """Table priorities as OpenFlow's 16 bits hold them: by rank, above the default."""
    used = sorted({rule.table_priority for rule in rules.rules})
    return {priority: rank for rank, priority in enumerate(used, _DEFAULT + 1)}


def _matches(rule: Rule) -> Iterator[str]:
    """One OpenFlow match per IP version and per pair of port masks."""
    for version in _versions(rule):
        family = "ip" if version == 4 else "ipv6"
        fields = [family]
        if rule.protocol != "any":
            fields.append(f"nw_proto={PROTOCOL_NUMBERS[rule.protocol]}")
        names = ("nw_src", "nw_dst") if version == 4 else ("ipv6_src", "ipv6_dst")
        for name, prefix in zip(names, (rule.src, rule.dst), strict=True):
            if prefix is not None and not prefix.endswith("/0"):
                fields.append(f"{name}={prefix}")
        for ports in product(_ports("tp_src", rule.src_ports), _ports("tp_dst", rule.dst_ports)):
            yield ",".join([*fields, *(part for part in ports if part)])


def _ports(name: str, ports: str | None) -> list[str]:
    """A port range as masked matches; one empty match if every port will do."""
    if ports is None or port_range(ports) == (0, 0xFFFF):
        return [""]
    return [f"{name}={value:#x}/{mask:#x}" for value, mask in masks(*port_range(ports))]


def _versions(rule: Rule) -> tuple[int, ...]:
    """Versions of IP that a rule can match."""
    for prefix in (rule.src, rule.dst):
        if prefix is not None:
            return (6,) if is_v6(prefix) else (4,)
    return {"icmp": (4,), "icmpv6": (6,)}.get(rule.protocol, (4, 6))
