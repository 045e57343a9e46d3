"""Parser value sets (spec, "ValueSetEntry")."""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundValueSet
from p4native.p4runtime.entities.cells import find_array
from p4native.p4runtime.entities.updates import only_modify
from p4native.p4runtime.errors import already_exists, invalid_argument, resource_exhausted
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.draft import Draft


def write(draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.ValueSetEntry) -> None:
    """Replace all members at once."""
    only_modify("value set", kind)
    vset = find_array("value set", loaded.binding.value_sets, message.value_set_id)
    name = vset.info.name
    if len(message.members) > vset.info.size:
        raise resource_exhausted(
            f"value set {name}: {len(message.members)} members, its size is {vset.info.size}"
        )
    codec = loaded.member_keys[vset.info.id]
    members: dict[tuple[bytes, bytes], None] = {}
    for member in message.members:
        match = codec.encode(member.match)
        if (match.key, match.mask) in members:
            raise already_exists(f"value set {name}: a member is given twice")
        members[match.key, match.mask] = None
    loaded.state.set_value_set(vset.index, [*members], draft)


def read(loaded: LoadedPipeline, message: p4r.ValueSetEntry) -> Iterator[p4r.Entity]:
    """Yield one value set, or all of them for id 0."""
    if message.members:
        raise invalid_argument("value set: a read may not name members")
    vsets = loaded.binding.value_sets
    if message.value_set_id:
        yield _entity(loaded, find_array("value set", vsets, message.value_set_id))
        return
    for vset in vsets.values():
        yield _entity(loaded, vset)


def _entity(loaded: LoadedPipeline, vset: BoundValueSet) -> p4r.Entity:
    entity = p4r.Entity()
    entity.value_set_entry.value_set_id = vset.info.id
    codec = loaded.member_keys[vset.info.id]
    for key, mask in loaded.state.value_set(vset.index):
        codec.decode(key, mask, 0, entity.value_set_entry.members.add().match)
    return entity
