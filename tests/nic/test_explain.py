"""Explain says what the NIC does: checked against the NIC with many packets."""

from __future__ import annotations

import random
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from control.errors import RefusedError
from control.explain import Question, Tables, Way, parse_question, trace
from control.model import DesiredState
from control.policy import compile_nic
from control.policy.reasons import DropReason, PuntReason, drop_index

from .rig import PF, UPLINK, Rig, state, vf, vm
from .stateful import natted


def _say(desired: DesiredState, text: str, name: str = "vm1") -> Way:
    guest = desired.vm(name)
    tables = Tables(compile_nic(desired, "nic1").entries)
    return trace(tables, parse_question(text, desired, guest), vf(guest.vf))


def test_names_the_rule() -> None:
    acl = [{"name": "no-web", "vm": "vm2", "protocol": "tcp", "dst_ports": "80-89"}]
    way = _say(state(acl=acl), "tcp 10.0.0.1:40000 > 10.0.0.2:80")
    assert way.drop is DropReason.POLICY_IN
    assert way.steps[-1].rule == "acl no-web"
    assert [step.stage for step in way.steps] == ["port", "forward", "deliver", "rules in"]
    way = _say(state(acl=acl), "tcp 10.0.0.1:40000 > 10.0.0.2:90")
    assert (way.drop, way.out_port) == (None, vf(1))
    assert "default: allow" in [step.rule for step in way.steps]


def test_first_packet_of_a_connection_and_spoofing() -> None:
    group = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}]}
    desired = state(groups=[group], vms=[vm(1), vm(2, groups=["web"])])
    assert _say(desired, "tcp 10.0.0.1:4 > 10.0.0.2:80").punt is PuntReason.NEW_CONNECTION
    assert _say(desired, "tcp 10.0.0.1:4 > 10.0.0.2:81").drop is DropReason.POLICY_IN
    assert _say(desired, "udp 10.0.0.9:4 > 10.0.0.2:80").drop is DropReason.SPOOFED_IP


@pytest.mark.parametrize(
    "text", ["tcp 10.0.0.1 > 10.0.0.2:80", "sctp a > b", "udp 10.0.0.1:1 > fd00::1:2", "tcp"]
)
def test_wrong_questions_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(RefusedError, match=r"10\.0\.0|one version"):
        parse_question(text, state(), state().vm("vm1"))


def _rich() -> DesiredState:
    """Groups, ACL, balancer, router, floating address, isolation of networks."""
    groups = [
        {"name": "web", "stateful": False, "rules": [
            {"protocol": "tcp", "ports": "80-85"},
            {"protocol": "udp", "remote": "10.0.0.1/32"},
            {"direction": "out", "protocol": "any", "remote": "10.0.0.0/24"}]},
        {"name": "live", "rules": [{"protocol": "tcp"}]},
    ]  # fmt: skip
    document = natted().model_dump()
    document["groups"] = groups
    document["acl"] = [{"name": "x", "vm": "vm1", "direction": "out", "dst_ports": "82",
                        "protocol": "tcp"}]  # fmt: skip
    document["vms"] = [
        vm(1, network="blue"), vm(2, network="blue", groups=["web"]), vm(3),
        vm(5, network="blue", groups=["live"]), vm(4, server="server2", vf=0, network="blue"),
    ]  # fmt: skip
    document["load_balancers"] = [
        {"name": "shop", "network": "blue", "address": "10.0.0.100", "port": 80,
         "members": [{"vm": "vm2", "port": 80}]}
    ]  # fmt: skip
    return DesiredState.model_validate(document)


def _packet(question: Question) -> Packet:
    macs = {
        name: ":".join(f"{value:012x}"[i : i + 2] for i in range(0, 12, 2))
        for name, value in (("src", question.src_mac), ("dst", question.dst_mac))
    }
    layers: dict[int, Any] = {
        6: TCP(sport=question.src_port, dport=question.dst_port),
        17: UDP(sport=question.src_port, dport=question.dst_port),
        1: ICMP(),
    }
    ip = IP(src=question.src, dst=question.dst)
    ip.src, ip.dst = (
        ".".join(map(str, n.to_bytes(4, "big"))) for n in (question.src, question.dst)
    )
    return Ether(**macs) / ip / layers[question.protocol]


def test_agrees_with_the_nic(rig: Rig) -> None:
    desired = _rich()
    program = rig.configure(desired)
    tables = Tables(program.entries)
    dice = random.Random(5)
    sources = {"vm1": 0, "vm2": 1, "vm3": 2, "vm5": 4}
    outcomes = set()
    for _ in range(120):
        name = dice.choice(list(sources))
        own = desired.vm(name).ips[0].partition("/")[0]
        src = own if dice.random() < 0.9 else "10.0.0.77"
        dst = dice.choice(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5",
                           "10.0.0.9", "10.0.0.100", "192.0.2.50", "198.51.100.1"])  # fmt: skip
        kind = dice.choice(["tcp", "udp", "icmp"])
        ports = (f":{dice.randrange(1, 4)}", f":{dice.randrange(78, 88)}")
        ends = (src + ports[0], dst + ports[1]) if kind != "icmp" else (src, dst)
        text = f"{kind} {ends[0]} > {ends[1]}"
        question = parse_question(text, desired, desired.vm(name))
        way = trace(tables, question, vf(sources[name]))
        outcomes.add(way.drop or way.punt or way.out_port)
        _check(rig, way, question, text)
    assert len(outcomes) >= 8


@pytest.mark.parametrize(
    ("dst", "ports"),
    [
        ("10.0.0.255", [UPLINK, PF, vf(1), vf(2)]),
        ("255.255.255.255", [UPLINK, PF, vf(1), vf(2)]),
        ("224.0.0.5", [UPLINK, PF, vf(1), vf(2)]),
        ("10.0.0.99", [PF]),
    ],
)
def test_groups_and_the_server_itself(rig: Rig, dst: str, ports: list[int]) -> None:
    servers = [state().servers[0].model_dump() | {"ips": ["10.0.0.99/24"]}, state().servers[1]]
    desired = state(servers=servers)
    tables = Tables(rig.configure(desired).entries)
    question = parse_question(f"udp 10.0.0.1:5 > {dst}:6", desired, desired.vm("vm1"))
    way = trace(tables, question, vf(0))
    assert (way.drop, way.group is not None) == (None, len(ports) > 1)
    assert rig.ports(vf(0), _packet(question)) == ports
    assert len(ports) > 1 or way.out_port == ports[0]


def _check(rig: Rig, way: Way, question: Question, text: str) -> None:
    """The NIC does what was said."""
    before = None
    if way.drop is not None:
        owner = way.out_port if way.drop is DropReason.POLICY_IN else way.in_port
        before = rig.dropped(owner or 0, way.drop)
    ports = rig.ports(way.in_port, _packet(question))
    if way.drop is not None:
        assert ports == [], text
        after = rig.client.counter("drop_counter", drop_index(owner or 0, way.drop))[0]
        assert after == (before or 0) + 1, (text, way.steps)
    elif way.punt is not None:
        assert ports == [], text
        assert rig.client.packet_in().meta["reason"] == way.punt, text
    else:
        assert ports == [way.out_port], (text, way.steps)
