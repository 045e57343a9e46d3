"""Compares the packets that came out of each port with a script's expectations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from p4native.stf.script import Expect


@dataclass(frozen=True, slots=True)
class Comparison:
    """Faults make a test fail; notes tell of packets that the script says nothing about."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]


def mismatch(pattern: str | None, data: bytes) -> str | None:
    """Why ``data`` does not match the pattern (hex, ``*``, final ``$``); None if it does."""
    if pattern is None:
        return None
    exact = pattern.endswith("$")
    wanted = pattern.removesuffix("$")
    got = data.hex().upper()
    if len(got) < len(wanted):
        return f"too short: {len(data)} bytes, the pattern has {len(wanted) / 2:g}"
    if exact and len(got) > len(wanted):
        return f"too long: {len(data)} bytes, the pattern ends at {len(wanted) / 2:g}"
    for digit, (want, have) in enumerate(zip(wanted, got, strict=False)):
        if want not in ("*", have):
            return f"byte {digit // 2} differs"
    return None


def compare(
    expects: Sequence[Expect],
    outputs: Iterable[tuple[int, bytes]],
    watched: Set[int],
    *,
    all_ports: bool,
) -> Comparison:
    """Per port, packets in order against expectations in order.

    ``watched`` are ports the script names: nothing else may come out of them. Packets
    from other ports are noted, or faults when ``all_ports`` (a ``no_packet`` line) is set.
    """
    got: dict[int, list[bytes]] = {}
    for port, data in outputs:
        got.setdefault(port, []).append(data)
    wanted: dict[int, list[Expect]] = {}
    for expect in expects:
        wanted.setdefault(expect.port, []).append(expect)
    faults: list[str] = []
    notes: list[str] = []
    for port in sorted(got.keys() | wanted.keys()):
        packets, patterns = got.get(port, []), wanted.get(port, [])
        if port in watched or patterns or all_ports:
            faults += _compare_port(port, patterns, packets)
        else:
            notes.append(f"{len(packets)} packets out of port {port}, which the script ignores")
    return Comparison(tuple(faults), tuple(notes))


def _compare_port(port: int, patterns: list[Expect], packets: list[bytes]) -> list[str]:
    faults = []
    for expect, data in zip(patterns, packets, strict=False):
        why = mismatch(expect.pattern, data)
        if why is not None:
            faults.append(
                f"line {expect.line}: port {port}: {why}\n"
                f"  expected {expect.pattern}\n  received {data.hex().upper()}"
            )
    for expect in patterns[len(packets) :]:
        what = expect.pattern or "any packet"
        faults.append(f"line {expect.line}: port {port}: no packet came, expected {what}")
    for data in packets[len(patterns) :]:
        faults.append(f"port {port}: unexpected packet {data.hex().upper()}")
    return faults
