"""Declarations, except tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from p4native.frontend.ir.base import Annotation, Node
from p4native.frontend.ir.expressions import ConstructorCall, Expression, StringLit
from p4native.frontend.ir.statements import Block, Statement
from p4native.frontend.ir.typerefs import TypeRef
from p4native.frontend.types import UNKNOWN, Type


@dataclass(slots=True, eq=False)
class Decl(Node):
    """Base of everything with a name."""

    name: str
    annotations: list[Annotation] = field(default_factory=list, kw_only=True, repr=False)

    def annotation(self, name: str) -> Annotation | None:
        """The first annotation called `name`, if any."""
        for a in self.annotations:
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
