"""Match notations against the masks, prefixes and ranges that they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4native.stf.errors import StfError
from p4native.stf.values import KeyMatch, parse_match, parse_number, wildcard_match


@pytest.mark.parametrize(
    ("text", "value", "mask"),
    [
        ("0x12345678", 0x12345678, 0xFFFFFFFF),
        ("0x****0101", 0x0101, 0xFFFF),
        ("0x12**", 0x1200, 0xFF00),
        ("0b1*0", 0b100, 0b101),
        ("0x5", 5, 0xF),
        ("5", 5, 0xFFFFFFFF),
        ("0xff&&&0x0f", 0x0F, 0x0F),
        ("0x0a000000/8", 0x0A000000, 0xFF000000),
    ],
)
def test_ternary(text: str, value: int, mask: int) -> None:
    assert parse_match("k", "ternary", 32, text) == KeyMatch("k", "ternary", 32, value, mask)


@pytest.mark.parametrize(
    ("text", "value", "length"),
    [
        ("0x0a0b0c0d", 0x0A0B0C0D, 32),
        ("0x0a0b****", 0x0A0B0000, 16),
        ("0x0a0b0c0d/8", 0x0A << 24, 8),
    ],
)
def test_lpm(text: str, value: int, length: int) -> None:
    match = parse_match("k", "lpm", 32, text)
    assert (match.value, match.prefix_len) == (value, length)
    assert match.mask == ((1 << length) - 1) << (32 - length)


def test_range_and_single_value() -> None:
    assert parse_match("k", "range", 16, "10..20") == KeyMatch("k", "range", 16, 10, 20)
    assert parse_match("k", "range", 16, "7") == KeyMatch("k", "range", 16, 7, 7)


@pytest.mark.parametrize("kind", ["ternary", "lpm", "range"])
def test_absent_keys_match_anything(kind: str) -> None:
    assert wildcard_match("k", kind, 16).wildcard


def test_absent_exact_key_is_zero() -> None:
    match = wildcard_match("k", "exact", 16)
    assert (match.value, match.wildcard) == (0, False)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("exact", "256"), ("exact", "0x1*"), ("lpm", "0x*1"), ("lpm", "1/9"), ("range", "9..3")],
)
def test_values_that_do_not_fit_are_refused(kind: str, text: str) -> None:
    with pytest.raises(StfError, match="k: "):
        parse_match("k", kind, 8, text)


def test_negative_numbers_are_twos_complement() -> None:
    assert parse_number("x", 8, "-1") == 0xFF
    with pytest.raises(StfError):
        parse_number("x", 8, "-129")


@given(st.integers(1, 128), st.data())
def test_full_hex_text_is_exact_in_every_kind(width: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, (1 << width) - 1))
    text = f"0b{value:0{width}b}"
    full = (1 << width) - 1
    assert parse_match("k", "ternary", width, text).mask == full
    assert parse_match("k", "lpm", width, text).prefix_len == width
    assert {parse_match("k", kind, width, text).value for kind in ("exact", "lpm", "ternary")} == {
        value
    }
