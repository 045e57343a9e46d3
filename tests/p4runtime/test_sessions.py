"""Sessions: arbitration, roles and the right to write (design/p4runtime.md, "Sessions")."""

from __future__ import annotations

import threading

import grpc
import pytest
from finsy.proto import p4r, rpc_code, stratum
from google.protobuf.any_pb2 import Any as AnyMessage

from p4native.p4runtime.arbitration import MAX_ROLES

from .builder import MODIFY, probe
from .client import Client, code_of, uint128
from .conftest import Lab, fresh_election
from .programs import Program
from .targets import NativeSwitch, Switch


def stream_error(client: Client, election_id: int | None, **fields: object) -> str:
    """Arbitrate on a new stream that must be refused; return the status."""
    stream = client.open()
    stream.arbitrate(election_id, **fields)  # type: ignore[arg-type]
    with pytest.raises(grpc.RpcError) as caught:
        stream.next()
    return code_of(caught.value)


@pytest.mark.bmv2_gap("accepts any device id")
def test_unknown_device_is_not_found(client: Client) -> None:
    assert stream_error(client, fresh_election(), device_id=99) == "NOT_FOUND"
    for call in (
        lambda: client.stub.Write(p4r.WriteRequest(device_id=99)),
        lambda: list(client.stub.Read(p4r.ReadRequest(device_id=99))),
        lambda: client.stub.GetForwardingPipelineConfig(
            p4r.GetForwardingPipelineConfigRequest(device_id=99)
        ),
        lambda: client.stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(device_id=99)
        ),
        lambda: client.stub.Capabilities(p4r.CapabilitiesRequest(device_id=99)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert code_of(caught.value) == "NOT_FOUND"


@pytest.mark.bmv2_gap("election id 0 is accepted")
def test_election_id_zero_is_invalid(client: Client) -> None:
    assert stream_error(client, 0) == "INVALID_ARGUMENT"


def test_duplicate_election_id_is_invalid(switch: Switch, client: Client) -> None:
    election = fresh_election()
    client.lead(election)
    other = Client(switch.address)
    try:
        assert stream_error(other, election) == "INVALID_ARGUMENT"
    finally:
        other.close()


@pytest.mark.bmv2_gap("an unset election id counts as 0 and may become primary")
def test_unset_election_id_never_becomes_primary(switch: Switch, client: Client) -> None:
    stream = client.open()
    stream.arbitrate(None)
    status, _highest = stream.advice()
    assert status == "NOT_FOUND"


def test_higher_election_id_takes_over(switch: Switch, client: Client) -> None:
    election = fresh_election()
    first = client.lead(election)
    other = Client(switch.address)
    try:
        other.lead(election + 1)
        assert first.advice() == ("ALREADY_EXISTS", election + 1)
    finally:
        other.close()


def test_lower_election_id_is_backup(switch: Switch, client: Client) -> None:
    election = fresh_election()
    client.lead(election)
    other = Client(switch.address)
    try:
        stream = other.open()
        stream.arbitrate(election - 1)
        assert stream.advice() == ("ALREADY_EXISTS", election)
    finally:
        other.close()


@pytest.mark.bmv2_gap("a backup becomes primary when the primary leaves; ids are forgotten")
def test_highest_election_id_is_remembered(switch: Switch, client: Client) -> None:
    election = fresh_election()
    backup = client.open()
    first = Client(switch.address)
    first.lead(election)
    backup.arbitrate(election - 1)
    assert backup.advice() == ("ALREADY_EXISTS", election)
    first.close()
    assert backup.advice() == ("NOT_FOUND", election)
    backup.arbitrate(election - 2)
    assert backup.advice() == ("NOT_FOUND", election)
    backup.arbitrate(election)
    assert backup.advice() == ("OK", election)


@pytest.mark.bmv2_gap("the next best client is promoted without asking")
def test_primary_may_step_down(switch: Switch, client: Client) -> None:
    election = fresh_election()
    stream = client.lead(election)
    stream.arbitrate(election - 1)
    assert stream.advice() == ("NOT_FOUND", election)


@pytest.mark.bmv2_gap("the device id of a stream is compared only after PERMISSION checks")
def test_stream_keeps_its_device_and_role(switch: Switch, client: Client) -> None:
    stream = client.lead(fresh_election())
    stream.arbitrate(fresh_election(), device_id=2)
    with pytest.raises(grpc.RpcError) as caught:
        stream.next()
    assert code_of(caught.value) == "FAILED_PRECONDITION"
    other = Client(switch.address)
    try:
        stream = other.lead(fresh_election())
        stream.arbitrate(fresh_election(), role=p4r.Role(name="another"))
        with pytest.raises(grpc.RpcError) as caught:
            stream.next()
        assert code_of(caught.value) == "FAILED_PRECONDITION"
    finally:
        other.close()


def test_write_without_being_primary_is_denied(lab: Lab) -> None:
    counter = lab.build.counter("port_counter", 0, 1)
    other = lab.another()
    stream = other.open()
    stream.arbitrate(lab.client.election_id - 1)
    stream.advice()
    other.election_id = lab.client.election_id - 1
    with pytest.raises(grpc.RpcError) as caught:
        other.modify(counter)
    assert code_of(caught.value) == "PERMISSION_DENIED"
    with pytest.raises(grpc.RpcError) as caught:
        other.set_pipeline(lab.program.config())
    assert code_of(caught.value) == "PERMISSION_DENIED"


@pytest.mark.bmv2_gap("accepts writes without election id while no client is connected")
def test_write_without_a_stream_is_denied(lab: Lab) -> None:
    counter = lab.build.counter("port_counter", 0, 1)
    other = lab.another()
    lab.client.close()
    for election in (uint128(lab.client.election_id), None):
        request = p4r.WriteRequest(device_id=1, election_id=election)
        request.updates.add(type=MODIFY, entity=counter)
        with pytest.raises(grpc.RpcError) as caught:
            other.stub.Write(request)
        assert code_of(caught.value) == "PERMISSION_DENIED"


def test_read_needs_no_stream(lab: Lab) -> None:
    assert len(lab.another().read(p4r.Entity(counter_entry=p4r.CounterEntry()))) == 16


@pytest.mark.bmv2_gap("backups' packet-outs are ignored without an error")
def test_packet_out_of_a_backup_is_an_error(lab: Lab) -> None:
    other = lab.another()
    stream = other.open()
    stream.send(packet=p4r.PacketOut(payload=b"early"))
    error = stream.next("error", timeout=2)
    assert error.canonical_code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    stream.arbitrate(lab.client.election_id - 1)
    stream.next("arbitration")
    stream.send(packet=p4r.PacketOut(payload=b"late"))
    error = stream.next("error")
    assert error.canonical_code == grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert error.packet_out.packet_out.payload == b"late"


@pytest.mark.native_only
def test_hand_over_waits_for_writes_in_flight(lab: Lab) -> None:
    """While a write is being applied, a new primary is announced but not told yet."""
    (target,) = lab.native.server._targets
    other = lab.another()
    stream = other.open()
    election = lab.client.election_id + 1
    with target.arbiter.writing("", uint128(lab.client.election_id)):
        stream.arbitrate(election)
        assert lab.stream.advice() == ("ALREADY_EXISTS", election)
        for denied in (lab.client.election_id, election):
            other.election_id = denied
            with pytest.raises(grpc.RpcError) as caught:
                other.modify(lab.build.counter("port_counter", 0, 1))
            assert code_of(caught.value) == "PERMISSION_DENIED"
        assert stream.received.empty()
    assert stream.advice() == ("OK", election)
    other.modify(lab.build.counter("port_counter", 0, 1))


@pytest.mark.bmv2_gap("roles are ignored")
def test_roles_have_their_own_primary(lab: Lab) -> None:
    other = lab.another()
    other.lead(lab.client.election_id, p4r.Role(name="second"))
    other.modify(lab.build.counter("port_counter", 1, 5))
    lab.client.modify(lab.build.counter("port_counter", 2, 6))
    stranger = lab.another()
    stranger.role = "never seen"
    stranger.election_id = 1
    with pytest.raises(grpc.RpcError) as caught:
        stranger.modify(lab.build.counter("port_counter", 1, 5))
    assert code_of(caught.value) == "NOT_FOUND"


@pytest.mark.bmv2_gap("roles are ignored")
def test_a_name_is_no_number_of_a_role(lab: Lab) -> None:
    """The deprecated number and a name that looks like it: each has its primary."""
    numbered, named = lab.another().open(), lab.another()
    numbered.arbitrate(3, role=p4r.Role(id=5))
    assert numbered.next("arbitration").role == p4r.Role(id=5)
    named.lead(2, p4r.Role(name="#5"))
    named.insert(lab.build.entry("small_table", {"src": 1}, lab.build.action("mark", value=1)))
    assert len(named.read(lab.build.entry("small_table"), role="#5")) == 1


def role_config(**fields: object) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(stratum.P4RoleConfig(**fields))  # type: ignore[arg-type]
    return packed


@pytest.mark.bmv2_gap("roles are ignored")
def test_role_config_limits_what_is_written_and_read(lab: Lab) -> None:
    own, foreign = (
        lab.build.entry("small_table", {"src": 1}, lab.build.action("mark", value=1)),
        (lab.build.entry("idle_table", {"src": 1}, lab.build.action("mark", value=1))),
    )
    table = lab.build.id("tables", "small_table")
    other = lab.another()
    role = p4r.Role(name="narrow", config=role_config(exclusive_p4_ids=[table]))
    other.lead(7, role)
    other.insert(own)
    assert other.refused(1, foreign) == ["PERMISSION_DENIED"]
    lab.client.insert(foreign)
    everything = p4r.Entity(table_entry=p4r.TableEntry())
    counters = p4r.Entity(counter_entry=p4r.CounterEntry())
    visible = other.read(everything, counters, role="narrow")
    assert {e.table_entry.table_id for e in visible} == {table}
    with pytest.raises(grpc.RpcError) as caught:
        other.set_pipeline(lab.program.config())
    assert code_of(caught.value) == "PERMISSION_DENIED"


@pytest.mark.bmv2_gap("roles are ignored")
def test_a_role_acknowledges_its_own_digests_alone(lab: Lab) -> None:
    digest, table = lab.build.id("digests", "learn_t"), lab.build.id("tables", "small_table")
    for name, p4_id, code in (("learner", digest, 0), ("other", table, rpc_code.PERMISSION_DENIED)):
        config = role_config(exclusive_p4_ids=[p4_id])
        stream = lab.another().lead(7, p4r.Role(name=name, config=config))
        stream.send(digest_ack=p4r.DigestListAck(digest_id=digest, list_id=1))
        stream.send(other=AnyMessage())
        codes = [0]
        while codes[-1] != rpc_code.UNIMPLEMENTED:
            codes.append(stream.next("error").canonical_code)
        assert codes[-2] == code


@pytest.mark.bmv2_gap("roles are ignored")
def test_a_role_gets_the_packets_that_it_asks_for(lab: Lab) -> None:
    """Those that came by port 3 (with a zero too many), all of them, or none."""
    by_port = stratum.P4RoleConfig.PacketFilter(metadata_id=1, value=b"\0\3")
    streams = [
        lab.another().lead(7, p4r.Role(name=name, config=role_config(**fields)))
        for name, fields in {
            "filtered": {"receives_packet_ins": True, "packet_in_filter": by_port},
            "all": {"receives_packet_ins": True},
            "none": {},
        }.items()
    ]
    cpu = lab.build.action("to_cpu", reason=1)
    ports = (2, 3, 4)
    lab.client.insert(*[lab.build.entry("exact_table", {"dst": 1, "port": p}, cpu) for p in ports])
    for port in ports:
        lab.switch.send(port, probe(dst=1))
    assert [lab.stream.next("packet").metadata[0].value[0] for _ in ports] == [*ports]
    assert [streams[1].next("packet").metadata[0].value[0] for _ in ports] == [*ports]
    assert streams[0].next("packet").metadata[0].value == b"\3"
    assert [stream.received.qsize() for stream in streams] == [0, 0, 0]


@pytest.mark.bmv2_gap("roles are ignored")
def test_role_config_of_another_scheme_is_invalid(lab: Lab) -> None:
    config = AnyMessage(type_url="type.googleapis.com/elsewhere.Scheme", value=b"x")
    other = lab.another()
    for number in range(MAX_ROLES):  # what was refused takes no place
        role = p4r.Role(name=f"odd {number}", config=config)
        assert stream_error(other, 5, role=role) == "INVALID_ARGUMENT"
    stream = other.open()
    stream.arbitrate(5, role=p4r.Role(name="even"))
    assert stream.next("arbitration").status.code == 0


def test_lost_client_leaves_cleanly(switch: Switch, entities: Program) -> None:
    election = fresh_election()
    for offset in range(20):
        client = Client(switch.address)
        client.lead(election + offset)
        client.channel.close()
    client = Client(switch.address)
    try:
        client.lead(election + 20)
        client.set_pipeline(entities.config())
    finally:
        client.close()


@pytest.mark.slow
@pytest.mark.bmv2_gap("at most 16 clients")
def test_hundred_clients_at_once(lab: Lab) -> None:
    """All of them arbitrate and read while the primary writes."""
    errors: list[Exception] = []
    gate = threading.Barrier(101)

    def client(number: int) -> None:
        one = Client(lab.switch.address)
        try:
            stream = one.open()
            stream.arbitrate(number + 1)
            stream.advice()
            gate.wait(10)
            assert len(one.read(p4r.Entity(counter_entry=p4r.CounterEntry()))) == 16
        except (grpc.RpcError, AssertionError, threading.BrokenBarrierError) as error:
            errors.append(error)
        finally:
            one.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(100)]
    for thread in threads:
        thread.start()
    gate.wait(10)
    for index in range(16):
        lab.client.modify(lab.build.counter("port_counter", index, index))
    for thread in threads:
        thread.join(60)
    assert not errors


def test_stopping_ends_streams_at_once() -> None:
    """Streams are told why; those left to the server's grace would be CANCELLED."""
    switch = NativeSwitch()
    client = Client(switch.address)
    stream = client.lead(1)
    switch.stop()
    with pytest.raises(grpc.RpcError) as caught:
        stream.next()
    assert code_of(caught.value) == "UNAVAILABLE"
    client.close()


def test_capabilities(client: Client) -> None:
    version = client.stub.Capabilities(p4r.CapabilitiesRequest()).p4runtime_api_version
    assert version.split(".")[0] == "1"
