"""Policies and packets, generated: what a rule can say, and packets near what it says."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import GRE, Ether
from scapy.packet import Packet, Raw

from control.model import AclRule, DesiredState
from control.model.services import GroupRule, SecurityGroup

A, B, C = "q1", "q2", "q3"
V4 = {A: "10.0.0.1", B: "10.0.0.2", C: "10.0.0.3"}
V6 = {A: "fd00::1", B: "fd00::2", C: "fd00::3"}
MAC = {A: "02:00:00:00:00:11", B: "02:00:00:00:00:12", C: "02:00:00:00:00:13"}
FORGED = {4: "10.0.0.77", 6: "fd00::77"}
GROUPS = ("one", "two")
HIGH_PORT = 250

_REMOTES = (
    None,
    "10.0.0.0/24",
    "10.0.0.1/32",
    "10.0.0.2/31",
    "10.0.0.128/25",
    "fd00::/64",
    "fd00::2/128",
)


@st.composite
def port_ranges(draw: st.DrawFn) -> str:
    """A range of ports, of any width."""
    low = draw(st.integers(1, HIGH_PORT))
    return f"{low}-{draw(st.integers(low, HIGH_PORT + 40))}"


def _of_version(remote: str | None, version: int | None) -> bool:
    """Whether a rule for packets of one IP version, or of any, may name a remote."""
    return remote is None or version in (None, 6 if ":" in remote else 4)


@st.composite
def rules(draw: st.DrawFn) -> GroupRule:
    """One rule of a group."""
    protocol = draw(st.sampled_from(["any", "any", "tcp", "udp", "icmp", "icmpv6"]))
    ported = protocol in ("tcp", "udp")
    version = {"icmp": 4, "icmpv6": 6}.get(protocol)
    remote = draw(st.sampled_from([r for r in _REMOTES if _of_version(r, version)]))
    by_group = remote is None and draw(st.booleans())
    return GroupRule(
        direction=draw(st.sampled_from(["in", "in", "out"])),
        action=draw(st.sampled_from(["allow", "allow", "deny"])),
        protocol=protocol,
        ports=draw(st.none() | port_ranges()) if ported else None,
        remote=remote,
        remote_group=draw(st.sampled_from(GROUPS)) if by_group else None,
        priority=draw(st.integers(2, 5)),
    )


@st.composite
def states(draw: st.DrawFn, base: DesiredState) -> DesiredState:
    """The base with two security groups, each VM in one or both, and an access list."""
    groups = [
        SecurityGroup(
            name=name,
            stateful=draw(st.booleans()),
            rules=[
                # what drawn rules of a higher priority are exceptions from
                GroupRule(direction="in", priority=1),
                *draw(st.sampled_from([[], [GroupRule(direction="out", priority=1)]])),
                *draw(st.lists(rules(), min_size=1, max_size=6)),
            ],
        )
        for name in GROUPS
    ]
    member = st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2, unique=True)
    vms = [
        vm.model_copy(update={"groups": draw(member)}) if vm.name in MAC else vm for vm in base.vms
    ]
    acl = [
        AclRule(name="a1", protocol="tcp", dst_ports=draw(port_ranges()), priority=3),
        AclRule(name="a2", direction="out", protocol="udp", src_ports="1-40000", priority=2,
                action=draw(st.sampled_from(["allow", "deny"]))),
    ]  # fmt: skip
    changed = base.model_copy(update={"vms": vms, "groups": groups, "acl": acl})
    return DesiredState.model_validate(changed.model_dump())


@dataclass(frozen=True)
class Probe:
    """A packet from A and the reply to it, both without a number yet."""

    to: str
    version: int
    protocol: str
    port: int
    forged: bool

    def packet(self, number: int, own: int) -> Packet:
        """The packet; ``own`` is a source port (or identifier) that no other packet has."""
        source = FORGED[self.version] if self.forged else self._address(A)
        ether = Ether(src=MAC[A], dst=MAC[self.to])
        return ether / self._ip(source, self._address(self.to)) / self._layer(own) / mark(number)

    def reply(self, number: int, own: int) -> Packet:
        """The packet in the other direction."""
        ether = Ether(src=MAC[self.to], dst=MAC[A])
        ip = self._ip(self._address(self.to), self._address(A))
        return ether / ip / self._reply_layer(own) / mark(number)

    def _address(self, vm: str) -> str:
        return (V4 if self.version == 4 else V6)[vm]

    def _ip(self, src: str, dst: str) -> Packet:
        return IP(src=src, dst=dst) if self.version == 4 else IPv6(src=src, dst=dst)

    def _layer(self, own: int) -> Packet:
        ports = {"sport": own, "dport": self.port}
        echo = ICMP(id=own) if self.version == 4 else ICMPv6EchoRequest(id=own)
        return {"tcp": TCP(flags="S", seq=1, **ports), "udp": UDP(**ports), "echo": echo,
                "gre": GRE()}[self.protocol]  # fmt: skip

    def _reply_layer(self, own: int) -> Packet:
        ports = {"sport": self.port, "dport": own}
        syn_ack = TCP(flags="SA", seq=1, ack=2 + len(bytes(mark(0))), **ports)
        echo = ICMP(type=0, id=own) if self.version == 4 else ICMPv6EchoReply(id=own)
        return {"tcp": syn_ack, "udp": UDP(**ports), "echo": echo, "gre": GRE()}[self.protocol]


def mark(number: int) -> Packet:
    """A payload with a number, as wire.py looks for it."""
    return Raw(f"#{number}#".encode().ljust(24, b"."))


probes = st.builds(
    Probe,
    to=st.sampled_from([B, B, C]),
    version=st.sampled_from([4, 4, 6]),
    protocol=st.sampled_from(["tcp", "tcp", "udp", "udp", "echo", "gre"]),
    port=st.integers(1, HIGH_PORT + 50),
    forged=st.integers(0, 9).map(lambda n: n == 0),
)
