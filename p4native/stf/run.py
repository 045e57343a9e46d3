"""Compiles a program and runs a packet-test script on a switch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from p4native.stf.errors import StfError
from p4native.stf.parser import read_script
from p4native.stf.runner import Result, Runner
from p4native.stf.schema import read_schema
from p4native.stf.target import Target

TARGETS = ("native", "bmv2")


def open_target(name: str, program_json: bytes, p4info: Any) -> Target:
    """A switch with the program loaded; ``p4info`` (a P4Info message) is for ``bmv2`` only."""
    if name == "native":
        from p4native.stf.native_target import NativeTarget

        return NativeTarget(program_json)
    if name == "bmv2":
        from p4native.stf.bmv2_target import Bmv2Target

        return Bmv2Target(program_json, p4info)
    raise StfError(f"unknown target '{name}'; use one of {', '.join(TARGETS)}")


def run_script(program_json: bytes, p4info: Any, script: Path, target: str = "native") -> Result:
    """Runs a script on a compiled program; StfError when it cannot even start."""
    statements = read_script(script)
    switch = open_target(target, program_json, p4info)
    try:
        return Runner(read_schema(json.loads(program_json)), switch).run(statements)
    finally:
        switch.close()


def run_stf(
    program: Path,
    script: Path,
    target: str = "native",
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
) -> Result:
    """Compiles ``program`` (P4, or BMv2 JSON made before) and runs the script on it."""
    if program.suffix == ".json":
        return run_script(_read(program), _p4info_beside(program, target), script, target)
    from p4native.compiler import CompileError, compile_program

    try:
        result = compile_program(program, include_dirs=include_dirs, defines=dict(defines or {}))
    except CompileError as fault:
        raise StfError(f"{program} does not compile\n{fault.diagnostics}".rstrip()) from fault
    return run_script(result.json_text.encode(), result.p4info, script, target)


def _read(program: Path) -> bytes:
    try:
        return program.read_bytes()
    except OSError as fault:
        raise StfError(f"cannot read the program {program}: {fault}") from fault


def _p4info_beside(program: Path, target: str) -> Any:
    """The P4Info text next to a JSON file, which BMv2's P4Runtime server needs."""
    if target != "bmv2":
        return None
    from finsy.proto import p4i
    from google.protobuf import text_format

    path = program.with_suffix(".p4info.txtpb")
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), p4i.P4Info())
    except (OSError, text_format.ParseError) as fault:
        raise StfError(f"--target bmv2 needs the P4Info of {program}: {fault}") from fault
