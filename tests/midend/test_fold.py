"""Constant folding against plain Python arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4native.frontend.types import BOOL, bits
from p4native.midend import core, fold

WIDTH = 13


def _as_type(value: int, signed: bool) -> int:
    value %= 1 << WIDTH
    return value - (1 << WIDTH) if signed and value >> (WIDTH - 1) else value


@given(
    st.sampled_from(["+", "-", "*", "&", "|", "^"]),
    st.integers(-(1 << 20), 1 << 20),
    st.integers(-(1 << 20), 1 << 20),
    st.booleans(),
)
def test_arithmetic_is_modulo_the_width(op: str, a: int, b: int, signed: bool) -> None:
    t = bits(WIDTH, signed)
    left, right = fold.const(a, t), fold.const(b, t)
    found = fold.binary(op, left, right, t)
    assert isinstance(found, core.Const)
    exact = {
        "+": left.value + right.value,
        "-": left.value - right.value,
        "*": left.value * right.value,
        "&": left.value & right.value,
        "|": left.value | right.value,
        "^": left.value ^ right.value,
    }[op]
    assert found.value == _as_type(exact, signed)


@given(st.integers(0, (1 << WIDTH) - 1), st.integers(0, 40))
def test_shifts_by_more_than_the_width_give_nothing(a: int, n: int) -> None:
    t = bits(WIDTH)
    amount = core.Const(n, bits(8))
    up = fold.binary("<<", core.Const(a, t), amount, t)
    down = fold.binary(">>", core.Const(a, t), amount, t)
    assert isinstance(up, core.Const) and isinstance(down, core.Const)
    assert up.value == (a << n) % (1 << WIDTH)
    assert down.value == a >> n


@pytest.mark.parametrize(
    ("op", "a", "b", "signed", "result"),
    [
        ("|+|", 250, 10, False, 255),
        ("|-|", 3, 10, False, 0),
        ("|+|", 120, 10, True, 127),
        ("|-|", -120, 10, True, -128),
    ],
)
def test_saturating(op: str, a: int, b: int, signed: bool, result: int) -> None:
    t = bits(8, signed)
    found = fold.binary(op, fold.const(a, t), fold.const(b, t), t)
    assert isinstance(found, core.Const)
    assert found.value == result


@pytest.mark.parametrize(("a", "b", "quotient", "rest"), [(7, 2, 3, 1), (-7, 2, -3, -1)])
def test_division_truncates(a: int, b: int, quotient: int, rest: int) -> None:
    t = bits(8, True)
    for op, expected in (("/", quotient), ("%", rest)):
        found = fold.binary(op, fold.const(a, t), fold.const(b, t), t)
        assert isinstance(found, core.Const)
        assert found.value == expected


def test_division_by_zero_is_left_alone() -> None:
    t = bits(8)
    assert isinstance(fold.binary("/", core.Const(1, t), core.Const(0, t), t), core.Binary)


def test_identities_keep_the_operand() -> None:
    x = core.VarRef(core.Var("x", bits(8)))
    zero, ones = core.Const(0, bits(8)), core.Const(255, bits(8))
    assert fold.binary("+", x, zero, x.type) is x
    assert fold.binary("&", x, ones, x.type) is x
    masked = fold.binary("&", x, zero, x.type)
    assert isinstance(masked, core.Const) and masked.value == 0
    assert fold.slice_of(x, 7, 0) is x


def test_slices_of_slices_and_concatenation() -> None:
    x = core.VarRef(core.Var("x", bits(16)))
    inner = fold.slice_of(fold.slice_of(x, 11, 4), 5, 2)
    assert isinstance(inner, core.Slice)
    assert (inner.hi, inner.lo, inner.arg) == (9, 6, x)
    joined = fold.concat(core.Const(0xA, bits(4)), core.Const(0x5, bits(4)))
    assert isinstance(joined, core.Const) and joined.value == 0xA5


def test_logic_decides_early() -> None:
    flag = core.VarRef(core.Var("f", BOOL))
    assert fold.binary("&&", flag, fold.true(), BOOL) is flag
    never = fold.binary("&&", fold.false(), flag, BOOL)
    assert isinstance(never, core.Const) and never.value == 0
    assert fold.unary("!", fold.unary("!", flag, BOOL), BOOL) is flag


def test_division_by_a_power_of_two_is_a_shift_or_a_mask() -> None:
    t = bits(WIDTH)
    x = core.VarRef(core.Var("x", t))
    eight = core.Const(8, t)
    for op, made, operand in (("/", ">>", 3), ("%", "&", 7)):
        found = fold.binary(op, x, eight, t)
        assert isinstance(found, core.Binary) and isinstance(found.right, core.Const)
        assert (found.op, found.left, found.right.value) == (made, x, operand)
    assert fold.binary("/", x, core.Const(1, t), t) is x
