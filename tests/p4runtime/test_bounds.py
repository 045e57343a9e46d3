"""What clients do to a switch process stays bounded, and packets go on meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from finsy.proto import p4r

from .builder import MODIFY, Builder, probe
from .client import Client
from .programs import Program
from .targets import VethPorts, _raw_socket, free_port, raw_sockets, wait_for_server

pytestmark = [pytest.mark.slow, raw_sockets]
MIB = 1 << 20
MESSAGE = 200 * MIB


class Process:
    """`p4native switch` with three veth ports; frames to 1 leave by 2."""

    def __init__(self, links: VethPorts, process: subprocess.Popen[bytes], address: str) -> None:
        self.process, self.address = process, address
        self._in, self._out, self._flood = (_raw_socket(links.far_end(p)) for p in (1, 2, 3))
        self._out.settimeout(5)

    def close(self) -> None:
        """Close the sockets."""
        for sock in (self._in, self._out, self._flood):
            sock.close()

    def peak(self) -> int:
        """The most memory that the process ever had, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def flood(self, frame: bytes, times: int) -> None:
        """Let a frame arrive on port 3 again and again."""
        self._flood.setblocking(True)
        for _ in range(times):
            self._flood.send(frame)

    def forward(self, frame: bytes) -> bytes:
        """Send a frame and return it when it has come out; TimeoutError if it does not."""
        self._in.send(frame)
        while (received := self._out.recv(65536)) != frame:
            pass
        return received


@contextmanager
def running(log: Path) -> Iterator[Process]:
    """A switch process without a pipeline."""
    links, address = VethPorts((1, 2, 3)), f"127.0.0.1:{free_port()}"
    words = [word for port in links.ports for word in ("-i", f"{port}@{links.near_end(port)}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "p4native", "switch", "--no-p4", "--device-id", "1", *words,
         "--log-file", log, "--grpc-server-addr", address, "--cpu-port", "510"],
    )  # fmt: skip
    try:
        wait_for_server(address, 30)
        switch = Process(links, process, address)
        try:
            yield switch
        finally:
            switch.close()
    finally:
        process.kill()
        process.wait()
        links.remove()


@contextmanager
def traffic(switch: Process) -> Iterator[list[bytes]]:
    """Frames one after the other while the block runs, each forwarded within seconds."""
    over, taken = threading.Event(), list[bytes]()

    def keep_sending() -> None:
        while not over.is_set():
            taken.append(switch.forward(probe(dst=1)))

    thread = threading.Thread(target=keep_sending)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


def prepare(switch: Process, entities: Program) -> tuple[Client, Builder]:
    """A primary client; frames to 1 are forwarded, those to 3 go to the controller."""
    client, build = Client(switch.address), Builder(entities.info)
    client.lead(1)
    client.set_pipeline(entities.config())
    client.insert(
        build.entry("exact_table", {"dst": 1, "port": 1}, build.action("forward", port=2)),
        build.entry("exact_table", {"dst": 3, "port": 3}, build.action("to_cpu", reason=1)),
    )
    return client, build


def test_large_writes_take_bounded_memory_and_leave_packets_alone(
    entities: Program, tmp_path: Path
) -> None:
    with running(tmp_path / "log") as switch:
        client, build = prepare(switch, entities)
        missing = build.entry("small_table", {"src": 1}, build.action("mark", value=1))
        missing.table_entry.metadata = bytes(MESSAGE // 3400)
        before = switch.peak()
        with traffic(switch) as taken:
            for _ in range(2):
                codes = client.refused(MODIFY, *[missing] * 3400)
                assert codes == ["NOT_FOUND"] * 3400
        assert switch.peak() - before < 4 * MESSAGE, switch.peak() - before
        assert len(taken) > 100
        client.close()


DEAF = """
import itertools, signal, sys
import grpc
from finsy.proto import p4r, p4r_grpc

update = p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=2))
hello = p4r.StreamMessageRequest(arbitration=update)
stub = p4r_grpc.P4RuntimeStub(grpc.insecure_channel(sys.argv[1]))
requests = itertools.chain([hello], iter(lambda: signal.pause(), 0))
assert next(stub.StreamChannel(requests)).arbitration.status.code == 0
print("leads", flush=True)
signal.pause()
"""
"""A client that becomes primary and then reads nothing."""


@contextmanager
def deaf_client(address: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process, once it leads."""
    process = subprocess.Popen([sys.executable, "-c", DEAF, address], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"leads\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_client_killed_in_a_flood_of_packet_ins(entities: Program, tmp_path: Path) -> None:
    """A primary that reads nothing and is killed: memory stays, packets go on, another leads."""
    with running(tmp_path / "log") as switch:
        prepare(switch, entities)[0].close()
        with deaf_client(switch.address) as deaf:
            before = switch.peak()
            big = probe(dst=3) + bytes(1300)
            with traffic(switch) as taken:
                switch.flood(big, 60_000)
                deaf.kill()
                deaf.wait()
            assert switch.peak() - before < 200 * MIB, switch.peak() - before
            assert taken
        after = Client(switch.address)
        after.lead(3)
        assert len(after.read(p4r.Entity(counter_entry=p4r.CounterEntry()))) == 16
        after.close()
