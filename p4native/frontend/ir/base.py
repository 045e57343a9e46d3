"""The base of the tree: nodes, annotations, kinds of calls, compile-time values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from p4native.frontend.diagnostics import NOWHERE, Loc

if TYPE_CHECKING:
    from p4native.frontend.ir.declarations import EnumMember
    from p4native.frontend.ir.expressions import Expression, NamedExpr

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


def no_warn(annotations: list[Annotation]) -> frozenset[str]:
    """The categories of warnings that `@noWarn` annotations switch off."""
    found = (e for a in annotations if a.name == "noWarn" for e in a.exprs)
    return frozenset(text for e in found if isinstance(text := getattr(e, "text", None), str))


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
