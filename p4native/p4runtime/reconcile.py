"""RECONCILE_AND_COMMIT: carry the forwarding state over to a new pipeline that is not live yet.

State is kept where the two P4Infos agree on the object. Where they do not, the object must be
empty; otherwise the config is refused and the running pipeline stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from p4native.p4runtime.bind import BoundArray, BoundTable
from p4native.p4runtime.entities import digests, tables
from p4native.p4runtime.errors import P4RuntimeError, invalid_argument
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.device import CloneSession, GroupMember, SwitchError
from p4native.switch.records import Entry, Flag, Mode, Op

_BATCH = 4096


def reconcile(old: LoadedPipeline, new: LoadedPipeline) -> None:
    """Copy all state of `old` into `new`; INVALID_ARGUMENT if something cannot be kept."""
    try:
        new.info.translations.adopt(old.info.translations)
        _copy_profiles(old, new)
        for table in old.binding.tables.values():
            _copy_table(old, new, table)
        _copy_counters(old, new)
        _copy_meters(old, new)
        _copy_registers(old, new)
        _copy_value_sets(old, new)
        _copy_replication(old, new)
        _copy_digests(old, new)
    except SwitchError as error:
        raise _refusal(f"the switch refused it: {error}") from None


def _refusal(why: str) -> P4RuntimeError:
    return invalid_argument(
        f"forwarding state cannot be kept: {why}; remove it first, or use VERIFY_AND_COMMIT"
    )


def _same_actions(old: Any, new: Any) -> dict[int, int]:
    """Return old to new JSON action ids of the actions that both sides have unchanged."""
    return {
        action.json_id: new[action_id].json_id
        for action_id, action in old.items()
        if action_id in new and new[action_id].params == action.params
    }


def _copy_table(old: LoadedPipeline, new: LoadedPipeline, table: BoundTable) -> None:
    other = new.binding.tables.get(table.info.id)
    same = other is not None and other.fields == table.fields and other.masked == table.masked
    entries = (e for e in old.state.read(table.index) if not e.flags & Flag.CONST)
    if other is None or not same:
        if next(entries, None) is not None:
            raise _refusal(f"table {table.info.name} has entries and another key or no successor")
        return
    actions = _same_actions(table.actions, other.actions)
    records = [_moved(table, other, entry, actions) for entry in entries]
    default = old.state.default(table.index)
    changed = default is not None and not default.flags & Flag.CONST
    if default is not None and changed and not other.info.const_default:
        records.append(_moved(table, other, default, actions, Op.SET_DEFAULT))
    for batch in _batches(records):
        statuses, _handles = new.state.write(b"".join(batch), len(batch), Mode.CONTINUE)
        failed = next((status for status in statuses if status), None)
        if failed is not None:
            error = tables.status_error(other, tables.INSERT, failed)
            raise _refusal(error.message)


def _moved(
    table: BoundTable, other: BoundTable, entry: Entry, actions: dict[int, int], op: Op = Op.INSERT
) -> bytes:
    """Return the record that writes `entry` to the new pipeline's table."""
    if not entry.flags & (Flag.MEMBER | Flag.GROUP):
        if entry.action not in actions:
            name = table.by_json_id[entry.action].name
            raise _refusal(f"table {table.info.name}: its action {name} changed or is gone")
        entry = entry._replace(action=actions[entry.action])
    return tables.entry_record(other, op, entry)


def _batches(records: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(records), _BATCH):
        yield records[start : start + _BATCH]


def _copy_profiles(old: LoadedPipeline, new: LoadedPipeline) -> None:
    for profile in old.binding.profiles.values():
        members = old.state.members(profile.index)
        groups: list[tuple[int, int, tuple[GroupMember, ...]]] = []
        if profile.info.selector:
            groups = old.state.groups(profile.index)
        other = new.binding.profiles.get(profile.info.id)
        if other is None or other.info.selector != profile.info.selector:
            if members:
                raise _refusal(f"action profile {profile.info.name} has members and no successor")
            continue
        actions = _same_actions(profile.actions, other.actions)
        for number, json_id, data in members:
            if json_id not in actions:
                raise _refusal(f"action profile {profile.info.name}: member {number}'s action")
            new.state.insert_member(other.index, number, actions[json_id], data)
            if (profile.info.id, number) in old.members:
                new.members[(profile.info.id, number)] = (actions[json_id], data)
        for number, max_size, group in groups:
            new.state.insert_group(other.index, number, group, max_size)
        if profile.info.id in old.one_shots:
            new.one_shots[profile.info.id] = old.one_shots[profile.info.id].copy()
        new.selector_sizes[profile.info.id] = old.selector_sizes[profile.info.id]
    new.groups.update(old.groups)


def _same_array(kind: str, array: BoundArray, other: BoundArray | None, used: bool) -> bool:
    if other is not None and other.info == array.info:
        return True
    if used:
        raise _refusal(f"{kind} {array.info.name} holds values and changed or is gone")
    return False


def _copy_counters(old: LoadedPipeline, new: LoadedPipeline) -> None:
    for counter in old.binding.counters.values():
        cells = old.state.counter_cells(counter.index, 0, counter.info.size)
        other = new.binding.counters.get(counter.info.id)
        # Counts are observations: a counter that is gone takes them along.
        if other is not None and _same_array("counter", counter, other, used=False):
            for index, (packets, octets) in enumerate(cells):
                if packets or octets:
                    new.state.set_counter(other.index, range(index, index + 1), packets, octets)


def _copy_meters(old: LoadedPipeline, new: LoadedPipeline) -> None:
    for meter in old.binding.meters.values():
        size = meter.info.size
        configs = [*old.state.meter_configs(meter.index, 0, size)]
        used = any(config is not None for config in configs)
        other = new.binding.meters.get(meter.info.id)
        if _same_array("meter", meter, other, used=used) and other is not None:
            found = zip(configs, old.state.meter_marks(meter.index, 0, size), strict=True)
            for index, (config, marks) in enumerate(found):
                if config is not None or any(marks):
                    new.state.set_meter(other.index, range(index, index + 1), config, marks)


def _copy_registers(old: LoadedPipeline, new: LoadedPipeline) -> None:
    for register in old.binding.registers.values():
        cells = old.state.register_cells(register.index, 0, register.info.size)
        other = new.binding.registers.get(register.info.id)
        if other is None or other.info != register.info:
            if any(cells):
                raise _refusal(f"register {register.info.name} holds values and changed or is gone")
            continue
        for index, value in enumerate(cells):
            if value:
                new.state.set_register(other.index, range(index, index + 1), value)


def _copy_value_sets(old: LoadedPipeline, new: LoadedPipeline) -> None:
    for vset in old.binding.value_sets.values():
        members = old.state.value_set(vset.index)
        other = new.binding.value_sets.get(vset.info.id)
        if not members:
            continue
        if other is None or other.fields != vset.fields:
            raise _refusal(f"value set {vset.info.name} has members and changed or is gone")
        new.state.set_value_set(other.index, members)


def _copy_replication(old: LoadedPipeline, new: LoadedPipeline) -> None:
    for number in old.multicast_groups:
        new.state.set_multicast_group(number, old.state.multicast_group(number))
    for number in old.clone_sessions:
        session: CloneSession | None = old.state.clone_session(number)
        new.state.set_clone_session(number, session)
    new.multicast_groups.update(old.multicast_groups)
    new.clone_sessions.update(old.clone_sessions)


def _copy_digests(old: LoadedPipeline, new: LoadedPipeline) -> None:
    for digest_id, message in old.digest_configs.items():
        digest = new.binding.digests.get(digest_id)
        if digest is None or digest.info != old.info.digests[digest_id]:
            name = old.info.digests[digest_id].name
            raise _refusal(f"digest {name} is enabled and changed or is gone")
        with new.state.drafting(f"digest {digest.info.name}") as draft:
            digests.configure(draft, new, digest, message)
