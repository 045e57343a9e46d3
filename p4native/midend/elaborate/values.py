"""What an expression evaluates to while elaborating.

Scalars are `core.Expr`; headers, unions and stacks in storage are the core objects themselves;
the classes here are for everything that does not survive elaboration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from p4native.frontend import ir
from p4native.frontend.types import Type
from p4native.midend import core


@dataclass(slots=True, eq=False)
class Aggregate:
    """A struct or tuple: its components by name (`"0"`, `"1"`... for a tuple)."""

    fields: dict[str, Value]


@dataclass(slots=True, eq=False)
class HeaderValue:
    """A header that is not in storage: `{a, b}` (valid) or `{#}` (`fields` None)."""

    type: core.HeaderType
    fields: dict[str, core.Expr] | None


@dataclass(slots=True, eq=False)
class InvalidUnion:
    """`{#}` for a header union."""


@dataclass(slots=True, eq=False)
class StackValue:
    """A stack given as a list of headers."""

    items: list[Value]


class EnumConst(core.Const):
    """A member of an enum without representation; its number is the member's index."""

    __slots__ = ("member",)

    def __init__(self, member: ir.EnumMember, type: core.Scalar) -> None:
        super().__init__(member.index, type)
        self.member = member


@dataclass(slots=True, eq=False)
class Text:
    """A string."""

    text: str


@dataclass(slots=True, eq=False)
class Packet:
    """`packet_in` or `packet_out`."""


@dataclass(slots=True, eq=False)
class DontCareValue:
    """`_` given to an out parameter."""

    type: Type


@dataclass(slots=True, eq=False)
class CopiedIn:
    """An inout argument whose value was taken before a later argument's effects."""

    target: Value
    copy: Value


@dataclass(slots=True, eq=False)
class Void:
    """The value of a call that returns nothing."""


@dataclass(slots=True, eq=False)
class TableResult:
    """`table.apply()` whose result has not been looked at yet."""

    apply: core.Apply


@dataclass(slots=True, eq=False)
class ElementOfUnions:
    """A union in a stack at a run-time index."""

    stack: core.Stack
    index: core.Expr


HeaderPlace = core.Header | core.StackElement | core.StackEnd | core.UnionMember

Value: TypeAlias = (
    "core.Expr | Aggregate | HeaderValue | InvalidUnion | StackValue | Text | Packet"
    " | DontCareValue | Void | TableResult | core.Header | core.StackElement | core.StackEnd"
    " | core.UnionMember | core.Union | core.UnionElement | core.Stack | core.Instance"
    " | ElementOfUnions | object"
)
