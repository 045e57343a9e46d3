"""Connection entries to bytes of p4.v1.Update, from parts that were encoded before."""

from __future__ import annotations

from functools import lru_cache

from finsy.proto import p4r

from control.connections.flow import Flow
from control.connections.record import SECOND, Change, idle_s
from control.encoder import Encoder
from control.policy.entries import Entry
from control.session import canonical, varint

TABLES = {4: "connection_v4_table", 6: "connection_v6_table"}
FLOW_FIELDS = ("src", "dst", "protocol", "src_port", "dst_port")
_KINDS = {"insert": b"\x08\x01", "delete": b"\x08\x03"}
_PARTS, _FLOWS = 1 << 14, 1 << 12


class ChangeEncoder:
    """Encodes changes for NICs that run one P4 program.

    The order of fields in a message does not matter, so that an entry is put together from its
    table and action, its zone, and its flow; a connection's flows are the same on all its NICs.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._ids = {v: encoder.exact_fields(name) for v, name in TABLES.items()}
        self._field = lru_cache(_PARTS)(_exact)
        self._flow = lru_cache(_FLOWS)(self._encode_flow)
        self._head = lru_cache(_PARTS)(self._encode_head)

    def update(self, change: Change) -> bytes:
        """The update that makes a change. Raises ControlError if the P4 program is another one."""
        _, zone, flow = change.key
        if change.becomes is not None and change.kind == "insert":
            entity = self._encoder.entry(change.entry)
            return bytes(p4r.Update(type=p4r.Update.INSERT, entity=entity).SerializeToString())
        entry = b"".join(
            (
                self._head(change.kind, flow.version, idle_s(flow.protocol)),
                self._field(self._ids[flow.version]["zone"], zone),
                self._flow(flow),
            )
        )
        wrapped = b"\x12" + varint(len(entry)) + entry
        return b"".join((_KINDS[change.kind], b"\x12", varint(len(wrapped)), wrapped))

    def _encode_head(self, kind: str, version: int, seconds: int) -> bytes:
        timeout = seconds * SECOND
        entry = Entry(TABLES[version], (), "pass_connection", idle_timeout_ns=timeout)
        message = self._encoder.entry(entry).table_entry
        if kind == "delete":
            message = p4r.TableEntry(table_id=message.table_id)
        return bytes(message.SerializeToString())

    def _encode_flow(self, flow: Flow) -> bytes:
        version, src, dst, protocol, src_port, dst_port = flow
        one = self._ids[version]
        return b"".join(
            (
                self._field(one["src"], src),
                self._field(one["dst"], dst),
                self._field(one["protocol"], protocol),
                _exact(one["src_port"], src_port),  # ports are too many to keep
                _exact(one["dst_port"], dst_port),
            )
        )


def _exact(number: int, value: int) -> bytes:
    """An exact FieldMatch, as a TableEntry has it."""
    data = canonical(value)
    size = len(data)
    return bytes((0x12, size + 6, 0x08, number, 0x12, size + 2, 0x0A, size)) + data
