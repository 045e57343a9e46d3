"""One NIC on a test bench: desired state in, scapy packets in and out, packet-ins, counters."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from control.model import DesiredState, Placement
from control.policy import NicProgram, compile_nic
from control.policy.reasons import DropReason, drop_index, traffic_index

from .client import DEADLINE_S, Client, PacketIn
from .switches import Switch

UPLINK, UPLINK2, PF = 1, 2, 8
PROBE = bytes(12) + b"\x88\xb5" + b"probe of the test bench".ljust(46)


def vf(number: int) -> int:
    """Port of a VF."""
    return 16 + number


def mac(number: int) -> str:
    """MAC address of test VM ``number``."""
    return f"02:00:00:00:00:{number:02x}"


def state(**changes: Any) -> DesiredState:
    """Two servers; VMs 1, 2 and 3 on nic1 (VFs 0 to 2), VM 4 on nic2, one untagged network."""
    document: dict[str, Any] = {
        "servers": [
            {"name": "server1", "nic": "nic1", "mac": "02:00:00:00:01:00"},
            {"name": "server2", "nic": "nic2", "mac": "02:00:00:00:02:00"},
        ],
        "nics": [{"name": "nic1", "id": 1}, {"name": "nic2", "id": 2}],
        "networks": [{"name": "lan"}],
        "vms": [vm(1), vm(2), vm(3), vm(4, server="server2", vf=0)],
    }
    return DesiredState.model_validate(document | changes)


def vm(number: int, **changes: Any) -> dict[str, Any]:
    """VM ``number``: VF number-1 of server1, 10.0.0.number, network lan."""
    base = {
        "name": f"vm{number}",
        "server": "server1",
        "vf": number - 1,
        "mac": mac(number),
        "ips": [f"10.0.0.{number}/24", f"fd00::{number}/64"],
        "network": "lan",
    }
    return base | changes


def nic(name: str = "nic1", number: int = 1, **changes: Any) -> dict[str, Any]:
    """A NIC of the document."""
    return {"name": name, "id": number, **changes}


def udp(src: int, dst: int, *, sport: int = 4000, dport: int = 5000, size: int = 20) -> Packet:
    """A UDP packet between two test VMs."""
    return (
        Ether(src=mac(src), dst=mac(dst))
        / IP(src=f"10.0.0.{src}", dst=f"10.0.0.{dst}")
        / UDP(sport=sport, dport=dport)
        / bytes(i % 256 for i in range(size))
    )


def tcp(src: int, dst: int, flags: str = "S", *, sport: int = 4000, dport: int = 80) -> Packet:
    """A TCP packet between two test VMs."""
    return (
        Ether(src=mac(src), dst=mac(dst))
        / IP(src=f"10.0.0.{src}", dst=f"10.0.0.{dst}")
        / TCP(sport=sport, dport=dport, flags=flags)
    )


class Rig:
    """nic1 of a desired state, on one target."""

    def __init__(self, switch: Switch, client: Client) -> None:
        self.switch = switch
        self.client = client
        self.tags: Mapping[str, int] = {}
        self.compile = compile_nic

    def configure(
        self,
        desired: DesiredState,
        placements: Iterable[Placement] | None = None,
        uplinks_up: frozenset[int] = frozenset({1}),
    ) -> NicProgram:
        """Install the program of nic1."""
        program = self.compile(desired, "nic1", placements, uplinks_up=uplinks_up, tags=self.tags)
        self.tags = program.tags
        self.client.install(program)
        return program

    def exchange(self, port: int, *packets: Packet | bytes) -> list[tuple[int, bytes]]:
        """Send packets into a port; everything that leaves, by port, in order of ports."""
        self.switch.settle()
        for packet in packets:
            self.switch.send(port, bytes(packet))
        frames = [frame for frame in self.switch.settle() if frame != (PF, PROBE)]
        return sorted(frames, key=lambda frame: frame[0])

    def ports(self, port: int, *packets: Packet | bytes) -> list[int]:
        """The ports by which what is sent leaves."""
        return [number for number, _ in self.exchange(port, *packets)]

    def listen(self) -> None:
        """Make sure that what the host sends out is seen: a probe comes through first."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self.client.packet_out(PROBE, mode=0, port=PF, network=0)
            patience = time.monotonic() + 0.5
            while time.monotonic() < patience:
                if (PF, PROBE) in self.switch.poll():
                    return
        raise TimeoutError("no probe of the host's left the NIC")

    def next_frame(self) -> tuple[int, bytes]:
        """The next frame that leaves, after something the host sent; TimeoutError if none does."""
        (frame,) = self.next_frames(1)
        return frame

    def next_frames(self, count: int) -> list[tuple[int, bytes]]:
        """The next frames that leave, by port, after something the host sent."""
        deadline = time.monotonic() + DEADLINE_S
        frames: list[tuple[int, bytes]] = []
        while time.monotonic() < deadline:
            frames += [frame for frame in self.switch.poll() if frame != (PF, PROBE)]
            if len(frames) >= count:
                assert len(frames) == count
                return sorted(frames, key=lambda frame: frame[0])
        raise TimeoutError("no frame left the NIC")

    def passes(self, port: int, packet: Packet | bytes, out: int) -> None:
        """Assert that a packet leaves unchanged by one port only."""
        assert self.exchange(port, packet) == [(out, bytes(packet))]

    def drops(self, port: int, packet: Packet | bytes, reason: DropReason, owner: int) -> None:
        """Assert that a packet goes nowhere and is counted for ``owner`` with its reason."""
        before = self.dropped(owner, reason)
        assert self.exchange(port, packet) == []
        assert self.dropped(owner, reason) == before + 1

    def dropped(self, port: int, reason: DropReason) -> int:
        """Packets dropped for a port and reason so far."""
        return self.client.counter("drop_counter", drop_index(port, reason))[0]

    def sent(self, port: int, traffic_class: int) -> tuple[int, int]:
        """Packets and bytes that left by a port."""
        return self.client.counter("to_port_counter", traffic_index(port, traffic_class))

    def received(self, port: int, traffic_class: int) -> tuple[int, int]:
        """Packets and bytes that came in by a port."""
        return self.client.counter("from_port_counter", traffic_index(port, traffic_class))

    def punted(self, port: int, packet: Packet | bytes) -> PacketIn:
        """Assert that a packet leaves by no port but goes to the host; what the host gets."""
        assert self.exchange(port, packet) == []
        return self.client.packet_in()

    def out(self, packet: Packet | bytes, *, mode: int, port: int, network: int) -> None:
        """A packet from the host."""
        self.listen()
        self.client.packet_out(bytes(packet), mode=mode, port=port, network=network)
