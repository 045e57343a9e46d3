"""One-shot programming of action selectors (spec, "One Shot Action Selector Programming").

A one-shot entry owns a group and its members, under ids that no client sees. The message stays
with the entry, so that a read returns it as written.
"""

from __future__ import annotations

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundProfile, BoundTable
from p4native.p4runtime.codec import canonical
from p4native.p4runtime.entities.action import canonical_action, encode_action
from p4native.p4runtime.entities.match import Match
from p4native.p4runtime.entities.meters import fill_meter_config
from p4native.p4runtime.entities.profiles import (
    check_room,
    check_weight,
    group_size,
    switch_failure,
    watch_port,
)
from p4native.p4runtime.entities.tables import (
    DELETE,
    INSERT,
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
from p4native.p4runtime.entities.undo import Undo, known_type
from p4native.p4runtime.errors import P4RuntimeError, invalid_argument, permission_denied
from p4native.p4runtime.pipeline import LoadedPipeline, OneShots
from p4native.switch.device import Device, GroupMember, SwitchError
from p4native.switch.records import Entry, Flag, Op, Status, pack_op

_Set = p4r.ActionProfileActionSet


def is_one_shot(loaded: LoadedPipeline, kind: int, message: p4r.TableEntry) -> bool:
    """Whether an update concerns a one-shot: by its action, or by the profile's way of use.

    A DELETE is judged by its table alone, for its action does not count.
    """
    if kind != DELETE and message.action.WhichOneof("type") == "action_profile_action_set":
        return True
    table = loaded.binding.tables.get(message.table_id)
    if table is None or table.info.profile is None:
        return False
    one_shots = loaded.one_shots.get(table.info.profile)
    return one_shots is not None and one_shots.entries > 0


class OneShotWriter:
    """Writes the entries of one table whose profile is programmed by one-shots."""

    def __init__(
        self, loaded: LoadedPipeline, device: Device, cpu_port: int | None, table_id: int
    ) -> None:
        """Prepare for a table; INVALID_ARGUMENT if it has no action selector."""
        self._loaded, self._device, self._cpu_port = loaded, device, cpu_port
        self._table: BoundTable = find_table(loaded, table_id)
        name = self._table.info.name
        profile_id = self._table.info.profile
        if profile_id is None or not loaded.info.profiles[profile_id].selector:
            raise invalid_argument(f"table {name}: one-shots need an action selector")
        self._profile: BoundProfile = loaded.binding.profiles[profile_id]
        self._ids = loaded.one_shots.setdefault(profile_id, OneShots())
        if not self._ids.entries and loaded.state.members(self._profile.index):
            raise invalid_argument(
                f"table {name}: its action selector is programmed by members; do not mix"
            )

    def write(self, kind: int, message: p4r.TableEntry) -> Undo:
        """Insert, modify or delete an entry together with its group and members."""
        name = self._table.info.name
        known_type(f"table {name}", kind)
        if message.is_default_action:
            raise permission_denied(f"table {name}: its default action is const")
        if message.is_const:
            raise invalid_argument(f"table {name}: is_const may not be written")
        match = encode_match(self._loaded, self._table, message)
        old = self._loaded.state.find(self._table.index, *match, message.priority)
        if kind == DELETE:
            self._apply(Op.DELETE, kind, match, message)
            return self._finish(old, match, message)
        if message.action.WhichOneof("type") != "action_profile_action_set":
            raise invalid_argument(
                f"table {name}: its action selector is programmed by one-shots; do not mix"
            )
        check_direct(self._table, message)
        check_idle(self._table, message)
        if (kind == INSERT) != (old is None):
            status = Status.EXISTS if kind == INSERT else Status.MISSING
            raise status_error(self._table, kind, status)
        taken = 0 if old is None else self._ids.sizes[old.action]
        group = self._make_group(message.action.action_profile_action_set, taken)
        try:
            op = Op.INSERT if kind == INSERT else Op.MODIFY
            self._apply(op, kind, match, message, group)
        except BaseException:
            self._drop_group(group)
            raise
        return self._finish(old, match, message)

    def _finish(self, old: Entry | None, match: Match, message: p4r.TableEntry) -> Undo:
        """Free the group that the entry had before; return how to bring everything back."""
        if old is not None:
            self._drop_group(old.action)
        self._ids.entries += (self._now(match, message) is not None) - (old is not None)

        def undo() -> None:
            now = self._now(match, message)
            if now is not None:
                self._apply(Op.DELETE, DELETE, match, message)
                self._drop_group(now.action)
                self._ids.entries -= 1
            if old is not None:
                before = self._as_it_was(old, message.priority)
                group = self._make_group(before.action.action_profile_action_set)
                self._apply(Op.INSERT, INSERT, match, before, group)
                self._ids.entries += 1

        return undo

    def _as_it_was(self, old: Entry, priority: int) -> p4r.TableEntry:
        before: p4r.TableEntry = p4r.TableEntry.FromString(old.note)
        before.idle_timeout_ns, before.priority = old.idle_ns, priority
        if self._table.info.counter is not None:
            before.counter_data.packet_count, before.counter_data.byte_count = (
                old.packets,
                old.bytes,
            )
        if old.meter is not None:
            fill_meter_config(old.meter, before.meter_config)
        return before

    def _now(self, match: Match, message: p4r.TableEntry) -> Entry | None:
        return self._loaded.state.find(self._table.index, *match, message.priority)

    def _apply(
        self, op: Op, kind: int, match: Match, message: p4r.TableEntry, group: int = 0,
    ) -> None:  # fmt: skip
        note = encode_note(message, message.action)
        record = pack_op(
            op,
            self._table.index,
            key=match.key,
            mask=match.mask,
            prefix_len=match.prefix_len,
            priority=message.priority,
            action=group,
            flags=Flag.GROUP if group else 0,
            note=b"" if op == Op.DELETE else note,
            idle_ns=message.idle_timeout_ns,
            counter=None if op == Op.DELETE else counter_value(message),
            meter=None if op == Op.DELETE else meter_value(self._loaded, self._table, message),
            marks=None if op == Op.DELETE else marks_value(message),
        )
        statuses, _handles = self._loaded.state.write(record, 1)
        if statuses[0] != Status.OK:
            raise status_error(self._table, kind, statuses[0])

    def _make_group(self, actions: _Set, taken: int = 0) -> int:
        """Create members and group for an action set; return the group's id.

        `taken` is the size of the group that it is to replace.
        """
        members = self._plan(actions)
        size = group_size(self._profile, (member for member, _, _ in members))
        self._check_room(members, size - taken)
        state, index = self._loaded.state, self._profile.index
        made: list[GroupMember] = []
        group = self._ids.take()
        try:
            for member, json_id, data in members:
                state.insert_member(index, member.member, json_id, data)
                made.append(member)
            state.insert_group(index, group, made)
        except SwitchError as error:
            for member in made:
                state.delete_member(index, member.member)
            self._give_back(members)
            self._ids.give(group)
            raise switch_failure(f"table {self._table.info.name}: one-shot", error) from None
        self._ids.members_of[group] = [member.member for member in made]
        self._ids.sizes[group] = size
        self._loaded.selector_sizes[self._profile.info.id] += size
        return group

    def _check_room(self, members: list[tuple[GroupMember, int, bytes]], growth: int) -> None:
        try:
            check_room(self._loaded, self._profile, f"table {self._table.info.name}", growth)
        except P4RuntimeError:
            self._give_back(members)
            raise

    def _give_back(self, members: list[tuple[GroupMember, int, bytes]]) -> None:
        for member, _, _ in members:
            self._ids.give(member.member)

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
            (GroupMember(self._ids.take(), weight, port), json_id, data)
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

    def _drop_group(self, group: int) -> None:
        state, index = self._loaded.state, self._profile.index
        state.delete_group(index, group)
        self._ids.give(group)
        self._loaded.selector_sizes[self._profile.info.id] -= self._ids.sizes.pop(group)
        for member in self._ids.members_of.pop(group):
            state.delete_member(index, member)
            self._ids.give(member)


def decode_one_shot(table: BoundTable, action: p4r.TableAction) -> None:
    """Put the byte strings of a kept one-shot into canonical form."""
    for item in action.action_profile_action_set.action_profile_actions:
        canonical_action(table.actions[item.action.action_id], item.action)
        if item.watch_port:
            item.watch_port = canonical(item.watch_port)
