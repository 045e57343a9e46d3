"""The typed tree that the parser builds, the checker completes and the midend transforms.

Conventions every pass can rely on after `parse_and_check` succeeded:

* every node has `.loc`; every `Expression` has a canonical `.type` (see `types`);
* names are resolved: `Path.decl`, `Member.decl`, `Call.target` are declaration objects
  (references by identity, listed per class in `REFS`; children are listed in `CHILDREN`);
* implicit conversions are explicit `Cast`s, literals carry their final sized type, operands of
  arithmetic have equal types, `{...}` given to a struct is a `StructExpr` of that type in field
  order, given to a tuple a `ListExpr`;
* `Expression.value` holds the compile-time value if known: int, bool, str, `EnumMember`
  (also for errors and match kinds), or a tuple of such for structured values; else None;
* `Call.args` are in source order, each with `.param`; missing arguments with defaults are
  appended, missing optional ones are absent; `_` for an out argument is a `DontCare`;
* type arguments are recorded in `Call.type_args` (inferred where omitted).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, TypeAlias

from p4native.frontend.diagnostics import NOWHERE, Loc
from p4native.frontend.types import UNKNOWN, Type

Value: TypeAlias = "int | bool | str | EnumMember | tuple[Value, ...] | None"


class CallKind(Enum):
    """What a `Call` invokes; `Call.target` is the declaration given in each comment."""

    UNRESOLVED = "unresolved"
    EXTERN_FUNCTION = "extern function"  # Method without parent
    EXTERN_METHOD = "extern method"  # Method of an ExternDecl; receiver is the object
    ACTION = "action"  # ActionDecl
    FUNCTION = "function"  # FunctionDecl
    TABLE_APPLY = "table apply"  # TableDecl
    PARSER_APPLY = "parser apply"  # ParserDecl or ParserTypeDecl; receiver is the instance
    CONTROL_APPLY = "control apply"  # ControlDecl or ControlTypeDecl; receiver is the instance
    BUILTIN = "builtin"  # no target; `Call.builtin` is its name, receiver the header or stack


@dataclass(slots=True, eq=False)
class Node:
    """Base of the tree; equality is identity."""

    CHILDREN: ClassVar[tuple[str, ...]] = ()
    REFS: ClassVar[tuple[str, ...]] = ()
    loc: Loc = field(default=NOWHERE, kw_only=True, repr=False)


@dataclass(slots=True, eq=False)
class Annotation(Node):
    """`@name`, `@name(tokens)` or `@name[expressions]`; `text` is the raw body as p4c prints it.

    `kind` is `none`, `unstructured`, `list` or `kv`. `exprs` also holds the parsed body of
    unstructured annotations with a known grammar (`@name("x")`, `@id(1)`, `@defaultonly`...).
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("exprs", "pairs")
    name: str
    kind: str = "none"
    text: str = ""
    tokens: list[str] = field(default_factory=list)
    exprs: list[Expression] = field(default_factory=list)
    pairs: list[NamedExpr] = field(default_factory=list)


# ---------------------------------------------------------------- type references (syntax)


@dataclass(slots=True, eq=False)
class TypeRef(Node):
    """A type as written; `type` is its canonical type once resolved."""

    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class BaseTypeRef(TypeRef):
    """A built-in type: `bool error bit int varbit string void match_kind`, with a width if any."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("width",)
    name: str
    width: Expression | None = None


@dataclass(slots=True, eq=False)
class NamedTypeRef(TypeRef):
    """A type name with optional type arguments; `_` is the don't-care type argument."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("args",)
    REFS: ClassVar[tuple[str, ...]] = ("decl",)
    name: str
    args: list[TypeRef] = field(default_factory=list)
    absolute: bool = False
    decl: Decl | None = None


@dataclass(slots=True, eq=False)
class StackTypeRef(TypeRef):
    """`H[size]`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("element", "size")
    element: TypeRef
    size: Expression


@dataclass(slots=True, eq=False)
class TupleTypeRef(TypeRef):
    """`tuple<...>`; also `list<T>` with `is_list`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("elements",)
    elements: list[TypeRef]
    is_list: bool = False


# ---------------------------------------------------------------- expressions


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


# ---------------------------------------------------------------- statements


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


# ---------------------------------------------------------------- declarations


@dataclass(slots=True, eq=False)
class Decl(Node):
    """Base of everything with a name."""

    name: str
    annotations: list[Annotation] = field(default_factory=list, kw_only=True, repr=False)

    def annotation(self, name: str) -> Annotation | None:
        """The last annotation called `name`, if any."""
        for a in reversed(self.annotations):
            if a.name == name:
                return a
        return None

    @property
    def external_name(self) -> str:
        """The local control-plane name: the `@name` annotation or the name itself."""
        a = self.annotation("name")
        if a is not None and a.exprs and isinstance(a.exprs[0], StringLit):
            return a.exprs[0].text
        return self.name


@dataclass(slots=True, eq=False)
class TypeParam(Decl):
    """A type parameter."""


@dataclass(slots=True, eq=False)
class Param(Decl):
    """A parameter; `direction` is `in`, `out`, `inout` or `""` (directionless)."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "ref", "default")
    direction: str
    ref: TypeRef
    default: Expression | None = None
    type: Type = field(default=UNKNOWN, kw_only=True)

    @property
    def optional(self) -> bool:
        """Whether it may be omitted by an `@optional` annotation."""
        return self.annotation("optional") is not None


@dataclass(slots=True, eq=False)
class ConstDecl(Decl):
    """`const T name = init;`; the value is `init.value`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "ref", "init")
    ref: TypeRef
    init: Expression
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class VarDecl(Decl):
    """A local variable."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "ref", "init")
    ref: TypeRef
    init: Expression | None = None
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class EnumMember(Decl):
    """A member of an enum, error or match_kind; `index` counts from 0 over all declarations.

    `number` is the value of a serializable enum's member; `type` the enum (or error) type.
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "init")
    init: Expression | None = None
    index: int = 0
    number: int | None = None
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class ErrorDecl(Decl):
    """`error { ... }`; several may exist, `Program.errors` has all members."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "members")
    members: list[EnumMember]


@dataclass(slots=True, eq=False)
class MatchKindDecl(Decl):
    """`match_kind { ... }`; several may exist."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "members")
    members: list[EnumMember]


@dataclass(slots=True, eq=False)
class EnumDecl(Decl):
    """`enum` or `enum T` (serializable, then `ref` is the underlying type)."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "ref", "members")
    members: list[EnumMember]
    ref: TypeRef | None = None
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class Field(Decl):
    """A field of a struct, header or header union."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "ref")
    ref: TypeRef
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class StructDecl(Decl):
    """`kind` is `struct`, `header` or `header_union`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "type_params", "fields")
    kind: str
    fields: list[Field]
    type_params: list[TypeParam] = field(default_factory=list)
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class TypedefDecl(Decl):
    """`typedef T name;`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "ref")
    ref: TypeRef
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class NewTypeDecl(Decl):
    """`type T name;`; `type` is the `NewType`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "ref")
    ref: TypeRef
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class ParserTypeDecl(Decl):
    """`parser P<T>(params);`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "type_params", "params")
    params: list[Param]
    type_params: list[TypeParam] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ControlTypeDecl(Decl):
    """`control C<T>(params);`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "type_params", "params")
    params: list[Param]
    type_params: list[TypeParam] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class PackageTypeDecl(Decl):
    """`package P<T>(params);`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "type_params", "params")
    params: list[Param]
    type_params: list[TypeParam] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Method(Decl):
    """An extern function (`parent` None), extern method or constructor (name = parent's)."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "type_params", "params", "ref")
    REFS: ClassVar[tuple[str, ...]] = ("parent",)
    ref: TypeRef | None
    params: list[Param]
    type_params: list[TypeParam] = field(default_factory=list)
    abstract: bool = False
    parent: ExternDecl | None = None
    return_type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class ExternDecl(Decl):
    """An extern object type."""

    CHILDREN: ClassVar[tuple[str, ...]] = (
        "annotations",
        "type_params",
        "constructors",
        "methods",
    )
    type_params: list[TypeParam] = field(default_factory=list)
    constructors: list[Method] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class FunctionDecl(Decl):
    """A P4 function, also an abstract method's implementation in an instance initializer."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "type_params", "params", "ref", "body")
    ref: TypeRef
    params: list[Param]
    body: Block
    type_params: list[TypeParam] = field(default_factory=list)
    return_type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class ActionDecl(Decl):
    """An action; directionless parameters are the control plane's."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "params", "body")
    params: list[Param]
    body: Block


@dataclass(slots=True, eq=False)
class InstanceDecl(Decl):
    """`T(args) name;` or `T(args) name = { initializer }`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "call", "initializer")
    call: ConstructorCall
    initializer: Block | None = None
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class ValueSetDecl(Decl):
    """`value_set<T>(size) name;`; `type` is `set<T>`."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "ref", "size")
    ref: TypeRef
    size: Expression
    type: Type = field(default=UNKNOWN, kw_only=True)


@dataclass(slots=True, eq=False)
class StateDecl(Decl):
    """A parser state; `transition` is a `Path`, a `Select` or None (then: reject, as written).

    `accept` and `reject` are StateDecls too, without a body, one pair per parser
    (`ParserDecl.accept`, `.reject`).
    """

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "statements", "transition")
    statements: list[Statement] = field(default_factory=list)
    transition: Expression | None = None


@dataclass(slots=True, eq=False)
class ParserDecl(Decl):
    """A parser."""

    CHILDREN: ClassVar[tuple[str, ...]] = (
        "annotations",
        "type_params",
        "params",
        "ctor_params",
        "locals",
        "states",
        "accept",
        "reject",
    )
    params: list[Param]
    type_params: list[TypeParam] = field(default_factory=list)
    ctor_params: list[Param] = field(default_factory=list)
    locals: list[Decl] = field(default_factory=list)
    states: list[StateDecl] = field(default_factory=list)
    accept: StateDecl = field(default_factory=lambda: StateDecl("accept"))
    reject: StateDecl = field(default_factory=lambda: StateDecl("reject"))


@dataclass(slots=True, eq=False)
class ControlDecl(Decl):
    """A control."""

    CHILDREN: ClassVar[tuple[str, ...]] = (
        "annotations",
        "type_params",
        "params",
        "ctor_params",
        "locals",
        "body",
    )
    params: list[Param]
    type_params: list[TypeParam] = field(default_factory=list)
    ctor_params: list[Param] = field(default_factory=list)
    locals: list[Decl] = field(default_factory=list)
    body: Block = field(default_factory=Block)


@dataclass(slots=True, eq=False)
class KeyElement(Node):
    """`expr : match_kind annotations;` in a table's key; `match_kind.decl` is an EnumMember."""

    CHILDREN: ClassVar[tuple[str, ...]] = ("annotations", "expr", "match_kind")
    expr: Expression
    match_kind: Path
    annotations: list[Annotation] = field(default_factory=list)

    def annotation(self, name: str) -> Annotation | None:
        """The last annotation called `name`, if any."""
        for a in reversed(self.annotations):
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
        """The last annotation called `name`, if any."""
        for a in reversed(self.annotations):
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
    "Method | FunctionDecl | ActionDecl | TableDecl | ParserDecl | ControlDecl"
    " | ParserTypeDecl | ControlTypeDecl"
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
