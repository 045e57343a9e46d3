"""VXLAN, overlapping tenants, neighbour answers, routing, moved VMs."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from control.announce import gratuitous_arp
from control.model import DesiredState, Placement
from control.policy.reasons import DropReason, PuntReason

from .rig import PF, UPLINK, Rig, mac, state, udp, vf, vm
from .stateful import natted

BROADCAST = "ff:ff:ff:ff:ff:ff"
ROUTER = "06:4e:49:52:00:00"
TUNNEL_1, TUNNEL_2 = "172.31.0.1", "172.31.0.2"
BLUE, GREEN = 77, 78


def _overlay(**changes: Any) -> DesiredState:
    """vm1, vm2, vm4 in blue, vm3 in green with vm1's address."""
    networks = [{"name": "blue", "vni": BLUE}, {"name": "green", "vni": GREEN}]
    vms = [
        vm(1, network="blue"),
        vm(2, network="blue"),
        vm(3, network="green", ips=["10.0.0.1/24"]),
        vm(4, server="server2", vf=0, network="blue"),
    ]
    return state(**({"networks": networks, "vms": vms} | changes))


def _outer(src: int, dst: int, vni: int, inner: Packet | bytes) -> Packet:
    """``inner`` as it crosses the underlay between two NICs."""
    return (
        Ether(src=f"06:4e:49:43:00:{src:02x}", dst=f"06:4e:49:43:00:{dst:02x}")
        / IP(src=f"172.31.0.{src}", dst=f"172.31.0.{dst}", id=0, flags="DF", ttl=64)
        / UDP(sport=0xC000, dport=4789, chksum=0)
        / VXLAN(vni=vni, flags=8)
        / inner
    )


def _same_tunnel(frame: bytes, expected: Packet) -> bool:
    """Whether two tunnel frames are equal but for the source port, which is the flow's."""
    port = slice(34, 36)
    wanted = bytearray(bytes(expected))
    assert frame[34] >= 0xC0
    wanted[port] = frame[port]
    return bytes(wanted) == frame


def _arp(sender: int, pdst: str, psrc: str | None = None) -> Packet:
    arp = ARP(hwsrc=mac(sender), psrc=psrc or f"10.0.0.{sender}", pdst=pdst)
    return Ether(src=mac(sender), dst=BROADCAST) / arp


def test_remote_vm_is_reached_in_vxlan(rig: Rig) -> None:
    rig.configure(_overlay())
    ((port, frame),) = rig.exchange(vf(0), udp(1, 4))
    assert port == UPLINK
    assert _same_tunnel(frame, _outer(1, 2, BLUE, udp(1, 4)))
    rig.passes(vf(0), udp(1, 2), vf(1))


def test_tunnel_frames_reach_the_vm_of_their_network(rig: Rig) -> None:
    rig.configure(_overlay())
    assert rig.exchange(UPLINK, _outer(2, 1, BLUE, udp(4, 1))) == [(vf(0), bytes(udp(4, 1)))]
    rig.drops(UPLINK, _outer(2, 1, GREEN, udp(4, 1)), DropReason.UNKNOWN_DESTINATION, UPLINK)
    rig.drops(UPLINK, _outer(2, 1, 99, udp(4, 1)), DropReason.UNKNOWN_NETWORK, UPLINK)
    rig.drops(UPLINK, _outer(1, 2, BLUE, udp(4, 1)), DropReason.UNKNOWN_NETWORK, UPLINK)


def test_a_guest_cannot_send_into_a_tunnel(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1), vm(2, trust=True, spoofchk=False, source_guard=False)]))
    tunnelled = _outer(1, 2, BLUE, udp(4, 1))
    rig.drops(vf(1), tunnelled, DropReason.UNKNOWN_DESTINATION, vf(1))
    tunnelled[Ether].src, tunnelled[IP].src = mac(1), "10.0.0.1"
    rig.drops(vf(0), tunnelled, DropReason.UNKNOWN_DESTINATION, vf(0))
    tunnelled[Ether].dst = mac(2)  # a guest's own VXLAN to another guest is payload
    rig.passes(vf(0), tunnelled, vf(1))


def test_unknown_destinations_drop_or_flood(rig: Rig) -> None:
    rig.configure(_overlay())
    rig.drops(vf(0), udp(1, 9), DropReason.UNKNOWN_DESTINATION, vf(0))
    networks = [{"name": "blue", "vni": BLUE, "unknown": "flood"}, {"name": "green", "vni": GREEN}]
    rig.configure(_overlay(networks=networks))
    assert rig.ports(vf(0), udp(1, 9)) == [UPLINK, vf(1)]


def test_broadcast_is_replicated_to_the_servers_of_the_network(rig: Rig) -> None:
    rig.configure(_overlay())
    shout = Ether(src=mac(1), dst=BROADCAST, type=0x88B5) / bytes(50)
    (up, frame), (port, copy) = rig.exchange(vf(0), shout)
    assert (up, port, copy) == (UPLINK, vf(1), bytes(shout))
    assert _same_tunnel(frame, _outer(1, 2, BLUE, shout))
    back = _outer(2, 1, BLUE, Ether(src=mac(4), dst=BROADCAST, type=0x88B5) / bytes(50))
    assert rig.ports(UPLINK, back) == [vf(0), vf(1)]


def test_arp_is_answered_in_the_nic(rig: Rig) -> None:
    rig.configure(_overlay())
    ((port, frame),) = rig.exchange(vf(0), _arp(1, "10.0.0.4"))
    answer = Ether(frame)[ARP]
    assert port == vf(0)
    assert (answer.op, answer.hwsrc, answer.psrc) == (2, mac(4), "10.0.0.4")
    assert (answer.hwdst, answer.pdst) == (mac(1), "10.0.0.1")
    assert (Ether(frame).src, Ether(frame).dst) == (mac(4), mac(1))


def test_overlapping_addresses_are_answered_per_network(rig: Rig) -> None:
    rig.configure(_overlay())
    ask = Ether(src=mac(3), dst=BROADCAST) / ARP(hwsrc=mac(3), psrc="10.0.0.1", pdst="10.0.0.2")
    assert rig.ports(vf(2), ask) == []  # alone in green: nobody there to flood to
    ((_, frame),) = rig.exchange(vf(1), _arp(2, "10.0.0.1"))
    assert Ether(frame)[ARP].hwsrc == mac(1)


def test_nd_is_answered_with_a_right_checksum(rig: Rig) -> None:
    rig.configure(_overlay())
    ask = (
        Ether(src=mac(1), dst="33:33:ff:00:00:04")
        / IPv6(src="fd00::1", dst="ff02::1:ff00:4")
        / ICMPv6ND_NS(tgt="fd00::4")
        / ICMPv6NDOptSrcLLAddr(lladdr=mac(1))
    )
    ((port, frame),) = rig.exchange(vf(0), ask)
    answer = Ether(frame)
    assert port == vf(0) and answer.dst == mac(1) and answer.src == mac(4)
    assert (answer[IPv6].src, answer[IPv6].dst) == ("fd00::4", "fd00::1")
    advert = answer[ICMPv6ND_NA]
    assert (advert.tgt, advert.S, advert.O, advert.R, advert.lladdr) == (
        "fd00::4", 1, 1, 0, mac(4),
    )  # fmt: skip
    given = advert.cksum
    del advert.cksum
    assert Ether(bytes(answer))[ICMPv6ND_NA].cksum == given


def test_duplicate_address_detection_is_flooded(rig: Rig) -> None:
    rig.configure(_overlay())
    probe = (
        Ether(src=mac(1), dst="33:33:ff:00:00:04")
        / IPv6(src="::", dst="ff02::1:ff00:4")
        / ICMPv6ND_NS(tgt="fd00::4")
    )
    assert rig.ports(vf(0), probe) == [UPLINK, vf(1)]
    assert rig.ports(vf(0), _arp(1, "10.0.0.1")) == [UPLINK, vf(1)]  # announcement


def test_an_address_is_not_defended_against_its_owner(rig: Rig) -> None:
    rig.configure(_overlay())
    assert rig.ports(vf(0), _arp(1, "10.0.0.1", psrc="0.0.0.0")) == [UPLINK, vf(1)]
    ((port, frame),) = rig.exchange(vf(0), _arp(1, "10.0.0.2", psrc="0.0.0.0"))
    assert (port, Ether(frame)[ARP].hwsrc, Ether(frame)[ARP].psrc) == (vf(0), mac(2), "10.0.0.2")


def test_tunnel_end_answers_arp(rig: Rig) -> None:
    rig.configure(_overlay())
    ask = Ether(src="0a:00:00:00:00:01", dst=BROADCAST) / ARP(
        hwsrc="0a:00:00:00:00:01", psrc="172.31.0.254", pdst=TUNNEL_1
    )
    ((port, frame),) = rig.exchange(UPLINK, ask)
    assert (port, Ether(frame)[ARP].hwsrc) == (UPLINK, "06:4e:49:43:00:01")


def _routed() -> DesiredState:
    """Tenant acme: vm1 in 10.0.0.0/24, vm2 and vm4 in 10.0.1.0/24; gateways .254."""
    networks = [
        {"name": "blue", "vni": BLUE, "tenant": "acme",
         "gateways": ["10.0.0.254/24", "fd00::fe/64"]},
        {"name": "green", "vni": GREEN, "tenant": "acme",
         "gateways": ["10.0.1.254/24", "fd01::fe/64"]},
    ]  # fmt: skip
    vms = [
        vm(1, network="blue"),
        vm(2, network="green", ips=["10.0.1.2/24", "fd01::2/64"]),
        vm(4, server="server2", vf=0, network="green", ips=["10.0.1.4/24"]),
    ]
    routes = [{"tenant": "acme", "prefix": "10.7.0.0/16", "via_vm": "vm2"}]
    return state(networks=networks, vms=vms, routes=routes)


def _to_router(dst: str, ttl: int = 64) -> Packet:
    return Ether(src=mac(1), dst=ROUTER) / IP(src="10.0.0.1", dst=dst, ttl=ttl) / UDP() / b"x"


def _hop(packet: Packet, source: int, target: int) -> Packet:
    """``packet`` after the router of nic1."""
    assert source == 1
    routed = packet.copy()
    routed[Ether].src, routed[Ether].dst = "06:4e:49:52:00:01", mac(target)
    routed[IP].ttl -= 1
    routed[IP].chksum = None
    return routed


def test_routing_between_subnets(rig: Rig) -> None:
    rig.configure(_routed())
    packet = _to_router("10.0.1.2")
    assert rig.exchange(vf(0), packet) == [(vf(1), bytes(_hop(packet, 1, 2)))]
    packet = _to_router("10.0.1.4")
    ((port, frame),) = rig.exchange(vf(0), packet)
    assert port == UPLINK and _same_tunnel(frame, _outer(1, 2, GREEN, _hop(packet, 1, 4)))
    packet = _to_router("10.7.3.4")
    assert rig.exchange(vf(0), packet) == [(vf(1), bytes(_hop(packet, 1, 2)))]
    rig.drops(vf(0), _to_router("10.9.9.9"), DropReason.NO_ROUTE, vf(0))


def test_header_checksum_survives_every_ttl(rig: Rig) -> None:
    rig.configure(_routed())
    packets = [_to_router("10.0.1.2", ttl) for ttl in range(2, 256)]
    frames = [frame for _, frame in rig.exchange(vf(0), *packets)]
    assert frames == [bytes(_hop(packet, 1, 2)) for packet in packets]


def test_routing_ipv6(rig: Rig) -> None:
    rig.configure(_routed())
    packet = Ether(src=mac(1), dst=ROUTER) / IPv6(src="fd00::1", dst="fd01::2") / UDP()
    ((port, frame),) = rig.exchange(vf(0), packet)
    assert port == vf(1)
    assert (Ether(frame).dst, Ether(frame)[IPv6].hlim) == (mac(2), 63)


def test_gateway_answers_and_last_hop_goes_to_the_host(rig: Rig) -> None:
    rig.configure(_routed())
    ((_, frame),) = rig.exchange(vf(0), _arp(1, "10.0.0.254"))
    assert Ether(frame)[ARP].hwsrc == ROUTER
    packet = _to_router("10.0.1.2", ttl=1)
    up = rig.punted(vf(0), packet)
    assert up.meta["reason"] == PuntReason.TTL
    assert up.payload == bytes(packet)


def test_moved_vm_of_a_plain_network_is_followed_in_a_tunnel(rig: Rig) -> None:
    desired = state()
    moved = [
        Placement(vm="vm1", nic="nic1", vf=0, role="moved"),
        Placement(vm="vm1", nic="nic2", vf=3, role="active"),
        Placement(vm="vm2", nic="nic1", vf=1),
    ]
    rig.configure(desired, moved)
    redirect_vni = desired.network("lan").wire_vni
    for port, sender in ((UPLINK, 4), (vf(1), 2)):
        ((out, frame),) = rig.exchange(port, udp(sender, 1))
        assert out == UPLINK
        assert _same_tunnel(frame, _outer(1, 2, redirect_vni, udp(sender, 1)))
    assert rig.ports(vf(0), udp(1, 2)) == [vf(1)]  # what it still had to send


def test_redirected_frames_arrive(rig: Rig) -> None:
    desired = state()
    rig.configure(desired)
    inner = udp(4, 1)
    frame = _outer(2, 1, desired.network("lan").wire_vni, inner)
    assert rig.exchange(UPLINK, frame) == [(vf(0), bytes(inner))]


def test_frames_for_a_frozen_vm_go_to_the_host_and_come_back(rig: Rig) -> None:
    desired = state()
    rig.configure(
        desired,
        [Placement(vm="vm1", nic="nic1", vf=0, role="parked"),
         Placement(vm="vm2", nic="nic1", vf=1)],
    )  # fmt: skip
    up = rig.punted(vf(1), udp(2, 1))
    assert up.meta == {
        "ingress_port": vf(1), "network": 4095, "destination_port": vf(0),
        "reason": PuntReason.HELD,
    }  # fmt: skip
    assert up.payload == bytes(udp(2, 1))
    shout = Ether(src=mac(2), dst=BROADCAST, type=0x88B5) / bytes(50)
    assert rig.ports(vf(1), shout) == [UPLINK, PF]
    up = rig.client.packet_in()
    assert (up.meta["reason"], up.meta["destination_port"]) == (PuntReason.HELD, vf(0))
    rig.out(up.payload, mode=0, port=vf(0), network=4095)
    assert rig.next_frame() == (vf(0), bytes(shout))


def test_prepared_vm_may_send_but_is_not_addressed(rig: Rig) -> None:
    rig.configure(
        state(),
        [Placement(vm="vm1", nic="nic1", vf=0, role="prepared"),
         Placement(vm="vm1", nic="nic2", vf=5), Placement(vm="vm2", nic="nic1", vf=1)],
    )  # fmt: skip
    rig.passes(vf(1), udp(2, 1), UPLINK)
    rig.passes(vf(0), udp(1, 2), vf(1))
    shout = Ether(src=mac(2), dst=BROADCAST, type=0x88B5) / bytes(50)
    assert rig.ports(vf(1), shout) == [UPLINK, PF]


def test_announcement_leaves_tagged(rig: Rig) -> None:
    rig.configure(state(networks=[{"name": "lan", "vlan": 30}], vms=[vm(1)]))
    announce = Ether(src=mac(1), dst=BROADCAST, type=0x8035) / bytes(46)
    rig.out(announce, mode=0, port=UPLINK, network=30)
    port, frame = rig.next_frame()
    assert port == UPLINK
    assert Ether(frame)[Dot1Q].vlan == 30
    assert ICMP not in Ether(frame)


def test_floating_address_is_announced_with_the_nics_router(rig: Rig) -> None:
    desired = natted()
    rig.configure(desired)
    frame = gratuitous_arp(desired.nic("nic1").router_mac, "192.0.2.50")
    rig.out(frame, mode=0, port=UPLINK, network=desired.network("lan").id)
    assert rig.next_frame() == (UPLINK, frame)
    arp = Ether(frame)[ARP]
    assert (arp.op, arp.hwsrc, arp.psrc, arp.pdst) == (
        1, "06:4e:49:52:00:01", "192.0.2.50", "192.0.2.50",
    )  # fmt: skip
