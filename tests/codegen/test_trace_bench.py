"""p4native trace and bench: of a program with a script, and of a copy of a running switch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4r, p4r_grpc
from grpc import insecure_channel
from typer.testing import CliRunner, Result

from p4native.bmv2.reader import read_program
from p4native.codegen import generate
from p4native.commands.bench import bench, random_frames
from p4native.commands.trace import trace
from p4native.p4runtime.copy import CopyError, copy_switch
from p4native.p4runtime.server import serve
from p4native.switch.device import Device
from p4native.switch.pcap import PcapError, read_pcap

from . import builder as b

CORPUS = Path(__file__).parent.parent / "corpus"


def invoke(function: Any, *args: str) -> Result:
    import typer

    app = typer.Typer()
    app.command()(function)
    return CliRunner().invoke(app, list(args))


def test_trace_tells_parser_tables_and_end(tmp_path: Path) -> None:
    script = tmp_path / "entries.stf"
    source = (CORPUS / "table_kinds.stf").read_text()
    script.write_text(source)
    result = invoke(trace, str(CORPUS / "table_kinds.p4"), "--entries", str(script))
    assert result.exit_code == 0, result.output
    for part in (
        "ingress, port",
        "parser: start",
        "table ",
        "hit entry",
        "miss",
        "key ",
        "sent to",
    ):
        assert part in result.output


def test_trace_as_json() -> None:
    result = invoke(trace, str(CORPUS / "parser_verify.p4"), "--packet", "00", "--json")
    assert result.exit_code == 0, result.output
    events = [json.loads(line) for line in result.output.splitlines()]
    kinds = [e["event"] for e in events]
    assert kinds[0] == "pass" and kinds[-1] in ("sent", "dropped")
    parsed = next(e for e in events if e["event"] == "parsed")
    assert parsed["error"] == "PacketTooShort"


@pytest.mark.parametrize(("args", "message"), [
    ((), "give a program, or --switch and none"),
    (("no/such.json", "--packet", "00"), "no/such.json"),
    ((str(CORPUS / "slices.p4"), "--packet", "0"), "hex digits"),
    ((str(CORPUS / "slices.p4"),), "no frames"),
    (("--switch", "127.0.0.1:1", "--packet", "00"), "UNAVAILABLE"),
])  # fmt: skip
def test_trace_refuses_with_a_message(args: tuple[str, ...], message: str) -> None:
    result = invoke(trace, *args)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_bench_gives_figures() -> None:
    script = str(CORPUS / "table_kinds.stf")
    result = invoke(bench, str(CORPUS / "table_kinds.p4"), "--entries", script, "--seconds",
                    "0.05", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output)
    assert 0 <= figures["ns"] < 100_000 and figures["overhead_ns"] > 0
    assert figures["packets"] > 1000
    text = invoke(bench, str(CORPUS / "table_kinds.p4"), "--seconds", "0.05")
    assert "ns per packet" in text.output


def test_random_frames_have_right_checksums() -> None:
    frames = random_frames(3)
    assert len({data for _, data in frames}) == len(frames)
    for port, data in frames:
        total = sum(struct.unpack("!10H", data[14:34]))
        total = (total & 0xFFFF) + (total >> 16)
        assert (port, len(data), (total & 0xFFFF) + (total >> 16)) == (3, 64, 0xFFFF)


def test_bench_of_endless_recirculation_is_refused(tmp_path: Path) -> None:
    json_text = b.program({"h_t": [("a", 8)]}, {"h": "h_t"}, [b.SEND],
                          egress=[b.call("recirculate", b.const(1))],
                          field_lists=[{"id": 1, "name": "l", "elements": []}])  # fmt: skip
    path = tmp_path / "loop.json"
    path.write_text(json.dumps(json_text))
    result = invoke(bench, str(path), "--seconds", "0.05")
    assert "Traceback" not in result.output


# --- copies of running switches -------------------------------------------------------------------


def test_copy_has_program_and_entries() -> None:
    """What a controller wrote to one device decides about packets in its copy."""
    from p4native.compiler import compile_program

    compiled = compile_program(CORPUS / "egress_tables.p4")
    original, copied = Device(7), Device(7)
    server = serve({7: original}, "127.0.0.1:0")
    address = f"127.0.0.1:{server.port}"
    try:
        with pytest.raises(CopyError, match="device 7"):
            copy_switch(address, 7, copied)
        fill(address, compiled)
        copy_switch(address, 7, copied)
        pipelines = original.pipeline, copied.pipeline
        assert all(p is not None for p in pipelines)
        counts = [[p.count_entries(i) for i in range(len(p.program.tables))]
                  for p in pipelines if p is not None]  # fmt: skip
        assert counts[0] == counts[1]
        assert sum(counts[0]) > 0
        result = invoke(trace, "--switch", address, "--device-id", "7", "--packet", "00" * 40)
        assert "ingress, port 1, 40 bytes" in result.output
    finally:
        server.stop()
        original.stop()
        copied.stop()


@pytest.mark.parametrize("number", [0, 1])
def test_the_device_that_is_there_is_copied(number: int) -> None:
    from p4native.compiler import compile_program

    original = Device(number)
    server = serve({number: original}, "127.0.0.1:0")
    words = ("--switch", f"127.0.0.1:{server.port}", "--packet", "00" * 40)
    try:
        refused = invoke(trace, *words).output
        assert f"device {number} has no program" in refused
        fill(f"127.0.0.1:{server.port}", compile_program(CORPUS / "egress_tables.p4"), number)
        assert "ingress, port 1, 40 bytes" in invoke(trace, *words).output
    finally:
        server.stop()
        original.stop()


def fill(address: str, compiled: Any, device: int = 7) -> None:
    """Loads the program and one entry into every table with exact keys only."""
    from p4native.p4runtime.copy import primary

    with insecure_channel(address) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        with primary(stub, device) as election:
            config = p4r.ForwardingPipelineConfig(
                p4info=compiled.p4info, p4_device_config=compiled.json_text.encode()
            )
            stub.SetForwardingPipelineConfig(
                p4r.SetForwardingPipelineConfigRequest(
                    device_id=device, election_id=election, config=config,
                    action=p4r.SetForwardingPipelineConfigRequest.Action.VERIFY_AND_COMMIT,
                )
            )  # fmt: skip
            updates = [p4r.Update(type=p4r.Update.Type.INSERT, entity=e)
                       for e in exact_entries(compiled.p4info)]  # fmt: skip
            assert updates
            stub.Write(p4r.WriteRequest(device_id=device, election_id=election, updates=updates))


def exact_entries(info: Any) -> list[Any]:
    actions = {a.preamble.id: a for a in info.actions}
    found = []
    for table in info.tables:
        if any(f.match_type != 2 for f in table.match_fields) or not table.match_fields:
            continue
        action = actions[table.action_refs[0].id]
        params = [p4r.Action.Param(param_id=p.id, value=b"\x01") for p in action.params]
        match = [p4r.FieldMatch(field_id=f.id, exact=p4r.FieldMatch.Exact(value=b"\x01"))
                 for f in table.match_fields]  # fmt: skip
        entry = p4r.TableEntry(
            table_id=table.preamble.id, match=match,
            action=p4r.TableAction(
                action=p4r.Action(action_id=action.preamble.id, params=params)
            ),
        )  # fmt: skip
        found.append(p4r.Entity(table_entry=entry))
    return found


# --- capture files --------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcap(tmp_path: Path, order: str) -> None:
    path = tmp_path / "x.pcap"
    head = struct.pack(f"{order}IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    records = b"".join(
        struct.pack(f"{order}IIII", 0, 0, len(f), len(f)) + f for f in (b"one", b"three")
    )
    path.write_bytes(head + records)
    assert read_pcap(path) == [b"one", b"three"]
    for cut in (3, 10, 30, len(head) + 18):
        path.write_bytes((head + records)[:cut])
        with pytest.raises(PcapError):
            read_pcap(path)


# --- generated text -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["table_kinds", "varbit", "union_stack", "replication"])
def test_generation_is_deterministic_and_tidy(name: str) -> None:
    from p4native.compiler import compile_program

    text = compile_program(CORPUS / f"{name}.p4").json_text
    first = generate(read_program(json.loads(text)))
    assert first == generate(read_program(json.loads(text)))
    for source in first.values():
        assert source.endswith(("}\n", "};\n"))
        assert not any(line != line.rstrip() for line in source.splitlines())
