"""Compiles a program with p4c and with p4native and runs both results on both switches.

The reference tools are found on PATH; without them nothing here can run, and the callers
say so.
"""

from __future__ import annotations

import difflib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from finsy.proto import p4i
from google.protobuf import text_format

from p4native.stf.errors import StfError
from p4native.stf.run import run_script

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
REFERENCE_COMPILER = "p4c-bm2-ss"
REFERENCE_SWITCH = "simple_switch_grpc"
_COMPILE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a compiler made of a program."""

    json: bytes
    p4info: p4i.P4Info


@dataclass(slots=True)
class Report:
    """Differences found for one program; none means that all pairings agree."""

    program: str
    differences: list[str] = field(default_factory=list)


def why_not_run() -> str | None:
    """The reason why nothing can be compared here; None when the reference tools are there."""
    missing = [tool for tool in (REFERENCE_COMPILER, REFERENCE_SWITCH) if not shutil.which(tool)]
    return f"not on PATH: {', '.join(missing)}" if missing else None


def compile_reference(program: Path) -> Compiled:
    """The program through p4c; StfError with its messages when it refuses."""
    with tempfile.TemporaryDirectory(prefix="p4native-diff-") as folder:
        json_path, info_path = Path(folder) / "out.json", Path(folder) / "out.txtpb"
        command = [REFERENCE_COMPILER, str(program), "-o", str(json_path)]
        done = subprocess.run(
            [*command, "--p4runtime-files", str(info_path)],
            capture_output=True,
            text=True,
            timeout=_COMPILE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise StfError(f"p4c refuses {program.name}: {done.stderr.strip()}")
        info = text_format.Parse(info_path.read_text(), p4i.P4Info())
        return Compiled(json_path.read_bytes(), info)


def compile_native(program: Path) -> Compiled:
    """The program through p4native."""
    from p4native.compiler import CompileError, compile_program

    try:
        result = compile_program(program)
    except CompileError as fault:
        raise StfError(f"p4native refuses {program.name}: {fault.diagnostics}") from fault
    return Compiled(result.json_text.encode(), result.p4info)


def p4info_text(info: p4i.P4Info) -> str:
    """P4Info as text in which the order of objects does not matter."""
    ordered = p4i.P4Info()
    ordered.CopyFrom(info)
    for name in ordered.DESCRIPTOR.fields_by_name:
        items = getattr(ordered, name)
        if hasattr(items, "sort"):
            items.sort(key=lambda item: item.preamble.id)
    return text_format.MessageToString(ordered)


def p4info_difference(reference: p4i.P4Info, native: p4i.P4Info) -> str | None:
    """A unified diff of two P4Infos, or None when they are equal."""
    texts = [p4info_text(info).splitlines() for info in (reference, native)]
    if texts[0] == texts[1]:
        return None
    return "\n".join(difflib.unified_diff(*texts, "p4c", "p4native", lineterm="", n=4))


def _by_port(outputs: list[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    """Packets of each port, sorted: copies of one packet come in any order.

    Where the order matters the script says so.
    """
    ports: dict[int, list[bytes]] = {}
    for port, data in sorted(outputs):
        ports.setdefault(port, []).append(data)
    return ports


def _run(compiled: Compiled, script: Path, target: str) -> tuple[list[str], dict[int, list[bytes]]]:
    try:
        result = run_script(compiled.json, compiled.p4info, script, target)
    except StfError as fault:
        return [str(fault)], {}
    return result.faults, _by_port(result.outputs)


def compare_pairings(program: Path, script: Path) -> Report:
    """Runs the four pairings of compiler and switch; every deviation is one difference."""
    report = Report(program.stem)
    compilers: dict[str, Callable[[Path], Compiled]] = {
        "p4c": compile_reference,
        "p4native": compile_native,
    }
    made: dict[str, Compiled] = {}
    for name, compiler in compilers.items():
        try:
            made[name] = compiler(program)
        except StfError as fault:
            report.differences.append(f"{name} does not compile it: {fault}")
    if len(made) == 2:
        difference = p4info_difference(made["p4c"].p4info, made["p4native"].p4info)
        if difference:
            report.differences.append(f"P4Info differs:\n{difference}")
    packets: dict[str, dict[int, list[bytes]]] = {}
    for name, compiled in made.items():
        for target in ("bmv2", "native"):
            pairing = f"{name} on {target}"
            faults, packets[pairing] = _run(compiled, script, target)
            report.differences += [f"{pairing}: {fault}" for fault in faults]
    first = next(iter(packets), None)
    for pairing, ports in packets.items():
        if first is not None and ports != packets[first]:
            report.differences.append(f"packets of {pairing} are not those of {first}")
    return report
