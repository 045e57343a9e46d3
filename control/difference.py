"""Compare the entries a NIC should hold with those it holds, and order the updates between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from finsy.proto import p4r


@dataclass(frozen=True)
class Difference:
    """Updates that turn what a NIC holds into what it should hold."""

    inserts: list[p4r.Update]
    modifies: list[p4r.Update]
    deletes: list[p4r.Update]

    @property
    def updates(self) -> list[p4r.Update]:
        """All updates, in an order that never leaves a gap: groups and new entries first."""
        return self.inserts + self.modifies + self.deletes

    def __len__(self) -> int:
        return len(self.inserts) + len(self.modifies) + len(self.deletes)


def compare(desired: Iterable[p4r.Entity], actual: Iterable[p4r.Entity]) -> Difference:
    """The difference between two sets of entities; statistics and ages are not compared."""
    want = {_key(entity): entity for entity in desired}
    have = {_key(entity): entity for entity in actual}
    inserts, modifies = [], []
    for key, entity in want.items():
        if _modify_only(entity):
            if key not in have or _value(have[key]) != _value(entity):
                modifies.append(p4r.Update(type=p4r.Update.MODIFY, entity=entity))
        elif key not in have:
            inserts.append(p4r.Update(type=p4r.Update.INSERT, entity=entity))
        elif _value(have[key]) != _value(entity):
            modifies.append(p4r.Update(type=p4r.Update.MODIFY, entity=entity))
    deletes = [_removal(entity) for key, entity in have.items() if key not in want]
    inserts.sort(key=lambda update: _rank(update.entity))
    deletes.sort(key=lambda update: -_rank(update.entity))
    return Difference(inserts, modifies, [update for update in deletes if update is not None])


def _rank(entity: p4r.Entity) -> int:
    """Entries may refer to groups and sessions, so these come first and go last."""
    return 1 if entity.HasField("table_entry") else 0


def _modify_only(entity: p4r.Entity) -> bool:
    """Whether the entity always exists and can only be changed: defaults and meters."""
    if entity.HasField("table_entry"):
        return entity.table_entry.is_default_action
    return entity.HasField("meter_entry") or entity.HasField("direct_meter_entry")


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
    kind = p4r.Update.MODIFY if _modify_only(entity) else p4r.Update.DELETE
    return p4r.Update(type=kind, entity=bare)


def _key(entity: p4r.Entity) -> tuple[object, ...]:
    """What identifies an entity on its NIC."""
    if entity.HasField("table_entry"):
        return ("table", *_entry_key(entity.table_entry))
    if entity.HasField("direct_meter_entry"):
        return ("direct_meter", *_entry_key(entity.direct_meter_entry.table_entry))
    if entity.HasField("meter_entry"):
        return ("meter", entity.meter_entry.meter_id, entity.meter_entry.index.index)
    if entity.HasField("digest_entry"):
        return ("digest", entity.digest_entry.digest_id)
    engine = entity.packet_replication_engine_entry
    if engine.HasField("multicast_group_entry"):
        return ("group", engine.multicast_group_entry.multicast_group_id)
    return ("session", engine.clone_session_entry.session_id)


def _entry_key(entry: p4r.TableEntry) -> tuple[object, ...]:
    """Table, match fields in the order of their ids, and priority."""
    fields = sorted((field.field_id, field.SerializeToString()) for field in entry.match)
    return (entry.table_id, entry.is_default_action, entry.priority, tuple(fields))


def _value(entity: p4r.Entity) -> object:
    """What an entity says, apart from its key, statistics and the order of replicas."""
    if entity.HasField("table_entry"):
        entry = entity.table_entry
        action = entry.action.SerializeToString(deterministic=True)
        return (action, entry.idle_timeout_ns, entry.metadata)
    if entity.HasField("direct_meter_entry"):
        return entity.direct_meter_entry.config.SerializeToString()
    if entity.HasField("meter_entry"):
        return entity.meter_entry.config.SerializeToString()
    if entity.HasField("digest_entry"):
        return entity.digest_entry.config.SerializeToString()
    engine = entity.packet_replication_engine_entry
    if engine.HasField("multicast_group_entry"):
        return sorted(_replica(r) for r in engine.multicast_group_entry.replicas)
    session = engine.clone_session_entry
    replicas = sorted(_replica(r) for r in session.replicas)
    return (replicas, session.class_of_service, session.packet_length_bytes)


def _replica(replica: p4r.Replica) -> tuple[int, int]:
    """Port and instance; the port is a number in old messages and a byte string in new ones."""
    if replica.WhichOneof("port_kind") == "port":
        return int.from_bytes(replica.port, "big"), replica.instance
    return replica.egress_port, replica.instance
