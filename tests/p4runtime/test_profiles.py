"""Action profiles and selectors: members, groups, one-shots (design, "Entities")."""

from __future__ import annotations

import grpc
import pytest
from finsy.proto import p4r

from .builder import DELETE, INSERT, MODIFY, probe
from .client import update_codes
from .conftest import Lab


def to_group(lab: Lab, key: int, group: int) -> p4r.Entity:
    entry = lab.build.entry("selector_table", {"key": key})
    entry.table_entry.action.action_profile_group_id = group
    return entry


def to_member(lab: Lab, key: int, member: int, table: str = "selector_table") -> p4r.Entity:
    entry = lab.build.entry(table, {"key": key})
    entry.table_entry.action.action_profile_member_id = member
    return entry


def outputs(lab: Lab, key: int, packets: int) -> set[int]:
    """The ports that frames of many flows leave by."""
    ports = set()
    for value in range(packets):
        lab.switch.send(1, probe(dst=9, key=key, value=value * 2654435761 % 2**32))
        ports.add(lab.switch.receive()[0])
    return ports


def test_members_live_and_die(lab: Lab) -> None:
    build = lab.build
    member = build.member("profile", 3, build.action("mark", value=1))
    wanted = build.member("profile", 0)
    lab.client.insert(member)
    assert lab.client.refused(INSERT, member) == ["ALREADY_EXISTS"]
    assert lab.client.read(wanted) == [member]
    changed = build.member("profile", 3, build.action("forward", port=4))
    lab.client.modify(changed)
    assert lab.client.read(build.member("profile", 3)) == [changed]
    lab.client.delete(build.member("profile", 3))
    assert lab.client.read(wanted) == []
    assert lab.client.refused(MODIFY, member) == ["NOT_FOUND"]
    assert lab.client.refused(DELETE, member) == ["NOT_FOUND"]


@pytest.mark.bmv2_gap("id 0, missing actions and members in use get other codes")
def test_member_rules(lab: Lab) -> None:
    build, mark = lab.build, lab.build.action("mark", value=1)
    no_action = build.member("profile", 4)
    assert lab.client.refused(INSERT, build.member("profile", 0, mark)) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(INSERT, no_action) == ["INVALID_ARGUMENT"]
    wrong = build.member("profile", 4, build.action("drop"))
    assert lab.client.refused(INSERT, wrong) == ["INVALID_ARGUMENT"]
    lab.client.insert(build.member("profile", 4, mark))
    assert lab.client.refused(INSERT, to_member(lab, 1, 5, "profile_table")) == ["NOT_FOUND"]
    lab.client.insert(to_member(lab, 1, 4, "profile_table"))
    assert lab.client.refused(DELETE, no_action) == ["FAILED_PRECONDITION"]
    group = to_group(lab, 2, 1)
    group.table_entry.table_id = build.id("tables", "profile_table")
    assert lab.client.refused(INSERT, group) == ["INVALID_ARGUMENT"]
    lab.client.delete(to_member(lab, 1, 4, "profile_table"))
    lab.client.delete(no_action)


@pytest.mark.bmv2_gap("sizes of profiles are not enforced")
def test_profile_size_is_enforced(lab: Lab) -> None:
    mark = lab.build.action("mark", value=1)
    lab.client.insert(*[lab.build.member("profile", n, mark) for n in range(1, 33)])
    full = lab.client.refused(INSERT, lab.build.member("profile", 33, mark))
    assert full == ["RESOURCE_EXHAUSTED"]


def test_groups_spread_by_weight_and_follow_their_members(lab: Lab) -> None:
    build = lab.build
    lab.client.insert(
        *[build.member("spread", n, build.action("forward", port=n)) for n in (2, 3, 4)]
    )
    group = build.group("spread", 7, (2, 3, None), (3, 1, None))
    lab.client.insert(group)
    lab.client.insert(to_group(lab, 1, 7))
    assert lab.client.read(build.group("spread", 0)) == [group]
    assert outputs(lab, 1, 64) == {2, 3}
    lab.client.modify(build.member("spread", 3, build.action("forward", port=6)))
    assert outputs(lab, 1, 64) == {2, 6}
    changed = build.group("spread", 7, (4, 1, None))
    lab.client.modify(changed)
    assert lab.client.read(build.group("spread", 7)) == [changed]
    assert outputs(lab, 1, 16) == {4}


def test_a_choice_is_made_by_32_bits_of_the_hash(lab: Lab) -> None:
    build = lab.build
    ports = (2, 3, 4)
    spread = build.one_shot(*[(build.action("forward", port=p), 1) for p in ports])
    lab.client.insert(build.entry("selector_table", {"key": 1}, spread))
    for src in (0x1, 0x20000, 0x500000003, 0xFFFF00000004):
        lab.switch.send(1, probe(dst=9, src=src, key=1, value=0x70000))
        identity = src << 16 | 0x7  # of the first eight bytes
        assert lab.switch.receive()[0] == ports[identity % 2**32 % len(ports)]


@pytest.mark.bmv2_gap("codes differ, and weights of 0 are accepted")
def test_group_rules(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=2)
    lab.client.insert(build.member("spread", 1, forward), build.member("spread", 2, forward))
    for group, code in (
        (build.group("spread", 0, 1), "INVALID_ARGUMENT"),
        (build.group("spread", 1, 1, 1), "INVALID_ARGUMENT"),
        (build.group("spread", 1, (1, 0, None)), "INVALID_ARGUMENT"),
        (build.group("spread", 1, (1, -1, None)), "INVALID_ARGUMENT"),
        (build.group("spread", 1, 3), "NOT_FOUND"),
        (build.group("spread", 1, 1, max_size=0), "INVALID_ARGUMENT"),
        (build.group("spread", 1, 1, max_size=9), "INVALID_ARGUMENT"),
        (build.group("spread", 1, 1, max_size=-1), "INVALID_ARGUMENT"),
        (build.group("spread", 1, (1, 9, None)), "RESOURCE_EXHAUSTED"),
        (build.group("spread", 1, (1, 1, 77)), "INVALID_ARGUMENT"),
    ):
        assert lab.client.refused(INSERT, group) == [code]
    lab.client.insert(build.group("spread", 1, 1))
    lab.client.insert(to_group(lab, 1, 1))
    resized = build.group("spread", 1, 1, max_size=4)
    assert lab.client.refused(MODIFY, resized) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(INSERT, build.group("spread", 1, 1)) == ["ALREADY_EXISTS"]
    assert lab.client.refused(MODIFY, build.group("spread", 2, 1)) == ["NOT_FOUND"]
    assert lab.client.refused(DELETE, build.group("spread", 1)) == ["FAILED_PRECONDITION"]
    assert lab.client.refused(DELETE, build.member("spread", 1)) == ["FAILED_PRECONDITION"]
    lab.client.delete(to_group(lab, 1, 1))
    lab.client.delete(build.group("spread", 1))
    lab.client.delete(build.member("spread", 1))


@pytest.mark.bmv2_gap("an entry cannot refer to an empty group")
def test_empty_group_does_nothing(lab: Lab) -> None:
    lab.client.insert(lab.build.group("spread", 1))
    lab.client.insert(
        to_group(lab, 1, 1),
        lab.build.entry("exact_table", {"dst": 9, "port": 1}, lab.build.action("forward", port=8)),
    )
    assert outputs(lab, 1, 4) == {8}


@pytest.mark.native_only
def test_watch_port_takes_a_member_out(lab: Lab) -> None:
    build, device = lab.build, lab.native.device
    lab.client.insert(*[build.member("spread", n, build.action("forward", port=n)) for n in (2, 3)])
    group = build.group("spread", 1, (2, 1, 2), (3, 1, 3))
    lab.client.insert(group)
    lab.client.insert(to_group(lab, 1, 1))
    assert outputs(lab, 1, 64) == {2, 3}
    device.set_port_up(2, False)
    try:
        assert outputs(lab, 1, 64) == {3}
        assert lab.client.read(build.group("spread", 1)) == [group]
    finally:
        device.set_port_up(2, True)
    assert outputs(lab, 1, 64) == {2, 3}


def test_one_shot_reads_back_as_written_and_forwards(lab: Lab) -> None:
    build = lab.build
    actions = [build.action("forward", port=2), build.action("forward_marked", port=3, mark=9)]
    spread = build.one_shot((actions[0], 1), (actions[1], 2))
    entry = build.entry("selector_table", {"key": 1}, spread)
    wanted = build.entry("selector_table")
    lab.client.insert(entry)
    assert lab.client.read(wanted) == [entry]
    assert lab.client.refused(INSERT, entry) == ["ALREADY_EXISTS"]
    assert outputs(lab, 1, 64) == {2, 3}
    changed = build.entry("selector_table", {"key": 1}, build.one_shot((actions[1], 1)))
    lab.client.modify(changed)
    assert lab.client.read(wanted) == [changed]
    assert outputs(lab, 1, 16) == {3}
    lab.client.delete(entry)
    assert lab.client.read(wanted) == []
    assert lab.client.refused(DELETE, entry) == ["NOT_FOUND"]
    lab.client.insert(build.member("spread", 1, actions[0]))


@pytest.mark.bmv2_gap("one-shots and members may be mixed, sizes are not checked")
def test_one_shot_rules(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=2)
    entry = build.entry("selector_table", {"key": 1}, build.one_shot((forward, 1)))
    big = build.entry("selector_table", {"key": 2}, build.one_shot((forward, 9)))
    zero = build.entry("selector_table", {"key": 2}, build.one_shot((forward, 0)))
    direct = build.entry("exact_table", {"dst": 1, "port": 1}, build.one_shot((forward, 1)))
    assert lab.client.refused(INSERT, big, zero, direct) == ["INVALID_ARGUMENT"] * 3
    lab.client.insert(entry)
    assert lab.client.refused(INSERT, build.member("spread", 1, forward)) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(INSERT, to_member(lab, 2, 1)) == ["INVALID_ARGUMENT"]
    assert lab.client.read(build.member("spread", 0)) == []
    lab.client.delete(entry)
    lab.client.insert(build.member("spread", 1, forward))
    assert lab.client.refused(INSERT, entry) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("ROLLBACK is UNIMPLEMENTED")
def test_one_shots_are_rolled_back(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=2)
    kept = build.entry("selector_table", {"key": 1}, build.one_shot((forward, 1)))
    lab.client.insert(kept)
    changed = build.entry("selector_table", {"key": 1}, build.one_shot((forward, 1), (forward, 2)))
    added = build.entry("selector_table", {"key": 2}, build.one_shot((forward, 1)))
    updates = [
        p4r.Update(type=MODIFY, entity=changed),
        p4r.Update(type=INSERT, entity=added),
        p4r.Update(type=DELETE, entity=kept),
        p4r.Update(type=DELETE, entity=kept),
    ]
    request = lab.client.refused(DELETE, added)
    assert request == ["NOT_FOUND"]
    with pytest.raises(grpc.RpcError) as caught:
        lab.client.write(updates, "ROLLBACK_ON_ERROR")
    assert update_codes(caught.value)[-1] == "NOT_FOUND"
    assert lab.client.read(build.entry("selector_table")) == [kept]
    assert outputs(lab, 1, 4) == {2}


@pytest.mark.bmv2_gap("MODIFY without an action is INVALID_ARGUMENT")
def test_modify_without_action_keeps_the_one_shot(lab: Lab) -> None:
    build = lab.build
    spread = build.one_shot((build.action("forward", port=2), 1))
    lab.client.insert(build.entry("selector_table", {"key": 1}, spread, metadata=b"old"))
    lab.client.modify(build.entry("selector_table", {"key": 1}, metadata=b"new"))
    wanted = build.entry("selector_table", {"key": 1}, spread, metadata=b"new")
    assert lab.client.read(build.entry("selector_table")) == [wanted]
    assert outputs(lab, 1, 4) == {2}
    lab.client.delete(wanted)
    lab.client.insert(build.member("spread", 1, build.action("forward", port=2)))


@pytest.mark.bmv2_gap("modes and semantics of one-shots are ignored")
def test_one_shots_choose_their_size_semantics(lab: Lab) -> None:
    build, sets = lab.build, p4r.ActionProfileActionSet
    spread = build.one_shot((build.action("forward", port=2), 9))
    own = spread.action_profile_action_set
    own.size_semantics, own.action_selection_mode = sets.SUM_OF_MEMBERS, sets.HASH
    entry = build.entry("selector_table", {"key": 1}, spread)
    lab.client.insert(entry)
    assert lab.client.read(build.entry("selector_table")) == [entry]
    for semantics, mode in ((sets.SUM_OF_WEIGHTS, 0), (7, 0), (sets.SUM_OF_MEMBERS, sets.RANDOM)):
        bad = build.entry("selector_table", {"key": 2}, spread)
        own = bad.table_entry.action.action_profile_action_set
        own.size_semantics, own.action_selection_mode = semantics, mode  # type: ignore[assignment]
        assert lab.client.refused(INSERT, bad) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("sizes of selectors are not enforced")
def test_selector_size_is_the_sum_of_its_groups(lab: Lab) -> None:
    build = lab.build
    lab.client.insert(build.member("spread", 1, build.action("forward", port=2)))
    lab.client.insert(*[build.group("spread", n, (1, 8, None)) for n in range(1, 9)])
    extra = build.group("spread", 9, (1, 1, None))
    assert lab.client.refused(INSERT, extra) == ["RESOURCE_EXHAUSTED"]
    lab.client.modify(build.group("spread", 8, (1, 7, None)))
    lab.client.insert(extra)
    grown = build.group("spread", 8, (1, 8, None))
    assert lab.client.refused(MODIFY, grown) == ["RESOURCE_EXHAUSTED"]
    lab.client.delete(extra)
    lab.client.modify(grown)


@pytest.mark.bmv2_gap("sizes of selectors are not enforced")
def test_a_full_selector_of_one_shots_can_be_modified(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=2)
    full = build.one_shot(*[(forward, 1)] * 8)
    entries = [build.entry("selector_table", {"key": n}, full) for n in range(8)]
    lab.client.insert(*entries)
    extra = build.entry("selector_table", {"key": 9}, build.one_shot((forward, 1)))
    assert lab.client.refused(INSERT, extra) == ["RESOURCE_EXHAUSTED"]
    assert lab.client.refused(INSERT, entries[0]) == ["ALREADY_EXISTS"]
    assert lab.client.refused(MODIFY, extra) == ["NOT_FOUND"]
    lab.client.modify(*entries)
    lab.client.modify(build.entry("selector_table", {"key": 0}, build.one_shot((forward, 7))))
    lab.client.insert(extra)


@pytest.mark.native_only
def test_a_group_outlives_the_port_that_it_watches(lab: Lab) -> None:
    build = lab.build
    lab.client.insert(build.member("spread", 1, build.action("forward", port=2)))
    lab.native.device.add_port(9)
    lab.client.insert(*[build.group("spread", number, (1, 3, 9)) for number in (1, 2)])
    lab.native.device.remove_port(9)
    assert lab.client.refused(MODIFY, build.group("spread", 1, (1, 1, 9))) == ["INVALID_ARGUMENT"]
    lab.client.modify(build.group("spread", 1, (1, 8, None)))
    lab.client.delete(build.group("spread", 1), build.group("spread", 2))


@pytest.mark.bmv2_gap("watch ports are returned as written, not canonical")
def test_watch_ports_read_back_canonical(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=2)
    lab.client.insert(build.member("spread", 1, forward))
    group = build.group("spread", 1, (1, 1, b"\0\0\2"))
    lab.client.insert(group)
    assert lab.client.read(build.group("spread", 1)) == [build.group("spread", 1, (1, 1, 2))]
    lab.client.delete(group)
    lab.client.delete(build.member("spread", 1))
    spread = build.one_shot((forward, 1))
    spread.action_profile_action_set.action_profile_actions[0].watch_port = b"\0\2"
    entry = build.entry("selector_table", {"key": 1}, spread)
    lab.client.insert(entry)
    entry.table_entry.action.action_profile_action_set.action_profile_actions[0].watch_port = b"\2"
    assert lab.client.read(build.entry("selector_table")) == [entry]
