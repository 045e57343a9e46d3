"""Stateful connections, load balancer and NAT: one NIC, its slow path, and the manager."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from control.connections import Refusal
from control.model import DesiredState, Placement
from control.policy.reasons import DropReason, PuntReason

from .rig import PF, UPLINK, mac, state, tcp, udp, vf, vm
from .stateful import (
    OWN_ROUTER,
    ROUTER,
    balanced,
    checked,
    natted,
    punt,
    sent_inside,
    sent_outside,
    to_vip,
    web,
)


def test_first_packet_is_decided_then_both_directions_stay_in_the_nic(nic: Any) -> None:
    one = nic(web())
    syn = tcp(1, 2)
    assert one.first(vf(0), syn) == [(vf(1), bytes(syn))]
    one.rig.passes(vf(0), tcp(1, 2, "A"), vf(1))
    one.rig.passes(vf(1), tcp(2, 1, "SA", sport=80, dport=4000), vf(0))
    assert len(one.manager) == 1


def test_denied_first_packet_never_reaches_the_host(nic: Any) -> None:
    one = nic(web())
    one.rig.drops(vf(0), tcp(1, 2, dport=81), DropReason.POLICY_IN, vf(1))
    assert one.rig.client.packet_ins.empty()


def test_replies_pass_although_no_rule_allows_them(nic: Any) -> None:
    one = nic(web())
    query = udp(2, 4, sport=3333, dport=53)
    assert one.first(vf(1), query) == [(UPLINK, bytes(query))]
    one.rig.passes(UPLINK, udp(4, 2, sport=53, dport=3333), vf(1))
    one.rig.drops(UPLINK, udp(4, 2, sport=54, dport=3333), DropReason.POLICY_IN, vf(1))


@pytest.mark.parametrize(("direction", "member"), [("in", 2), ("out", 1)])
def test_a_mirroring_rule_copies_every_packet_of_a_connection(
    nic: Any, direction: str, member: int
) -> None:
    rule = {"direction": direction, "protocol": "tcp", "ports": 80, "mirror": "tap"}
    vms = [vm(1), vm(2), vm(3)]
    vms[member - 1]["groups"] = ["web"]
    one = nic(
        state(
            groups=[{"name": "web", "rules": [rule]}],
            mirrors=[{"name": "tap", "id": 5, "to_vm": "vm3"}],
            vms=vms,
        )
    )
    syn, data = bytes(tcp(1, 2)), bytes(tcp(1, 2, "A") / b"data")
    up = one.rig.punted(vf(0), syn)
    one.rig.listen()
    asyncio.run(one.manager.handle([punt(up)]))
    assert one.rig.next_frames(2) == [(vf(1), syn), (vf(2), syn)]
    assert one.rig.exchange(vf(0), data) == [(vf(1), data), (vf(2), data)]
    one.rig.passes(vf(1), tcp(2, 1, "A", sport=80, dport=4000), vf(0))
    other = tcp(1, 2, dport=81)
    owner, reason = (vf(1), DropReason.POLICY_IN) if member == 2 else (vf(0), DropReason.POLICY_OUT)
    one.rig.drops(vf(0), other, reason, owner)


def _beside_stateless(
    *rules: dict[str, Any], client: bool = True, stateful: bool = False
) -> DesiredState:
    """The stateful vm2 of `web`; a client vm1 or else a server vm3 with rules of its own."""
    web_group = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}]}
    own = {"name": "own", "stateful": stateful, "rules": rules}
    vms = [vm(1), vm(2, groups=["web"]), vm(3)]
    vms[0 if client else 2]["groups"] = ["own"]
    return state(groups=[web_group, own], vms=vms)


def test_stateless_rules_of_the_client_judge_replies(nic: Any) -> None:
    one = nic(_beside_stateless({"direction": "out", "protocol": "tcp", "ports": 80}))
    syn, reply = tcp(1, 2), tcp(2, 1, "SA", sport=80, dport=4000)
    assert one.first(vf(0), syn) == [(vf(1), bytes(syn))]
    one.rig.passes(vf(0), tcp(1, 2, "A"), vf(1))
    one.rig.drops(vf(1), reply, DropReason.POLICY_IN, vf(0))


def test_stateless_rules_of_the_server_judge_replies(nic: Any) -> None:
    rules = ({"protocol": "udp", "ports": 53}, {"direction": "out", "protocol": "tcp"})
    one = nic(_beside_stateless(*rules, client=False))
    query = udp(2, 3, sport=3333, dport=53)
    assert one.first(vf(1), query) == [(vf(2), bytes(query))]
    one.rig.passes(vf(1), query, vf(2))
    one.rig.drops(vf(2), udp(3, 2, sport=53, dport=3333), DropReason.POLICY_OUT, vf(2))


def test_a_change_of_stateless_rules_reaches_connections(nic: Any) -> None:
    ask = {"direction": "out", "protocol": "tcp", "ports": 80}
    replies = {"protocol": "tcp", "remote_ports": 80}
    deaf, hearing = _beside_stateless(ask), _beside_stateless(ask, replies)
    one = nic(deaf)
    syn, reply = tcp(1, 2), tcp(2, 1, "SA", sport=80, dport=4000)
    one.first(vf(0), syn)
    one.change(hearing)
    assert asyncio.run(one.manager.recheck()) == 1
    one.first(vf(0), syn)
    one.rig.passes(vf(1), reply, vf(0))
    assert asyncio.run(one.manager.recheck()) == 0
    one.change(deaf)
    assert asyncio.run(one.manager.recheck()) == 1
    one.first(vf(0), syn)
    one.rig.drops(vf(1), reply, DropReason.POLICY_IN, vf(0))
    one.change(_beside_stateless(ask, stateful=True))
    assert asyncio.run(one.manager.recheck()) == 1
    one.first(vf(0), syn)
    one.rig.passes(vf(1), reply, vf(0))


@pytest.mark.parametrize(
    "changes", [{"vlan": 5}, {"ips": ["10.0.0.8/24"]}], ids=["another network", "another address"]
)
def test_a_vm_that_is_another_one_now_has_no_connections_of_the_former(
    nic: Any, changes: dict[str, Any]
) -> None:
    one = nic(web())
    one.first(vf(0), tcp(1, 2))
    one.first(vf(1), udp(2, 4))
    assert asyncio.run(one.manager.recheck()) == 0
    one.change(web(**changes))
    assert asyncio.run(one.manager.recheck()) == 2
    assert one.rig.ports(vf(1), tcp(2, 1, "SA", sport=80, dport=4000)) == []


def test_connections_end_with_their_shared_address(nic: Any) -> None:
    one = nic(natted())
    one.first(vf(0), sent_outside(1, UDP(sport=7777, dport=53)))
    router = natted().routers[0].model_dump()
    router["snat"][0]["ports"] = "30000-30001"
    one.change(natted(routers=[router]))
    assert asyncio.run(one.manager.recheck()) == 0
    for sport, port in ((1, 30000), (2, 30001)):
        ((_, frame),) = one.first(vf(0), sent_outside(1, UDP(sport=sport, dport=53)))
        assert Ether(frame)[UDP].sport == port
    assert one.refused(vf(0), sent_outside(1, UDP(sport=3, dport=53))) is Refusal.NO_PORT
    router["snat"][0]["address"] = "192.0.2.9"
    one.change(natted(routers=[router]))
    assert asyncio.run(one.manager.recheck()) == 3


def test_stateless_rules_are_judged_where_their_vm_is(nic: Any) -> None:
    one = nic(_beside_stateless({"direction": "out", "protocol": "tcp", "ports": 80}))
    one.first(vf(0), tcp(1, 2))
    away = [Placement(vm="vm1", nic="nic2", vf=6), Placement(vm="vm2", nic="nic1", vf=1)]
    one.change(one.decider.state, [Placement(vm="vm1", nic="nic1", vf=0, role="moved"), *away])
    asyncio.run(one.manager.copy("vm1", "nic1", "nic2"))
    one.change(one.decider.state, away)
    asyncio.run(one.manager.drop("vm1", "nic1"))
    one.rig.passes(vf(1), tcp(2, 1, "SA", sport=80, dport=4000), UPLINK)
    assert len(one.manager) == 1


def test_a_guest_cannot_enter_another_ones_connection(nic: Any) -> None:
    one = nic(web())
    one.first(vf(0), tcp(1, 2))
    forged = Ether(src=mac(3), dst=mac(2)) / tcp(1, 2, "A").payload
    one.rig.drops(vf(2), forged, DropReason.SPOOFED_IP, vf(2))


def test_ipv6_connection(nic: Any) -> None:
    one = nic(web())
    packet = Ether(src=mac(1), dst=mac(2)) / IPv6(src="fd00::1", dst="fd00::2") / TCP(dport=80)
    assert one.first(vf(0), packet) == [(vf(1), bytes(packet))]
    one.rig.passes(vf(0), packet, vf(1))


def test_echo_is_a_connection(nic: Any) -> None:
    one = nic(web())
    ping = Ether(src=mac(1), dst=mac(2)) / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(id=77)
    assert one.first(vf(0), ping) == [(vf(1), bytes(ping))]
    answer = Ether(src=mac(2), dst=mac(1)) / IP(src="10.0.0.2", dst="10.0.0.1")
    one.rig.passes(vf(1), answer / ICMP(type=0, id=77), vf(0))


def test_icmp_errors_pass_only_for_known_connections(nic: Any) -> None:
    one = nic(web())
    one.first(vf(1), udp(2, 4, sport=3333, dport=53))
    quoted = udp(2, 4, sport=3333, dport=53).payload

    def error(payload: Packet) -> Packet:
        ip = IP(src="10.0.0.4", dst="10.0.0.2")
        return Ether(src=mac(4), dst=mac(2)) / ip / ICMP(type=3, code=3) / bytes(payload)

    # the rules of vm2 allow ICMP; take that away
    group = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}]}
    one.change(state(groups=[group], vms=[vm(1), vm(2, groups=["web"]), vm(3)]))
    assert one.first(UPLINK, error(quoted)) == [(vf(1), bytes(error(quoted)))]
    stranger = error(udp(2, 4, sport=9, dport=9).payload)
    assert one.refused(UPLINK, stranger) is Refusal.UNRELATED
    assert IPerror and ICMPerror


def test_fins_and_resets_end_the_pair(nic: Any) -> None:
    one = nic(web())
    number = one.rig.client.subscribe_digest()
    try:
        one.first(vf(0), tcp(1, 2))
        one.rig.passes(vf(0), tcp(1, 2, "FA"), vf(1))
        one.rig.passes(vf(1), tcp(2, 1, "FA", sport=80, dport=4000), vf(0))
        for _ in range(2):
            told = one.rig.client.digests.get(timeout=10)
            assert told.digest_id == number
            for item in told.data:
                fields = [int.from_bytes(m.bitstring, "big") for m in item.struct.members]
                one.manager.closed_by("nic1", fields)
        one.now = 1.0
        asyncio.run(one.manager.sweep())
        assert len(one.manager) == 1
        one.now = 3.0
        asyncio.run(one.manager.sweep())
        assert len(one.manager) == 0
        assert one.rig.punted(vf(0), tcp(1, 2)).meta["reason"] == PuntReason.NEW_CONNECTION
    finally:
        one.rig.client.unsubscribe_digest(number)


def test_idle_connections_end(nic: Any) -> None:
    one = nic(web())
    one.first(vf(0), tcp(1, 2))
    (connection,) = set(one.manager._by_entry.values())
    asyncio.run(one.manager.idle([next(iter(connection.installed))]))
    assert len(one.manager) == 0
    assert one.rig.punted(vf(0), tcp(1, 2)).meta["reason"] == PuntReason.NEW_CONNECTION


def test_connection_quota(nic: Any) -> None:
    group = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}]}
    vms = [vm(1, max_connections=2), vm(2, groups=["web"]), vm(3)]
    one = nic(state(groups=[group], vms=vms))
    for port in (1001, 1002):
        assert one.first(vf(0), tcp(1, 2, sport=port))
    assert one.refused(vf(0), tcp(1, 2, sport=1003)) is Refusal.QUOTA
    assert one.first(vf(2), tcp(3, 2, sport=1003))


def test_new_connections_per_second_are_limited_in_the_nic(nic: Any) -> None:
    group = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}]}
    vms = [vm(1, max_new_connections=20), vm(2, groups=["web"]), vm(3)]
    one = nic(state(groups=[group], vms=vms))
    before = one.rig.dropped(vf(0), DropReason.CONNECTION_RATE)
    storm = [tcp(1, 2, sport=port) for port in range(2000, 2100)]
    one.rig.exchange(vf(0), *storm)
    dropped = one.rig.dropped(vf(0), DropReason.CONNECTION_RATE) - before
    assert 40 < dropped <= 92
    assert one.rig.punted(vf(2), tcp(3, 2)).meta["ingress_port"] in (vf(0), vf(2))


def test_full_table_is_bridged_in_software(nic: Any) -> None:
    one = nic(web())
    one.board.limit = 0
    for _ in range(2):
        assert one.first(vf(0), tcp(1, 2)) == [(vf(1), bytes(tcp(1, 2)))]
    assert len(one.manager) == 0
    assert one.manager.count("vm1") == 1


def test_replies_of_connections_beyond_the_table_pass_too(nic: Any) -> None:
    one = nic(web())
    one.board.limit = 0
    query = udp(2, 4, sport=3333, dport=53)
    assert one.first(vf(1), query) == [(UPLINK, bytes(query))]
    answer = udp(4, 2, sport=53, dport=3333)
    assert one.first(UPLINK, answer) == [(vf(1), bytes(answer))]
    assert one.refused(UPLINK, udp(4, 2, sport=54, dport=3333)) is Refusal.POLICY
    one.now = 1000.0
    asyncio.run(one.manager.sweep())
    one.rig.drops(UPLINK, answer, DropReason.POLICY_IN, vf(1))


def test_connection_follows_a_moved_vm(nic: Any) -> None:
    one = nic(web())
    one.first(vf(0), tcp(1, 2))
    desired = web()
    placements = [
        Placement(vm="vm1", nic="nic1", vf=0),
        Placement(vm="vm2", nic="nic1", vf=1, role="moved"),
        Placement(vm="vm2", nic="nic2", vf=6),
        Placement(vm="vm3", nic="nic1", vf=2),
    ]
    one.change(desired, placements)
    # Both ways at its new place, and at either place its packets from the other one.
    assert asyncio.run(one.manager.copy("vm2", "nic1", "nic2")) == 4
    assert asyncio.run(one.manager.copy("vm2", "nic1", "nic2")) == 0
    one.change(desired, [placements[0], *placements[2:]])
    asyncio.run(one.manager.drop("vm2", "nic1"))
    left = {key for key in one.manager._by_entry if key[0] == "nic1"}
    assert left == set()
    zones = sorted(dict(e.match)["zone"] for e in one.board.elsewhere["nic2"].values())
    assert zones == [4095, 0x8000 + 22]


def _move_vm2(one: Any, nic: str, source: str) -> None:
    """vm2 runs at another NIC; its old one is emptied."""
    stays = [Placement(vm="vm1", nic="nic1", vf=0), Placement(vm="vm3", nic="nic1", vf=2)]
    moved = Placement(vm="vm2", nic=nic, vf=6)
    left = Placement(vm="vm2", nic=source, vf=1, role="moved")
    one.change(web(), [*stays, left, moved])
    asyncio.run(one.manager.copy("vm2", source, nic))
    one.change(web(), [*stays, moved])
    asyncio.run(one.manager.drop("vm2", source))


def _left_at(one: Any, now: float) -> int:
    """How many connections there are after a sweep at a time."""
    one.now = now
    asyncio.run(one.manager.sweep())
    return len(one.manager)


def _moved_at_3000(nic: Any) -> Any:
    """A connection whose last packet came 2900 s before vm2 moved to nic2."""
    one = nic(web())
    one.first(vf(0), tcp(1, 2))
    one.now = 3000.0
    one.board.ages = {"nic1": 2900.0}
    _move_vm2(one, "nic2", "nic1")
    return one


def test_what_is_left_of_the_idle_time_moves_too(nic: Any) -> None:
    one = _moved_at_3000(nic)
    one.board.ages = {"nic2": 690.0}  # no packet since the entries were copied
    assert _left_at(one, 3690.0) == 1
    one.board.ages = {"nic2": 701.0}
    assert _left_at(one, 3701.0) == 0


def test_a_packet_after_the_move_gives_the_full_idle_time(nic: Any) -> None:
    one = _moved_at_3000(nic)
    one.board.ages = {"nic2": 300.0}
    assert _left_at(one, 3701.0) == 1
    one.board.ages = {"nic2": 3600.0}
    one.now = 7001.0
    (connection,) = one.manager._of_vm["vm2"]
    asyncio.run(one.manager.idle(list(connection.installed)))
    assert len(one.manager) == 0


def test_idle_times_of_one_move_count_in_the_next(nic: Any) -> None:
    one = nic(web())
    one.first(vf(0), tcp(1, 2))
    one.now = 1000.0
    one.board.ages = {"nic1": 1000.0}
    _move_vm2(one, "nic2", "nic1")
    one.now = 2000.0
    one.board.ages = {"nic2": 400.0}  # a packet at 1600
    _move_vm2(one, "nic3", "nic2")
    one.board.ages = {"nic3": 3190.0}
    assert _left_at(one, 5190.0) == 1
    one.board.ages = {"nic3": 3201.0}
    assert _left_at(one, 5201.0) == 0


# load balancer


def test_vip_answers_arp_with_the_router(nic: Any) -> None:
    one = nic(balanced())
    ask = ARP(hwsrc=mac(1), psrc="10.0.0.1", pdst="10.0.0.100")
    ((_, frame),) = one.rig.exchange(vf(0), Ether(src=mac(1), dst="ff:ff:ff:ff:ff:ff") / ask)
    assert Ether(frame)[ARP].hwsrc == ROUTER


def test_connections_are_balanced_and_replies_come_from_the_vip(nic: Any) -> None:
    one = nic(balanced())
    chosen: dict[int, int] = {}
    for sport in range(3000, 3012):
        ((port, frame),) = one.first(vf(0), to_vip(sport))
        packet = checked(frame)
        member = port - vf(0) + 1
        assert (packet.dst, packet[IP].dst) == (mac(member), f"10.0.0.{member}")
        assert (packet[TCP].dport, packet[IP].ttl) == (8080, 63)
        chosen[sport] = member
        reply = tcp(member, 1, "SA", sport=8080, dport=sport)
        ((back, frame),) = one.rig.exchange(port, reply)
        packet = checked(frame)
        assert back == vf(0)
        assert (packet[IP].src, packet[TCP].sport) == ("10.0.0.100", 80)
    assert set(chosen.values()) == {2, 3}
    # established connections stay although a member goes
    one.change(balanced(members=[{"vm": "vm3", "port": 8080}]))
    for sport, member in chosen.items():
        assert one.rig.ports(vf(0), to_vip(sport, "A")) == [vf(member - 1)]
    assert one.first(vf(0), to_vip(4000))[0][0] == vf(2)


def test_unhealthy_and_draining_members_get_nothing_new(nic: Any) -> None:
    members = [{"vm": "vm2", "port": 8080, "drain": True}, {"vm": "vm3", "port": 8080}]
    one = nic(balanced(members=members))
    assert {one.first(vf(0), to_vip(sport))[0][0] for sport in range(5000, 5006)} == {vf(2)}
    one.unhealthy = frozenset({"vm3"})
    one.change(balanced(members=members))
    assert one.refused(vf(0), to_vip(5100)) is Refusal.NO_MEMBER


def test_a_member_is_served_by_the_others(nic: Any) -> None:
    one = nic(balanced())
    ip = IP(src="10.0.0.2", dst="10.0.0.100")
    for sport in range(3000, 3006):
        request = Ether(src=mac(2), dst=ROUTER) / ip / TCP(sport=sport, dport=80)
        assert one.first(vf(1), request)[0][0] == vf(2)
    one.change(balanced(members=[{"vm": "vm2", "port": 8080}]))
    request = Ether(src=mac(2), dst=ROUTER) / ip / TCP(sport=4000, dport=80)
    assert one.refused(vf(1), request) is Refusal.NO_MEMBER


def test_member_on_another_server(nic: Any) -> None:
    one = nic(balanced(members=[{"vm": "vm4", "port": 8080}]))
    ((port, frame),) = one.first(vf(0), to_vip(3000))
    assert port == UPLINK
    assert (checked(frame)[IP].dst, Ether(frame).dst) == ("10.0.0.4", mac(4))
    there = {dict(e.match)["zone"]: e for e in one.board.elsewhere["nic2"].values()}
    assert there[0x8000 + 16].action == "translate_v4"
    assert there[4095].action == "pass_connection"


@pytest.mark.parametrize("room", [10**9, 0])
def test_an_outside_client_reaches_a_member_on_another_server(nic: Any, room: int) -> None:
    one = nic(balanced(members=[{"vm": "vm4", "port": 8080}]))
    one.board.limit = room
    outside = Ether(src=mac(9), dst=OWN_ROUTER)
    request = IP(src="10.0.0.9", dst="10.0.0.100") / TCP(sport=3000, dport=80)
    ((port, frame),) = one.first(UPLINK, outside / request)
    packet = checked(frame)
    assert (port, packet.dst, packet[IP].dst, packet[IP].ttl) == (UPLINK, mac(4), "10.0.0.4", 63)
    if room:
        assert one.rig.exchange(UPLINK, outside / request) == [(UPLINK, frame)]
    stray = outside / IP(src="10.0.0.9", dst="10.0.0.4") / TCP(dport=8080)
    one.rig.drops(UPLINK, stray, DropReason.UNKNOWN_DESTINATION, UPLINK)


def test_weights() -> None:
    from control.connections.choice import choose_member
    from control.connections.flow import Flow

    members = [{"vm": "vm2", "port": 1, "weight": 3}, {"vm": "vm3", "port": 1}]
    (balancer,) = balanced(members=members).load_balancers
    picks = [choose_member(balancer, Flow(4, 1, 2, 6, port, 80)) for port in range(4000)]
    share = sum(1 for pick in picks if pick is not None and pick.vm == "vm2")
    assert 2880 < share < 3120


# NAT


@pytest.mark.parametrize("layer", [TCP, UDP])
def test_floating_address_both_ways(nic: Any, layer: Any) -> None:
    one = nic(natted())
    ((port, frame),) = one.rig.exchange(vf(1), sent_outside(2, layer(sport=5, dport=53) / b"odd"))
    packet = checked(frame)
    assert port == UPLINK
    assert (packet[IP].src, packet.src, packet.dst) == (
        "192.0.2.50", OWN_ROUTER, "0a:00:00:00:00:fe",
    )  # fmt: skip
    ((port, frame),) = one.rig.exchange(
        UPLINK, sent_inside("192.0.2.50", layer(sport=53, dport=5) / b"x")
    )
    packet = checked(frame)
    assert (port, packet[IP].dst, packet.dst) == (vf(1), "10.0.0.2", mac(2))


def test_frames_to_another_nics_router_are_not_routed(nic: Any) -> None:
    one = nic(natted())
    frame = sent_inside("192.0.2.50", UDP(sport=53, dport=5))
    frame.dst = "06:4e:49:52:00:02"
    one.rig.drops(UPLINK, frame, DropReason.UNKNOWN_DESTINATION, UPLINK)


def test_udp_without_checksum_stays_without(nic: Any) -> None:
    one = nic(natted())
    ((_, frame),) = one.rig.exchange(
        vf(1), sent_outside(2, UDP(sport=5, dport=53, chksum=0) / b"odd")
    )
    assert Ether(frame)[UDP].chksum == 0


def test_floating_address_answers_arp_where_the_vm_is(nic: Any) -> None:
    one = nic(natted())
    for address in ("192.0.2.50", "192.0.2.1"):
        ask = ARP(hwsrc="0a:00:00:00:00:fe", psrc="192.0.2.254", pdst=address)
        packet = Ether(src="0a:00:00:00:00:fe", dst="ff:ff:ff:ff:ff:ff") / ask
        for asker in (UPLINK, PF):
            ((port, frame),) = one.rig.exchange(asker, packet)
            assert (port, Ether(frame)[ARP].hwsrc) == (asker, OWN_ROUTER)


@pytest.mark.parametrize("layer", [TCP, UDP])
def test_shared_address_with_ports(nic: Any, layer: Any) -> None:
    one = nic(natted())
    ((port, frame),) = one.first(vf(0), sent_outside(1, layer(sport=7777, dport=53) / b"odd"))
    packet = checked(frame)
    assert (port, packet[IP].src, packet[layer].sport) == (UPLINK, "192.0.2.1", 20000)
    ((port, frame),) = one.rig.exchange(
        UPLINK, sent_inside("192.0.2.1", layer(sport=53, dport=20000) / b"x")
    )
    packet = checked(frame)
    assert (port, packet[IP].dst, packet[layer].dport) == (vf(0), "10.0.0.1", 7777)
    stranger = one.rig.punted(UPLINK, sent_inside("192.0.2.1", layer(sport=54, dport=20000)))
    assert stranger.meta["reason"] == PuntReason.ROUTER
    assert not one.manager.in_software(punt(stranger))


def test_a_vm_that_moved_away_is_reached_through_its_shared_address(nic: Any) -> None:
    one = nic(natted())
    one.first(vf(0), sent_outside(1, UDP(sport=7777, dport=53)))
    stays = [Placement(vm="vm2", nic="nic1", vf=1), Placement(vm="vm3", nic="nic1", vf=2)]
    one.change(natted(), [Placement(vm="vm1", nic="nic2", vf=6), *stays])
    asyncio.run(one.manager.drop("vm1", "nic1"))
    reply = sent_inside("192.0.2.1", UDP(sport=53, dport=20000) / b"x")
    ((port, frame),) = one.rig.exchange(UPLINK, reply)
    packet = Ether(frame)[VXLAN].payload
    assert (port, packet.dst, packet[IP].dst, packet[UDP].dport) == (
        UPLINK, mac(1), "10.0.0.1", 7777,
    )  # fmt: skip


def test_shared_address_echo(nic: Any) -> None:
    one = nic(natted())
    ((_, frame),) = one.first(vf(0), sent_outside(1, ICMP(id=99, seq=3) / b"ping"))
    packet = checked(frame)
    assert (packet[IP].src, packet[ICMP].id, packet[ICMP].seq) == ("192.0.2.1", 20000, 3)
    ((port, frame),) = one.rig.exchange(
        UPLINK, sent_inside("192.0.2.1", ICMP(type=0, id=20000, seq=3))
    )
    packet = checked(frame)
    assert (port, packet[IP].dst, packet[ICMP].id) == (vf(0), "10.0.0.1", 99)


def test_ports_run_out_and_come_back(nic: Any) -> None:
    one = nic(natted())
    for sport in range(4):
        one.first(vf(0), sent_outside(1, UDP(sport=9000 + sport, dport=53)))
    assert one.refused(vf(0), sent_outside(1, UDP(sport=9100, dport=53))) is Refusal.NO_PORT
    connection = next(iter(set(one.manager._by_entry.values())))
    asyncio.run(one.manager.idle([next(iter(connection.installed))]))
    assert one.first(vf(0), sent_outside(1, UDP(sport=9100, dport=53)))


def test_full_table_translates_in_software(nic: Any) -> None:
    one = nic(natted())
    one.board.limit = 0
    ((port, frame),) = one.first(vf(0), sent_outside(1, UDP(sport=7777, dport=53) / b"odd"))
    packet = checked(frame)
    assert (port, packet[IP].src) == (UPLINK, "192.0.2.1")
    ((port, frame),) = one.first(
        UPLINK, sent_inside("192.0.2.1", UDP(sport=53, dport=20000) / b"x")
    )
    packet = checked(frame)
    assert (port, packet[IP].dst, packet[UDP].dport) == (vf(0), "10.0.0.1", 7777)
