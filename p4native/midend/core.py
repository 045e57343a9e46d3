"""The core program: P4 after elaboration, with everything nested, generic or structured gone.

What remains are scalar variables, header instances (also in unions and stacks), pure scalar
expressions, straight-line statements with structured jumps, tables, actions and one parser.
Identity matters: a `Var`, `Header`, `Action` or `Table` is the thing itself, referred to by the
Python object; names are only for output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from p4native.frontend.diagnostics import NOWHERE, Loc
from p4native.frontend.types import BOOL, BitsType, BoolType, ErrorType, Type, VarbitType, bits

if TYPE_CHECKING:
    from p4native.frontend import ir

Scalar = BitsType | BoolType | ErrorType | VarbitType

# --- storage ---------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Var:
    """A scalar variable; `home` is its (header, field) in the JSON, None until it is laid out.

    kind: `local`, `temp` (made by the compiler), `meta` (user metadata), `standard`, `param`.
    """

    name: str
    type: Scalar
    kind: str = "local"
    home: tuple[str, str] | None = None
    loc: Loc = NOWHERE
    index: int = -1  # of a `param`: its place among the action's run-time data
    annotations: Sequence[Any] = ()


@dataclass(slots=True, eq=False)
class HeaderType:
    """A header layout: field name to scalar type, in order."""

    name: str
    fields: dict[str, Scalar]
    loc: Loc = NOWHERE
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Bits in total, a varbit at its maximum."""
        return sum(scalar_width(t) for t in self.fields.values())


@dataclass(slots=True, eq=False)
class UnionType:
    """A header union: member name to header type."""

    name: str
    members: dict[str, HeaderType]


@dataclass(slots=True, eq=False)
class Header:
    """A header instance."""

    name: str
    type: HeaderType
    loc: Loc = NOWHERE
    kind: str = "local"  # as of a `Var`


@dataclass(slots=True, eq=False)
class Union:
    """A header union instance."""

    name: str
    type: UnionType
    members: dict[str, Header]
    loc: Loc = NOWHERE


@dataclass(slots=True, eq=False)
class Stack:
    """A stack of headers or of unions."""

    name: str
    elements: list[Header] | list[Union]
    loc: Loc = NOWHERE

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.elements)


# --- expressions (pure, scalar) ----------------------------------------------------------------


class Expr:
    """A pure scalar expression; `type` is one of `Scalar`."""

    __slots__ = ("type",)
    type: Scalar


class Const(Expr):
    """A number, a bool (0/1) or an error code."""

    __slots__ = ("value",)

    def __init__(self, value: int, type: Scalar) -> None:
        self.value = value
        self.type = type


class VarRef(Expr):
    """The value of a scalar variable; also an lvalue."""

    __slots__ = ("var",)

    def __init__(self, var: Var) -> None:
        self.var = var
        self.type = var.type


class Field(Expr):
    """A header's field; also an lvalue. `header` is a place (see below)."""

    __slots__ = ("header", "name")

    def __init__(self, header: Place, name: str) -> None:
        self.header = header
        self.name = name
        self.type = place_type(header).fields[name]


class Valid(Expr):
    """Whether a header is valid."""

    __slots__ = ("header",)

    def __init__(self, header: Place) -> None:
        self.header = header
        self.type = BOOL


class UnionValid(Expr):
    """Whether a header union has a valid member."""

    __slots__ = ("union",)

    def __init__(self, union: Union | UnionElement) -> None:
        self.union = union
        self.type = BOOL


class LastIndex(Expr):
    """`stack.lastIndex`, bit<32>."""

    __slots__ = ("stack",)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.type = bits(32)


class Lookahead(Expr):
    """`width` bits at `offset` bits after the parser's position."""

    __slots__ = ("offset", "width")

    def __init__(self, offset: int, width: int, type: Scalar) -> None:
        self.offset = offset
        self.width = width
        self.type = type


class Unary(Expr):
    """`-`, `~` or `!`."""

    __slots__ = ("op", "arg")

    def __init__(self, op: str, arg: Expr, type: Scalar) -> None:
        self.op = op
        self.arg = arg
        self.type = type


class Binary(Expr):
    """A binary operation named by its P4 token; `++` concatenates."""

    __slots__ = ("op", "left", "right")

    def __init__(self, op: str, left: Expr, right: Expr, type: Scalar) -> None:
        self.op = op
        self.left = left
        self.right = right
        self.type = type


class Mux(Expr):
    """`cond ? then : other`, neither with side effects."""

    __slots__ = ("cond", "then", "other")

    def __init__(self, cond: Expr, then: Expr, other: Expr) -> None:
        self.cond = cond
        self.then = then
        self.other = other
        self.type = then.type


class Cast(Expr):
    """A conversion between bit, int, bool."""

    __slots__ = ("arg",)

    def __init__(self, arg: Expr, type: Scalar) -> None:
        self.arg = arg
        self.type = type


class Slice(Expr):
    """`arg[hi:lo]`; an lvalue if `arg` is one."""

    __slots__ = ("arg", "hi", "lo")

    def __init__(self, arg: Expr, hi: int, lo: int) -> None:
        self.arg = arg
        self.hi = hi
        self.lo = lo
        self.type = bits(hi - lo + 1)


# --- places: where a header is -------------------------------------------------------------------


class StackElement:
    """`stack[index]` of headers with a run-time index."""

    __slots__ = ("stack", "index")

    def __init__(self, stack: Stack, index: Expr) -> None:
        self.stack = stack
        self.index = index


class StackEnd:
    """`stack.next` or `stack.last` of headers; `which` says which."""

    __slots__ = ("stack", "which")

    def __init__(self, stack: Stack, which: str) -> None:
        self.stack = stack
        self.which = which


class UnionElement:
    """`stack.next` or `stack.last` of unions (`which`)."""

    __slots__ = ("stack", "which")

    def __init__(self, stack: Stack, which: str) -> None:
        self.stack = stack
        self.which = which


class UnionMember:
    """A member of a `UnionElement`."""

    __slots__ = ("element", "name")

    def __init__(self, element: UnionElement, name: str) -> None:
        self.element = element
        self.name = name


Place = Header | StackElement | StackEnd | UnionMember


def place_type(place: Place) -> HeaderType:
    """The layout of the header at `place`."""
    if isinstance(place, Header):
        return place.type
    first = place.element.stack.elements[0] if isinstance(place, UnionMember) else (
        place.stack.elements[0]
    )
    if isinstance(place, UnionMember):
        assert isinstance(first, Union)
        return first.type.members[place.name]
    assert isinstance(first, Header)
    return first.type


# --- statements --------------------------------------------------------------------------------


class Stmt:
    """A statement with the source location it stems from."""

    __slots__ = ("loc",)
    loc: Loc


class Assign(Stmt):
    """`target = value`; target is `VarRef`, `Field` or `Slice` of one."""

    __slots__ = ("target", "value")

    def __init__(self, target: Expr, value: Expr, loc: Loc) -> None:
        self.target = target
        self.value = value
        self.loc = loc


class CopyHeader(Stmt):
    """Copy a header with its validity."""

    __slots__ = ("target", "source")

    def __init__(self, target: Place, source: Place, loc: Loc) -> None:
        self.target = target
        self.source = source
        self.loc = loc


class CopyStack(Stmt):
    """Copy a whole stack, with validity and next index."""

    __slots__ = ("target", "source")

    def __init__(self, target: Stack, source: Stack, loc: Loc) -> None:
        self.target = target
        self.source = source
        self.loc = loc


class CopyUnion(Stmt):
    """Copy a header union."""

    __slots__ = ("target", "source")

    def __init__(self, target: Union, source: Union, loc: Loc) -> None:
        self.target = target
        self.source = source
        self.loc = loc


class SetValid(Stmt):
    """Make a header valid or invalid."""

    __slots__ = ("header", "valid")

    def __init__(self, header: Place, valid: bool, loc: Loc) -> None:
        self.header = header
        self.valid = valid
        self.loc = loc


class Shift(Stmt):
    """`stack.push_front(count)` (`op` is `push`) or `pop_front` (`pop`)."""

    __slots__ = ("stack", "op", "count")

    def __init__(self, stack: Stack, op: str, count: int, loc: Loc) -> None:
        self.stack = stack
        self.op = op
        self.count = count
        self.loc = loc


class Extern(Stmt):
    """A call of the target: `op` is `counter.count`, `hash`, `mark_to_drop`, `extract`...

    `args` holds expressions, places, lists of expressions (field lists), strings or numbers as
    the operation needs; `outs` are the indices of arguments that are written.
    """

    __slots__ = ("op", "instance", "args", "outs")

    def __init__(
        self,
        op: str,
        instance: Instance | None,
        args: list[Any],
        loc: Loc,
        outs: tuple[int, ...] = (),
    ) -> None:
        self.op = op
        self.instance = instance
        self.args = args
        self.loc = loc
        self.outs = outs


class If(Stmt):
    """A conditional."""

    __slots__ = ("cond", "then", "other")

    def __init__(self, cond: Expr, then: list[Stmt], other: list[Stmt], loc: Loc) -> None:
        self.cond = cond
        self.then = then
        self.other = other
        self.loc = loc


class Switch(Stmt):
    """Select a branch by value: (labels, body) in order; an empty tuple of labels is default."""

    __slots__ = ("value", "cases")

    def __init__(
        self, value: Expr, cases: list[tuple[tuple[int, ...], list[Stmt]]], loc: Loc
    ) -> None:
        self.value = value
        self.cases = cases
        self.loc = loc


class Block(Stmt):
    """Statements that `Leave(block)` jumps behind."""

    __slots__ = ("name", "body")

    def __init__(self, name: str, body: list[Stmt], loc: Loc) -> None:
        self.name = name
        self.body = body
        self.loc = loc


class Loop(Stmt):
    """Repeat `body` until `Leave(loop)`."""

    __slots__ = ("name", "body")

    def __init__(self, name: str, body: list[Stmt], loc: Loc) -> None:
        self.name = name
        self.body = body
        self.loc = loc


class Leave(Stmt):
    """Jump behind an enclosing `Block` or `Loop`."""

    __slots__ = ("target",)

    def __init__(self, target: Block | Loop, loc: Loc) -> None:
        self.target = target
        self.loc = loc


class Exit(Stmt):
    """End the pipeline."""

    __slots__ = ()

    def __init__(self, loc: Loc) -> None:
        self.loc = loc


class Apply(Stmt):
    """Apply a table, then branch: on hit/miss (`hit`, `miss`) or on the action (`cases`).

    `cases` maps an action (None: the default label) to a body; a missing label goes on behind.
    """

    __slots__ = ("table", "hit", "miss", "cases")

    def __init__(
        self,
        table: Table,
        loc: Loc,
        hit: list[Stmt] | None = None,
        miss: list[Stmt] | None = None,
        cases: list[tuple[tuple[Action | None, ...], list[Stmt]]] | None = None,
    ) -> None:
        self.table = table
        self.loc = loc
        self.hit = hit
        self.miss = miss
        self.cases = cases


# --- program -------------------------------------------------------------------------------------


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
    declared: Sequence[Type] = ()  # type arguments before reduction, for P4Info
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


def scalar_width(t: Scalar) -> int:
    """Width in bits as BMv2 stores the type."""
    if isinstance(t, BitsType):
        return t.width
    if isinstance(t, VarbitType):
        return t.max_width
    return 32 if isinstance(t, ErrorType) else 1


def bodies(stmt: Stmt) -> Iterator[list[Stmt]]:
    """The statement lists directly inside `stmt`."""
    if isinstance(stmt, If):
        yield stmt.then
        yield stmt.other
    elif isinstance(stmt, (Block, Loop)):
        yield stmt.body
    elif isinstance(stmt, Switch):
        for _, body in stmt.cases:
            yield body
    elif isinstance(stmt, Apply):
        if stmt.hit is not None:
            yield stmt.hit
        if stmt.miss is not None:
            yield stmt.miss
        for _, body in stmt.cases or ():
            yield body
