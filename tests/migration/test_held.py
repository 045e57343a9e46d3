"""Held frames: bounded, in order, and every frame accounted for."""

from hypothesis import given
from hypothesis import strategies as st

from control.migration.held import Frame, HeldFrames

SOURCE, SENT_ON, LOCAL = ("nic1", False), ("nic2", False), ("nic2", True)
PLACES = [SOURCE, ("nic1", True), SENT_ON, LOCAL]


def frame(size: int, tag: int = 0) -> Frame:
    return Frame(bytes([tag]) * size, network=1)


def tags(held: HeldFrames) -> list[int]:
    return [frame.payload[0] for frame in held.take(100)]


def test_frames_leave_in_the_order_in_which_they_were_sent():
    held = HeldFrames(10, 1000, PLACES)
    for place, tag in ((LOCAL, 4), (SENT_ON, 3), (SOURCE, 1), (LOCAL, 5), (SOURCE, 2)):
        held.put(place, frame(1, tag))
    assert tags(held) == [1, 2, 3, 4, 5]
    assert tags(held) == []


def test_overflow_in_frames_and_in_bytes_is_counted():
    held = HeldFrames(2, 100, PLACES)
    assert held.put(SOURCE, frame(60))
    assert not held.put(SOURCE, frame(60))
    assert held.put(SOURCE, frame(40))
    assert not held.put(SOURCE, frame(0))
    assert (held.held, held.overflowed) == (2, 2)


def test_frames_are_taken_some_at_a_time():
    held = HeldFrames(10, 1000, PLACES)
    for place, tag in ((SOURCE, 1), (SOURCE, 2), (LOCAL, 3)):
        held.put(place, frame(1, tag))
    assert [f.payload[0] for f in held.take(1)] == [1]
    assert [f.payload[0] for f in held.take(2)] == [2, 3]
    assert held.take(2) == []


def test_room_comes_back_when_frames_leave():
    held = HeldFrames(1, 100, PLACES)
    assert held.put(SOURCE, frame(100))
    assert len(held.take(100)) == 1
    assert held.put(SOURCE, frame(100))


def test_frames_put_back_are_next_again():
    held = HeldFrames(10, 1000, PLACES)
    held.put(SOURCE, frame(1, 1))
    held.put(LOCAL, frame(1, 2))
    taken = held.take(100)
    held.put(SOURCE, frame(1, 3))
    held.put_back(taken)
    assert tags(held) == [1, 2, 3]


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 50)), max_size=60))
def test_nothing_disappears(arrivals):
    held = HeldFrames(20, 400, PLACES)
    for place, size in arrivals:
        held.put(place, frame(size))
    assert len(held.take(100)) == held.held
    assert held.held + held.overflowed == len(arrivals)
