"""Small BMv2 JSON programs for tests: one input header, one output header, one action."""

from __future__ import annotations

from typing import Any

STANDARD = [
    ("ingress_port", 9), ("egress_spec", 9), ("egress_port", 9), ("instance_type", 32),
    ("packet_length", 32), ("parser_error", 32), ("checksum_error", 1), ("mcast_grp", 16),
    ("egress_rid", 16), ("_padding", 7),
]  # fmt: skip
Json = dict[str, Any]


def fld(header: str, name: str) -> Json:
    return {"type": "field", "value": [header, name]}


def const(value: int) -> Json:
    return {"type": "hexstr", "value": hex(value)}


def op(name: str, left: Json | None, right: Json, **more: Any) -> Json:
    return {"type": "expression", "value": {"op": name, "left": left, "right": right, **more}}


def call(name: str, *params: Json) -> Json:
    return {"op": name, "parameters": list(params)}


def assign(target: Json, value: Json) -> Json:
    if value["type"] == "expression":
        value = {"type": "expression", "value": value}
    return call("assign", target, value)


def header(name: str) -> Json:
    return {"type": "header", "value": name}


def table(name: str, action: int, action_name: str, then: str | None) -> Json:
    return {
        "name": name, "id": action, "key": [], "match_type": "exact", "type": "simple",
        "max_size": 1, "with_counters": False, "support_timeout": False, "direct_meters": None,
        "action_ids": [action], "actions": [action_name], "base_default_next": then,
        "next_tables": {action_name: then},
        "default_entry": {"action_id": action, "action_const": True, "action_data": [],
                          "action_entry_const": True},
    }  # fmt: skip


def state(
    name: str,
    number: int,
    ops: list[Json],
    key: list[Json] = (),  # type: ignore[assignment]
    transitions: list[Json] = (),
) -> Json:  # type: ignore[assignment]
    moves = list(transitions) or [
        {"type": "default", "value": None, "mask": None, "next_state": None}
    ]
    return {
        "name": name,
        "id": number,
        "parser_ops": ops,
        "transition_key": list(key),
        "transitions": moves,
    }


def extract(name: str) -> Json:
    return {"op": "extract", "parameters": [{"type": "regular", "value": name}]}


def program(
    types: dict[str, list[Any]],
    headers: dict[str, str],
    ingress: list[Json],
    *,
    order: list[str] | None = None,
    states: list[Json] | None = None,
    egress: list[Json] = (),  # type: ignore[assignment]
    metadata: list[Any] = (),  # type: ignore[assignment]
    **extra: Any,
) -> Json:
    """A program whose ingress and egress each run one list of primitives."""
    all_types = {"standard_metadata_t": STANDARD, "meta_t": [*metadata, ("_pad", 8)], **types}
    instances = [("standard_metadata", "standard_metadata_t", True), ("meta", "meta_t", True)]
    instances += [(n, t, False) for n, t in headers.items()]
    type_rows = []
    for i, (name, fields) in enumerate(all_types.items()):
        row: Json = {"name": name, "id": i, "fields": [list(f) for f in fields]}
        if any(f[1] == "*" for f in fields):
            row["max_length"] = 64
        type_rows.append(row)
    first = next(iter(headers))
    result: Json = {
        "__meta__": {"version": [2, 23], "compiler": "test"},
        "header_types": type_rows,
        "headers": [
            {"name": n, "id": i, "header_type": t, "metadata": meta}
            for i, (n, t, meta) in enumerate(instances)
        ],
        "errors": [["NoError", 0], ["PacketTooShort", 1], ["NoMatch", 2], ["StackOutOfBounds", 3],
                   ["HeaderTooShort", 4], ["ParserTimeout", 5], ["ParserInvalidArgument", 6]],
        "parsers": [{"name": "parser", "id": 0, "init_state": "start",
                     "parse_states": states or [state("start", 0, [extract(first)])]}],
        "deparsers": [{"name": "deparser", "id": 0,
                       "order": list(headers) if order is None else order}],
        "actions": [
            {"name": "run", "id": 0, "runtime_data": [], "primitives": ingress},
            {"name": "finish", "id": 1, "runtime_data": [], "primitives": list(egress)},
        ],
        "pipelines": [
            {"name": "ingress", "id": 0, "init_table": "t_in", "conditionals": [],
             "tables": [table("t_in", 0, "run", None)]},
            {"name": "egress", "id": 1, "init_table": "t_out", "conditionals": [],
             "tables": [table("t_out", 1, "finish", None)]},
        ],
    }  # fmt: skip
    result.update(extra)
    return result


SEND = assign(fld("standard_metadata", "egress_spec"), const(1))
