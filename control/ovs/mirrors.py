"""Mirrors: of a VM as Open vSwitch's own mirror records, of a rule as a second output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from control.model.services import Mirror
from control.ovs.tables import ENTER, Reg, Table, flow, goto, has
from control.policy.mirrors import mirror_of, target_port
from control.policy.view import View


@dataclass(frozen=True)
class MirrorRecord:
    """A row of the Mirror table; ports by OpenFlow number, ``bytes`` 0 for whole packets."""

    name: str
    sent_by: tuple[int, ...]
    sent_to: tuple[int, ...]
    output: int
    bytes: int


def mirror_records(view: View) -> Iterator[MirrorRecord]:
    """Mirrors of VMs here whose target is here."""
    for mirror in view.state.mirrors:
        port = target_port(view, mirror)
        out = [g.port for g in view.local if mirror_of(view, g, "out") == mirror.id]
        into = [g.port for g in view.local if mirror_of(view, g, "in") == mirror.id]
        if port is not None and (out or into):
            yield MirrorRecord(mirror.name, tuple(out), tuple(into), port, mirror.bytes)


def finish_flows(view: View) -> Iterator[str]:
    """What has passed everything: its connection entered, and copied where a rule asks for it."""
    named = {rule.mirror for group in view.state.groups for rule in group.rules if rule.mirror}
    mirrors = [m for m in view.state.mirrors if m.name in named]
    for mirror in mirrors:
        port = target_port(view, mirror)
        if port is not None:
            copy = _output(mirror, port)
            match = has(Reg.MIRROR_OUT, mirror.id)
            yield flow(Table.COPY, 10, match, copy, goto(Table.COPY_IN))
            yield flow(Table.COPY_IN, 10, has(Reg.MIRROR_IN, mirror.id), copy)
    enter = [ENTER] if any(guest.stateful for guest in view.local) else []
    copies = [f"resubmit(,{Table.COPY:d})"] if mirrors else []
    yield flow(Table.FINISH, 0, "", *enter, *copies, goto(Table.LEAVE))


def _output(mirror: Mirror, port: int) -> str:
    return f"output(port={port},max_len={mirror.bytes})" if mirror.bytes else f"output:{port}"
