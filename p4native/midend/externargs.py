"""Pass `extern_args`: what the target's operations take are fields and constants.

before:  c.count((bit<32>) hdr.h.x);     after:  tmp = (bit<32>) hdr.h.x; c.count(tmp);
Digest fields are always copied: BMv2 reads them at the end of the pipeline, P4 at the call.
Calculations and field lists live outside of actions, so they cannot refer to action data.
"""

from __future__ import annotations

from typing import Any

from p4native.midend import core

_ANY_EXPRESSION = frozenset({"assert", "assume", "log_msg"})


def run(program: core.Program) -> None:
    """Rewrite the calls in pipelines and their actions."""
    rewriter = _Rewriter(program)
    for name in ("ingress", "egress"):
        control = program.controls[name]
        rewriter.body(control.body)
        for action in control.actions:
            rewriter.body(action.body)


class _Rewriter:
    """Puts assignments to temporaries in front of calls."""

    def __init__(self, program: core.Program) -> None:
        self.program = program
        self._digests: dict[str, list[core.VarRef]] = {}

    def body(self, body: list[core.Stmt]) -> None:
        """Rewrite a list in place."""
        out: list[core.Stmt] = []
        for s in body:
            for inner in core.bodies(s):
                self.body(inner)
            if isinstance(s, core.Extern) and s.op not in _ANY_EXPRESSION:
                if s.op == "digest":
                    self._digest(s, out)
                s.args = [
                    a if i in s.outs else self._simple(a, False, s, out)
                    for i, a in enumerate(s.args)
                ]
            out.append(s)
        body[:] = out

    def _digest(self, s: core.Extern, out: list[core.Stmt]) -> None:
        """All calls with one digest type share its list, so also the temporaries in it."""
        _, name, fields = s.args
        temps = self._digests.get(name)
        if temps is None:
            temps = [core.VarRef(self.program.temp("digest", f.type, s.loc)) for f in fields]
            self._digests[name] = temps
        out.extend(core.Assign(t, f, s.loc) for t, f in zip(temps, fields, strict=True))
        s.args[2] = list(temps)

    def _simple(self, arg: Any, listed: bool, s: core.Stmt, out: list[core.Stmt]) -> Any:
        if isinstance(arg, list):
            return [self._simple(a, True, s, out) for a in arg]
        if not isinstance(arg, core.Expr) or isinstance(arg, core.Const) or _plain(arg, listed):
            return arg
        temp = core.VarRef(self.program.temp("arg", arg.type, s.loc))
        out.append(core.Assign(temp, arg, s.loc))
        return temp


def _plain(e: core.Expr, listed: bool) -> bool:
    if isinstance(e, core.VarRef):
        return e.var.kind != "param" or not listed
    return isinstance(e, core.Field) and isinstance(e.header, core.Header)
