"""What elaboration makes a program do, where the order of things is easily got wrong."""

from __future__ import annotations

import pytest

from p4native.midend import core
from tests.midend.interpreter import Machine
from tests.midend.programs import compiled

GLOBALS = """
bit<8> bump(inout bit<8> v) { v = v + 1; return v; }
bit<8> sum(inout bit<8> v, in bit<8> more) { v = v + more; return v; }
control Add(inout bit<8> v, in bit<8> more) { apply { v = v + more; } }
"""
LOCALS = """
action add(inout bit<8> v, in bit<8> more) { v = v + more; }
Add() once;
Add() twice;
"""


@pytest.mark.parametrize(
    ("statements", "x", "y"),
    [
        pytest.param("meta.y = sum(meta.x, bump(meta.x));", 3, 3, id="function"),
        pytest.param("add(meta.x, bump(meta.x));", 3, 0, id="action"),
        pytest.param("once.apply(meta.x, bump(meta.x));", 3, 0, id="control"),
        pytest.param(
            "twice.apply(meta.x, bump(meta.x)); twice.apply(meta.x, bump(meta.x));",
            7,
            0,
            id="shared control",
        ),
    ],
)
def test_inout_arguments_are_read_before_later_ones(statements: str, x: int, y: int) -> None:
    assert _run("meta.x = 1; meta.y = 0;" + statements) == (x, y)


@pytest.mark.parametrize(
    ("loop", "x", "y"),
    [
        pytest.param(
            "for (bit<8> i = 0; i < 3 && bump(meta.x) > 0; i = i + 1) { meta.y = meta.y + 1; }",
            3,
            3,
            id="effects in the condition",
        ),
        pytest.param(
            "for (bit<8> i = 0; i < 6; i = i + bump(meta.x)) { meta.y = meta.y + 1; }",
            3,
            3,
            id="effects in the update",
        ),
        pytest.param(
            "bit<8> i = 9; for (i = 0; i < 6; i = i + 1) { if (i == 3) { break; } } meta.x = i;",
            3,
            0,
            id="break keeps the counter",
        ),
        pytest.param(
            "bit<8> i; for (i = 0; i < 6; i = i + 1) { meta.y = meta.y + i; } meta.x = i;",
            6,
            15,
            id="counter at the end",
        ),
        pytest.param(
            "bit<8> k = 0; for (bit<8> i = 0; k < 3; k = k + 1) { meta.x = meta.x + i; }"
            " meta.y = k;",
            0,
            3,
            id="another counter",
        ),
    ],
)
def test_loops(loop: str, x: int, y: int) -> None:
    assert _run("meta.x = 0; meta.y = 0;" + loop) == (x, y)


def _run(statements: str) -> tuple[int, int]:
    made = compiled(globals=GLOBALS, locals=LOCALS, apply=statements)
    assert made.program is not None, made.reporter.render()
    machine = Machine({}).run(made.program.controls["ingress"].body)
    seen = {key.name: v for key, v in machine.memory.items() if isinstance(key, core.Var)}
    return seen["userMetadata.x"], seen["userMetadata.y"]
