"""What `trace` and `bench` share: a program on a switch in memory, filled from a script or from a
running switch, and the frames to run through it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import typer

from p4native.commands.macros import macros
from p4native.switch.device import Device
from p4native.switch.pipeline import Pipeline

Frames = list[tuple[int, bytes]]


@dataclass(slots=True)
class Offline:
    """A switch without interfaces and packet threads; `frames` are (port, bytes) of the script."""

    device: Device
    pipeline: Pipeline
    frames: Frames = field(default_factory=list)
    _cleanup: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Frees the switch."""
        self._cleanup.close()


def fail(message: str) -> NoReturn:
    """Ends the command with an error message and exit code 1."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Source:
    """What the user gave to run packets through: a program with entries, or a running switch."""

    program: Path | None
    entries: Path | None
    switch: str | None
    device_id: int | None
    include: Sequence[Path]
    define: Sequence[str]

    def open(self, *, trace: bool) -> Offline:
        """A switch in memory with that; the command ends unless exactly one of both was given."""
        if self.program is not None and self.switch is None:
            text = program_json(self.program, self.include, self.define)
            return open_program(text, self.entries, trace=trace)
        if self.switch is not None and self.program is None:
            return open_copy(self.switch, self.device_id, trace=trace)
        fail("give a program, or --switch and none")


def program_json(program: Path, include: Sequence[Path], define: Sequence[str]) -> bytes:
    """BMv2 JSON of a P4 program, or of a JSON file as it is."""
    if program.suffix == ".json":
        return program.read_bytes()
    from p4native.compiler import CompileError, compile_program

    try:
        result = compile_program(program, include_dirs=include, defines=macros(define))
    except CompileError as fault:
        fail(f"{program} does not compile\n{fault.diagnostics}".rstrip())
    return result.json_text.encode()


def open_program(text: bytes, script: Path | None, *, trace: bool) -> Offline:
    """The program with the entries of an STF script; the script's packets are not sent."""
    from p4native.stf import script as ast
    from p4native.stf.native_target import NativeTarget
    from p4native.stf.parser import read_script
    from p4native.stf.runner import Runner
    from p4native.stf.schema import read_schema

    statements = read_script(script) if script is not None else []
    target = NativeTarget(text, trace=trace)
    packets = (ast.Packet, ast.Expect, ast.NoPacket, ast.Wait)
    state = [s for s in statements if not isinstance(s, packets)]
    result = Runner(read_schema(json.loads(text)), target).run(state)
    if result.faults:
        target.close()
        fail("\n".join(f"{script}: {fault}" for fault in result.faults))
    cleanup = ExitStack()
    cleanup.callback(target.close)
    pipeline = target.device.pipeline
    assert pipeline is not None
    frames = [(s.port, s.data) for s in statements if isinstance(s, ast.Packet)]
    return Offline(target.device, pipeline, frames, cleanup)


def open_copy(address: str, device_id: int | None, *, trace: bool) -> Offline:
    """A copy of what runs on a switch with P4Runtime: program and entries."""
    from p4native.p4runtime.copy import copy_switch

    cleanup = ExitStack()
    device = (_TracingDevice if trace else Device)(name=f"copy of {address}")
    cleanup.callback(device.stop)
    try:
        copy_switch(address, device_id, device)
    except BaseException:
        cleanup.close()
        raise
    pipeline = device.pipeline
    assert pipeline is not None
    return Offline(device, pipeline, [], cleanup)


class _TracingDevice(Device):
    """Builds every program for tracing."""

    def prepare(self, json_text: bytes | str, *, trace: bool = True) -> Pipeline:
        return super().prepare(json_text, trace=trace)


def user_errors() -> tuple[type[Exception], ...]:
    """What a user can cause: shown as a message, without a traceback."""
    from p4native.bmv2.reader import BmvJsonError
    from p4native.codegen import CodegenError
    from p4native.p4runtime.copy import CopyError
    from p4native.stf.errors import StfError
    from p4native.switch.build import BuildError
    from p4native.switch.device import SwitchError
    from p4native.switch.pcap import PcapError

    return (BmvJsonError, BuildError, CodegenError, CopyError, MemoryError, OSError, PcapError,
            StfError, SwitchError)  # fmt: skip


def given_frames(packets: Sequence[str], pcap: Path | None, port: int) -> Frames:
    """Frames of --packet (hex digits) and --pcap options, all arriving on one port."""
    from p4native.switch.pcap import read_pcap

    frames: Frames = []
    for text in packets:
        try:
            frames.append((port, bytes.fromhex(text)))
        except ValueError:
            fail(f"--packet {text!r} is not an even number of hex digits")
    if pcap is not None:
        frames += [(port, frame) for frame in read_pcap(pcap)]
    return frames
