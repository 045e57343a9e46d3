"""What the host remembers and says: restarts, the router itself, health checks."""

from __future__ import annotations

import asyncio
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from control.connections import ConnectionManager, Decider
from control.connections.health import Health
from control.connections.respond import response
from control.model import DesiredState
from control.policy import Entry, placements_of
from control.policy.reasons import PuntReason

from .rig import mac, state, tcp, udp, vf, vm
from .stateful import (
    ROUTER,
    Stateful,
    balanced,
    checked,
    natted,
    punt,
    sent_outside,
    to_vip,
    web,
)

# restarts


def _restarted(one: Stateful) -> ConnectionManager:
    """Another controller's manager, which has found what nic1 holds."""
    again = Decider(one.decider.state, placements_of(one.decider.state), {})
    manager = ConnectionManager(one.board, lambda: again, again.pools)
    held = dict(_entries(one.manager))
    here = {key: entry for key, entry in held.items() if key[0] == "nic1"}
    there = {key: entry for key, entry in held.items() if key[0] == "nic2"}
    asyncio.run(manager.adopt("nic1", here))
    asyncio.run(manager.adopt("nic2", there))
    return manager


def _same(one: ConnectionManager, other: ConnectionManager) -> bool:
    return {key: e.params for key, e in _entries(one)} == {
        key: e.params for key, e in _entries(other)
    }


def _entries(manager: ConnectionManager) -> list[tuple[Any, Entry]]:
    return [
        (key, connection.insert(key, becomes).entry)
        for connection in set(manager._by_entry.values())
        for key, becomes in connection.installed.items()
    ]


def test_a_restarted_controller_takes_connections_over(nic: Any) -> None:
    one = nic(web())
    one.first(vf(0), tcp(1, 2))
    one.first(vf(1), udp(2, 4, sport=3333, dport=53))
    again = _restarted(one)
    assert len(again) == 2
    assert _same(again, one.manager)
    assert again.count("vm1") + again.count("vm2") == 2


def test_translations_are_taken_over_with_their_ports(nic: Any) -> None:
    one = nic(natted())
    one.first(vf(0), sent_outside(1, UDP(sport=7777, dport=53)))
    again = _restarted(one)
    assert _same(again, one.manager)
    (connection,) = set(again._by_entry.values())
    assert connection.nat_port == ("192.0.2.1", 17, 20000)
    assert again._pools["192.0.2.1"].take(17) == 20001


def test_balanced_connections_are_taken_over_from_both_nics(nic: Any) -> None:
    one = nic(balanced(members=[{"vm": "vm4", "port": 8080}]))
    one.first(vf(0), to_vip(3000))
    again = _restarted(one)
    assert len(again) == 1
    assert _same(again, one.manager)


def test_connections_without_replies_are_taken_over(nic: Any) -> None:
    groups = [
        {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}]},
        {"name": "deaf", "stateful": False, "rules": [{"direction": "out"}]},
    ]
    one = nic(state(groups=groups, vms=[vm(1, groups=["deaf"]), vm(2, groups=["web"])]))
    one.first(vf(0), tcp(1, 2))
    assert len(_entries(one.manager)) == 1
    again = _restarted(one)
    assert _same(again, one.manager)
    assert asyncio.run(again.recheck()) == 0


def test_what_belongs_to_nobody_is_removed(nic: Any) -> None:
    one = nic(web())
    one.first(vf(0), tcp(1, 2))
    (connection,) = set(one.manager._by_entry.values())
    (lonely, entry), *_ = _entries(one.manager)
    manager = ConnectionManager(one.board, lambda: one.decider, {})
    asyncio.run(manager.adopt("nic1", {lonely: entry}))
    assert len(manager) == 0
    del connection.installed[lonely], one.manager._by_entry[lonely]


# the router itself


def _ping(src: int, dst: str) -> Packet:
    ip = IP(src=f"10.0.0.{src}", dst=dst)
    return Ether(src=mac(src), dst=ROUTER) / ip / ICMP(id=5, seq=9) / b"some payload"


def test_gateway_answers_pings_by_the_host(nic: Any) -> None:
    one = nic(natted())
    up = punt(one.rig.punted(vf(0), _ping(1, "10.0.0.254")))
    assert up.reason == PuntReason.ROUTER
    packet = checked(response(up, ["10.0.0.254"]) or b"")
    assert (packet[IP].src, packet[IP].dst) == ("10.0.0.254", "10.0.0.1")
    assert (packet[ICMP].type, packet[ICMP].id, packet[ICMP].seq) == (0, 5, 9)
    assert packet.load == b"some payload"


def test_time_exceeded_comes_from_the_gateway(nic: Any) -> None:
    one = nic(natted())
    late = sent_outside(1, UDP(sport=1, dport=33434))
    late[IP].ttl = 1
    up = punt(one.rig.punted(vf(0), late))
    packet = checked(response(up, ["10.0.0.254"]) or b"")
    assert (packet[IP].src, packet[ICMP].type) == ("10.0.0.254", 11)
    assert packet[IPerror].dst == "198.51.100.9"
    assert response(up, []) is None


def _with_ipv6_gateway() -> DesiredState:
    blue = {"name": "blue", "vni": 7, "gateways": ["10.0.0.254/24", "fd00::fe/64"]}
    return state(networks=[{"name": "lan"}, blue], vms=[vm(1, network="blue")])


def _right_v6(frame: bytes | None) -> Packet:
    """An ICMPv6 packet whose checksum is right."""
    packet = Ether(frame)
    again = packet.copy()
    del again[IPv6].payload.cksum
    assert bytes(again) == frame
    return packet


def test_ipv6_gateway_answers_pings_and_tells_of_time_exceeded(nic: Any) -> None:
    one = nic(_with_ipv6_gateway())
    head = Ether(src=mac(1), dst=ROUTER) / IPv6(src="fd00::1", dst="fd00::fe")
    up = punt(one.rig.punted(vf(0), head / ICMPv6EchoRequest(id=5, seq=9, data=b"some payload")))
    packet = _right_v6(response(up, ["10.0.0.254", "fd00::fe"]))
    assert (packet.dst, packet[IPv6].src, packet[IPv6].dst) == (mac(1), "fd00::fe", "fd00::1")
    assert (packet[ICMPv6EchoReply].id, packet[ICMPv6EchoReply].data) == (5, b"some payload")
    head[IPv6].dst, head[IPv6].hlim = "fd00:9::9", 1
    late = head / UDP(sport=1, dport=33434) / bytes(1400)
    one.change(_routed_v6())
    packet = _right_v6(response(punt(one.rig.punted(vf(0), late)), ["fd00::fe"]))
    assert (packet[IPv6].src, len(packet)) == ("fd00::fe", 14 + 1280)
    assert packet[ICMPv6TimeExceeded].payload.dport == 33434


def _routed_v6() -> DesiredState:
    route = {"tenant": "blue", "prefix": "fd00:9::/64", "via_vm": "vm2"}
    vms = [vm(1, network="blue"), vm(2, network="blue")]
    return state(networks=_with_ipv6_gateway().networks, vms=vms, routes=[route])


def test_nobody_is_told_of_an_error_about_an_error(nic: Any) -> None:
    one = nic(natted())
    late = sent_outside(1, ICMP(type=3, code=3)) / IP(src="198.51.100.9", dst="10.0.0.1") / UDP()
    late[IP].ttl = 1
    up = punt(one.rig.punted(vf(0), late))
    assert response(up._replace(reason=PuntReason.TTL), ["10.0.0.254"]) is None


def test_health_checks(nic: Any) -> None:
    check = {"interval_s": 1, "failures": 2}
    one = nic(balanced(health=check))
    desired, health = one.decider.state, Health()
    probes = {probe.vm: probe for probe in health.probes(desired, 0.0)}
    assert set(probes) == {"vm2", "vm3"}
    one.rig.out(probes["vm2"].frame, mode=0, port=vf(1), network=probes["vm2"].network)
    port, frame = one.rig.next_frame()
    syn = checked(frame)
    assert (port, syn[TCP].flags, syn[IP].src, syn[TCP].dport) == (vf(1), "S", "10.0.0.100", 8080)
    reply = (
        Ether(src=mac(2), dst=ROUTER)
        / IP(src="10.0.0.2", dst="10.0.0.100")
        / TCP(sport=8080, dport=syn[TCP].sport, flags="SA", ack=2)
    )
    up = one.rig.punted(vf(1), reply)
    assert up.meta["reason"] == PuntReason.ROUTER
    reset = health.answered(desired, up.payload)
    assert reset is not None and Ether(reset.frame)[TCP].flags == "R"
    assert list(health.probes(desired, 0.5)) == []
    for now in (1.0, 2.0):
        for probe in health.probes(desired, now):
            if probe.vm == "vm2":
                health.answered(desired, up.payload)
    assert health.unhealthy == {"vm3"}
