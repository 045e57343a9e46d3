"""Pass `layout`: unused storage is dropped and every variable gets its place.

Scalars live in the `scalars` metadata header; a varbit variable gets a metadata header of its own,
because a BMv2 header can have only one.
"""

from __future__ import annotations

from p4native.frontend.types import VarbitType
from p4native.midend import access, core, rewrite

SCALARS = "scalars"


def run(program: core.Program) -> None:
    """Set `home` of every variable that stays."""
    used = _used(program)
    program.variables = [v for v in program.variables if v.kind == "meta" or v in used]
    for var in program.variables:
        if isinstance(var.type, VarbitType):
            var.home = (var.name, "field")
        else:
            var.home = (SCALARS, var.name)
    program.stacks = [s for s in program.stacks if _kept(access.stack_cells(s), used)]
    program.unions = [u for u in program.unions if _kept(u.members.values(), used)]
    kept = set(used)
    for stack in program.stacks:
        kept.update(access.stack_cells(stack))
    for union in program.unions:
        kept.update(union.members.values())
    program.headers = [h for h in program.headers if h.kind not in ("local", "temp") or h in kept]
    live = {id(h.type) for h in program.headers}
    program.header_types = [t for t in program.header_types if id(t) in live]
    unions = {id(u.type) for u in program.unions}
    program.union_types = [t for t in program.union_types if id(t) in unions]


def _kept(cells: object, used: set[access.Cell]) -> bool:
    found = list(cells)  # type: ignore[call-overload]
    return any(c in used or getattr(c, "kind", "") not in ("local", "temp", "") for c in found)


def _used(program: core.Program) -> set[access.Cell]:
    used: set[access.Cell] = set()
    for body in rewrite.lists(program):
        used.update(access.body_reads(body))
        used.update(access.body_writes(body))
    for state in program.parser.states:
        for key in state.keys:
            used.update(access.reads(key))
    for control in program.controls.values():
        for table in control.tables:
            for k in table.keys:
                used.update(access.reads(k.expr))
            if table.meter_target is not None:
                used.update(access.reads(table.meter_target))
    for items in program.field_lists.values():
        for item in items:
            used.update(access.reads(item))
    return used
