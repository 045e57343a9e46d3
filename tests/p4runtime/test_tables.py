"""Table entries: keys, actions, defaults, const tables, metadata (design/p4runtime.md, "Write")."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from finsy.proto import p4r

from .builder import DELETE, INSERT, MODIFY, meter_config
from .client import update_codes
from .conftest import Lab

EXACT = {"dst": 0x0A, "port": 3}


def exact(lab: Lab, port: int = 1, match: dict[str, Any] | None = None, **fields: Any) -> Any:
    action = lab.build.action("forward", port=port)
    return lab.build.entry("exact_table", match or EXACT, action, **fields)


CASES: list[tuple[str, dict[str, Any], str, dict[str, int], int]] = [
    ("exact_table", {"dst": 0xFFFF_FFFF_FFFF, "port": 0x1FF}, "forward", {"port": 0x1FF}, 0),
    ("exact_table", {"dst": 0, "port": 0}, "forward_marked", {"port": 0, "mark": 255}, 0),
    ("lpm_table", {"value": (0x0A00_0000, 8)}, "forward", {"port": 1}, 0),
    ("lpm_table", {"value": (0xFFFF_FFFF, 32)}, "drop", {}, 0),
    ("lpm_table", {}, "forward", {"port": 2}, 0),
    ("ternary_table", {"port": 1}, "drop", {}, 1),
    ("ternary_table", {"port": 1, "type": (0x0800, 0xFFFF)}, "drop", {}, 2**31 - 1),
    ("ternary_table", {"port": 1, "src": (0x10, 0xF0)}, "clone_to", {"session": 2**32 - 1}, 7),
    ("range_table", {"key": (10, 20)}, "mark", {"value": 4}, 5),
    ("range_table", {"key": (0, 20), "op": 0}, "mark", {"value": 4}, 5),
    ("range_table", {"key": (5, 0xFFFF), "op": 9}, "forward", {"port": 4}, 6),
    ("range_table", {}, "mark", {"value": 4}, 9),
]


@pytest.mark.parametrize(("table", "match", "action", "params", "priority"), CASES)
def test_read_returns_what_was_written(
    lab: Lab, table: str, match: dict[str, Any], action: str, params: dict[str, int], priority: int
) -> None:
    entry = lab.build.entry(table, match, lab.build.action(action, **params), priority=priority)
    lab.client.insert(entry)
    assert lab.client.read(lab.build.entry(table)) == [entry]
    assert lab.client.refused(INSERT, entry) == ["ALREADY_EXISTS"]
    lab.client.delete(entry)
    assert lab.client.read(lab.build.entry(table)) == []
    assert lab.client.refused(DELETE, entry) == ["NOT_FOUND"]
    assert lab.client.refused(MODIFY, entry) == ["NOT_FOUND"]


def test_modify_replaces_action_and_metadata(lab: Lab) -> None:
    lab.client.insert(exact(lab, 1, metadata=b"one", controller_metadata=11))
    changed = exact(lab, 2, metadata=b"two")
    lab.client.modify(changed)
    assert lab.client.read(lab.build.entry("exact_table")) == [changed]


def test_leading_zeros_are_tolerated_and_removed(lab: Lab) -> None:
    padded = lab.build.entry(
        "exact_table",
        {"dst": bytes(20) + b"\x0a", "port": b"\0\0\3"},
        lab.build.action("forward", port=b"\0\0\0\1"),
    )
    lab.client.insert(padded)
    assert lab.client.read(lab.build.entry("exact_table")) == [exact(lab, 1)]
    assert lab.client.refused(INSERT, exact(lab, 1)) == ["ALREADY_EXISTS"]


@pytest.mark.bmv2_gap("INVALID_ARGUMENT, and the empty string counts as 0")
@pytest.mark.parametrize(
    ("match", "port"),
    [
        ({"dst": b"\x01" + bytes(6), "port": 3}, 1),
        ({"dst": 1, "port": b"\x02\x00"}, 1),
        ({"dst": b"", "port": 3}, 1),
        ({"dst": 1, "port": 3}, b"\x02\x00"),
        ({"dst": 1, "port": 3}, b""),
    ],
)
def test_value_too_wide_or_empty_is_out_of_range(lab: Lab, match: Any, port: Any) -> None:
    entry = lab.build.entry("exact_table", match, lab.build.action("forward", port=port))
    assert lab.client.refused(INSERT, entry) == ["OUT_OF_RANGE"]
    assert lab.client.read(lab.build.entry("exact_table")) == []


ACCEPTED = pytest.mark.bmv2_gap("negative priorities and full ranges are accepted")
BAD_MATCHES = [
    ("exact_table", {"dst": 1}, 0),
    ("exact_table", {}, 0),
    ("exact_table", EXACT, 1),
    ("lpm_table", {"value": (0x0A00_0001, 8)}, 0),
    ("lpm_table", {"value": (0x0A00_0000, 0)}, 0),
    ("lpm_table", {"value": (0x0A00_0000, 33)}, 0),
    ("lpm_table", {"value": (0x0A00_0000, -1)}, 0),
    ("lpm_table", {"value": (0x0A00_0000, 8)}, 3),
    ("ternary_table", {"port": 1, "type": (0, 0)}, 1),
    ("ternary_table", {"port": 1, "type": (3, 2)}, 1),
    ("ternary_table", {"port": 1}, 0),
    pytest.param("ternary_table", {"port": 1}, -5, marks=ACCEPTED),
    ("range_table", {"key": (9, 8)}, 1),
    pytest.param("range_table", {"key": (0, 0xFFFF)}, 1, marks=ACCEPTED),
    ("range_table", {"op": 1}, 0),
]


@pytest.mark.parametrize(("table", "match", "priority"), BAD_MATCHES)
def test_malformed_match_is_invalid(
    lab: Lab, table: str, match: dict[str, Any], priority: int
) -> None:
    name = "drop" if table in ("lpm_table", "ternary_table") else "forward"
    params = {} if name == "drop" else {"port": 1}
    entry = lab.build.entry(table, match, lab.build.action(name, **params), priority=priority)
    assert lab.client.refused(INSERT, entry) == ["INVALID_ARGUMENT"]
    assert lab.client.read(lab.build.entry(table)) == []


def test_foreign_duplicate_and_mistyped_fields_are_invalid(lab: Lab) -> None:
    foreign, twice, typed, empty = (exact(lab) for _ in range(4))
    foreign.table_entry.match.add(field_id=9).exact.value = b"\1"
    twice.table_entry.match.add(field_id=1).exact.value = b"\1"
    typed.table_entry.match[0].ternary.value = b"\1"
    empty.table_entry.match[0].ClearField("exact")
    for entry in (foreign, twice, typed, empty):
        assert lab.client.refused(INSERT, entry) == ["INVALID_ARGUMENT"]


def test_foreign_tables_and_actions_are_invalid(lab: Lab) -> None:
    unknown, zero, action, missing, extra, none = (exact(lab) for _ in range(6))
    unknown.table_entry.table_id = 0x02_00_00_01
    zero.table_entry.table_id = 0
    action.table_entry.action.action.CopyFrom(lab.build.action("mark", value=1))
    del missing.table_entry.action.action.params[0]
    extra.table_entry.action.action.params.add(param_id=2, value=b"\1")
    none.table_entry.ClearField("action")
    for entry in (unknown, zero, action, missing, extra, none):
        assert lab.client.refused(INSERT, entry) == ["INVALID_ARGUMENT"]


def test_action_of_the_wrong_kind_is_invalid(lab: Lab) -> None:
    member = exact(lab)
    member.table_entry.action.action_profile_member_id = 1
    assert lab.client.refused(INSERT, member) == ["INVALID_ARGUMENT"]
    direct = lab.build.entry("selector_table", {"key": 1}, lab.build.action("forward", port=1))
    assert lab.client.refused(INSERT, direct) == ["INVALID_ARGUMENT"]


def test_action_scopes_are_permissions(lab: Lab) -> None:
    default_only = lab.build.entry("exact_table", EXACT, lab.build.action("NoAction"))
    assert lab.client.refused(INSERT, default_only) == ["PERMISSION_DENIED"]


@pytest.mark.bmv2_gap("a full table is UNKNOWN")
def test_size_is_enforced(lab: Lab) -> None:
    entries = [
        lab.build.entry("small_table", {"src": n}, lab.build.action("mark", value=n))
        for n in range(9)
    ]
    lab.client.insert(*entries[:8])
    assert lab.client.refused(INSERT, entries[8]) == ["RESOURCE_EXHAUSTED"]
    lab.client.delete(entries[0])
    lab.client.insert(entries[8])


def test_default_action_is_modified_and_reset(lab: Lab) -> None:
    default = lab.build.entry(
        "exact_table", None, lab.build.action("forward", port=5), is_default_action=True
    )
    default.table_entry.metadata = b"note"
    wanted = lab.build.entry("exact_table", is_default_action=True)
    (original,) = lab.client.read(wanted)
    lab.client.modify(default)
    assert lab.client.read(wanted) == [default]
    lab.client.modify(wanted)
    assert lab.client.read(wanted) == [original]


@pytest.mark.bmv2_gap("a const default is not protected")
def test_default_action_rules(lab: Lab) -> None:
    forward, mark = lab.build.action("forward", port=5), lab.build.action("mark", value=5)
    default = lab.build.entry("exact_table", None, forward, is_default_action=True)
    assert lab.client.refused(INSERT, default) == ["INVALID_ARGUMENT"]
    assert lab.client.refused(DELETE, default) == ["INVALID_ARGUMENT"]
    default.table_entry.priority = 1
    assert lab.client.refused(MODIFY, default) == ["INVALID_ARGUMENT"]
    keyed = lab.build.entry("exact_table", EXACT, forward, is_default_action=True)
    assert lab.client.refused(MODIFY, keyed) == ["INVALID_ARGUMENT"]
    fixed = lab.build.entry("small_table", None, mark, is_default_action=True)
    assert lab.client.refused(MODIFY, fixed) == ["PERMISSION_DENIED"]
    (read,) = lab.client.read(lab.build.entry("small_table", is_default_action=True))
    assert read.table_entry.is_const
    keyless = lab.build.entry("keyless_table", None, mark)
    assert lab.client.refused(INSERT, keyless) == ["INVALID_ARGUMENT"]
    lab.client.modify(lab.build.entry("keyless_table", None, mark, is_default_action=True))


@pytest.mark.bmv2_gap("is_const is not returned")
def test_const_entries_can_only_be_read(lab: Lab) -> None:
    entries = lab.client.read(lab.build.entry("const_table"))
    found = {e.table_entry.match[0].exact.value: e.table_entry for e in entries}
    assert set(found) == {b"\xc8", b"\xc9"}
    assert all(entry.is_const for entry in found.values())
    assert found[b"\xc9"].action.action == lab.build.action("mark", value=2)
    mark = lab.build.action("mark", value=9)
    own = lab.build.entry("const_table", {"op": 200}, mark)
    new = lab.build.entry("const_table", {"op": 7}, mark)
    assert lab.client.refused(MODIFY, own) == ["PERMISSION_DENIED"]
    assert lab.client.refused(DELETE, own) == ["PERMISSION_DENIED"]
    assert lab.client.refused(INSERT, new) == ["PERMISSION_DENIED"]
    lab.client.modify(lab.build.entry("const_table", None, mark, is_default_action=True))


@pytest.mark.bmv2_gap("priorities of const entries are BMv2's own")
def test_const_entries_have_descending_priorities(lab: Lab) -> None:
    entries = lab.client.read(lab.build.entry("const_ternary_table"))
    assert sorted(e.table_entry.priority for e in entries) == [1, 2]
    (first,) = [e.table_entry for e in entries if e.table_entry.priority == 2]
    assert first.match[0].ternary == p4r.FieldMatch.Ternary(value=b"\xd0", mask=b"\xf0")
    (last,) = [e.table_entry for e in entries if e.table_entry.priority == 1]
    assert not last.match


@pytest.mark.bmv2_gap("is_const is ignored")
def test_is_const_may_not_be_written(lab: Lab) -> None:
    entry = exact(lab, is_const=True)
    for kind in (INSERT, MODIFY, DELETE):
        assert lab.client.refused(kind, entry) == ["INVALID_ARGUMENT"]


def test_delete_looks_at_the_key_alone(lab: Lab) -> None:
    lab.client.insert(exact(lab))
    odd = exact(lab, idle_timeout_ns=-4, metadata=b"?")
    odd.table_entry.action.action.action_id = 1
    lab.client.delete(odd)


@pytest.mark.bmv2_gap("MODIFY without an action is INVALID_ARGUMENT")
def test_modify_without_action_keeps_the_action(lab: Lab) -> None:
    lab.client.insert(exact(lab, 4, counter_data=p4r.CounterData(packet_count=5, byte_count=6)))
    lab.client.modify(lab.build.entry("exact_table", EXACT, metadata=b"new"))
    (found,) = lab.client.read(lab.build.entry("exact_table", counter_data=p4r.CounterData()))
    wanted = exact(lab, 4, metadata=b"new")
    wanted.table_entry.counter_data.packet_count, wanted.table_entry.counter_data.byte_count = 5, 6
    assert found == wanted


@pytest.mark.bmv2_gap("MODIFY without meter_config does not reset the meter")
def test_direct_resources_come_with_the_entry(lab: Lab) -> None:
    entry = lab.build.entry("metered_table", {"src": 1}, lab.build.action("metered"))
    entry.table_entry.meter_config.CopyFrom(meter_config(1, 10, 2, 20))
    lab.client.insert(entry)
    (plain,) = lab.client.read(lab.build.entry("metered_table"))
    assert not plain.table_entry.HasField("meter_config")
    asked = lab.build.entry("metered_table", meter_config=p4r.MeterConfig())
    assert lab.client.read(asked) == [entry]
    entry.table_entry.ClearField("meter_config")
    lab.client.modify(entry)
    assert lab.client.read(asked) == [entry]


@pytest.mark.bmv2_gap("missing direct resources are ignored, colour counters too")
def test_direct_resources_that_do_not_exist_are_invalid(lab: Lab) -> None:
    meter = exact(lab, meter_config=meter_config(1, 1, 1, 1))
    counter = lab.build.entry("metered_table", {"src": 1}, lab.build.action("metered"))
    counter.table_entry.counter_data.packet_count = 1
    colours = lab.build.entry("metered_table", {"src": 1}, lab.build.action("metered"))
    colours.table_entry.meter_counter_data.red.packet_count = 1
    codes = lab.client.refused(INSERT, meter, counter, colours)
    assert codes == ["INVALID_ARGUMENT"] * 3


def test_idle_timeout_only_where_supported(lab: Lab) -> None:
    assert lab.client.refused(INSERT, exact(lab, idle_timeout_ns=1)) == ["INVALID_ARGUMENT"]
    hit = exact(lab)
    hit.table_entry.time_since_last_hit.SetInParent()
    assert lab.client.refused(INSERT, hit) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("time_since_last_hit is ignored where there is none")
def test_time_since_last_hit_is_not_everywhere(lab: Lab) -> None:
    default = lab.build.entry("idle_table", is_default_action=True)
    for asked in (lab.build.entry("exact_table"), default):
        asked.table_entry.time_since_last_hit.SetInParent()
        with pytest.raises(grpc.RpcError) as caught:
            lab.client.read(asked)
        assert update_codes(caught.value) == ["INVALID_ARGUMENT"]


def test_idle_timeout_is_read_back_exactly(lab: Lab) -> None:
    mark = lab.build.action("mark", value=1)
    timed = lab.build.entry("idle_table", {"src": 1}, mark, idle_timeout_ns=3_600_000_000_123)
    endless = lab.build.entry("idle_table", {"src": 2}, mark)
    lab.client.insert(timed, endless)
    read = lab.client.read(lab.build.entry("idle_table"))
    assert sorted(read, key=lambda e: e.table_entry.match[0].exact.value) == [timed, endless]
    asked = lab.build.entry("idle_table")
    asked.table_entry.time_since_last_hit.SetInParent()
    for found in lab.client.read(asked):
        assert found.table_entry.HasField("time_since_last_hit")
        assert found.table_entry.time_since_last_hit.elapsed_ns >= 0


@pytest.mark.bmv2_gap("direct resources of default entries are refused")
def test_default_entry_has_direct_resources_of_its_own(lab: Lab) -> None:
    default = lab.build.entry("exact_table", is_default_action=True)
    direct = p4r.Entity(
        direct_counter_entry=p4r.DirectCounterEntry(table_entry=default.table_entry)
    )
    direct.direct_counter_entry.data.packet_count = 77
    first = exact(lab)
    lab.client.insert(first)
    lab.client.modify(direct)
    asked = lab.build.entry("exact_table", counter_data=p4r.CounterData())
    (found,) = lab.client.read(asked)
    assert found.table_entry.counter_data.packet_count == 0
    assert lab.client.read(direct) == [direct]
    changed = lab.build.entry(
        "exact_table", None, lab.build.action("forward", port=5), is_default_action=True
    )
    lab.client.modify(changed)  # leaves the counter alone
    assert lab.client.read(direct) == [direct]
    lab.client.modify(default)  # resets it with the entry
    direct.direct_counter_entry.data.packet_count = 0
    assert lab.client.read(direct) == [direct]
