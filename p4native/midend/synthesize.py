"""Pass `synthesize_actions`: statements of a pipeline move into hidden actions.

before:  a = 1; b = 2; if (c) t.apply();       after:  act(); if (c) t.apply();
where `act` is an action with both assignments, run by a hidden table without keys. BMv2 executes
nothing but tables and conditionals in a pipeline.
post: pipeline bodies consist of `Apply`, `If`, `Block` and `Leave` only.
"""

from __future__ import annotations

from pathlib import PurePath

from p4native.frontend.diagnostics import Reporter
from p4native.midend import access, core

_SIMPLE = (
    core.Assign,
    core.CopyHeader,
    core.CopyStack,
    core.CopyUnion,
    core.SetValid,
    core.Shift,
    core.Extern,
    core.Exit,
    core.Loop,
)


def run(program: core.Program, reporter: Reporter) -> None:
    """Rewrite ingress and egress."""
    for name in ("ingress", "egress"):
        control = program.controls[name]
        _Synthesis(program, control, reporter).body(control.body)


class _Synthesis:
    """Collects runs of statements of one control."""

    def __init__(self, program: core.Program, control: core.Control, reporter: Reporter) -> None:
        self.program = program
        self.control = control
        self.reporter = reporter

    def body(self, body: list[core.Stmt]) -> None:
        """Rewrite a list in place."""
        out: list[core.Stmt] = []
        run: list[core.Stmt] = []
        for s in body:
            if isinstance(s, core.Loop) and _applies(s):
                self.reporter.error(
                    "unsupported", "a loop that applies tables must be unrollable", s.loc
                )
                continue
            if isinstance(s, _SIMPLE):
                run.append(s)
                if isinstance(s, core.Exit):
                    break
                continue
            self._flush(run, out)
            run = []
            for inner in core.bodies(s):
                self.body(inner)
            out.append(s)
        self._flush(run, out)
        body[:] = out

    def _flush(self, run: list[core.Stmt], out: list[core.Stmt]) -> None:
        if not run:
            return
        loc = run[0].loc
        name = self.program.fresh(_action_name(loc.file, loc.line))
        block = self.control.name
        action = core.Action(name, [], run, loc, hidden=True, block=block)
        table = core.Table(
            self.program.fresh(f"tbl_{name}"),
            [],
            [core.ActionRef(action)],
            loc,
            default=action,
            default_const=True,
            hidden=True,
            block=block,
        )
        self.control.actions.append(action)
        self.control.tables.append(table)
        out.append(core.Apply(table, loc))


def _applies(s: core.Loop) -> bool:
    return any(isinstance(x, core.Apply) for x in access.walk(s.body))


def _action_name(file: str, line: int) -> str:
    """File stem and line, so that traces tell where a hidden action comes from."""
    stem = "".join(c for c in PurePath(file).name.split(".")[0] if c.isalnum() or c == "_")
    stem = stem.lstrip("0123456789_") or "act"
    return f"{stem}l{line}" if stem[-1].isdigit() else f"{stem}{line}"
