"""What an expression refers to: the number of a header, the place of a field."""

from __future__ import annotations

from abc import ABC, abstractmethod

from p4native.bmv2 import model as m
from p4native.codegen.emitter import Emitter
from p4native.codegen.errors import CodegenError
from p4native.codegen.phv import PhvLayout, Place

_SINK = "P4N_HEADERS"


class RefGen(ABC):
    """Finds headers and fields; statements that this needs go to `out` first."""

    def __init__(self, layout: PhvLayout, out: Emitter, where: str) -> None:
        self.layout = layout
        self.out = out
        self.where = where

    @abstractmethod
    def low(self, e: m.Expr, width: int) -> str:
        """A uint64_t whose low `width` bits are the expression's."""

    def fail(self, message: str) -> CodegenError:
        """An error that names the construct being generated."""
        return CodegenError(self.where, message)

    def header_number(self, e: m.Expr) -> str:
        """C code for the number of the header that `e` denotes; the sink when out of range."""
        match e:
            case m.HeaderRef():
                return self.layout.symbol[e.header.name]
            case m.Op(op="dereference_header_stack", left=m.StackRef(stack=stack)):
                return self._element(stack, operand(e.right))
            case m.Op(op="access_union_header"):
                return self._union_member(operand(e.left), e.index)
        raise self.fail(f"{type(e).__name__} does not denote a header")

    def header_type(self, e: m.Expr) -> m.HeaderType:
        """The type of the header that `e` denotes."""
        htype = m.header_type_of(e)
        if htype is not None:
            return htype
        raise self.fail(f"{type(e).__name__} does not denote a header")

    def _element(self, stack: m.Stack, index: m.Expr) -> str:
        first, size = self.layout.stack_first(stack), len(stack.headers)
        if isinstance(index, m.Const):
            return str(first + index.value) if 0 <= index.value < size else _SINK
        i = self.out.temp("uint64_t", self.low(index, 64))
        return f"({i} < {size} ? {first}u + (unsigned){i} : {_SINK})"

    def _union_member(self, union: m.Expr, member: int) -> str:
        if isinstance(union, m.UnionRef):
            return str(self.layout.index[union.union.headers[member].name])
        if isinstance(union, m.Op) and isinstance(union.left, m.UnionStackRef):
            numbers = [self.layout.index[u.headers[member].name] for u in union.left.stack.unions]
            index = operand(union.right)
            if isinstance(index, m.Const):
                ok = 0 <= index.value < len(numbers)
                return str(numbers[index.value]) if ok else _SINK
            i = self.out.temp("uint64_t", self.low(index, 64))
            table = ", ".join(map(str, numbers))
            return f"({i} < {len(numbers)} ? ((const unsigned[]){{ {table} }})[{i}] : {_SINK})"
        raise self.fail("unsupported access to a header union")

    def last_number(self, stack: m.Stack | m.UnionStack, member: int = 0) -> str:
        """C code for the number of a stack's last element in use; the sink when it is empty."""
        if isinstance(stack, m.Stack):
            n = f"p->next[{self.layout.stack_index[stack.name]}]"
            return f"({n} ? {self.layout.stack_first(stack)}u + {n} - 1u : {_SINK})"
        n = f"p->next[{self.layout.union_stack_index[stack.name]}]"
        numbers = [self.layout.index[u.headers[member].name] for u in stack.unions]
        table = ", ".join(map(str, numbers))
        return f"({n} ? ((const unsigned[]){{ {table} }})[{n} - 1u] : {_SINK})"

    def place(self, e: m.Expr) -> Place:
        """Where a field-like expression is stored."""
        match e:
            case m.FieldRef():
                return self.layout.place(e.header, e.field)
            case m.StackField():
                return self._dynamic(e.stack.type, e.field, self.last_number(e.stack))
            case m.UnionStackField():
                htype = e.stack.unions[0].headers[e.member].type
                return self._dynamic(htype, e.field, self.last_number(e.stack, e.member))
            case m.LookAhead():
                return Place("bytes", "at", e.width, bit=e.offset)
            case m.Op(op="access_field", left=m.HeaderRef(header=header)):
                return self.layout.place(header, self._field(header.type, e.index))
            case m.Op(op="access_field"):
                owner = operand(e.left)
                htype = self.header_type(owner)
                return self._dynamic(htype, self._field(htype, e.index), self.header_number(owner))
        raise self.fail(f"{type(e).__name__} is not a field")

    def _field(self, htype: m.HeaderType, index: int) -> m.Field:
        if index == len(htype.fields):
            return m.Field("$valid$", 1)
        if index > len(htype.fields):
            raise self.fail(f"header type '{htype.name}' has no field number {index}")
        return htype.fields[index]

    def _dynamic(self, htype: m.HeaderType, field: m.Field, number: str) -> Place:
        i = (
            number
            if number.isidentifier() or number.isdigit()
            else self.out.temp("unsigned", number)
        )
        return self.layout.place_at(htype, field, f"p->h[{i}]", i)


def operand(e: m.Expr | None) -> m.Expr:
    """An operand that has to be there."""
    if e is None:
        raise CodegenError("expression", "an operand is missing")
    return e
