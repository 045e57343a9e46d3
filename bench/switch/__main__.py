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

from bench.switch.planes import BMV2, PLANES, Host, PlaneError, available, command
from bench.switch.program import Control
from bench.traffic import TrafficError, background, rtt_us, tcp_gbps

RULES = 10_000
INSERTS = 100_000
Figures = dict[str, float]
_SINK_PORT = 2000
# A port that nobody reads: its buffer fills, and nobody is told that packets are lost.
_SINK = (
    "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
    f"s.bind(('', {_SINK_PORT})); time.sleep(600)"
)
_MARKS = ("<!-- measured by make bench-switch -->\n", "<!-- end -->\n")


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
        else f"ipv4(ttl=64, sa={a.ip}, da={b.ip}), udp(sp=1000, dp={_SINK_PORT})"
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
    with plane(name) as (a, b, control):
        figures["tcp_gbps"] = tcp_gbps(a, b, seconds)
        with background(b, [sys.executable, "-c", _SINK], _SINK_PORT, udp=True):
            figures["pps"] = packets_per_second(a, b, seconds, random_flows=False)
        times = sorted(rtt_us(a, b, seconds))
        figures["rtt_p50_us"] = statistics.median(times)
        figures["rtt_p99_us"] = times[len(times) * 99 // 100]
    if control is None:
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


def _verdict(ratio: float, least: float) -> str:
    return "met" if ratio >= least else "**missed**"


def goals(results: dict[str, Figures]) -> str:
    """Which goals are met, one per line."""
    native, lines = results.get("native", {}), []
    for title, key, other, least in GOALS:
        if key not in native or key not in results.get(other, {}):
            continue
        ratio = native[key] / results[other][key]
        ratio = 1 / ratio if key == "rtt_p50_us" else ratio
        lines.append(f"* {title}: {ratio:.2f}, {_verdict(ratio, least)}")
    if "tcp_gbps" in native and "wire" in results:
        ratio = native["tcp_gbps"] / results["wire"]["tcp_gbps"]
        lines.append(f"* TCP: native / a wire that only copies: {ratio:.2f}")
    if "flows_pps" in native:
        ratio = native["flows_10k_pps"] / native["flows_pps"]
        lines.append(
            f"* 10,000 rules / none, random flows ≥ 0.8: {ratio:.2f}, {_verdict(ratio, 0.8)}"
        )
    return "\n".join(lines)


def median(rounds: list[Figures]) -> Figures:
    """The median of every figure over several rounds."""
    return {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}


def machine() -> str:
    """What was measured on: processors, kernel, and the versions of what was measured."""
    cores = os.cpu_count()
    model = next(
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    compiler = command("cc", "--version").splitlines()[0]
    versions = f"Linux {os.uname().release}, {compiler}"
    if "bmv2" in available():
        versions += f", BMv2 {command(BMV2, '--version').split()[0]}"
    return f"{cores} x {model}, {versions}"


def write_section(path: Path, text: str) -> None:
    """Replace what stands between the marks of a Markdown page."""
    page = path.read_text()
    start, end = (page.find(mark) for mark in _MARKS)
    if start < 0 or end < start:
        raise PlaneError(f"{path}: there are no lines {_MARKS[0].strip()} and {_MARKS[1].strip()}")
    path.write_text(page[: start + len(_MARKS[0])] + text + page[end:])


def main() -> int:
    """Measure and print; the exit code is 1 when a plane could not be set up."""
    parser = argparse.ArgumentParser(prog="bench.switch", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="per measurement")
    parser.add_argument("--rounds", type=int, default=1, help="the median of so many is shown")
    parser.add_argument("--planes", default=",".join(available()), help="comma-separated")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--page", type=Path, help="put the tables into this Markdown page")
    options = parser.parse_args()
    # Whoever stops the bench leaves no namespaces behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    names = options.planes.split(",")
    rounds: dict[str, list[Figures]] = {name: [] for name in names}
    try:
        for number in range(options.rounds):
            for name in names:
                sys.stderr.write(f"round {number + 1}: {name}\n")
                rounds[name].append(measure(name, options.seconds))
        results = {name: median(figures) for name, figures in rounds.items()}
        text = f"{machine()}\n\n{table(results)}\n\n{goals(results)}\n"
        sys.stdout.write(text)
        if options.page:
            write_section(options.page, text)
    except (PlaneError, TrafficError) as fault:
        sys.stderr.write(f"bench.switch: {fault}\n")
        return 1
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
