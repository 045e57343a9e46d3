"""What the runner needs of a switch, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from p4native.stf.schema import BoundAction, Entry, Table
from p4native.stf.script import Rate


@dataclass(frozen=True, slots=True)
class Count:
    """A counter's cell."""

    packets: int
    bytes: int


class Target(Protocol):
    """A switch with one program loaded and ports that carry packets in memory.

    Names are full control-plane names. Every method raises TargetError when the switch
    refuses; entries are referred to by the number that ``insert`` gave.
    """

    def close(self) -> None:
        """Stops the switch and frees what it holds."""

    def send(self, port: int, data: bytes) -> None:
        """A packet enters at ``port``."""

    def settle(self, expected: Mapping[int, int]) -> None:
        """Waits until the packets sent are processed.

        ``expected`` tells how many packets, in total, should have come out of each port:
        a target that cannot know when it is idle may wait for that.
        """

    def outputs(self) -> list[tuple[int, bytes]]:
        """All packets that came out since the start, as (port, bytes), in order per port."""

    def insert(self, entry: Entry) -> int:
        """Adds a table entry."""

    def remove(self, handle: int) -> None:
        """Deletes an entry that ``insert`` made."""

    def set_default(self, table: Table, action: BoundAction) -> None:
        """Replaces a table's default action."""

    def set_group(self, group: int, replicas: Sequence[tuple[int, int]]) -> None:
        """Sets a multicast group's copies, as (port, replication id)."""

    def set_mirror(self, session: int, replicas: Sequence[tuple[int, int]]) -> None:
        """Sets where a clone session's copies go, as (port, replication id)."""

    def delete_mirror(self, session: int) -> None:
        """Forgets a clone session."""

    def read_counter(self, name: str, index: int) -> Count:
        """A cell of an indirect counter."""

    def read_entry_counter(self, handle: int) -> Count:
        """The direct counter of an entry that ``insert`` made."""

    def write_counter(self, name: str, index: int, count: Count) -> None:
        """Sets a cell of an indirect counter."""

    def read_register(self, name: str, index: int) -> int:
        """A register cell."""

    def write_register(self, name: str, index: int, value: int) -> None:
        """Sets a register cell."""

    def reset_register(self, name: str) -> None:
        """Sets every cell of a register to 0."""

    def read_meter(self, name: str, index: int) -> tuple[Rate, Rate]:
        """Committed and peak rate of a meter cell."""

    def write_meter(self, name: str, index: int | None, committed: Rate, peak: Rate) -> None:
        """Sets the rates of a meter cell, or of all its cells."""
