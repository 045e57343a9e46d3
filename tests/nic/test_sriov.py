"""The fixed-function baseline: what it does, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.l2 import ARP, Dot1Q, Ether

from control.policy import NicProgram
from control.policy.reasons import DropReason, TrafficClass
from control.policy.sriov import compile_sriov, unsupported_sriov

from .conftest import Bench, compile_program, require
from .rig import PF, UPLINK, Rig, mac, state, udp, vf, vm


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return compile_program("sriov_nic", tmp_path_factory.mktemp("p4"))


@pytest.fixture
def rig(request: Any, bench: Bench, card: tuple[Path, Path]) -> Iterator[Rig]:
    require(request.param)
    found = bench.rig(request.param, *card)
    found.compile = compile_sriov
    yield found
    found.client.install(NicProgram(()))


def test_veb_uplink_and_pf(rig: Rig) -> None:
    rig.configure(state())
    rig.passes(vf(0), udp(1, 2), vf(1))
    rig.passes(vf(0), udp(1, 4), UPLINK)
    rig.passes(UPLINK, udp(4, 1), vf(0))
    rig.drops(UPLINK, udp(4, 9), DropReason.UNKNOWN_DESTINATION, UPLINK)
    shout = Ether(src=mac(1), dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.0.1")
    assert rig.ports(vf(0), shout) == [UPLINK, PF, vf(1), vf(2)]
    assert rig.sent(vf(1), TrafficClass.BROADCAST)[0] == 1


def test_spoofchk_and_guest_tags(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1), vm(2, spoofchk=False)]))
    rig.drops(vf(0), udp(2, 1), DropReason.SPOOFED_MAC, vf(0))
    rig.passes(vf(1), udp(9, 1), vf(0))
    tagged = Ether(src=mac(1), dst=mac(2)) / Dot1Q(vlan=3) / udp(1, 2).payload
    rig.drops(vf(0), tagged, DropReason.GUEST_TAG, vf(0))


def test_vlan_in_and_out(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1, vlan=5, qos=2), vm(2)]))
    wire = Ether(src=mac(1), dst=mac(9)) / Dot1Q(vlan=5, prio=2) / udp(1, 9).payload
    assert rig.exchange(vf(0), udp(1, 9)) == [(UPLINK, bytes(wire))]
    back = Ether(src=mac(9), dst=mac(1)) / Dot1Q(vlan=5) / udp(9, 1).payload
    assert rig.exchange(UPLINK, back) == [(vf(0), bytes(udp(9, 1)))]
    rig.drops(UPLINK, udp(9, 1), DropReason.UNKNOWN_DESTINATION, UPLINK)


def test_rate_and_dead_vf(rig: Rig) -> None:
    rig.configure(state(vms=[vm(1, max_tx_rate=0.1), vm(2)]))
    assert 100 < len(rig.exchange(vf(0), *([udp(1, 2, size=1400)] * 400))) < 300
    rig.drops(vf(7), udp(8, 1), DropReason.PORT_DOWN, vf(7))


def test_what_it_cannot_do_is_refused_in_words() -> None:
    groups = [{"name": "web"}]
    desired = state(
        groups=groups,
        vms=[vm(1, groups=["web"])],
        networks=[{"name": "lan", "vni": 5}],
    )
    assert unsupported_sriov(desired) == ["no security groups", "no overlay networks (vni)"]
    with pytest.raises(ValueError, match="no security groups; no overlay"):
        compile_sriov(desired, "nic1")
    assert unsupported_sriov(state()) == []
