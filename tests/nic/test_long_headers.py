"""IPv4 options and IPv6 extension headers hide nothing from rules and source guard."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from control.policy.reasons import DropReason

from .rig import Rig, mac, state, tcp, udp, vf, vm
from .stateful import checked, natted, sent_outside, web

OPTIONS = [IPOption_NOP()] * 4
FIRST = IPv6ExtHdrFragment(m=1, id=7)
DENY = [
    {"name": "no-web", "vm": "vm2", "protocol": "tcp", "dst_ports": "80"},
    {"name": "no-tcp", "vm": "vm3", "protocol": "tcp"},
]


def _v6(src: int, dst: int, *layers: Packet) -> Packet:
    packet = Ether(src=mac(src), dst=mac(dst)) / IPv6(src=f"fd00::{src}", dst=f"fd00::{dst}")
    for layer in layers:
        packet = packet / layer.copy()
    return packet


def _with_options(packet: Packet) -> Packet:
    packet[IP].options = OPTIONS
    return packet


EXTENSIONS = {
    "hop by hop": [IPv6ExtHdrHopByHop()],
    "routing": [IPv6ExtHdrRouting(addresses=["fd00::5", "fd00::6"])],
    "destination": [IPv6ExtHdrDestOpt()],
    "first fragment": [FIRST],
    "four": [IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), FIRST, IPv6ExtHdrDestOpt()],
    "a long one": [IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(130))])],
}


@pytest.mark.parametrize("chain", EXTENSIONS.values(), ids=EXTENSIONS.keys())
def test_rules_see_what_follows_extension_headers(rig: Rig, chain: list[Packet]) -> None:
    rig.configure(state(acl=DENY))
    for dst in (2, 3):
        hidden = _v6(1, dst, *chain, TCP(dport=80))
        rig.drops(vf(0), hidden, DropReason.POLICY_IN, vf(dst - 1))
    rig.passes(vf(0), _v6(1, 2, *chain, TCP(dport=81)), vf(1))
    rig.passes(vf(0), _v6(1, 3, *chain, UDP(dport=80)), vf(2))


def test_rules_see_what_follows_options(rig: Rig) -> None:
    rig.configure(state(acl=DENY))
    rig.drops(vf(0), _with_options(tcp(1, 2)), DropReason.POLICY_IN, vf(1))
    rig.passes(vf(0), _with_options(tcp(1, 2, dport=81)), vf(1))
    rig.passes(vf(0), _with_options(udp(1, 3)), vf(2))


@pytest.mark.parametrize(
    "chain",
    [[IPv6ExtHdrDestOpt()] * 5, [IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(200))])]],
    ids=["too many", "too long"],
)
def test_what_cannot_be_read_whole_is_malformed(rig: Rig, chain: list[Packet]) -> None:
    rig.configure(state(acl=DENY))
    rig.drops(vf(0), _v6(1, 2, *chain, TCP(dport=80)), DropReason.MALFORMED, vf(0))


def test_later_ipv6_fragments_meet_only_rules_without_ports(rig: Rig) -> None:
    groups = [{"name": "web", "stateful": False, "rules": [{"protocol": "tcp", "ports": 80}]}]
    rig.configure(state(groups=groups, acl=DENY[1:], vms=[vm(1), vm(2, groups=["web"]), vm(3)]))
    later = IPv6ExtHdrFragment(offset=100, nh=6, id=7)
    rig.drops(vf(0), _v6(1, 2, later) / bytes(40), DropReason.FRAGMENT, vf(1))
    rig.drops(vf(0), _v6(1, 3, later) / bytes(40), DropReason.FRAGMENT, vf(2))
    rig.passes(vf(2), _v6(3, 1, later) / bytes(40), vf(0))


def test_guard_sees_advertisements_behind_extension_headers(rig: Rig) -> None:
    rig.configure(state())
    advert = (IPv6ExtHdrDestOpt(), ICMPv6ND_NA(tgt="fd00::3"))
    rig.drops(vf(0), _v6(1, 2, *advert), DropReason.SPOOFED_IP, vf(0))
    advert = (IPv6ExtHdrDestOpt(), ICMPv6ND_NA(tgt="fd00::1"))
    rig.passes(vf(0), _v6(1, 2, *advert), vf(1))


def test_connections_with_long_headers(nic: Any) -> None:
    one = nic(web())
    for first in (
        _with_options(tcp(1, 2)),
        _v6(1, 2, IPv6ExtHdrDestOpt(), IPv6ExtHdrFragment(), TCP(sport=4001, dport=80)),
    ):
        assert one.first(vf(0), first) == [(vf(1), bytes(first))]
        one.rig.passes(vf(0), first, vf(1))


def test_translation_keeps_options(nic: Any) -> None:
    one = nic(natted())
    request = _with_options(sent_outside(1, UDP(sport=7777, dport=53) / b"odd"))
    for frames in (one.first(vf(0), request), one.rig.exchange(vf(0), request)):
        packet = checked(frames[0][1])
        assert (packet[IP].src, packet[UDP].sport) == ("192.0.2.1", 20000)
        assert len(packet[IP].options) == len(OPTIONS)
