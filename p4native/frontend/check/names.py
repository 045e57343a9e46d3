"""Control-plane names: two actions must not have the same one."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.visitor import walk

_MAX_INSTANCES = 10_000


def check_action_names(program: ir.Program, reporter: Reporter) -> None:
    """Check the actions that the program's main package uses."""
    if program.main is None:
        return
    names = _Names(reporter)
    used = _used_actions(program)
    for decl in program.decls:
        if isinstance(decl, ir.ActionDecl) and decl in used:
            names.add(_absolute(decl, []), decl)
    order = {decl: at for at, decl in enumerate(program.decls)}
    blocks = [a.expr for a in program.main.call.args if isinstance(a.expr, ir.ConstructorCall)]
    blocks.sort(key=lambda b: order.get(b.target, 0) if b.target is not None else 0)
    for block in blocks:
        names.instantiate(block, [])


def _absolute(decl: ir.Decl, path: list[str]) -> str:
    name = decl.external_name
    return name if name.startswith(".") else "." + ".".join([*path, name])


def _used_actions(program: ir.Program) -> set[ir.Decl]:
    used: set[ir.Decl] = set()
    for node in walk(program):
        if isinstance(node, ir.Call) and isinstance(node.target, ir.ActionDecl):
            used.add(node.target)
    return used


class _Names:
    """The names seen so far while walking the tree of instances."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.seen: dict[str, ir.ActionDecl] = {}
        self.used: dict[ir.ControlDecl, set[ir.Decl]] = {}
        self.instances = 0

    def add(self, name: str, action: ir.ActionDecl) -> None:
        """Note an action's name, reporting a clash."""
        earlier = self.seen.setdefault(name, action)
        if earlier is not action:
            self.reporter.error(
                "duplicate",
                f"two actions have the control-plane name '{name}'",
                action.loc,
                (earlier.loc, "the other one"),
            )

    def instantiate(self, expr: ir.Expression, path: list[str]) -> None:
        """Walk an instance made by `expr`, at a hierarchical path."""
        if isinstance(expr, ir.Path) and isinstance(expr.decl, ir.InstanceDecl):
            expr = expr.decl.call
        if not isinstance(expr, ir.ConstructorCall):
            return
        if not isinstance(expr.target, ir.ControlDecl):
            return
        self.instances += 1
        if self.instances > _MAX_INSTANCES:
            return  # the lowering refuses programs this large
        control = expr.target
        here = path or [control.external_name]
        used = self.used.get(control)
        if used is None:
            used = self.used[control] = _used_actions_in(control)
        for local in control.locals:
            if isinstance(local, ir.ActionDecl) and local in used:
                self.add(_absolute(local, here), local)
            elif isinstance(local, ir.InstanceDecl):
                self.instantiate(local.call, [*here, local.external_name])


def _used_actions_in(control: ir.ControlDecl) -> set[ir.Decl]:
    used: set[ir.Decl] = set()
    for node in walk(control):
        if isinstance(node, ir.Call) and isinstance(node.target, ir.ActionDecl):
            used.add(node.target)
    return used
