"""Messages drawn from the P4Info, nearly valid and garbage: never a fault, never a trace."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import grpc
import pytest
from finsy.proto import p4r
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .builder import Builder, clone_session, multicast
from .client import code_of, uint128, update_codes
from .conftest import PROGRAMS, Lab
from .programs import load_program
from .strategies import garbage, near_messages, table_entries
from .test_write_read import dump

pytestmark = [pytest.mark.native_only, pytest.mark.slow]
# Without it the same examples every time: a test run must not depend on luck.
EXAMPLES = os.environ.get("P4RUNTIME_FUZZ_EXAMPLES")
FUZZ = settings(
    max_examples=int(EXAMPLES or "150"),
    derandomize=EXAMPLES is None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@cache
def program() -> Any:
    return load_program(PROGRAMS / "entities.p4")


def samples() -> list[p4r.Entity]:
    """A valid entity of each kind but table entries."""
    build = Builder(program().info)
    forward = build.action("forward", port=1)
    entry = build.entry("exact_table", {"dst": 1, "port": 1})
    direct_meter = p4r.DirectMeterEntry(
        table_entry=build.entry("metered_table", {"src": 1}).table_entry
    )
    return [
        build.member("spread", 1, forward),
        build.group("spread", 1, 1),
        build.member("profile", 1, forward),
        build.entry("selector_table", {"key": 1}, build.one_shot((forward, 1))),
        build.counter("port_counter", 1, 1),
        build.meter("port_meter", 1, (1, 1, 2, 2)),
        build.register("values", 1, 1),
        build.value_set("special_pairs", (1, 1)),
        build.digest("learn_t", 1, 1, 1),
        multicast(1, (1, 1)),
        clone_session(1, (1, 1)),
        p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=entry.table_entry)),
        p4r.Entity(direct_meter_entry=direct_meter),
        p4r.Entity(extern_entry=p4r.ExternEntry()),
    ]


VALID = st.one_of(
    st.builds(lambda entry: p4r.Entity(table_entry=entry), table_entries(program)),
    st.deferred(lambda: st.sampled_from(samples())),
)
ENTITIES = st.one_of(VALID, near_messages(VALID), garbage(p4r.Entity))
UPDATES = st.lists(
    st.builds(
        lambda kind, entity: p4r.Update(type=kind, entity=entity), st.integers(0, 4), ENTITIES
    ),
    max_size=8,
)
JUDGED = {
    "OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "ABORTED",
    "OUT_OF_RANGE", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "FAILED_PRECONDITION",
}  # fmt: skip


@FUZZ
@given(updates=UPDATES)
def test_writes_are_judged_one_by_one(lab: Lab, updates: list[p4r.Update]) -> None:
    try:
        lab.client.write(updates)
    except grpc.RpcError as error:
        codes = update_codes(error)
        assert len(codes) == len(updates)
        assert set(codes) <= JUDGED
        assert set(codes) != {"OK"}


@FUZZ
@given(updates=UPDATES, atomicity=st.sampled_from(["ROLLBACK_ON_ERROR", "DATAPLANE_ATOMIC"]))
def test_refused_batches_leave_no_trace(
    lab: Lab, updates: list[p4r.Update], atomicity: str
) -> None:
    before = dump(lab.client)
    try:
        lab.client.write(updates, atomicity)
    except grpc.RpcError as error:
        assert set(update_codes(error)) <= JUDGED - {"OK"}
        assert dump(lab.client) == before


@FUZZ
@given(entities=st.lists(ENTITIES, max_size=5))
def test_reads_answer_or_refuse(lab: Lab, entities: list[p4r.Entity]) -> None:
    try:
        lab.client.read(*entities)
    except grpc.RpcError as error:
        codes = update_codes(error)
        assert len(codes) == len(entities)
        assert set(codes) <= JUDGED


@FUZZ
@given(info=st.deferred(lambda: near_messages(st.just(program().info))), action=st.integers(0, 6))
def test_pipeline_configs_are_realised_or_refused(lab: Lab, info: Any, action: int) -> None:
    config = program().config()
    config.p4info.CopyFrom(info)
    request = p4r.SetForwardingPipelineConfigRequest(
        device_id=1,
        election_id=uint128(lab.client.election_id),
        action=action,
        config=config,  # type: ignore[arg-type]
    )
    before = lab.client.get_pipeline()
    try:
        lab.client.stub.SetForwardingPipelineConfig(request, timeout=30)
    except grpc.RpcError as error:
        assert code_of(error) in ("INVALID_ARGUMENT", "NOT_FOUND")
        assert lab.client.get_pipeline() == before


@FUZZ
@given(
    messages=st.lists(
        st.one_of(
            garbage(p4r.StreamMessageRequest),
            st.builds(
                lambda packet: p4r.StreamMessageRequest(packet=packet), garbage(p4r.PacketOut)
            ),
        ),
        max_size=6,
    )
)
def test_streams_answer_or_end_with_a_status(lab: Lab, messages: list[Any]) -> None:
    """After whatever was sent, the stream is either in order, or over with a proper code."""
    other = lab.another()
    stream = other.open()
    stream.arbitrate(lab.client.election_id - 1)
    for message in messages:
        stream.send(**{f.name: value for f, value in message.ListFields()})
    stream.send(digest_ack=p4r.DigestListAck(digest_id=0xDEAD))
    try:
        while True:
            error = stream.next("error")
            if error.digest_list_ack.digest_list_ack.digest_id == 0xDEAD:
                break
    except grpc.RpcError as failure:
        assert code_of(failure) in (
            "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED",
        )  # fmt: skip
    other.close()
    lab.others.remove(other)
