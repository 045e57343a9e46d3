"""Which P4 object an entity belongs to: what roles are defined by."""

from __future__ import annotations

from finsy.proto import p4r

_FIELDS = {
    "table_entry": "table_id",
    "action_profile_member": "action_profile_id",
    "action_profile_group": "action_profile_id",
    "meter_entry": "meter_id",
    "counter_entry": "counter_id",
    "value_set_entry": "value_set_id",
    "register_entry": "register_id",
    "digest_entry": "digest_id",
}


def object_id(entity: p4r.Entity) -> int | None:
    """Return the P4Info id of an entity's object; None for those that have none (replication)."""
    which = entity.WhichOneof("entity")
    if which == "direct_counter_entry":
        return entity.direct_counter_entry.table_entry.table_id
    if which == "direct_meter_entry":
        return entity.direct_meter_entry.table_entry.table_id
    if which not in _FIELDS:
        return None
    number: int = getattr(getattr(entity, which), _FIELDS[which])
    return number
