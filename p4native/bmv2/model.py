"""The BMv2 JSON program as validated, cross-referenced dataclasses (JSON format 2.x)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

LOG_PLACEHOLDER = re.compile(r"(?<!\\)\{[^}]*\}")
"""Where log_msg's text has a value: a backslash makes a brace an ordinary character."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header type; `width` is in bits and 0 for a variable-length field."""

    name: str
    width: int
    signed: bool = False
    saturating: bool = False
    varbit: bool = False


@dataclass(frozen=True, slots=True)
class HeaderType:
    """A header or struct layout; `max_length` is the largest size in bytes with its varbit."""

    name: str
    id: int
    fields: tuple[Field, ...]
    max_length: int | None = None
    length_exp: Expr | None = None

    @property
    def fixed_bits(self) -> int:
        """Bits of all fields but the variable-length one."""
        return sum(f.width for f in self.fields)

    @property
    def varbit(self) -> Field | None:
        """The variable-length field, if there is one."""
        return next((f for f in self.fields if f.varbit), None)

    def field(self, name: str) -> Field | None:
        """The field of that name."""
        return next((f for f in self.fields if f.name == name), None)


@dataclass(frozen=True, slots=True)
class Header:
    """A header or metadata instance."""

    name: str
    id: int
    type: HeaderType
    metadata: bool


@dataclass(frozen=True, slots=True)
class Stack:
    """A header stack: its elements are header instances, first to last."""

    name: str
    id: int
    type: HeaderType
    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """A header union: at most one of its member headers is valid."""

    name: str
    id: int
    type_name: str
    members: tuple[str, ...]
    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class UnionStack:
    """A stack of header unions."""

    name: str
    id: int
    type_name: str
    members: tuple[str, ...]
    unions: tuple[Union, ...]


# --- expressions and primitive arguments ---------------------------------------------------------


class Expr:
    """Anything that a JSON type-value object can denote."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Const(Expr):
    """An integer of any size and sign."""

    value: int


@dataclass(frozen=True, slots=True)
class BoolConst(Expr):
    """true or false."""

    value: bool


@dataclass(frozen=True, slots=True)
class FieldRef(Expr):
    """A field of a header instance; `field.name` may be the hidden `$valid$`."""

    header: Header
    field: Field


@dataclass(frozen=True, slots=True)
class StackField(Expr):
    """A field of the last extracted element of a stack."""

    stack: Stack
    field: Field


@dataclass(frozen=True, slots=True)
class UnionStackField(Expr):
    """A field of one member of the last union of a union stack."""

    stack: UnionStack
    member: int
    field: Field


@dataclass(frozen=True, slots=True)
class LookAhead(Expr):
    """`width` bits, `offset` bits after the parser's position."""

    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class HeaderRef(Expr):
    """A header instance as a whole."""

    header: Header


@dataclass(frozen=True, slots=True)
class StackRef(Expr):
    """A header stack as a whole."""

    stack: Stack


@dataclass(frozen=True, slots=True)
class UnionRef(Expr):
    """A header union as a whole."""

    union: Union


@dataclass(frozen=True, slots=True)
class UnionStackRef(Expr):
    """A stack of unions as a whole."""

    stack: UnionStack


@dataclass(frozen=True, slots=True)
class RegisterRef(Expr):
    """One cell of a register array."""

    register: Register
    index: Expr


@dataclass(frozen=True, slots=True)
class Local(Expr):
    """A runtime parameter of the enclosing action, or a field position in a length expression."""

    index: int


@dataclass(frozen=True, slots=True)
class Op(Expr):
    """An operator; unary ones have `left` None, `?` has `cond`, accessors an integer `right`."""

    op: str
    left: Expr | None
    right: Expr | None
    cond: Expr | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class NameRef(Expr):
    """A named object that is neither header nor field: `kind` is the JSON type."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class StringConst(Expr):
    """Text."""

    value: str


@dataclass(frozen=True, slots=True)
class Vector(Expr):
    """Several arguments as one (log_msg)."""

    items: tuple[Expr, ...]


def header_type_of(e: Expr | None) -> HeaderType | None:
    """The type of the header that an expression denotes; None when it denotes none."""
    match e:
        case HeaderRef():
            return e.header.type
        case Op(op="dereference_header_stack", left=StackRef(stack=stack)):
            return stack.type
        case Op(op="access_union_header", left=UnionRef(union=union), index=index):
            return union.headers[index].type
        case Op(op="access_union_header", left=Op(left=UnionStackRef(stack=unions)), index=index):
            return unions.unions[0].headers[index].type
    return None


# --- stateful objects ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Register:
    """A register array; `width` in bits per cell."""

    name: str
    id: int
    size: int
    width: int


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter array, or the direct counter of table `binding`."""

    name: str
    id: int
    size: int
    binding: str | None


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter array, or the direct meter of table `binding` writing to `target`."""

    name: str
    id: int
    size: int
    rate_count: int
    counts_bytes: bool
    binding: str | None
    target: FieldRef | None


@dataclass(frozen=True, slots=True)
class ValueSet:
    """A parser value set; `width` is the unpadded key width in bits."""

    name: str
    id: int
    width: int
    max_size: int


@dataclass(frozen=True, slots=True)
class CalcInput:
    """One input of a calculation: a field, a header, a constant of `width` bits or the payload."""

    kind: str
    value: Expr | None = None
    width: int = 0


@dataclass(frozen=True, slots=True)
class Calculation:
    """A hash or checksum algorithm applied to inputs."""

    name: str
    id: int
    algo: str
    inputs: tuple[CalcInput, ...]


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum field verified after parsing or updated before deparsing."""

    name: str
    id: int
    target: FieldRef
    calculation: str
    update: bool
    verify: bool
    condition: Expr | None


@dataclass(frozen=True, slots=True)
class FieldList:
    """Fields preserved or reported together."""

    name: str
    id: int
    elements: tuple[Expr, ...]


# --- parser --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParserOp:
    """One parser operation; `args` are its parameters, `target` what an extract fills."""

    op: str
    args: tuple[Expr, ...] = ()
    call: Call | None = None
    member: int = 0


class TransitionKind(Enum):
    """What a transition compares the key with."""

    DEFAULT = "default"
    VALUE = "hexstr"
    VALUE_SET = "parse_vset"


@dataclass(frozen=True, slots=True)
class Transition:
    """One transition: key & mask == value, or key in the value set."""

    kind: TransitionKind
    value: int
    mask: int | None
    value_set: str | None
    next_state: str | None


@dataclass(frozen=True, slots=True)
class ParseState:
    """A parser state."""

    name: str
    id: int
    ops: tuple[ParserOp, ...]
    key: tuple[Expr, ...]
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class Parser:
    """A parse graph."""

    name: str
    id: int
    init_state: str | None
    states: tuple[ParseState, ...]


@dataclass(frozen=True, slots=True)
class Deparser:
    """The emission order, and primitives run before it."""

    name: str
    id: int
    order: tuple[Header, ...]
    calls: tuple[Call, ...] = ()


# --- match-action --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A primitive call."""

    op: str
    args: tuple[Expr, ...]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Param:
    """A runtime parameter of an action; `width` in bits."""

    name: str
    width: int


@dataclass(frozen=True, slots=True)
class Action:
    """A compound action."""

    name: str
    id: int
    params: tuple[Param, ...]
    calls: tuple[Call, ...]


class MatchKind(Enum):
    """Match kinds of a key field, by their JSON names."""

    EXACT = "exact"
    LPM = "lpm"
    TERNARY = "ternary"
    RANGE = "range"
    OPTIONAL = "optional"
    VALID = "valid"


@dataclass(frozen=True, slots=True)
class Key:
    """One key field: the kind, the value looked up, its width in bits and a static mask."""

    name: str
    kind: MatchKind
    target: Expr
    width: int
    mask: int | None = None


@dataclass(frozen=True, slots=True)
class EntryKey:
    """One field of a const entry: `mask` is the ternary mask or the range's high bound."""

    kind: MatchKind
    key: int
    mask: int = 0
    prefix_len: int = 0


@dataclass(frozen=True, slots=True)
class ActionCall:
    """An action with its argument values."""

    action_id: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A const entry; a smaller `priority` number wins."""

    keys: tuple[EntryKey, ...]
    action: ActionCall
    priority: int


@dataclass(frozen=True, slots=True)
class Table:
    """A match-action table and where control goes after it."""

    name: str
    id: int
    match_type: str
    impl: str
    profile: str | None
    max_size: int
    with_counters: bool
    support_timeout: bool
    direct_meter: str | None
    keys: tuple[Key, ...]
    action_ids: tuple[int, ...]
    next_by_action: dict[int, str | None]
    next_hit: str | None
    next_miss: str | None
    by_hit: bool
    by_miss: bool
    base_default_next: str | None
    default: ActionCall | None
    default_action_const: bool
    default_entry_const: bool
    entries: tuple[Entry, ...]
    immutable: bool


@dataclass(frozen=True, slots=True)
class Selector:
    """How a group member is chosen."""

    algo: str
    inputs: tuple[CalcInput, ...]


@dataclass(frozen=True, slots=True)
class ActionProfile:
    """Shared action members, with groups when it has a selector."""

    name: str
    id: int
    max_size: int
    selector: Selector | None


@dataclass(frozen=True, slots=True)
class Conditional:
    """A branch on an expression; `source` is its P4 text when the JSON has it."""

    name: str
    id: int
    expression: Expr
    true_next: str | None
    false_next: str | None
    source: str = ""


@dataclass(frozen=True, slots=True)
class DirectCall:
    """An action called from the control flow without a table."""

    name: str
    id: int
    action_id: int
    next_node: str | None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A control: a graph of tables, conditionals and action calls."""

    name: str
    id: int
    init: str | None
    tables: tuple[Table, ...]
    conditionals: tuple[Conditional, ...]
    calls: tuple[DirectCall, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A whole JSON program; every list keeps the order of the JSON."""

    name: str
    header_types: tuple[HeaderType, ...]
    headers: tuple[Header, ...]
    stacks: tuple[Stack, ...]
    unions: tuple[Union, ...]
    union_stacks: tuple[UnionStack, ...]
    errors: dict[str, int]
    enums: dict[str, dict[str, int]]
    parsers: tuple[Parser, ...]
    value_sets: tuple[ValueSet, ...]
    deparsers: tuple[Deparser, ...]
    meters: tuple[Meter, ...]
    counters: tuple[Counter, ...]
    registers: tuple[Register, ...]
    calculations: tuple[Calculation, ...]
    learn_lists: tuple[FieldList, ...]
    field_lists: tuple[FieldList, ...]
    actions: tuple[Action, ...]
    profiles: tuple[ActionProfile, ...]
    pipelines: tuple[Pipeline, ...]
    checksums: tuple[Checksum, ...]
    aliases: dict[str, FieldRef] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of all pipelines, in order: a table's position here is its engine index."""
        return tuple(t for p in self.pipelines for t in p.tables)

    def action(self, action_id: int) -> Action:
        """The action with that JSON id (the reader checked that it exists)."""
        return next(a for a in self.actions if a.id == action_id)

    def pipeline(self, name: str) -> Pipeline | None:
        """The pipeline of that name ("ingress" or "egress")."""
        return next((p for p in self.pipelines if p.name == name), None)
