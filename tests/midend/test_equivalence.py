"""Random programs compute the same after every pass as right after elaboration."""

from __future__ import annotations

import sys

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p4native.midend import core
from p4native.midend.passes import ELABORATE, run_passes
from tests.midend.interpreter import VALID, Key, Machine
from tests.midend.programs import compiled

sys.setrecursionlimit(20_000)  # as the front end does; Hypothesis wants it unchanged by a test

BYTES = ["meta.x", "meta.y", "hdr.h.a", "hdr.h.b", "hdr.g.a", "l1", "l2"]
FLAGS = ["meta.flag", "hdr.g.isValid()"]
GLOBALS = """
bit<8> plus(in bit<8> a, inout bit<8> b) {
    if (a > 4) { b = b - 1; return b; }
    b = a + b; return a; }
bool decide(inout bit<8> v) { v = v |+| 1; return v[0:0] == 1; }
"""
LOCALS = """
    bit<8> l1 = 3; bit<8> l2;
    action act(inout bit<8> p, bit<8> q) {
        p = q + meta.y; meta.y = 7; if (p == 9) { return; } p = p ^ 1; }
    action leave(inout bit<8> p) { p = 5; if (meta.flag) { exit; } p = 6; }
"""

values = st.one_of(
    st.sampled_from(BYTES),
    st.integers(0, 255).map(lambda n: f"8w{n}"),
)


def _binary(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "&", "|", "^", "*", "|+|", "|-|"])
    return st.one_of(
        st.tuples(parts, operators, parts).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        parts.map(lambda p: f"(~{p})"),
        st.tuples(parts, parts).map(lambda t: f"({t[0]}[3:0] ++ {t[1]}[7:4])"),
        st.tuples(parts, st.sampled_from(BYTES)).map(lambda t: f"plus({t[0]}, {t[1]})"),
        st.tuples(st.sampled_from(FLAGS), parts, parts).map(
            lambda t: f"({t[0]} ? {t[1]} : {t[2]})"
        ),
    )


expressions = st.recursive(values, _binary, max_leaves=4)
conditions = st.one_of(
    st.sampled_from(FLAGS),
    st.tuples(expressions, st.sampled_from(["==", "!=", "<", ">="]), expressions).map(
        lambda t: f"({t[0]} {t[1]} {t[2]})"
    ),
    st.tuples(st.sampled_from(FLAGS), st.sampled_from(["&&", "||"]), st.sampled_from(BYTES)).map(
        lambda t: f"({t[0]} {t[1]} decide({t[2]}))"
    ),
)
places = st.sampled_from(BYTES)
simple = st.one_of(
    st.tuples(places, expressions).map(lambda t: f"{t[0]} = {t[1]};"),
    st.tuples(places, values).map(lambda t: f"{t[0]}[5:2] = {t[1]}[3:0];"),
    st.tuples(places, expressions).map(lambda t: f"act({t[0]}, {t[1]});"),
    places.map(lambda p: f"leave({p});"),
    st.sampled_from(["hdr.g = hdr.h;", "hdr.g.setInvalid();", "hdr.g = { 1, 2, 3 };", "return;"]),
    places.map(lambda p: f'log_msg("{{}}", {{ {p} }});'),
)


def _nested(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bodies = st.lists(parts, max_size=3).map(" ".join)
    return st.one_of(
        st.tuples(conditions, bodies, bodies).map(
            lambda t: f"if ({t[0]}) {{ {t[1]} }} else {{ {t[2]} }}"
        ),
        st.tuples(places, bodies, bodies).map(
            lambda t: f"switch ({t[0]}) {{ 1: 3: {{ {t[1]} }} 7: {{ {t[2]} }} default: {{ }} }}"
        ),
        bodies.map(lambda b: f"for (bit<8> i = 0; i < 3; i = i + 1) {{ l2 = l2 + i; {b} }}"),
        bodies.map(lambda b: f"for (bit<8> k = 0; k < (meta.y & 3); k = k + 1) {{ l1 = k; {b} }}"),
    )


programs = st.lists(st.recursive(simple, _nested, max_leaves=6), min_size=1, max_size=6).map(
    "\n".join
)


def _memory(program: core.Program, numbers: list[int]) -> dict[Key, int]:
    """The values a packet starts with."""
    memory: dict[Key, int] = {}
    feed = iter(numbers * 20)
    for var in program.variables:
        if var.kind == "meta":
            memory[var] = next(feed) & ((1 << core.scalar_width(var.type)) - 1)
    for header in program.headers:
        if header.kind == "header":
            memory[(header, VALID)] = next(feed) & 1
            for name, t in header.type.fields.items():
                memory[(header, name)] = next(feed) & ((1 << core.scalar_width(t)) - 1)
    return memory


def _visible(machine: Machine, program: core.Program) -> dict[str, int]:
    """What the rest of the pipeline can see; fields of invalid headers are undefined."""
    seen: dict[str, int] = {}
    for key, value in machine.memory.items():
        if isinstance(key, core.Var):
            if key.kind == "meta":
                seen[key.name] = value
        elif key[0].kind == "header" and machine.memory.get((key[0], VALID), 0):
            seen[f"{key[0].name}.{key[1]}"] = value
    return seen


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.lists(st.integers(0, 255), min_size=8, max_size=8))
def test_passes_keep_the_meaning(text: str, numbers: list[int]) -> None:
    made = compiled(globals=GLOBALS, locals=LOCALS, apply=text)
    program = made.program
    assert program is not None, made.reporter.render()
    start = _memory(program, numbers)
    results: dict[str, tuple[dict[str, int], object]] = {}

    def execute(name: str, current: core.Program) -> None:
        machine = Machine(start).run(current.controls["ingress"].body)
        calls = [c for c in machine.calls if c[0] == "log_msg"]
        results[name] = (_visible(machine, current), calls)

    run_passes(program, made.reporter, execute)
    assert not made.reporter.failed, made.reporter.render()
    for name, result in results.items():
        assert result == results[ELABORATE], (name, text)
