"""Which compiler and which switch to use, and the compiled program, cached by content."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from topologies.errors import LabError

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
CPU_PORT = 510
DROP_PORT = 511
_INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)

Target = Literal["native", "bmv2"]
Compiler = Literal["native", "p4c"]


@dataclass(frozen=True)
class Choice:
    """A tool that was chosen, and why, in words for the user."""

    name: str
    reason: str


@dataclass(frozen=True)
class Program:
    """A compiled P4 program: the two files of a P4Runtime pipeline configuration."""

    name: str
    json: Path
    p4info: Path


def choose_target(wish: str) -> Choice:
    """Resolve TARGET=auto|native|bmv2; raises LabError if the wish cannot be met."""
    return _choose("TARGET", wish, "bmv2", "simple_switch_grpc")


def choose_compiler(wish: str) -> Choice:
    """Resolve P4C=auto|p4c|native; raises LabError if the wish cannot be met."""
    return _choose("P4C", wish, "p4c", "p4c-bm2-ss")


def _choose(variable: str, wish: str, reference: str, command: str) -> Choice:
    """Pick the reference tool when it is wished for or, by default, when it is on PATH."""
    if wish not in ("auto", "native", reference):
        raise LabError(f"{variable}={wish} is unknown; expected auto, native or {reference}.")
    if wish == "native":
        return Choice("native", f"{variable}=native")
    found = shutil.which(command)
    if found:
        return Choice(reference, f"{command} is at {found}")
    if wish == reference:
        raise LabError(
            f"{variable}={reference} needs {command}, which is not on PATH; install it, add its "
            f"directory to PATH, or use {variable}=native."
        )
    return Choice("native", f"{command} is not on PATH")


def require_c_compiler() -> None:
    """Raise LabError unless a C compiler is there for the native switch."""
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang")):
        raise LabError(
            "the native switch compiles P4 programs with the system's C compiler, and none of cc, "
            "gcc and clang is on PATH; install one with: apt-get install gcc"
        )


def compile_program(source: Path, compiler: str, build: Path = BUILD) -> Program:
    """Compile a P4 program unless its sources have not changed since the last time.

    What p4c makes lies in a folder of its own: labs with different compilers may run side by side,
    and a NIC whose program changes under its controller loses its entries.

    Raises LabError with the compiler's own diagnostics (``file:line:col`` and a caret).
    """
    if not source.is_file():
        raise LabError(f"there is no P4 program {source}; give the path of a .p4 file.")
    name = source.stem
    build = build if compiler == "native" else build / compiler
    program = Program(name, build / f"{name}.json", build / f"{name}.p4info.txtpb")
    stamp = build / f"{name}.stamp"
    wanted = _fingerprint(source, compiler)
    if _up_to_date(program, stamp, wanted):
        return program
    build.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        fresh = Program(name, Path(folder, program.json.name), Path(folder, program.p4info.name))
        result = subprocess.run(
            _command(source, compiler, fresh), capture_output=True, text=True, cwd=ROOT
        )
        if result.returncode:
            raise LabError(
                f"{source.name} does not compile:\n{(result.stderr or result.stdout).strip()}"
            )
        os.replace(fresh.json, program.json)  # whole, should another lab be reading it
        os.replace(fresh.p4info, program.p4info)
    stamp.write_text(wanted, encoding="utf-8")
    return program


def _up_to_date(program: Program, stamp: Path, wanted: str) -> bool:
    if not (stamp.exists() and program.json.exists() and program.p4info.exists()):
        return False
    return stamp.read_text(encoding="utf-8") == wanted


def _command(source: Path, compiler: str, program: Program) -> list[str]:
    """Command line that writes ``program`` from ``source``."""
    include = str(source.parent)
    if compiler == "p4c":
        files = ["--p4runtime-files", str(program.p4info), "-o", str(program.json)]
        return ["p4c-bm2-ss", "--std", "p4-16", "-I", include, *files, str(source)]
    files = ["--json", str(program.json), "--p4info", str(program.p4info)]
    return [
        sys.executable, "-m", "p4native", "compile", str(source),
        "-o", str(program.json.parent), "-I", include, *files,
    ]  # fmt: skip


def _fingerprint(source: Path, compiler: str) -> str:
    """Hash of everything the output depends on: P4 sources, and the compiler itself."""
    digest = hashlib.sha256(compiler.encode())
    files = _included(source)
    if compiler == "p4c":
        binary = shutil.which("p4c-bm2-ss") or ""
        digest.update(f"{binary} {os.path.getmtime(binary)}".encode())
    else:
        native = ROOT / "p4native"
        for folder in ("frontend", "midend", "bmv2", "p4include"):
            files += sorted(p for p in (native / folder).rglob("*") if p.suffix in (".py", ".p4"))
    for path in files:
        digest.update(str(path).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _included(source: Path) -> list[Path]:
    """A program and what it includes from its own folder, at any depth."""
    found, waiting = {source}, [source]
    while waiting:
        path = waiting.pop()
        for name in _INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
            for folder in (path.parent, source.parent):
                file = (folder / name).resolve()
                if file.is_file() and file not in found:
                    found.add(file)
                    waiting.append(file)
    return sorted(found)


def switch_command(target: str) -> list[str]:
    """The switch's program and its first words; both targets take the same options."""
    if target == "bmv2":
        return ["simple_switch_grpc"]
    return [sys.executable, "-m", "p4native", "switch"]


@dataclass(frozen=True)
class SwitchOptions:
    """How one switch process is started."""

    device_id: int
    ports: dict[int, str]
    grpc_port: int
    thrift_port: int
    log: Path
    uplinks: frozenset[int] = frozenset()

    def arguments(self, target: str) -> list[str]:
        """Options in ``simple_switch_grpc``'s words.

        Only BMv2 has a thrift server to be placed, and only the native switch receive queues.
        """
        words = ["--no-p4", "--device-id", str(self.device_id)]
        for port, interface in sorted(self.ports.items()):
            words += ["-i", f"{port}@{interface}"]
        words += ["--log-file", str(self.log), "--log-level", "warn"]
        if target == "bmv2":
            words += ["--log-flush", "--thrift-port", str(self.thrift_port)]
        else:
            for port in sorted(self.uplinks):
                words += ["--shared-port", str(port)]
        words += ["--", "--grpc-server-addr", f"127.0.0.1:{self.grpc_port}"]
        return [*words, "--cpu-port", str(CPU_PORT), "--drop-port", str(DROP_PORT)]
