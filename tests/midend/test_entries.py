"""Entries written in the program: which of them count, and what is said of the others."""

from __future__ import annotations

from typing import Any

from tests.midend.programs import Compiled, compiled

TABLE = """
action set(bit<8> v) {{ meta.x = v; }}
table t {{
    key = {{ hdr.h.a : {match}; }}
    actions = {{ set; NoAction; }}
    {properties}
}}
"""


def made(match: str, properties: str) -> Compiled:
    return compiled(locals=TABLE.format(match=match, properties=properties), apply="t.apply();")


def entries(found: Compiled) -> list[tuple[str, int]]:
    """Action data and priority of each entry in the JSON."""
    tables: list[Any] = found.json()["pipelines"][0]["tables"]
    table = next(t for t in tables if t["name"].endswith(".t"))
    return [(e["action_entry"]["action_data"][0], e["priority"]) for e in table["entries"]]


def warnings(found: Compiled) -> list[str]:
    return [d.category for d in found.reporter.warnings]


def test_an_exact_key_that_comes_again_is_left_out() -> None:
    found = made("exact", "const entries = { 1: set(4); 2: set(5); 1: set(6); }")
    assert entries(found) == [("0x4", 1), ("0x5", 2)]
    assert warnings(found) == ["duplicate"]


def test_a_prefix_that_comes_again_is_left_out() -> None:
    found = made("lpm", "const entries = { 0x10 &&& 0xf0: set(4); 0x17 &&& 0xf0: set(5); }")
    assert [data for data, _ in entries(found)] == ["0x4"]


def test_a_ternary_key_may_come_again() -> None:
    found = made("ternary", "const entries = { 1: set(4); 1: set(5); }")
    assert len(entries(found)) == 2
    assert warnings(found) == []


def test_priorities_out_of_order_are_told_once() -> None:
    found = made(
        "ternary", "entries = { priority = 9: 1: set(1); 2: set(2); priority = 9: 3: set(3); }"
    )
    assert warnings(found) == ["duplicate-priorities", "entries-out-of-priority-order"]
    assert entries(found) == [("0x1", 1), ("0x2", 3), ("0x3", 2)]


def test_a_size_without_effect() -> None:
    assert warnings(made("exact", "size = 4; const entries = { 1: set(1); }")) == ["mismatch"]
    assert warnings(made("exact", "size = 4;")) == []


def test_priority_zero_is_the_last() -> None:
    found = made("ternary", "entries = { priority = 9: 1: set(1); priority = 0: 2: set(2); }")
    assert entries(found) == [("0x1", 1), ("0x2", 2)]


def test_annotated_priorities_are_bmv2s_own() -> None:
    found = made("ternary", "const entries = { 1: set(1) @priority(7); 2: set(2); }")
    assert entries(found) == [("0x1", 7), ("0x2", 2)]
