"""Stateful connections, load balancer and NAT: one NIC, its slow path, and the manager."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from finsy.proto import p4r
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from control.connections import ConnectionManager, Decider, PortPool, Punt, Refusal
from control.connections.health import Health
from control.connections.manager import Change
from control.connections.respond import response
from control.model import DesiredState, Placement
from control.policy import Entry, placements_of
from control.policy.reasons import DropReason, PuntReason

from .client import Client
from .rig import PF, UPLINK, Rig, mac, state, tcp, udp, vf, vm

ROUTER = "06:4e:49:52:00:00"
OWN_ROUTER = "06:4e:49:52:00:01"
KINDS = {"insert": p4r.Update.INSERT, "modify": p4r.Update.MODIFY, "delete": p4r.Update.DELETE}


class Board:
    """The switchboard of one real NIC; what others hold is only noted."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.elsewhere: dict[str, dict[object, Entry]] = {}
        self.limit = 10**9

    async def write_each(self, nic: str, changes: Sequence[Change]) -> list[str]:
        if nic != "nic1":
            held = self.elsewhere.setdefault(nic, {})
            for kind, entry in changes:
                held.pop(entry.key, None)
                if kind != "delete":
                    held[entry.key] = entry
            return [""] * len(changes)
        return [self._write(kind, entry) for kind, entry in changes]

    def _write(self, kind: str, entry: Entry) -> str:
        if kind == "insert" and self.limit == 0:
            return "RESOURCE_EXHAUSTED"
        self.limit -= kind == "insert"
        self._client.write([p4r.Update(type=KINDS[kind], entity=self._client.encoder.entry(entry))])
        return ""

    async def resume(self, nic: str, frames: Sequence[tuple[bytes, int, int, int]]) -> None:
        assert nic == "nic1"
        for frame, mode, port, network in frames:
            self._client.packet_out(frame, mode=mode, port=port, network=network)

    async def set_overflow(self, nic: str, on: bool) -> None:
        entry = Entry("overflow_table", (), "ask_host" if on else "NoAction")
        update = p4r.Update(type=p4r.Update.MODIFY, entity=self._client.encoder.entry(entry))
        update.entity.table_entry.is_default_action = True
        self._client.write([update])

    async def idle_s(self, nic: str, entry: Entry) -> float | None:
        return 10.0**6


class Stateful:
    """nic1 with its connection manager."""

    def __init__(self, rig: Rig, desired: DesiredState) -> None:
        self.rig = rig
        self.board = Board(rig.client)
        self.pools: dict[str, PortPool] = {}
        self.now = 0.0
        self.unhealthy: frozenset[str] = frozenset()
        self.change(desired)
        self.manager = ConnectionManager(
            self.board, lambda: self.decider, self.pools, clock=lambda: self.now
        )

    def change(self, desired: DesiredState, placements: list[Placement] | None = None) -> None:
        self.rig.configure(desired, placements)
        places = placements_of(desired) if placements is None else placements
        self.decider = Decider(desired, places, self.pools, self.unhealthy)

    def first(self, port: int, packet: Packet | bytes) -> list[tuple[int, bytes]]:
        """Send a packet that the host must decide; what leaves after it has."""
        up = self.rig.punted(port, packet)
        self.rig.switch.poll()
        asyncio.run(self.manager.handle([punt(up)]))
        try:
            return [self.rig.next_frame()]
        except TimeoutError:
            return []

    def refused(self, port: int, packet: Packet | bytes) -> Refusal:
        """Send a packet that the host refuses; why it does."""
        before = self.manager.refused.copy()
        up = self.rig.punted(port, packet)
        asyncio.run(self.manager.handle([punt(up)]))
        (reason,) = self.manager.refused - before
        return reason

    def clear(self) -> None:
        software = {connection for connection, _ in self.manager._software.values()}
        asyncio.run(self.manager._end({*self.manager._by_entry.values(), *software}))


def punt(up: Any) -> Punt:
    meta = up.meta
    return Punt(
        "nic1", meta["reason"], meta["ingress_port"], meta["network"],
        meta["destination_port"], up.payload,
    )  # fmt: skip


@pytest.fixture
def nic(rig: Rig, request: pytest.FixtureRequest) -> Any:
    made: list[Stateful] = []

    def make(desired: DesiredState) -> Stateful:
        made.append(Stateful(rig, desired))
        return made[-1]

    yield make
    for one in made:
        one.clear()


def _web(**changes: Any) -> DesiredState:
    """vm2 in a stateful group that takes TCP port 80."""
    group = {"name": "web", "rules": [{"protocol": "tcp", "ports": 80}, {"protocol": "icmp"}]}
    document = {"groups": [group], "vms": [vm(1), vm(2, groups=["web"], **changes), vm(3)]}
    return state(**document)


def test_first_packet_is_decided_then_both_directions_stay_in_the_nic(nic: Any) -> None:
    one = nic(_web())
    syn = tcp(1, 2)
    assert one.first(vf(0), syn) == [(vf(1), bytes(syn))]
    one.rig.passes(vf(0), tcp(1, 2, "A"), vf(1))
    one.rig.passes(vf(1), tcp(2, 1, "SA", sport=80, dport=4000), vf(0))
    assert len(one.manager) == 1


def test_denied_first_packet_never_reaches_the_host(nic: Any) -> None:
    one = nic(_web())
    one.rig.drops(vf(0), tcp(1, 2, dport=81), DropReason.POLICY_IN, vf(1))
    assert one.rig.client.packet_ins.empty()


def test_replies_pass_although_no_rule_allows_them(nic: Any) -> None:
    one = nic(_web())
    query = udp(2, 4, sport=3333, dport=53)
    assert one.first(vf(1), query) == [(UPLINK, bytes(query))]
    one.rig.passes(UPLINK, udp(4, 2, sport=53, dport=3333), vf(1))
    one.rig.drops(UPLINK, udp(4, 2, sport=54, dport=3333), DropReason.POLICY_IN, vf(1))


def test_a_guest_cannot_enter_another_ones_connection(nic: Any) -> None:
    one = nic(_web())
    one.first(vf(0), tcp(1, 2))
    forged = Ether(src=mac(3), dst=mac(2)) / tcp(1, 2, "A").payload
    one.rig.drops(vf(2), forged, DropReason.SPOOFED_IP, vf(2))


def test_ipv6_connection(nic: Any) -> None:
    one = nic(_web())
    packet = Ether(src=mac(1), dst=mac(2)) / IPv6(src="fd00::1", dst="fd00::2") / TCP(dport=80)
    assert one.first(vf(0), packet) == [(vf(1), bytes(packet))]
    one.rig.passes(vf(0), packet, vf(1))


def test_echo_is_a_connection(nic: Any) -> None:
    one = nic(_web())
    ping = Ether(src=mac(1), dst=mac(2)) / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(id=77)
    assert one.first(vf(0), ping) == [(vf(1), bytes(ping))]
    answer = Ether(src=mac(2), dst=mac(1)) / IP(src="10.0.0.2", dst="10.0.0.1")
    one.rig.passes(vf(1), answer / ICMP(type=0, id=77), vf(0))


def test_icmp_errors_pass_only_for_known_connections(nic: Any) -> None:
    one = nic(_web())
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
    one = nic(_web())
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
    one = nic(_web())
    one.first(vf(0), tcp(1, 2))
    (connection,) = set(one.manager._by_entry.values())
    asyncio.run(one.manager.idle(next(iter(connection.installed))))
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
    one = nic(_web())
    one.board.limit = 0
    for _ in range(2):
        assert one.first(vf(0), tcp(1, 2)) == [(vf(1), bytes(tcp(1, 2)))]
    assert len(one.manager) == 0
    assert one.manager.count("vm1") == 1


def test_replies_of_connections_beyond_the_table_pass_too(nic: Any) -> None:
    one = nic(_web())
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
    one = nic(_web())
    one.first(vf(0), tcp(1, 2))
    desired = _web()
    placements = [
        Placement(vm="vm1", nic="nic1", vf=0),
        Placement(vm="vm2", nic="nic1", vf=1, role="moved"),
        Placement(vm="vm2", nic="nic2", vf=6),
        Placement(vm="vm3", nic="nic1", vf=2),
    ]
    one.change(desired, placements)
    assert asyncio.run(one.manager.copy("vm2", "nic1", "nic2")) == 2
    assert asyncio.run(one.manager.copy("vm2", "nic1", "nic2")) == 0
    zones = sorted(dict(e.match)["zone"] for e in one.board.elsewhere["nic2"].values())
    assert zones == [4095, 0x8000 + 22]
    one.change(desired, [placements[0], *placements[2:]])
    asyncio.run(one.manager.drop("vm2", "nic1"))
    left = {key for key in one.manager._by_entry if key[0] == "nic1"}
    assert left == set()
    assert len(one.board.elsewhere["nic2"]) == 2


# load balancer


def _balanced(**changes: Any) -> DesiredState:
    balancer = {
        "name": "shop", "network": "lan", "address": "10.0.0.100", "port": 80,
        "members": [{"vm": "vm2", "port": 8080}, {"vm": "vm3", "port": 8080}],
    }  # fmt: skip
    return state(load_balancers=[balancer | changes])


def _to_vip(sport: int, flags: str = "S") -> Packet:
    ip = IP(src="10.0.0.1", dst="10.0.0.100")
    return Ether(src=mac(1), dst=ROUTER) / ip / TCP(sport=sport, dport=80, flags=flags) / b"hello"


def _checked(frame: bytes) -> Packet:
    """A frame whose IP and TCP or UDP checksums are right."""
    packet = Ether(frame)
    again = packet.copy()
    for layer in (IP, TCP, UDP, ICMP):
        if layer in again:
            del again[layer].chksum
    assert bytes(again) == frame
    return packet


def test_vip_answers_arp_with_the_router(nic: Any) -> None:
    one = nic(_balanced())
    ask = ARP(hwsrc=mac(1), psrc="10.0.0.1", pdst="10.0.0.100")
    ((_, frame),) = one.rig.exchange(vf(0), Ether(src=mac(1), dst="ff:ff:ff:ff:ff:ff") / ask)
    assert Ether(frame)[ARP].hwsrc == ROUTER


def test_connections_are_balanced_and_replies_come_from_the_vip(nic: Any) -> None:
    one = nic(_balanced())
    chosen: dict[int, int] = {}
    for sport in range(3000, 3012):
        ((port, frame),) = one.first(vf(0), _to_vip(sport))
        packet = _checked(frame)
        member = port - vf(0) + 1
        assert (packet.dst, packet[IP].dst) == (mac(member), f"10.0.0.{member}")
        assert (packet[TCP].dport, packet[IP].ttl) == (8080, 63)
        chosen[sport] = member
        reply = tcp(member, 1, "SA", sport=8080, dport=sport)
        ((back, frame),) = one.rig.exchange(port, reply)
        packet = _checked(frame)
        assert back == vf(0)
        assert (packet[IP].src, packet[TCP].sport) == ("10.0.0.100", 80)
    assert set(chosen.values()) == {2, 3}
    # established connections stay although a member goes
    one.change(_balanced(members=[{"vm": "vm3", "port": 8080}]))
    for sport, member in chosen.items():
        assert one.rig.ports(vf(0), _to_vip(sport, "A")) == [vf(member - 1)]
    assert one.first(vf(0), _to_vip(4000))[0][0] == vf(2)


def test_unhealthy_and_draining_members_get_nothing_new(nic: Any) -> None:
    members = [{"vm": "vm2", "port": 8080, "drain": True}, {"vm": "vm3", "port": 8080}]
    one = nic(_balanced(members=members))
    assert {one.first(vf(0), _to_vip(sport))[0][0] for sport in range(5000, 5006)} == {vf(2)}
    one.unhealthy = frozenset({"vm3"})
    one.change(_balanced(members=members))
    assert one.refused(vf(0), _to_vip(5100)) is Refusal.NO_MEMBER


def test_member_on_another_server(nic: Any) -> None:
    one = nic(_balanced(members=[{"vm": "vm4", "port": 8080}]))
    ((port, frame),) = one.first(vf(0), _to_vip(3000))
    assert port == UPLINK
    assert (_checked(frame)[IP].dst, Ether(frame).dst) == ("10.0.0.4", mac(4))
    there = {dict(e.match)["zone"]: e for e in one.board.elsewhere["nic2"].values()}
    assert there[0x8000 + 16].action == "translate_v4"
    assert there[4095].action == "pass_connection"


def test_weights() -> None:
    from control.connections.choice import choose_member
    from control.connections.flow import Flow

    members = [{"vm": "vm2", "port": 1, "weight": 3}, {"vm": "vm3", "port": 1}]
    (balancer,) = _balanced(members=members).load_balancers
    picks = [choose_member(balancer, Flow(4, 1, 2, 6, port, 80)) for port in range(4000)]
    share = sum(1 for pick in picks if pick is not None and pick.vm == "vm2")
    assert 2880 < share < 3120


# NAT


def _natted(**changes: Any) -> DesiredState:
    """Tenant acme in an overlay, with a router to the untagged network."""
    document: dict[str, Any] = {
        "networks": [
            {"name": "lan"},
            {"name": "blue", "vni": 7, "tenant": "acme", "gateways": ["10.0.0.254/24"]},
        ],
        "vms": [vm(1, network="blue"), vm(2, network="blue"), vm(3)],
        "routers": [
            {"tenant": "acme", "outside": "lan", "gateway_mac": "0a:00:00:00:00:fe",
             "snat": [{"nic": "nic1", "address": "192.0.2.1", "ports": "20000-20003"}]}
        ],
        "floating": [{"address": "192.0.2.50", "vm": "vm2"}],
    }  # fmt: skip
    return state(**(document | changes))


def _out(src: int, payload: Packet) -> Packet:
    return Ether(src=mac(src), dst=ROUTER) / IP(src=f"10.0.0.{src}", dst="198.51.100.9") / payload


def _in(dst: str, payload: Packet) -> Packet:
    return (
        Ether(src="0a:00:00:00:00:fe", dst=OWN_ROUTER) / IP(src="198.51.100.9", dst=dst) / payload
    )


@pytest.mark.parametrize("layer", [TCP, UDP])
def test_floating_address_both_ways(nic: Any, layer: Any) -> None:
    one = nic(_natted())
    ((port, frame),) = one.rig.exchange(vf(1), _out(2, layer(sport=5, dport=53) / b"odd"))
    packet = _checked(frame)
    assert port == UPLINK
    assert (packet[IP].src, packet.src, packet.dst) == (
        "192.0.2.50", OWN_ROUTER, "0a:00:00:00:00:fe",
    )  # fmt: skip
    ((port, frame),) = one.rig.exchange(UPLINK, _in("192.0.2.50", layer(sport=53, dport=5) / b"x"))
    packet = _checked(frame)
    assert (port, packet[IP].dst, packet.dst) == (vf(1), "10.0.0.2", mac(2))


def test_frames_to_another_nics_router_are_not_routed(nic: Any) -> None:
    one = nic(_natted())
    frame = _in("192.0.2.50", UDP(sport=53, dport=5))
    frame.dst = "06:4e:49:52:00:02"
    one.rig.drops(UPLINK, frame, DropReason.UNKNOWN_DESTINATION, UPLINK)


def test_udp_without_checksum_stays_without(nic: Any) -> None:
    one = nic(_natted())
    ((_, frame),) = one.rig.exchange(vf(1), _out(2, UDP(sport=5, dport=53, chksum=0) / b"odd"))
    assert Ether(frame)[UDP].chksum == 0


def test_floating_address_answers_arp_where_the_vm_is(nic: Any) -> None:
    one = nic(_natted())
    for address in ("192.0.2.50", "192.0.2.1"):
        ask = ARP(hwsrc="0a:00:00:00:00:fe", psrc="192.0.2.254", pdst=address)
        packet = Ether(src="0a:00:00:00:00:fe", dst="ff:ff:ff:ff:ff:ff") / ask
        for asker in (UPLINK, PF):
            ((port, frame),) = one.rig.exchange(asker, packet)
            assert (port, Ether(frame)[ARP].hwsrc) == (asker, OWN_ROUTER)


@pytest.mark.parametrize("layer", [TCP, UDP])
def test_shared_address_with_ports(nic: Any, layer: Any) -> None:
    one = nic(_natted())
    ((port, frame),) = one.first(vf(0), _out(1, layer(sport=7777, dport=53) / b"odd"))
    packet = _checked(frame)
    assert (port, packet[IP].src, packet[layer].sport) == (UPLINK, "192.0.2.1", 20000)
    ((port, frame),) = one.rig.exchange(
        UPLINK, _in("192.0.2.1", layer(sport=53, dport=20000) / b"x")
    )
    packet = _checked(frame)
    assert (port, packet[IP].dst, packet[layer].dport) == (vf(0), "10.0.0.1", 7777)
    stranger = one.rig.punted(UPLINK, _in("192.0.2.1", layer(sport=54, dport=20000)))
    assert stranger.meta["reason"] == PuntReason.ROUTER
    assert not one.manager.in_software(punt(stranger))


def test_shared_address_echo(nic: Any) -> None:
    one = nic(_natted())
    ((_, frame),) = one.first(vf(0), _out(1, ICMP(id=99, seq=3) / b"ping"))
    packet = _checked(frame)
    assert (packet[IP].src, packet[ICMP].id, packet[ICMP].seq) == ("192.0.2.1", 20000, 3)
    ((port, frame),) = one.rig.exchange(UPLINK, _in("192.0.2.1", ICMP(type=0, id=20000, seq=3)))
    packet = _checked(frame)
    assert (port, packet[IP].dst, packet[ICMP].id) == (vf(0), "10.0.0.1", 99)


def test_ports_run_out_and_come_back(nic: Any) -> None:
    one = nic(_natted())
    for sport in range(4):
        one.first(vf(0), _out(1, UDP(sport=9000 + sport, dport=53)))
    assert one.refused(vf(0), _out(1, UDP(sport=9100, dport=53))) is Refusal.NO_PORT
    connection = next(iter(set(one.manager._by_entry.values())))
    asyncio.run(one.manager.idle(next(iter(connection.installed))))
    assert one.first(vf(0), _out(1, UDP(sport=9100, dport=53)))


def test_full_table_translates_in_software(nic: Any) -> None:
    one = nic(_natted())
    one.board.limit = 0
    ((port, frame),) = one.first(vf(0), _out(1, UDP(sport=7777, dport=53) / b"odd"))
    packet = _checked(frame)
    assert (port, packet[IP].src) == (UPLINK, "192.0.2.1")
    ((port, frame),) = one.first(UPLINK, _in("192.0.2.1", UDP(sport=53, dport=20000) / b"x"))
    packet = _checked(frame)
    assert (port, packet[IP].dst, packet[UDP].dport) == (vf(0), "10.0.0.1", 7777)


# restarts


def _restarted(one: Stateful) -> ConnectionManager:
    """Another controller's manager, which has found what nic1 holds."""
    again = Decider(one.decider.state, placements_of(one.decider.state), {})
    manager = ConnectionManager(one.board, lambda: again, again.pools)
    held = {key: e for c in set(one.manager._by_entry.values()) for key, e in c.installed.items()}
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
    found = set(manager._by_entry.values())
    return [item for connection in found for item in connection.installed.items()]


def test_a_restarted_controller_takes_connections_over(nic: Any) -> None:
    one = nic(_web())
    one.first(vf(0), tcp(1, 2))
    one.first(vf(1), udp(2, 4, sport=3333, dport=53))
    again = _restarted(one)
    assert len(again) == 2
    assert _same(again, one.manager)
    assert again.count("vm1") + again.count("vm2") == 2


def test_translations_are_taken_over_with_their_ports(nic: Any) -> None:
    one = nic(_natted())
    one.first(vf(0), _out(1, UDP(sport=7777, dport=53)))
    again = _restarted(one)
    assert _same(again, one.manager)
    (connection,) = set(again._by_entry.values())
    assert connection.nat_port == ("192.0.2.1", 17, 20000)
    assert again._pools["192.0.2.1"].take(17) == 20001


def test_balanced_connections_are_taken_over_from_both_nics(nic: Any) -> None:
    one = nic(_balanced(members=[{"vm": "vm4", "port": 8080}]))
    one.first(vf(0), _to_vip(3000))
    again = _restarted(one)
    assert len(again) == 1
    assert _same(again, one.manager)


def test_what_belongs_to_nobody_is_removed(nic: Any) -> None:
    one = nic(_web())
    one.first(vf(0), tcp(1, 2))
    (connection,) = set(one.manager._by_entry.values())
    (lonely, entry), *_ = connection.installed.items()
    manager = ConnectionManager(one.board, lambda: one.decider, {})
    asyncio.run(manager.adopt("nic1", {lonely: entry}))
    assert len(manager) == 0
    del connection.installed[lonely], one.manager._by_entry[lonely]


# the router itself


def _ping(src: int, dst: str) -> Packet:
    ip = IP(src=f"10.0.0.{src}", dst=dst)
    return Ether(src=mac(src), dst=ROUTER) / ip / ICMP(id=5, seq=9) / b"some payload"


def test_gateway_answers_pings_by_the_host(nic: Any) -> None:
    one = nic(_natted())
    up = punt(one.rig.punted(vf(0), _ping(1, "10.0.0.254")))
    assert up.reason == PuntReason.ROUTER
    packet = _checked(response(up, "10.0.0.254") or b"")
    assert (packet[IP].src, packet[IP].dst) == ("10.0.0.254", "10.0.0.1")
    assert (packet[ICMP].type, packet[ICMP].id, packet[ICMP].seq) == (0, 5, 9)
    assert packet.load == b"some payload"


def test_time_exceeded_comes_from_the_gateway(nic: Any) -> None:
    one = nic(_natted())
    late = _out(1, UDP(sport=1, dport=33434))
    late[IP].ttl = 1
    up = punt(one.rig.punted(vf(0), late))
    packet = _checked(response(up, "10.0.0.254") or b"")
    assert (packet[IP].src, packet[ICMP].type) == ("10.0.0.254", 11)
    assert packet[IPerror].dst == "198.51.100.9"
    assert response(up, None) is None


def test_health_checks(nic: Any) -> None:
    check = {"interval_s": 1, "failures": 2}
    one = nic(_balanced(health=check))
    desired, health = one.decider.state, Health()
    probes = {probe.vm: probe for probe in health.probes(desired, 0.0)}
    assert set(probes) == {"vm2", "vm3"}
    one.rig.out(probes["vm2"].frame, mode=0, port=vf(1), network=probes["vm2"].network)
    port, frame = one.rig.next_frame()
    syn = _checked(frame)
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
