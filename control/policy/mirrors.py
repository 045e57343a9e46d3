"""Mirrors: clone sessions, how much of a packet they copy, and who is mirrored."""

from __future__ import annotations

from collections.abc import Iterator

from control.model.services import Mirror
from control.policy.entries import Entry, Session
from control.policy.reasons import PORT_PF, PORT_UPLINK
from control.policy.view import Guest, View


def mirror_of(view: View, guest: Guest, direction: str) -> int:
    """Clone session for what a VM sends (``out``) or gets (``in``); 0 if it is not mirrored."""
    for mirror in view.state.mirrors:
        wanted = mirror.vm == guest.vm.name and mirror.direction in (direction, "both")
        if wanted and target_port(view, mirror) is not None:
            return mirror.id
    return 0


def mirror_number(view: View, name: str) -> int:
    """Clone session of the mirror of that name; 0 if its target is not on this NIC."""
    mirror = next((m for m in view.state.mirrors if m.name == name), None)
    return 0 if mirror is None or target_port(view, mirror) is None else mirror.id


def target_port(view: View, mirror: Mirror) -> int | None:
    """The port that receives the copies; None if the target VM is on another NIC."""
    if mirror.to_port is not None:
        return PORT_PF if mirror.to_port == "pf" else next(iter(view.active_uplinks), PORT_UPLINK)
    ports = (g.port for g in view.local if g.vm.name == mirror.to_vm and g.is_home)
    return next(ports, None)


def sessions(view: View) -> Iterator[Session]:
    """Clone sessions of the mirrors whose target is on this NIC."""
    for mirror in view.state.mirrors:
        port = target_port(view, mirror)
        if port is not None:
            yield Session(mirror.id, port)


def mirror_entries(view: View) -> Iterator[Entry]:
    """Lengths of the mirrors that do not copy whole packets."""
    for mirror in view.state.mirrors:
        if mirror.bytes and target_port(view, mirror) is not None:
            params = (("bytes", mirror.bytes),)
            match = (("mirror", mirror.id),)
            yield Entry("mirror_table", match, "cut_copy", params, note=f"mirror {mirror.name}")
