"""Checks over the whole desired state: names are unique, references resolve, promises fit."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

from control.model.types import Misplaced

if TYPE_CHECKING:
    from control.model.state import DesiredState


def check_unique(state: DesiredState) -> None:
    """Refuse two things of one kind with the same name, number, address or VF."""
    for section in (
        "servers",
        "nics",
        "networks",
        "vms",
        "groups",
        "acl",
        "load_balancers",
        "mirrors",
    ):
        items = getattr(state, section)
        _unique(section, "name", (item.name for item in items))
    _unique("nics", "id", (nic.id for nic in state.nics))
    _unique("mirrors", "id", (mirror.id for mirror in state.mirrors))
    _check_network_numbers(state)
    _unique("servers", "NIC", (server.nic for server in state.servers))
    _unique("vms", "MAC address in its network", ((v.network, v.mac) for v in state.vms))
    _unique("vms", "VF of its server", ((v.server, v.vf) for v in state.vms))
    _unique("floating", "address", (f.address for f in state.floating))
    _unique("routers", "tenant", (r.tenant for r in state.routers))
    _unique("routes", "prefix of its tenant", ((r.tenant, r.prefix) for r in state.routes))
    services = ((b.network, b.address, b.protocol, b.port) for b in state.load_balancers)
    _unique("load_balancers", "service", services)
    _unique("nics", "tunnel address", (nic.tunnel_address for nic in state.nics))


def _check_network_numbers(state: DesiredState) -> None:
    """Refuse two networks that the NICs would take for one."""
    kinds: dict[int, tuple[str, str]] = {}
    for index, network in enumerate(state.networks):
        kind = f"VNI {network.vni}" if network.overlay else "no VLAN"
        if network.vlan is not None:
            kind = f"VLAN {network.vlan}"
        name, other = kinds.setdefault(network.id, (network.name, kind))
        if name != network.name:
            text = f"network {network.name} has {kind} and {name} has {other}; expected a VLAN of "
            text += "its own, or a VNI that differs from the others' modulo 8192"
            raise Misplaced(text, "networks", index)


def check_references(state: DesiredState) -> None:
    """Refuse a name that stands for nothing, and a VF that its NIC does not have."""
    nics = {nic.name: nic for nic in state.nics}
    servers = {server.name: server for server in state.servers}
    networks = {network.name for network in state.networks}
    tenants = {network.tenant_name for network in state.networks}
    groups = {group.name for group in state.groups}
    vms = {vm.name for vm in state.vms}
    for index, server in enumerate(state.servers):
        _known("NIC", server.nic, nics, "servers", index)
    for index, vm in enumerate(state.vms):
        _known("server", vm.server, servers, "vms", index)
        _known("network", vm.network, networks, "vms", index)
        for group in vm.groups:
            _known("security group", group, groups, "vms", index)
        nic = nics[servers[vm.server].nic]
        if vm.vf >= nic.vfs:
            text = f"VM {vm.name} wants VF {vm.vf}, but {nic.name} has VFs 0..{nic.vfs - 1}"
            raise Misplaced(text, "vms", index)
    for index, rule in enumerate(state.acl):
        if rule.vm is not None:
            _known("VM", rule.vm, vms, "acl", index)
    for index, floating in enumerate(state.floating):
        _known("VM", floating.vm, vms, "floating", index)
    for index, route in enumerate(state.routes):
        _known("tenant", route.tenant, tenants, "routes", index)
        _known("VM", route.via_vm, vms, "routes", index)
    _check_groups(state, groups)
    _check_balancers(state, networks, vms)
    _check_routers(state, tenants, nics)
    _check_mirrors(state, vms)


def _check_groups(state: DesiredState, groups: set[str]) -> None:
    mirrors = {mirror.name for mirror in state.mirrors}
    for index, group in enumerate(state.groups):
        for number, rule in enumerate(group.rules):
            place = ("groups", index, "rules", number)
            if rule.remote_group is not None:
                _known("security group", rule.remote_group, groups, *place)
            if rule.mirror is not None:
                _known("mirror", rule.mirror, mirrors, *place)


def _check_balancers(state: DesiredState, networks: set[str], vms: set[str]) -> None:
    for index, balancer in enumerate(state.load_balancers):
        _known("network", balancer.network, networks, "load_balancers", index)
        for number, member in enumerate(balancer.members):
            _known("VM", member.vm, vms, "load_balancers", index, "members", number)


def _check_routers(state: DesiredState, tenants: set[str], nics: Iterable[str]) -> None:
    plain = {network.name for network in state.networks if not network.overlay}
    for index, router in enumerate(state.routers):
        _known("tenant", router.tenant, tenants, "routers", index)
        _known("plain network", router.outside, plain, "routers", index)
        for number, snat in enumerate(router.snat):
            _known("NIC", snat.nic, nics, "routers", index, "snat", number)
    routed = {router.tenant for router in state.routers}
    tenant_of = {vm.name: state.segment(vm).tenant_name for vm in state.vms}
    for index, floating in enumerate(state.floating):
        if tenant_of[floating.vm] not in routed:
            text = f"{floating.address} is for {floating.vm}, whose tenant "
            text += f"{tenant_of[floating.vm]} has no router; add one under routers"
            raise Misplaced(text, "floating", index)


def _check_mirrors(state: DesiredState, vms: set[str]) -> None:
    mirrored: dict[tuple[str, str], str] = {}
    for index, mirror in enumerate(state.mirrors):
        if mirror.vm is not None and mirror.vm == mirror.to_vm:
            text = f"mirror {mirror.name} copies {mirror.vm} to itself; name another target"
            raise Misplaced(text, "mirrors", index)
        directions = ("in", "out") if mirror.direction == "both" else (mirror.direction,)
        for direction in directions if mirror.vm is not None else ():
            other = mirrored.setdefault((mirror.vm or "", direction), mirror.name)
            if other != mirror.name:
                text = f"mirrors {other} and {mirror.name} both copy {mirror.vm}, direction "
                raise Misplaced(f"{text}{direction}; expected one", "mirrors", index)
        for name in (mirror.vm, mirror.to_vm):
            if name is not None:
                _known("VM", name, vms, "mirrors", index)


def check_capacity(state: DesiredState) -> None:
    """Refuse guaranteed rates that a link cannot keep, or above their VF's maximum."""
    nics = {server.name: state.nic(server.nic) for server in state.servers}
    promised: dict[str, float] = {}
    for index, vm in enumerate(state.vms):
        if vm.max_tx_rate and vm.min_tx_rate > vm.max_tx_rate:
            text = f"VM {vm.name}: min_tx_rate {vm.min_tx_rate:g} is above "
            text += f"max_tx_rate {vm.max_tx_rate:g}"
            raise Misplaced(text, "vms", index)
        nic = nics[vm.server]
        if not vm.min_tx_rate:
            continue
        if not nic.link_mbps:
            text = f"VM {vm.name} has min_tx_rate, but {nic.name} has no link_mbps; add it"
            raise Misplaced(text, "vms", index)
        promised[nic.name] = promised.get(nic.name, 0) + vm.min_tx_rate
        if promised[nic.name] > nic.link_mbps:
            text = f"VM {vm.name}: min_tx_rate {vm.min_tx_rate:g} makes "
            text += f"{promised[nic.name]:g} Mb/s promised on {nic.name}, "
            text += f"whose link has {nic.link_mbps:g}"
            raise Misplaced(text, "vms", index)


def _unique(section: str, what: str, values: Iterable[Hashable]) -> None:
    """Refuse a value that occurs twice in a section."""
    seen: set[Hashable] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise Misplaced(f"{what} {value} is given twice; expected once", section, index)
        seen.add(value)


def _known(what: str, name: str, known: Iterable[str], *place: int | str) -> None:
    """Refuse a reference to something that does not exist."""
    if name not in known:
        choices = ", ".join(sorted(known)) or "none"
        raise Misplaced(f"{what} {name!r} does not exist; known: {choices}", *place)
