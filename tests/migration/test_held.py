"""Held frames: bounded, in order, and every frame accounted for."""

from hypothesis import given
from hypothesis import strategies as st

from control.migration.held import Frame, HeldFrames


def frame(size: int, tag: int = 0) -> Frame:
    return Frame(bytes([tag]) * size, network=1)


def test_source_frames_leave_before_the_destinations():
    held = HeldFrames(10, 1000, ("nic1", "nic2"))
    held.put("nic2", frame(1, 2))
    held.put("nic1", frame(1, 1))
    held.put("nic2", frame(1, 3))
    taken = [held.take() for _ in range(4)]
    assert [f.payload[0] for f in taken[:3] if f] == [1, 2, 3]
    assert taken[3] is None


def test_overflow_in_frames_and_in_bytes_is_counted():
    held = HeldFrames(2, 100, ("a", "b"))
    assert held.put("a", frame(60))
    assert not held.put("a", frame(60))
    assert held.put("a", frame(40))
    assert not held.put("a", frame(0))
    assert (held.held, held.overflowed) == (2, 2)


def test_room_comes_back_when_frames_leave():
    held = HeldFrames(1, 100, ("a", "b"))
    assert held.put("a", frame(100))
    assert held.take() is not None
    assert held.put("a", frame(100))


def test_a_frame_put_back_is_next_again():
    held = HeldFrames(10, 1000, ("a", "b"))
    held.put("a", frame(1, 1))
    held.put("a", frame(1, 2))
    first = held.take()
    assert first is not None
    held.put_back("a", first)
    assert [f.payload[0] for f in (held.take(), held.take()) if f] == [1, 2]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50)), max_size=60))
def test_nothing_disappears(arrivals):
    held = HeldFrames(20, 400, ("a", "b"))
    for nic, size in arrivals:
        held.put(nic, frame(size))
    delivered = 0
    while held.take() is not None:
        delivered += 1
    assert delivered == held.held
    assert held.held + held.overflowed == len(arrivals)
