"""A connection, and the entries that it needs on each NIC for where its VMs are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from control.connections.flow import ICMP, ICMPV6, TCP, Flow
from control.policy.deltas import checksum_delta
from control.policy.entries import Entry
from control.policy.reasons import vf_port

ZONE_OF_VF = 0x8000
SECOND = 1_000_000_000
IDLE_S = {TCP: 3600, ICMP: 30, ICMPV6: 30}
IDLE_OTHER_S = 120

Places = Mapping[str, Sequence[tuple[str, int]]]  # VM to (NIC, VF) pairs
EntryKey = tuple[str, object]  # NIC, entry key


@dataclass(eq=False)
class Connection:
    """One connection between an initiator ``a`` and a responder ``b``.

    ``before`` is its flow as ``a`` sends it, ``after`` as ``b`` gets it; they differ where a
    balancer or NAT translates. ``vm_a``/``vm_b`` are VM names, None outside. ``zone_a``/``zone_b``
    are the address spaces in which packets of a and b arrive when they come by the uplink or PF.
    ``entry_nic`` is where the first packet was seen; a shared NAT address stays there.
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
    service: str | None = None
    nat_port: tuple[str, int, int] | None = None
    closing: set[bool] = field(default_factory=set)
    close_at: float | None = None
    installed: dict[EntryKey, Entry] = field(default_factory=dict)

    @property
    def translated(self) -> bool:
        """Whether the NIC rewrites its packets."""
        return self.before != self.after

    def entries(self, places: Places) -> dict[EntryKey, Entry]:
        """What each NIC must hold for it, by NIC and entry key."""
        found: dict[EntryKey, Entry] = {}
        for nic, entry in self._halves(places):
            found[nic, entry.key] = entry
        return found

    def _halves(self, places: Places) -> Iterator[tuple[str, Entry]]:
        at_a = list(places.get(self.vm_a, ())) if self.vm_a else []
        at_b = list(places.get(self.vm_b, ())) if self.vm_b else []
        if not self.translated:
            yield from self._plain(dict(at_a), dict(at_b))
        elif self.service is not None:
            yield from self._balanced(dict(at_a), dict(at_b))
        else:
            yield from self._shared_address(dict(at_a))

    def _plain(self, at_a: dict[str, int], at_b: dict[str, int]) -> Iterator[tuple[str, Entry]]:
        tracking_a = at_a if self.vm_a in self.tracks else {}
        tracking_b = at_b if self.vm_b in self.tracks else {}
        for nic in {**tracking_a, **tracking_b}:
            yield nic, pass_entry(_zone(at_a.get(nic), self.zone_a), self.before)
            yield nic, pass_entry(_zone(at_b.get(nic), self.zone_b), self.before.reverse)

    def _balanced(self, at_a: dict[str, int], at_b: dict[str, int]) -> Iterator[tuple[str, Entry]]:
        """Forward rewritten where a enters, replies rewritten where b is."""
        entering: dict[str, int | None] = {**at_a} or {self.entry_nic: None}
        for nic, vf in entering.items():
            zone = _zone(vf, self.zone_a)
            yield nic, _translate(zone, self.before, self.after, self.zone_a)
            if nic not in at_b:
                yield nic, pass_entry(self.zone_b, self.before.reverse)
        for nic, vf in at_b.items():
            zone = _zone(vf, self.zone_b)
            replies = self.before.reverse
            yield nic, _translate(zone, self.after.reverse, replies, self.zone_a)
            if nic not in entering:
                yield nic, pass_entry(self.zone_a, self.after)

    def _shared_address(self, at_a: dict[str, int]) -> Iterator[tuple[str, Entry]]:
        """Out rewritten where the VM is; replies come to the NIC that has the address."""
        replies = self.before.reverse
        yield (
            self.entry_nic,
            _translate(self.zone_b, self.after.reverse, replies, self.zone_a),
        )
        for nic, vf in at_a.items():
            yield nic, _translate(_zone(vf, self.zone_a), self.before, self.after, self.zone_a)
            if nic != self.entry_nic:
                yield nic, pass_entry(self.zone_a, replies)


def _zone(vf: int | None, zone: int) -> int:
    """Where packets of an end point enter a NIC: its VF, or its address space from outside."""
    return zone if vf is None else ZONE_OF_VF | vf_port(vf)


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
        idle_timeout_ns=idle_ns(flow.protocol),
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
        idle_timeout_ns=idle_ns(old.protocol),
    )


def idle_ns(protocol: int) -> int:
    """After how many nanoseconds without a packet a direction of a connection is idle."""
    return IDLE_S.get(protocol, IDLE_OTHER_S) * SECOND
