"""Pipeline configs: verify, save, commit, reconcile, get (design/p4runtime.md, "Pipeline")."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4i, p4r

from .builder import INSERT, Builder, probe
from .client import Client, code_of
from .conftest import Lab, fresh_election
from .programs import Program, load_program
from .targets import NativeSwitch, Switch

CHANGED = Path(__file__).parent / "programs" / "changed.p4"


def refusal(
    client: Client, config: p4r.ForwardingPipelineConfig | None, action: str
) -> tuple[str, str]:
    """Push a config that must be refused; return the code and the words."""
    with pytest.raises(grpc.RpcError) as caught:
        client.set_pipeline(config, action)
    return code_of(caught.value), caught.value.details()


def refused(client: Client, config: p4r.ForwardingPipelineConfig | None, action: str) -> str:
    """Push a config that must be refused; return the code."""
    return refusal(client, config, action)[0]


@pytest.fixture
def bare() -> Iterator[Client]:
    """A primary of a native switch that never had a pipeline."""
    switch = NativeSwitch()
    client = Client(switch.address)
    client.lead(1)
    yield client
    client.close()
    switch.stop()


def test_before_a_pipeline_everything_is_failed_precondition(bare: Client) -> None:
    counter = p4r.Entity(counter_entry=p4r.CounterEntry())
    for call in (lambda: bare.modify(counter), lambda: bare.read(counter)):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert code_of(caught.value) == "FAILED_PRECONDITION"
    assert not bare.get_pipeline().HasField("config")


def test_packet_out_before_a_pipeline_is_an_error(bare: Client) -> None:
    stream = bare.open()
    stream.arbitrate(2)
    stream.next("arbitration")
    stream.send(packet=p4r.PacketOut(payload=b"x"))
    error = stream.next("error")
    assert error.canonical_code == grpc.StatusCode.FAILED_PRECONDITION.value[0]


def test_commit_without_saved_config_is_not_found(bare: Client, entities: Program) -> None:
    assert refused(bare, None, "COMMIT") == "NOT_FOUND"
    assert refused(bare, entities.config(), "COMMIT") == "INVALID_ARGUMENT"
    assert refused(bare, entities.config(), "UNSPECIFIED") == "INVALID_ARGUMENT"
    for action in ("VERIFY", "VERIFY_AND_SAVE", "VERIFY_AND_COMMIT", "RECONCILE_AND_COMMIT"):
        assert refused(bare, None, action) == "INVALID_ARGUMENT"


def test_verify_changes_nothing(bare: Client, entities: Program) -> None:
    bare.set_pipeline(entities.config(), "VERIFY")
    assert not bare.get_pipeline().HasField("config")


def broken_json(program: Program) -> bytes:
    document = json.loads(program.device_config)
    document["pipelines"][0]["tables"][0]["action_ids"] = [9999]
    return json.dumps(document).encode()


@pytest.mark.bmv2_gap("VERIFY looks at the P4Info alone; a bad JSON is UNKNOWN and tears down")
@pytest.mark.parametrize("action", ["VERIFY", "VERIFY_AND_SAVE", "VERIFY_AND_COMMIT"])
def test_bad_json_is_refused_and_leaves_the_pipeline(lab: Lab, action: str) -> None:
    lab.client.insert(lab.build.entry("small_table", {"src": 1}, lab.build.action("mark", value=1)))
    deep, bare = b'{"a":' * 5000, b'{"parsers": [], "pipelines": []}'
    for blob in (b"{", b"[]", b"{}", b"\xff\x00garbage", deep, bare, broken_json(lab.program)):
        config = p4r.ForwardingPipelineConfig(p4info=lab.program.info, p4_device_config=blob)
        code, text = refusal(lab.client, config, action)
        assert code == "INVALID_ARGUMENT"
    assert "pipelines[0].tables[0].action_ids" in text
    assert len(lab.client.read(lab.build.entry("small_table"))) == 1


def break_table_action(info: p4i.P4Info) -> None:
    info.tables[0].action_refs[0].id = 0x01_00_00_01


def break_names(info: p4i.P4Info) -> None:
    info.tables[0].preamble.name = "ProbeIngress.elsewhere"


def break_ids(info: p4i.P4Info) -> None:
    info.tables[0].preamble.id = info.tables[1].preamble.id


def break_key(info: p4i.P4Info) -> None:
    table = next(t for t in info.tables if t.match_fields)
    del table.match_fields[0]


def break_header_width(info: p4i.P4Info) -> None:
    info.controller_packet_metadata[0].metadata[0].bitwidth = 32


def break_size(info: p4i.P4Info) -> None:
    info.action_profiles[0].max_group_size = -1


def break_width(info: p4i.P4Info) -> None:
    table = next(t for t in info.tables if t.match_fields)
    table.match_fields[0].bitwidth = 1


def break_kind(info: p4i.P4Info) -> None:
    table = next(t for t in info.tables if t.preamble.alias == "exact_table")
    table.match_fields[0].match_type = p4i.MatchField.RANGE


@pytest.mark.bmv2_gap("P4Info and JSON are not compared")
@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (break_table_action, "table"),
        (break_names, "table"),
        (break_ids, "table"),
        (break_key, "table"),
        (break_width, "table"),
        (break_kind, "table"),
        (break_size, "action profile"),
        (break_header_width, "header packet_in"),
    ],
)
def test_bad_p4info_is_refused_and_names_the_object(lab: Lab, damage: object, named: str) -> None:
    info = p4i.P4Info()
    info.CopyFrom(lab.program.info)
    damage(info)  # type: ignore[operator]
    config = lab.program.config()
    config.p4info.CopyFrom(info)
    code, text = refusal(lab.client, config, "VERIFY_AND_COMMIT")
    assert code == "INVALID_ARGUMENT"
    assert named in text
    assert lab.client.get_pipeline().config.p4info == lab.program.info


def test_get_returns_what_was_set(lab: Lab) -> None:
    config = lab.program.config(cookie=0xC0FFEE)
    lab.client.set_pipeline(config)
    assert lab.client.get_pipeline("ALL").config == config
    only = lab.client.get_pipeline("COOKIE_ONLY").config
    assert only == p4r.ForwardingPipelineConfig(cookie=config.cookie)
    info = lab.client.get_pipeline("P4INFO_AND_COOKIE").config
    assert info == p4r.ForwardingPipelineConfig(p4info=config.p4info, cookie=config.cookie)
    blob = lab.client.get_pipeline("DEVICE_CONFIG_AND_COOKIE").config
    assert blob.p4_device_config == config.p4_device_config
    assert not blob.HasField("p4info")
    lab.client.set_pipeline(lab.program.config())
    assert not lab.client.get_pipeline().config.HasField("cookie")


def test_commit_clears_the_forwarding_state(lab: Lab) -> None:
    entry = lab.build.entry("small_table", {"src": 1}, lab.build.action("mark", value=1))
    lab.client.insert(entry)
    lab.client.set_pipeline(lab.program.config())
    assert lab.client.read(lab.build.entry("small_table")) == []


@pytest.mark.native_only
def test_saved_config_takes_writes_and_commit_makes_them_live(lab: Lab) -> None:
    """Until COMMIT packets meet the old pipeline; afterwards the new one with its entries."""
    forward = lab.build.action("forward", port=3)
    match = {"dst": 1, "port": 1}
    lab.client.insert(lab.build.entry("exact_table", match, forward))
    lab.client.set_pipeline(lab.program.config(), "VERIFY_AND_SAVE")
    assert lab.client.read(lab.build.entry("exact_table")) == []
    lab.client.insert(lab.build.entry("exact_table", match, lab.build.action("forward", port=4)))
    lab.switch.send(1, probe(dst=1))
    assert lab.switch.receive()[0] == 3
    lab.client.set_pipeline(None, "COMMIT")
    lab.switch.send(1, probe(dst=1))
    assert lab.switch.receive()[0] == 4
    assert len(lab.client.read(lab.build.entry("exact_table"))) == 1
    assert refused(lab.client, None, "COMMIT") == "NOT_FOUND"


def test_legacy_device_config_form_is_accepted(client: Client, entities: Program) -> None:
    """`p4.tmp.P4DeviceConfig`: reassign (1), device_data (3)."""
    client.lead(fresh_election())
    size = len(entities.device_config)
    length = bytearray()
    while size:
        length.append(size & 0x7F | (0x80 if size >> 7 else 0))
        size >>= 7
    config = entities.config()
    config.p4_device_config = b"\x08\x01\x1a" + bytes(length) + entities.device_config
    client.set_pipeline(config)
    assert len(client.read(p4r.Entity(counter_entry=p4r.CounterEntry()))) == 16


@pytest.fixture
def simple(switch: Switch, client: Client) -> tuple[Client, Builder, Program]:
    """A primary client of a switch that runs changed.p4."""
    program = load_program(CHANGED)
    client.lead(fresh_election())
    client.set_pipeline(program.config())
    return client, Builder(program.info), program


@pytest.mark.bmv2_gap("RECONCILE replays table entries alone, and tears down when it fails")
def test_reconcile_keeps_state_where_the_p4info_agrees(
    simple: tuple[Client, Builder, Program],
) -> None:
    client, build, _program = simple
    entry = build.entry(
        "kept_table", {"dst": 5}, build.action("forward", port=2), metadata=b"mine",
        counter_data=p4r.CounterData(packet_count=7),
    )  # fmt: skip
    default = build.entry("kept_table", None, build.action("forward", port=9))
    default.table_entry.is_default_action = True
    client.insert(entry)
    client.modify(default, build.counter("ports", 1, 3), build.register("seen", 2, 77))
    client.set_pipeline(load_program(CHANGED, "CHANGED").config(), "RECONCILE_AND_COMMIT")
    asked = build.entry("kept_table", counter_data=p4r.CounterData())
    (kept,) = client.read(asked)
    assert kept.table_entry.action == entry.table_entry.action
    assert kept.table_entry.metadata == b"mine"
    assert kept.table_entry.counter_data.packet_count == 7
    (found,) = client.read(build.entry("kept_table", is_default_action=True))
    assert found.table_entry.action == default.table_entry.action
    (register,) = client.read(build.register("seen", 2, None))
    assert register.register_entry.data.bitstring == b"\x4d"
    (counter,) = client.read(build.counter("ports", 1))
    assert counter.counter_entry.data.packet_count == 3


@pytest.mark.bmv2_gap("RECONCILE tears down the pipeline when it fails")
def test_reconcile_refuses_to_lose_state(simple: tuple[Client, Builder, Program]) -> None:
    client, build, program = simple
    client.insert(build.entry("changed_table", {"src": 5}, build.action("rewrite", src=1)))
    changed = load_program(CHANGED, "CHANGED").config()
    code, text = refusal(client, changed, "RECONCILE_AND_COMMIT")
    assert code == "INVALID_ARGUMENT"
    assert "changed_table" in text
    assert client.get_pipeline().config.p4info == program.info
    assert len(client.read(build.entry("changed_table"))) == 1
    assert client.refused(
        INSERT, build.entry("changed_table", {"src": 5}, build.action("rewrite", src=1))
    ) == ["ALREADY_EXISTS"]
