"""Warnings about declarations that nothing refers to."""

from __future__ import annotations

from collections.abc import Iterator

from p4native.frontend import ir
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.preprocess import is_system_file
from p4native.frontend.visitor import walk

_TYPES = (
    ir.TypedefDecl,
    ir.NewTypeDecl,
    ir.EnumDecl,
    ir.ParserTypeDecl,
    ir.ControlTypeDecl,
    ir.PackageTypeDecl,
)


def warn_unused(program: ir.Program, used: set[ir.Decl], reporter: Reporter) -> None:
    """Warn of unused controls, parsers, tables, variables, instances, types and parameters."""
    for decl in _candidates(program):
        if decl in used or _exempt(decl):
            continue
        kind = {
            ir.ControlDecl: "control",
            ir.ParserDecl: "parser",
            ir.TableDecl: "table",
            ir.ActionDecl: "action",
        }.get(type(decl))
        what = f"{kind} '{decl.name}'" if kind else f"'{decl.name}'"
        reporter.warning("unused", f"{what} is unused", decl.loc)


def used_declarations(program: ir.Program) -> set[ir.Decl]:
    """The declarations that something in the program refers to."""
    used: set[ir.Decl] = set()
    for node in walk(program):
        if isinstance(node, (ir.Path, ir.NamedTypeRef)):
            if node.decl is not None:
                used.add(node.decl)
        elif isinstance(node, ir.Call) and node.target is not None:
            used.add(node.target)
    return used


def _exempt(decl: ir.Decl) -> bool:
    if is_system_file(decl.loc.file) or decl.name.startswith("__"):
        return True
    if "unused" in ir.no_warn(decl.annotations):
        return True
    if isinstance(decl, ir.ConstDecl):
        return any(
            isinstance(n, ir.Call) and n.target is not None and n.target.name == "static_assert"
            for n in walk(decl.init)
        )
    return False


def _candidates(program: ir.Program) -> Iterator[ir.Decl]:
    for decl in program.decls:
        if isinstance(decl, (ir.StructDecl, ir.ExternDecl)):
            yield from decl.type_params
        elif isinstance(decl, ir.InstanceDecl):
            if decl.name != "main":
                yield decl
        elif isinstance(decl, (ir.ParserDecl, ir.ControlDecl)):
            yield decl
            yield from _inside(decl)
        elif isinstance(decl, (ir.ActionDecl, ir.FunctionDecl)):
            yield decl
            yield from _in_callable(decl)
        elif isinstance(decl, (*_TYPES, ir.ConstDecl)):
            yield decl


def _inside(block: ir.ParserDecl | ir.ControlDecl) -> Iterator[ir.Decl]:
    for local in block.locals:
        yield local
        if isinstance(local, ir.ActionDecl):
            yield from _in_callable(local)
    bodies = [block.body] if isinstance(block, ir.ControlDecl) else block.states
    for body in bodies:
        yield from _variables(body)


def _in_callable(decl: ir.ActionDecl | ir.FunctionDecl) -> Iterator[ir.Decl]:
    if isinstance(decl, ir.ActionDecl):
        yield from decl.params
    else:
        yield from decl.type_params
    yield from _variables(decl.body)


def _variables(body: ir.Node) -> Iterator[ir.Decl]:
    for node in walk(body):
        if isinstance(node, ir.DeclStmt):
            yield node.decl
