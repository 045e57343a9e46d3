"""Types as they are written in the program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from p4native.frontend.ir.base import Node
from p4native.frontend.types import UNKNOWN, Type

if TYPE_CHECKING:
    from p4native.frontend.ir.declarations import Decl
    from p4native.frontend.ir.expressions import Expression


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
