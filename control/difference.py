"""Compare the entries a NIC should hold with those it holds, and order the updates between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from finsy.proto import p4r

Key = tuple[object, ...]


@dataclass(frozen=True)
class Difference:
    """Updates that turn what a NIC holds into what it should hold, in writing order."""

    inserted: int
    modified: int
    deleted: int
    updates: tuple[p4r.Update, ...]

    def __len__(self) -> int:
        return len(self.updates)

    def __str__(self) -> str:
        return f"{self.inserted} inserted, {self.modified} modified, {self.deleted} deleted"


def index(entities: Iterable[p4r.Entity]) -> dict[Key, p4r.Entity]:
    """Entities by what identifies them on a NIC."""
    return {key_of(entity): entity for entity in entities}


def compare(
    want: Mapping[Key, p4r.Entity], have: Mapping[Key, p4r.Entity], last: Sequence[int] = ()
) -> Difference:
    """The difference between two indexed sets; statistics and ages are not compared.

    Order: groups and meters, new entries, changed entries (tables whose ids are in ``last`` after
    the others: they switch traffic over to what was written before), removed entries, and groups.
    """
    inserts = [want[key] for key in want.keys() - have.keys() if not _modify_only(want[key])]
    deletes = [have[key] for key in have.keys() - want.keys()]
    modifies = [want[key] for key in want.keys() - have.keys() if _modify_only(want[key])]
    modifies += [
        want[key]
        for key in want.keys() & have.keys()
        if want[key] is not have[key] and _value(want[key]) != _value(have[key])
    ]

    def rank(entity: p4r.Entity) -> tuple[object, ...]:
        switching = entity.table_entry.table_id in last
        return (entity.HasField("table_entry"), switching, entity.SerializeToString())

    early = [entity for entity in modifies if not entity.HasField("table_entry")]
    late = [entity for entity in modifies if entity.HasField("table_entry")]
    updates = [
        *(_update(p4r.Update.MODIFY, entity) for entity in sorted(early, key=rank)),
        *(_update(p4r.Update.INSERT, entity) for entity in sorted(inserts, key=rank)),
        *(_update(p4r.Update.MODIFY, entity) for entity in sorted(late, key=rank)),
        *(_removal(entity) for entity in sorted(deletes, key=rank, reverse=True)),
    ]
    return Difference(len(inserts), len(modifies), len(deletes), tuple(updates))


def _update(kind: p4r.Update.Type.ValueType, entity: p4r.Entity) -> p4r.Update:
    return p4r.Update(type=kind, entity=entity)


def _modify_only(entity: p4r.Entity) -> bool:
    """Whether the entity always exists and can only be changed: defaults and meters."""
    if entity.HasField("table_entry"):
        return entity.table_entry.is_default_action
    return entity.HasField("meter_entry")


def _removal(entity: p4r.Entity) -> p4r.Update:
    """The update that removes an entity, or puts a modify-only one back as it was at the start."""
    bare = p4r.Entity()
    if entity.HasField("table_entry"):
        bare.table_entry.table_id = entity.table_entry.table_id
        bare.table_entry.match.extend(entity.table_entry.match)
        bare.table_entry.priority = entity.table_entry.priority
        bare.table_entry.is_default_action = entity.table_entry.is_default_action
    elif entity.HasField("meter_entry"):
        bare.meter_entry.meter_id = entity.meter_entry.meter_id
        bare.meter_entry.index.CopyFrom(entity.meter_entry.index)
    else:
        bare.CopyFrom(entity)
    return _update(p4r.Update.MODIFY if _modify_only(entity) else p4r.Update.DELETE, bare)


def key_of(entity: p4r.Entity) -> Key:
    """What identifies an entity on its NIC."""
    kind = entity.WhichOneof("entity")
    if kind == "table_entry":
        entry = entity.table_entry
        fields = tuple(sorted(_field(match) for match in entry.match))
        return (kind, entry.table_id, entry.is_default_action, entry.priority, fields)
    if kind == "meter_entry":
        return (kind, entity.meter_entry.meter_id, entity.meter_entry.index.index)
    engine = entity.packet_replication_engine_entry
    if engine.HasField("multicast_group_entry"):
        return ("group", engine.multicast_group_entry.multicast_group_id)
    return ("session", engine.clone_session_entry.session_id)


def _field(match: p4r.FieldMatch) -> tuple[int, ...]:
    """A match field as numbers: servers may pad byte strings."""
    kind = match.WhichOneof("field_match_type")
    number = int.from_bytes
    if kind == "exact":
        return (match.field_id, number(match.exact.value, "big"))
    if kind == "lpm":
        return (match.field_id, number(match.lpm.value, "big"), match.lpm.prefix_len)
    if kind == "ternary":
        value, mask = match.ternary.value, match.ternary.mask
        return (match.field_id, number(value, "big"), number(mask, "big"))
    if kind == "range":
        return (match.field_id, number(match.range.low, "big"), number(match.range.high, "big"))
    return (match.field_id, number(match.optional.value, "big"))


def _value(entity: p4r.Entity) -> object:
    """What an entity says, apart from its key, statistics and the order of replicas."""
    kind = entity.WhichOneof("entity")
    if kind == "table_entry":
        entry = entity.table_entry
        action = entry.action.action
        params = sorted((p.param_id, int.from_bytes(p.value, "big")) for p in action.params)
        return (action.action_id, params, entry.idle_timeout_ns, _meter(entry.meter_config))
    if kind == "meter_entry":
        return _meter(entity.meter_entry.config)
    engine = entity.packet_replication_engine_entry
    if engine.HasField("multicast_group_entry"):
        return sorted(_replica(r) for r in engine.multicast_group_entry.replicas)
    session = engine.clone_session_entry
    return (sorted(_replica(r) for r in session.replicas), session.packet_length_bytes)


def _meter(config: p4r.MeterConfig) -> tuple[int, ...]:
    return (config.cir, config.cburst, config.pir, config.pburst)


def _replica(replica: p4r.Replica) -> tuple[int, int]:
    """Port and instance; the port is a number in old messages and a byte string in new ones."""
    if replica.WhichOneof("port_kind") == "port":
        return int.from_bytes(replica.port, "big"), replica.instance
    return replica.egress_port, replica.instance
