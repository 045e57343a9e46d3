"""`p4native bench`: what a pipeline costs per packet, in memory."""

from __future__ import annotations

import json
import random
import struct
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from p4native.commands import options

if TYPE_CHECKING:
    from p4native.switch.bench import Result

_FLOWS = 1024
_FRAME_BYTES = 64


def bench(  # noqa: PLR0917 - the options of the command
    program: options.ProgramOrSwitch = None,
    entries: options.Entries = None,
    switch: options.Server = None,
    device_id: options.DeviceId = None,
    packet: options.Packets = None,
    pcap: options.Capture = None,
    port: options.Port = 1,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as a JSON object.")] = False,
    include: options.Include = None,
    define: options.Define = None,
) -> None:
    """Measure nanoseconds, cycles and misses per packet without any interface.

    Without packets of yours: UDP frames of 64 bytes in 1,024 random flows. Frames that the program
    sends are freed at once.
    """
    from p4native.commands import offline
    from p4native.switch.bench import Bench

    try:
        source = offline.Source(program, entries, switch, device_id, include or (), define or ())
        running = source.open(trace=False)
        frames = offline.given_frames(packet or (), pcap, port) or running.frames
        frames = frames or random_frames(port)
        for number in running.device.ports():
            running.device.remove_port(number)
        result = Bench(running.device, frames).run(seconds)
        running.close()
    except offline.user_errors() as fault:
        offline.fail(str(fault))
    _show(result, as_json)


def _show(result: Result, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(result) | {"packets_per_second": result.packets_per_second}))
        return
    typer.echo(f"{result.ns:.1f} ns per packet, {result.packets_per_second:,.0f} packets/s")
    typer.echo(f"(plus {result.overhead_ns:.1f} ns for allocating and copying each frame)")
    for name in ("cycles", "instructions", "cache_misses", "branch_misses"):
        value = getattr(result, name)
        shown = "not counted on this machine" if value is None else f"{value:.2f} per packet"
        typer.echo(f"{name.replace('_', ' ')}: {shown}")


def random_frames(port: int) -> list[tuple[int, bytes]]:
    """UDP frames of 64 bytes in random flows; the same ones at every call."""
    rng = random.Random(1)
    payload = bytes(_FRAME_BYTES - 42)
    udp_bytes = 8 + len(payload)
    frames = []
    for _ in range(_FLOWS):
        addresses = struct.pack("!II", 0x0A000000 | rng.getrandbits(24), rng.getrandbits(32))
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + udp_bytes, 0, 0, 64, 17, 0) + addresses
        total = sum(struct.unpack("!10H", ip))
        total = (total & 0xFFFF) + (total >> 16)
        ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + ip[12:]
        udp = struct.pack("!HHHH", rng.getrandbits(16), rng.getrandbits(16), udp_bytes, 0)
        macs = bytes.fromhex("020000000002020000000001")
        frames.append((port, macs + b"\x08\x00" + ip + udp + payload))
    return frames
