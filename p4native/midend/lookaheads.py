"""Pass `lookaheads`: a lookahead inside an expression is read into a temporary first.

before:  x = (bit<16>) packet.lookahead<bit<8>>();    after:  tmp = lookahead; x = (bit<16>) tmp;
post: a `Lookahead` is the whole right side of an assignment or a select key.
"""

from __future__ import annotations

from p4native.midend import access, core, rewrite


def run(program: core.Program) -> None:
    """Rewrite the statements of every parser state."""
    for state in program.parser.states:
        out: list[core.Stmt] = []
        for s in state.body:
            _hoist(program, s, out)
            out.append(s)
        state.body = out


def _hoist(program: core.Program, s: core.Stmt, out: list[core.Stmt]) -> None:
    if isinstance(s, core.Assign) and isinstance(s.value, core.Lookahead):
        return
    exprs = [s.value] if isinstance(s, core.Assign) else []
    if isinstance(s, core.Extern):
        exprs = [a for a in s.args if isinstance(a, core.Expr)]
    if not any(isinstance(p, core.Lookahead) for e in exprs for p in access.subexpressions(e)):
        return

    def replace(e: core.Expr) -> core.Expr | None:
        if not isinstance(e, core.Lookahead):
            return None
        temp = core.VarRef(program.temp("ahead", e.type, s.loc))
        out.append(core.Assign(temp, e, s.loc))
        return temp

    rewrite.statement(s, replace)
