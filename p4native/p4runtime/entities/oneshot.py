"""One-shot programming of action selectors (spec, "One Shot Action Selector Programming").

A one-shot entry owns a group and its members, under ids that no client sees. The message stays
with the entry, so that a read returns it as written.
"""

from __future__ import annotations

from typing import NamedTuple

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundProfile, BoundTable
from p4native.p4runtime.codec import canonical
from p4native.p4runtime.entities.action import canonical_action, encode_action
from p4native.p4runtime.entities.match import Match
from p4native.p4runtime.entities.profiles import (
    check_weight,
    group_size,
    take_room,
    watch_port,
)
from p4native.p4runtime.entities.tables import (
    DELETE,
    INSERT,
    MODIFY,
    check_direct,
    check_idle,
    counter_value,
    encode_match,
    encode_note,
    find_table,
    marks_value,
    meter_value,
    status_error,
)
from p4native.p4runtime.entities.updates import known_type
from p4native.p4runtime.errors import invalid_argument, permission_denied
from p4native.p4runtime.pipeline import LoadedPipeline, OneShots
from p4native.switch.device import Device, GroupMember
from p4native.switch.draft import Draft
from p4native.switch.records import Flag, Op, Status, pack_op

_Set = p4r.ActionProfileActionSet


def is_one_shot(loaded: LoadedPipeline, kind: int, message: p4r.TableEntry) -> bool:
    """Whether an update concerns a one-shot: by its action, or by the profile's way of use.

    A DELETE is judged by its table alone, for its action does not count.
    """
    if kind != DELETE and message.action.WhichOneof("type") == "action_profile_action_set":
        return True
    table = loaded.binding.tables.get(message.table_id)
    return table is not None and uses_one_shots(loaded, table)


def uses_one_shots(loaded: LoadedPipeline, table: BoundTable) -> bool:
    """Whether the table's profile is programmed by one-shots now."""
    if table.info.profile is None:
        return False
    one_shots = loaded.one_shots.get(table.info.profile)
    return one_shots is not None and one_shots.entries > 0


class OneShot(NamedTuple):
    """What a one-shot entry has: its group, and its note with the action as written."""

    group: int
    note: bytes


def find_one_shot(
    draft: Draft, loaded: LoadedPipeline, table: BoundTable, match: Match, priority: int
) -> OneShot | None:
    """Return what an entry has, as the draft leaves it."""
    place = (table.index, match, priority)
    if place in draft.planned:
        planned: OneShot | None = draft.planned[place]
        return planned
    entry = loaded.state.find(table.index, *match, priority)
    return None if entry is None else OneShot(entry.action, entry.note)


def plan_one_shot(
    draft: Draft, table: BoundTable, match: Match, priority: int, now: OneShot | None
) -> None:
    """Have the rest of the draft find what an entry has now."""
    draft.planned[table.index, match, priority] = now


class OneShotWriter:
    """Writes the entries of one table whose profile is programmed by one-shots."""

    def __init__(
        self, draft: Draft, loaded: LoadedPipeline, device: Device, cpu_port: int | None,
        table_id: int,
    ) -> None:  # fmt: skip
        """Prepare for a table; INVALID_ARGUMENT if it has no action selector."""
        self._draft, self._loaded = draft, loaded
        self._device, self._cpu_port = device, cpu_port
        self._table: BoundTable = find_table(loaded, table_id)
        name = self._table.info.name
        profile_id = self._table.info.profile
        if profile_id is None or not loaded.info.profiles[profile_id].selector:
            raise invalid_argument(f"table {name}: one-shots need an action selector")
        self._profile: BoundProfile = loaded.binding.profiles[profile_id]
        self._ids = loaded.one_shots.setdefault(profile_id, OneShots())
        if not self._ids.entries and any(owner == profile_id for owner, _ in loaded.members):
            raise invalid_argument(
                f"table {name}: its action selector is programmed by members; do not mix"
            )

    def write(self, kind: int, message: p4r.TableEntry) -> None:
        """Insert, modify or delete an entry together with its group and members."""
        name = self._table.info.name
        known_type(f"table {name}", kind)
        if message.is_default_action:
            raise permission_denied(f"table {name}: its default action is const")
        if message.is_const:
            raise invalid_argument(f"table {name}: is_const may not be written")
        match = encode_match(self._loaded, self._table, message)
        if kind != DELETE:
            self._check_content(message)
        old = find_one_shot(self._draft, self._loaded, self._table, match, message.priority)
        if (kind == INSERT) != (old is None):
            status = Status.EXISTS if kind == INSERT else Status.MISSING
            raise status_error(self._table, kind, status)
        group = 0 if kind == DELETE else self._make_group(message, old)
        self._add(kind, match, message, group)
        if old is not None:
            self._drop_group(old.group, keep_room=kind == MODIFY)
        new = OneShot(group, encode_note(message, message.action)) if group else None
        plan_one_shot(self._draft, self._table, match, message.priority, new)
        self._ids.count(self._draft, (kind == INSERT) - (kind == DELETE))

    def _check_content(self, message: p4r.TableEntry) -> None:
        if message.action.WhichOneof("type") != "action_profile_action_set":
            raise invalid_argument(
                f"table {self._table.info.name}: its action selector is programmed by one-shots; "
                "do not mix"
            )
        check_direct(self._table, message)
        check_idle(self._table, message)

    def _add(self, kind: int, match: Match, message: p4r.TableEntry, group: int) -> None:
        if kind == DELETE:
            record = pack_op(Op.DELETE, self._table.index, key=match.key, mask=match.mask,
                             prefix_len=match.prefix_len, priority=message.priority)  # fmt: skip
        else:
            record = pack_op(
                Op.INSERT if kind == INSERT else Op.MODIFY,
                self._table.index,
                key=match.key,
                mask=match.mask,
                prefix_len=match.prefix_len,
                priority=message.priority,
                action=group,
                flags=Flag.GROUP,
                note=encode_note(message, message.action),
                idle_ns=message.idle_timeout_ns,
                counter=counter_value(message),
                meter=meter_value(self._loaded, self._table, message),
                marks=marks_value(message),
            )
        self._draft.add(record)

    def _make_group(self, message: p4r.TableEntry, old: OneShot | None) -> int:
        """Make members and group for an action set, in place of an old one; return its id."""
        parsed = self._plan(message.action.action_profile_action_set)
        size = group_size(self._profile, [member for member, _, _ in parsed])
        growth = size - (0 if old is None else self._ids.sizes[old.group])
        what = f"table {self._table.info.name}"
        take_room(self._draft, self._loaded, self._profile, what, growth)
        state, index, draft = self._loaded.state, self._profile.index, self._draft
        for member, json_id, data in parsed:
            state.insert_member(index, member.member, json_id, data, draft)
        members = [member for member, _, _ in parsed]
        group = self._ids.take(draft)
        state.insert_group(index, group, members, draft=draft)
        draft.put(self._ids.members_of, group, [member.member for member in members])
        draft.put(self._ids.sizes, group, size)
        return group

    def _plan(self, actions: _Set) -> list[tuple[GroupMember, int, bytes]]:
        """Check an action set; return its members with JSON action ids and data."""
        members = self._counts_members(actions)
        parsed = []
        for item in actions.action_profile_actions:
            what = f"table {self._table.info.name}: one-shot"
            weight = check_weight(self._profile, what, item.weight, members=members)
            port = watch_port(self._device, self._cpu_port, what, item)
            action, data = encode_action(what, self._profile.actions, item.action)
            parsed.append((weight, port, action.json_id, data))
        self._check_size(len(parsed) if members else sum(parts[0] for parts in parsed))
        return [
            (GroupMember(self._ids.take(self._draft), weight, port), json_id, data)
            for weight, port, json_id, data in parsed
        ]

    def _counts_members(self, actions: _Set) -> bool:
        """Whether the set's size is its number of members, not the sum of their weights."""
        name = self._table.info.name
        if actions.action_selection_mode not in (0, _Set.HASH):
            raise invalid_argument(f"table {name}: one-shot: the switch selects by HASH alone")
        if actions.size_semantics not in _Set.SizeSemantics.values():
            raise invalid_argument(
                f"table {name}: one-shot: size semantics {actions.size_semantics} are not known"
            )
        if actions.size_semantics == 0:
            return self._profile.info.sum_of_members
        return bool(actions.size_semantics == _Set.SUM_OF_MEMBERS)

    def _check_size(self, size: int) -> None:
        limit = self._profile.info.max_group_size
        if limit and size > limit:
            raise invalid_argument(
                f"table {self._table.info.name}: one-shot of size {size}, expected at most {limit}"
            )

    def _drop_group(self, group: int, *, keep_room: bool) -> None:
        state, index, draft = self._loaded.state, self._profile.index, self._draft
        state.delete_group(index, group, draft)
        for member in self._ids.members_of[group]:
            state.delete_member(index, member, draft)
            self._ids.give(draft, member)
        self._ids.give(draft, group)
        if not keep_room:
            what = f"table {self._table.info.name}"
            take_room(draft, self._loaded, self._profile, what, -self._ids.sizes[group])
        draft.drop(self._ids.members_of, group)
        draft.drop(self._ids.sizes, group)


def decode_one_shot(table: BoundTable, action: p4r.TableAction) -> None:
    """Put the byte strings of a kept one-shot into canonical form."""
    for item in action.action_profile_action_set.action_profile_actions:
        canonical_action(table.actions[item.action.action_id], item.action)
        if item.watch_port:
            item.watch_port = canonical(item.watch_port)
