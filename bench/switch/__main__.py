"""`python -m bench.switch`: the switches side by side, as a table of figures and ratios."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.switch.planes import PLANES, Host, PlaneError, available, command
from bench.switch.program import Control
from bench.traffic import rtt_us, tcp_gbps

RULES = 10_000
INSERTS = 100_000
Figures = dict[str, float]


@contextmanager
def plane(name: str) -> Iterator[tuple[Host, Host, Control | None]]:
    """A plane that forwards between its two hosts."""
    with PLANES[name]() as (a, b, port):
        control = Control(port) if port else None
        try:
            if control:
                control.forward(a, b)
            if a.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", b.ip]).returncode:
                raise PlaneError(f"{name}: the hosts do not reach each other")
            yield a, b, control
        finally:
            if control:
                control.close()


def packets_per_second(a: Host, b: Host, seconds: float, *, random_flows: bool) -> float:
    """Smallest UDP frames that arrive while one sender sends as many as it can."""
    flow = (
        "ipv4(ttl=64, sa=drnd(), da=drnd()), udp(sp=drnd(), dp=drnd())"
        if random_flows
        else f"ipv4(ttl=64, sa={a.ip}, da={b.ip}), udp(sp=1000, dp=2000)"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write(f"{{ eth(sa={a.mac}, da={b.mac}), {flow}, fill(0, 18) }}\n")
        config.flush()
        sender = a.popen(
            ["trafgen", "--dev", "eth0", "--conf", config.name, "--cpus", "1", "--no-sock-mem"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            time.sleep(1.0)  # the sender compiles its packets and starts
            before, start = b.received(), time.monotonic()
            time.sleep(seconds)
            return (b.received() - before) / (time.monotonic() - start)
        finally:
            # It forks a child per CPU, and the parent waits for that whatever it is told.
            os.killpg(sender.pid, signal.SIGKILL)
            sender.wait()


def measure(name: str, seconds: float) -> Figures:
    """All figures of one plane."""
    figures: Figures = {}
    with plane(name) as (a, b, _):
        figures["tcp_gbps"] = tcp_gbps(a, b, seconds)
        figures["pps"] = packets_per_second(a, b, seconds, random_flows=False)
        times = sorted(rtt_us(a, b, seconds))
        figures["rtt_p50_us"] = statistics.median(times)
        figures["rtt_p99_us"] = times[len(times) * 99 // 100]
    if name == "bridge":
        return figures
    with plane(name) as (a, b, control):
        assert control is not None
        figures["flows_pps"] = packets_per_second(a, b, seconds, random_flows=True)
        rng = random.Random(1)
        rules = [control.rule(rng, rng.randint(1, 1 << 20)) for _ in range(RULES)]
        figures["ternary_per_s"] = RULES / control.insert(rules)
        figures["flows_10k_pps"] = packets_per_second(a, b, seconds, random_flows=True)
    with plane(name) as (_, _, control):
        assert control is not None
        stations = [control.station(0x040000000000 + i, 1) for i in range(INSERTS)]
        figures["exact_per_s"] = INSERTS / control.insert(stations)
    return figures


ROWS: tuple[tuple[str, str, Callable[[Figures], float]], ...] = (
    ("TCP, 1 flow (Gb/s)", ".2f", lambda f: f["tcp_gbps"]),
    ("small UDP (1,000 packets/s)", ".0f", lambda f: f["pps"] / 1e3),
    ("round trip p50 (µs)", ".0f", lambda f: f["rtt_p50_us"]),
    ("round trip p99 (µs)", ".0f", lambda f: f["rtt_p99_us"]),
    ("random flows, no rule (1,000 packets/s)", ".0f", lambda f: f["flows_pps"] / 1e3),
    ("random flows, 10,000 rules (1,000 packets/s)", ".0f", lambda f: f["flows_10k_pps"] / 1e3),
    ("exact inserts over P4Runtime (1,000/s)", ".0f", lambda f: f["exact_per_s"] / 1e3),
    ("ternary inserts over P4Runtime (1,000/s)", ".0f", lambda f: f["ternary_per_s"] / 1e3),
)

GOALS: tuple[tuple[str, str, str, float], ...] = (
    ("TCP: native / bridge ≥ 0.6", "tcp_gbps", "bridge", 0.6),
    ("TCP: native / BMv2 ≥ 10", "tcp_gbps", "bmv2", 10),
    ("small packets: native / BMv2 ≥ 5", "pps", "bmv2", 5),
    ("round trip p50: BMv2 / native ≥ 2.5", "rtt_p50_us", "bmv2", 2.5),
)


def table(results: dict[str, Figures]) -> str:
    """The figures as a Markdown table."""
    names = list(results)
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for title, form, value in ROWS:
        cells = []
        for figures in results.values():
            try:
                cells.append(format(value(figures), form))
            except KeyError:
                cells.append("-")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def goals(results: dict[str, Figures]) -> str:
    """Which goals are met, one per line."""
    native, lines = results.get("native", {}), []
    for title, key, other, least in GOALS:
        if key not in native or key not in results.get(other, {}):
            continue
        ratio = native[key] / results[other][key]
        ratio = 1 / ratio if key == "rtt_p50_us" else ratio
        lines.append(f"{'met ' if ratio >= least else 'MISS'} {title}: {ratio:.2f}")
    if "flows_pps" in native:
        ratio = native["flows_10k_pps"] / native["flows_pps"]
        lines.append(f"{'met ' if ratio >= 0.8 else 'MISS'} 10,000 rules ≥ 0.8: {ratio:.2f}")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; the exit code is 1 when a plane could not be set up."""
    parser = argparse.ArgumentParser(prog="bench.switch", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="per measurement")
    parser.add_argument("--planes", default=",".join(available()), help="comma-separated")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    # Whoever stops the bench leaves no namespaces behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results: dict[str, Figures] = {}
    for name in options.planes.split(","):
        sys.stderr.write(f"measuring {name}\n")
        try:
            results[name] = measure(name, options.seconds)
        except PlaneError as fault:
            sys.stderr.write(f"{name}: {fault}\n")
            return 1
    machine = command("uname", "-r").strip()
    sys.stdout.write(f"kernel {machine}\n\n{table(results)}\n\n{goals(results)}\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
