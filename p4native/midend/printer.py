"""The core program as P4 text, for `--dump-after`.

Not meant to be compiled again: jumps out of a block are shown as `leave NAME;`, hidden tables and
actions as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from p4native.frontend.types import BoolType, ErrorType
from p4native.midend import core


def print_program(program: core.Program) -> str:
    """The whole program."""
    return "\n".join(_program(program)) + "\n"


def _program(program: core.Program) -> Iterator[str]:
    for t in program.header_types:
        yield f"header {t.name} {{"
        yield from (f"    {ft} {name};" for name, ft in t.fields.items())
        yield "}"
    for header in program.headers:
        yield f"{header.type.name} {header.name};"
    for stack in program.stacks:
        yield f"// stack {stack.name} of {stack.size}"
    for var in program.variables:
        yield f"{var.type} {var.name};  // {var.kind}"
    yield "parser {"
    for value_set in program.parser.value_sets:
        yield f"    value_set<{value_set.type}>({value_set.size}) {value_set.name};"
    for state in program.parser.states:
        yield from _indented(_state(state))
    yield "}"
    for control in program.controls.values():
        yield from _control(control)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return ("    " + line for line in lines)


def _state(state: core.State) -> Iterator[str]:
    yield f"state {state.name} {{"
    yield from _indented(_body(state.body))
    if not state.keys:
        target = state.cases[0].target if state.cases else None
        yield f"    transition {target.name if target else 'accept'};"
    else:
        yield f"    transition select({', '.join(map(expr, state.keys))}) {{"
        for case in state.cases:
            keys = ", ".join(_key_value(k) for k in case.keys)
            label = case.value_set.name if case.value_set else f"({keys})"
            yield f"        {label}: {case.target.name if case.target else 'accept'};"
        yield "    }"
    yield "}"


def _key_value(k: core.KeyValue) -> str:
    if k.any:
        return "_"
    if k.high is not None:
        return f"{k.value:#x} .. {k.high:#x}"
    return f"{k.value:#x}" if k.mask is None else f"{k.value:#x} &&& {k.mask:#x}"


def _control(control: core.Control) -> Iterator[str]:
    yield f"control {control.name} {{  // {control.title}"
    for instance in control.instances:
        args = ", ".join(f"{n} = {v}" for n, v in instance.args.items())
        yield f"    {instance.kind}({args}) {instance.name};"
    for action in control.actions:
        yield from _indented(_action(action))
    for table in control.tables:
        yield from _indented(_table(table))
    yield "    apply {"
    yield from _indented(_indented(_body(control.body)))
    yield "    }"
    yield "}"


def _action(action: core.Action) -> Iterator[str]:
    params = ", ".join(f"{p.type} {p.name}" for p in action.params)
    hidden = "@hidden " if action.hidden else ""
    yield f"{hidden}action {action.name}({params}) {{"
    yield from _indented(_body(action.body))
    yield "}"


def _table(table: core.Table) -> Iterator[str]:
    yield f"{'@hidden ' if table.hidden else ''}table {table.name} {{"
    if table.keys:
        yield "    key = {"
        for key in table.keys:
            yield f'        {expr(key.expr)} : {key.match} @name("{key.name}");'
        yield "    }"
    yield f"    actions = {{ {' '.join(r.action.name + ';' for r in table.actions)} }}"
    if table.default is not None:
        args = ", ".join(map(str, table.default_args))
        const = "const " if table.default_const else ""
        yield f"    {const}default_action = {table.default.name}({args});"
    if table.size is not None:
        yield f"    size = {table.size};"
    for name in ("implementation", "counter", "meter"):
        instance = getattr(table, name)
        if instance is not None:
            yield f"    {name} = {instance.name};"
    if table.entries:
        yield "    entries = {"
        for entry in table.entries:
            keys = ", ".join(map(_key_value, entry.keys))
            args = ", ".join(map(str, entry.args))
            yield f"        {entry.priority}: ({keys}) : {entry.action.name}({args});"
        yield "    }"
    yield "}"


def _body(body: list[core.Stmt]) -> Iterator[str]:
    for s in body:
        yield from _statement(s)


def _statement(s: core.Stmt) -> Iterator[str]:
    simple = _simple(s)
    if simple is not None:
        yield simple
    elif isinstance(s, core.If):
        yield f"if ({expr(s.cond)}) {{"
        yield from _indented(_body(s.then))
        if s.other:
            yield "} else {"
            yield from _indented(_body(s.other))
        yield "}"
    elif isinstance(s, (core.Block, core.Loop)):
        yield f"{s.name}: {'loop ' if isinstance(s, core.Loop) else ''}{{"
        yield from _indented(_body(s.body))
        yield "}"
    elif isinstance(s, core.Switch):
        yield f"switch ({expr(s.value)}) {{"
        for numbers, body in s.cases:
            yield f"    {', '.join(map(str, numbers)) or 'default'}: {{"
            yield from _indented(_indented(_body(body)))
            yield "    }"
        yield "}"
    elif isinstance(s, core.Apply):
        yield from _apply(s)


def _simple(s: core.Stmt) -> str | None:
    if isinstance(s, core.Assign):
        return f"{expr(s.target)} = {expr(s.value)};"
    if isinstance(s, core.CopyHeader):
        return f"{place(s.target)} = {place(s.source)};"
    if isinstance(s, (core.CopyStack, core.CopyUnion)):
        return f"{s.target.name} = {s.source.name};"
    if isinstance(s, core.SetValid):
        return f"{place(s.header)}.set{'Valid' if s.valid else 'Invalid'}();"
    if isinstance(s, core.Shift):
        return f"{s.stack.name}.{s.op}_front({s.count});"
    if isinstance(s, core.Extern):
        name = s.op if s.instance is None else f"{s.instance.name}.{s.op.partition('.')[2]}"
        return f"{name}({', '.join(map(_argument, s.args))});"
    if isinstance(s, core.Leave):
        return f"leave {s.target.name};"
    return "exit;" if isinstance(s, core.Exit) else None


def _apply(s: core.Apply) -> Iterator[str]:
    if s.hit is not None or s.miss is not None:
        yield f"if ({s.table.name}.apply().hit) {{"
        yield from _indented(_body(s.hit or []))
        yield "} else {"
        yield from _indented(_body(s.miss or []))
        yield "}"
    elif s.cases is not None:
        yield f"switch ({s.table.name}.apply().action_run) {{"
        for actions, body in s.cases:
            labels = ", ".join("default" if a is None else a.name for a in actions)
            yield f"    {labels}: {{"
            yield from _indented(_indented(_body(body)))
            yield "    }"
        yield "}"
    else:
        yield f"{s.table.name}.apply();"


def _argument(arg: Any) -> str:
    if isinstance(arg, core.Expr):
        return expr(arg)
    if isinstance(arg, list):
        return "{ " + ", ".join(map(_argument, arg)) + " }"
    if isinstance(arg, (str, int)):
        return repr(arg)
    return place(arg)


def place(p: Any) -> str:
    """A header, union or stack."""
    if isinstance(p, core.StackElement):
        return f"{p.stack.name}[{expr(p.index)}]"
    if isinstance(p, (core.StackEnd, core.UnionElement)):
        return f"{p.stack.name}.{p.which}"
    if isinstance(p, core.UnionMember):
        return f"{place(p.element)}.{p.name}"
    return str(p.name)


def expr(e: core.Expr) -> str:
    """An expression."""
    if isinstance(e, core.Const):
        return _const(e)
    if isinstance(e, core.VarRef):
        return e.var.name
    if isinstance(e, core.Field):
        return f"{place(e.header)}.{e.name}"
    if isinstance(e, core.Valid):
        return f"{place(e.header)}.isValid()"
    if isinstance(e, core.UnionValid):
        return f"{place(e.union)}.isValid()"
    if isinstance(e, core.LastIndex):
        return f"{e.stack.name}.lastIndex"
    if isinstance(e, core.Lookahead):
        return f"lookahead[{e.offset}:{e.width}]"
    if isinstance(e, core.Unary):
        return f"{e.op}{expr(e.arg)}"
    if isinstance(e, core.Binary):
        return f"({expr(e.left)} {e.op} {expr(e.right)})"
    if isinstance(e, core.Mux):
        return f"({expr(e.cond)} ? {expr(e.then)} : {expr(e.other)})"
    if isinstance(e, core.Cast):
        return f"(({e.type}){expr(e.arg)})"
    assert isinstance(e, core.Slice)
    return f"{expr(e.arg)}[{e.hi}:{e.lo}]"


def _const(e: core.Const) -> str:
    if isinstance(e.type, BoolType):
        return "true" if e.value else "false"
    if isinstance(e.type, ErrorType):
        return f"error({e.value})"
    return str(e.value)
