"""Storage: scalar variables, header instances, unions and stacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from p4native.frontend.diagnostics import NOWHERE, Loc
from p4native.frontend.types import BitsType, BoolType, ErrorType, VarbitType

Scalar = BitsType | BoolType | ErrorType | VarbitType


def scalar_width(t: Scalar) -> int:
    """Width in bits as BMv2 stores the type."""
    if isinstance(t, BitsType):
        return t.width
    if isinstance(t, VarbitType):
        return t.max_width
    return 32 if isinstance(t, ErrorType) else 1


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
