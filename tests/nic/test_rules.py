"""ACL and security groups: both directions, both IP versions, ranges, priorities, versions."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether

from control.policy import compile_nic
from control.policy.reasons import DropReason

from .rig import UPLINK, Rig, mac, state, tcp, udp, vf, vm


def _group(name: str, *rules: dict[str, Any], stateful: bool = False) -> dict[str, Any]:
    return {"name": name, "stateful": stateful, "rules": list(rules)}


def _udp6(src: int, dst: int, dport: int = 5000) -> Ether:
    ip = IPv6(src=f"fd00::{src}", dst=f"fd00::{dst}")
    return Ether(src=mac(src), dst=mac(dst)) / ip / UDP(sport=4000, dport=dport)


def test_acl_denies_by_priority(rig: Rig) -> None:
    acl = [
        {"name": "no-udp", "vm": "vm2", "protocol": "udp", "priority": 100},
        {"name": "but-dns", "vm": "vm2", "protocol": "udp", "dst_ports": 53, "action": "allow",
         "priority": 200},
    ]  # fmt: skip
    rig.configure(state(acl=acl))
    rig.drops(vf(0), udp(1, 2), DropReason.POLICY_IN, vf(1))
    rig.passes(vf(0), udp(1, 2, dport=53), vf(1))
    rig.passes(vf(0), tcp(1, 2), vf(1))
    rig.passes(vf(0), udp(1, 3), vf(2))
    rig.configure(state())
    rig.passes(vf(0), udp(1, 2), vf(1))


def test_acl_outward(rig: Rig) -> None:
    rule = {"name": "no-web", "direction": "out", "protocol": "tcp", "dst_ports": "80-89",
            "dst": "10.0.0.2/32"}  # fmt: skip
    rig.configure(state(acl=[rule]))
    for port in (80, 85, 89):
        rig.drops(vf(0), tcp(1, 2, dport=port), DropReason.POLICY_OUT, vf(0))
    for port in (79, 90):
        rig.passes(vf(0), tcp(1, 2, dport=port), vf(1))
    rig.passes(vf(0), tcp(1, 3, dport=80), vf(2))


def test_group_denies_what_it_does_not_allow(rig: Rig) -> None:
    web = _group("web", {"protocol": "tcp", "ports": 80}, {"protocol": "icmp"})
    rig.configure(state(groups=[web], vms=[vm(1), vm(2, groups=["web"]), vm(3)]))
    rig.passes(vf(0), tcp(1, 2, dport=80), vf(1))
    rig.drops(vf(0), tcp(1, 2, dport=81), DropReason.POLICY_IN, vf(1))
    ping = Ether(src=mac(1), dst=mac(2)) / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP()
    rig.passes(vf(0), ping, vf(1))
    rig.passes(vf(1), udp(2, 1), vf(0))  # no rules for out: everything


def test_rules_hold_on_the_uplink_too(rig: Rig) -> None:
    web = _group("web", {"protocol": "tcp", "ports": 80})
    rig.configure(state(groups=[web], vms=[vm(1, groups=["web"])]))
    rig.passes(UPLINK, tcp(4, 1, dport=80), vf(0))
    rig.drops(UPLINK, tcp(4, 1, dport=22), DropReason.POLICY_IN, vf(0))


def test_ipv6_rules_and_neighbour_discovery(rig: Rig) -> None:
    rules = [
        {"protocol": "udp", "ports": "5000-5010", "remote": "fd00::/120"},
        {"protocol": "icmpv6", "remote": "fd00::3/128"},
    ]
    rig.configure(state(groups=[_group("six", *rules)], vms=[vm(1), vm(2, groups=["six"]), vm(3)]))
    rig.passes(vf(0), _udp6(1, 2, 5010), vf(1))
    rig.drops(vf(0), _udp6(1, 2, 5011), DropReason.POLICY_IN, vf(1))
    ping = IPv6(src="fd00::1", dst="fd00::2") / ICMPv6EchoRequest()
    rig.drops(vf(0), Ether(src=mac(1), dst=mac(2)) / ping, DropReason.POLICY_IN, vf(1))
    ping = IPv6(src="fd00::3", dst="fd00::2") / ICMPv6EchoRequest()
    rig.passes(vf(2), Ether(src=mac(3), dst=mac(2)) / ping, vf(1))
    probe = IPv6(src="fd00::1", dst="fd00::2") / ICMPv6ND_NS(tgt="fd00::2")
    rig.passes(vf(0), Ether(src=mac(1), dst=mac(2)) / probe, vf(1))


@pytest.mark.parametrize("group_mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05"])
def test_a_frame_to_a_group_does_not_pass_the_rules_by(rig: Rig, group_mac: str) -> None:
    groups = [{"name": "web", "stateful": False, "rules": [{"protocol": "tcp", "ports": 80}]}]
    rig.configure(state(groups=groups, vms=[vm(1), vm(2, groups=["web"]), vm(3)]))
    for layer in (IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")):
        to_one = Ether(src=mac(1), dst=group_mac) / layer / UDP(dport=53)
        assert vf(1) not in rig.ports(vf(0), to_one)
        assert vf(2) in rig.ports(vf(0), to_one)
        assert vf(1) not in rig.ports(UPLINK, Ether(src=mac(9), dst=group_mac) / to_one.payload)
    for everyone in ("10.0.0.255", "255.255.255.255", "224.0.0.251"):
        shout = Ether(src=mac(1), dst=group_mac) / IP(src="10.0.0.1", dst=everyone) / UDP()
        assert {vf(1), vf(2)} <= set(rig.ports(vf(0), shout))
    shout = Ether(src=mac(1), dst="33:33:00:00:00:01") / IPv6(src="fd00::1", dst="ff02::1") / UDP()
    assert {vf(1), vf(2)} <= set(rig.ports(vf(0), shout))


def test_remote_group_means_its_members(rig: Rig) -> None:
    db = _group("db", {"protocol": "tcp", "ports": 5432, "remote_group": "app"})
    groups = [db, _group("app", {"protocol": "any"})]
    vms = [vm(1, groups=["app"]), vm(2, groups=["db"]), vm(3)]
    rig.configure(state(groups=groups, vms=vms))
    rig.passes(vf(0), tcp(1, 2, dport=5432), vf(1))
    rig.drops(vf(2), tcp(3, 2, dport=5432), DropReason.POLICY_IN, vf(1))
    vms[2] = vm(3, groups=["app"])
    rig.configure(state(groups=groups, vms=vms))
    rig.passes(vf(2), tcp(3, 2, dport=5432), vf(1))


def test_group_rules_out_and_deny(rig: Rig) -> None:
    rules = [
        {"direction": "out", "protocol": "tcp", "remote": "10.0.0.0/24"},
        {"direction": "out", "protocol": "tcp", "ports": 25, "action": "deny"},
    ]
    rig.configure(state(groups=[_group("g", *rules)], vms=[vm(1, groups=["g"]), vm(2)]))
    rig.passes(vf(0), tcp(1, 2, dport=80), vf(1))
    rig.drops(vf(0), tcp(1, 2, dport=25), DropReason.POLICY_OUT, vf(0))
    rig.drops(vf(0), udp(1, 2), DropReason.POLICY_OUT, vf(0))
    ask = ARP(hwsrc=mac(1), psrc="10.0.0.1", pdst="10.0.0.2")
    assert vf(1) in rig.ports(vf(0), Ether(src=mac(1), dst="ff:ff:ff:ff:ff:ff") / ask)


def test_later_fragments_meet_only_rules_without_ports(rig: Rig) -> None:
    later = (
        Ether(src=mac(1), dst=mac(2))
        / IP(src="10.0.0.1", dst="10.0.0.2", proto=17, frag=10)
        / bytes(40)
    )
    web = _group("web", {"protocol": "udp", "ports": 80})
    rig.configure(state(groups=[web], vms=[vm(1), vm(2, groups=["web"])]))
    rig.drops(vf(0), later, DropReason.FRAGMENT, vf(1))
    rig.configure(
        state(groups=[_group("web", {"protocol": "udp"})], vms=[vm(1), vm(2, groups=["web"])])
    )
    rig.passes(vf(0), later, vf(1))


def test_a_changed_policy_gets_a_new_number_and_stands_beside_the_old() -> None:
    def one(port: int) -> Any:
        return state(groups=[_group("g", {"protocol": "tcp", "ports": port})],
                     vms=[vm(1, groups=["g"]), vm(2, groups=["g"])])  # fmt: skip

    before = compile_nic(one(80), "nic1")
    after = compile_nic(one(81), "nic1", tags=before.tags)
    assert len(before.tags) == len(after.tags) == 1
    assert set(before.tags.values()).isdisjoint(after.tags.values())
    again = compile_nic(one(81), "nic1", tags=after.tags)
    assert again == after
    old = {entry.key for entry in before.entries if entry.table.startswith("rules")}
    new = {entry.key for entry in after.entries if entry.table.startswith("rules")}
    assert old.isdisjoint(new)


def test_range_is_one_entry() -> None:
    rule = {"protocol": "tcp", "ports": "1000-1999", "remote": "10.0.0.0/8"}
    program = compile_nic(state(groups=[_group("g", rule)], vms=[vm(1, groups=["g"])]), "nic1")
    entries = [entry for entry in program.entries if entry.table == "rules_in_v4_table"]
    assert [dict(entry.match)["dst_port"] for entry in entries] == [(1000, 1999)]


def test_mirroring_rule(rig: Rig) -> None:
    rule = {"protocol": "tcp", "ports": 80, "mirror": "tap"}
    mirror = {"name": "tap", "id": 5, "to_vm": "vm3", "bytes": 64}
    groups = [_group("g", rule, {"protocol": "udp"})]
    rig.configure(state(groups=groups, mirrors=[mirror], vms=[vm(1), vm(2, groups=["g"]), vm(3)]))
    packet = tcp(1, 2) / bytes(200)
    assert rig.exchange(vf(0), packet) == [
        (vf(1), bytes(packet)),
        (vf(2), bytes(packet)[:64]),
    ]
    rig.passes(vf(0), udp(1, 2), vf(1))
    assert TCP in packet
