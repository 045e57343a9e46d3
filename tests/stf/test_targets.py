"""Scripts end to end on the switches: what passes, and what must be reported as a fault."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pytest

from p4native.stf.errors import StfError
from p4native.stf.run import Result, run_script, run_stf

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
TABLES = CORPUS / "table_kinds.p4"
STATE = CORPUS / "counters_registers.p4"


@functools.cache
def compiled(program: Path) -> tuple[bytes, Any]:
    """JSON text and P4Info of a corpus program."""
    from p4native.compiler import compile_program

    result = compile_program(program)
    return result.json_text.encode(), result.p4info


@pytest.fixture(params=["native", "bmv2"])
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "bmv2" and shutil.which("simple_switch_grpc") is None:
        pytest.skip("not run on BMv2: simple_switch_grpc is not on PATH")
    return name


def run(program: Path, script: str, target: str, folder: Path) -> Result:
    path = folder / "script.stf"
    path.write_text(script)
    json_text, p4info = compiled(program)
    return run_script(json_text, p4info, path, target)


def probe(op: int, a: int = 0, b: int = 0, r: int = 0) -> str:
    return f"{op:02x} 00 0000 {a:08x} {b:08x} {r:08x}"


def test_removed_entries_match_no_more(target: str, tmp_path: Path) -> None:
    script = f"""
        add lpm_table hdr.probe.a:0x0a000000/8 set_r(value:8) = wide
        add lpm_table hdr.probe.a:0x0a0b0000/16 set_r(value:16) = narrow
        packet 1 {probe(0, 0x0A0B0C0D)}
        expect 2 {probe(0, 0x0A0B0C0D, r=16)} $
        remove narrow
        packet 1 {probe(0, 0x0A0B0C0D)}
        expect 2 {probe(0, 0x0A0B0C0D, r=8)} $
        remove all
        packet 1 {probe(0, 0x0A0B0C0D)}
        expect 2 {probe(0, 0x0A0B0C0D)} $
    """
    assert run(TABLES, script, target, tmp_path).faults == []


def test_wrong_missing_and_surplus_packets_are_faults(target: str, tmp_path: Path) -> None:
    script = f"""
        packet 1 {probe(0, 5)}
        expect 2 {probe(0, 6)} $
        packet 1 {probe(0, 7)}
        expect 9
        no_packet
    """
    faults = run(TABLES, script, target, tmp_path).faults
    assert [fault.splitlines()[0] for fault in faults] == [
        "line 3: port 2: byte 7 differs",
        f"port 2: unexpected packet {bytes.fromhex(probe(0, 7)).hex().upper()}",
        "line 5: port 9: no packet came, expected any packet",
    ]


def test_refused_commands_are_faults_with_their_line(target: str, tmp_path: Path) -> None:
    script = """
        add lpm_table hdr.probe.a:0x0a000000/8 set_r(value:1)
        add lpm_table hdr.probe.a:0x0a000000/8 set_r(value:2)
        add nowhere hdr.probe.a:1 set_r(value:2)
        mc_node_associate 3 0
    """
    faults = run(TABLES, script, target, tmp_path).faults
    assert [fault.split(":")[0] for fault in faults] == ["line 3", "line 4", "line 5"]


def test_state_that_differs_is_a_fault(target: str, tmp_path: Path) -> None:
    script = f"""
        counter_write by_op 2 10 1000
        register_write Feature.cells 3 7
        packet 1 {probe(2, a=3, b=1)}
        expect 2
        check_counter by_op(2) packets == 11
        check_counter by_op(2) bytes > 9999
        register_read Feature.cells 3 == 9
    """
    faults = run(STATE, script, target, tmp_path).faults
    assert [fault.split(":")[0] for fault in faults] == ["line 7", "line 8"]


def test_unknown_target_and_missing_script_are_named(tmp_path: Path) -> None:
    with pytest.raises(StfError, match="unknown target 'asic'"):
        run(TABLES, "", "asic", tmp_path)
    with pytest.raises(StfError, match="cannot read the script"):
        run_stf(TABLES, tmp_path / "absent.stf")


def test_a_program_with_errors_is_shown_with_its_diagnostics(tmp_path: Path) -> None:
    program, script = tmp_path / "wrong.p4", tmp_path / "empty.stf"
    program.write_text("const bit<8> x = y;\n")
    script.write_text("")
    with pytest.raises(StfError, match=r"wrong\.p4:1:18: error"):
        run_stf(program, script)


@pytest.mark.parametrize("text", ["garbage", "{}", '{"pipelines": 3}'])
def test_a_faulty_json_is_refused_in_words(text: str, tmp_path: Path) -> None:
    program, script = tmp_path / "wrong.json", tmp_path / "empty.stf"
    script.write_text("")
    with pytest.raises(StfError, match="cannot read the program"):
        run_stf(program, script)
    program.write_text(text)
    with pytest.raises(StfError, match="the switch cannot run the program"):
        run_stf(program, script)
