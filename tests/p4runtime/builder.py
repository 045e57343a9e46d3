"""P4Runtime messages by the names of a P4Info, built by hand: no client library in between."""

from __future__ import annotations

from typing import Any

from finsy.proto import p4i, p4r

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


def octets(value: int | bytes) -> bytes:
    """A canonical byte string; bytes pass as they are, so that tests can send bad ones."""
    if isinstance(value, bytes):
        return value
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


class Builder:
    """Entities of one program."""

    def __init__(self, info: p4i.P4Info) -> None:
        self.info = info

    def id(self, kind: str, name: str) -> int:
        """The id of `tables`, `actions`, `counters` … by alias."""
        for item in getattr(self.info, kind):
            if item.preamble.alias == name:
                return int(item.preamble.id)
        raise KeyError(f"{kind} {name}")

    def table(self, name: str) -> Any:
        """The P4Info's table."""
        return next(t for t in self.info.tables if t.preamble.alias == name)

    def action(self, name: str, **params: int | bytes) -> p4r.Action:
        """An action with its parameters by name."""
        info = next(a for a in self.info.actions if a.preamble.alias == name)
        ids = {param.name: param.id for param in info.params}
        message = p4r.Action(action_id=info.preamble.id)
        for key, value in params.items():
            message.params.add(param_id=ids[key], value=octets(value))
        return message

    def match(self, table: str, **fields: Any) -> list[p4r.FieldMatch]:
        """Matches by field name: exact and optional take a value, the others a pair."""
        found = []
        for field in self.table(table).match_fields:
            if field.name not in fields:
                continue
            value = fields[field.name]
            match = p4r.FieldMatch(field_id=field.id)
            if field.match_type == p4i.MatchField.EXACT:
                match.exact.value = octets(value)
            elif field.match_type == p4i.MatchField.OPTIONAL:
                match.optional.value = octets(value)
            elif field.match_type == p4i.MatchField.TERNARY:
                match.ternary.value, match.ternary.mask = octets(value[0]), octets(value[1])
            elif field.match_type == p4i.MatchField.LPM:
                match.lpm.value, match.lpm.prefix_len = octets(value[0]), value[1]
            else:
                match.range.low, match.range.high = octets(value[0]), octets(value[1])
            found.append(match)
        return found

    def entry(
        self,
        table: str,
        match: dict[str, Any] | None = None,
        action: p4r.Action | p4r.TableAction | None = None,
        **fields: Any,
    ) -> p4r.Entity:
        """A table entry; further fields by their protobuf names."""
        message = p4r.TableEntry(
            table_id=self.id("tables", table), match=self.match(table, **(match or {})), **fields
        )
        if isinstance(action, p4r.Action):
            message.action.action.CopyFrom(action)
        elif action is not None:
            message.action.CopyFrom(action)
        return p4r.Entity(table_entry=message)

    def member(self, profile: str, number: int, action: p4r.Action | None = None) -> p4r.Entity:
        """An action profile member."""
        return p4r.Entity(
            action_profile_member=p4r.ActionProfileMember(
                action_profile_id=self.id("action_profiles", profile),
                member_id=number,
                action=action,
            )
        )

    def group(self, profile: str, number: int, *members: Any, max_size: int = 8) -> p4r.Entity:
        """An action profile group; members are ids, or (id, weight, watch port)."""
        group = p4r.ActionProfileGroup(
            action_profile_id=self.id("action_profiles", profile),
            group_id=number,
            max_size=max_size,
        )
        for member in members:
            number, weight, port = member if isinstance(member, tuple) else (member, 1, None)
            added = group.members.add(member_id=number, weight=weight)
            if port is not None:
                added.watch_port = octets(port)
        return p4r.Entity(action_profile_group=group)

    def one_shot(self, *actions: tuple[p4r.Action, int]) -> p4r.TableAction:
        """A one-shot action set of (action, weight)."""
        message = p4r.TableAction()
        for action, weight in actions:
            added = message.action_profile_action_set.action_profile_actions.add(weight=weight)
            added.action.CopyFrom(action)
        return message

    def counter(self, name: str, index: int | None, packets: int = 0, size: int = 0) -> p4r.Entity:
        """A counter cell."""
        entry = p4r.CounterEntry(counter_id=self.id("counters", name))
        if index is not None:
            entry.index.index = index
        entry.data.packet_count, entry.data.byte_count = packets, size
        return p4r.Entity(counter_entry=entry)

    def meter(
        self, name: str, index: int | None, config: tuple[int, int, int, int] | None
    ) -> p4r.Entity:
        """A meter cell with (cir, cburst, pir, pburst)."""
        entry = p4r.MeterEntry(meter_id=self.id("meters", name))
        if index is not None:
            entry.index.index = index
        if config is not None:
            entry.config.CopyFrom(meter_config(*config))
        return p4r.Entity(meter_entry=entry)

    def register(self, name: str, index: int | None, value: int | bytes | None) -> p4r.Entity:
        """A register cell."""
        entry = p4r.RegisterEntry(register_id=self.id("registers", name))
        if index is not None:
            entry.index.index = index
        if value is not None:
            entry.data.bitstring = octets(value)
        return p4r.Entity(register_entry=entry)

    def value_set(self, name: str, *members: tuple[int, ...]) -> p4r.Entity:
        """A value set with exact members."""
        entry = p4r.ValueSetEntry(value_set_id=self.id("value_sets", name))
        for member in members:
            added = entry.members.add()
            for field_id, value in enumerate(member, 1):
                added.match.add(field_id=field_id).exact.value = octets(value)
        return p4r.Entity(value_set_entry=entry)

    def digest(self, name: str, size: int, timeout_ns: int, ack_ns: int) -> p4r.Entity:
        """A digest's configuration."""
        entry = p4r.DigestEntry(digest_id=self.id("digests", name))
        entry.config.max_list_size, entry.config.max_timeout_ns = size, timeout_ns
        entry.config.ack_timeout_ns = ack_ns
        return p4r.Entity(digest_entry=entry)


def meter_config(cir: int, cburst: int, pir: int, pburst: int) -> p4r.MeterConfig:
    """A two-rate configuration."""
    return p4r.MeterConfig(cir=cir, cburst=cburst, pir=pir, pburst=pburst)


def multicast(group: int, *replicas: tuple[int, int], metadata: bytes = b"") -> p4r.Entity:
    """A multicast group of (port, instance)."""
    entry = p4r.MulticastGroupEntry(multicast_group_id=group, metadata=metadata)
    for port, instance in replicas:
        entry.replicas.add(port=octets(port), instance=instance)
    return p4r.Entity(
        packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(
            multicast_group_entry=entry
        )
    )


def clone_session(session: int, *replicas: tuple[int, int], **fields: int) -> p4r.Entity:
    """A clone session of (port, instance)."""
    entry = p4r.CloneSessionEntry(session_id=session, **fields)
    for port, instance in replicas:
        entry.replicas.add(port=octets(port), instance=instance)
    return p4r.Entity(
        packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(clone_session_entry=entry)
    )


def probe(dst: int = 1, src: int = 2, op: int = 0, key: int = 0, value: int = 0) -> bytes:
    """A frame with the probe header of entities.p4."""
    ethernet = dst.to_bytes(6, "big") + src.to_bytes(6, "big") + b"\x88\xb5"
    header = bytes((op, 0)) + key.to_bytes(2, "big") + value.to_bytes(4, "big")
    return ethernet + header + bytes(range(46 - 8))


def mark_of(frame: bytes) -> int:
    """The `mark` byte that actions write into a probe frame."""
    return frame[15]
