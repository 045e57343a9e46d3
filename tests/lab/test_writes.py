"""What is written to a NIC: entries encoded by name, and differences in an order without gaps."""

from __future__ import annotations

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from control.difference import compare, index
from control.encoder import Encoder
from control.errors import ControlError
from control.policy import Entry, Group, Meter, MeterRate, NicProgram, Session

P4INFO = """
pkg_info { arch: "v1model" }
tables {
  preamble { id: 33554433 name: "c.rules_table" alias: "rules_table" }
  match_fields { id: 1 name: "address" bitwidth: 32 match_type: TERNARY }
  match_fields { id: 2 name: "port" bitwidth: 16 match_type: RANGE }
  action_refs { id: 16777217 }
  size: 100
}
tables {
  preamble { id: 33554434 name: "c.port_table" alias: "port_table" }
  match_fields { id: 1 name: "port" bitwidth: 9 match_type: EXACT }
  match_fields { id: 2 name: "prefix" bitwidth: 32 match_type: LPM }
  action_refs { id: 16777218 }
  size: 10
}
actions { preamble { id: 16777217 name: "c.deny" alias: "deny" } }
actions {
  preamble { id: 16777218 name: "c.admit" alias: "admit" }
  params { id: 1 name: "mac" bitwidth: 48 }
  params { id: 2 name: "policy" bitwidth: 16 }
}
meters { preamble { id: 335544321 name: "c.storm" alias: "storm" } spec { unit: BYTES } size: 8 }
"""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    path = tmp_path_factory.mktemp("info") / "x.p4info.txtpb"
    path.write_text(P4INFO, encoding="utf-8")
    return Encoder(path)


def admit(port: int, mac: int = 2, policy: int = 0) -> Entry:
    match = (("port", port), ("prefix", (0x0A000000, 8)))
    return Entry("port_table", match, "admit", (("mac", mac), ("policy", policy)))


def deny(address: int, priority: int) -> Entry:
    match = (("address", (address, 0xFFFF0000)), ("port", (80, 90)))
    return Entry("rules_table", match, "deny", priority=priority)


def test_values_are_canonical_byte_strings(encoder: Encoder) -> None:
    entry = encoder.entry(admit(300, mac=0x0200_0000_0001)).table_entry
    assert entry.table_id == 33554434
    assert entry.match[0].exact.value == b"\x01\x2c"
    assert (entry.match[1].lpm.value, entry.match[1].lpm.prefix_len) == (b"\x0a\0\0\0", 8)
    values = [param.value for param in entry.action.action.params]
    assert values == [b"\x02\0\0\0\0\x01", b"\0"]


def test_ternary_values_are_masked_and_ranges_kept(encoder: Encoder) -> None:
    entry = encoder.entry(deny(0x0A01FFFF, 7)).table_entry
    assert entry.match[0].ternary.value == b"\x0a\x01\0\0"
    assert (entry.match[1].range.low, entry.match[1].range.high) == (b"\x50", b"\x5a")
    assert entry.priority == 7


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry("none_table", (), "deny"), "no 'none_table', which the controller writes"),
        (Entry("rules_table", (("colour", 1),), "deny"), "'colour'"),
        (Entry("rules_table", (), "permit"), "'permit'"),
        (Entry("port_table", (), "admit", (("mac", 1),)), "a parameter 'policy' that"),
        (Entry("port_table", (), "admit", (("mac", 1), ("speed", 1))), "'speed'"),
    ],
)
def test_a_program_of_another_version_is_told(encoder: Encoder, entry: Entry, words: str) -> None:
    with pytest.raises(ControlError, match=words):
        encoder.entry(entry)


def test_an_update_is_described_in_names(encoder: Encoder) -> None:
    update = p4r.Update(type=p4r.Update.INSERT, entity=encoder.entry(deny(0x0A010000, 7)))
    text = encoder.describe(update)
    assert (
        text == "+ rules_table address=0x0a010000&0xffff0000 port=0x50..0x5a priority=7 -> deny()"
    )


def updates(encoder: Encoder, want: NicProgram, have: NicProgram) -> list[str]:
    """The difference between two programs, described."""
    last = (encoder.table_ids["port_table"],)
    difference = compare(index(encoder.program(want)), index(encoder.program(have)), last)
    return [encoder.describe(update) for update in difference.updates]


def test_new_things_first_then_the_switching_table_then_removals(encoder: Encoder) -> None:
    rate = MeterRate(1, 2, 3, 4)
    have = NicProgram((admit(1), deny(1 << 16, 1)), (Group(1, ((5, 0),)),))
    want = NicProgram(
        (admit(1, policy=9), deny(2 << 16, 1)),
        (Group(2, ((5, 0),)),),
        (Session(3, 5),),
        (Meter("storm", 2, rate),),
    )
    signs = [text.split()[:2] for text in updates(encoder, want, have)]
    assert signs[0] == ["~", "meter_entry"]
    assert [sign for sign, _ in signs[1:3]] == ["+", "+"]  # group and session
    assert signs[3] == ["+", "rules_table"]
    assert signs[4] == ["~", "port_table"]
    assert signs[5] == ["-", "rules_table"]
    assert signs[6][0] == "-"


def test_equal_programs_write_nothing_whatever_the_order(encoder: Encoder) -> None:
    one = NicProgram((admit(1), admit(2), deny(1 << 16, 1)), (Group(1, ((5, 0), (6, 0))),))
    two = NicProgram((deny(1 << 16, 1), admit(2), admit(1)), (Group(1, ((6, 0), (5, 0))),))
    assert updates(encoder, one, two) == []


def test_byte_strings_that_a_server_pads_are_the_same(encoder: Encoder) -> None:
    want, have = encoder.entry(admit(1)), encoder.entry(admit(1))
    have.table_entry.match[0].exact.value = b"\0\x01"
    have.table_entry.action.action.params[0].value = bytes(5) + b"\x02"
    assert len(compare(index([want]), index([have]))) == 0


def test_a_meter_cell_that_is_not_wanted_is_reset_not_deleted(encoder: Encoder) -> None:
    meter = encoder.meter(Meter("storm", 2, MeterRate(1, 2, 3, 4)))
    (update,) = compare({}, index([meter])).updates
    assert update.type == p4r.Update.MODIFY
    assert not update.entity.meter_entry.HasField("config")


entries = st.one_of(
    st.builds(admit, st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)),
    st.builds(deny, st.sampled_from([1 << 16, 2 << 16]), st.integers(1, 3)),
)


@given(want=st.lists(entries, max_size=12), have=st.lists(entries, max_size=12))
def test_applying_a_difference_gives_what_was_wanted(
    encoder: Encoder, want: list[Entry], have: list[Entry]
) -> None:
    wanted = index(encoder.entry(entry) for entry in want)
    held = index(encoder.entry(entry) for entry in have)
    for update in compare(wanted, held).updates:
        (key,) = index([update.entity])
        if update.type == p4r.Update.INSERT:
            assert key not in held
            held[key] = update.entity
        elif update.type == p4r.Update.MODIFY:
            assert key in held
            held[key] = update.entity
        else:
            del held[key]
    assert held == wanted
