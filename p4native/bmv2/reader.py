"""Reads and validates BMv2 JSON (p4c's or ours) into `model.Program`; faults name the JSON path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from p4native.bmv2 import model as m
from p4native.bmv2.expressions import ExpressionReader, Names
from p4native.bmv2.node import BmvJsonError, Node
from p4native.bmv2.pipelines import read_pipeline

__all__ = ["BmvJsonError", "read_program"]

_SUPPORTED_MAJOR = 2
_MAX_HEADER_BYTES = 65535


def read_program(source: str | Path | Mapping[str, Any], name: str = "") -> m.Program:
    """The program in a JSON file or in an already decoded object.

    Raises BmvJsonError (with the JSON path of the fault) or OSError when the file is unreadable.
    """
    if isinstance(source, Mapping):
        return _read(Node(dict(source), "$"), name or "program")
    path = Path(source)
    try:
        data = json.loads(path.read_bytes())
    except ValueError as err:
        raise BmvJsonError(str(path), f"not JSON: {err}") from None
    return _read(Node(data, "$"), name or path.stem)


def _read(root: Node, name: str) -> m.Program:
    _check_version(root)
    names = Names()
    _read_header_types(root, names)
    _read_instances(root, names)
    _read_stateful(root, names)
    exprs = ExpressionReader(names)
    calculations = tuple(_calculation(n, exprs) for n in root.items("calculations"))
    actions = tuple(_action(n, exprs) for n in root.items("actions"))
    profiles: list[m.ActionProfile] = []
    pipelines = tuple(
        read_pipeline(n, exprs, {a.id: a for a in actions}, profiles)
        for n in root.items("pipelines")
    )
    counters = tuple(_counter(n) for n in root.items("counter_arrays"))
    meters = tuple(_meter(n, exprs) for n in root.items("meter_arrays"))
    _check_bindings(root, pipelines)
    return m.Program(
        name=name,
        header_types=tuple(names.types.values()),
        headers=tuple(names.headers.values()),
        stacks=tuple(names.stacks.values()),
        unions=tuple(names.unions.values()),
        union_stacks=tuple(names.union_stacks.values()),
        errors=_errors(root),
        enums={n["name"].str(): _pairs(n["entries"]) for n in root.items("enums")},
        parsers=tuple(_parser(n, exprs) for n in root.items("parsers")),
        value_sets=tuple(_value_set(n) for n in root.items("parse_vsets")),
        deparsers=tuple(_deparser(n, exprs) for n in root.items("deparsers")),
        meters=meters,
        counters=counters,
        registers=tuple(names.registers.values()),
        calculations=calculations,
        learn_lists=tuple(_field_list(n, exprs) for n in root.items("learn_lists")),
        field_lists=tuple(_field_list(n, exprs) for n in root.items("field_lists")),
        actions=actions,
        profiles=tuple(profiles),
        pipelines=pipelines,
        checksums=tuple(_checksum(n, exprs) for n in root.items("checksums")),
        aliases=_aliases(root, exprs),
    )


def _check_bindings(root: Node, pipelines: tuple[m.Pipeline, ...]) -> None:
    """Direct counters and meters belong to tables that exist."""
    tables = {t.name for p in pipelines for t in p.tables}
    for kind in ("counter_arrays", "meter_arrays"):
        for node in root.items(kind):
            direct = node.get("is_direct")
            if direct is not None and direct.bool() and node["binding"].str() not in tables:
                raise node["binding"].error(f"unknown table '{node['binding'].str()}'")


def _check_version(root: Node) -> None:
    if not isinstance(root.value, dict):
        raise root.error(f"expected a JSON object, got {type(root.value).__name__}")
    meta = root.get("__meta__")
    version = meta.get("version") if meta is not None else None
    if version is None:
        if "pipelines" not in root.value:
            raise root.error("not BMv2 JSON: neither __meta__.version nor pipelines is present")
        return
    major = version.index(0).int()
    if major != _SUPPORTED_MAJOR:
        raise version.error(f"format version {major}.x, expected {_SUPPORTED_MAJOR}.x")


def _errors(root: Node) -> dict[str, int]:
    node = root.get("errors")
    return {} if node is None else _pairs(node)


def _pairs(node: Node) -> dict[str, int]:
    return {pair.index(0).str(): pair.index(1).int() for pair in node}


def _read_header_types(root: Node, names: Names) -> None:
    for node in root.items("header_types"):
        fields = tuple(_field(f) for f in node["fields"])
        if sum(f.varbit for f in fields) > 1:
            raise node.error("more than one variable-length field")
        max_length = node.get("max_length")
        if max_length is not None and max_length.uint() > _MAX_HEADER_BYTES:
            raise max_length.error(f"longer than any frame, expected at most {_MAX_HEADER_BYTES}")
        length_exp = node.get("length_exp")
        names.add_type(
            node,
            m.HeaderType(
                name=node["name"].str(),
                id=node["id"].uint(),
                fields=fields,
                max_length=None if max_length is None else max_length.uint(),
                length_exp=None
                if length_exp is None
                else ExpressionReader(names).expression(length_exp),
            ),
        )


def _field(node: Node) -> m.Field:
    width = node.index(1)
    flags = [node.index(i).bool() for i in range(2, len(node))]
    signed, saturating = (*flags, False, False)[:2]
    if width.value == "*":
        return m.Field(node.index(0).str(), 0, signed, saturating, varbit=True)
    bits = width.width()
    return m.Field(node.index(0).str(), bits, signed, saturating)


def _read_instances(root: Node, names: Names) -> None:
    for node in root.items("headers"):
        htype = names.type(node["header_type"])
        metadata = node["metadata"].bool()
        if not metadata and htype.fixed_bits % 8:
            raise node.error(f"header of {htype.fixed_bits} bits, expected a multiple of 8")
        names.add_header(node, m.Header(node["name"].str(), node["id"].uint(), htype, metadata))
    for node in root.items("header_stacks"):
        htype = names.type(node["header_type"])
        elements = tuple(names.packet_header_by_id(i) for i in node["header_ids"])
        if not elements:
            raise node["header_ids"].error("a stack without elements")
        names.add_stack(node, m.Stack(node["name"].str(), node["id"].uint(), htype, elements))
    _read_unions(root, names)


def _read_unions(root: Node, names: Names) -> None:
    members = {
        n["name"].str(): tuple(h.index(0).str() for h in n["headers"])
        for n in root.items("header_union_types")
    }
    for node in root.items("header_unions"):
        type_name = node["union_type"].str()
        if type_name not in members:
            raise node["union_type"].error(f"unknown header union type '{type_name}'")
        headers = tuple(names.packet_header_by_id(i) for i in node["header_ids"])
        if len(headers) != len(members[type_name]):
            raise node["header_ids"].error(f"expected {len(members[type_name])} members")
        names.add_union(
            node,
            m.Union(node["name"].str(), node["id"].uint(), type_name, members[type_name], headers),
        )
    for node in root.items("header_union_stacks"):
        type_name = node["union_type"].str()
        unions = tuple(names.union_by_id(i) for i in node["header_union_ids"])
        if not unions or any(u.type_name != type_name for u in unions):
            raise node["header_union_ids"].error(f"expected one or more unions of '{type_name}'")
        names.add_union_stack(
            node,
            m.UnionStack(
                node["name"].str(), node["id"].uint(), type_name, members.get(type_name, ()), unions
            ),
        )


def _read_stateful(root: Node, names: Names) -> None:
    for node in root.items("register_arrays"):
        names.add_register(
            node,
            m.Register(
                node["name"].str(), node["id"].uint(), node["size"].uint(), node["bitwidth"].width()
            ),
        )
    for kind in ("meter_arrays", "counter_arrays", "calculations", "extern_instances"):
        for node in root.items(kind):
            names.objects[kind].add(node["name"].str())
    for node in root.items("parse_vsets"):
        names.objects["parse_vsets"].add(node["name"].str())


def _value_set(node: Node) -> m.ValueSet:
    size = node.get("max_size")
    return m.ValueSet(
        node["name"].str(),
        node["id"].uint(),
        node["compressed_bitwidth"].width(),
        0 if size is None else size.uint(),
    )


def _counter(node: Node) -> m.Counter:
    direct = node.get("is_direct")
    binding = node["binding"].str() if direct is not None and direct.bool() else None
    size = node.get("size")
    return m.Counter(
        node["name"].str(), node["id"].uint(), 0 if size is None else size.uint(), binding
    )


def _meter(node: Node, exprs: ExpressionReader) -> m.Meter:
    direct = node.get("is_direct")
    is_direct = direct is not None and direct.bool()
    kind = node["type"].choice("packets", "bytes")
    size = node.get("size")
    return m.Meter(
        name=node["name"].str(),
        id=node["id"].uint(),
        size=0 if size is None else size.uint(),
        rate_count=node["rate_count"].uint(),
        counts_bytes=kind == "bytes",
        binding=node["binding"].str() if is_direct else None,
        target=exprs.field(node["result_target"]) if is_direct else None,
    )


def _calculation(node: Node, exprs: ExpressionReader) -> m.Calculation:
    inputs = tuple(exprs.calc_input(i) for i in node["input"])
    return m.Calculation(node["name"].str(), node["id"].uint(), node["algo"].str(), inputs)


def _field_list(node: Node, exprs: ExpressionReader) -> m.FieldList:
    elements = tuple(exprs.argument(e) for e in node["elements"])
    return m.FieldList(node["name"].str(), node["id"].uint(), elements)


def _action(node: Node, exprs: ExpressionReader) -> m.Action:
    params = tuple(m.Param(p["name"].str(), p["bitwidth"].width()) for p in node["runtime_data"])
    calls = tuple(exprs.call(c, len(params)) for c in node["primitives"])
    return m.Action(node["name"].str(), node["id"].uint(), params, calls)


def _checksum(node: Node, exprs: ExpressionReader) -> m.Checksum:
    kind = node["type"].choice("generic")
    del kind
    condition = node.get("if_cond")
    calculation = node["calculation"].str()
    if calculation not in exprs.names.objects["calculations"]:
        raise node["calculation"].error(f"unknown calculation '{calculation}'")
    return m.Checksum(
        name=node["name"].str(),
        id=node["id"].uint(),
        target=exprs.field(node["target"]),
        calculation=calculation,
        update=_flag(node, "update"),
        verify=_flag(node, "verify"),
        condition=None if condition is None else exprs.expression(condition),
    )


def _flag(node: Node, key: str) -> bool:
    value = node.get(key)
    return True if value is None else value.bool()


def _aliases(root: Node, exprs: ExpressionReader) -> dict[str, m.FieldRef]:
    return {n.index(0).str(): exprs.field(n.index(1)) for n in root.items("field_aliases")}


def _deparser(node: Node, exprs: ExpressionReader) -> m.Deparser:
    order = tuple(exprs.names.header(h) for h in node["order"])
    calls = tuple(exprs.call(c, 0) for c in node.items("primitives"))
    return m.Deparser(node["name"].str(), node["id"].uint(), order, calls)


def _parser(node: Node, exprs: ExpressionReader) -> m.Parser:
    states = tuple(_state(s, exprs) for s in node["parse_states"])
    known = {s.name for s in states}
    for state, state_node in zip(states, node["parse_states"], strict=True):
        for transition in state.transitions:
            if transition.next_state is not None and transition.next_state not in known:
                raise state_node.error(f"transition to unknown state '{transition.next_state}'")
    init = node["init_state"].optional_str()
    if init is not None and init not in known:
        raise node["init_state"].error(f"unknown parser state '{init}'")
    return m.Parser(node["name"].str(), node["id"].uint(), init, states)


def _state(node: Node, exprs: ExpressionReader) -> m.ParseState:
    ops = tuple(_parser_op(o, exprs) for o in node["parser_ops"])
    key = tuple(exprs.argument(k) for k in node["transition_key"])
    return m.ParseState(
        node["name"].str(), node["id"].uint(), ops, key, tuple(_transitions(node, exprs))
    )


def _transitions(node: Node, exprs: ExpressionReader) -> Iterator[m.Transition]:
    for item in node["transitions"]:
        kind_node = item.get("type")
        kind = (
            "hexstr" if kind_node is None else kind_node.choice("default", "hexstr", "parse_vset")
        )
        value = item["value"]
        if kind == "hexstr" and value.value == "default":
            kind = "default"
        mask = item.get("mask")
        yield m.Transition(
            kind=m.TransitionKind(kind),
            value=value.uhex() if kind == "hexstr" else 0,
            mask=None if mask is None or kind == "default" else mask.uhex(),
            value_set=exprs.names.object(value, "parse_vsets") if kind == "parse_vset" else None,
            next_state=item["next_state"].optional_str(),
        )


def _parser_op(node: Node, exprs: ExpressionReader) -> m.ParserOp:
    op = node["op"].choice(
        "extract", "extract_VL", "set", "verify", "shift", "advance", "primitive"
    )
    params = list(node["parameters"])
    expected = 2 if op in ("extract_VL", "set", "verify") else 1
    if len(params) != expected:
        raise node["parameters"].error(f"{len(params)} parameters for '{op}', expected {expected}")
    if op == "primitive":
        return m.ParserOp(op, call=exprs.call(params[0], 0))
    if op == "shift":
        return m.ParserOp("advance", (m.Const(params[0].uint() * 8),))
    if op in ("extract", "extract_VL"):
        target, member = exprs.extract_target(params[0])
        length = (exprs.argument(params[1]),) if op == "extract_VL" else ()
        return m.ParserOp(op, (target, *length), member=member)
    if op == "verify" and isinstance(params[1].value, int):
        return m.ParserOp(op, (exprs.expression(params[0]), m.Const(params[1].int())))
    return m.ParserOp(op, tuple(exprs.argument(p) for p in params))
