"""ICMP errors: the packet that one is about, and both translated back as its connection is.

An error about a flow is treated as a reply to it would be: it finds the connection by the flow's
reverse, and what the connection makes of that reply tells what both looked like to their sender.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from control.connections.decide import Decider, Punt
from control.connections.flow import (
    ICMP,
    ICMPV6,
    Flow,
    internet_checksum,
    parse,
    readdress,
    rewrite,
    upper_of,
)
from control.connections.record import ZONE_OF_VF, Connection, EntryKey
from control.policy.reasons import PORT_VF0, vf_port

_ETHERNET = {4: bytes(12) + b"\x08\x00", 6: bytes(12) + b"\x86\xdd"}
_ERRORS = {ICMP: (b"\3", b"\x0b", b"\x0c"), ICMPV6: (b"\1", b"\2", b"\3", b"\4")}
_HEADER = 8  # bytes of an ICMP error before what it quotes


class Related(NamedTuple):
    """An ICMP error as it goes on, and the network in which it does."""

    frame: bytes
    network: int


class IcmpError(NamedTuple):
    """An ICMP error: its own flow, the one it is about, and where headers begin in the frame."""

    flow: Flow
    about: Flow
    l3: int
    l4: int


class _Known(NamedTuple):
    """An error as the sender of the packet that it is about knows both."""

    src: int
    about: Flow
    tenant: int


def related(
    decider: Decider, punt: Punt, connection_at: Callable[[EntryKey], Connection | None]
) -> Related | None:
    """How an ICMP error goes on.

    None if it is about no connection and the rules deny it, or if it would have to be translated
    and its checksum is wrong.
    """
    error = icmp_error(punt.frame)
    if error is None:
        return None
    tenant = decider.tenant_in(punt.network)
    known = _Known(error.flow.src, error.about, tenant)
    own = decider.floating_at(punt)
    if own is not None:
        known = known._replace(about=known.about._replace(src=own[1]), tenant=own[0])
    found = map(connection_at, _keys(decider, punt, known))
    connection = next((one for one in found if one is not None), None)
    if connection is not None:
        known = _as_sender_knows(known, connection)
    elif not _allowed(decider, punt, error, known):
        return None
    known = _outside(decider, punt, known)
    network = punt.network
    recipient = decider.vm_with(known.tenant, known.about.src)
    if known.tenant != tenant and recipient is not None:
        network = decider.network_of(recipient)
    frame = _rewrite_error(punt.frame, error, known)
    return None if frame is None else Related(frame, network)


def icmp_error(frame: bytes) -> IcmpError | None:
    """Read an ICMP error to who sent the packet it is about; None if the frame is none."""
    upper = upper_of(frame)
    if upper is None or frame[upper.l4 : upper.l4 + 1] not in _ERRORS.get(upper.flow.protocol, ()):
        return None
    version, _, dst, *_ = upper.flow
    # A quote may end after 8 bytes of its upper layer; what is behind them is not looked at.
    quoted = parse(_ETHERNET[version] + frame[upper.l4 + _HEADER :] + bytes(20))
    if quoted is None or quoted.flow.version != version or quoted.flow.src != dst:
        return None
    return IcmpError(upper.flow, quoted.flow, upper.l3, upper.l4)


def _keys(decider: Decider, punt: Punt, known: _Known) -> Iterator[EntryKey]:
    """Entries that a reply to the packet, or the packet itself, would have met at the NIC."""
    reply = known.about.reverse
    if punt.in_port >= PORT_VF0:
        yield punt.nic, ZONE_OF_VF | punt.in_port, reply
    for flow in (reply, known.about):
        yield punt.nic, known.tenant, flow
        vm = decider.vm_with(known.tenant, flow.src)
        for nic, vf in decider.places.get(vm, ()) if vm is not None else ():
            if nic == punt.nic:
                yield nic, ZONE_OF_VF | vf_port(vf), flow


def _as_sender_knows(known: _Known, connection: Connection) -> _Known:
    """An error before the translation that the connection's packets had when they were sent."""
    reply = known.about.reverse
    tenant = known.tenant
    if reply == connection.before:
        becomes = connection.after
    elif reply == connection.after.reverse:
        becomes, tenant = connection.before.reverse, connection.zone_a
    else:
        return known
    src = becomes.src if known.src == reply.src else known.src
    return _Known(src, becomes.reverse, tenant)


def _outside(decider: Decider, punt: Punt, known: _Known) -> _Known:
    """An error that leaves for outside, from the floating address of the VM that sends it."""
    vm = decider.vm_at(punt.nic, punt.in_port)
    pair = None if vm is None or known.about.version != 4 else decider.floating_of(vm)
    if pair is None or not decider.leaves(known.tenant, known.about.src):
        return known
    own, public = pair
    about = known.about._replace(dst=public) if known.about.dst == own else known.about
    return _Known(public if known.src == own else known.src, about, known.tenant)


def _allowed(decider: Decider, punt: Punt, error: IcmpError, known: _Known) -> bool:
    """Whether the rules of both ends let an error pass that is about no connection."""
    flow = error.flow._replace(dst=known.about.src)
    sender = decider.vm_at(punt.nic, punt.in_port) or decider.vm_with(known.tenant, flow.src)
    receiver = decider.vm_with(known.tenant, flow.dst)
    return (sender is None or decider.allows(sender, "out", flow)) and (
        receiver is None or decider.allows(receiver, "in", flow)
    )


def _rewrite_error(frame: bytes, error: IcmpError, known: _Known) -> bytes | None:
    """The error as it is known to whom it goes; None if its checksum is wrong."""
    if (known.src, known.about) == (error.flow.src, error.about) or error.flow.version != 4:
        return frame
    total = struct.unpack_from("!H", frame, error.l3 + 2)[0]
    message = frame[error.l4 : error.l3 + total]
    padded = _ETHERNET[4] + message[_HEADER:] + bytes(20)
    packet = parse(padded)
    if packet is None or internet_checksum(message):
        return None
    quoted = rewrite(padded, packet, known.about)[len(_ETHERNET[4]) : -20]
    head = message[:2] + b"\0\0" + message[4:_HEADER]
    message = head[:2] + struct.pack("!H", internet_checksum(head + quoted)) + head[4:] + quoted
    out = bytearray(frame)
    readdress(out, error.l3, known.src, known.about.src)
    out[error.l4 : error.l4 + len(message)] = message
    return bytes(out)
