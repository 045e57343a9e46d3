"""ICMP errors about translated connections: they come to who sent the packet, as it knows it."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from control.connections import Refusal

from .rig import UPLINK, mac, state, vf, vm
from .stateful import (
    OWN_ROUTER,
    ROUTER,
    Stateful,
    balanced,
    checked,
    natted,
    sent_inside,
    sent_outside,
    to_vip,
)

GATEWAY = "0a:00:00:00:00:fe"
MIDDLE = "203.0.113.7"  # a router on the way
PEER = "198.51.100.9"


def _error(src: str, quoted: Packet | bytes, *, cut: int = 10**6) -> Packet:
    """The ICMP error that ``src`` sends about an IP packet that it got."""
    sender = IP(bytes(quoted)).src
    return IP(src=src, dst=sender) / ICMP(type=3, code=4, nexthopmtu=1400) / bytes(quoted)[:cut]


def _from_outside(packet: Packet) -> Packet:
    return Ether(src=GATEWAY, dst=OWN_ROUTER) / packet


def _right(frame: bytes) -> tuple[Packet, Packet]:
    """An error and the packet it quotes; asserts that the checksums of both are right."""
    packet = checked(frame)
    assert (packet[ICMP].type, packet[ICMP].code, packet[ICMP].nexthopmtu) == (3, 4, 1400)
    quoted = IP(bytes(packet[IPerror]))
    again = quoted.copy()
    del again.chksum
    if (whole := len(quoted)) == quoted.len:
        del again.payload.chksum
    assert bytes(again) == bytes(quoted)[:whole]
    return packet, quoted


@pytest.mark.parametrize("source", [MIDDLE, PEER])
def test_floating_address_inward(nic: Any, source: str) -> None:
    one = nic(natted())
    ((_, frame),) = one.rig.exchange(vf(1), sent_outside(2, TCP(sport=5, dport=53) / b"odd"))
    ((port, frame),) = one.first(UPLINK, _from_outside(_error(source, Ether(frame)[IP])))
    packet, quoted = _right(frame)
    assert (port, packet.dst, packet[IP].src, packet[IP].dst) == (
        vf(1), mac(2), source, "10.0.0.2",
    )  # fmt: skip
    assert (quoted.src, quoted.dst, quoted[TCP].sport) == ("10.0.0.2", PEER, 5)


def test_floating_address_outward(nic: Any) -> None:
    one = nic(natted())
    request = sent_inside("192.0.2.50", UDP(sport=53, dport=5) / b"x")
    ((_, frame),) = one.rig.exchange(UPLINK, request)
    told = Ether(src=mac(2), dst=ROUTER) / _error("10.0.0.2", Ether(frame)[IP])
    ((port, frame),) = one.first(vf(1), told)
    packet, quoted = _right(frame)
    assert (port, packet[IP].src, packet[IP].dst) == (UPLINK, "192.0.2.50", PEER)
    assert (quoted.src, quoted.dst) == (PEER, "192.0.2.50")


@pytest.mark.parametrize("layer", [TCP, UDP])
@pytest.mark.parametrize("cut", [28, 10**6], ids=["8 bytes quoted", "all quoted"])
@pytest.mark.parametrize("room", [10**9, 0], ids=["in the NIC", "in software"])
def test_shared_address_inward(nic: Any, layer: Any, cut: int, room: int) -> None:
    one = nic(natted())
    one.board.limit = room
    ((_, frame),) = one.first(vf(0), sent_outside(1, layer(sport=7777, dport=53) / b"odd"))
    for source in (MIDDLE, PEER):
        error = _from_outside(_error(source, Ether(frame)[IP], cut=cut))
        ((port, told),) = one.first(UPLINK, error)
        packet, quoted = _right(told)
        assert (port, packet.dst, packet[IP].src, packet[IP].dst) == (
            vf(0), mac(1), source, "10.0.0.1",
        )  # fmt: skip
        assert (quoted.src, quoted.dst) == ("10.0.0.1", PEER)
        assert bytes(quoted.payload)[:2] == (7777).to_bytes(2)


def test_shared_address_outward(nic: Any) -> None:
    one = nic(natted())
    one.first(vf(0), sent_outside(1, UDP(sport=7777, dport=53)))
    reply = sent_inside("192.0.2.1", UDP(sport=53, dport=20000) / b"x")
    ((_, frame),) = one.rig.exchange(UPLINK, reply)
    told = Ether(src=mac(1), dst=ROUTER) / _error("10.0.0.1", Ether(frame)[IP])
    ((port, frame),) = one.first(vf(0), told)
    packet, quoted = _right(frame)
    assert (port, packet[IP].src, packet[IP].dst) == (UPLINK, "192.0.2.1", PEER)
    assert (quoted.dst, quoted[UDP].dport) == ("192.0.2.1", 20000)


def test_a_members_error_comes_from_the_service(nic: Any) -> None:
    one = nic(balanced())
    ((port, frame),) = one.first(vf(0), to_vip(4000))
    member = port - vf(0) + 1
    told = Ether(src=mac(member), dst=mac(1)) / _error(f"10.0.0.{member}", Ether(frame)[IP])
    ((out, frame),) = one.first(port, told)
    packet, quoted = _right(frame)
    assert (out, packet[IP].src, packet[IP].dst) == (vf(0), "10.0.0.100", "10.0.0.1")
    assert (quoted.dst, quoted[TCP].dport) == ("10.0.0.100", 80)


def test_a_clients_error_reaches_the_member(nic: Any) -> None:
    one = nic(balanced())
    ((port, _),) = one.first(vf(0), to_vip(4000))
    member = port - vf(0) + 1
    reply = IP(src=f"10.0.0.{member}", dst="10.0.0.1") / TCP(sport=8080, dport=4000, flags="SA")
    ((_, frame),) = one.rig.exchange(port, Ether(src=mac(member), dst=mac(1)) / reply)
    told = Ether(src=mac(1), dst=ROUTER) / _error("10.0.0.1", Ether(frame)[IP])
    ((out, frame),) = one.first(vf(0), told)
    packet, quoted = _right(frame)
    assert (out, packet.dst, packet[IP].dst) == (port, mac(member), f"10.0.0.{member}")
    assert (quoted.src, quoted[TCP].sport) == (f"10.0.0.{member}", 8080)


def _strict() -> Any:
    group = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}]}
    return state(groups=[group], vms=[vm(1), vm(2, groups=["web"]), vm(3)])


def test_what_is_about_nobodys_packet_is_judged_by_the_rules(nic: Any) -> None:
    one: Stateful = nic(_strict())
    packet = IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=3333, dport=53)
    one.first(vf(1), Ether(src=mac(2), dst=mac(1)) / packet)
    known = Ether(src=mac(3), dst=mac(2)) / _error("10.0.0.3", packet)
    assert one.first(vf(2), known) == [(vf(1), bytes(known))]
    packet[UDP].sport = 9
    stranger = Ether(src=mac(1), dst=mac(2)) / _error("10.0.0.1", packet)
    assert one.refused(vf(0), stranger) is Refusal.UNRELATED
    harmless = Ether(src=mac(2), dst=mac(1)) / _error("10.0.0.2", IP(src="10.0.0.1") / UDP())
    assert one.first(vf(1), harmless) == [(vf(0), bytes(harmless))]


def test_an_error_to_another_than_the_sender_is_none(nic: Any) -> None:
    one: Stateful = nic(_strict())
    packet = IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=3333, dport=53)
    one.first(vf(1), Ether(src=mac(2), dst=mac(1)) / packet)
    packet.src, packet.dst = packet.dst, packet.src
    told = IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(type=3, code=3) / bytes(packet)
    assert one.refused(vf(0), Ether(src=mac(1), dst=mac(2)) / told) is Refusal.UNRELATED


def test_a_wrong_checksum_is_not_made_right(nic: Any) -> None:
    one = nic(natted())
    ((_, frame),) = one.first(vf(0), sent_outside(1, UDP(sport=7777, dport=53) / b"odd"))
    error = _from_outside(_error(MIDDLE, Ether(frame)[IP]))
    error[ICMP].chksum = 1
    assert one.refused(UPLINK, error) is Refusal.UNRELATED
