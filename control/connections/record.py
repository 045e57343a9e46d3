"""A connection, and the entries that it needs on each NIC for where its VMs are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from control.connections.flow import ICMP, ICMPV6, TCP, Flow
from control.policy.deltas import checksum_delta
from control.policy.entries import Entry
from control.policy.reasons import vf_port

ZONE_OF_VF = 0x8000
SECOND = 1_000_000_000
IDLE_S = {TCP: 3600, ICMP: 30, ICMPV6: 30}
IDLE_OTHER_S = 120

Places = Mapping[str, Sequence[tuple[str, int]]]  # VM to (NIC, VF) pairs
EntryKey = tuple[str, int, Flow]  # NIC, zone, flow as it enters

# NIC, zone, flow as it enters, and the flow it becomes (None: passes as it is)
Half = tuple[str, int, Flow, Flow | None]
FROM_INITIATOR, FROM_RESPONDER = 1, 2


class Change(NamedTuple):
    """One entry to write: its key, the flow it becomes, and the address space of that one."""

    kind: Literal["insert", "delete"]
    key: EntryKey
    becomes: Flow | None = None
    tenant: int = 0

    @property
    def entry(self) -> Entry:
        """The entry with the P4Info's names."""
        _, zone, flow = self.key
        if self.becomes is None:
            return pass_entry(zone, flow)
        return _translate(zone, flow, self.becomes, self.tenant)


@dataclass(eq=False, slots=True)
class Connection:
    """One connection between an initiator ``a`` and a responder ``b``.

    ``before`` is its flow as ``a`` sends it, ``after`` as ``b`` gets it; they differ where a
    balancer or NAT translates. ``vm_a``/``vm_b`` are VM names, None outside. ``zone_a``/``zone_b``
    are the address spaces in which packets of a and b arrive when they come by the uplink or PF.
    ``entry_nic`` is where the first packet was seen; a shared NAT address stays there.
    ``installed`` are its entries in the NICs, with what each flow becomes. ``closing`` says from
    which ends a FIN has come. ``barring`` are those of its VMs whose stateless rules deny the
    replies: where such a VM is, the replies stay with the rules. ``active_at`` and ``copied`` are
    of a connection that has moved: when the NIC that it has left saw its last packet, and when
    entries were copied to others.
    """

    before: Flow
    after: Flow
    vm_a: str | None
    vm_b: str | None
    zone_a: int
    zone_b: int
    entry_nic: str
    payer: str = ""
    tracks: frozenset[str] = frozenset()  # VMs whose rules are stateful
    barring: frozenset[str] = frozenset()
    service: str | None = None
    nat_port: tuple[str, int, int] | None = None
    closing: int = 0
    close_at: float | None = None
    active_at: float | None = None
    copied: dict[EntryKey, float] = field(default_factory=dict)
    installed: dict[EntryKey, Flow | None] = field(default_factory=dict)

    @property
    def translated(self) -> bool:
        """Whether the NIC rewrites its packets."""
        return self.before != self.after

    @property
    def idle_s(self) -> int:
        """After how many seconds without a packet it ends."""
        return idle_s(self.before.protocol)

    def entries(self, places: Places) -> dict[EntryKey, Flow | None]:
        """What each NIC must hold for it, by NIC, zone and flow; and what the flow becomes."""
        at_a = dict(places.get(self.vm_a, ())) if self.vm_a else {}
        at_b = dict(places.get(self.vm_b, ())) if self.vm_b else {}
        if not self.translated:
            halves = self._plain(at_a, at_b)
        elif self.service is not None:
            halves = self._balanced(at_a, at_b)
        else:
            halves = self._shared_address(at_a)
        return {(nic, zone, old): new for nic, zone, old, new in halves}

    def insert(self, key: EntryKey, becomes: Flow | None) -> Change:
        """The change that installs one of its entries."""
        return Change("insert", key, becomes, self.zone_a)

    def _plain(self, at_a: dict[str, int], at_b: dict[str, int]) -> Iterator[Half]:
        reverse = self.before.reverse
        tracking_a = at_a if self.vm_a in self.tracks else {}
        tracking_b = at_b if self.vm_b in self.tracks else {}
        ends = ((self.vm_a, at_a), (self.vm_b, at_b))
        barred = [at for vm, at in ends if vm in self.barring]
        for nic in {**tracking_a, **tracking_b}:
            for zone in _zones(at_a, nic, self.zone_a):
                yield nic, zone, self.before, None
            if any(at.keys() == {nic} for at in barred):
                continue
            for zone in _zones(at_b, nic, self.zone_b):
                yield nic, zone, reverse, None

    def _balanced(self, at_a: dict[str, int], at_b: dict[str, int]) -> Iterator[Half]:
        """Forward rewritten where a enters, replies rewritten where b is."""
        entering: dict[str, int | None] = {**at_a} or {self.entry_nic: None}
        replies = self.before.reverse
        for nic, vf in entering.items():
            yield nic, _zone(vf, self.zone_a), self.before, self.after
            if nic not in at_b or len(at_b) > 1:
                yield nic, self.zone_b, replies, None
        for nic, vf in at_b.items():
            yield nic, _zone(vf, self.zone_b), self.after.reverse, replies
            if nic not in entering or len(entering) > 1:
                yield nic, self.zone_a, self.after, None

    def _shared_address(self, at_a: dict[str, int]) -> Iterator[Half]:
        """Out rewritten where the VM is; replies come to the NIC that has the address."""
        replies = self.before.reverse
        yield self.entry_nic, self.zone_b, self.after.reverse, replies
        for nic, vf in at_a.items():
            yield nic, _zone(vf, self.zone_a), self.before, self.after
            if nic != self.entry_nic:
                yield nic, self.zone_a, replies, None


def _zone(vf: int | None, zone: int) -> int:
    """Where packets of an end point enter a NIC: its VF, or its address space from outside."""
    return zone if vf is None else ZONE_OF_VF | vf_port(vf)


def _zones(places: Mapping[str, int], nic: str, zone: int) -> list[int]:
    """Zones in which packets of an end point may enter a NIC.

    A VM that migrates has two places: packets from the other one come from outside.
    """
    if nic not in places:
        return [zone]
    inside = _zone(places[nic], zone)
    return [inside] if len(places) == 1 else [inside, zone]


def _match(zone: int, flow: Flow) -> tuple[tuple[str, int], ...]:
    return (
        ("zone", zone),
        ("src", flow.src),
        ("dst", flow.dst),
        ("protocol", flow.protocol),
        ("src_port", flow.src_port),
        ("dst_port", flow.dst_port),
    )


def pass_entry(zone: int, flow: Flow) -> Entry:
    """The entry that lets a flow pass as it is."""
    return Entry(
        f"connection_v{flow.version}_table",
        _match(zone, flow),
        "pass_connection",
        idle_timeout_ns=idle_s(flow.protocol) * SECOND,
    )


def _translate(zone: int, old: Flow, new: Flow, tenant: int) -> Entry:
    changes = ((old.src, 32), (new.src, 32), (old.dst, 32), (new.dst, 32))
    ports = (
        (old.src_port, 16), (new.src_port, 16), (old.dst_port, 16), (new.dst_port, 16),
    )  # fmt: skip
    return Entry(
        "connection_v4_table",
        _match(zone, old),
        "translate_v4",
        (
            ("src", new.src),
            ("dst", new.dst),
            ("src_port", new.src_port),
            ("dst_port", new.dst_port),
            ("tenant", tenant),
            ("ip_delta", checksum_delta(*changes)),
            ("l4_delta", checksum_delta(*changes, *ports)),
        ),
        idle_timeout_ns=idle_s(old.protocol) * SECOND,
    )


def idle_s(protocol: int) -> int:
    """After how many seconds without a packet a direction of a connection is idle."""
    return IDLE_S.get(protocol, IDLE_OTHER_S)
