"""The rules in software: the verdict on a connection's first packet, as the NIC gives it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from control.connections.flow import Flow
from control.model.types import PROTOCOL_NUMBERS, is_v6, port_range
from control.policy.rules import Rule, RuleSet, prefix_bits

_ANY_PORT = (0, 0xFFFF)
_MEMORY = 65_536


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One rule of one direction and IP version, as numbers."""

    allow: bool
    protocol: int | None
    src: tuple[int, int]
    dst: tuple[int, int]
    src_ports: tuple[int, int]
    dst_ports: tuple[int, int]

    def matches(self, flow: Flow) -> bool:
        return (
            (self.protocol is None or self.protocol == flow.protocol)
            and self.dst_ports[0] <= flow.dst_port <= self.dst_ports[1]
            and flow.src & self.src[1] == self.src[0]
            and flow.dst & self.dst[1] == self.dst[0]
            and self.src_ports[0] <= flow.src_port <= self.src_ports[1]
        )


class Judge:
    """One rule set, ready to judge flows; verdicts are remembered."""

    def __init__(self, rules: RuleSet) -> None:
        self._open = {"out": rules.open_out, "in": rules.open_in}
        ordered = sorted(rules.rules, key=lambda rule: -rule.table_priority)
        self._rules = {
            (direction, version): [
                _compile(rule, version)
                for rule in ordered
                if rule.direction == direction and _applies(rule, version)
            ]
            for direction in ("out", "in")
            for version in (4, 6)
        }
        self._source_ports = any(
            rule.src_ports != _ANY_PORT for rules in self._rules.values() for rule in rules
        )
        self._remembered = lru_cache(_MEMORY)(self._judge)

    def allows(self, direction: str, flow: Flow) -> bool:
        """Whether a VM with these rules may send (``out``) or get (``in``) a flow."""
        if not self._source_ports:  # then all connections to a service share a verdict
            flow = Flow(flow[0], flow[1], flow[2], flow[3], 0, flow[5])
        return self._remembered(direction, flow)

    def _judge(self, direction: str, flow: Flow) -> bool:
        for rule in self._rules[direction, flow.version]:
            if rule.matches(flow):
                return rule.allow
        return self._open[direction]


def _applies(rule: Rule, version: int) -> bool:
    for prefix in (rule.src, rule.dst):
        if prefix is not None:
            return is_v6(prefix) == (version == 6)
    return {"icmp": 4, "icmpv6": 6}.get(rule.protocol, version) == version


def _compile(rule: Rule, version: int) -> _Compiled:
    return _Compiled(
        rule.allow,
        None if rule.protocol == "any" else PROTOCOL_NUMBERS[rule.protocol],
        prefix_bits(rule.src) if rule.src else (0, 0),
        prefix_bits(rule.dst) if rule.dst else (0, 0),
        port_range(rule.src_ports) if rule.src_ports else _ANY_PORT,
        port_range(rule.dst_ports) if rule.dst_ports else _ANY_PORT,
    )
