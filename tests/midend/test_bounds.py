"""Programs that would make endless code end quickly, with code of sensible size or an error."""

from __future__ import annotations

import pytest

from tests.midend.programs import compiled, errors

FUNCTIONS = "bit<8> f0(in bit<8> a) { return a + 1; }" + "".join(
    f"bit<8> f{i}(in bit<8> a) {{ return f{i - 1}(a) + f{i - 1}(a); }}" for i in range(1, 30)
)
CONTROLS = "control A0(inout metadata m) { apply { m.x = m.x + 1; } }" + "".join(
    f"control A{i}(inout metadata m) {{ A{i - 1}() a; A{i - 1}() b;"
    " apply { a.apply(m); b.apply(m); } }"
    for i in range(1, 16)
)


@pytest.mark.parametrize(
    "parts",
    [
        {"globals": FUNCTIONS, "apply": "meta.x = f29(meta.y);"},
        {"globals": CONTROLS, "locals": "A15() a;", "apply": "a.apply(meta);"},
    ],
    ids=["functions", "controls"],
)
def test_calls_that_double_at_each_level_are_refused(parts: dict[str, str]) -> None:
    (found,) = errors(**parts)
    assert "never ends" in found[1] and found[0] > 0


@pytest.mark.parametrize(
    "loop",
    [
        "for (bit<32> i = 0; i < 40000000; i = i + 1) { meta.w = meta.w + i; }",
        "for (bit<8> i = 0; i < 255; i = i + 0) { meta.w = meta.w + 1; }",
        "for (bit<32> i in 32w0 .. 99999) { meta.w = meta.w + i; }",
    ],
)
def test_long_loops_are_not_unrolled(loop: str) -> None:
    made = compiled(apply=loop).passes()
    assert len(made.dumps["dead_code"]) < 5000
    assert "loop {" in made.dumps["dead_code"]


def test_nested_loops_share_one_limit() -> None:
    inner = "for (bit<32> k = 0; k < 100; k = k + 1) { meta.w = meta.w + i; }"
    made = compiled(apply=f"for (bit<32> i = 0; i < 100; i = i + 1) {{ {inner} }}").passes()
    assert made.dumps["dead_code"].count("loop {") == 100
