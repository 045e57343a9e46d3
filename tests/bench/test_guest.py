"""The bench's own programs: round trips, answered and not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
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


def test_what_runs_until_it_is_told_to_end_says_that_it_has_begun(free_udp_port: int):
    """A migration that is over before the first probe is sent would tell nothing."""
    words = ("probe-send", "127.0.0.1", str(free_udp_port), "1000", "0")
    command = [sys.executable, str(Path(guest.__file__)), *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sender:
        assert sender.stdout is not None
        assert sender.stdout.readline() == "ready\n"
        assert json.loads(sender.communicate()[0])["sent"] >= 1


@pytest.mark.parametrize("sent", [3, 2])
def test_flows_under_way_are_waited_for_until_all_came(sent: int, free_udp_port: int):
    command = [sys.executable, str(Path(guest.__file__)), "flows-receive", str(free_udp_port), "1"]
    with (
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stdout.readline() == "ready\n"
        client.connect(("127.0.0.1", free_udp_port))
        client.send(guest._PROBE.pack(0, time.monotonic()))
        server.stdin.write("3\n")
        server.stdin.flush()
        began = time.monotonic()
        for number in range(1, sent):
            client.send(guest._PROBE.pack(number, time.monotonic()))
        told = json.loads(server.communicate()[0])
    waited = time.monotonic() - began
    assert told["received"] == sent
    assert (waited < guest._GRACE_S) == (sent == 3)


@pytest.fixture
def free_udp_port() -> int:
    """A UDP port that nobody had a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
