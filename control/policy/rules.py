"""Rules to ternary entries: one policy number per distinct rule set, shared by VMs that have it."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from control.model.state import AclRule, DesiredState, Vm
from control.model.types import PROTOCOL_NUMBERS, is_v6, port_range
from control.policy.entries import Entry, MatchValue
from control.policy.view import View

MAX_POLICIES = 0xFFFF
DEFAULT_PRIORITY = 1
FIRST_PRIORITY = 10


@dataclass(frozen=True)
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
    note: str = field(default="", compare=False)

    @property
    def identity(self) -> str:
        """Text that two rules share only if the NIC treats them alike."""
        return "|".join(
            str(part)
            for part in (
                self.direction,
                self.allow,
                self.priority,
                self.protocol,
                self.src,
                self.dst,
                self.src_ports,
                self.dst_ports,
            )
        )


@dataclass(frozen=True)
class Policies:
    """Policy numbers of VMs (0 or absent: no rules) and the rule sets behind the numbers."""

    of_vm: dict[str, int]
    rules: dict[int, tuple[Rule, ...]]
    tags: dict[str, int]


def assign_policies(view: View, tags: Mapping[str, int] | None = None) -> Policies:
    """Give every distinct rule set a number, keeping the numbers of ``tags`` (digest to number).

    A changed rule set gets a number that nothing uses, so that old and new stand side by side.
    Raises ValueError if there are more rule sets than numbers.
    """
    sets = {g.vm.name: vm_rules(view.state, g.vm) for g in view.local}
    digests = {name: _digest(rules) for name, rules in sets.items() if rules}
    known = dict(tags or {})
    used = set(known.values())
    free = (number for number in range(1, MAX_POLICIES + 1) if number not in used)
    for digest in sorted(set(digests.values()) - set(known)):
        number = next(free, None)
        if number is None:
            raise ValueError(f"more than {MAX_POLICIES} rule sets on {view.nic.name}")
        known[digest] = number
    of_vm = {name: known[digest] for name, digest in digests.items()}
    rules = {known[digest]: tuple(sets[name]) for name, digest in digests.items()}
    live = {digest: number for digest, number in known.items() if number in rules}
    return Policies(of_vm, rules, live)


def vm_rules(state: DesiredState, vm: Vm) -> list[Rule]:
    """The rules that hold for a VM, without the final default; empty if there are none."""
    return [_from_acl(rule) for rule in state.acl if rule.vm in (None, vm.name)]


def _from_acl(rule: AclRule) -> Rule:
    return Rule(
        rule.direction,
        rule.action == "allow",
        FIRST_PRIORITY + rule.priority,
        rule.protocol,
        rule.src,
        rule.dst,
        rule.src_ports,
        rule.dst_ports,
        note=f"acl {rule.name}",
    )


def _digest(rules: Iterable[Rule]) -> str:
    text = "\n".join(sorted(rule.identity for rule in rules))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def rule_entries(policies: Policies) -> Iterator[Entry]:
    """Table entries of all rule sets, each ended by its default."""
    for number in sorted(policies.rules):
        for rule in policies.rules[number]:
            yield from _entries(number, rule)
        for direction in ("out", "in"):
            yield Entry(
                f"rules_{direction}_v4_table",
                (("policy", (number, 0xFFFF)),),
                f"allow_{direction}_v4",
                priority=DEFAULT_PRIORITY,
                note="default: allow",
            )


def _entries(number: int, rule: Rule) -> Iterator[Entry]:
    """One rule as the entry it becomes."""
    if any(prefix is not None and is_v6(prefix) for prefix in (rule.src, rule.dst)):
        return
    match: list[tuple[str, MatchValue]] = [("policy", (number, 0xFFFF))]
    for name, prefix in (("src", rule.src), ("dst", rule.dst)):
        if prefix is not None:
            network = ipaddress.ip_network(prefix)
            if network.prefixlen:
                match.append((name, (int(network.network_address), int(network.netmask))))
    if rule.protocol != "any":
        match.append(("protocol", (PROTOCOL_NUMBERS[rule.protocol], 0xFF)))
    for name, ports in (("src_port", rule.src_ports), ("dst_port", rule.dst_ports)):
        if ports is not None and port_range(ports) != (0, 0xFFFF):
            match.append((name, port_range(ports)))
    verdict = "allow" if rule.allow else "deny"
    yield Entry(
        f"rules_{rule.direction}_v4_table",
        tuple(match),
        f"{verdict}_{rule.direction}_v4",
        priority=rule.priority,
        note=rule.note,
    )
