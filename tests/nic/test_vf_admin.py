"""VF administration as `ip link set PF vf N` means it, source guard, limits, counters."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from control.policy.reasons import DropReason, TrafficClass

from .rig import PF, UPLINK, UPLINK2, Rig, mac, nic, state, udp, vf, vm

BROADCAST = "ff:ff:ff:ff:ff:ff"


def _arp(sender: int, psrc: str, hwsrc: str | None = None) -> Ether:
    arp = ARP(hwsrc=hwsrc or mac(sender), psrc=psrc, pdst="10.0.0.99")
    return Ether(src=mac(sender), dst=BROADCAST) / arp


def test_forged_source_mac_is_dropped(rig: Rig) -> None:
    rig.configure(state())
    forged = Ether(src=mac(3), dst=mac(2)) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP()
    rig.drops(vf(0), forged, DropReason.SPOOFED_MAC, vf(0))


def test_spoofchk_off_and_trust_let_another_mac_pass(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1, spoofchk=False), vm(2, trust=True), vm(3)]))
    other = Ether(src=mac(77), dst=mac(3))
    rig.passes(vf(0), other / IP(src="10.0.0.1", dst="10.0.0.3") / UDP(), vf(2))
    rig.passes(vf(1), other / IP(src="10.9.9.9", dst="10.0.0.3") / UDP(), vf(2))


def test_forged_addresses_are_dropped(rig: Rig) -> None:
    rig.configure(state())
    to_2 = Ether(src=mac(1), dst=mac(2))
    v4 = to_2 / IP(src="10.0.0.3", dst="10.0.0.2") / UDP()
    v6 = to_2 / IPv6(src="fd00::3", dst="fd00::2") / UDP()
    rig.drops(vf(0), v4, DropReason.SPOOFED_IP, vf(0))
    rig.drops(vf(0), v6, DropReason.SPOOFED_IP, vf(0))
    rig.drops(vf(0), _arp(1, "10.0.0.3"), DropReason.SPOOFED_IP, vf(0))
    rig.drops(vf(0), _arp(1, "10.0.0.1", mac(3)), DropReason.SPOOFED_MAC, vf(0))


def _advertisement(sender: int, target: str, *options: Packet) -> Ether:
    ip = IPv6(src=f"fd00::{sender}", dst="fd00::2", hlim=255)
    told = ICMPv6ND_NA(tgt=target, R=0)
    for option in options:
        told /= option
    return Ether(src=mac(sender), dst=mac(2)) / ip / told


@pytest.mark.parametrize("options", [0, 1, 2])
def test_advertisements_speak_for_own_addresses_only(rig: Rig, options: int) -> None:
    rig.configure(state())
    own = [ICMPv6NDOptDstLLAddr(lladdr=mac(1))] * options
    rig.drops(vf(0), _advertisement(1, "fd00::3", *own), DropReason.SPOOFED_IP, vf(0))
    rig.passes(vf(0), _advertisement(1, "fd00::1", *own), vf(1))
    rig.passes(UPLINK, _advertisement(4, "fd00::4", *own), vf(1))


def test_only_trusted_vfs_are_routers(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1), vm(2), vm(3, trust=True)]))
    for said in (ICMPv6ND_RA(), ICMPv6ND_Redirect(tgt="fd00::1", dst="fd00::9")):
        here = Ether(src=mac(1), dst=mac(2)) / IPv6(src="fd00::1", dst="fd00::2") / said
        rig.drops(vf(0), here, DropReason.SPOOFED_IP, vf(0))
        there = Ether(src=mac(3), dst=mac(2)) / IPv6(src="fd00::3", dst="fd00::2") / said
        rig.passes(vf(2), there, vf(1))
    ask = Ether(src=mac(1), dst=mac(2)) / IPv6(src="fd00::1", dst="fd00::2") / ICMPv6ND_RS()
    rig.passes(vf(0), ask, vf(1))


def test_own_addresses_pass_the_guard(rig: Rig) -> None:
    rig.configure(state())
    to_2 = Ether(src=mac(1), dst=mac(2))
    rig.passes(vf(0), to_2 / IPv6(src="fd00::1", dst="fd00::2") / UDP(), vf(1))
    rig.passes(vf(0), to_2 / IPv6(src="fe80::ff:fe00:1", dst="fd00::2") / UDP(), vf(1))
    assert rig.ports(vf(0), _arp(1, "0.0.0.0")) == [UPLINK, PF, vf(1), vf(2)]


def test_guest_tags_need_trust(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1), vm(2, trust=True)]))
    tagged = Ether(src=mac(1), dst=mac(2)) / Dot1Q(vlan=9) / udp(1, 2).payload
    rig.drops(vf(0), tagged, DropReason.GUEST_TAG, vf(0))
    back = Ether(src=mac(2), dst=mac(1)) / Dot1Q(vlan=9) / udp(2, 1).payload
    rig.passes(vf(1), back, vf(0))


def test_guests_have_no_say_in_the_link(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1), vm(2), vm(3, trust=True)]))
    for last in (0x00, 0x01, 0x0E):  # STP, pause, LLDP
        frame = Ether(src=mac(1), dst=f"01:80:c2:00:00:{last:02x}", type=0x88CC) / bytes(46)
        rig.drops(vf(0), frame, DropReason.LINK_CONTROL, vf(0))
        frame.src = mac(3)
        assert rig.ports(vf(2), frame) == [UPLINK, PF]
        assert rig.ports(UPLINK, frame) == [PF]
    frame.src, frame.dst = mac(1), "01:80:c2:00:00:10"
    assert rig.ports(vf(0), frame) == [UPLINK, PF, vf(1), vf(2)]


def test_trusted_vf_is_promiscuous(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1, trust=True), vm(2)]))
    rig.passes(UPLINK, udp(4, 9), vf(0))
    assert rig.ports(vf(1), udp(2, 9)) == [UPLINK, vf(0)]
    rig.passes(vf(0), udp(1, 9), UPLINK)


def test_trusted_vf_may_change_its_mac(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1, trust=True), vm(2)]))
    ask = Ether(src=mac(77), dst=mac(2)) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP()
    rig.passes(vf(0), ask, vf(1))
    answer = bytes(Ether(src=mac(2), dst=mac(77)) / IP(src="10.0.0.2", dst="10.0.0.1") / UDP())
    assert (vf(0), answer) in rig.exchange(vf(1), answer)


def test_rate_is_policed(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1, max_tx_rate=0.1), vm(2)]))
    burst = [udp(1, 2, size=1400)] * 400
    passed = len(rig.exchange(vf(0), *burst))
    assert 100 < passed < 300  # the burst of 256 KiB, not the 570 KB sent
    assert rig.dropped(vf(0), DropReason.RATE) == 400 - passed
    rig.passes(vf(1), udp(2, 1), vf(0))


def test_guaranteed_rate_is_kept_when_the_rest_is_used_up(rig: Rig) -> None:
    vms = [vm(1), vm(2, min_tx_rate=9.9), vm(3)]
    rig.configure(state(nics=[nic(link_mbps=10), nic("nic2", 2)], vms=vms))
    flood = [udp(1, 3, size=1400)] * 400
    assert len(rig.exchange(vf(0), *flood)) < 400
    within = [udp(2, 3, size=1400)] * 100
    assert len(rig.exchange(vf(1), *within)) == 100


def test_link_states(rig: Rig) -> None:
    vms = [vm(1), vm(2, state="enable"), vm(3, state="disable"), vm(5, state="enable")]
    rig.configure(state(vms=vms))
    rig.passes(vf(0), udp(1, 2), vf(1))
    rig.drops(vf(2), udp(3, 1), DropReason.PORT_DOWN, vf(2))
    assert rig.ports(vf(0), udp(1, 3)) == [UPLINK]
    rig.configure(state(vms=vms), uplinks_up=frozenset())
    rig.drops(vf(0), udp(1, 2), DropReason.PORT_DOWN, vf(0))
    rig.passes(vf(1), udp(2, 5), vf(4))
    rig.drops(UPLINK, udp(4, 2), DropReason.PORT_DOWN, UPLINK)


def test_storm_limit(rig: Rig) -> None:
    rig.configure(state(networks=[{"name": "lan", "storm_pps": 20}], vms=[vm(1), vm(2)]))
    shouts = rig.ports(vf(0), *([_arp(1, "10.0.0.1")] * 100))
    assert 8 <= shouts.count(vf(1)) < 60
    assert rig.dropped(vf(0), DropReason.STORM) == 100 - shouts.count(vf(1))
    assert rig.ports(vf(0), *([udp(1, 2)] * 100)) == [vf(1)] * 100


def test_counters_by_class(rig: Rig) -> None:
    rig.configure(state())
    classes = {
        mac(2): TrafficClass.UNICAST,
        "33:33:00:00:00:01": TrafficClass.MULTICAST,
        BROADCAST: TrafficClass.BROADCAST,
    }
    for destination, traffic_class in classes.items():
        frame = bytes(Ether(src=mac(1), dst=destination, type=0x88B5) / bytes(50))
        came, went = rig.received(vf(0), traffic_class), rig.sent(vf(1), traffic_class)
        rig.exchange(vf(0), frame, frame)
        assert rig.received(vf(0), traffic_class) == (came[0] + 2, came[1] + 128)
        assert rig.sent(vf(1), traffic_class) == (went[0] + 2, went[1] + 128)


def test_active_backup_bond(rig: Rig) -> None:
    bonded = state(nics=[nic(uplinks=2), nic("nic2", 2)])
    rig.configure(bonded, uplinks_up=frozenset({1, 2}))
    rig.passes(vf(0), udp(1, 4), UPLINK)
    rig.drops(UPLINK2, udp(4, 1), DropReason.PORT_DOWN, UPLINK2)
    rig.configure(bonded, uplinks_up=frozenset({2}))
    rig.passes(vf(0), udp(1, 4), UPLINK2)
    rig.passes(UPLINK2, udp(4, 1), vf(0))
    assert rig.ports(vf(0), _arp(1, "10.0.0.1")) == [UPLINK2, PF, vf(1), vf(2)]


def test_floods_of_overlays_and_mirrors_leave_a_dead_uplink(rig: Rig) -> None:
    bonded = state(
        nics=[nic(uplinks=2), nic("nic2", 2)],
        networks=[{"name": "lan", "vni": 7}],
        mirrors=[{"name": "tap", "id": 3, "vm": "vm1", "direction": "out", "to_port": "uplink"}],
    )
    for port in (UPLINK, UPLINK2):
        rig.configure(bonded, uplinks_up=frozenset({port}))
        assert rig.ports(vf(0), _arp(1, "10.0.0.1")) == [port, port, vf(1), vf(2)]
        assert rig.ports(vf(0), udp(1, 2)) == [port, vf(1)]


def test_hashing_bond_spreads_flows_and_keeps_each_on_one_link(rig: Rig) -> None:
    bonded = state(nics=[nic(uplinks=2, bond="hash"), nic("nic2", 2)])
    rig.configure(bonded, uplinks_up=frozenset({1, 2}))
    flows = [udp(1, 4, sport=port) for port in range(4000, 4064)]
    first = {bytes(frame): port for port, frame in rig.exchange(vf(0), *flows)}
    again = {bytes(frame): port for port, frame in rig.exchange(vf(0), *flows)}
    assert first == again
    share = list(first.values()).count(UPLINK)
    assert 16 <= share <= 48
    rig.passes(UPLINK2, udp(4, 1), vf(0))
    rig.configure(bonded, uplinks_up=frozenset({1}))
    assert set(rig.ports(vf(0), *flows)) == {UPLINK}
