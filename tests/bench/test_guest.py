"""The bench's own programs: round trips, answered and not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import bench.guest as guest


def run(*words: str) -> dict[str, list[float]]:
    """One word of the guest program, run to its end."""
    command = [sys.executable, str(Path(guest.__file__)), *words]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    told: dict[str, list[float]] = json.loads(result.stdout)
    return told


WAYS = [("ping-pong",), ("round-trips", "50")]


@pytest.mark.parametrize("way", WAYS)
def test_answered_requests_have_their_time(way: tuple[str, ...], free_udp_port: int):
    command = [sys.executable, str(Path(guest.__file__)), "echo", str(free_udp_port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        told = run(way[0], "127.0.0.1", str(free_udp_port), *way[1:], "0.3")
        answered = json.loads(server.communicate()[0])["answered"]
    assert told["unanswered_us"] == []
    assert 10 <= len(told["rtt_us"]) == answered
    assert all(0 < value < 1e6 for value in told["rtt_us"])


@pytest.mark.parametrize("way", WAYS)
def test_unanswered_requests_count_as_long_as_they_waited(way: tuple[str, ...]):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = str(silent.getsockname()[1])
        told = run(way[0], "127.0.0.1", port, *way[1:], "0.3")
    assert told["rtt_us"] == []
    assert len(told["unanswered_us"]) > 1
    assert min(told["unanswered_us"]) >= guest._PATIENCE_S * 1e6


@pytest.fixture
def free_udp_port() -> int:
    """A UDP port that nobody had a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
