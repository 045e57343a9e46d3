"""Pass `selects`: select keys and cases in the form the target's parser has.

* a key is a field, a variable or a lookahead: anything else is computed into a temporary;
* ranges become value/mask pairs;  `1..6`  ->  `1 &&& 7, 2 &&& 6, 4 &&& 6, 6 &&& 7` (3 bits);
* cases behind one that always matches are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from p4native.frontend.diagnostics import Reporter
from p4native.midend import core

_MOST_CASES = 10_000  # that one select case may become


def run(program: core.Program, reporter: Reporter) -> None:
    """Rewrite every state's transition."""
    for state in program.parser.states:
        state.keys = [_simple_key(program, state, k) for k in state.keys]
        widths = [core.scalar_width(k.type) for k in state.keys]
        cases: list[core.Case] = []
        for case in state.cases:
            cases.extend(_expanded(case, widths, reporter))
            if case.value_set is None and all(k.any for k in case.keys):
                break
        state.cases = cases
        if cases and cases[0].value_set is None and all(k.any for k in cases[0].keys):
            state.keys = []
            cases[0].keys = []


def _simple_key(program: core.Program, state: core.State, key: core.Expr) -> core.Expr:
    if isinstance(key, (core.VarRef, core.Lookahead)):
        return key
    if isinstance(key, core.Field) and not isinstance(key.header, core.StackElement):
        return key
    temp = core.VarRef(program.temp("key", key.type, state.loc))
    state.body.append(core.Assign(temp, key, state.loc))
    return temp


def _expanded(case: core.Case, widths: list[int], reporter: Reporter) -> Iterator[core.Case]:
    if all(k.high is None for k in case.keys):
        yield case
        return
    parts = [
        [k] if k.high is None else [core.KeyValue(v, mask=m) for v, m in masks(k.value, k.high, w)]
        for k, w in zip(case.keys, widths, strict=True)
    ]
    count = prod(len(part) for part in parts)
    if count > _MOST_CASES:
        message = (
            f"the ranges of this case make {count} values and masks, {_MOST_CASES} at the most"
        )
        reporter.error("overlimit", message, case.loc)
        return
    for keys in product(*parts):
        yield core.Case(list(keys), case.target, case.loc)


def masks(low: int, high: int, width: int) -> Iterator[tuple[int, int]]:
    """The fewest aligned value/mask pairs that together are `low..high`."""
    ones = (1 << width) - 1
    while low <= high:
        size = low & -low if low else 1 << width
        while low + size - 1 > high:
            size >>= 1
        yield low, ones & ~(size - 1)
        low += size
