"""The STF grammar: every command, and located faults."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4native.stf import script as ast
from p4native.stf.errors import StfSyntaxError
from p4native.stf.parser import parse_int, parse_script


def one(text: str) -> ast.Statement:
    (statement,) = parse_script(text)
    return statement


def faults(text: str) -> list[str]:
    with pytest.raises(StfSyntaxError) as caught:
        parse_script(text, "t.stf")
    return caught.value.messages


def test_packet_joins_words_and_ignores_comments() -> None:
    assert one("packet 3 0102 aB  # note") == ast.Packet(1, 3, b"\x01\x02\xab")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("expect 1 00 a* **", "00A***"), ("EXPECT 1 00 $", "00$"), ("expect 1", None)],
)
def test_expect_patterns(text: str, pattern: str | None) -> None:
    assert one(text) == ast.Expect(1, 1, pattern)


def test_add_with_priority_matches_arguments_and_label() -> None:
    statement = one('add c.t 7 h.a[1].f:0x1* "odd name":0b1 c.act(x:1, "the y":0x2) = A')
    assert statement == ast.Add(
        1,
        "c.t",
        7,
        (("h.a[1].f", "0x1*"), ("odd name", "0b1")),
        ast.ActionCall("c.act", (("x", "1"), ("the y", "0x2"))),
        "A",
    )


def test_add_without_priority_or_matches() -> None:
    assert one("add t act()") == ast.Add(1, "t", None, (), ast.ActionCall("act", ()), None)


@pytest.mark.parametrize("text", ["10/8", "1&&&3", "1..5", "0x1**"])
def test_match_value_forms(text: str) -> None:
    statement = one(f"add t k:{text} a()")
    assert isinstance(statement, ast.Add)
    assert statement.matches == (("k", text),)


def test_arrow_is_a_range() -> None:
    statement = one("add t 1 k:5->9 a()")
    assert isinstance(statement, ast.Add)
    assert statement.matches == (("k", "5..9"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wait", ast.Wait(1)),
        ("no_packet", ast.NoPacket(1, None)),
        ("no_packet 4", ast.NoPacket(1, 4)),
        ("remove all", ast.Remove(1, None)),
        ("remove $A", ast.Remove(1, "A")),
        ("mirroring_add 5 6", ast.MirroringAdd(1, 5, 6)),
        ("mirroring_add_mc 5 6", ast.MirroringAddMc(1, 5, 6)),
        ("mirroring_delete 5", ast.MirroringDelete(1, 5)),
        ("mirroring_get 5", ast.MirroringGet(1, 5)),
        ("mc_mgrp_create 7", ast.GroupCreate(1, 7)),
        ("mc_node_create 1 2 3", ast.NodeCreate(1, 1, (2, 3))),
        ("mc_node_update 0 2", ast.NodeUpdate(1, 0, (2,))),
        ("mc_node_associate 7 0", ast.NodeAssociate(1, 7, 0)),
        ("counter_read c.x 3", ast.CounterRead(1, "c.x", 3)),
        ("counter_write c.x 3 4 5", ast.CounterWrite(1, "c.x", 3, 4, 5)),
        ("check_counter c(3)", ast.CheckCounter(1, "c", 3, "packets", "==", 0)),
        ("check_counter c($A) bytes >= 0x10", ast.CheckCounter(1, "c", "A", "bytes", ">=", 16)),
        ("register_read r 1", ast.RegisterRead(1, "r", 1, None)),
        ("register_read r 1 == 9", ast.RegisterRead(1, "r", 1, 9)),
        ("register_write r 1 9", ast.RegisterWrite(1, "r", 1, 9)),
        ("register_reset r", ast.RegisterReset(1, "r")),
        ("meter_get_rates m 2", ast.MeterGet(1, "m", 2)),
        (
            "meter_set_rates m 2 0.5:4 2:5",
            ast.MeterSet(1, "m", 2, ast.Rate(0.5, 4), ast.Rate(2.0, 5)),
        ),
        (
            "meter_array_set_rates m 1:4 2:5",
            ast.MeterSet(1, "m", None, ast.Rate(1.0, 4), ast.Rate(2.0, 5)),
        ),
        ("setdefault t a(x:1)", ast.SetDefault(1, "t", ast.ActionCall("a", (("x", "1"),)))),
    ],
)
def test_commands(text: str, expected: ast.Statement) -> None:
    assert one(text) == expected


def test_every_faulty_line_is_reported_with_its_column() -> None:
    text = "packet 0 0\n\nfrobnicate\nadd t k=1 a()\nexpect x\npacket 1 0g\nwait now\n"
    found = faults(text)
    assert [message.split(" error")[0] for message in found] == [
        "t.stf:1:10:",
        "t.stf:3:1:",
        "t.stf:4:8:",
        "t.stf:5:7:",
        "t.stf:6:10:",
        "t.stf:7:6:",
    ]


@pytest.mark.parametrize(("text", "value"), [("0x1F", 31), ("0b101", 5), ("0o17", 15), ("007", 7)])
def test_integers(text: str, value: int) -> None:
    assert parse_int(text) == value


@given(st.text(alphabet=string.printable, max_size=80))
def test_any_text_parses_or_faults(text: str) -> None:
    try:
        parse_script(text)
    except StfSyntaxError as fault:
        assert fault.messages


@given(st.integers(0, 511), st.binary(max_size=64))
def test_packet_bytes_survive(port: int, data: bytes) -> None:
    assert one(f"packet {port} {data.hex(' ')}") == ast.Packet(1, port, data)
