"""The passes from checked P4 to what the JSON writer takes, in order, with the reason for it.

A flat list: `p4native compile --passes` prints it, `--dump-after NAME` shows the program there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p4native.frontend.diagnostics import Reporter
from p4native.midend import (
    copyprop,
    core,
    deadcode,
    divisions,
    externargs,
    layout,
    leftslices,
    parserflow,
    selects,
    switches,
    synthesize,
    tablekeys,
)

ELABORATE = "elaborate"


@dataclass(frozen=True, slots=True)
class Pass:
    """A named program transformation and why it stands where it does."""

    name: str
    run: Callable[[core.Program, Reporter], None]
    why: str


def _plain(run: Callable[[core.Program], None]) -> Callable[[core.Program, Reporter], None]:
    return lambda program, _reporter: run(program)


PASSES: tuple[Pass, ...] = (
    Pass(
        "copy_propagation",
        _plain(copyprop.run),
        "inlining leaves copies of arguments; first, so that all later passes see plain operands",
    ),
    Pass("dead_code", _plain(deadcode.run), "the copies that propagation made useless"),
    Pass("divisions", divisions.run, "BMv2 cannot divide; propagation made what it could constant"),
    Pass("switches", _plain(switches.run), "BMv2 branches on bools only"),
    Pass(
        "parser_flow",
        _plain(parserflow.run),
        "BMv2's states have no control flow; after `switches`, which makes conditionals",
    ),
    Pass(
        "select_keys",
        selects.run,
        "after `parser_flow`, which makes selects from conditions",
    ),
    Pass("table_keys", _plain(tablekeys.run), "BMv2 looks up fields, not expressions"),
    Pass(
        "extern_args",
        _plain(externargs.run),
        "BMv2's primitives and lists take fields; before `synthesize_actions`, as it adds copies",
    ),
    Pass(
        "left_slices",
        _plain(leftslices.run),
        "BMv2 assigns whole fields; after all passes that move operands around",
    ),
    Pass("dead_code_2", _plain(deadcode.run), "blocks and jumps that lowering made superfluous"),
    Pass(
        "synthesize_actions",
        synthesize.run,
        "BMv2's pipelines hold tables and conditionals only; last, it needs final statements",
    ),
    Pass("layout", _plain(layout.run), "only now is it known which storage is used"),
)


def names() -> list[str]:
    """All pass names in order, elaboration first."""
    return [ELABORATE, *(p.name for p in PASSES)]


def run_passes(
    program: core.Program,
    reporter: Reporter,
    after: Callable[[str, core.Program], None] | None = None,
) -> None:
    """Run all passes; `after` is told each pass that has run. Stops when one reports errors."""
    if after is not None:
        after(ELABORATE, program)
    for p in PASSES:
        p.run(program, reporter)
        if after is not None:
            after(p.name, program)
        if reporter.failed:
            return
