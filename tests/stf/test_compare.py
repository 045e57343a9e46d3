"""Packets against patterns, per port and in order."""

from __future__ import annotations

import pytest

from p4native.stf.compare import compare, mismatch
from p4native.stf.script import Expect


@pytest.mark.parametrize(
    ("pattern", "data", "matches"),
    [
        ("0102", b"\x01\x02", True),
        ("0102", b"\x01\x02\x03", True),
        ("0102$", b"\x01\x02\x03", False),
        ("0102$", b"\x01\x02", True),
        ("010203", b"\x01\x02", False),
        ("0*", b"\x0f", True),
        ("0*", b"\x1f", False),
        ("0", b"\x0f", True),
        (None, b"", True),
        ("$", b"", True),
        ("$", b"\x00", False),
    ],
)
def test_patterns(pattern: str | None, data: bytes, matches: bool) -> None:
    assert (mismatch(pattern, data) is None) == matches


def test_order_counts_within_a_port_only() -> None:
    expects = [Expect(1, 1, "AA"), Expect(2, 2, "BB"), Expect(3, 1, "CC")]
    same = compare(expects, [(2, b"\xbb"), (1, b"\xaa"), (1, b"\xcc")], {1, 2}, all_ports=False)
    assert same.faults == ()
    swapped = compare(expects, [(1, b"\xcc"), (1, b"\xaa"), (2, b"\xbb")], {1, 2}, all_ports=False)
    assert [fault.split(":")[0] for fault in swapped.faults] == ["line 1", "line 3"]


def test_missing_and_unexpected_packets_are_faults() -> None:
    missing = compare([Expect(5, 1, "AA")], [], {1}, all_ports=False)
    assert missing.faults == ("line 5: port 1: no packet came, expected AA",)
    extra = compare([], [(1, b"\xaa")], {1}, all_ports=False)
    assert extra.faults == ("port 1: unexpected packet AA",)


def test_unwatched_ports_are_noted_unless_nothing_may_come_out() -> None:
    noted = compare([], [(9, b"\xaa")], {1}, all_ports=False)
    assert (noted.faults, len(noted.notes)) == ((), 1)
    assert compare([], [(9, b"\xaa")], {1}, all_ports=True).faults
