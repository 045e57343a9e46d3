"""`p4native trace`: what a program does with a packet, step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def trace(  # noqa: PLR0917 - the options of the command
    program: Annotated[
        Path | None, typer.Argument(help="P4 program, or BMv2 JSON of one; none with --switch.")
    ] = None,
    packet: Annotated[list[str] | None, typer.Option(help="Frame in hex digits.")] = None,
    pcap: Annotated[Path | None, typer.Option(help="Capture file with frames.")] = None,
    port: Annotated[int, typer.Option(help="Port on which they arrive.")] = 1,
    entries: Annotated[
        Path | None,
        typer.Option(help="STF script with table entries; its packets, if no others are given."),
    ] = None,
    switch: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a P4Runtime server: trace a copy of what runs there."),
    ] = None,
    device_id: Annotated[int, typer.Option(help="Device of that server.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per event.")] = False,
    include: Annotated[
        list[Path] | None, typer.Option("-I", help="Folder searched for #include files.")
    ] = None,
    define: Annotated[
        list[str] | None, typer.Option("-D", help="Preprocessor macro, NAME or NAME=VALUE.")
    ] = None,
) -> None:
    """Show the parser's path, each table with key, entry and action, and where a packet ends."""
    from p4native.commands import offline

    if (program is None) == (switch is None):
        offline.fail("give a program, or --switch and none")
    try:
        if switch is not None:
            running = offline.open_copy(switch, device_id, trace=True)
        else:
            assert program is not None
            text = offline.program_json(program, include or (), define or ())
            running = offline.open_program(text, entries, trace=True)
        frames = offline.given_frames(packet or (), pcap, port) or running.frames
        if not frames:
            offline.fail("no frames: give --packet, --pcap or --entries with packets")
        _show(running, frames, as_json)
        running.close()
    except offline.user_errors() as fault:
        offline.fail(str(fault))


def _show(running: object, frames: list[tuple[int, bytes]], as_json: bool) -> None:
    from p4native.commands.offline import Offline
    from p4native.switch.trace import Tracer
    from p4native.switch.trace_text import render

    assert isinstance(running, Offline)
    tracer = Tracer(running.device, running.pipeline)
    for number, (port, frame) in enumerate(frames):
        events = tracer.run(port, frame)
        if as_json:
            for event in events:
                typer.echo(json.dumps({"packet": number, **event.as_dict()}))
            continue
        if number:
            typer.echo()
        for line in render(events):
            typer.echo(line)
