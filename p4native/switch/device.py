"""One switch: its ports, packet threads, and the pipeline that they run.

A `Device` forwards packets in C threads. A `Pipeline` is one loaded program with its tables and
other state; it can be filled before `Device.commit` makes it live, and freed afterwards. Every
method may be called from any thread; none of them stops packets, apart from the few microseconds
in which an ATOMIC batch is made visible. Indices are positions in the BMv2 JSON's arrays, as in the
pipeline descriptor; `Pipeline.program` has the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from p4native.bmv2 import model
from p4native.switch.records import Entry, Mode, Status


class SwitchError(Exception):
    """A request the switch cannot fulfil; the text says what was given and what was expected."""

    def __init__(self, message: str, status: Status = Status.BAD_RECORD) -> None:
        super().__init__(message)
        self.status = status


class Replica(NamedTuple):
    """One copy of a multicast group or clone session."""

    port: int
    instance: int


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
    """Two-rate three-colour configuration: units per second, and bucket sizes in units."""

    cir: int
    cburst: int
    pir: int
    pburst: int


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


class Pipeline:
    """A loaded program and its state. Made by `Device.prepare`; not live before `commit`."""

    program: model.Program
    """The validated program: names, key layouts, action ids; its `tables` tuple is in index order.
    """

    # -- table entries ---------------------------------------------------------------------------

    def write(
        self, records: bytes, count: int, mode: Mode = Mode.CONTINUE
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Run `count` concatenated operations (see records.py) in order, in one call.

        Returns their `Status` values and, for inserts, the entries' handles: numbers that stay
        with the entry for its life and are unique in its table.
        """
        raise NotImplementedError

    def entries(self, table: int, chunk: int = 1024) -> Iterator[memoryview]:
        """Yield the table's entries as buffers of concatenated records, `chunk` at a time.

        An entry that stays in the table throughout is yielded at least once.
        """
        raise NotImplementedError

    def read(self, table: int) -> Iterator[Entry]:
        """Yield the table's entries unpacked: convenient, and slower than `entries`."""
        raise NotImplementedError

    def find(
        self, table: int, key: bytes, mask: bytes = b"", prefix_len: int = 0, priority: int = 0
    ) -> Entry | None:
        """Return one entry by its match and priority."""
        raise NotImplementedError

    def by_handle(self, table: int, handle: int) -> Entry | None:
        """Return one entry by its handle."""
        raise NotImplementedError

    def default(self, table: int) -> Entry | None:
        """Return the default entry (flag CONST while it is the program's); None without one."""
        raise NotImplementedError

    def count_entries(self, table: int) -> int:
        """Return the number of entries, const ones included."""
        raise NotImplementedError

    def set_entry_counter(self, table: int, handle: int, packets: int, octets: int) -> None:
        """Overwrite an entry's direct counter; MISSING if there is no such entry."""
        raise NotImplementedError

    def set_entry_meter(self, table: int, handle: int, config: MeterConfig | None) -> None:
        """Configure an entry's direct meter; None resets it to always green."""
        raise NotImplementedError

    # -- action profiles -------------------------------------------------------------------------

    def insert_member(self, profile: int, member: int, action: int, data: bytes) -> None:
        """Add a member; EXISTS, or FULL (members and groups are each bounded by the size)."""
        raise NotImplementedError

    def modify_member(self, profile: int, member: int, action: int, data: bytes) -> None:
        """Replace a member's action; entries and groups that use it follow."""
        raise NotImplementedError

    def delete_member(self, profile: int, member: int) -> None:
        """Remove a member; IN_USE while an entry or a group refers to it."""
        raise NotImplementedError

    def members(self, profile: int) -> list[tuple[int, int, bytes]]:
        """Return (member id, JSON action id, data) of all members, by id."""
        raise NotImplementedError

    def insert_group(
        self, profile: int, group: int, members: Sequence[GroupMember], max_size: int = 0
    ) -> None:
        """Add a group; MISSING if a member does not exist, FULL beyond max_size (0: unbounded)."""
        raise NotImplementedError

    def modify_group(
        self, profile: int, group: int, members: Sequence[GroupMember], max_size: int = 0
    ) -> None:
        """Replace a group's members at once."""
        raise NotImplementedError

    def delete_group(self, profile: int, group: int) -> None:
        """Remove a group; IN_USE while an entry refers to it."""
        raise NotImplementedError

    def groups(self, profile: int) -> list[tuple[int, int, tuple[GroupMember, ...]]]:
        """Return (group id, max_size, members) of all groups, by id."""
        raise NotImplementedError

    # -- counters, meters, registers, value sets -------------------------------------------------

    def counter_cells(self, counter: int, start: int, count: int) -> list[tuple[int, int]]:
        """Return (packets, bytes) of `count` cells from `start` on."""
        raise NotImplementedError

    def set_counter(self, counter: int, index: int, packets: int, octets: int) -> None:
        """Overwrite one cell."""
        raise NotImplementedError

    def meter_config(self, meter: int, index: int) -> MeterConfig | None:
        """Return one cell's configuration, None while it has none."""
        raise NotImplementedError

    def set_meter(self, meter: int, index: int, config: MeterConfig | None) -> None:
        """Configure one cell (its buckets start full); None makes it always green."""
        raise NotImplementedError

    def register_cells(self, register: int, start: int, count: int) -> list[int]:
        """Return `count` cells from `start` on, as unsigned values."""
        raise NotImplementedError

    def set_register(self, register: int, index: int, value: int) -> None:
        """Overwrite one cell."""
        raise NotImplementedError

    def value_set(self, value_set: int) -> list[tuple[bytes, bytes]]:
        """Return the members as (value, mask)."""
        raise NotImplementedError

    def set_value_set(self, value_set: int, members: Sequence[tuple[bytes, bytes]]) -> None:
        """Replace all members at once; FULL beyond the set's size."""
        raise NotImplementedError

    # -- replication -----------------------------------------------------------------------------

    def multicast_group(self, group: int) -> tuple[Replica, ...] | None:
        """Return a group's replicas as written, None if there is no such group."""
        raise NotImplementedError

    def set_multicast_group(self, group: int, replicas: Sequence[Replica] | None) -> None:
        """Create, replace or (None) delete a multicast group, at once for packets."""
        raise NotImplementedError

    def multicast_groups(self) -> list[int]:
        """Return the ids of all multicast groups, ascending."""
        raise NotImplementedError

    def clone_session(self, session: int) -> CloneSession | None:
        """Return a session as written, None if there is no such session."""
        raise NotImplementedError

    def set_clone_session(self, session: int, config: CloneSession | None) -> None:
        """Create, replace or (None) delete a clone session, at once for packets."""
        raise NotImplementedError

    def clone_sessions(self) -> list[int]:
        """Return the ids of all clone sessions, ascending."""
        raise NotImplementedError

    # -- digests ---------------------------------------------------------------------------------

    def configure_digest(
        self, learn_list: int, *, max_records: int, max_timeout_ns: int, ack_timeout_ns: int
    ) -> None:
        """Enable a digest: a list goes out when it has max_records or is max_timeout_ns old.

        A record that was sent and neither acknowledged nor ack_timeout_ns old is not sent again.
        """
        raise NotImplementedError

    def disable_digest(self, learn_list: int) -> None:
        """Stop a digest and forget what it has collected."""
        raise NotImplementedError

    def ack_digest(self, learn_list: int, list_id: int) -> None:
        """Acknowledge a list: its records may be reported again. Unknown ids are ignored."""
        raise NotImplementedError

    def close(self) -> None:
        """Free the state of a pipeline that is not live; called twice it does nothing."""
        raise NotImplementedError


class Device:
    """One switch. Ports may be added first: they drop, and count, until there is a pipeline."""

    def __init__(
        self,
        device_id: int = 0,
        *,
        cpu_port: int | None = None,
        drop_port: int = 511,
        threads: int = 1,
        packet_in_limit: int = 4096,
        name: str = "",
    ) -> None:
        """Create a switch without ports and program; `threads` packet threads after `start`."""
        raise NotImplementedError

    # -- pipeline --------------------------------------------------------------------------------

    def prepare(self, json_text: bytes | str) -> Pipeline:
        """Build a program (or take it from the cache) and set up its tables, not live.

        Raises BmvJsonError for a faulty JSON, BuildError when the C compiler is missing or fails.
        """
        raise NotImplementedError

    def commit(self, pipeline: Pipeline) -> None:
        """Make a pipeline live between two batches of packets, and close the one before."""
        raise NotImplementedError

    @property
    def pipeline(self) -> Pipeline | None:
        """The live pipeline."""
        raise NotImplementedError

    # -- ports -----------------------------------------------------------------------------------

    def add_port(self, port: int, interface: str | None = None, pcap: str | None = None) -> None:
        """Attach a network interface to a port number, or None for a memory port.

        `pcap` is a folder that gets <interface>_in.pcap and _out.pcap. Raises SwitchError when the
        number is taken or the interface cannot be opened.
        """
        raise NotImplementedError

    def remove_port(self, port: int) -> None:
        """Detach a port; frames on their way to it are dropped and counted."""
        raise NotImplementedError

    def ports(self) -> dict[int, str | None]:
        """Return port numbers and their interfaces (None: memory)."""
        raise NotImplementedError

    def port_up(self, port: int) -> bool:
        """Return whether the port exists and has link; memory ports have."""
        raise NotImplementedError

    def set_port_up(self, port: int, up: bool) -> None:
        """Enable or disable a port by hand, as selectors' watch ports see it."""
        raise NotImplementedError

    def port_stats(self, port: int) -> PortStats:
        """Return the port's counters; SwitchError if it does not exist."""
        raise NotImplementedError

    def drops(self) -> list[DropCount]:
        """Return drops by reason since the switch started, zero counts included."""
        raise NotImplementedError

    # -- running ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the packet threads. Without them, `inject` runs the pipeline in the caller."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the packet threads and close all ports and pipelines; wakes every waiter."""
        raise NotImplementedError

    # -- memory ports ----------------------------------------------------------------------------

    def inject(self, port: int, frame: bytes) -> None:
        """Run one frame through the pipeline as if it had arrived on `port`, to completion.

        When this returns, its output has left or can be collected.
        """
        raise NotImplementedError

    def collect(self, timeout: float = 0.0) -> list[tuple[int, bytes]]:
        """Return (port, frame) that memory ports have sent since the last call, in order.

        Waits up to `timeout` seconds for the first one.
        """
        raise NotImplementedError

    # -- controller ------------------------------------------------------------------------------

    def packet_out(self, frame: bytes) -> None:
        """Send a frame (with its packet_out header) into the pipeline from the CPU port."""
        raise NotImplementedError

    def wait_packet_in(self, timeout: float, limit: int = 256) -> list[bytes]:
        """Wait for frames sent to the CPU port (with their packet_in header), oldest first.

        Returns at most `limit`; an empty list after `timeout` seconds or when the switch stops.
        The queue is bounded: what does not fit is dropped and counted in `packet_in_dropped`.
        """
        raise NotImplementedError

    @property
    def packet_in_dropped(self) -> int:
        """Packet-ins lost because nobody read them in time."""
        raise NotImplementedError

    def wait_digests(self, timeout: float) -> list[Digest]:
        """Wait for digest lists; empty after `timeout` seconds or when the switch stops."""
        raise NotImplementedError

    def wait_idle(self, timeout: float) -> list[IdleEntry]:
        """Wait for entries to be idle; each is reported again after another idle timeout."""
        raise NotImplementedError
