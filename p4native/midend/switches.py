"""Pass `switches`: a switch over a value becomes a chain of conditionals.

before:  switch (x) { 1: 2: { A } default: { B } }
after:   if (x == 1 || x == 2) { A } else { B }
post: no `Switch` statement is left (switches over a table's action are part of `Apply`).
"""

from __future__ import annotations

from p4native.frontend.types import BOOL
from p4native.midend import core, fold, rewrite


def run(program: core.Program) -> None:
    """Replace every switch."""
    for body in rewrite.lists(program):
        _body(body)


def _body(body: list[core.Stmt]) -> None:
    for i, s in enumerate(body):
        for inner in core.bodies(s):
            _body(inner)
        if isinstance(s, core.Switch):
            chain = _chain(s)
            body[i] = core.Block("switch", chain, s.loc)


def _chain(s: core.Switch) -> list[core.Stmt]:
    rest: list[core.Stmt] = next((b for labels, b in s.cases if not labels), [])
    for labels, body in reversed(s.cases):
        if labels:
            cond: core.Expr = fold.false()
            for number in labels:
                one = fold.binary("==", s.value, fold.const(number, s.value.type), BOOL)
                cond = fold.binary("||", cond, one, BOOL)
            rest = [core.If(cond, body, rest, s.loc)]
    return rest
