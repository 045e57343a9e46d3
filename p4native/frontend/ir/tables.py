"""Tables and whole programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from p4native.frontend.diagnostics import NOWHERE, Loc
from p4native.frontend.ir.base import Annotation, Node
from p4native.frontend.ir.declarations import (
    ActionDecl,
    ControlDecl,
    ControlTypeDecl,
    Decl,
    EnumMember,
    FunctionDecl,
    InstanceDecl,
    Method,
    ParserDecl,
    ParserTypeDecl,
)
from p4native.frontend.ir.expressions import Call, Expression, ListExpr, Path


@dataclass(slots=True, eq=False)
class KeyElement(Node):
    """`expr : match_kind annotations;` in a table's key; `match_kind.decl` is an EnumMember."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "expr", "match_kind")
    expr: Expression
    match_kind: Path
    annotations: list[Annotation] = field(default_factory=list)

    def annotation(self, name: str) -> Annotation | None:
        """The first annotation called `name`, if any."""
        for a in self.annotations:
            if a.name == name:
                return a
        return None


@dataclass(slots=True, eq=False)
class ActionRef(Node):
    """One entry of `actions`: a `Call` of kind ACTION binding the data-plane (directed) arguments.

    `p` names the action with no arguments: a Call without args.
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "call")
    call: Call
    annotations: list[Annotation] = field(default_factory=list)

    @property
    def action(self) -> ActionDecl:
        """The action referred to."""
        assert isinstance(self.call.target, ActionDecl)
        return self.call.target

    def annotation(self, name: str) -> Annotation | None:
        """The first annotation called `name`, if any."""
        for a in self.annotations:
            if a.name == name:
                return a
        return None


@dataclass(slots=True, eq=False)
class Entry(Node):
    """`[const] [priority = p :] keyset : action(args);`; keyset items match the table's keys."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "priority", "keyset", "call")
    keyset: ListExpr
    call: Call
    priority: Expression | None = None
    is_const: bool = False
    annotations: list[Annotation] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Property(Decl):
    """A table property other than key, actions, entries and default_action."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "expr")
    expr: Expression
    is_const: bool = False


@dataclass(slots=True, eq=False)
class TableDecl(Decl):
    """A table; `default_action` is a `Call` of kind ACTION, None if not written."""

    CHILDREN: ClassVar[tuple[str, ...]] = (
        "annotations",
        "keys",
        "actions",
        "entries",
        "default_action",
        "properties",
    )
    keys: list[KeyElement] = field(default_factory=list)
    keys_loc: Loc = NOWHERE
    actions: list[ActionRef] = field(default_factory=list)
    has_actions: bool = False  # whether `actions` is written at all
    misplaced: list[tuple[str, str, Loc]] = field(default_factory=list, repr=False)
    entries: list[Entry] | None = None
    entries_const: bool = False
    default_action: Call | None = None
    default_const: bool = False
    properties: list[Property] = field(default_factory=list)

    def property(self, name: str) -> Property | None:
        """The property called `name` (`size`, `implementation`, ...), if written."""
        for p in self.properties:
            if p.name == name:
                return p
        return None


Callable: TypeAlias = (
    Method
    | FunctionDecl
    | ActionDecl
    | TableDecl
    | ParserDecl
    | ControlDecl
    | ParserTypeDecl
    | ControlTypeDecl
)


@dataclass(slots=True, eq=False)
class Program(Node):
    """A whole program in declaration order, `core.p4`'s declarations included.

    `main` is the `main` package instance (None for a library of declarations);
    `errors` and `match_kinds` have all members by name in declaration order.
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("decls",)
    REFS: ClassVar[tuple[str, ...]] = ("main",)
    decls: list[Decl] = field(default_factory=list)
    main: InstanceDecl | None = None
    errors: dict[str, EnumMember] = field(default_factory=dict)
    match_kinds: dict[str, EnumMember] = field(default_factory=dict)
