"""`p4native trace`: what a program does with a packet, step by step."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from p4native.commands import options


def trace(  # noqa: PLR0917 - the options of the command
    program: options.ProgramOrSwitch = None,
    packet: options.Packets = None,
    pcap: options.Capture = None,
    port: options.Port = 1,
    entries: options.Entries = None,
    switch: options.Server = None,
    device_id: options.DeviceId = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per event.")] = False,
    include: options.Include = None,
    define: options.Define = None,
) -> None:
    """Show the parser's path, each table with key, entry and action, and where a packet ends."""
    from p4native.commands import offline

    try:
        source = offline.Source(program, entries, switch, device_id, include or (), define or ())
        running = source.open(trace=True)
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
