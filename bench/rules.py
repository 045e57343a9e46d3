"""Security rules for the benches: many that match nothing, and one at the end that allows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from control.model import DesiredState
from control.model.services import GroupRule, SecurityGroup
from topologies.lab import Lab

GROUP = "bench"


def group(
    count: int, *, stateful: bool, spread: bool = False, seed: int = 1, name: str = GROUP
) -> SecurityGroup:
    """A group of ``count`` rules of which only the last, that allows everything, ever matches.

    With ``spread`` the rules have as many different prefix lengths as possible, which makes
    tuple-space classifiers keep one table for each combination (Csikor et al., CoNEXT 2019).
    """
    chance = random.Random(seed)
    rules = [_rule(chance, spread=spread) for _ in range(count - 1)]
    return SecurityGroup(
        name=name, stateful=stateful, rules=[*rules, GroupRule(action="allow", priority=1)]
    )


def _rule(chance: random.Random, *, spread: bool) -> GroupRule:
    length = chance.randint(13, 32) if spread else 32
    address = 0xAC100000 | chance.getrandbits(20)  # 172.16.0.0/12, where no VM is
    prefix = address >> (32 - length) << (32 - length)
    octets = ".".join(str(prefix >> shift & 255) for shift in (24, 16, 8, 0))
    low = chance.randint(1, 60000)
    high = low + (chance.randint(0, 2000) if spread else 0)
    return GroupRule(
        action="deny" if spread else "allow",
        protocol=chance.choice(["tcp", "udp"]),
        remote=f"{octets}/{length}",
        ports=f"{low}-{high}" if high > low else str(low),
        priority=chance.randint(2, 1000),
    )


def with_group(state: DesiredState, rules: SecurityGroup, *vms: str) -> DesiredState:
    """The state with a group added, of which ``vms`` are members."""
    members = [
        vm.model_copy(update={"groups": [*vm.groups, rules.name]}) if vm.name in vms else vm
        for vm in state.vms
    ]
    return state.model_copy(update={"vms": members, "groups": [*state.groups, rules]})


@contextmanager
def applied(lab: Lab, state: DesiredState) -> Iterator[None]:
    """Another desired state for the length of the block. ControlError if the plane refuses it."""
    before = lab.controller.state
    lab.run(lab.controller.fabric.change(state))
    try:
        yield
    finally:
        lab.run(lab.controller.fabric.change(before))
