"""Canonical P4 types: immutable values compared structurally (nominal ones by declaration).

Typedefs never appear here: a type reference to a typedef resolves to what it names.
`SyntheticType`s (`ListValueType`, `StructValueType`) are the types of `{...}` expressions that
no context has given a type; the checker rewrites them wherever a target type is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from p4native.frontend import ir


class Type:
    """Base of all types; `str(type)` is P4 syntax for it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class UnknownType(Type):
    """Not checked yet, or in error (reported already)."""

    def __str__(self) -> str:
        return "<unknown>"


@dataclass(frozen=True, slots=True)
class BoolType(Type):
    """`bool`."""

    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True, slots=True)
class BitsType(Type):
    """`bit<width>` or, when `signed`, `int<width>`."""

    width: int
    signed: bool = False

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'bit'}<{self.width}>"


@dataclass(frozen=True, slots=True)
class VarbitType(Type):
    """`varbit<max_width>`, `max_width` in bits."""

    max_width: int

    def __str__(self) -> str:
        return f"varbit<{self.max_width}>"


@dataclass(frozen=True, slots=True)
class IntType(Type):
    """`int`: arbitrary precision, compile-time only."""

    def __str__(self) -> str:
        return "int"


@dataclass(frozen=True, slots=True)
class StringType(Type):
    """`string`."""

    def __str__(self) -> str:
        return "string"


@dataclass(frozen=True, slots=True)
class VoidType(Type):
    """`void`."""

    def __str__(self) -> str:
        return "void"


@dataclass(frozen=True, slots=True)
class ErrorType(Type):
    """`error`."""

    def __str__(self) -> str:
        return "error"


@dataclass(frozen=True, slots=True)
class MatchKindType(Type):
    """`match_kind`."""

    def __str__(self) -> str:
        return "match_kind"


@dataclass(frozen=True, slots=True)
class StateType(Type):
    """The type of a parser state's name."""

    def __str__(self) -> str:
        return "state"


@dataclass(frozen=True, slots=True)
class DontCareType(Type):
    """The type of `_` before inference gave it one."""

    def __str__(self) -> str:
        return "_"


@dataclass(frozen=True, slots=True)
class InvalidType(Type):
    """The type of `{#}` before a context gave it a header type."""

    def __str__(self) -> str:
        return "{#}"


@dataclass(frozen=True, slots=True)
class EnumType(Type):
    """An enum; `repr` is the underlying type of a serializable enum, else None."""

    decl: ir.EnumDecl
    repr: Type | None = None

    def __str__(self) -> str:
        return self.decl.name


@dataclass(frozen=True, slots=True)
class NewType(Type):
    """A `type T N;` declaration; `base` is what it wraps."""

    decl: ir.NewTypeDecl
    base: Type

    def __str__(self) -> str:
        return self.decl.name


class StructType(Type):
    """A struct, header or header_union (see `kind`), with its type arguments if generic."""

    __slots__ = ("_fields", "args", "decl")

    def __init__(self, decl: ir.StructDecl, args: tuple[Type, ...] = ()) -> None:
        self.decl = decl
        self.args = args
        self._fields: dict[str, Type] | None = None

    @property
    def kind(self) -> str:
        """`struct`, `header` or `header_union`."""
        return self.decl.kind

    @property
    def fields(self) -> dict[str, Type]:
        """Field name to type, in declaration order, type arguments substituted."""
        if self._fields is None:
            found = {f.name: f.type for f in self.decl.fields}
            if self.args:
                bind = dict(zip(self.decl.type_params, self.args, strict=False))
                found = {name: substitute(t, bind) for name, t in found.items()}
            self._fields = found
        return self._fields

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, StructType) and self.decl is other.decl and self.args == other.args

    def __hash__(self) -> int:
        return hash((id(self.decl), self.args))

    def __str__(self) -> str:
        return self.decl.name + _angle(self.args)

    def __repr__(self) -> str:
        return f"StructType({self})"


@dataclass(frozen=True, slots=True)
class StackType(Type):
    """A header (or header union) stack of `size` elements."""

    element: Type
    size: int

    def __str__(self) -> str:
        return f"{self.element}[{self.size}]"


@dataclass(frozen=True, slots=True)
class TupleType(Type):
    """`tuple<...>`."""

    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


@dataclass(frozen=True, slots=True)
class ListType(Type):
    """`list<T>`: compile-time list of unspecified length."""

    element: Type

    def __str__(self) -> str:
        return f"list<{self.element}>"


@dataclass(frozen=True, slots=True)
class ListValueType(Type):
    """Type of a `{a, b}` expression without a target type."""

    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


@dataclass(frozen=True, slots=True)
class StructValueType(Type):
    """Type of a `{f = a}` expression without a target type."""

    fields: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        return "struct {" + ", ".join(f"{t} {n}" for n, t in self.fields) + "}"


@dataclass(frozen=True, slots=True)
class SetType(Type):
    """A set of `element`s: ranges, masks, `default`, value sets."""

    element: Type

    def __str__(self) -> str:
        return f"set<{self.element}>"


@dataclass(frozen=True, slots=True)
class ExternType(Type):
    """An extern object type with type arguments."""

    decl: ir.ExternDecl
    args: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return self.decl.name + _angle(self.args)


@dataclass(frozen=True, slots=True)
class ArchBlockType(Type):
    """A parser, control or package *type* or *declaration*, with type arguments."""

    decl: (
        ir.ParserTypeDecl | ir.ControlTypeDecl | ir.PackageTypeDecl | ir.ParserDecl | ir.ControlDecl
    )
    args: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return self.decl.name + _angle(self.args)


@dataclass(frozen=True, slots=True)
class TableResultType(Type):
    """What `table.apply()` returns: members `hit`, `miss` (bool) and `action_run`."""

    table: ir.TableDecl

    def __str__(self) -> str:
        return f"apply_result({self.table.name})"


@dataclass(frozen=True, slots=True)
class ActionRunType(Type):
    """The type of `table.apply().action_run`."""

    table: ir.TableDecl

    def __str__(self) -> str:
        return f"action_list({self.table.name})"


@dataclass(frozen=True, slots=True)
class TableType(Type):
    """The type of a table's name."""

    table: ir.TableDecl

    def __str__(self) -> str:
        return f"table {self.table.name}"


@dataclass(frozen=True, slots=True)
class TypeVar(Type):
    """A type parameter, identified by its declaration."""

    decl: ir.TypeParam

    def __str__(self) -> str:
        return self.decl.name


@dataclass(frozen=True, slots=True)
class FunctionType(Type):
    """The type of a callable's name: function, action, extern function or method, `apply`."""

    decl: ir.Callable
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} {self.decl.name}"


@dataclass(frozen=True, slots=True)
class TypeNameType(Type):
    """The type of an expression that names a type (`E` in `E.member`)."""

    named: Type

    def __str__(self) -> str:
        return f"type {self.named}"


UNKNOWN = UnknownType()
BOOL = BoolType()
INT = IntType()
STRING = StringType()
VOID = VoidType()
ERROR = ErrorType()
MATCH_KIND = MatchKindType()
STATE = StateType()
DONT_CARE = DontCareType()
INVALID = InvalidType()


@lru_cache(maxsize=4096)
def bits(width: int, signed: bool = False) -> BitsType:
    """The `bit<width>`/`int<width>` type."""
    return BitsType(width, signed)


def _angle(args: Iterable[Type]) -> str:
    text = ", ".join(map(str, args))
    return f"<{text}>" if text else ""


def substitute(t: Type, bind: dict[ir.TypeParam, Type]) -> Type:
    """`t` with the type parameters in `bind` replaced."""
    if not bind or isinstance(t, (BitsType, BoolType, EnumType)):
        return t
    if isinstance(t, TypeVar):
        return bind.get(t.decl, t)
    if isinstance(t, (StructType, ExternType, ArchBlockType)):
        if not t.args:
            return t
        args = tuple(substitute(a, bind) for a in t.args)
        return t if args == t.args else type(t)(t.decl, args)  # type: ignore[arg-type]
    if isinstance(t, StackType):
        return StackType(substitute(t.element, bind), t.size)
    if isinstance(t, TupleType):
        return TupleType(tuple(substitute(e, bind) for e in t.elements))
    if isinstance(t, ListValueType):
        return ListValueType(tuple(substitute(e, bind) for e in t.elements))
    if isinstance(t, StructValueType):
        return StructValueType(tuple((n, substitute(e, bind)) for n, e in t.fields))
    if isinstance(t, ListType):
        return ListType(substitute(t.element, bind))
    if isinstance(t, SetType):
        return SetType(substitute(t.element, bind))
    return t


def underlying(t: Type) -> Type:
    """`t` with `type` wrappers and serializable enums reduced to what they are stored as."""
    while True:
        if isinstance(t, NewType):
            t = t.base
        elif isinstance(t, EnumType) and t.repr is not None:
            t = t.repr
        else:
            return t


def is_header(t: Type) -> bool:
    """Whether `t` is a header type."""
    return isinstance(t, StructType) and t.decl.kind == "header"


def is_union(t: Type) -> bool:
    """Whether `t` is a header union type."""
    return isinstance(t, StructType) and t.decl.kind == "header_union"


def width_bits(t: Type) -> int | None:
    """Size in bits of a fixed-size type (varbit counts its maximum), None if it has none."""
    t = underlying(t)
    if isinstance(t, BitsType):
        return t.width
    if isinstance(t, BoolType):
        return 1
    if isinstance(t, VarbitType):
        return t.max_width
    if isinstance(t, StackType):
        one = width_bits(t.element)
        return None if one is None else one * t.size
    parts: Iterable[Type]
    if isinstance(t, StructType):
        parts = t.fields.values()
    elif isinstance(t, (TupleType, ListValueType)):
        parts = t.elements
    else:
        return None
    sizes = [width_bits(p) for p in parts]
    known = [s for s in sizes if s is not None]
    if len(known) != len(sizes):
        return None
    return max(known, default=0) if is_union(t) else sum(known)
