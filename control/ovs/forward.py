"""Tables 22, 23 and 40: which port a MAC address is behind, floods, and the way out."""

from __future__ import annotations

from collections.abc import Iterator

from control.model.state import Network
from control.ovs.tables import (
    GROUP_BIT,
    TUNNEL_PORT,
    UPLINK_GROUP,
    Reg,
    Role,
    Table,
    flow,
    goto,
    has,
    load,
)
from control.policy.reasons import PORT_PF, PORT_UPLINK
from control.policy.view import Guest, View

_TAG = {"802.1q": "0x8100", "802.1ad": "0x88a8"}
_BONDS = {"active-backup": "ff", "hash": "select"}


def forward_flows(view: View) -> Iterator[str]:
    """Forwarding and leaving of all networks, and isolation of VFs."""
    for network in view.networks:
        yield from _forward(view, network)
        yield from _leave(network)
    yield from _isolate(view)
    for port in (PORT_UPLINK, TUNNEL_PORT):  # what came from outside does not leave again
        match = f"{has(Reg.ROLE, Role.UPLINK)},{has(Reg.TO, port)}"
        yield flow(Table.LEAVE, 30, match)
    yield flow(Table.LEAVE, 0, "", f"output:reg{Reg.TO:d}")


def uplink_group(view: View) -> str:
    """The group that is the uplink: of a bond the first port with link, or one of them by hash."""
    kind = _BONDS[view.nic.bond]
    ports = range(PORT_UPLINK, PORT_UPLINK + view.nic.uplinks)
    buckets = [f"bucket=bucket_id:{p},watch_port:{p},actions=output:{p}" for p in ports]
    return f"group_id={UPLINK_GROUP},type={kind},{','.join(buckets)}"


def to_port(port: int) -> list[str]:
    """Actions that send a frame to a port, past the receiving VM's rules."""
    return [load(Reg.TO, port), goto(Table.ISOLATE)]


def _forward(view: View, network: Network) -> Iterator[str]:
    """One network: known addresses, floods, and what is unknown."""
    head = f"{has(Reg.NETWORK, network.id)}"
    if _with_pf(network) and view.server is not None:
        yield flow(Table.FORWARD, 20, f"{head},dl_dst={view.server.mac}", *to_port(PORT_PF))
    for guest in _here(view, network):
        yield flow(Table.FORWARD, 20, f"{head},dl_dst={guest.vm.mac}", *to_port(guest.port))
    if network.overlay:
        for guest in view.members(network):
            if guest.placement.nic != view.nic.name:
                match = f"{head},dl_dst={guest.vm.mac}"
                yield flow(Table.FORWARD, 20, match, *_tunnel(view, guest))
    yield from _floods(view, network, head)
    yield from _unknown(view, network, head)


def _floods(view: View, network: Network, head: str) -> Iterator[str]:
    """Group addresses: by where they come from."""
    head += f",dl_dst={GROUP_BIT}"
    vfs = [guest.port for guest in _here(view, network)]
    pf = [f"output:{PORT_PF}"] if _with_pf(network) else []
    outside = f"{head},{has(Reg.ROLE, Role.UPLINK)}"
    copies = [f"resubmit(,{Table.COPY:d})"] if view.state.mirrors else []
    for guest in _here(view, network):  # what a ToR reflects is not for who sent it
        match = f"{outside},dl_src={guest.vm.mac}"
        yield flow(Table.FORWARD, 17, match, *_outputs(set(vfs) - {guest.port}), *pf)
    yield flow(Table.FORWARD, 16, outside, *_outputs(vfs), *pf)
    away = _flood_away(view, network)
    if _mode(view, network) != "veb":
        match = f"{head},{has(Reg.ROLE, Role.VF)}"
        yield flow(Table.FORWARD, 15, match, *copies, *pf, *away)
    yield flow(Table.FORWARD, 14, head, *copies, *_outputs(vfs), *pf, *away)


def _unknown(view: View, network: Network, head: str) -> Iterator[str]:
    """Unknown unicast: out by the uplink of a plain network, and to promiscuous VFs."""
    trusted = [g.port for g in _here(view, network) if g.vm.trust]
    outside = f"{head},{has(Reg.ROLE, Role.UPLINK)}"
    yield flow(Table.FORWARD, 12, outside, *_outputs(trusted))
    flooding = network.overlay and network.unknown == "flood"
    if not network.overlay and not trusted:
        yield flow(Table.FORWARD, 10, head, *to_port(PORT_UPLINK))
        return
    local = [g.port for g in _here(view, network)] if flooding else trusted
    away = [] if network.overlay and not flooding else _flood_away(view, network)
    if _mode(view, network) != "veb":
        yield flow(Table.FORWARD, 11, f"{head},{has(Reg.ROLE, Role.VF)}", *away)
    yield flow(Table.FORWARD, 10, head, *_outputs(local), *away)


def _mode(view: View, network: Network) -> str:
    """How VFs of a network see each other. No ToR sends a tunnel's frame back."""
    return "veb" if view.nic.mode == "vepa" and network.overlay else view.nic.mode


def _here(view: View, network: Network) -> list[Guest]:
    return [guest for guest in view.local if guest.network.id == network.id]


def _with_pf(network: Network) -> bool:
    """The server itself is in the untagged network only."""
    return network.vlan is None and not network.overlay


def _outputs(ports: list[int] | set[int]) -> list[str]:
    return [f"output:{port}" for port in sorted(ports)]


def _flood_away(view: View, network: Network) -> list[str]:
    """Actions that carry a flood off the server; last, since they change the frame."""
    if not network.overlay:
        return [*_tag(network), f"group:{UPLINK_GROUP}"]
    nics = {g.placement.nic for g in view.members(network)} - {view.nic.name}
    return [
        f"set_field:{network.wire_vni}->tun_id,"
        f"set_field:{view.state.nic(nic).tunnel_address}->tun_dst,output:{TUNNEL_PORT}"
        for nic in sorted(nics)
    ]


def _isolate(view: View) -> Iterator[str]:
    """VF to VF: not at all in private mode, by way of the ToR in VEPA mode."""
    for guest in view.local:
        mode = _mode(view, guest.network)
        match = f"{has(Reg.ROLE, Role.VF)},{has(Reg.TO, guest.port)}"
        if mode == "vepa":
            hairpin = [load(Reg.TO, PORT_UPLINK), goto(Table.FINISH)]
            yield flow(Table.ISOLATE, 10, match, *hairpin)
        elif mode == "private":
            yield flow(Table.ISOLATE, 10, match)


def _leave(network: Network) -> Iterator[str]:
    """The tag or the VNI; what came by the uplink and goes back is told to leave by that port."""
    head = has(Reg.NETWORK, network.id)
    if network.overlay:
        tunnel = [f"set_field:{network.wire_vni}->tun_id", f"output:{TUNNEL_PORT}"]
        yield flow(Table.LEAVE, 10, f"{head},{has(Reg.TO, TUNNEL_PORT)}", *tunnel)
        yield flow(Table.LEAVE, 10, f"{head},{has(Reg.TO, PORT_UPLINK)}")
        return
    match = f"{head},{has(Reg.TO, PORT_UPLINK)}"
    back = f"{match},{has(Reg.ROLE, Role.TURNED)}"
    yield flow(Table.LEAVE, 20, back, *_tag(network), "in_port")
    yield flow(Table.LEAVE, 10, match, *_tag(network), f"group:{UPLINK_GROUP}")


def _tag(network: Network) -> list[str]:
    """Actions that put a network's tag on, with the sending VF's priority."""
    if network.vlan is None:
        return []
    push = f"push_vlan:{_TAG[network.vlan_protocol]}"
    priority = f"move:NXM_NX_REG{Reg.PRIORITY:d}[0..2]->OXM_OF_VLAN_PCP[]"
    return [push, f"set_field:{0x1000 | network.vlan}->vlan_vid", priority]


def _tunnel(view: View, guest: Guest) -> list[str]:
    """Actions that send a frame to the server of another VM."""
    address = view.state.nic(guest.placement.nic).tunnel_address
    return [f"set_field:{address}->tun_dst", *to_port(TUNNEL_PORT)]
