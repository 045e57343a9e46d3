"""Headers in place, added, removed, copied; stacks, unions and variable-length fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from p4native.bmv2.reader import read_program

from . import builder as b
from .harness import Harness

ETH = [("dst", 48), ("src", 48), ("type", 16)]
TAG = [("pcp", 3), ("dei", 1), ("vid", 12), ("type", 16)]
ETH_BYTES = bytes.fromhex("0a0b0c0d0e0f0102030405068100")


def run(tmp_path: Path, frame: bytes, ingress: list[b.Json], **kwargs: Any) -> bytes:
    """The frame after a program over eth and two tags."""
    types = {"eth_t": ETH, "tag_t": TAG}
    headers = {"eth": "eth_t", "tag": "tag_t", "tag2": "tag_t"}
    states = [b.state("start", 0, [b.extract("eth"), b.extract("tag")])]
    json = b.program(types, headers, [*ingress, b.SEND], states=states, **kwargs)
    sent = Harness(read_program(json), tmp_path).send(frame)
    assert [port for port, _ in sent] == [1]
    return sent[0][1]


TAG_BYTES = bytes.fromhex("a0640800")
PAYLOAD = bytes(range(40))
FRAME = ETH_BYTES + TAG_BYTES + PAYLOAD


def test_untouched(tmp_path: Path) -> None:
    assert run(tmp_path, FRAME, []) == FRAME


def test_removed_header_closes_the_gap(tmp_path: Path) -> None:
    out = run(tmp_path, FRAME, [b.call("remove_header", b.header("tag"))])
    assert out == ETH_BYTES + PAYLOAD


def test_added_header_pushes_what_is_before_it(tmp_path: Path) -> None:
    body = [
        b.call("add_header", b.header("tag2")),
        b.assign(b.fld("tag2", "vid"), b.const(0xABC)),
        b.assign(b.fld("tag2", "type"), b.fld("tag", "type")),
    ]
    assert run(tmp_path, FRAME, body) == FRAME[:18] + bytes.fromhex("0abc0800") + PAYLOAD


def test_swap_by_copies(tmp_path: Path) -> None:
    """tag2 = tag; tag removed; eth emitted last: every header moves."""
    body = [
        b.call("assign_header", b.header("tag2"), b.header("tag")),
        b.call("remove_header", b.header("tag")),
    ]
    out = run(tmp_path, FRAME, body, order=["tag2", "tag", "eth"])
    assert out == TAG_BYTES + ETH_BYTES + PAYLOAD


def test_emitted_twice(tmp_path: Path) -> None:
    out = run(tmp_path, FRAME, [], order=["eth", "tag", "tag"])
    assert out == ETH_BYTES + TAG_BYTES * 2 + PAYLOAD


def test_assigning_an_invalid_header_invalidates(tmp_path: Path) -> None:
    out = run(tmp_path, FRAME, [b.call("assign_header", b.header("tag"), b.header("tag2"))])
    assert out == ETH_BYTES + PAYLOAD


def test_added_again_is_zero(tmp_path: Path) -> None:
    body = [b.call("remove_header", b.header("tag")), b.call("add_header", b.header("tag"))]
    assert run(tmp_path, FRAME, body) == ETH_BYTES + bytes(4) + PAYLOAD


def test_bits_around_a_field_stay(tmp_path: Path) -> None:
    out = run(tmp_path, FRAME, [b.assign(b.fld("tag", "dei"), b.const(1))])
    assert out == ETH_BYTES + bytes.fromhex("b0640800") + PAYLOAD


def test_equal_headers_are_valid_and_the_same(tmp_path: Path) -> None:
    def same(x: str, y: str) -> b.Json:
        return b.op("b2d", None, b.op("==", b.header(x), b.header(y)))

    body = [
        b.assign(b.fld("tag", "pcp"), same("tag", "tag2")),
        b.call("assign_header", b.header("tag2"), b.header("tag")),
        b.assign(b.fld("tag", "dei"), same("tag", "tag2")),
    ]
    out = run(tmp_path, FRAME, body, order=["eth", "tag"])
    assert out == ETH_BYTES + bytes.fromhex("10640800") + PAYLOAD


def test_packet_length_register(tmp_path: Path) -> None:
    """Egress sees the length with added and without removed headers; copies do not count."""
    body = [b.call("add_header", b.header("tag2")), b.call("remove_header", b.header("tag"))]
    egress = [b.assign(b.fld("tag2", "type"), b.fld("standard_metadata", "packet_length"))]
    out = run(tmp_path, FRAME, [*body, body[0]], egress=egress)
    assert out == ETH_BYTES + bytes(2) + len(FRAME).to_bytes(2, "big") + PAYLOAD


# --- stacks ---------------------------------------------------------------------------------------

ITEM = [("more", 8), ("value", 8)]


def stack_program(ingress: list[b.Json]) -> b.Json:
    """Parses items into s[0..3] until `more` is 0."""
    loop = {
        "op": "extract",
        "parameters": [{"type": "stack", "value": "s"}],
    }
    key = [{"type": "stack_field", "value": ["s", "more"]}]
    moves = [
        {"type": "hexstr", "value": "0x01", "mask": None, "next_state": "start"},
        {"type": "default", "value": None, "mask": None, "next_state": None},
    ]
    headers = {f"s[{i}]": "item_t" for i in range(4)}
    return b.program(
        {"item_t": ITEM}, headers, [*ingress, b.SEND],
        states=[b.state("start", 0, [loop], key, moves)],
        header_stacks=[{"name": "s", "id": 0, "header_type": "item_t",
                        "header_ids": [2, 3, 4, 5]}],
    )  # fmt: skip


STACK: b.Json = {"type": "header_stack", "value": "s"}
ITEMS = bytes([1, 10, 1, 11, 0, 12])


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([], [1, 10, 1, 11, 0, 12]),
        ([("pop", 1)], [1, 11, 0, 12]),
        ([("pop", 2)], [0, 12]),
        ([("pop", 9)], []),
        ([("push", 1)], [1, 10, 1, 11, 0, 12]),
        ([("push", 2)], [1, 10, 1, 11]),
        ([("push", 2), ("pop", 2)], [1, 10, 1, 11]),
        ([("pop", 1), ("push", 1), "add0"], [0, 0, 1, 11, 0, 12]),
        ([("push", 1), "add0", ("pop", 1)], [1, 10, 1, 11, 0, 12]),
        ([("push", 1), "add0", ("push", 1), "add0"], [0, 0, 0, 0, 1, 10, 1, 11]),
    ],
)
def test_stack_shifts(tmp_path: Path, ops: list[Any], expected: list[int]) -> None:
    body = [
        b.call("add_header", b.header("s[0]"))
        if op == "add0"
        else b.call(op[0], STACK, b.const(op[1]))
        for op in ops
    ]
    harness = Harness(read_program(stack_program(body)), tmp_path)
    assert harness.send(ITEMS + b"xyz") == [(1, bytes(expected) + b"xyz")]


def test_stack_index_at_run_time(tmp_path: Path) -> None:
    """s[s[0].value].value = 77 for an index inside; an index outside changes nothing."""
    element = b.op("dereference_header_stack", STACK, b.fld("s[0]", "value"))
    place = {"type": "expression", "value": {"op": "access_field", "left": element, "right": 1}}
    target = {"type": "expression", "value": place}
    harness = Harness(read_program(stack_program([b.assign(target, b.const(77))])), tmp_path)
    assert harness.send(bytes([1, 1, 0, 5])) == [(1, bytes([1, 1, 0, 77]))]
    assert harness.send(bytes([1, 200, 0, 5])) == [(1, bytes([1, 200, 0, 5]))]


def test_last_index_and_size(tmp_path: Path) -> None:
    body = [
        b.assign(b.fld("s[0]", "value"), b.op("last_stack_index", None, STACK)),
        b.assign(b.fld("s[1]", "value"), b.op("size_stack", None, STACK)),
    ]
    harness = Harness(read_program(stack_program(body)), tmp_path)
    assert harness.send(ITEMS) == [(1, bytes([1, 2, 1, 3, 0, 12]))]


def test_full_stack_is_a_parser_error(tmp_path: Path) -> None:
    body = [b.assign(b.fld("s[0]", "value"), b.fld("standard_metadata", "parser_error"))]
    harness = Harness(read_program(stack_program(body)), tmp_path)
    assert harness.send(bytes([1, 0] * 6)) == [(1, bytes([1, 3, *[1, 0] * 5]))]


# --- unions ---------------------------------------------------------------------------------------


def union_program(ingress: list[b.Json]) -> b.Json:
    types = {"kind_t": [("kind", 8)], "a_t": [("x", 8)], "b_t": [("y", 16)]}
    headers = {"k": "kind_t", "u.a": "a_t", "u.b": "b_t"}
    key = [b.fld("k", "kind")]
    moves = [
        {"type": "hexstr", "value": "0x01", "mask": None, "next_state": "a"},
        {"type": "default", "value": None, "mask": None, "next_state": "b"},
    ]
    states = [
        b.state("start", 0, [b.extract("k")], key, moves),
        b.state("a", 1, [b.extract("u.a")]),
        b.state("b", 2, [b.extract("u.b")]),
    ]
    return b.program(
        types, headers, [*ingress, b.SEND], states=states,
        header_union_types=[{"name": "U", "id": 0, "headers": [["a", "a_t"], ["b", "b_t"]]}],
        header_unions=[{"name": "u", "id": 0, "union_type": "U", "header_ids": [3, 4]}],
    )  # fmt: skip


def test_making_a_member_valid_invalidates_the_other(tmp_path: Path) -> None:
    harness = Harness(
        read_program(union_program([b.call("add_header", b.header("u.b"))])), tmp_path
    )
    assert harness.send(bytes([1, 9])) == [(1, bytes([1, 0, 0]))]
    assert harness.send(bytes([2, 7, 8])) == [(1, bytes([2, 7, 8]))]


@pytest.mark.parametrize("kind", ["header_union", "header"])  # p4c's for an element of a stack
def test_union_validity(tmp_path: Path, kind: str) -> None:
    union = {"type": kind, "value": "u"}
    valid = b.op("b2d", None, b.op("valid_union", None, union))
    body = [
        b.call("remove_header", b.header("u.a")),
        b.assign(b.fld("k", "kind"), valid),
    ]
    harness = Harness(read_program(union_program(body)), tmp_path)
    assert harness.send(bytes([1, 9])) == [(1, bytes([0]))]
    assert harness.send(bytes([2, 7, 8])) == [(1, bytes([1, 7, 8]))]


def test_validity_of_a_union_stack_element(tmp_path: Path) -> None:
    """us[k.kind].isValid() with the index from the frame; false beyond the stack."""
    types = {"kind_t": [("kind", 8), ("valid", 8)], "a_t": [("x", 8)], "b_t": [("y", 16)]}
    headers = {"k": "kind_t", "us[0].a": "a_t", "us[0].b": "b_t", "us[1].a": "a_t",
               "us[1].b": "b_t"}  # fmt: skip
    extract = {"op": "extract", "parameters": [{"type": "union_stack", "value": ["us", "b"]}]}
    stack = {"type": "header_union_stack", "value": "us"}
    element = b.op("dereference_union_stack", stack, b.fld("k", "kind"))
    valid = b.op("b2d", None, b.op("valid_union", None, element))
    json = b.program(
        types, headers, [b.assign(b.fld("k", "valid"), valid), b.SEND],
        states=[b.state("start", 0, [b.extract("k"), extract])],
        header_union_types=[{"name": "U", "id": 0, "headers": [["a", "a_t"], ["b", "b_t"]]}],
        header_unions=[{"name": f"us[{i}]", "id": i, "union_type": "U",
                        "header_ids": [3 + 2 * i, 4 + 2 * i]} for i in range(2)],
        header_union_stacks=[{"name": "us", "id": 0, "union_type": "U",
                              "header_union_ids": [0, 1]}],
    )  # fmt: skip
    harness = Harness(read_program(json), tmp_path)
    for index, expected in ((0, 1), (1, 0), (2, 0), (200, 0)):
        assert harness.send(bytes([index, 9, 5, 6])) == [(1, bytes([index, expected, 5, 6]))]


# --- variable-length fields -----------------------------------------------------------------------

OPTIONS = [("len", 8), ("data", "*"), ("end", 8)]


def varbit_program(ingress: list[b.Json]) -> b.Json:
    length = b.op("<<", b.fld("n", "len"), b.const(3))
    op = {
        "op": "extract_VL",
        "parameters": [{"type": "regular", "value": "v"},
                       {"type": "expression", "value": length}],
    }  # fmt: skip
    types = {"n_t": [("len", 8)], "v_t": OPTIONS}
    headers = {"n": "n_t", "v": "v_t", "w": "v_t"}
    states = [b.state("start", 0, [b.extract("n"), op])]
    return b.program(types, headers, [*ingress, b.SEND], states=states)


def test_varbit_round_trip(tmp_path: Path) -> None:
    harness = Harness(read_program(varbit_program([])), tmp_path)
    for n in (0, 1, 7, 62):
        frame = bytes([n, 0xAA, *range(n), 0xBB]) + b"rest"
        assert harness.send(frame) == [(1, frame)]


def test_varbit_copy_keeps_what_follows_it(tmp_path: Path) -> None:
    """w = v, then w.end changes: its place depends on the length."""
    body = [
        b.call("assign_header", b.header("w"), b.header("v")),
        b.assign(b.fld("w", "end"), b.const(0x55)),
    ]
    harness = Harness(read_program(varbit_program(body)), tmp_path)
    sent = harness.send(bytes([3, 0xAA, 1, 2, 3, 0xBB, 0x99]))
    assert sent == [(1, bytes([3, 0xAA, 1, 2, 3, 0xBB, 0xAA, 1, 2, 3, 0x55, 0x99]))]


def test_varbit_assignment_resizes_the_header(tmp_path: Path) -> None:
    body = [
        b.call("add_header", b.header("w")),
        b.assign(b.fld("w", "end"), b.const(0x77)),
        b.call("assign_VL", b.fld("w", "data"), b.fld("v", "data")),
    ]
    harness = Harness(read_program(varbit_program(body)), tmp_path)
    sent = harness.send(bytes([2, 0xAA, 1, 2, 0xBB]))
    assert sent == [(1, bytes([2, 0xAA, 1, 2, 0xBB, 0, 1, 2, 0x77]))]


@pytest.mark.parametrize(("frame", "error"), [
    (bytes([63, *range(70)]), 4),  # longer than the header may be
    (bytes([9, 0xAA, 1]), 1),      # longer than the frame
])  # fmt: skip
def test_varbit_errors(tmp_path: Path, frame: bytes, error: int) -> None:
    body = [b.assign(b.fld("n", "len"), b.fld("standard_metadata", "parser_error"))]
    harness = Harness(read_program(varbit_program(body)), tmp_path)
    assert harness.send(frame) == [(1, bytes([error]) + frame[1:])]
