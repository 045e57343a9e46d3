"""Throughput, latency and cost of plain forwarding."""

from __future__ import annotations

from bench.cpu import CpuMeter
from bench.measure import Bench, Effort, Figure, Round, fixed
from bench.stats import percentile
from bench.traffic import background, round_trips, tcp_gbps, udp_pps
from topologies.lab import Lab
from topologies.machine import Machine

_LOAD_PORT = 5202
_SMALL = 18  # payload bytes of the smallest Ethernet frame with UDP over IPv4


def pair(lab: Lab, where: str) -> tuple[Machine, Machine]:
    """Two VMs: ``one server`` or ``across``."""
    return lab.vm("vm1"), lab.vm("vm2" if where == "one server" else "vm3")


def _throughput(lab: Lab, condition: str, effort: Effort) -> Round:
    kind, where = condition.split(", ")
    client, server = pair(lab, where)
    if kind == "small UDP":
        return Round({"kpps": udp_pps(client, server, effort.seconds, _SMALL) / 1e3})
    flows = int(kind.split()[1])
    return Round({"gbps": tcp_gbps(client, server, effort.seconds, flows)})


THROUGHPUT = Bench(
    "throughput",
    "Throughput between two VMs",
    (
        Figure("gbps", "TCP throughput", "Gb/s"),
        Figure("kpps", "small UDP packets", "1,000 packets/s"),
    ),
    fixed(
        "TCP 1, one server",
        "TCP 8, one server",
        "TCP 1, across",
        "TCP 8, across",
        "small UDP, one server",
        "small UDP, across",
        quick=(
            "TCP 1, one server",
            "TCP 1, across",
            "small UDP, one server",
            "small UDP, across",
        ),
    ),
    _throughput,
)


def percentiles(samples: list[float]) -> dict[str, float]:
    """The three percentiles that the latency figures name."""
    return {
        "p50": percentile(samples, 50),
        "p99": percentile(samples, 99),
        "p99.9": percentile(samples, 99.9),
    }


def _latency(lab: Lab, condition: str, effort: Effort) -> Round:
    load, where = condition.split(", ")
    client, server = pair(lab, where)
    if load == "idle":
        samples, _ = round_trips(client, server, effort.rtt_seconds)
    else:
        bulk_client, bulk_server = lab.vm("vm2" if where == "across" else "vm3"), lab.vm("vm4")
        sink = ["iperf3", "-s", "-p", str(_LOAD_PORT)]
        source = ["iperf3", "-c", bulk_server.ip, "-p", str(_LOAD_PORT), "-t", "60"]
        with background(bulk_server, sink, _LOAD_PORT), background(bulk_client, source):
            samples, _ = round_trips(client, server, effort.rtt_seconds)
    step = max(1, len(samples) // 2000)
    return Round(percentiles(samples), {"rtt_us": sorted(samples)[::step]})


LATENCY = Bench(
    "latency",
    "Round-trip time of one request after another",
    tuple(
        Figure(name, f"round-trip time, {name}", "µs", "lower") for name in ("p50", "p99", "p99.9")
    ),
    fixed("idle, one server", "idle, across", "bulk TCP beside, across"),
    _latency,
    spare=("idle, one server",),
)


def _cost(lab: Lab, condition: str, effort: Effort) -> Round:
    client, server = pair(lab, "one server")
    meter = CpuMeter()
    if condition == "bulk TCP":
        gigabytes = tcp_gbps(client, server, effort.seconds) * effort.seconds / 8
        return Round({"cpu_s_per_gb": meter.seconds() / gigabytes})
    packets = udp_pps(client, server, effort.seconds, _SMALL) * effort.seconds
    return Round({"cpu_s_per_mpkt": meter.seconds() / (packets / 1e6)})


COST = Bench(
    "cost",
    "CPU time of the whole machine, traffic tools included",
    (
        Figure("cpu_s_per_gb", "CPU time of bulk TCP", "CPU s per GB", "lower"),
        Figure("cpu_s_per_mpkt", "CPU time of small packets", "CPU s per 1 M packets", "lower"),
    ),
    fixed("bulk TCP", "small UDP"),
    _cost,
)
