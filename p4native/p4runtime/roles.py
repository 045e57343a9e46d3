"""What a role may do (spec, "Role Config"), in the form of `stratum.P4RoleConfig`."""

from __future__ import annotations

from dataclasses import dataclass

from finsy.proto import p4r, stratum
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from p4native.p4runtime.codec import canonical
from p4native.p4runtime.errors import invalid_argument

DEFAULT_ROLE = ""


@dataclass(frozen=True, slots=True)
class RoleScope:
    """The scope of a role; `ids` is None for full pipeline access."""

    ids: frozenset[int] | None = None
    exclusive: frozenset[int] = frozenset()
    receives_packet_in: bool = True
    packet_in_filter: tuple[int, bytes] | None = None
    can_push_pipeline: bool = True

    def allows(self, p4_id: int) -> bool:
        """Whether the role may write the P4 object `p4_id`."""
        return self.ids is None or p4_id in self.ids

    @property
    def wants_all(self) -> bool:
        """Whether the role's primary receives every packet."""
        return self.receives_packet_in and self.packet_in_filter is None

    def wants(self, packet: p4r.PacketIn) -> bool:
        """Whether the role's primary receives `packet`."""
        if not self.receives_packet_in:
            return False
        if self.packet_in_filter is None:
            return True
        metadata_id, value = self.packet_in_filter
        return any(m.metadata_id == metadata_id and m.value == value for m in packet.metadata)


FULL_ACCESS = RoleScope()


def role_key(name: str, number: int = 0) -> str:
    """Return what a role is remembered by: its name, or else its deprecated id (0: default role).

    An id is written as `#id`, which no name is: those that begin with `#` get another one.
    """
    if name:
        return f"#{name}" if name.startswith("#") else name
    return f"#{number}" if number else DEFAULT_ROLE


def parse_scope(role: str, config: Any | None) -> RoleScope:
    """Return the scope for `role.config`; INVALID_ARGUMENT if it is not a `P4RoleConfig`."""
    if config is None or not config.type_url:
        return FULL_ACCESS
    message = stratum.P4RoleConfig()
    try:
        known = config.Unpack(message)
    except DecodeError:
        raise invalid_argument(f"role {role!r}: its P4RoleConfig cannot be decoded") from None
    if not known:
        raise invalid_argument(
            f"role {role!r}: config of type {config.type_url!r}, expected stratum.P4RoleConfig"
        )
    filtered = None
    if message.HasField("packet_in_filter"):
        wanted = message.packet_in_filter
        filtered = (wanted.metadata_id, canonical(wanted.value))
    exclusive = frozenset(message.exclusive_p4_ids)
    return RoleScope(
        ids=exclusive | frozenset(message.shared_p4_ids),
        exclusive=exclusive,
        receives_packet_in=message.receives_packet_ins,
        packet_in_filter=filtered,
        can_push_pipeline=message.can_push_pipeline,
    )
