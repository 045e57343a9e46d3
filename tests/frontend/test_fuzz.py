"""Random text, token soup and damaged programs never crash the frontend."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from p4native.frontend import check_source
from p4native.frontend.check import consteval
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.lexer import KEYWORDS
from p4native.frontend.types import bits

from .golden import MUST_FAIL, programs
from .helpers import value_of

SEEDS = [p.read_text() for p in programs(MUST_FAIL) if p.stat().st_size < 3000]
SEEDS += [p.read_text() for p in sorted((Path(__file__).parents[1] / "corpus").glob("*.p4"))[:20]]

SYMBOLS = [
    *[
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "<",
        ">",
        ";",
        ":",
        ",",
        ".",
        "=",
        "==",
        "+",
        "-",
        "*",
        "/",
        "%",
        "&",
        "|",
        "^",
        "~",
        "!",
        "++",
        "<<",
        ">>",
        "&&&",
        "..",
        "...",
        "?",
        "@",
        "|+|",
        "{#}",
    ],
    *["x", "y", "T", "main", "1", "0", "255", "8w1", "4s7", "0xff", '"s"', "@name", "\n"],
    *["#include", "#define", "#if", "#endif", "bit<8>", "int<4>", "tuple<>", "header"],
]
TOKENS = sorted(KEYWORDS) + SYMBOLS


def survives(text: str) -> None:
    reporter = Reporter()
    program = check_source(text, "fuzz.p4", reporter)
    assert (program is None) == reporter.failed
    reporter.render()


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_random_text(text: str) -> None:
    survives(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=80))
def test_token_soup(tokens: list[str]) -> None:
    survives(" ".join(tokens))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_programs(data: st.DataObject) -> None:
    """A program with some of its words removed, doubled, exchanged or replaced."""
    words = data.draw(st.sampled_from(SEEDS)).split(" ")
    for _ in range(data.draw(st.integers(1, 4))):
        if not words:
            break
        at = data.draw(st.integers(0, len(words) - 1))
        other = data.draw(st.integers(0, len(words) - 1))
        change = data.draw(st.integers(0, 3))
        if change == 0:
            del words[at]
        elif change == 1:
            words.insert(at, words[other])
        elif change == 2:
            words[at], words[other] = words[other], words[at]
        else:
            words[at] = data.draw(st.sampled_from(TOKENS))
    survives(" ".join(words))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["+", "-", "*", "&", "|", "^", "|+|", "|-|"]),
    st.integers(1, 128),
    st.booleans(),
    st.integers(),
    st.integers(),
)
def test_arithmetic_is_modular(op: str, width: int, signed: bool, a: int, b: int) -> None:
    t = bits(width, signed)
    left, right = consteval.wrap(a, t), consteval.wrap(b, t)
    result = consteval.arithmetic(op, left, right, t)
    low = -(1 << (width - 1)) if signed else 0
    assert low <= result < low + (1 << width)
    exact = {"+": left + right, "-": left - right, "*": left * right}.get(op)
    if exact is not None:
        assert (result - exact) % (1 << width) == 0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 63), st.integers(0, 63))
def test_slices_and_concatenation_agree(value: int, one: int, other: int) -> None:
    high, low = max(one, other), min(one, other)
    width = high - low + 1
    expected = (value >> low) & ((1 << width) - 1)
    assert value_of(f"bit<{width}>", f"64w{value}[{high}:{low}]") == expected
