"""Two uplinks: active-backup and hashing bonds, links that die, and what a failover costs.

``pytest -rP`` prints the measured failovers.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.traffic import guest, guest_service
from topologies.lab import Lab

from .helpers import altered_lab, cut, needs_root, wait_for

pytestmark = [pytest.mark.lab, needs_root]
FLOWS = 48
FAILOVER_MS = 1000  # at the most, on a busy machine; the measured ones are printed
ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7000))
while True:
    server.sendto(*server.recvfrom(100))
"""
ASK = """
import socket, sys
answers = 0
for port in range(int(sys.argv[2])):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flow:
        flow.bind(("", 20000 + port))
        flow.settimeout(1)
        for _ in range(5):
            flow.sendto(b"?", (sys.argv[1], 7000))
            try:
                answers += flow.recv(100) == b"?"
                break
            except TimeoutError:
                pass
print(answers)
"""
BROADCAST = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for number in range(20):
        sender.sendto(number.to_bytes(8, "big") + bytes(8), ("10.0.0.255", 7000))
"""


@pytest.fixture(scope="module", params=["active-backup", "hash"])
def bonded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """Two servers, nic1 with two uplinks; the VMs' network has a router's address."""
    folder = tmp_path_factory.mktemp("bonded")
    uplinks = f"{{name: nic1, id: 1, uplinks: 2, bond: {request.param},"
    with altered_lab(folder, "bonded", "{name: nic1, id: 1,", uplinks) as lab:
        yield lab


def test_the_other_uplink_takes_over_and_back(bonded: Lab) -> None:
    one, three = bonded.vm("vm1"), bonded.vm("vm3")
    uplinks = bonded.controller.fabric.uplinks
    assert one.pings(three.ip, count=3) == 3
    for cable, left in (("nic1", {2}), ("nic1-2", {1})):
        cut(bonded, cable, "down")
        wait_for(lambda left=left: uplinks("nic1") == left)
        wait_for(lambda: one.pings(three.ip) == 1)
        assert one.pings(three.ip, count=3) == 3
        cut(bonded, cable, "up")
        wait_for(lambda: uplinks("nic1") == {1, 2})
        wait_for(lambda: one.pings(three.ip) == 1)


def test_without_any_uplink_local_traffic_follows_the_link_state(bonded: Lab) -> None:
    uplinks = bonded.controller.fabric.uplinks
    one, two = bonded.vm("vm1"), bonded.vm("vm2")
    for cable in ("nic1", "nic1-2"):
        cut(bonded, cable, "down")
    wait_for(lambda: uplinks("nic1") == set())
    wait_for(lambda: one.pings(two.ip, wait=0.3) == 0)  # state auto: the VF follows the uplink
    for cable in ("nic1", "nic1-2"):
        cut(bonded, cable, "up")
    wait_for(lambda: one.pings(two.ip, wait=0.3) == 1)


def frames(lab: Lab) -> dict[str, tuple[int, ...]]:
    """Frames that the NIC has sent and received by each uplink."""
    found = {}
    for direction in ("tx", "rx"):
        counters = (
            Path(
                "/sys/class/net",
                lab.network.uplink("nic1", port),
                "statistics",
                f"{direction}_packets",
            )
            for port in (1, 2)
        )
        found[direction] = tuple(int(counter.read_text(encoding="ascii")) for counter in counters)
    return found


def test_flows_use_the_links_that_the_bond_allows(bonded: Lab) -> None:
    one, three = bonded.vm("vm1"), bonded.vm("vm3")
    uplinks = bonded.controller.fabric.uplinks
    hashes = bonded.topology.nic("nic1").bond == "hash"
    server = three.popen([sys.executable, "-c", ECHO])
    try:
        wait_for(lambda: ":7000" in three.run(["ss", "-lun"]).stdout)
        for state, up in (("up", {1, 2}), ("down", {1})):
            cut(bonded, "nic1-2", state)
            wait_for(lambda up=up: uplinks("nic1") == up)
            wait_for(lambda: one.pings(three.ip) == 1)
            before = frames(bonded)
            answers = one.run([sys.executable, "-c", ASK, three.ip, str(FLOWS)], check=True).stdout
            assert int(answers) == FLOWS
            after = frames(bonded)
            for direction, counts in after.items():
                first, second = (n - b for n, b in zip(counts, before[direction], strict=True))
                if hashes and 2 in up:
                    assert first > FLOWS // 5 and second > FLOWS // 5, (direction, first, second)
                else:
                    assert first >= FLOWS, direction
                    assert direction == "rx" or second == 0
    finally:
        server.kill()
        server.communicate()
        cut(bonded, "nic1-2", "up")
        wait_for(lambda: uplinks("nic1") == {1, 2})


def test_a_broadcast_comes_once(bonded: Lab) -> None:
    one, two, three = (bonded.vm(name) for name in ("vm1", "vm2", "vm3"))
    wait_for(lambda: one.pings(three.ip) == 1)
    for sender, others in ((one, (two, three)), (three, (one, two))):
        for other in others:
            with guest_service(other, "probe-receive", 7000) as probes:
                sender.run([sys.executable, "-c", BROADCAST], check=True)
                assert one.pings(three.ip, count=3) == 3
                seen = probes.result()
            assert (seen["received"], seen["duplicated"]) == (20, 0), (sender.name, other.name)


def test_what_a_failover_costs(bonded: Lab) -> None:
    one, three = bonded.vm("vm1"), bonded.vm("vm3")
    uplinks = bonded.controller.fabric.uplinks
    rate = 500
    ways = ((one, three), (three, one))
    wait_for(lambda: one.pings(three.ip) == 1)
    with contextlib.ExitStack() as stack:
        probes = [
            stack.enter_context(guest_service(vm, "probe-receive", 7001)) for vm in (three, one)
        ]
        streams = [guest(a, "probe-send", b.ip, 7001, rate, 0) for a, b in ways]
        for cable, left in (("nic1", {2}), ("nic1-2", {1})):
            cut(bonded, cable, "down")
            wait_for(lambda left=left: uplinks("nic1") == left)
            cut(bonded, cable, "up")
            wait_for(lambda: uplinks("nic1") == {1, 2})
        sent = [stream.result()["sent"] for stream in streams]
        seen = [probe.result() for probe in probes]
    bond = bonded.topology.nic("nic1").bond
    for (a, b), count, result in zip(ways, sent, seen, strict=True):
        lost = count - result["received"]
        print(
            f"{bond}, {a.name} to {b.name}: two failovers lost {lost} of {count} probes "
            f"at {rate}/s, longest gap {result['longest_gap_ms']:.0f} ms"
        )
        assert result["duplicated"] == 0
        assert result["longest_gap_ms"] < FAILOVER_MS
        assert lost < 2 * FAILOVER_MS / 1000 * rate
