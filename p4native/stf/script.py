"""The statements of an STF packet-test script, as plain data.

Values that depend on the program (match keys, action arguments) are kept as text;
``values`` turns them into numbers once the width and the match kind are known.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of a script; ``line`` counts from 1."""

    line: int


@dataclass(frozen=True, slots=True)
class ActionCall:
    """An action by (suffix of its) name with named, still textual, arguments."""

    name: str
    args: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Add(Statement):
    """``add TABLE [PRIORITY] KEY:VALUE… ACTION(ARG:VALUE…) [= LABEL]``; higher priority wins."""

    table: str
    priority: int | None
    matches: tuple[tuple[str, str], ...]
    action: ActionCall
    label: str | None


@dataclass(frozen=True, slots=True)
class SetDefault(Statement):
    """``setdefault TABLE ACTION(ARG:VALUE…)``."""

    table: str
    action: ActionCall


@dataclass(frozen=True, slots=True)
class Remove(Statement):
    """``remove all`` or ``remove LABEL`` (the label given to an earlier ``add``)."""

    label: str | None


@dataclass(frozen=True, slots=True)
class Packet(Statement):
    """``packet PORT HEX…``: a packet enters at a port."""

    port: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Expect(Statement):
    """``expect PORT [HEX…]``: the next packet out of a port.

    The pattern is hex digits with ``*`` for any digit; a final ``$`` forbids further
    bytes. ``None`` accepts any content.
    """

    port: int
    pattern: str | None


@dataclass(frozen=True, slots=True)
class NoPacket(Statement):
    """``no_packet [PORT]``: nothing but what earlier ``expect`` lines name comes out."""

    port: int | None


@dataclass(frozen=True, slots=True)
class CheckCounter(Statement):
    """``check_counter NAME(INDEX|$LABEL) [packets|bytes OP NUMBER]``."""

    name: str
    index: int | str
    unit: str
    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class MirroringAdd(Statement):
    """``mirroring_add SESSION PORT``: clones of a session go to one port."""

    session: int
    port: int


@dataclass(frozen=True, slots=True)
class MirroringAddMc(Statement):
    """``mirroring_add_mc SESSION GROUP``: clones go to a multicast group."""

    session: int
    group: int


@dataclass(frozen=True, slots=True)
class MirroringDelete(Statement):
    """``mirroring_delete SESSION``."""

    session: int


@dataclass(frozen=True, slots=True)
class MirroringGet(Statement):
    """``mirroring_get SESSION``: fails when the session does not exist."""

    session: int


@dataclass(frozen=True, slots=True)
class GroupCreate(Statement):
    """``mc_mgrp_create GROUP``."""

    group: int


@dataclass(frozen=True, slots=True)
class NodeCreate(Statement):
    """``mc_node_create RID PORT…``; nodes are numbered from 0 in creation order."""

    rid: int
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeUpdate(Statement):
    """``mc_node_update NODE PORT…``."""

    node: int
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NodeAssociate(Statement):
    """``mc_node_associate GROUP NODE``."""

    group: int
    node: int


@dataclass(frozen=True, slots=True)
class CounterRead(Statement):
    """``counter_read NAME INDEX``: noted in the result."""

    name: str
    index: int


@dataclass(frozen=True, slots=True)
class CounterWrite(Statement):
    """``counter_write NAME INDEX PACKETS BYTES``."""

    name: str
    index: int
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RegisterRead(Statement):
    """``register_read NAME INDEX [== VALUE]``: noted in the result, compared if asked."""

    name: str
    index: int
    expected: int | None


@dataclass(frozen=True, slots=True)
class RegisterWrite(Statement):
    """``register_write NAME INDEX VALUE``."""

    name: str
    index: int
    value: int


@dataclass(frozen=True, slots=True)
class RegisterReset(Statement):
    """``register_reset NAME``: every cell becomes 0."""

    name: str


@dataclass(frozen=True, slots=True)
class Rate:
    """One token bucket: units (packets or bytes) per microsecond, and burst in units."""

    per_us: float
    burst: int


@dataclass(frozen=True, slots=True)
class MeterGet(Statement):
    """``meter_get_rates NAME INDEX``: noted in the result."""

    name: str
    index: int


@dataclass(frozen=True, slots=True)
class MeterSet(Statement):
    """``meter_set_rates NAME INDEX CIR:CBURST PIR:PBURST``; no index means every cell."""

    name: str
    index: int | None
    committed: Rate
    peak: Rate


@dataclass(frozen=True, slots=True)
class Wait(Statement):
    """``wait``: let the switch finish the packets sent so far."""
