"""Pass `dead_code`: drop what has no effect.

* assignments to local variables and headers that nothing reads;
* assignments of a place to itself, and to variables that are assigned again before any use;
* conditionals, blocks and switches with nothing in them, blocks nothing leaves early;
* parser states that cannot be reached.
"""

from __future__ import annotations

from p4native.midend import access, core, rewrite


def run(program: core.Program) -> None:
    """Repeat until nothing changes: dropping a use may make another assignment useless."""
    _reachable_states(program)
    while True:
        used = _used(program)
        changed = False
        for body in rewrite.lists(program):
            changed |= _clean(body, used)
        if not changed:
            return


def _used(program: core.Program) -> set[access.Cell]:
    cells: set[access.Cell] = set()
    for body in rewrite.lists(program):
        for s in access.walk(body):
            if not isinstance(s, core.SetValid):
                cells.update(access.stmt_reads(s))
    for state in program.parser.states:
        for key in state.keys:
            cells.update(access.reads(key))
    for items in program.field_lists.values():
        for item in items:
            cells.update(access.reads(item))
    for control in program.controls.values():
        for table in control.tables:
            if table.meter_target is not None:
                cells.update(access.reads(table.meter_target))
    for stack in program.stacks:
        own = set(access.stack_cells(stack))
        if cells & own:
            cells |= own
    return cells


def _useless(s: core.Stmt, used: set[access.Cell]) -> bool:
    if isinstance(s, core.Assign) and rewrite.same(s.target, s.value):
        return True
    if isinstance(s, (core.Assign, core.CopyHeader, core.SetValid)):
        cells = list(access.stmt_writes(s))
        return bool(cells) and all(_local(c) and c not in used for c in cells)
    if isinstance(s, core.If):
        return not s.then and not s.other
    if isinstance(s, core.Block):
        return not s.body
    if isinstance(s, core.Switch):
        return all(not body for _, body in s.cases)
    return False


def _local(cell: access.Cell) -> bool:
    if isinstance(cell, core.Stack):
        return False
    return cell.kind in ("local", "temp")


def _clean(body: list[core.Stmt], used: set[access.Cell]) -> bool:
    changed = False
    out: list[core.Stmt] = []
    for s in body:
        for inner in core.bodies(s):
            changed |= _clean(inner, used)
        if _useless(s, used):
            changed = True
            continue
        if isinstance(s, core.Block):
            changed |= _drop_final_leaves(s.body, s)
            if not any(isinstance(x, core.Leave) and x.target is s for x in access.walk(s.body)):
                out.extend(s.body)
                changed = True
                continue
        if isinstance(s, core.Apply):
            _trim(s)
        out.append(s)
    body[:] = out
    return _drop_overwritten(body) or changed


def _drop_overwritten(body: list[core.Stmt]) -> bool:
    """Drop assignments whose variable is assigned again further down before it is read."""
    overwritten: set[core.Var] = set()
    kept: list[core.Stmt] = []
    for s in reversed(body):
        var = _assigned(s)
        if var is not None and var in overwritten:
            continue
        kept.append(s)
        if next(core.bodies(s), None) is not None or isinstance(s, (core.Leave, core.Exit)):
            overwritten.clear()
            continue
        if isinstance(s, core.Apply):
            overwritten.clear()
        if var is not None:
            overwritten.add(var)
        overwritten.difference_update(c for c in access.stmt_reads(s) if isinstance(c, core.Var))
    changed = len(kept) != len(body)
    body[:] = reversed(kept)
    return changed


def _assigned(s: core.Stmt) -> core.Var | None:
    """The local variable that `s` assigns as a whole."""
    if isinstance(s, core.Assign) and isinstance(s.target, core.VarRef):
        var = s.target.var
        return var if var.kind in ("local", "temp") else None
    return None


def _trim(s: core.Apply) -> None:
    """An apply whose branches are all empty needs none."""
    if s.hit is not None and s.miss is not None and not s.hit and not s.miss:
        s.hit = s.miss = None
    if s.cases is not None and all(not body for _, body in s.cases):
        s.cases = None


def _drop_final_leaves(body: list[core.Stmt], block: core.Block) -> bool:
    """Remove jumps behind `block` from where control goes there anyway."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, core.Leave) and last.target is block:
        body.pop()
        return True
    changed = False
    if isinstance(last, (core.If, core.Switch, core.Apply, core.Block)):
        for inner in core.bodies(last):
            changed |= _drop_final_leaves(inner, block)
    return changed


def _reachable_states(program: core.Program) -> None:
    states = program.parser.states
    if not states:
        return
    seen = {id(states[0])}
    todo = [states[0]]
    while todo:
        for case in todo.pop().cases:
            if case.target is not None and id(case.target) not in seen:
                seen.add(id(case.target))
                todo.append(case.target)
    program.parser.states = [s for s in states if id(s) in seen]
