"""Rules to ternary entries: one policy number per distinct rule set, shared by VMs that have it."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from control.model.services import GroupRule, SecurityGroup
from control.model.state import AclRule
from control.model.types import PROTOCOL_NUMBERS, is_v6, port_range
from control.policy.entries import Entry, MatchValue, Params
from control.policy.memory import Memory
from control.policy.mirrors import mirror_number
from control.policy.view import Guest, View

MAX_POLICIES = 0xFFFF
DEFAULT_PRIORITY = 1
VERSIONS = ("v4", "v6")
_GROUPS = 256  # groups whose rules are remembered
_MEMORY = 65_536  # rules whose entries are remembered from one change to the next


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as the table sees it; a missing prefix or range matches everything."""

    direction: str
    allow: bool
    priority: int
    protocol: str = "any"
    src: str | None = None
    dst: str | None = None
    src_ports: str | None = None
    dst_ports: str | None = None
    mirror: int = 0
    note: str = field(default="", compare=False)

    @property
    def identity(self) -> str:
        """Text that two rules share only if the NIC treats them alike."""
        return (
            f"{self.direction}|{self.allow}|{self.priority}|{self.protocol}|{self.src}|{self.dst}"
            f"|{self.src_ports}|{self.dst_ports}|{self.mirror}"
        )

    @property
    def table_priority(self) -> int:
        """Priority in the table: above the default, and deny before allow among equals."""
        return 2 * self.priority + (2 if self.allow else 3)


@dataclass(frozen=True)
class RuleSet:
    """All rules of a VM, and for each direction whether it is open where no rule matches."""

    rules: tuple[Rule, ...]
    open_out: bool
    open_in: bool

    @property
    def digest(self) -> str:
        """Names the set by its content, whatever the order of its rules."""
        lines = sorted(rule.identity for rule in self.rules)
        text = "\n".join([f"{self.open_out}|{self.open_in}", *lines])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Policies:
    """Policy numbers of VMs (0 or absent: no rules) and the rule sets behind the numbers."""

    of_vm: dict[str, int]
    sets: dict[int, RuleSet]
    tags: dict[str, int]

    @property
    def mirroring(self) -> set[int]:
        """Numbers of the rule sets with a rule that mirrors."""
        return {n for n, rules in self.sets.items() if any(r.mirror for r in rules.rules)}


def assign_policies(view: View, tags: Mapping[str, int] | None = None) -> Policies:
    """Give every distinct rule set a number, keeping the numbers of ``tags`` (digest to number).

    A changed rule set gets a number that nothing uses, so that old and new stand side by side.
    Raises ValueError if there are more rule sets than numbers.
    """
    sets = rule_sets(view)
    digests = {name: rules.digest for name, rules in sets.items()}
    known = dict(tags or {})
    used = set(known.values())
    free = (number for number in range(1, MAX_POLICIES + 1) if number not in used)
    for digest in sorted(set(digests.values()) - set(known)):
        number = next(free, None)
        if number is None:
            raise ValueError(f"more than {MAX_POLICIES} rule sets on {view.nic.name}")
        known[digest] = number
    of_vm = {name: known[digest] for name, digest in digests.items()}
    behind = {known[digest]: sets[name] for name, digest in digests.items()}
    live = {digest: number for digest, number in known.items() if number in behind}
    return Policies(of_vm, behind, live)


def rule_sets(view: View) -> dict[str, RuleSet]:
    """Rule sets of the VMs here by VM name; VMs without rules are absent."""
    groups = {group.name: group for group in view.state.groups}
    found: dict[tuple[object, ...], RuleSet] = {}
    result: dict[str, RuleSet] = {}
    for guest in view.local:
        acl = [rule for rule in view.state.acl if rule.vm in (None, guest.vm.name)]
        if not acl and not guest.vm.groups:
            continue
        key = (guest.network.tenant_name, tuple(guest.vm.groups), tuple(r.name for r in acl))
        if key not in found:
            found[key] = _rule_set(view, guest, [groups[name] for name in guest.vm.groups], acl)
        result[guest.vm.name] = found[key]
    return result


def _rule_set(view: View, guest: Guest, groups: list[SecurityGroup], acl: list[AclRule]) -> RuleSet:
    rules = [_from_acl(rule) for rule in acl]
    for group in groups:
        rules += _of_group(view, guest.network.tenant_name, group)
    filters_out = any(rule.direction == "out" for group in groups for rule in group.rules)
    return RuleSet(tuple(rules), open_out=not filters_out, open_in=not groups)


_plain_groups: Memory[int, tuple[SecurityGroup, list[Rule]]] = Memory(_GROUPS)


def _of_group(view: View, tenant: str, group: SecurityGroup) -> list[Rule]:
    """A group's rules. Those of a group that names nobody are remembered while it is the same."""
    known = _plain_groups.get(id(group))
    if known is not None and known[0] is group:
        return known[1]
    rules = [
        found
        for number, rule in enumerate(group.rules, 1)
        for found in _from_group(view, tenant, rule, f"group {group.name} rule {number}")
    ]
    if not any(rule.remote_group or rule.mirror for rule in group.rules):
        _plain_groups.put(id(group), (group, rules))
    return rules


def _from_acl(rule: AclRule) -> Rule:
    return Rule(
        rule.direction,
        rule.action == "allow",
        rule.priority,
        rule.protocol,
        rule.src,
        rule.dst,
        rule.src_ports,
        rule.dst_ports,
        note=f"acl {rule.name}",
    )


def _from_group(view: View, tenant: str, rule: GroupRule, note: str) -> Iterator[Rule]:
    """One rule per remote prefix: its own, or the addresses of the members of its group."""
    mirror = mirror_number(view, rule.mirror) if rule.mirror else 0
    for remote in _remotes(view, tenant, rule):
        inward = rule.direction == "in"
        yield Rule(
            rule.direction,
            rule.action == "allow",
            rule.priority,
            rule.protocol,
            src=remote if inward else None,
            dst=None if inward else remote,
            src_ports=rule.remote_ports if inward else None,
            dst_ports=rule.ports,
            mirror=mirror,
            note=note,
        )


def _remotes(view: View, tenant: str, rule: GroupRule) -> Iterable[str | None]:
    if rule.remote_group is None:
        return [rule.remote]
    members = (
        guest
        for guest in view.homes.values()
        if rule.remote_group in guest.vm.groups and guest.network.tenant_name == tenant
    )
    return sorted(
        f"{address}/{128 if is_v6(address) else 32}"
        for guest in members
        for address in (*guest.v4, *guest.v6)
    )


def rule_entries(policies: Policies) -> Iterator[Entry]:
    """Table entries of all rule sets, each direction ended by its default."""
    for number in sorted(policies.sets):
        rules = policies.sets[number]
        seen: set[tuple[object, ...]] = set()
        for rule in sorted(rules.rules, key=lambda rule: -rule.table_priority):
            for entry in _entries(number, rule, rule.note):
                if entry.key not in seen:
                    seen.add(entry.key)
                    yield entry
        for direction, is_open in (("out", rules.open_out), ("in", rules.open_in)):
            if is_open:
                yield from _open(number, direction)


def _open(number: int, direction: str) -> Iterator[Entry]:
    """Everything that no rule matches is allowed."""
    for version in VERSIONS:
        yield Entry(
            f"rules_{direction}_{version}_table",
            (("policy", (number, 0xFFFF)),),
            f"allow_{direction}_{version}",
            priority=DEFAULT_PRIORITY,
            note="default: allow",
        )


@lru_cache(_MEMORY)
def prefix_bits(prefix: str) -> tuple[int, int]:
    """A prefix as value and mask."""
    network = ipaddress.ip_network(prefix)
    return int(network.network_address), int(network.netmask)


@lru_cache(_MEMORY)
def _entries(number: int, rule: Rule, _note: str) -> tuple[Entry, ...]:
    """One rule as its entries: one for each version of IP that it can match.

    Rules are equal whatever their notes, but entries show them.
    """
    return tuple(_entry(number, rule, version) for version in _versions(rule))


def _entry(number: int, rule: Rule, version: str) -> Entry:
    match: list[tuple[str, MatchValue]] = [("policy", (number, 0xFFFF))]
    for name, prefix in (("src", rule.src), ("dst", rule.dst)):
        if prefix is not None:
            value, mask = prefix_bits(prefix)
            if mask:
                match.append((name, (value, mask)))
    if rule.protocol != "any":
        match.append(("protocol", (PROTOCOL_NUMBERS[rule.protocol], 0xFF)))
    for name, ports in (("src_port", rule.src_ports), ("dst_port", rule.dst_ports)):
        if ports is not None and port_range(ports) != (0, 0xFFFF):
            match.append((name, port_range(ports)))
    action, params = _action(rule)
    return Entry(
        f"rules_{rule.direction}_{version}_table",
        tuple(match),
        f"{action}_{rule.direction}_{version}",
        params,
        priority=rule.table_priority,
        note=rule.note,
    )


def _versions(rule: Rule) -> Iterable[str]:
    """Versions of IP that a rule can match."""
    for prefix in (rule.src, rule.dst):
        if prefix is not None:
            return ("v6",) if is_v6(prefix) else ("v4",)
    return {"icmp": ("v4",), "icmpv6": ("v6",)}.get(rule.protocol, ("v4", "v6"))


def _action(rule: Rule) -> tuple[str, Params]:
    if not rule.allow:
        return "deny", ()
    return ("allow_and_mirror", (("mirror", rule.mirror),)) if rule.mirror else ("allow", ())
