"""Mirrors of VMs, whole and cut."""

from __future__ import annotations

from scapy.layers.l2 import Ether

from .rig import PF, UPLINK, Rig, mac, state, udp, vf, vm


def test_what_a_vm_sends_and_gets_is_copied(rig: Rig) -> None:
    mirror = {"name": "tap", "id": 9, "vm": "vm1", "to_vm": "vm3"}
    rig.configure(state(mirrors=[mirror]))
    sent, got = bytes(udp(1, 2)), bytes(udp(4, 1))
    assert rig.exchange(vf(0), sent) == [(vf(1), sent), (vf(2), sent)]
    assert rig.exchange(UPLINK, got) == [(vf(0), got), (vf(2), got)]
    assert rig.exchange(vf(1), bytes(udp(2, 4))) == [(UPLINK, bytes(udp(2, 4)))]


def test_one_direction_to_the_pf_cut(rig: Rig) -> None:
    mirror = {"name": "tap", "id": 9, "vm": "vm1", "direction": "in", "to_port": "pf",
              "bytes": 100}  # fmt: skip
    rig.configure(state(mirrors=[mirror]))
    got = bytes(udp(2, 1, size=500))
    assert rig.exchange(vf(1), got) == [(PF, got[:100]), (vf(0), got)]
    rig.passes(vf(0), udp(1, 2, size=500), vf(1))


def test_copies_of_broadcasts(rig: Rig) -> None:
    mirror = {"name": "tap", "id": 9, "vm": "vm1", "direction": "in", "to_port": "pf"}
    rig.configure(state(mirrors=[mirror], vms=[vm(1), vm(2)]))
    shout = bytes(Ether(src=mac(2), dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / bytes(50))
    assert rig.ports(vf(1), shout) == [UPLINK, PF, PF, vf(0)]
