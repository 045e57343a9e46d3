"""A packet's way through one NIC, stage by stage as p4src/hybrid_nic.p4 goes, in words."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from control.explain.question import Question
from control.explain.tables import Tables
from control.model.state import TUNNEL_MAC_PREFIX
from control.policy.entries import Entry
from control.policy.networks import ROLE_UPLINK, ROLE_VF
from control.policy.reasons import (
    PORT_CPU,
    PORT_PF,
    PORT_UPLINK,
    PORT_VF0,
    DropReason,
    PuntReason,
    label,
    slow_path_label,
)
from control.policy.view import ROUTER_MAC

ROUTER_PREFIX = ROUTER_MAC >> 16
ZONE_OF_VF = 0x8000
WIDTH = {4: 32, 6: 128}
VEPA, PRIVATE = 1, 2


@dataclass(frozen=True)
class Step:
    """What one stage does: the stage, what it says, and the entry that says so."""

    stage: str
    says: str
    rule: str = ""


@dataclass
class Way:
    """A packet under way, and what has been said about it."""

    packet: Question
    in_port: int
    network: int = 0
    tenant: int = 0
    policy: int = 0
    stateful: int = 0
    tracked: int = 0
    mode: int = 0
    router: int = 0
    known: bool = False
    translated: bool = False
    routed: bool = False
    in_stateful: int = 0
    tunnel: int = 0
    out_port: int | None = None
    group: int | None = None
    drop: DropReason | None = None
    punt: PuntReason | None = None
    outside: bool = False
    steps: list[Step] = field(default_factory=list)

    @property
    def decided(self) -> bool:
        """Whether nothing more can change what happens."""
        return self.drop is not None or self.punt is not None

    @property
    def from_vf(self) -> bool:
        """Whether a VF sent it."""
        return self.in_port >= PORT_VF0

    def say(self, stage: str, says: str, entry: Entry | None = None) -> None:
        """Note what a stage does."""
        self.steps.append(Step(stage, says, entry.note if entry else ""))

    def dropped(self, stage: str, reason: DropReason, entry: Entry | None = None) -> None:
        """Note that a stage drops the packet."""
        self.drop = reason
        self.say(stage, f"dropped: {label(reason)}", entry)

    def punted(self, stage: str, reason: PuntReason, entry: Entry | None = None) -> None:
        """Note that a stage sends the packet to the host."""
        self.punt = reason
        self.say(stage, f"to the host: {slow_path_label(reason)}", entry)


def trace(tables: Tables, packet: Question, in_port: int, network: int | None = None) -> Way:
    """Follow a packet that enters at ``in_port``; ``network``: of a tunnel or tag it came in."""
    way = Way(packet, in_port)
    _port(tables, way)
    if not way.decided and network is not None:
        _network(tables, way, network)
    for stage in STAGES:
        if not way.decided:
            stage(tables, way)
    return way


def _port(tables: Tables, way: Way) -> None:
    entry = tables.exact("port_table", port=way.in_port)
    if entry is None:
        way.dropped("port", DropReason.PORT_DOWN)
        return
    settings = dict(entry.params)
    way.network, way.tenant = settings["network"], settings["tenant"]
    way.tracked = settings["tracked"]
    way.policy, way.stateful = settings.get("policy", 0), settings.get("stateful", 0)
    way.mode, way.router = settings.get("mode", 0), settings.get("router", 0)
    way.say("port", f"enters at {port_name(way.in_port)}", entry)
    if way.from_vf and way.packet.dst_mac >> 16 == TUNNEL_MAC_PREFIX:
        way.dropped("network", DropReason.UNKNOWN_DESTINATION)
    elif settings.get("spoof_check") and settings["mac"] != way.packet.src_mac:
        way.dropped("admission", DropReason.SPOOFED_MAC, entry)


def _network(tables: Tables, way: Way, network: int) -> None:
    entry = tables.exact("resume_table", network=network)
    if entry is None:
        way.dropped("network", DropReason.UNKNOWN_NETWORK)
        return
    settings = dict(entry.params)
    way.network, way.tenant = network, settings["tenant"]
    way.tracked = settings["tracked"]
    way.say("network", f"in network {network}", entry)


def _inside(tables: Tables, way: Way) -> None:
    if way.from_vf or way.packet.version == 6 or not _to_router(way):
        return
    entry = tables.exact("floating_in_table", network=way.network, address=way.packet.dst)
    if entry is not None:
        params = dict(entry.params)
        _change(way, dst=params["address"])
        way.tenant, way.tracked = params["tenant"], params["tracked"]
        way.translated = True
        way.say("inside", f"for {_ip(way.packet.version, way.packet.dst)}", entry)


def _connection(tables: Tables, way: Way) -> None:
    if not way.tracked:
        return
    packet = way.packet
    zone = ZONE_OF_VF | way.in_port if way.from_vf else way.tenant
    entry = tables.exact(
        f"connection_v{packet.version}_table",
        zone=zone,
        src=packet.src,
        dst=packet.dst,
        protocol=packet.protocol,
        src_port=packet.src_port,
        dst_port=packet.dst_port,
    )
    if entry is None:
        way.say("connection", "not a known connection")
        return
    way.known = True
    if entry.action != "translate_v4":
        way.say("connection", "known: rules were asked when it began", entry)
        return
    new = dict(entry.params)
    way.tenant, way.translated = new["tenant"], True
    _change(way, **{name: new[name] for name in ("src", "dst", "src_port", "dst_port")})
    way.say("connection", f"known, translated to {_words(way.packet)}", entry)


def _guard(tables: Tables, way: Way) -> None:
    entry = tables.exact("port_table", port=way.in_port)
    guarded = entry is not None and dict(entry.params).get("source_guard", 0)
    if way.known or not guarded:
        return
    table = f"source_v{way.packet.version}_table"
    if tables.exact(table, port=way.in_port, address=way.packet.src) is None:
        way.dropped("source guard", DropReason.SPOOFED_IP)


def _rules_out(tables: Tables, way: Way) -> None:
    if not way.known:
        _rules(tables, way, "out", way.policy)


def _rules_in(tables: Tables, way: Way) -> None:
    if way.known or way.out_port is None:
        return
    entry = tables.exact("destination_table", port=way.out_port)
    if entry is not None and way.tunnel == 0:
        _rules(tables, way, "in", dict(entry.params).get("policy", 0))


def _rules(tables: Tables, way: Way, direction: str, policy: int) -> None:
    stage = f"rules {direction}"
    if policy == 0:
        return
    packet = way.packet
    fields = {
        "policy": policy, "src": packet.src, "dst": packet.dst, "protocol": packet.protocol,
        "src_port": packet.src_port, "dst_port": packet.dst_port,
    }  # fmt: skip
    entry = tables.rule(f"rules_{direction}_v{packet.version}_table", fields)
    if entry is None or entry.action.startswith("deny"):
        reason = DropReason.POLICY_OUT if direction == "out" else DropReason.POLICY_IN
        way.dropped(stage, reason, entry)
        if entry is None:
            way.steps[-1] = Step(stage, f"dropped: {label(reason)}", "no rule allows it")
    else:
        way.say(stage, "allowed", entry)


def _balance(tables: Tables, way: Way) -> None:
    packet = way.packet
    if way.known or not way.tracked or packet.version == 6:
        return
    entry = tables.exact(
        "service_table",
        tenant=way.tenant,
        address=packet.dst,
        protocol=packet.protocol,
        port=packet.dst_port,
    )
    if entry is not None:
        way.punted("balance", PuntReason.BALANCE, entry)


def _to_router(way: Way) -> bool:
    """A VF's frames to any router MAC are for this NIC; from outside, only those to its own."""
    mac = way.packet.dst_mac
    return mac >> 16 == ROUTER_PREFIX and (way.from_vf or mac & 0xFFFF == way.router)


def _route(tables: Tables, way: Way) -> None:
    way.routed = _to_router(way)
    if not way.routed:
        return
    version, dst = way.packet.version, way.packet.dst
    entry = tables.exact(f"host_v{version}_table", tenant=way.tenant, address=dst)
    if entry is None:
        table = f"route_v{version}_table"
        entry = tables.prefix(table, WIDTH[version], way.tenant, dst)
    if entry is None:
        way.dropped("route", DropReason.NO_ROUTE)
        return
    if entry.action == "for_router":
        way.punted("route", PuntReason.ROUTER, entry)
        return
    hop = dict(entry.params)
    way.network, way.outside = hop["network"], entry.action == "route_outside"
    _change(way, dst_mac=hop["mac"])
    way.say("route", f"to network {way.network}, next hop {_mac(hop['mac'])}", entry)


def _forward(tables: Tables, way: Way) -> None:
    mac = way.packet.dst_mac
    entry = tables.exact("l2_table", network=way.network, mac=mac)
    turns = way.in_port < PORT_PF and way.known and way.routed
    if entry is None and turns:
        way.out_port = PORT_UPLINK
        way.say("forward", f"{_mac(mac)} is beyond the uplink by which it came")
        return
    if entry is None and mac >> 40 & 1:
        way.group = way.network
        way.say("forward", "to everyone in its network")
        return
    if entry is None:
        role = ROLE_VF if way.from_vf else ROLE_UPLINK if way.in_port < PORT_PF else 2
        entry = tables.exact("unknown_table", **{"network": way.network, "from": role})
    if entry is None:
        way.dropped("forward", DropReason.UNKNOWN_DESTINATION)
        return
    params = dict(entry.params)
    way.group = params.get("group")
    if way.group is not None:
        way.say("forward", "to everyone in its network", entry)
        return
    way.out_port = params.get("port", PORT_UPLINK)
    way.tunnel = params.get("tunnel", 0)
    target = f"tunnel {way.tunnel}" if way.tunnel else port_name(way.out_port)
    way.say("forward", f"{_mac(mac)} is behind {target}", entry)
    if way.out_port == way.in_port and not turns:
        way.dropped("forward", DropReason.SAME_PORT)


def _deliver(tables: Tables, way: Way) -> None:
    if way.out_port in (None, PORT_UPLINK):
        return
    if way.mode == VEPA:
        way.out_port = PORT_UPLINK
        way.say("deliver", "VEPA: the ToR switches between VFs and PF")
        return
    if way.out_port < PORT_VF0:
        return
    if way.mode == PRIVATE:
        way.dropped("deliver", DropReason.ISOLATED)
        return
    entry = tables.exact("destination_table", port=way.out_port)
    if entry is None:
        way.dropped("deliver", DropReason.VF_DOWN)
    elif entry.action == "redirect_moved":
        way.out_port, way.tunnel = PORT_UPLINK, dict(entry.params)["tunnel"]
        way.say("deliver", f"the VM has moved: after it by tunnel {way.tunnel}", entry)
    else:
        way.in_stateful = dict(entry.params)["stateful"]
        held = entry.action == "hold_for_migration"
        way.say("deliver", "the VM is frozen: held" if held else "the VF is in use", entry)


def _outside(tables: Tables, way: Way) -> None:
    if not way.outside or way.translated:
        return
    entry = tables.exact("floating_out_table", tenant=way.tenant, address=way.packet.src)
    if entry is None:
        way.punted("outside", PuntReason.NAT)
        return
    _change(way, src=dict(entry.params)["address"])
    way.say("outside", f"as {_ip(4, way.packet.src)}", entry)


def _new_connection(_: Tables, way: Way) -> None:
    watched = way.stateful or way.in_stateful
    if not way.known and way.tracked and way.group is None and watched:
        way.punted("verdict", PuntReason.NEW_CONNECTION)


def _leave(tables: Tables, way: Way) -> None:
    if way.group is not None or way.out_port is None:
        return
    if way.out_port != PORT_UPLINK:
        way.say("leave", f"leaves by {port_name(way.out_port)}")
        return
    table = ("tunnel_table", {"tunnel": way.tunnel}) if way.tunnel else (
        "tag_table", {"network": way.network})  # fmt: skip
    entry = tables.exact(table[0], **table[1])
    shape = "in VXLAN" if way.tunnel else "untagged"
    if entry is not None and entry.action == "send_tagged":
        shape = f"with VLAN {dict(entry.params)['vlan']}"
    way.say("leave", f"leaves by the uplink, {shape}", entry)


STAGES = (
    _inside,
    _connection,
    _guard,
    _rules_out,
    _balance,
    _route,
    _forward,
    _deliver,
    _outside,
    _rules_in,
    _new_connection,
    _leave,
)


def _change(way: Way, **fields: int) -> None:
    way.packet = Question(**{**vars(way.packet), **fields})


def port_name(port: int) -> str:
    """A port in the operator's words."""
    if port >= PORT_CPU:
        return "the host"
    if port >= PORT_VF0:
        return f"VF {port - PORT_VF0}"
    return {PORT_PF: "the PF", PORT_UPLINK: "the uplink"}.get(port, f"uplink {port}")


def _words(packet: Question) -> str:
    source, target = _ip(packet.version, packet.src), _ip(packet.version, packet.dst)
    return f"{source}:{packet.src_port} > {target}:{packet.dst_port}"


def _ip(version: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))


def _mac(number: int) -> str:
    return ":".join(f"{number:012x}"[i : i + 2] for i in range(0, 12, 2))
