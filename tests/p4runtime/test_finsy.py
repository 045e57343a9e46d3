"""finsy as an unmodified client: each test runs it against a switch process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import finsy as fy
import pytest
from google.protobuf import text_format

from .conftest import PROGRAMS
from .programs import load_program
from .targets import free_port, wait_for_server

pytestmark = pytest.mark.slow
START_S = 20.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A native switch in a process of its own, as the lab runs it."""
    found = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "p4native", "switch", "--no-p4", "--device-id", "1",
         "--", "--grpc-server-addr", found, "--cpu-port", "510"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait_for_server(found, START_S)
        yield found
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=START_S)
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> fy.SwitchOptions:
    folder = tmp_path_factory.mktemp("finsy")
    program = load_program(PROGRAMS / "entities.p4")
    (folder / "p4info.txtpb").write_text(text_format.MessageToString(program.info))
    (folder / "program.json").write_bytes(program.device_config)
    return fy.SwitchOptions(
        p4info=Path(folder, "p4info.txtpb"), p4blob=Path(folder, "program.json"), device_id=1
    )


async def test_write_read_and_delete_all(address: str, options: fy.SwitchOptions) -> None:
    async with fy.Switch("sw", address, options) as switch:
        forward = fy.Action("forward", port=2)
        entries = [
            fy.P4TableEntry("exact_table", match=fy.Match(dst=n, port=1), action=forward)
            for n in range(100)
        ]
        await switch.write([+entry for entry in entries])
        assert len([e async for e in switch.read(fy.P4TableEntry("exact_table"))]) == 100
        ternary = fy.P4TableEntry(
            "ternary_table", match=fy.Match(type="0x800/&0xff00", port=1), action=forward,
            priority=9, metadata=b"x",
        )  # fmt: skip
        await switch.write([+ternary])
        (found,) = [e async for e in switch.read(fy.P4TableEntry("ternary_table"))]
        assert (found.match, found.priority, found.metadata) == (
            {"type": (0x800, 0xFF00), "port": 1}, 9, b"x",
        )  # fmt: skip
        await switch.write(
            [
                +fy.P4MulticastGroupEntry(1, replicas=[1, 2]),
                +fy.P4CloneSessionEntry(3, replicas=[4]),
                ~fy.P4CounterEntry("port_counter", index=1, data=fy.P4CounterData(packet_count=3)),
            ]
        )
        (group,) = [e async for e in switch.read(fy.P4MulticastGroupEntry(1))]
        assert list(group.replicas) == [1, 2]
        (counter,) = [e async for e in switch.read(fy.P4CounterEntry("port_counter", index=1))]
        assert counter.packet_count == 3
        await switch.delete_all()
        assert [e async for e in switch.read(fy.P4TableEntry("exact_table"))] == []


async def test_errors_arrive_with_their_details(address: str, options: fy.SwitchOptions) -> None:
    async with fy.Switch("sw", address, options) as switch:
        entry = +fy.P4TableEntry(
            "exact_table", match=fy.Match(dst=1, port=1), action=fy.Action("drop")
        )
        await switch.delete_all()
        await switch.write([entry])
        with pytest.raises(fy.P4ClientError) as caught:
            await switch.write([entry])
        assert caught.value.details[0].canonical_code == fy.GRPCStatusCode.ALREADY_EXISTS


async def test_packets_both_ways(address: str, options: fy.SwitchOptions) -> None:
    """A packet-out to the CPU port comes back as a packet-in."""
    async with fy.Switch("sw", address, options) as switch:
        sent = [bytes([value]) * 60 for value in range(50)]
        receiving = asyncio.create_task(receive(switch, len(sent)))
        await asyncio.sleep(0)
        for payload in sent:
            await switch.write([fy.P4PacketOut(payload, egress_port=510, _pad=0)])
        assert await asyncio.wait_for(receiving, START_S) == sent


async def receive(switch: fy.Switch, count: int) -> list[bytes]:
    received: list[bytes] = []
    async for packet in switch.read_packets():
        received.append(packet.payload)
        if len(received) == count:
            break
    return received


async def test_second_client_is_backup_and_takes_over(
    address: str, options: fy.SwitchOptions
) -> None:
    async with (
        fy.Switch("first", address, options) as first,
        fy.Switch("second", address, options) as second,
    ):
        assert first.is_primary
        assert not second.is_primary
        assert second.primary_id == first.election_id


async def test_pipeline_is_kept_between_sessions(address: str, options: fy.SwitchOptions) -> None:
    """finsy compares cookies and leaves a matching pipeline, with its entries, alone."""
    entry = fy.P4TableEntry("small_table", match=fy.Match(src=5), action=fy.Action("mark", value=1))
    async with fy.Switch("sw", address, options) as switch:
        await switch.delete_all()
        await switch.write([+entry])
    async with fy.Switch("sw", address, options) as switch:
        assert len([e async for e in switch.read(fy.P4TableEntry("small_table"))]) == 1
