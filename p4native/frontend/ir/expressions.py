"""Expressions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from p4native.frontend.ir.base import CallKind, Node, Value
from p4native.frontend.ir.typerefs import TypeRef
from p4native.frontend.types import UNKNOWN, Type

if TYPE_CHECKING:
    from p4native.frontend.ir.declarations import Decl, EnumMember, Method, Param, TypeParam


@dataclass(slots=True, eq=False)
class Expression(Node):
    """Base of expressions."""

    type: Type = field(default=UNKNOWN, kw_only=True, repr=False)
    value: Value = field(default=None, kw_only=True, repr=False)


@dataclass(slots=True, eq=False)
class IntLit(Expression):
    """An integer literal; `base` (2, 8, 10, 16) only matters for printing."""

    number: int
    base: int = 10


@dataclass(slots=True, eq=False)
class BoolLit(Expression):
    """`true` or `false`."""

    truth: bool


@dataclass(slots=True, eq=False)
class StringLit(Expression):
    """A string literal; escape sequences are kept as written, as p4c does."""

    text: str


@dataclass(slots=True, eq=False)
class Path(Expression):
    """A name; `decl` is what it refers to (`ThisMarker` never: see `This`)."""

    REFS: ClassVar[tuple[str, ...]] = ("decl",)
    name: str
    absolute: bool = False
    decl: Decl | None = None


@dataclass(slots=True, eq=False)
class This(Expression):
    """`this` in an instance's initializer."""


@dataclass(slots=True, eq=False)
class TypeName(Expression):
    """A type used as an expression, as in `E.member` or `error.NoError`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("ref",)
    ref: TypeRef


@dataclass(slots=True, eq=False)
class Member(Expression):
    """`expr.name`: a field, a stack property (`next last lastIndex size`), `hit`/`miss`/
    `action_run`, or an enum member or error (then `decl` is the `EnumMember`)."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr",)
    REFS: ClassVar[tuple[str, ...]] = ("decl",)
    expr: Expression
    name: str
    decl: EnumMember | None = None


@dataclass(slots=True, eq=False)
class Index(Expression):
    """`expr[index]` on a stack, tuple or list."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr", "index")
    expr: Expression
    index: Expression


@dataclass(slots=True, eq=False)
class Slice(Expression):
    """`expr[hi:lo]`; both bounds have a `.value`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr", "hi", "lo")
    expr: Expression
    hi: Expression
    lo: Expression


@dataclass(slots=True, eq=False)
class PlusSlice(Expression):
    """`expr[base +: width]`; the checker rewrites it to a `Slice` when `base` is constant."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr", "base", "width")
    expr: Expression
    base: Expression
    width: Expression


@dataclass(slots=True, eq=False)
class Unary(Expression):
    """`op` is one of `-`, `+`, `~`, `!`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr",)
    op: str
    expr: Expression


@dataclass(slots=True, eq=False)
class Binary(Expression):
    """`op` is P4's operator text: `+ - * / % |+| |-| << >> & | ^ && || == != < <= > >= ++`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("left", "right")
    op: str
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Ternary(Expression):
    """`cond ? then : other`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("cond", "then", "other")
    cond: Expression
    then: Expression
    other: Expression


@dataclass(slots=True, eq=False)
class Cast(Expression):
    """`(ref) expr`; `ref` is None when implicit. The destination is `.type`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("ref", "expr")
    ref: TypeRef | None
    expr: Expression


@dataclass(slots=True, eq=False)
class Argument(Node):
    """A call argument; `name` if written `name = expr`; `param` is set by the checker."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr",)
    REFS: ClassVar[tuple[str, ...]] = ("param",)
    expr: Expression
    name: str | None = None
    param: Param | None = None


@dataclass(slots=True, eq=False)
class Call(Expression):
    """`callee<type args>(args)`; resolved by `kind`, `target`, `receiver` and `type_args`.

    After checking `callee` is kept as written for printing only: use `receiver`/`target`.
    `receiver` is the same object as `callee.expr` (so it is not listed among the children).
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("callee", "type_refs", "args")
    REFS: ClassVar[tuple[str, ...]] = ("target",)
    callee: Expression
    args: list[Argument] = field(default_factory=list)
    type_refs: list[TypeRef] = field(default_factory=list)
    kind: CallKind = CallKind.UNRESOLVED
    target: Decl | None = None
    builtin: str = ""
    type_args: dict[TypeParam, Type] = field(default_factory=dict)

    @property
    def receiver(self) -> Expression | None:
        """The object a method is called on: `callee.expr` if the callee is a member access."""
        return self.callee.expr if isinstance(self.callee, Member) else None

    def arg(self, name: str) -> Expression | None:
        """The argument bound to the parameter called `name`, if given."""
        for a in self.args:
            if a.param is not None and a.param.name == name:
                return a.expr
        return None


@dataclass(slots=True, eq=False)
class ConstructorCall(Expression):
    """`T(args)`: makes an extern object, parser, control or package; `target` is its declaration.

    `constructor` is the extern constructor chosen (None for parsers, controls, packages);
    `type_args` binds the declaration's type parameters.
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("ref", "args")
    REFS: ClassVar[tuple[str, ...]] = ("target", "constructor")
    ref: TypeRef
    args: list[Argument] = field(default_factory=list)
    target: Decl | None = None
    constructor: Method | None = None
    type_args: dict[TypeParam, Type] = field(default_factory=dict)

    def arg(self, name: str) -> Expression | None:
        """The argument bound to the parameter called `name`, if given."""
        for a in self.args:
            if a.param is not None and a.param.name == name:
                return a.expr
        return None


@dataclass(slots=True, eq=False)
class ListExpr(Expression):
    """`{a, b}` or `(type){a, b}`, a tuple or list value; `ref` only if written.

    `has_rest` means it ends in `...` (defaults); the checker expands that.
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("items", "ref")
    items: list[Expression]
    ref: TypeRef | None = None
    has_rest: bool = False


@dataclass(slots=True, eq=False)
class NamedExpr(Node):
    """`name = expr` in a struct expression or key-value annotation."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("expr",)
    name: str
    expr: Expression


@dataclass(slots=True, eq=False)
class StructExpr(Expression):
    """`{a = x, b = y}`: a struct or (valid) header value; fields in declaration order."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("fields", "ref")
    fields: list[NamedExpr]
    ref: TypeRef | None = None
    has_rest: bool = False


@dataclass(slots=True, eq=False)
class InvalidHeader(Expression):
    """`{#}`: an invalid header or header union."""


@dataclass(slots=True, eq=False)
class DefaultValue(Expression):
    """`...`: the default (zero) value of its type."""


@dataclass(slots=True, eq=False)
class DontCare(Expression):
    """`_`, and `default` in keysets (`is_default`)."""

    is_default: bool = False


@dataclass(slots=True, eq=False)
class Mask(Expression):
    """`left &&& right` in a keyset."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("left", "right")
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Range(Expression):
    """`left .. right` in a keyset, both inclusive."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("left", "right")
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class SelectCase(Node):
    """`keyset: state`; `keyset` is a `ListExpr` when written as a tuple."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("keyset", "state")
    keyset: Expression
    state: Path


@dataclass(slots=True, eq=False)
class Select(Expression):
    """`select (selectors) { cases }`; as a transition only."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("selectors", "cases")
    selectors: list[Expression]
    cases: list[SelectCase]
