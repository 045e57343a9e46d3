"""Tenants in a running lab: overlays, a balancer, stateful groups, a shared address, a move."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from control.connections.service import ConnectionService
from control.operations import Operations
from tests.lab.helpers import lab_options, needs_root, wait_for
from topologies.lab import Lab

pytestmark = [pytest.mark.lab, needs_root]
SERVE = """
import socket, sys
server = socket.create_server(("", 8080))
while True:
    peer, _ = server.accept()
    peer.recv(100)
    peer.sendall(sys.argv[1].encode())
    peer.close()
"""
ASK = """
import socket
for _ in range(20):
    peer = socket.create_connection(("10.0.0.100", 80), 10)
    peer.sendall(b"x")
    print(peer.recv(100).decode())
    peer.close()
"""
TAKE = """
import hashlib, socket
peer, _ = socket.create_server(("", 5001)).accept()
digest = hashlib.sha256()
while data := peer.recv(1 << 16):
    digest.update(data)
print(digest.hexdigest())
"""
GIVE = """
import hashlib, random, socket
data = random.Random(1).randbytes(1 << 24)
with socket.create_connection(("10.0.0.3", 5001), 10) as peer:
    peer.sendall(data)
print(hashlib.sha256(data).hexdigest())
"""
ECHO = """
import socket
peer, _ = socket.create_server(("", 5432)).accept()
while data := peer.recv(100):
    peer.sendall(data)
"""
TALK = """
import socket, sys
peer = socket.create_connection(("10.0.1.2", 5432), 10)
for line in sys.stdin:
    peer.sendall(line.encode())
    print(peer.recv(100).decode(), end="", flush=True)
"""
REFUSED = """
import socket
peer = socket.socket(type=socket.SOCK_DGRAM)
peer.settimeout(10)
peer.connect(("192.168.0.1", 9))
peer.send(b"x")
try:
    peer.recv(1)
except ConnectionRefusedError:
    print("refused")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    options = lab_options(tmp_path_factory.mktemp("tenants"), f"n{os.getpid() % 1000:03d}")
    with Lab("tenants", options) as running:
        yield running


def _service(lab: Lab) -> ConnectionService:
    (found,) = (c for c in lab.controller.fabric.companions if isinstance(c, ConnectionService))
    return found


def test_overlapping_tenants_each_reach_their_own(lab: Lab) -> None:
    assert lab.vm("vm1").pings("10.0.0.3", count=2) == 2
    assert lab.vm("vm5").pings("10.0.0.3", count=2) == 2
    assert lab.vm("vm5").pings("10.0.0.4", count=1, wait=0.3) == 0


def test_tcp_with_its_offloads_crosses_the_overlay_whole(lab: Lab) -> None:
    taker = lab.vm("vm6").popen([sys.executable, "-c", TAKE])
    try:
        wait_for(lambda: ":5001" in lab.vm("vm6").run(["ss", "-ltn"]).stdout)
        features = lab.vm("vm5").run(["ethtool", "-k", "eth0"], check=True).stdout
        state = "on" if lab.target.name == "native" else "off"
        assert f"tcp-segmentation-offload: {state}" in features
        given = lab.vm("vm5").run([sys.executable, "-c", GIVE], check=True, timeout=60).stdout
        taken, _ = taker.communicate(timeout=30)
    finally:
        taker.kill()
        taker.communicate()
    assert taken == given


def test_gateway_and_outside(lab: Lab) -> None:
    assert lab.vm("vm1").pings("10.0.0.254", count=2) == 2
    assert lab.vm("vm1").pings("192.168.0.1", count=2) == 2


def test_a_closed_port_outside_is_told_through_the_shared_address(lab: Lab) -> None:
    done = lab.vm("vm1").run([sys.executable, "-c", REFUSED], check=True, timeout=30)
    assert done.stdout == "refused\n"


def test_balancer_spreads_and_leaves_out_the_sick(lab: Lab) -> None:
    servers = {vm: lab.vm(vm).popen([sys.executable, "-c", SERVE, vm]) for vm in ("vm3", "vm4")}
    try:
        service = _service(lab)
        wait_for(lambda: not service.unhealthy)
        wait_for(lambda: _answers(lab) == {"vm3", "vm4"})
        servers["vm3"].kill()
        wait_for(lambda: service.unhealthy == {"vm3"})
        assert _answers(lab) == {"vm4"}
    finally:
        for server in servers.values():
            server.kill()
            server.communicate()


def _answers(lab: Lab) -> set[str]:
    try:
        return set(lab.vm("vm1").run([sys.executable, "-c", ASK], check=True).stdout.split())
    except Exception:  # noqa: BLE001 - the servers are not up yet
        return set()


def test_established_connection_survives_a_move_and_explain_says_why(lab: Lab) -> None:
    operations = Operations(lab.controller)
    server = lab.vm("vm2").popen([sys.executable, "-c", ECHO])
    talker: Any = None
    try:
        wait_for(lambda: "5432" in lab.vm("vm2").run(["ss", "-ltn"]).stdout)
        talker = lab.vm("vm3").popen([sys.executable, "-c", TALK], stdin=-1, stdout=-1, text=True)
        assert _say(talker, "before") == "before\n"

        async def move() -> None:
            async for _ in lab.controller.migrate("vm2", "server2"):
                pass

        lab.run(move())
        assert _say(talker, "after") == "after\n"
        steps = lab.run(operations.explain("vm1", "tcp 10.0.0.1:999 > 10.0.1.2:5432"))
        assert steps[-1]["does"] == "dropped: denied by the receiving VM's rules"
        assert {step["nic"] for step in steps} == {"nic1", "nic2"}
    finally:
        for process in (talker, server):
            if process is not None:
                process.kill()
                process.communicate()


def _say(talker: Any, word: str) -> str:
    talker.stdin.write(f"{word}\n")
    talker.stdin.flush()
    return str(talker.stdout.readline())
