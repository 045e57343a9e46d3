"""Connections that the NICs hold already, as after a restart of the controller: recognised."""

from __future__ import annotations

from dataclasses import dataclass, field

from control.connections.choice import PortPool
from control.connections.decide import Decider
from control.connections.flow import Flow
from control.connections.record import ZONE_OF_VF, Connection, EntryKey
from control.model.types import ip_number, port_range
from control.policy.entries import Entry

Identity = tuple[Flow, Flow]


@dataclass
class Adopted:
    """What was recognised, and the entries that belong to nothing."""

    connections: list[Connection] = field(default_factory=list)
    strangers: dict[EntryKey, Entry] = field(default_factory=dict)


def adopt(
    decider: Decider, held: dict[EntryKey, Entry], known: dict[Identity, Connection]
) -> Adopted:
    """Recognise the connections behind one NIC's entries.

    ``known`` are connections by their flows, to which those found are added: the other half of a
    connection may have been found on another NIC. Their ports are marked as used.
    """
    found = Adopted(strangers=dict(held))
    flows = {key[2]: key for key in held}
    for key, entry in held.items():
        if entry.action == "translate_v4":
            _claim(decider, found, known, _translated(decider, key, entry))
    for key in held:
        partner = flows.get(key[2].reverse)
        if key in found.strangers and partner in found.strangers:
            _claim(decider, found, known, _plain(decider, key, partner))
    for key in list(found.strangers):
        for identity in ((key[2], key[2]), (key[2].reverse, key[2].reverse)):
            if identity in known and key in found.strangers:
                _take(decider, found, known[identity])
    for key in list(found.strangers):
        _claim(decider, found, known, _one_way(decider, key))
    return found


def _claim(
    decider: Decider,
    found: Adopted,
    known: dict[Identity, Connection],
    connection: Connection | None,
) -> None:
    """Take a connection's entries out of the strangers."""
    if connection is None:
        return
    identity = (connection.before, connection.after)
    mirrored = (connection.before.reverse, connection.after.reverse)
    if not connection.translated and mirrored in known:
        identity = mirrored
    if identity not in known:
        known[identity] = connection
        found.connections.append(connection)
        _mark_port(decider, connection)
    _take(decider, found, known[identity])


def _take(decider: Decider, found: Adopted, connection: Connection) -> None:
    for key, becomes in connection.entries(decider.places).items():
        if key in found.strangers:
            connection.installed[key] = becomes
            del found.strangers[key]


def _plain(decider: Decider, key: EntryKey, partner: EntryKey) -> Connection:
    vm_a, zone_a = _end(decider, key)
    vm_b, zone_b = _end(decider, partner)
    connection = Connection(key[2], key[2], vm_a, vm_b, zone_a, zone_b, key[0])
    connection.tracks = decider.stateful({vm_a, vm_b})
    connection.barring = decider.barring(vm_a, vm_b, key[2])
    connection.payer = vm_a or vm_b or ""
    return connection


def _one_way(decider: Decider, key: EntryKey) -> Connection | None:
    """The connection of an entry whose replies are left to the rules; None if they are not."""
    nic, _, flow = key
    _, zone = _end(decider, key)
    connection = _plain(decider, key, (nic, zone, flow.reverse))
    known = connection.barring and key in connection.entries(decider.places)
    return connection if known else None


def _end(decider: Decider, key: EntryKey) -> tuple[str | None, int]:
    """The VM that sends an entry's packets, and its address space."""
    nic, zone, flow = key
    if zone & ZONE_OF_VF:
        vm = decider.vm_at(nic, zone & ~ZONE_OF_VF)
        return vm, decider.tenant_of(vm) if vm else 0
    return decider.vm_with(zone, flow.src), zone


def _translated(decider: Decider, key: EntryKey, entry: Entry) -> Connection | None:
    """The connection of a rewriting entry; None if state knows no such service or address."""
    old, new, params = key[2], _new_flow(key[2], entry), dict(entry.params)
    tenant = params["tenant"]
    for before, after, forward in ((old, new, True), (new.reverse, old.reverse, False)):
        balancer = decider.service_of(tenant, before)
        if balancer is not None and before.dst != after.dst:
            vm_a = _end(decider, key)[0] if forward else decider.vm_with(tenant, before.src)
            vm_b = decider.vm_with(tenant, after.dst)
            connection = Connection(before, after, vm_a, vm_b, tenant, tenant, key[0])
            connection.service, connection.payer = balancer.name, vm_a or vm_b or ""
            return connection
        shared = decider.shared_address(after.src)
        if shared is not None and before.src != after.src:
            vm_a = decider.vm_with(tenant, before.src)
            connection = Connection(before, after, vm_a, None, tenant, shared.zone, shared.nic)
            connection.nat_port = (shared.address, after.protocol, after.src_port)
            connection.payer = vm_a or ""
            return connection
    return None


def _new_flow(old: Flow, entry: Entry) -> Flow:
    new = dict(entry.params)
    return Flow(4, new["src"], new["dst"], old.protocol, new["src_port"], new["dst_port"])


def _mark_port(decider: Decider, connection: Connection) -> None:
    if connection.nat_port is None:
        return
    address, protocol, port = connection.nat_port
    shared = decider.shared_address(ip_number(address))
    if shared is not None:
        pool = decider.pools.setdefault(address, PortPool(*port_range(shared.ports)))
        pool.mark(protocol, [port])
