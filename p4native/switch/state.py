"""What goes in and out of a switch besides table entries: small values, and the error."""

from __future__ import annotations

from typing import NamedTuple

from p4native.switch.records import Status


class SwitchError(Exception):
    """A request the switch cannot fulfil; the text says what was given and what was expected."""

    def __init__(self, message: str, status: Status = Status.BAD_RECORD) -> None:
        super().__init__(message)
        self.status = status


class Replica(NamedTuple):
    """One copy of a multicast group or clone session.

    While its port is down the first of its backups whose port is up stands in for it.
    """

    port: int
    instance: int
    backups: tuple[Replica, ...] = ()


class CloneSession(NamedTuple):
    """Where clones go; `packet_length` in bytes truncates them, 0 does not."""

    replicas: tuple[Replica, ...]
    class_of_service: int = 0
    packet_length: int = 0


class GroupMember(NamedTuple):
    """A member of a selector group; it is skipped while `watch_port` is down (None: never)."""

    member: int
    weight: int = 1
    watch_port: int | None = None


class MeterConfig(NamedTuple):
    """Units per second, and bucket sizes in units; an excess burst makes it a single-rate meter."""

    cir: int
    cburst: int
    pir: int
    pburst: int
    eburst: int = 0


class Digest(NamedTuple):
    """A digest list: records in the layout of codegen/layout.py; `list_id` names it in an ack."""

    learn_list: int
    list_id: int
    records: tuple[bytes, ...]
    timestamp_ns: int


class IdleEntry(NamedTuple):
    """An entry that was not hit for its idle timeout."""

    table: int
    handle: int


class PortStats(NamedTuple):
    """Counters of one port since it was added; bytes are of frames as the pipeline saw them."""

    rx_packets: int
    rx_bytes: int
    rx_dropped: int
    tx_packets: int
    tx_bytes: int
    tx_dropped: int
    tx_segmented: int
    tx_checksummed: int


class DropCount(NamedTuple):
    """Frames dropped for one reason."""

    reason: str
    packets: int
