"""Pass `extern_args`: what the target's operations take are fields and constants.

before:  c.count((bit<32>) hdr.h.x);     after:  tmp = (bit<32>) hdr.h.x; c.count(tmp);
Digest fields are always copied: BMv2 reads them at the end of the pipeline, P4 at the call.
Calculations and field lists live outside of actions, so they cannot refer to action data.
"""

from __future__ import annotations

from typing import Any

from p4native.midend import core

_COPIED = frozenset({"digest"})
_ANY_EXPRESSION = frozenset({"assert", "assume", "log_msg"})


def run(program: core.Program) -> None:
    """Rewrite the calls in pipelines and their actions."""
    for name in ("ingress", "egress"):
        control = program.controls[name]
        _body(program, control.body)
        for action in control.actions:
            _body(program, action.body)


def _body(program: core.Program, body: list[core.Stmt]) -> None:
    out: list[core.Stmt] = []
    for s in body:
        for inner in core.bodies(s):
            _body(program, inner)
        if isinstance(s, core.Extern) and s.op not in _ANY_EXPRESSION:
            _arguments(program, s, out)
        out.append(s)
    body[:] = out


def _arguments(program: core.Program, s: core.Extern, out: list[core.Stmt]) -> None:
    copied = s.op in _COPIED

    def simple(arg: Any, listed: bool) -> Any:
        if isinstance(arg, list):
            return [simple(a, True) for a in arg]
        if not isinstance(arg, core.Expr) or isinstance(arg, core.Const):
            return arg
        if _plain(arg, listed) and not (copied and listed):
            return arg
        temp = core.VarRef(program.temp("arg", arg.type, s.loc))
        out.append(core.Assign(temp, arg, s.loc))
        return temp

    s.args = [a if i in s.outs else simple(a, False) for i, a in enumerate(s.args)]


def _plain(e: core.Expr, listed: bool) -> bool:
    if isinstance(e, core.VarRef):
        return e.var.kind != "param" or not listed
    return isinstance(e, core.Field) and isinstance(e.header, core.Header)
