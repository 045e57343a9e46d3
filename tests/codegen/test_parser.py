"""Parsers: transitions, lookahead, verify, advance, errors, loops, value sets, table keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from p4native.bmv2.reader import read_program

from . import builder as b
from .harness import Harness

TYPES = {"h_t": [("kind", 8), ("x", 4), ("y", 12), ("wide", 72)], "t_t": [("v", 16)]}
HEAD = 12
ERROR = b.assign(b.fld("t", "v"), b.fld("standard_metadata", "parser_error"))


def parse(tmp_path: Path, start: b.Json, *others: b.Json, **extra: Any) -> Harness:
    """Which state was reached and the parser error leave in a new header at the end."""
    metadata = [("state", 16), ("tmp", 16), ("big", 100)]
    body = [
        b.call("add_header", b.header("t")),
        b.assign(b.fld("t", "v"), b.fld("meta", "state")),
        b.call("add_header", b.header("e")),
        b.assign(b.fld("e", "v"), b.fld("standard_metadata", "parser_error")),
        b.SEND,
    ]
    json = b.program(TYPES, {"h": "h_t", "t": "t_t", "e": "t_t"}, body, metadata=metadata,
                     states=[start, *others], order=["t", "e", "h"], **extra)  # fmt: skip
    return Harness(read_program(json), tmp_path)


def put(value: b.Json, name: str = "state") -> b.Json:
    return {"op": "set", "parameters": [b.fld("meta", name), value]}


def target(number: int) -> b.Json:
    return b.state(f"s{number}", 10 + number, [put(b.const(number))])


def move(value: str | None, number: int | None, mask: str | None = None) -> b.Json:
    return {
        "type": "default" if value is None else "hexstr", "value": value, "mask": mask,
        "next_state": None if number is None else f"s{number}",
    }  # fmt: skip


def result(harness: Harness, frame: bytes) -> tuple[int, int]:
    """(state, error) of a frame."""
    ((port, data),) = harness.send(frame)
    assert port == 1
    return int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")


def head(kind: int = 0, x: int = 0, y: int = 0, wide: int = 0) -> bytes:
    return bytes([kind]) + (x << 12 | y).to_bytes(2, "big") + wide.to_bytes(9, "big")


def test_values_masks_and_default(tmp_path: Path) -> None:
    moves = [move("0x01", 1), move("0x01", 2), move("0xf0", 3, "0xf0"), move(None, 4)]
    start = b.state("start", 0, [b.extract("h")], [b.fld("h", "kind")], moves)
    harness = parse(tmp_path, start, *map(target, range(1, 5)))
    for kind, state in ((1, 1), (0xF5, 3), (0xFF, 3), (2, 4)):
        assert result(harness, head(kind)) == (state, 0)


def test_many_values_with_one_target(tmp_path: Path) -> None:
    """Those of state 2 are a table; the first match decides all the same."""
    many = [move(f"0x{n:02x}", 2, "0xfd") for n in range(0, 0x80, 4)]
    moves = [move("0x04", 1), *many, move("0x08", 3), move("0x81", 3), move(None, 4)]
    start = b.state("start", 0, [b.extract("h")], [b.fld("h", "kind")], moves)
    harness = parse(tmp_path, start, *map(target, range(1, 5)))
    for kind, state in ((4, 1), (6, 2), (8, 2), (0x7E, 2), (9, 4), (0x81, 3), (0x80, 4)):
        assert result(harness, head(kind)) == (state, 0)


def test_several_fields_are_byte_padded(tmp_path: Path) -> None:
    """x is 4 bits, y 12: the value is 0x0X0YYY."""
    keys = [b.fld("h", "x"), b.fld("h", "y")]
    start = b.state("start", 0, [b.extract("h")], keys,
                    [move("0x0a0bcd", 1), move("0x000bcd", 2, "0x000fff")])  # fmt: skip
    harness = parse(tmp_path, start, target(1), target(2))
    assert result(harness, head(0, 0xA, 0xBCD)) == (1, 0)
    assert result(harness, head(0, 0x3, 0xBCD)) == (2, 0)
    assert result(harness, head(0, 0xA, 0xBCC)) == (0, 0)


def test_long_keys(tmp_path: Path) -> None:
    """88 bits of key: kind, y and 72 more."""
    keys = [b.fld("h", "kind"), b.fld("h", "wide"), b.fld("h", "y")]
    value = 0x123456789ABCDEF012
    start = b.state("start", 0, [b.extract("h")], keys,
                    [move(f"0x07{value:018x}0005", 1),
                     move(f"0x00{0:016x}120000", 2, f"0x00{0:016x}ff0000")])  # fmt: skip
    harness = parse(tmp_path, start, target(1), target(2))
    assert result(harness, head(7, 3, 5, value)) == (1, 0)
    assert result(harness, head(7, 3, 6, value)) == (2, 0)
    assert result(harness, head(7, 3, 6, value + 1)) == (0, 0)


def test_lookahead_as_key_and_as_value(tmp_path: Path) -> None:
    ahead = {"type": "lookahead", "value": [4, 12]}
    start = b.state("start", 0, [put(ahead, "tmp"), b.extract("h")],
                    [{"type": "lookahead", "value": [0, 16]}],
                    [move("0xbeef", 1), move(None, 2)])  # fmt: skip
    one = b.state("s1", 11, [put(b.fld("meta", "tmp"))])
    harness = parse(tmp_path, start, one, target(2))
    assert result(harness, head(0x12, 3) + b"\xbe\xef") == (0x230, 0)
    assert result(harness, head() + b"\xbe\xee") == (2, 0)
    assert result(harness, head() + b"\xbe") == (0, 1)


@pytest.mark.parametrize(("bits", "frame", "expected"), [
    (16, b"\x07" + bytes(13), (7, 0)),
    (96, bytes(12) + b"\x09" + bytes(1), (0, 1)),
    (12, bytes(20), (0, 6)),
])  # fmt: skip
def test_advance(tmp_path: Path, bits: int, frame: bytes, expected: tuple[int, int]) -> None:
    """Skipped bytes are lost; a length that is no number of bytes is an argument error."""
    skip = {"op": "advance", "parameters": [b.const(bits)]}
    first = put({"type": "lookahead", "value": [0, 8]})
    ops = [first, skip, b.extract("h")] if bits == 16 else [skip, b.extract("h")]
    harness = parse(tmp_path, b.state("start", 0, ops))
    assert result(harness, frame) == expected


def test_verify(tmp_path: Path) -> None:
    check = {"op": "verify", "parameters": [
        b.op("!=", b.fld("h", "kind"), b.const(1)),
        {"type": "expression", "value": b.const(7)["value"]} and b.const(5),
    ]}  # fmt: skip
    start = b.state("start", 0, [b.extract("h"), check, put(b.const(3))])
    harness = parse(tmp_path, start)
    assert result(harness, head(0)) == (3, 0)
    assert result(harness, head(1)) == (0, 5)


def test_every_length_of_a_short_frame(tmp_path: Path) -> None:
    harness = parse(tmp_path, b.state("start", 0, [b.extract("h"), put(b.const(1))]))
    for n in range(HEAD + 3):
        assert result(harness, bytes(n)) == ((1, 0) if n >= HEAD else (0, 1))
        assert harness.live() == 0


def test_a_loop_that_consumes_nothing_ends(tmp_path: Path) -> None:
    again = {"type": "default", "value": None, "mask": None, "next_state": "start"}
    start = b.state("start", 0, [put(b.op("+", b.fld("meta", "tmp"), b.const(1)), "tmp")], [],
                    [again])  # fmt: skip
    assert result(parse(tmp_path, start), head()) == (0, 5)


# --- table keys -----------------------------------------------------------------------------------


def keyed(tmp_path: Path, fields: list[str], kind: str, *, entries: Any = None) -> Harness:
    """A table over fields of h; a hit sets `state` from the action data, a miss leaves 0xffff."""
    json = b.program(
        {"h_t": [*TYPES["h_t"], ("w2", 129), ("pad", 7)], "t_t": TYPES["t_t"]},
        {"h": "h_t", "t": "t_t"},
        [], states=[b.state("start", 0, [b.extract("h")])], metadata=[("state", 16)],
        order=["t", "h"],
    )  # fmt: skip
    finish = [b.call("add_header", b.header("t")),
              b.assign(b.fld("t", "v"), b.fld("meta", "state")), b.SEND]  # fmt: skip
    hit = b.assign(b.fld("meta", "state"), {"type": "local", "value": 0})
    hit["parameters"][1] = {"type": "runtime_data", "value": 0}
    json["actions"] += [
        {"name": "hit", "id": 5, "runtime_data": [{"name": "v", "bitwidth": 16}],
         "primitives": [hit]},
        {"name": "after", "id": 6, "runtime_data": [], "primitives": finish},
    ]  # fmt: skip
    table = b.table("t_key", 5, "hit", "t_after")
    table["key"] = [{"match_type": kind, "name": n, "target": ["h", n], "mask": None}
                    for n in fields]  # fmt: skip
    table["match_type"] = kind
    table["default_entry"] = {"action_id": 5, "action_const": False, "action_entry_const": False,
                              "action_data": ["0xffff"]}  # fmt: skip
    if entries is not None:
        table["entries"] = entries
    json["pipelines"][0]["tables"] = [table, b.table("t_after", 6, "after", None)]
    json["pipelines"][0]["init_table"] = "t_key"
    return Harness(read_program(json), tmp_path)


def long_head(kind: int, x: int, y: int, wide: int, w2: int) -> bytes:
    return head(kind, x, y, wide) + (w2 << 7).to_bytes(17, "big")


def value(harness: Harness, frame: bytes) -> int:
    return int.from_bytes(harness.send(frame)[0][1][:2], "big")


def test_keys_lie_as_the_layout_says(tmp_path: Path) -> None:
    """Each field in ceil(width / 8) bytes, big-endian, one after the other."""
    harness = keyed(tmp_path, ["y", "w2", "kind", "wide", "x"], "exact")
    w2, wide = (1 << 128) + 0x1234, 0x0102030405060708FF
    key = (0xABC).to_bytes(2, "big") + w2.to_bytes(17, "big") + b"\x77" + wide.to_bytes(9, "big")
    harness.add(0, key + b"\x0e", 5, b"\x12\x34")
    assert value(harness, long_head(0x77, 0xE, 0xABC, wide, w2)) == 0x1234
    assert value(harness, long_head(0x77, 0xE, 0xABC, wide, w2 - 1)) == 0xFFFF
    assert value(harness, long_head(0x77, 0xF, 0xABC, wide, w2)) == 0xFFFF


@pytest.mark.parametrize("count", [3, 40])
def test_const_entries_as_code_and_looked_up(tmp_path: Path, count: int) -> None:
    """A few entries become comparisons, many a lookup: the same answers."""
    entries = [
        {"match_key": [{"match_type": "ternary", "key": f"0x{i:02x}", "mask": "0xff"},
                       {"match_type": "ternary", "key": "0x0100", "mask": "0x0f00"}],
         "action_entry": {"action_id": 5, "action_data": [hex(100 + i)]}, "priority": 2 + i}
        for i in range(count)
    ]  # fmt: skip
    entries.append({
        "match_key": [{"match_type": "ternary", "key": "0x00", "mask": "0xfe"},
                      {"match_type": "ternary", "key": "0x0000", "mask": "0x0000"}],
        "action_entry": {"action_id": 5, "action_data": ["0x7"]}, "priority": 1,
    })  # fmt: skip
    harness = keyed(tmp_path, ["kind", "y"], "ternary", entries=entries)
    text = (tmp_path / "pipeline.c").read_text()
    assert ("p4n_ternary_lookup(" in text) == (count > 32)
    assert value(harness, long_head(1, 0, 0x100, 0, 0)) == 7
    assert value(harness, long_head(2, 5, 0x1FF, 0, 0)) == 102
    assert value(harness, long_head(2, 5, 0x2FF, 0, 0)) == 0xFFFF
