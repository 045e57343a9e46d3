"""``python -m bench.p4runtime``: entries per second that a finsy client gets into a switch.

Encoding is the client's own cost and is done before the clock runs; a second figure includes it.
Both switches are separate processes, on the same two tables, in interleaved rounds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import finsy as fy
import grpc
import typer
from finsy.proto import p4r
from google.protobuf import text_format

from p4native.compiler import compile_program

BATCH = 4000
_PROGRAM = Path(__file__).parent / "program.p4"
_START_S = 20.0


def exact_entry(number: int) -> fy.P4TableEntry:
    """The n-th exact five-tuple."""
    return fy.P4TableEntry(
        "exact_table",
        match=fy.Match(
            src=0x0A00_0000 + number, dst=0xC0A8_0000 + number % 65536, protocol=6,
            src_port=number % 60000 + 1, dst_port=443,
        ),
        action=fy.Action("forward", port=number % 8 + 1),
    )  # fmt: skip


def ternary_entry(number: int) -> fy.P4TableEntry:
    """The n-th ternary rule: a /24 to a host, one port."""
    return fy.P4TableEntry(
        "ternary_table",
        match=fy.Match(
            src=f"{(0x0A00_0000 + (number << 8)) & 0xFFFFFF00:#x}/&0xffffff00",
            dst=f"{0xC0A8_0000 + number:#x}/&0xffffffff",
            protocol="6/&0xff",
            dst_port=f"{number % 60000 + 1:#x}/&0xffff",
        ),
        action=fy.Action("forward", port=number % 8 + 1),
        priority=number % 1000 + 1,
    )


TABLES: dict[str, Callable[[int], fy.P4TableEntry]] = {
    "exact": exact_entry,
    "ternary": ternary_entry,
}


@contextmanager
def switch(kind: str) -> Iterator[str]:
    """Start a switch process without a program; yield its address."""
    address = f"127.0.0.1:{_free_port()}"
    command = {
        "native": [sys.executable, "-m", "p4native", "switch"],
        "bmv2": ["simple_switch_grpc"],
    }[kind]
    options = ["--no-p4", "--device-id", "1", "--thrift-port", str(_free_port())]
    process = subprocess.Popen(
        [*command, *options, "--", "--grpc-server-addr", address],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(_START_S)
        yield address
    finally:
        process.terminate()
        process.wait(_START_S)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def measure(address: str, files: tuple[Path, Path], count: int) -> dict[str, float]:
    """Return entries per second by table, pre-encoded and with finsy's encoding."""
    options = fy.SwitchOptions(p4info=files[0], p4blob=files[1], device_id=1)
    rates: dict[str, float] = {}
    async with fy.Switch("bench", address, options) as target:
        for table, entry in TABLES.items():
            start = time.perf_counter()
            updates = [(+entry(n)).encode_update(target.p4info) for n in range(count)]
            encoding = time.perf_counter() - start
            seconds = await _insert(target, updates)
            rates[table] = count / seconds
            rates[f"{table} with encoding"] = count / (seconds + encoding)
    return rates


async def _insert(target: fy.Switch, updates: list[p4r.Update]) -> float:
    start = time.perf_counter()
    for at in range(0, len(updates), BATCH):
        await target.write(updates[at : at + BATCH])
    return time.perf_counter() - start


def run(kinds: list[str], count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median rate by switch and table."""
    result = compile_program(_PROGRAM)
    found: dict[str, dict[str, list[float]]] = {kind: {} for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        info, blob = Path(folder, "bench.p4info.txtpb"), Path(folder, "bench.json")
        info.write_text(text_format.MessageToString(result.p4info))
        blob.write_text(json.dumps(result.json))
        for _ in range(rounds):
            for kind in kinds:
                with switch(kind) as address:
                    rates = asyncio.run(measure(address, (info, blob), count))
                for name, rate in rates.items():
                    found[kind].setdefault(name, []).append(rate)
    return {
        kind: {name: statistics.median(rates) for name, rates in by_name.items()}
        for kind, by_name in found.items()
    }


def main(count: int = 40_000, rounds: int = 3) -> None:
    """Measure the switches that are installed and print entries per second."""
    kinds = ["native"] + (["bmv2"] if shutil.which("simple_switch_grpc") else [])
    rates = run(kinds, count, rounds)
    typer.echo(f"entries/s in batches of {BATCH}, {count} entries, median of {rounds}")
    for name in rates["native"]:
        values = "  ".join(f"{kind} {rates[kind][name]:>9,.0f}" for kind in kinds)
        typer.echo(f"{name:24} {values}")


if __name__ == "__main__":
    typer.run(main)
