"""VEB, networks, uplink, PF: where frames go."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

from control.policy.reasons import DropReason

from .rig import PF, UPLINK, Rig, mac, nic, state, udp, vf, vm

BROADCAST = "ff:ff:ff:ff:ff:ff"
SERVER = "02:00:00:00:01:00"


def test_vf_to_vf_stays_in_the_nic(rig: Rig) -> None:
    rig.configure(state())
    rig.passes(vf(0), udp(1, 2), vf(1))


def test_unknown_unicast_leaves_by_the_uplink(rig: Rig) -> None:
    rig.configure(state())
    rig.passes(vf(0), udp(1, 4), UPLINK)


def test_uplink_to_vf_and_pf(rig: Rig) -> None:
    rig.configure(state())
    rig.passes(UPLINK, udp(4, 1), vf(0))
    to_pf = Ether(src=mac(4), dst="02:00:00:00:01:00") / IP() / UDP()
    rig.passes(UPLINK, to_pf, PF)


def test_pf_reaches_vf_and_uplink(rig: Rig) -> None:
    rig.configure(state())
    from_pf = Ether(src="02:00:00:00:01:00", dst=mac(1)) / IP() / UDP()
    rig.passes(PF, from_pf, vf(0))
    rig.passes(PF, Ether(src="02:00:00:00:01:00", dst=mac(9)) / IP() / UDP(), UPLINK)


def test_unknown_unicast_from_the_uplink_is_dropped(rig: Rig) -> None:
    rig.configure(state())
    rig.drops(UPLINK, udp(4, 9), DropReason.UNKNOWN_DESTINATION, UPLINK)


def test_broadcast_reaches_everyone_but_its_sender(rig: Rig) -> None:
    rig.configure(state())
    ask = Ether(src=mac(1), dst=BROADCAST) / ARP(hwsrc=mac(1), psrc="10.0.0.1", pdst="10.0.0.2")
    assert rig.ports(vf(0), ask) == [UPLINK, PF, vf(1), vf(2)]
    ask = Ether(src=mac(4), dst=BROADCAST) / ARP(hwsrc=mac(4), psrc="10.0.0.4", pdst="10.0.0.2")
    assert rig.ports(UPLINK, ask) == [PF, vf(0), vf(1), vf(2)]


def test_thirty_two_vfs(rig: Rig) -> None:
    rig.configure(state(nics=[nic(vfs=32), nic("nic2", 2)], vms=[vm(n) for n in range(1, 33)]))
    for number in range(1, 33):
        rig.passes(vf(number - 1), udp(number, number % 32 + 1), vf(number % 32))
        rig.passes(UPLINK, udp(40, number), vf(number - 1))
    shout = Ether(src=mac(32), dst=BROADCAST, type=0x88B5) / bytes(50)
    assert rig.ports(vf(31), shout) == [UPLINK, PF, *(vf(n) for n in range(31))]


def test_unassigned_vf_is_dead(rig: Rig) -> None:
    rig.configure(state())
    rig.drops(vf(5), udp(6, 1), DropReason.PORT_DOWN, vf(5))


def test_vlan_is_pushed_out_and_stripped_in(rig: Rig) -> None:
    networks = [{"name": "lan", "vlan": 100}]
    vms = [vm(1, qos=3), vm(2)]
    rig.configure(state(networks=networks, vms=vms))
    plain = udp(1, 9)
    tagged = Ether(src=mac(1), dst=mac(9)) / Dot1Q(vlan=100, prio=3) / plain.payload
    assert rig.exchange(vf(0), plain) == [(UPLINK, bytes(tagged))]
    inward = Ether(src=mac(9), dst=mac(2)) / Dot1Q(vlan=100) / udp(9, 2).payload
    assert rig.exchange(UPLINK, inward) == [(vf(1), bytes(udp(9, 2)))]
    rig.passes(vf(0), udp(1, 2), vf(1))


def test_foreign_and_missing_vlans_stay_out(rig: Rig) -> None:
    rig.configure(state(networks=[{"name": "lan", "vlan": 100}], vms=[vm(1)]))
    foreign = Ether(src=mac(9), dst=mac(1)) / Dot1Q(vlan=101) / udp(9, 1).payload
    rig.drops(UPLINK, foreign, DropReason.UNKNOWN_NETWORK, UPLINK)
    rig.drops(UPLINK, udp(9, 1), DropReason.UNKNOWN_DESTINATION, UPLINK)


def test_a_tag_with_priority_alone_counts_as_none(rig: Rig) -> None:
    rig.configure(state(networks=[{"name": "lan"}, {"name": "red", "vlan": 20}]))
    tagged = Ether(src=mac(4), dst=mac(1)) / Dot1Q(vlan=0, prio=5) / udp(4, 1).payload
    assert rig.exchange(UPLINK, tagged) == [(vf(0), bytes(udp(4, 1)))]


def test_provider_tag_of_one_vf_with_guest_tag_inside(rig: Rig) -> None:
    vms = [vm(1, vlan=7, vlan_protocol="802.1ad", trust=True)]
    rig.configure(state(vms=vms))
    inner = Dot1Q(vlan=5) / udp(1, 9).payload
    guest = Ether(src=mac(1), dst=mac(9)) / inner
    wire = Ether(src=mac(1), dst=mac(9)) / Dot1AD(vlan=7) / inner
    assert rig.exchange(vf(0), guest) == [(UPLINK, bytes(wire))]
    back = Ether(src=mac(9), dst=mac(1), type=0x88A8) / Dot1AD(vlan=7) / inner
    assert rig.exchange(UPLINK, back) == [(vf(0), bytes(Ether(src=mac(9), dst=mac(1)) / inner))]


def test_priority_is_in_the_tag_of_either_protocol(rig: Rig) -> None:
    for protocol, tag in (("802.1q", Dot1Q), ("802.1ad", Dot1AD)):
        networks = [{"name": "lan", "vlan": 7, "vlan_protocol": protocol}]
        rig.configure(state(networks=networks, vms=[vm(1, qos=7), vm(2)]))
        for number, priority in ((1, 7), (2, 0)):
            plain = udp(number, 9)
            tagged = Ether(src=mac(number), dst=mac(9)) / tag(vlan=7, prio=priority) / plain.payload
            assert rig.exchange(vf(number - 1), plain) == [(UPLINK, bytes(tagged))]


def test_floods_stay_in_their_vlan(rig: Rig) -> None:
    networks = [{"name": "lan", "vlan": 7}, {"name": "red", "vlan": 8}]
    vms = [vm(1), vm(2), vm(3, network="red")]
    rig.configure(state(networks=networks, vms=vms))
    for target in (BROADCAST, "01:00:5e:00:00:05", "33:33:00:00:00:05"):
        shout = Ether(src=mac(1), dst=target, type=0x88B5) / bytes(50)
        inner = bytes(shout)[12:]
        tagged = bytes(shout)[:12] + b"\x81\x00\x00\x07" + inner
        assert rig.exchange(vf(0), shout) == [(UPLINK, tagged), (vf(1), bytes(shout))]
        from_outside = bytes(Ether(src=mac(9), dst=target))[:12]
        wire = from_outside + b"\x81\x00\x00\x08" + inner
        assert rig.exchange(UPLINK, wire) == [(vf(2), from_outside + inner)]


def test_networks_are_apart(rig: Rig) -> None:
    networks = [{"name": "lan"}, {"name": "red", "vlan": 20}]
    rig.configure(state(networks=networks, vms=[vm(1), vm(2, network="red")]))
    assert rig.ports(vf(0), udp(1, 2)) == [UPLINK]


def test_vepa_sends_everything_to_the_tor(rig: Rig) -> None:
    rig.configure(state(nics=[nic(mode="vepa"), nic("nic2", 2)]))
    rig.passes(vf(0), udp(1, 2), UPLINK)
    rig.passes(UPLINK, udp(1, 2), vf(1))
    to_pf = Ether(src=mac(1), dst=SERVER) / udp(1, 9).payload
    rig.passes(vf(0), to_pf, UPLINK)
    rig.passes(PF, Ether(src=SERVER, dst=mac(1)) / udp(9, 1).payload, UPLINK)
    shout = Ether(src=mac(1), dst=BROADCAST) / ARP(hwsrc=mac(1), psrc="10.0.0.1", pdst="10.0.0.9")
    assert rig.ports(vf(0), shout) == [UPLINK]
    assert rig.ports(UPLINK, shout) == [PF, vf(1), vf(2)]
    shout.src = SERVER
    assert rig.ports(PF, shout) == [UPLINK]
    assert rig.ports(UPLINK, shout) == [vf(0), vf(1), vf(2)]


def test_vepa_leaves_overlays_alone(rig: Rig) -> None:
    """The ToR cannot send a tunnel's frame back to the VM beside its sender."""
    rig.configure(
        state(nics=[nic(mode="vepa"), nic("nic2", 2)], networks=[{"name": "lan", "vni": 7}])
    )
    rig.passes(vf(0), udp(1, 2), vf(1))


def test_private_vfs_do_not_see_each_other(rig: Rig) -> None:
    rig.configure(state(nics=[nic(mode="private"), nic("nic2", 2)]))
    rig.drops(vf(0), udp(1, 2), DropReason.ISOLATED, vf(0))
    rig.passes(vf(0), udp(1, 4), UPLINK)
    shout = Ether(src=mac(1), dst=BROADCAST) / ARP(hwsrc=mac(1), psrc="10.0.0.1", pdst="10.0.0.9")
    assert rig.ports(vf(0), shout) == [UPLINK, PF]


def test_truncated_frames_are_malformed(rig: Rig) -> None:
    rig.configure(state())
    rig.drops(vf(0), bytes(udp(1, 2))[:30], DropReason.MALFORMED, vf(0))
    rig.drops(UPLINK, b"\x02\x00\x00", DropReason.MALFORMED, UPLINK)
