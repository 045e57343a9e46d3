"""Pass `table_keys`: keys the target cannot look up directly are computed before the table.

before:  t.apply()  with key `hdr.ipv4.ttl + 1`    after:  key_0 = hdr.ipv4.ttl + 1; t.apply();
A key may stay if it is a variable, a header's field or a header's validity.
post: every key is a `VarRef`, a `Field` or `Valid` of a plain header.
"""

from __future__ import annotations

from p4native.midend import core


def run(program: core.Program) -> None:
    """Move complex keys of all tables in front of each apply."""
    moved: dict[core.Table, list[tuple[core.Expr, core.Expr]]] = {}
    for control in program.controls.values():
        for table in control.tables:
            moved[table] = [
                (_replace(program, key), old)
                for key in table.keys
                for old in [key.expr]
                if not _direct(old)
            ]
        _body(control.body, moved)


def _direct(e: core.Expr) -> bool:
    if isinstance(e, core.VarRef):
        return True
    return isinstance(e, (core.Field, core.Valid)) and isinstance(e.header, core.Header)


def _replace(program: core.Program, key: core.Key) -> core.Expr:
    temp = core.VarRef(program.temp("key", key.expr.type, key.loc))
    key.expr = temp
    return temp


def _body(
    body: list[core.Stmt], moved: dict[core.Table, list[tuple[core.Expr, core.Expr]]]
) -> None:
    out: list[core.Stmt] = []
    for s in body:
        for inner in core.bodies(s):
            _body(inner, moved)
        if isinstance(s, core.Apply):
            for temp, value in moved.get(s.table, ()):
                out.append(core.Assign(temp, value, s.loc))
        out.append(s)
    body[:] = out
