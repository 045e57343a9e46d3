"""Pre-copy converges when the link outruns the guest; a path that is gone is given up."""

import asyncio
import socket

import pytest

from control.migration.memory import MIB, GuestMemory
from control.migration.record import Options
from topologies.errors import LabError
from topologies.memory import MemoryChannel


class Link:
    """A path of a given speed in MiB/s, with its own clock."""

    def __init__(self, speed: float) -> None:
        self.speed, self.now, self.sizes = speed, 0.0, []

    async def send(self, octets: int) -> None:
        self.sizes.append(octets)
        self.now += octets / MIB / self.speed

    def clock(self) -> float:
        return self.now


async def run(speed: float, **options: float) -> tuple[Link, GuestMemory]:
    link = Link(speed)
    memory = GuestMemory(Options.model_validate(options), link.clock)
    await memory.pre_copy(link.send)
    return link, memory


async def test_rounds_shrink_until_the_limit():
    link, memory = await run(1000, memory_mib=64, dirty_mib_s=100, limit_mib=0.1)
    assert link.sizes[0] == 64 * MIB
    assert link.sizes == sorted(link.sizes, reverse=True)
    assert memory.dirty <= 0.1 * MIB
    assert memory.sent == sum(link.sizes)
    assert memory.throttle == 0


async def test_an_idle_guest_needs_one_round():
    link, memory = await run(1000, memory_mib=64, dirty_mib_s=0)
    assert (len(link.sizes), memory.dirty) == (1, 0)


async def test_a_guest_faster_than_the_link_is_throttled_until_it_fits():
    link, memory = await run(10, memory_mib=8, dirty_mib_s=20)
    assert memory.throttle > 0.5
    assert memory.dirty <= MIB
    assert len(link.sizes) < 30


async def test_rounds_are_bounded():
    link, memory = await run(100, memory_mib=64, dirty_mib_s=40, limit_mib=0.001, rounds=3)
    assert len(link.sizes) == 3
    await memory.catch_up(link.send)
    assert len(link.sizes) == 3, "another round would not help"


async def test_a_guest_dirties_memory_until_it_stands_still():
    link, memory = await run(1000, memory_mib=64, dirty_mib_s=8)
    left = memory.dirty
    link.now += 0.5
    await memory.catch_up(link.send)
    assert link.sizes[-1] == left + 4 * MIB
    left = memory.dirty
    memory.stop()
    link.now += 0.5
    await memory.copy(link.send)
    assert link.sizes[-1] == left
    assert memory.dirty == 0
    assert memory.sent == sum(link.sizes)


async def test_memory_on_a_path_that_stalls_is_given_up():
    sender, taker = socket.socketpair()
    receiver, silent = socket.socketpair()  # what is sent arrives nowhere
    sender.settimeout(0.1)
    receiver.settimeout(0.1)
    timed_out = pytest.raises(LabError, match=r"does not reach the other server: timed out")
    with sender, taker, receiver, silent, timed_out:
        await MemoryChannel(sender, receiver).send(64 * MIB)


async def test_cancelled_memory_stops_crossing_at_once():
    sender, taker = socket.socketpair()
    receiver, silent = socket.socketpair()
    with sender, taker, receiver, silent:
        sending = asyncio.create_task(MemoryChannel(sender, receiver).send(1 << 40))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait([sending], timeout=5)
        assert sending.cancelled()
