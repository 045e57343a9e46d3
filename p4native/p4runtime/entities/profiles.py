"""Action profile members and groups (spec, "ActionProfileMember" and "ActionProfileGroup")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from finsy.proto import p4r, rpc_code

from p4native.p4runtime.bind import BoundProfile
from p4native.p4runtime.codec import canonical, decode_port
from p4native.p4runtime.entities.action import decode_action, encode_action
from p4native.p4runtime.entities.cells import find_array
from p4native.p4runtime.entities.updates import known_type
from p4native.p4runtime.errors import (
    P4RuntimeError,
    already_exists,
    invalid_argument,
    not_found,
    resource_exhausted,
)
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.device import Device, GroupMember
from p4native.switch.draft import Draft
from p4native.switch.records import Status

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


class _Weighted(Protocol):
    """A member of a group: a message, or the engine's."""

    @property
    def weight(self) -> int: ...


def write_member(
    draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.ActionProfileMember
) -> None:
    """Insert, modify or delete a member."""
    profile, number = _find(loaded, message.action_profile_id), message.member_id
    what = f"action profile {profile.info.name}: member {number}"
    name = (profile.info.id, number)
    _check(loaded, profile, kind, what, number, known=name in loaded.members)
    if kind == DELETE:
        loaded.state.delete_member(profile.index, number, draft)
        draft.drop(loaded.members, name)
        return
    if not message.HasField("action"):
        raise invalid_argument(f"{what}: no action given")
    action, data = encode_action(what, profile.actions, message.action)
    change = loaded.state.insert_member if kind == INSERT else loaded.state.modify_member
    change(profile.index, number, action.json_id, data, draft)
    draft.put(loaded.members, name, (action.json_id, data))


def read_members(loaded: LoadedPipeline, message: p4r.ActionProfileMember) -> Iterator[p4r.Entity]:
    """Yield members: of all profiles for profile id 0, all of a profile for member id 0."""
    for profile in _chosen(loaded, message.action_profile_id):
        if _by_one_shots(loaded, profile):
            continue
        for number, json_id, data in loaded.state.members(profile.index):
            if message.member_id not in (0, number):
                continue
            entity = p4r.Entity()
            member = entity.action_profile_member
            member.action_profile_id, member.member_id = profile.info.id, number
            decode_action(profile.by_json_id[json_id], data, member.action)
            yield entity


def write_group(
    draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.ActionProfileGroup, *,
    device: Device, cpu_port: int | None,
) -> None:  # fmt: skip
    """Insert, modify or delete a group."""
    profile, number = _find(loaded, message.action_profile_id), message.group_id
    what = f"action profile {profile.info.name}: group {number}"
    if not profile.info.selector:
        raise invalid_argument(f"{what}: the profile has no selector, so no groups")
    name = (profile.info.id, number)
    old = loaded.groups.get(name)
    _check(loaded, profile, kind, what, number, known=old is not None)
    if kind == INSERT:
        _check_max_size(profile, what, message.max_size)
    members = [] if kind == DELETE else _members(device, cpu_port, profile, what, message)
    if kind == MODIFY and old is not None and old.max_size != message.max_size:
        raise invalid_argument(f"{what}: max_size may not change from {old.max_size}")
    before = 0 if old is None else group_size(profile, old.members)
    take_room(draft, loaded, profile, what, group_size(profile, members) - before)
    if kind == DELETE:
        loaded.state.delete_group(profile.index, number, draft)
        draft.drop(loaded.groups, name)
    else:
        change = loaded.state.insert_group if kind == INSERT else loaded.state.modify_group
        change(profile.index, number, members, draft=draft)
        draft.put(loaded.groups, name, _stored(message))


def read_groups(loaded: LoadedPipeline, message: p4r.ActionProfileGroup) -> Iterator[p4r.Entity]:
    """Yield groups as written: of all profiles for profile id 0, all of one for group id 0."""
    for profile in _chosen(loaded, message.action_profile_id):
        for (profile_id, number), group in _by_id(loaded.groups):
            if profile_id == profile.info.id and message.group_id in (0, number):
                yield p4r.Entity(action_profile_group=group)


def watch_port(
    device: Device, cpu_port: int | None, what: str,
    message: p4r.ActionProfileGroup.Member | p4r.ActionProfileAction,
) -> int | None:  # fmt: skip
    """Return the port a member depends on; INVALID_ARGUMENT unless it is one of the switch's."""
    kind = message.WhichOneof("watch_kind")
    if kind == "watch":
        port = message.watch
        if port == 0:
            return None
    elif kind == "watch_port" and message.watch_port:
        port = decode_port(message.watch_port, cpu_port, f"{what}: watch_port")
    else:
        return None
    if port not in device.ports() and port != cpu_port:
        raise invalid_argument(f"{what}: watch port {port} is not a port of the switch")
    return port


def check_weight(profile: BoundProfile, what: str, weight: int, *, members: bool) -> int:
    """Return the weight the engine needs; INVALID_ARGUMENT if it breaks the profile's rules.

    `members`: the group's size is its number of members, not the sum of their weights.
    """
    info = profile.info
    if info.weights_disallowed:
        if weight:
            raise invalid_argument(f"{what}: weights are not allowed, leave it 0")
        return 1
    if weight <= 0:
        raise invalid_argument(f"{what}: weight {weight}, expected 1 or more")
    if members and 0 < info.max_member_weight < weight:
        raise invalid_argument(f"{what}: weight {weight} is above {info.max_member_weight}")
    return weight


def group_size(profile: BoundProfile, members: Sequence[_Weighted]) -> int:
    """Return how much of its selector's size a group takes (`selector_size_semantics`).

    Where weights are not allowed they are 0, and every member counts once.
    """
    if profile.info.sum_of_members:
        return len(members)
    return sum(member.weight or 1 for member in members)


def take_room(
    draft: Draft, loaded: LoadedPipeline, profile: BoundProfile, what: str, growth: int
) -> None:
    """Take room for a group, or give it back; RESOURCE_EXHAUSTED beyond the selector's size."""
    size = loaded.selector_sizes[profile.info.id] + growth
    if growth > 0 and 0 < profile.info.size < size:
        raise resource_exhausted(
            f"{what}: all groups together would take {size}, the selector's size is "
            f"{profile.info.size}"
        )
    draft.put(loaded.selector_sizes, profile.info.id, size)


def status_error(
    loaded: LoadedPipeline, message: p4r.ActionProfileMember | p4r.ActionProfileGroup, status: int
) -> P4RuntimeError:
    """Return the error for a member or group that the engine refused."""
    profile = _find(loaded, message.action_profile_id)
    if isinstance(message, p4r.ActionProfileMember):
        what, full = f"member {message.member_id}", "the profile is full"
    else:
        what, full = f"group {message.group_id}", "too many groups, or weights beyond 1,048,576"
    code, text = {
        Status.MISSING: (rpc_code.NOT_FOUND, "one of its members does not exist"),
        Status.FULL: (rpc_code.RESOURCE_EXHAUSTED, full),
        Status.NO_MEMORY: (rpc_code.RESOURCE_EXHAUSTED, "the switch is out of memory"),
        Status.IN_USE: (rpc_code.FAILED_PRECONDITION, "in use; remove what refers to it first"),
    }.get(Status(status), (rpc_code.INTERNAL, f"the engine's status is {status}"))
    return P4RuntimeError(code, f"action profile {profile.info.name}: {what}: {text}")


def _find(loaded: LoadedPipeline, profile_id: int) -> BoundProfile:
    profile: BoundProfile = find_array("action profile", loaded.binding.profiles, profile_id)
    return profile


def _chosen(loaded: LoadedPipeline, profile_id: int) -> list[BoundProfile]:
    if profile_id:
        return [_find(loaded, profile_id)]
    return [*loaded.binding.profiles.values()]


def _by_one_shots(loaded: LoadedPipeline, profile: BoundProfile) -> bool:
    one_shots = loaded.one_shots.get(profile.info.id)
    return one_shots is not None and one_shots.entries > 0


def _check(
    loaded: LoadedPipeline, profile: BoundProfile, kind: int, what: str, number: int, *,
    known: bool,
) -> None:  # fmt: skip
    known_type(what, kind)
    if number == 0:
        raise invalid_argument(f"{what}: id 0 is reserved")
    if _by_one_shots(loaded, profile):
        raise invalid_argument(f"{what}: the profile is programmed by one-shots; do not mix")
    if kind == INSERT and known:
        raise already_exists(f"{what} exists already; MODIFY it")
    if kind != INSERT and not known:
        raise not_found(f"{what} does not exist; INSERT it")


def _check_max_size(profile: BoundProfile, what: str, max_size: int) -> None:
    limit = profile.info.max_group_size
    if max_size < 0:
        raise invalid_argument(f"{what}: max_size {max_size} is negative")
    if limit and not 0 < max_size <= limit:
        raise invalid_argument(f"{what}: max_size {max_size}, expected 1..{limit}")


def _members(
    device: Device, cpu_port: int | None, profile: BoundProfile, what: str,
    message: p4r.ActionProfileGroup,
) -> list[GroupMember]:  # fmt: skip
    members: dict[int, GroupMember] = {}
    for member in message.members:
        where = f"{what}: member {member.member_id}"
        if member.member_id in members:
            raise invalid_argument(f"{where} is given twice; use its weight")
        weight = check_weight(profile, where, member.weight, members=profile.info.sum_of_members)
        port = watch_port(device, cpu_port, where, member)
        members[member.member_id] = GroupMember(member.member_id, weight, port)
    size = group_size(profile, message.members)
    limit = message.max_size or profile.info.max_group_size
    if limit and size > limit:
        raise resource_exhausted(f"{what}: size {size} is above its max_size {limit}")
    return list(members.values())


def _stored(message: p4r.ActionProfileGroup) -> p4r.ActionProfileGroup:
    """Return a copy whose byte strings are canonical."""
    stored = p4r.ActionProfileGroup()
    stored.CopyFrom(message)
    for member in stored.members:
        if member.watch_port:
            member.watch_port = canonical(member.watch_port)
    return stored


def _by_id(
    groups: dict[tuple[int, int], p4r.ActionProfileGroup],
) -> list[tuple[tuple[int, int], p4r.ActionProfileGroup]]:
    return sorted(groups.items(), key=lambda item: item[0])
