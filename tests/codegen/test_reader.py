"""BMv2 JSON that is wrong in any way is refused with the place of the fault, never a crash."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from p4native.bmv2.reader import BmvJsonError, read_program
from p4native.codegen import CodegenError, generate
from p4native.compiler import compile_program

from . import builder as b

CORPUS = Path(__file__).parent.parent / "corpus"
JUNK: list[Any] = [
    None, True, 0, -1, 1 << 70, "", "x", "0x", [], {}, [[]], 3.5, {"type": "field", "value": []},
]  # fmt: skip


def small() -> b.Json:
    return b.program({"h_t": [("a", 8)]}, {"h": "h_t"}, [b.SEND])


def test_a_file_and_its_name(tmp_path: Path) -> None:
    path = tmp_path / "some_nic.json"
    path.write_text(json.dumps(small()))
    program = read_program(path)
    assert program.name == "some_nic"
    assert [t.name for t in program.tables] == ["t_in", "t_out"]
    assert program.action(1).name == "finish"


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "nonsense", '{"__meta__": 3}'])
def test_what_is_no_program(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BmvJsonError):
        read_program(path)


@pytest.mark.parametrize(
    ("where", "value", "path", "message"),
    [
        (("__meta__", "version"), [3, 0], "$.__meta__.version", "3.x"),
        (("headers", 2, "header_type"), "no_t", "$.headers[2].header_type", "no_t"),
        (("header_types", 2, "fields", 0, 1), 9, "$.headers[2]", "multiple of 8"),
        (("header_types", 2, "fields", 0, 1), -1, "$.header_types[2].fields[0][1]", "-1 bits"),
        (("deparsers", 0, "order", 0), "x", "$.deparsers[0].order[0]", "unknown header"),
        (("parsers", 0, "init_state"), "x", "$.parsers[0].init_state", "unknown parser state"),
        (("pipelines", 0, "init_table"), "x", "$.pipelines[0]", "unknown node 'x'"),
        (("pipelines", 0, "tables", 0, "action_ids", 0), 99,
         "$.pipelines[0].tables[0].action_ids[0]", "99"),
        (("actions", 0, "primitives", 0, "parameters"), [],
         "$.actions[0].primitives[0].parameters", "expected 2"),
    ],
)  # fmt: skip
def test_faults_name_their_place(
    where: tuple[Any, ...], value: Any, path: str, message: str
) -> None:
    tree = small()
    node: Any = tree
    for step in where[:-1]:
        node = node[step]
    node[where[-1]] = value
    with pytest.raises(BmvJsonError) as fault:
        read_program(tree)
    assert fault.value.path == path
    assert message in fault.value.message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (b.call("no_such_primitive"), "no_such_primitive"),
        (b.call("push", b.header("h"), b.const(1)), "needs a stack"),
        (b.call("_jump", b.const(9)), "jumps out of the action"),
    ],
)
def test_what_cannot_be_generated_is_named(call: b.Json, message: str) -> None:
    program = b.program({"h_t": [("a", 8)]}, {"h": "h_t"}, [call])
    with pytest.raises(CodegenError, match="action run") as fault:
        generate(read_program(program))
    assert message in str(fault.value)


def test_unknown_hash_algorithm_lists_the_known_ones() -> None:
    calculations = [{"name": "c", "id": 0, "algo": "md5", "input": [b.fld("h", "a")]}]
    program = b.program({"h_t": [("a", 8)]}, {"h": "h_t"}, [], calculations=calculations)
    with pytest.raises(CodegenError, match=r"md5.*crc32"):
        generate(read_program(program))


def positions(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if key != "source_info":
            nested = isinstance(value, dict | list)
            found += positions(value, (*path, key)) if nested else [(*path, key)]
    return found


def spoil(tree: Any, rng: random.Random, places: list[tuple[Any, ...]]) -> Any:
    """A copy with one part removed, replaced by junk or by another part, or repeated."""
    tree = copy.deepcopy(tree)
    *way, last = rng.choice(places)
    node = tree
    for step in way:
        node = node[step]
    match rng.randrange(4):
        case 0:
            del node[last]
        case 1:
            node[last] = copy.deepcopy(rng.choice(JUNK))
        case 2:
            other: Any = tree
            for step in rng.choice(places):
                other = other[step]
            node[last] = copy.deepcopy(other)
        case _ if isinstance(node, list):
            node.append(copy.deepcopy(node[last]))
        case _:
            node[last] = [node[last]]
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("name", ["union_stack", "table_kinds", "replication", "varbit"])
def test_spoiled_programs_are_refused_or_generated(name: str) -> None:
    tree = compile_program(CORPUS / f"{name}.p4").json
    places, rng = positions(tree), random.Random(name)
    refused = 0
    for _ in range(150):
        try:
            generate(read_program(spoil(tree, rng, places)))
        except (BmvJsonError, CodegenError):
            refused += 1
    assert refused > 50
