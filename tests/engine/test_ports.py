"""Ports on real interfaces: offloads, tags, tunnels, slow and vanishing ports."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p4native.switch.device import Device, SwitchError
from p4native.switch.records import Op, Status, pack_op
from tests.engine.net import Host, Net, ip, network, wait_until
from tests.engine.programs import program

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets and namespaces need root")

HERE = Path(__file__).parent
TRAFFIC = str(HERE / "traffic.py")
ARP = "0806"


@contextmanager
def switch(name: str, ports: dict[int, str], **options: int) -> Iterator[Device]:
    device = Device(drop_port=511, **options)
    try:
        device.commit(device.prepare(program(name)))
        for port, interface in ports.items():
            device.add_port(port, interface)
        device.start()
        yield device
    finally:
        device.stop()


def learn(device: Device, host: Host, port: int) -> None:
    """The L2 program sends the host's address to the port."""
    assert device.pipeline is not None
    tables = device.pipeline.program.tables
    index = next(i for i, t in enumerate(tables) if t.name == "forward.mac")
    send = next(
        a for a in tables[index].action_ids
        if device.pipeline.program.action(a).name == "forward.send"
    )  # fmt: skip
    mac = bytes.fromhex(host.mac.replace(":", ""))
    record = pack_op(Op.INSERT, index, key=mac, action=send, data=port.to_bytes(2, "big"))
    assert device.pipeline.write(record, 1)[0][0] == Status.OK


@contextmanager
def l2(count: int = 2, **options: int) -> Iterator[tuple[Device, Net]]:
    with network() as net:
        hosts = [net.host(i + 1) for i in range(count)]
        net.neighbours()
        ports = {i + 1: h.port for i, h in enumerate(hosts)}
        with switch("l2_acl", ports, **options) as device:
            for i, host in enumerate(hosts):
                learn(device, host, i + 1)
            yield device, net


def start(host: Host, *words: str) -> subprocess.Popen[str]:
    """A traffic role that has said it is ready."""
    process = host.spawn(sys.executable, TRAFFIC, *words)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.strip() == "ready", line + process.stdout.read()
    return process


def transfer(source: Host, sink: Host) -> None:
    """TCP bytes arrive as they were sent."""
    server = start(sink, "tcp_server", sink.address, "5001")
    client = source.run(sys.executable, TRAFFIC, "tcp_client", sink.address, "5001")
    assert client.returncode == 0, client.stderr
    assert server.communicate(timeout=20)[0] == client.stdout


@pytest.mark.parametrize("threads", [1, 2])
def test_tcp_with_offloads(threads: int) -> None:
    with l2(threads=threads) as (device, net):
        transfer(net.hosts[0], net.hosts[1])
        stats = device.port_stats(1)
        assert stats.rx_bytes > 32 << 20
        assert stats.rx_bytes / stats.rx_packets > 5000, "super-frames were cut"


def test_udp_segmentation_offload_passes() -> None:
    with l2() as (_, net):
        a, b = net.hosts
        server = start(b, "udp_server", b.address, "5002", "40")
        a.run(sys.executable, TRAFFIC, "udp_segments", b.address, "5002", "1000", "40", check=True)
        assert server.communicate(timeout=20)[0].split() == ["1000"] * 40


@pytest.mark.parametrize("tpid", ["8100", "88a8"])
def test_vlan_tags_stay_in_the_frame(tpid: str) -> None:
    with l2() as (_, net):
        a, b = net.hosts
        marker = "a5" * 40
        macs = b.mac.replace(":", "") + a.mac.replace(":", "")
        frame = macs + tpid + "6064" + "88b5" + marker
        receiver = start(b, "raw_receive", marker)
        a.run(sys.executable, TRAFFIC, "raw_send", frame, check=True)
        assert receiver.communicate(timeout=20)[0].strip() == frame


def test_a_dead_port_stops_nobody() -> None:
    with l2(3) as (device, net):
        a, b, c = net.hosts
        ip("link", "set", b.port, "down")
        wait_until(lambda: not device.port_up(2), "port 2 is down")
        macs = b.mac.replace(":", "") + a.mac.replace(":", "")
        a.run(sys.executable, TRAFFIC, "raw_send", macs + "88b5" + "00" * 46, "500", check=True)
        transfer(a, c)
        wait_until(lambda: device.port_stats(2).tx_dropped >= 500, "the frames are counted")
        ip("link", "set", b.port, "up")
        wait_until(lambda: device.port_up(2), "port 2 is up")
        transfer(a, b)


@pytest.mark.parametrize("shared", [False, True])
def test_an_interface_that_comes_back_is_used_again(shared: bool) -> None:
    with l2(threads=2) as (device, net):
        a, b = net.hosts
        device.remove_port(2)
        device.add_port(2, b.port, shared=shared)
        ip("link", "del", b.port)
        wait_until(lambda: not device.port_up(2), "port 2 is down")
        b.link()
        net.neighbours()
        wait_until(lambda: device.port_up(2), "port 2 is back")
        transfer(a, b)


def test_ports_come_and_go_while_packets_flow() -> None:
    with l2(3) as (device, net):
        a, b, c = net.hosts
        server = start(b, "tcp_server", b.address, "5001")
        client = a.spawn(sys.executable, TRAFFIC, "tcp_client", b.address, "5001")
        changes = 0
        while client.poll() is None or changes < 20:
            device.remove_port(3)
            device.add_port(3, c.port)
            changes += 1
        assert server.communicate(timeout=20)[0] == client.communicate()[0]
        transfer(a, c)
        device.remove_port(3)
        with pytest.raises(SwitchError, match="no port 3"):
            device.remove_port(3)
        with pytest.raises(SwitchError, match="taken"):
            device.add_port(1, c.port)
        with pytest.raises(SwitchError, match="no such interface"):
            device.add_port(4, "nonesuch")
        os.fstat(0)  # nor was a descriptor closed that the port never had


@pytest.mark.parametrize("mtu", [1500, 1600])
def test_super_frames_enter_a_tunnel(mtu: int) -> None:
    """Segments are cut behind the pipeline, to the cable's MTU, and each has its outer headers."""
    with network() as net:
        a, b = net.host(1), net.host(2)
        net.neighbours()
        near, far = net.cable(mtu)
        with switch("tunnel", {1: a.port, 2: near}) as one, \
                switch("tunnel", {1: b.port, 2: far}):  # fmt: skip
            transfer(a, b)
            assert one.port_stats(2).tx_segmented > 0
            server = start(b, "udp_server", b.address, "5002", "20")
            a.run(sys.executable, TRAFFIC, "udp_segments", b.address, "5002", "1200", "20",
                  check=True)  # fmt: skip
            assert server.communicate(timeout=20)[0].split() == ["1200"] * 20


def test_open_checksums_are_closed_for_a_program_that_reads_them() -> None:
    with network() as net:
        a, b = net.host(1), net.host(2)
        net.neighbours()
        with switch("verified", {1: a.port, 2: b.port}) as device:
            transfer(a, b)
            assert {d.reason: d.packets for d in device.drops()}["ingress"] == 0


def test_idle_threads_sleep() -> None:
    with l2() as (device, net):
        before = os.times()
        assert device.wait_packet_in(1.0) == []
        after = os.times()
        assert after.user + after.system - before.user - before.system < 0.2
        transfer(*net.hosts)


def fill(host: Host, source: str, marker: str, count: int) -> None:
    """Frames from an address, to a broadcast address that the program knows no port for."""
    frame = "ff" * 6 + source.replace(":", "") + "88b5" + marker
    host.run(sys.executable, TRAFFIC, "raw_send", frame, str(count), check=True)


VXLAN = "4500008600000000401100000a0000010a000002c00012b5007200000800000000000100"


def test_a_flood_costs_another_sender_behind_the_same_port_nothing(tmp_path: Path) -> None:
    """A full queue is the flooding sender's own, also where both are in one tunnel."""
    with network() as net:
        wire = net.host(1)
        device = Device(drop_port=511)
        try:
            device.commit(device.prepare(program("l2_acl")))
            device.add_port(1, wire.port, str(tmp_path), shared=True)
            outer = "02" * 6 + "020000000101" + "0800" + VXLAN + "ff" * 6
            for number in ("1", "2"):
                inner = outer + f"02000000020{number}" + "88b5" + f"b{number}" * 40
                count = "20000" if number == "1" else "10"
                wire.run(sys.executable, TRAFFIC, "raw_send", inner, count, check=True)
            fill(wire, "02:00:00:00:01:01", "a1" * 46, 20000)
            fill(wire, "02:00:00:00:01:02", "a2" * 46, 10)
            device.start()
            seen = tmp_path / f"{wire.port}_in.pcap"
            wait_until(
                lambda: [sum(f.endswith(mark * 40) for f in captured(seen))
                         for mark in (b"\xa2", b"\xb2")] == [10, 10],
                "the neighbours' frames are there",
            )  # fmt: skip
            assert device.port_stats(1).rx_dropped > 0, "the flood was to fill its queue"
        finally:
            device.stop()


def captured(path: Path) -> list[bytes]:
    """The frames of a nanosecond pcap file."""
    data, at, frames = path.read_bytes(), 24, []
    magic, major, minor, _, _, _, link = struct.unpack_from("<IHHIIII", data)
    assert (magic, major, minor, link) == (0xA1B23C4D, 2, 4, 1)
    while at < len(data):
        seconds, nanoseconds, length, _ = struct.unpack_from("<IIII", data, at)
        assert abs(seconds - time.time()) < 60
        assert nanoseconds < 10**9
        frames.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return frames


def test_captures_hold_what_passed(tmp_path: Path) -> None:
    with network() as net:
        a, b = net.host(1), net.host(2)
        net.neighbours()
        with switch("l2_acl", {}) as device:
            device.add_port(1, a.port, str(tmp_path))
            device.add_port(2, b.port, str(tmp_path))
            learn(device, a, 1)
            learn(device, b, 2)
            assert a.run("ping", "-c", "3", "-i", "0.01", b.address).returncode == 0
        for end in (a, b):
            seen = captured(tmp_path / f"{end.port}_in.pcap")
            assert sum(f[12:14] == b"\x08\x00" and f[23] == 1 for f in seen) == 3
