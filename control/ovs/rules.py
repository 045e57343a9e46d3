"""Rules of VMs as OpenFlow: by priority, with connection tracking where a group is stateful."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from control.model.types import PROTOCOL_NUMBERS, is_v6, port_range
from control.ovs.ranges import masks
from control.policy.rules import Rule, RuleSet, rule_sets
from control.policy.view import Guest, View

_NEXT = {"out": (10, 11, 20), "in": (30, 31, 40)}
_REGISTER = {"out": "reg1", "in": "reg3"}
_TRACKED = 50_000
_DEFAULT = 1


def rule_flows(view: View) -> Iterator[str]:
    """Tables 10, 11, 30 and 31 of all VMs of one server."""
    sets = rule_sets(view)
    for guest in view.local:
        for direction in ("out", "in"):
            if guest.vm.name in sets:
                yield from _judge(guest, sets[guest.vm.name], direction)
    for first, _, after in _NEXT.values():
        yield f"table={first},priority=0,actions=goto_table:{after}"


def _judge(guest: Guest, rules: RuleSet, direction: str) -> Iterator[str]:
    """One VM in one direction: tracked first if stateful, then the rules, then the default."""
    first, judged, after = _NEXT[direction]
    who = f"{_REGISTER[direction]}={guest.port}"
    table = first
    allow = f"goto_table:{after}"
    if guest.stateful:
        table = judged
        allow = f"ct(commit,zone={guest.port}),goto_table:{after}"
        for protocol in ("ip", "ipv6"):
            track = f"ct(table={judged},zone={guest.port})"
            yield f"table={first},priority=10,{who},{protocol},actions={track}"
        passed = f"actions=goto_table:{after}"
        yield f"table={judged},priority={_TRACKED},{who},ct_state=+trk+est-inv,{passed}"
        yield f"table={judged},priority={_TRACKED},{who},ct_state=+trk+rel-inv,{passed}"
    ranks = _ranks(rules)
    for rule in rules.rules:
        if rule.direction == direction:
            action = allow if rule.allow else "drop"
            for match in _matches(rule):
                priority = ranks[rule.table_priority]
                yield f"table={table},priority={priority},{who},{match},actions={action}"
    is_open = rules.open_out if direction == "out" else rules.open_in
    for protocol in ("ip", "ipv6"):
        action = allow if is_open else "drop"
        yield f"table={table},priority={_DEFAULT},{who},{protocol},actions={action}"


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
