"""Batches, atomicity and reads (design/p4runtime.md, "Write", "Read", "Limits")."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from finsy.proto import p4r

from .builder import DELETE, INSERT, MODIFY, multicast, probe
from .client import Client, code_of, uint128, update_codes
from .conftest import Lab


def small(lab: Lab, src: int, value: int = 1) -> p4r.Entity:
    return lab.build.entry("small_table", {"src": src}, lab.build.action("mark", value=value))


def update(kind: int, entity: p4r.Entity) -> p4r.Update:
    return p4r.Update(type=kind, entity=entity)


def refused(lab: Lab, updates: list[p4r.Update], atomicity: str) -> list[str]:
    with pytest.raises(grpc.RpcError) as caught:
        lab.client.write(updates, atomicity)
    return update_codes(caught.value)


def dump(client: Client) -> list[bytes]:
    """All forwarding state, in a canonical order."""
    wanted = [
        p4r.Entity(table_entry=p4r.TableEntry()),
        p4r.Entity(table_entry=p4r.TableEntry(is_default_action=True)),
        p4r.Entity(action_profile_member=p4r.ActionProfileMember()),
        p4r.Entity(action_profile_group=p4r.ActionProfileGroup()),
        p4r.Entity(counter_entry=p4r.CounterEntry()),
        p4r.Entity(meter_entry=p4r.MeterEntry()),
        p4r.Entity(register_entry=p4r.RegisterEntry()),
        p4r.Entity(value_set_entry=p4r.ValueSetEntry()),
        p4r.Entity(digest_entry=p4r.DigestEntry()),
        multicast(0),
        p4r.Entity(
            packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(
                clone_session_entry=p4r.CloneSessionEntry()
            )
        ),
    ]
    return sorted(e.SerializeToString(deterministic=True) for e in client.read(*wanted))


@pytest.mark.bmv2_gap("empty entities, missing types and indices too large are UNKNOWN")
def test_one_error_per_update_in_order(lab: Lab) -> None:
    lab.client.insert(small(lab, 1))
    codes = refused(
        lab,
        [
            update(INSERT, small(lab, 1)),
            update(INSERT, small(lab, 2)),
            update(MODIFY, small(lab, 3)),
            update(DELETE, small(lab, 4)),
            update(MODIFY, small(lab, 1, 9)),
            update(INSERT, p4r.Entity()),
            update(p4r.Update.UNSPECIFIED, small(lab, 5)),
            update(MODIFY, lab.build.counter("port_counter", 99, 1)),
        ],
        "CONTINUE_ON_ERROR",
    )
    assert codes == [
        "ALREADY_EXISTS", "OK", "NOT_FOUND", "NOT_FOUND", "OK", "INVALID_ARGUMENT",
        "INVALID_ARGUMENT", "OUT_OF_RANGE",
    ]  # fmt: skip
    assert len(lab.client.read(lab.build.entry("small_table"))) == 2


def test_updates_of_one_batch_see_each_other(lab: Lab) -> None:
    lab.client.write(
        [
            update(INSERT, small(lab, 1)),
            update(MODIFY, small(lab, 1, 7)),
            update(INSERT, small(lab, 2)),
            update(DELETE, small(lab, 2)),
        ]
    )
    assert lab.client.read(lab.build.entry("small_table")) == [small(lab, 1, 7)]


MIXED = ["ROLLBACK_ON_ERROR", "DATAPLANE_ATOMIC"]


@pytest.mark.bmv2_gap("ROLLBACK and ATOMIC are UNIMPLEMENTED")
@pytest.mark.parametrize("atomicity", MIXED)
def test_all_or_none_of_table_entries(lab: Lab, atomicity: str) -> None:
    lab.client.insert(small(lab, 1), small(lab, 2))
    default = lab.build.entry(
        "exact_table", None, lab.build.action("forward", port=5), is_default_action=True
    )
    before = dump(lab.client)
    updates = [
        update(INSERT, small(lab, 3)),
        update(MODIFY, small(lab, 1, 9)),
        update(DELETE, small(lab, 2)),
        update(MODIFY, default),
        update(INSERT, small(lab, 1)),
        update(INSERT, small(lab, 4)),
    ]
    codes = refused(lab, updates, atomicity)
    assert codes[4] == "ALREADY_EXISTS"
    assert set(codes[:4] + codes[5:]) == {"ABORTED"}
    assert dump(lab.client) == before
    del updates[4]
    lab.client.write(updates, atomicity)
    assert len(lab.client.read(lab.build.entry("small_table"))) == 3


@pytest.mark.bmv2_gap("a read is answered in one message")
@pytest.mark.slow
def test_batch_of_thousands(lab: Lab) -> None:
    """20,000 entries in one batch, read back in pieces, and a failure among them is found."""
    entries = [
        lab.build.entry("exact_table", {"dst": n, "port": 1}, lab.build.action("forward", port=2))
        for n in range(20_000)
    ]
    lab.client.insert(*entries)
    pieces = lab.client.pieces(lab.build.entry("exact_table"))
    assert len(pieces) > 1
    read = {e.SerializeToString() for piece in pieces for e in piece.entities}
    assert read == {e.SerializeToString() for e in entries}
    codes = lab.client.refused(INSERT, *[
        lab.build.entry("exact_table", {"dst": n, "port": 1}, lab.build.action("forward", port=2))
        for n in range(19_999, 20_003)
    ])  # fmt: skip
    assert codes == ["ALREADY_EXISTS", "OK", "OK", "OK"]


@pytest.mark.bmv2_gap("priority and metadata do not filter")
def test_filters(lab: Lab) -> None:
    build = lab.build
    forward, drop = build.action("forward", port=1), build.action("drop")
    entries = [
        build.entry("ternary_table", {"port": 1}, forward, priority=5, metadata=b"a"),
        build.entry("ternary_table", {"port": 2}, drop, priority=5, controller_metadata=7),
        build.entry("ternary_table", {"port": 1}, drop, priority=6, metadata=b"b"),
        build.entry("exact_table", {"port": 1, "dst": 2}, drop),
    ]
    lab.client.insert(*entries)

    def found(**fields: Any) -> list[int]:
        asked = build.entry("ternary_table", **fields)
        return sorted(entries.index(entity) for entity in lab.client.read(asked))

    assert found() == [0, 1, 2]
    assert found(priority=5) == [0, 1]
    assert found(match={"port": 1}) == [0, 2]
    assert found(match={"port": 1}, priority=6) == [2]
    assert found(match={"port": 3}) == []
    assert found(metadata=b"a") == [0]
    assert found(controller_metadata=7) == [1]
    assert found(action=p4r.Action(action_id=drop.action_id)) == [1, 2]
    assert found(action=p4r.Action(action_id=drop.action_id), metadata=b"b", priority=6) == [2]
    assert found(match={"port": 1}, action=p4r.Action(action_id=drop.action_id)) == [2]
    assert found(match={"port": 1}, priority=5, action=drop) == []
    everything = lab.client.read(p4r.Entity(table_entry=p4r.TableEntry()))
    own = [e for e in everything if not e.table_entry.is_const]
    assert sorted(own, key=str) == sorted(entries, key=str)


@pytest.mark.bmv2_gap("priority does not filter")
def test_empty_match_with_priority_reads_the_dont_care_entry(lab: Lab) -> None:
    mark = lab.build.action("mark", value=1)
    wide = lab.build.entry("range_table", {}, mark, priority=3)
    narrow = lab.build.entry("range_table", {"op": 4}, mark, priority=4)
    lab.client.insert(wide, narrow)
    assert lab.client.read(lab.build.entry("range_table", priority=3)) == [wide]


@pytest.mark.bmv2_gap("filters do not apply to default entries, which lack their NoAction")
def test_filters_apply_to_default_entries(lab: Lab) -> None:
    build, nothing = lab.build, p4r.Action(action_id=lab.build.id("actions", "NoAction"))

    def defaults(table: str, action: p4r.Action | None = None) -> list[p4r.Entity]:
        return lab.client.read(build.entry(table, None, action, is_default_action=True))

    own = build.entry("exact_table", None, nothing, is_default_action=True)
    assert defaults("exact_table") == defaults("exact_table", nothing) == [own]
    assert defaults("exact_table", p4r.Action(action_id=build.id("actions", "drop"))) == []
    for table in ("selector_table", "profile_table"):
        constant = build.entry(table, None, nothing, is_default_action=True, is_const=True)
        assert defaults(table) == [constant]


@pytest.mark.bmv2_gap("filters without a table are ignored")
def test_all_tables_take_no_other_filter(lab: Lab) -> None:
    for fields in ({"priority": 1}, {"metadata": b"x"}):
        with pytest.raises(grpc.RpcError) as caught:
            lab.client.read(p4r.Entity(table_entry=p4r.TableEntry(**fields)))
        assert update_codes(caught.value) == ["INVALID_ARGUMENT"]


@pytest.mark.bmv2_gap("the first failing element ends the read with its own code")
def test_read_batch_reports_each_element(lab: Lab) -> None:
    lab.client.insert(small(lab, 1))
    request = p4r.ReadRequest(device_id=1)
    request.entities.append(lab.build.entry("small_table"))
    request.entities.append(p4r.Entity())
    request.entities.append(lab.build.counter("port_counter", 3))
    request.entities.append(lab.build.counter("port_counter", 300))
    received = []
    with pytest.raises(grpc.RpcError) as caught:
        for piece in lab.client.stub.Read(request):
            received.extend(piece.entities)
    assert update_codes(caught.value) == ["OK", "INVALID_ARGUMENT", "OK", "OUT_OF_RANGE"]
    assert received == [small(lab, 1), lab.build.counter("port_counter", 3)]


@pytest.mark.bmv2_gap("registers are UNIMPLEMENTED")
def test_every_entity_has_a_wildcard(lab: Lab) -> None:
    build = lab.build
    lab.client.insert(small(lab, 1), build.member("profile", 4, build.action("mark", value=1)))
    read = lab.client.read(
        p4r.Entity(table_entry=p4r.TableEntry()),
        p4r.Entity(action_profile_member=p4r.ActionProfileMember()),
        p4r.Entity(action_profile_group=p4r.ActionProfileGroup()),
        p4r.Entity(counter_entry=p4r.CounterEntry()),
        p4r.Entity(meter_entry=p4r.MeterEntry()),
        p4r.Entity(register_entry=p4r.RegisterEntry()),
        p4r.Entity(digest_entry=p4r.DigestEntry()),
    )
    kinds = [entity.WhichOneof("entity") for entity in read]
    assert kinds.count("table_entry") == 5
    assert kinds.count("action_profile_member") == 1
    assert kinds.count("counter_entry") == 16
    assert kinds.count("meter_entry") == 16
    assert kinds.count("register_entry") == 16 + 8


@pytest.mark.bmv2_gap("direct resources of all tables are UNIMPLEMENTED; extern_entry too")
def test_wildcards_that_bmv2_lacks(lab: Lab) -> None:
    lab.client.insert(
        lab.build.entry("exact_table", {"dst": 1, "port": 1}, lab.build.action("drop")),
        lab.build.entry("metered_table", {"src": 1}, lab.build.action("metered")),
    )
    read = lab.client.read(
        p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry()),
        p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry()),
        p4r.Entity(value_set_entry=p4r.ValueSetEntry()),
        p4r.Entity(extern_entry=p4r.ExternEntry()),
    )
    kinds = [entity.WhichOneof("entity") for entity in read]
    assert kinds == ["direct_counter_entry", "direct_meter_entry", *["value_set_entry"] * 2]


@pytest.mark.native_only
def test_packets_see_all_of_an_atomic_batch_or_nothing(lab: Lab) -> None:
    """Each batch moves two tables from one agreed mark to the other, while packets check."""
    build = lab.build

    def batch(kind: int, port: int, mark: int) -> list[p4r.Update]:
        forward = build.entry("exact_table", {"dst": 1, "port": 1},
                              build.action("forward", port=port))  # fmt: skip
        marked = build.entry("small_table", {"src": 2}, build.action("mark", value=mark))
        return [update(kind, forward), update(kind, marked)]

    lab.client.write(batch(INSERT, 3, 3), "DATAPLANE_ATOMIC")
    for round_ in range(50):
        port = 3 + round_ % 2
        lab.client.write(batch(MODIFY, port, port), "DATAPLANE_ATOMIC")
        lab.switch.send(1, probe(dst=1, src=2))
        out, frame = lab.switch.receive()
        assert (out, frame[15]) == (port, port)


@pytest.mark.native_only
@pytest.mark.slow
def test_message_near_the_limit(lab: Lab) -> None:
    """A 200 MB write is judged update by update; one above 256 MiB is refused; the server lives."""
    missing = small(lab, 1)
    missing.table_entry.metadata = bytes(60_000)
    codes = lab.client.refused(MODIFY, *[missing] * 3400)
    assert codes == ["NOT_FOUND"] * 3400
    with pytest.raises(grpc.RpcError) as caught:
        lab.client.modify(*[missing] * 4500)
    assert code_of(caught.value) == "RESOURCE_EXHAUSTED"
    lab.client.insert(small(lab, 1))


@pytest.mark.native_only
def test_metadata_has_a_limit_per_entry(lab: Lab) -> None:
    entry = small(lab, 1)
    entry.table_entry.metadata = bytes(65_000)
    lab.client.insert(entry)
    assert lab.client.read(lab.build.entry("small_table")) == [entry]
    entry.table_entry.metadata = bytes(70_000)
    assert lab.client.refused(MODIFY, entry) == ["RESOURCE_EXHAUSTED"]


@pytest.mark.bmv2_gap("an unknown atomicity is UNIMPLEMENTED")
def test_unknown_atomicity_is_invalid(lab: Lab) -> None:
    request = p4r.WriteRequest(
        device_id=1,
        election_id=uint128(lab.client.election_id),
        atomicity=9,  # type: ignore[arg-type]
    )
    with pytest.raises(grpc.RpcError) as caught:
        lab.client.stub.Write(request)
    assert code_of(caught.value) == "INVALID_ARGUMENT"
