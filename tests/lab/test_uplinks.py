"""Two uplinks: one carries the traffic, the other takes over; and default routes of guests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from topologies.lab import Lab, Options
from topologies.loader import HERE
from topologies.network import Ports

from .helpers import free_ports, leftovers, needs_root, new_run_dir, wait_for

pytestmark = [pytest.mark.lab, needs_root]
PREFIX = f"b{os.getpid() % 1000:03d}"


@pytest.fixture(scope="module")
def bonded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two servers, nic1 with two uplinks; the VMs' network has a router's address."""
    folder = tmp_path_factory.mktemp("bonded")
    path = folder / "bonded.yaml"
    text = (HERE / "two_servers.yaml").read_text(encoding="utf-8")
    text = text.replace("{name: nic1, id: 1,", "{name: nic1, id: 1, uplinks: 2,")
    path.write_text(text, encoding="utf-8")
    base = free_ports(4)
    options = Options(
        target=os.environ.get("TARGET", "auto"),
        compiler=os.environ.get("P4C", "auto"),
        run_dir=new_run_dir("bonded"),
        ports=Ports(prefix=PREFIX, p4runtime=base, thrift=base + 2),
    )
    with Lab(str(path), options) as lab:
        yield lab
    assert leftovers(options.run_dir, PREFIX) == []


def cut(lab: Lab, cable: str, state: str) -> None:
    """Set the ToR's end of a cable down or up."""
    assert lab.network.node("tor").cmd(f"ip link set dev {cable} {state}").strip() == ""


def test_the_other_uplink_takes_over_and_back(bonded: Lab) -> None:
    one, three = bonded.vm("vm1"), bonded.vm("vm3")
    uplinks = bonded.controller.fabric.uplinks  # type: ignore[attr-defined]
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
    uplinks = bonded.controller.fabric.uplinks  # type: ignore[attr-defined]
    one, two = bonded.vm("vm1"), bonded.vm("vm2")
    for cable in ("nic1", "nic1-2"):
        cut(bonded, cable, "down")
    wait_for(lambda: uplinks("nic1") == set())
    wait_for(lambda: one.pings(two.ip, wait=0.3) == 0)  # state auto: the VF follows the uplink
    for cable in ("nic1", "nic1-2"):
        cut(bonded, cable, "up")
    wait_for(lambda: one.pings(two.ip) == 1)
