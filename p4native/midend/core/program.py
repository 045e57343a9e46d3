"""The program: tables, actions, extern objects, the parser and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from p4native.frontend.diagnostics import NOWHERE, Loc
from p4native.frontend.types import Type
from p4native.midend.core.exprs import Expr
from p4native.midend.core.stmts import Stmt
from p4native.midend.core.storage import Header, HeaderType, Scalar, Stack, Union, UnionType, Var

if TYPE_CHECKING:
    from p4native.frontend import ir


@dataclass(slots=True, eq=False)
class Instance:
    """An extern object: `kind` is the extern's name, `args` its constructor's by name."""

    kind: str
    name: str
    type_args: tuple[Type, ...]
    args: dict[str, Any]
    loc: Loc
    annotations: Sequence[Any] = ()
    block: str = ""  # the package block it belongs to, "" if global
    in_place: bool = False  # constructed inside a table property


@dataclass(slots=True, eq=False)
class Action:
    """An action: run-time parameters and a body without table applications."""

    name: str
    params: list[Var]
    body: list[Stmt]
    loc: Loc
    hidden: bool = False
    decl: ir.ActionDecl | None = None
    block: str = ""
    owner: object = None  # the instance that declares it, None for a global action


@dataclass(slots=True, eq=False)
class Key:
    """One key element; `name` is the control plane's."""

    expr: Expr
    match: str
    name: str
    type: Type
    loc: Loc
    annotations: Sequence[Any] = ()


@dataclass(slots=True, eq=False)
class KeyValue:
    """A key set of an entry or select case: value/mask, range (`high`) or don't care.

    mask None: exact. `any` true: matches everything.
    """

    value: int = 0
    mask: int | None = None
    high: int | None = None
    any: bool = False


@dataclass(slots=True, eq=False)
class Entry:
    """A table entry from the program; `priority` as BMv2 counts (smaller wins)."""

    keys: list[KeyValue]
    action: Action
    args: list[int]
    priority: int
    loc: Loc
    const: bool = False


@dataclass(slots=True, eq=False)
class ActionRef:
    """An element of a table's action list."""

    action: Action
    annotations: Sequence[Any] = ()


@dataclass(slots=True, eq=False)
class Table:
    """A table; `size` is as declared (None if not), hidden ones are made by the compiler."""

    name: str
    keys: list[Key]
    actions: list[ActionRef]
    loc: Loc
    default: Action | None = None
    default_args: list[int] = field(default_factory=list)
    default_const: bool = False
    entries: list[Entry] = field(default_factory=list)
    has_entries: bool = False
    entries_const: bool = False
    size: int | None = None
    implementation: Instance | None = None
    counter: Instance | None = None
    meter: Instance | None = None
    meter_target: Expr | None = None
    timeout: bool = False
    hidden: bool = False
    block: str = ""
    annotations: Sequence[Any] = ()


@dataclass(slots=True, eq=False)
class ValueSet:
    """A parser value set."""

    name: str
    type: Type
    size: int
    loc: Loc
    annotations: Sequence[Any] = ()


@dataclass(slots=True, eq=False)
class Case:
    """A select case: one key set per select key, or a value set for the whole."""

    keys: list[KeyValue]
    target: State | None
    loc: Loc
    value_set: ValueSet | None = None


@dataclass(slots=True, eq=False)
class State:
    """A parser state; `keys` empty means the first case is taken. Target None is accept/reject."""

    name: str
    body: list[Stmt] = field(default_factory=list)
    keys: list[Expr] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    loc: Loc = NOWHERE


@dataclass(slots=True, eq=False)
class Parser:
    """All states, the start state first."""

    name: str
    states: list[State]
    value_sets: list[ValueSet]
    loc: Loc = NOWHERE


@dataclass(slots=True, eq=False)
class Control:
    """A package control: `name` is `ingress`, `egress`, `verify`, `compute` or `deparser`."""

    name: str
    title: str
    body: list[Stmt]
    loc: Loc
    actions: list[Action] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    order: list[Table | Instance] = field(default_factory=list)  # tables, instances as declared


@dataclass(slots=True, eq=False)
class Program:
    """A whole core program."""

    source: str
    parser: Parser
    controls: dict[str, Control]
    variables: list[Var] = field(default_factory=list)
    header_types: list[HeaderType] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    union_types: list[UnionType] = field(default_factory=list)
    unions: list[Union] = field(default_factory=list)
    stacks: list[Stack] = field(default_factory=list)
    standard: HeaderType | None = None
    field_lists: dict[int, list[Expr]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    enums: list[tuple[str, list[tuple[str, int]]]] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    type_names: set[str] = field(default_factory=set)

    def fresh_type(self, stem: str) -> str:
        """A header type name nobody has yet, made from `stem`."""
        return _unused(self.type_names, stem)

    def fresh(self, stem: str) -> str:
        """A name nobody has yet, made from `stem`."""
        return _unused(self.names, stem)

    def temp(self, stem: str, type: Scalar, loc: Loc = NOWHERE) -> Var:
        """A new compiler-made variable."""
        var = Var(self.fresh(stem), type, "temp", loc=loc)
        self.variables.append(var)
        return var


def _unused(names: set[str], stem: str) -> str:
    name = stem
    number = 0
    while name in names:
        name = f"{stem}_{number}"
        number += 1
    names.add(name)
    return name
