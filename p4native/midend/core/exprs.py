"""Expressions (pure and scalar) and places (where a header is)."""

from __future__ import annotations

from p4native.frontend.types import BOOL, bits
from p4native.midend.core.storage import Header, HeaderType, Scalar, Stack, Union, Var


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

    __slots__ = ("arg", "op")

    def __init__(self, op: str, arg: Expr, type: Scalar) -> None:
        self.op = op
        self.arg = arg
        self.type = type


class Binary(Expr):
    """A binary operation named by its P4 token; `++` concatenates."""

    __slots__ = ("left", "op", "right")

    def __init__(self, op: str, left: Expr, right: Expr, type: Scalar) -> None:
        self.op = op
        self.left = left
        self.right = right
        self.type = type


class Mux(Expr):
    """`cond ? then : other`, neither with side effects."""

    __slots__ = ("cond", "other", "then")

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


class StackElement:
    """`stack[index]` of headers with a run-time index."""

    __slots__ = ("index", "stack")

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
    first = (
        place.element.stack.elements[0]
        if isinstance(place, UnionMember)
        else (place.stack.elements[0])
    )
    if isinstance(place, UnionMember):
        assert isinstance(first, Union)
        return first.type.members[place.name]
    assert isinstance(first, Header)
    return first.type
