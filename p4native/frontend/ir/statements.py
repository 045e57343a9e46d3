"""Statements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from p4native.frontend.ir.base import Annotation, Node
from p4native.frontend.ir.expressions import Call, Expression, Path

if TYPE_CHECKING:
    from p4native.frontend.ir.declarations import Decl, VarDecl


@dataclass(slots=True, eq=False)
class Statement(Node):
    """Base of statements."""


@dataclass(slots=True, eq=False)
class Empty(Statement):
    """`;`."""


@dataclass(slots=True, eq=False)
class Block(Statement):
    """`{ ... }`; declarations appear as `DeclStmt`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "statements")
    statements: list[Statement] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class DeclStmt(Statement):
    """A declaration (variable, constant or instance) inside a block."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("decl",)
    decl: Decl


@dataclass(slots=True, eq=False)
class Assign(Statement):
    """`left op right`; `op` is `=` or a compound such as `+=`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("left", "right")
    left: Expression
    right: Expression
    op: str = "="


@dataclass(slots=True, eq=False)
class CallStmt(Statement):
    """A call as a statement."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("call",)
    call: Call


@dataclass(slots=True, eq=False)
class If(Statement):
    """`if (cond) then else other`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("cond", "then", "other", "annotations")
    cond: Expression
    then: Statement
    other: Statement | None = None
    annotations: list[Annotation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class SwitchCase(Node):
    """`label: body`; a `None` body falls through to the next case; label may be `default`.

    On `action_run` the label is a `Path` whose decl is the action.
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("label", "body")
    label: Expression
    body: Block | None = None


@dataclass(slots=True, eq=False)
class Switch(Statement):
    """`switch (expr) { cases }`; `expr.type` is an `ActionRunType` for table switches."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr", "cases", "annotations")
    expr: Expression
    cases: list[SwitchCase] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class For(Statement):
    """`for (init; cond; update) body`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("init", "cond", "update", "body", "annotations")
    init: list[Statement]
    cond: Expression
    update: list[Statement]
    body: Statement
    annotations: list[Annotation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ForIn(Statement):
    """`for (T x in collection) body`; `var` is a `VarDecl`, or a `Path` to an existing variable."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("var", "collection", "body", "annotations")
    var: VarDecl | Path
    collection: Expression
    body: Statement
    annotations: list[Annotation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Break(Statement):
    """`break;`."""


@dataclass(slots=True, eq=False)
class Continue(Statement):
    """`continue;`."""


@dataclass(slots=True, eq=False)
class Return(Statement):
    """`return expr;`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr",)
    expr: Expression | None = None


@dataclass(slots=True, eq=False)
class Exit(Statement):
    """`exit;`."""
