"""Generated expressions against Python's unbounded integers, which are BMv2's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from p4native.bmv2.reader import read_program

from . import builder as b
from .harness import Harness

FIELDS = [("f1", 1), ("f3", 3), ("f12", 12), ("f16", 16), ("s8", 8, True), ("s37", 37, True),
          ("f64", 64), ("f51", 51), ("f65", 65), ("s71", 71, True), ("f128", 128), ("f48", 48),
          ("s128", 128, True), ("f200", 200), ("s192", 192, True), ("f264", 264)]  # fmt: skip
RING = ["+", "-", "*", "&", "|", "^"]
TARGETS = [1, 7, 8, 13, 32, 48, 64, 65, 100, 128, 129, 256]


def signed_value(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def evaluate(e: b.Json, env: dict[str, int]) -> int | bool:
    """BMv2's meaning of an expression."""
    if e["type"] == "field":
        return env[e["value"][1]]
    if e["type"] == "hexstr":
        return int(e["value"], 16)
    body = e["value"]
    name, left, right = body["op"], body["left"], body["right"]
    if name == "?":
        return evaluate(left if evaluate(body["cond"], env) else right, env)
    x = None if left is None else evaluate(left, env)
    return apply(name, x, evaluate(right, env))


def show(e: b.Json) -> str:
    if e["type"] != "expression":
        return str(e["value"][-1] if e["type"] == "field" else e["value"])
    body = e["value"]
    parts = [show(x) for x in (body.get("cond"), body["left"], body["right"]) if x is not None]
    return f"{body['op']}({', '.join(parts)})"


def apply(name: str, x: int | bool | None, y: int | bool) -> int | bool:
    if x is None:
        return {"~": lambda: ~y, "d2b": lambda: y != 0, "b2d": lambda: int(y),
                "not": lambda: not y}[name]()  # fmt: skip
    if name in ("/", "%"):
        return 0 if y == 0 else (x // y if name == "/" else x % y)
    if name == "two_comp_mod":
        return signed_value(x, y)
    if name in ("usat_cast", "sat_cast"):
        lo, hi = (0, (1 << y) - 1) if name == "usat_cast" else (-(1 << y - 1), (1 << y - 1) - 1)
        return max(lo, min(hi, x))
    table = {"+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y, "&": lambda: x & y,
             "|": lambda: x | y, "^": lambda: x ^ y, "<<": lambda: x << y, ">>": lambda: x >> y,
             "==": lambda: x == y, "!=": lambda: x != y, "<": lambda: x < y, "<=": lambda: x <= y,
             ">": lambda: x > y, ">=": lambda: x >= y, "and": lambda: x and y,
             "or": lambda: x or y}  # fmt: skip
    return table[name]()


def field_ref(name: str) -> b.Json:
    return b.fld("h", name)


leaves = st.one_of(
    st.sampled_from([f[0] for f in FIELDS]).map(field_ref),
    st.integers(0, 1 << 70).map(b.const),
    st.integers(-300, 300).map(b.const),
    st.integers(-(1 << 200), 1 << 200).map(b.const),
)


def unsigned_leaf() -> st.SearchStrategy[b.Json]:
    return st.sampled_from(["f1", "f12", "f64", "f65", "f128", "f200"]).map(field_ref)


def grow(inner: st.SearchStrategy[b.Json]) -> st.SearchStrategy[b.Json]:
    """Data expressions over data expressions; conditions appear inside ?: and b2d."""
    widths = st.sampled_from([1, 8, 33, 64, 90, 128, 160])
    compare = st.builds(
        b.op, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        inner, inner,
    )  # fmt: skip
    boolean = st.one_of(
        compare,
        st.builds(lambda x: b.op("d2b", None, x), inner),
        st.builds(b.op, st.sampled_from(["and", "or"]), compare, compare),
        st.builds(lambda x: b.op("not", None, x), compare),
    )
    return st.one_of(
        st.builds(b.op, st.sampled_from(RING), inner, inner),
        st.builds(lambda x: b.op("~", None, x), inner),
        st.builds(lambda x, y: b.op("<<", x, y), inner, st.integers(0, 140).map(b.const)),
        st.builds(lambda x, y: b.op(">>", x, y), inner, st.integers(0, 140).map(b.const)),
        st.builds(lambda x, y: b.op(">>", x, y), inner, unsigned_leaf()),
        st.builds(lambda x: b.op("<<", x, field_ref("f3")), inner),
        st.builds(
            b.op, st.sampled_from(["/", "%"]), unsigned_leaf(),
            unsigned_leaf(),
        ),
        st.builds(
            lambda n, x, w: b.op(n, x, b.const(w)),
            st.sampled_from(["two_comp_mod", "usat_cast", "sat_cast"]), inner, widths.filter(
                lambda w: w > 1
            ),
        ),
        st.builds(lambda x, w: b.op("&", x, b.const((1 << w) - 1)), inner, widths),
        st.builds(lambda c, x, y: b.op("?", x, y, cond=c), boolean, inner, inner),
        st.builds(lambda c: b.op("b2d", None, c), boolean),
    )  # fmt: skip


expressions = st.recursive(leaves, grow, max_leaves=8)
cases = st.lists(st.tuples(st.sampled_from(TARGETS), expressions), min_size=25, max_size=60)


def encode(values: list[int], fields: list[tuple]) -> bytes:
    bits = total = 0
    for value, (_, width, *_) in zip(values, fields, strict=True):
        bits, total = bits << width | value & ((1 << width) - 1), total + width
    return bits.to_bytes(total // 8, "big")


def pad(fields: list[tuple]) -> list[tuple]:
    spare = -sum(f[1] for f in fields) % 8
    return [*fields, ("pad", spare)] if spare else fields


@settings(max_examples=5, deadline=None, database=None, phases=[Phase.generate],
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(cases=cases, seed=st.integers(0, 1 << 32))
@pytest.mark.slow
def test_random_expressions(
    tmp_path_factory: pytest.TempPathFactory, cases: list[tuple[int, b.Json]], seed: int
) -> None:
    inputs = pad(FIELDS)
    outputs = pad([(f"o{i}", width) for i, (width, _) in enumerate(cases)])
    body = [b.call("add_header", b.header("out"))]
    body += [b.assign(b.fld("out", f"o{i}"), e) for i, (_, e) in enumerate(cases)]
    json = b.program({"in_t": inputs, "out_t": outputs}, {"h": "in_t", "out": "out_t"},
                     [*body, b.SEND])  # fmt: skip
    harness = Harness(read_program(json), tmp_path_factory.mktemp("expr"))
    rng = random.Random(seed)
    for _ in range(25):
        check_once(harness, inputs, outputs, cases, rng)


def pick(rng: random.Random, width: int) -> int:
    """A random value, often one of the corners."""
    corners = [0, 1, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1]
    return rng.choice(corners) if rng.random() < 0.4 else rng.getrandbits(width)


def check_once(harness: Harness, inputs: list[tuple], outputs: list[tuple],
               cases: list[tuple[int, b.Json]], rng: random.Random) -> None:  # fmt: skip
    values = [pick(rng, f[1]) for f in inputs]
    env = {}
    for value, (name, width, *sign) in zip(values, inputs, strict=True):
        env[name] = signed_value(value, width) if sign else value
    frame = encode(values, inputs)
    sent = harness.send(frame)
    assert [port for port, _ in sent] == [1]
    got = int.from_bytes(sent[0][1][len(frame) :], "big")
    at = sum(f[1] for f in outputs)
    for i, (width, e) in enumerate(cases):
        at -= width
        value = got >> at & ((1 << width) - 1)
        expected = evaluate(e, env) & ((1 << width) - 1)
        assert value == expected, f"o{i} bit<{width}> = {show(e)} with {env}"


def test_every_target_width(tmp_path: Path) -> None:
    """Plain copies between all pairs of widths, header and metadata."""
    inputs = pad(FIELDS)
    outputs = pad([(f"o{i}_{w}", w) for i in range(len(FIELDS)) for w in TARGETS])
    names = [f[0] for f in FIELDS for _ in TARGETS]
    body = [b.call("add_header", b.header("out"))]
    metadata = [(f"m{w}", w) for w in TARGETS]
    for (target, width), source in zip(outputs, names, strict=False):
        body.append(b.assign(b.fld("meta", f"m{width}"), field_ref(source)))
        body.append(b.assign(b.fld("out", target), b.fld("meta", f"m{width}")))
    json = b.program({"in_t": inputs, "out_t": outputs}, {"h": "in_t", "out": "out_t"},
                     [*body, b.SEND], metadata=metadata)  # fmt: skip
    harness = Harness(read_program(json), tmp_path)
    cases = [(w, field_ref(n)) for w, n in zip(TARGETS * len(FIELDS), names, strict=True)]
    for seed in range(50):
        check_once(harness, inputs, outputs, cases, random.Random(seed))
