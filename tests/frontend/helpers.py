"""Helpers to check small programs."""

from __future__ import annotations

from typing import TypeVar

from p4native.frontend import check_source, ir
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.visitor import walk

_Node = TypeVar("_Node", bound=ir.Node)


def checked(text: str) -> ir.Program:
    """The checked program; fails the test with the diagnostics if it has errors."""
    reporter = Reporter()
    program = check_source(text, "test.p4", reporter)
    assert program is not None, reporter.render()
    return program


def errors(text: str) -> list[str]:
    """The error messages of a program, as `line: message`."""
    reporter = Reporter()
    check_source(text, "test.p4", reporter)
    return [f"{e.loc.line}: {e.message}" for e in reporter.errors]


def constant(text: str, name: str) -> ir.Value:
    """The value of a constant of the program."""
    for decl in checked(text).decls:
        if isinstance(decl, ir.ConstDecl) and decl.name == name:
            return decl.init.value
    raise AssertionError(f"no constant {name}")


def value_of(t: str, expression: str) -> ir.Value:
    """The value of a constant expression of type `t`."""
    return constant(f"const {t} x = {expression};", "x")


def find(program: ir.Program, cls: type[_Node], name: str) -> _Node:
    """The first node of a class with a name."""
    for node in walk(program):
        if isinstance(node, cls) and getattr(node, "name", None) == name:
            return node
    raise AssertionError(f"no {cls.__name__} {name}")
