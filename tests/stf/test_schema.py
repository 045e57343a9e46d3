"""Names in scripts against the names in a program's JSON."""

from __future__ import annotations

import pytest

from p4native.stf.errors import StfError
from p4native.stf.schema import Schema, read_schema
from p4native.stf.script import ActionCall

PROGRAM = {
    "header_types": [
        {"name": "h_t", "fields": [["f", 16, False], ["g", 32, False]]},
        {"name": "v_t", "fields": [["body", "*"]]},
    ],
    "headers": [
        {"name": "hdr", "header_type": "h_t"},
        {"name": "stack[1]", "header_type": "h_t"},
        {"name": "options", "header_type": "v_t"},
    ],
    "actions": [
        {"id": 0, "name": "c.set", "runtime_data": [{"name": "x", "bitwidth": 8}]},
        {"id": 1, "name": "NoAction", "runtime_data": []},
        {"id": 2, "name": "d.set", "runtime_data": []},
    ],
    "pipelines": [
        {
            "tables": [
                {
                    "name": "c.inner.t",
                    "action_ids": [0, 1],
                    "key": [
                        {"match_type": "exact", "name": "hdr.f", "target": ["hdr", "f"]},
                        {"match_type": "lpm", "target": ["stack[1]", "g"]},
                        {
                            "match_type": "exact",
                            "name": "hdr.$valid$",
                            "target": ["hdr", "$valid$"],
                        },
                    ],
                },
                {"name": "c.t2", "action_ids": [2, 0], "key": []},
            ]
        },
        {"tables": [{"name": "e.t2", "action_ids": [], "key": []}]},
    ],
}


@pytest.fixture
def schema() -> Schema:
    return read_schema(PROGRAM)


@pytest.mark.parametrize("name", ["c.inner.t", "inner.t", "t"])
def test_tables_by_any_unambiguous_end(schema: Schema, name: str) -> None:
    assert schema.table(name).name == "c.inner.t"


@pytest.mark.parametrize("name", ["t2", "nothing"])
def test_ambiguous_and_unknown_tables_list_the_candidates(schema: Schema, name: str) -> None:
    with pytest.raises(StfError, match=r"'c\.t2'"):
        schema.table(name)


def test_keys_by_suffix_stack_index_and_validity(schema: Schema) -> None:
    table = schema.table("t")
    given = [("f", "0x1"), ("stack$1.g", "0x0a000000/8"), ("hdr.isValid", "1")]
    matches = schema.bind_matches(table, given)
    assert [(m.value, m.prefix_len, m.width) for m in matches] == [
        (1, 0, 16),
        (10 << 24, 8, 32),
        (1, 0, 1),
    ]
    assert schema.bind_matches(table, [("hdr.valid", "1")])[2].value == 1
    assert schema.bind_matches(table, [("$valid$", "1")])[2].value == 1


def test_actions_must_belong_to_the_table_and_arguments_must_fit(schema: Schema) -> None:
    table = schema.table("t")
    assert schema.bind_action(table, ActionCall("set", (("x", "0x7f"),))).args == (0x7F,)
    for call in (
        ActionCall("set", ()),
        ActionCall("set", (("x", "256"),)),
        ActionCall("set", (("x", "1"), ("y", "1"))),
        ActionCall("d.set", ()),
    ):
        with pytest.raises(StfError):
            schema.bind_action(table, call)
