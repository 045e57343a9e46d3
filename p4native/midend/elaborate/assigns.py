"""Assignments: of structured values component by component, safely when they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import BOOL
from p4native.midend import core, fold
from p4native.midend.access import Cell, place_cells, reads, target_cells
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.values import (
    Aggregate,
    DontCareValue,
    HeaderPlace,
    HeaderValue,
    InvalidUnion,
    StackValue,
    Value,
)
from p4native.midend.elaborate.work import Work

_PLACES = (core.Header, core.StackElement, core.StackEnd, core.UnionMember)


class Assigns:
    """Emits assignments between values."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def assign(self, target: Value, value: Value, loc: Loc) -> None:
        """Emit `target = value`."""
        if isinstance(target, DontCareValue):
            return
        pairs = list(_leaves(target, value, loc))
        if len(pairs) > 1:
            pairs = self._without_hazards(pairs, loc)
        for one, source in pairs:
            self._leaf(one, source, loc)

    def _without_hazards(
        self, pairs: list[tuple[Value, Value]], loc: Loc
    ) -> list[tuple[Value, Value]]:
        """Save the sources that an earlier assignment of the same group would overwrite."""
        written: set[Cell] = set()
        endangered: set[int] = set()
        for i, (target, source) in enumerate(pairs):
            if target is source:
                continue
            if any(cell in written for cell in value_cells(source)):
                endangered.add(i)
            written.update(lvalue_cells(target))
        return [
            (t, self.work.saved(s, loc) if i in endangered else s) for i, (t, s) in enumerate(pairs)
        ]

    def _leaf(self, target: Value, value: Value, loc: Loc) -> None:
        work = self.work
        if isinstance(target, core.Expr):
            if not isinstance(value, core.Expr):
                raise Unsupported("a scalar value is expected here", loc)
            if not same_place(target, value):
                work.assign(target, _sized(value, target.type), loc)
        elif isinstance(target, core.Stack):
            self._stack(target, value, loc)
        elif isinstance(target, core.Union):
            self._union(target, value, loc)
        elif isinstance(target, _PLACES):
            self._header(target, value, loc)
        else:
            raise Unsupported("this cannot be assigned to", loc)

    def _stack(self, target: core.Stack, value: Value, loc: Loc) -> None:
        if isinstance(value, core.Stack):
            if value is not target:
                self.work.emit(core.CopyStack(target, value, loc))
            return
        if isinstance(value, Aggregate):
            value = StackValue(list(value.fields.values()))
        if not isinstance(value, StackValue) or len(value.items) != target.size:
            raise Unsupported("a header stack can only be assigned a stack of its size", loc)
        for element, item in zip(target.elements, value.items, strict=True):
            self._leaf(element, item, loc)

    def _union(self, target: core.Union, value: Value, loc: Loc) -> None:
        if isinstance(value, core.Union):
            if value is not target:
                self.work.emit(core.CopyUnion(target, value, loc))
        elif isinstance(value, InvalidUnion):
            for member in target.members.values():
                self.work.emit(core.SetValid(member, False, loc))
        else:
            raise Unsupported("a header union can only be assigned a header union", loc)

    def _header(self, target: HeaderPlace, value: Value, loc: Loc) -> None:
        if isinstance(value, Aggregate):
            flat = {n: v for n, v in value.fields.items() if isinstance(v, core.Expr)}
            value = HeaderValue(core.place_type(target), flat)
        if isinstance(target, core.StackElement):
            self.each_element(target, loc, lambda h: self._header(h, value, loc))
        elif isinstance(value, core.StackElement):
            source = value
            self.each_element(source, loc, lambda h: self._header(target, h, loc))
        elif isinstance(value, core.StackEnd):
            fields = core.place_type(value).fields
            self._header_value(
                target,
                HeaderValue(core.place_type(value), {f: core.Field(value, f) for f in fields}),
                loc,
            )
        elif isinstance(value, HeaderValue):
            self._header_value(target, value, loc)
        elif isinstance(value, _PLACES):
            if value is not target:
                self.work.emit(core.CopyHeader(target, value, loc))
        else:
            raise Unsupported("a header can only be assigned a header", loc)

    def _header_value(self, target: HeaderPlace, value: HeaderValue, loc: Loc) -> None:
        if value.fields is None:
            self.work.emit(core.SetValid(target, False, loc))
            return
        own = set(place_cells(target))
        fields = value.fields
        if any(cell in own for e in fields.values() for cell in reads(e)):
            kept = self.work.saved(value, loc)
            assert isinstance(kept, HeaderValue) and kept.fields is not None
            fields = kept.fields
        self.work.emit(core.SetValid(target, True, loc))
        for name, e in fields.items():
            place = core.Field(target, name)
            self.work.assign(place, _sized(e, place.type), loc)

    def each_element(
        self, element: core.StackElement, loc: Loc, build: Callable[[core.Header], None]
    ) -> None:
        """Emit what `build` makes for the element the run-time index selects."""
        index = self.work.saved(element.index, loc)
        assert isinstance(index, core.Expr)
        chain: list[core.Stmt] = []
        for i, header in reversed(list(enumerate(element.stack.elements))):
            assert isinstance(header, core.Header)
            body = self.work.collect(lambda header=header: build(header))  # type: ignore[misc]
            here = fold.binary("==", index, fold.const(i, index.type), BOOL)
            chain = [core.If(here, body, chain, loc)]
        for stmt in chain:
            self.work.emit(stmt)

    def invalidate(self, storage: Value, loc: Loc) -> None:
        """Emit that every header in `storage` is invalid, as at the start of its lifetime."""
        if isinstance(storage, Aggregate):
            for item in storage.fields.values():
                self.invalidate(item, loc)
        elif isinstance(storage, core.Stack):
            for element in storage.elements:
                self.invalidate(element, loc)
        elif isinstance(storage, core.Union):
            for member in storage.members.values():
                self.work.emit(core.SetValid(member, False, loc))
        elif isinstance(storage, core.StackElement):
            self.each_element(storage, loc, lambda h: self.work.emit(core.SetValid(h, False, loc)))
        elif isinstance(storage, core.Header):
            self.work.emit(core.SetValid(storage, False, loc))


def _leaves(target: Value, value: Value, loc: Loc) -> Iterator[tuple[Value, Value]]:
    if not isinstance(target, Aggregate):
        yield target, value
        return
    if not isinstance(value, Aggregate) or len(value.fields) != len(target.fields):
        raise Unsupported("a structure can only be assigned one of its type", loc)
    by_name = set(value.fields) == set(target.fields)
    items = list(value.fields.values())
    for i, (name, part) in enumerate(target.fields.items()):
        yield from _leaves(part, value.fields[name] if by_name else items[i], loc)


def _sized(value: core.Expr, type: core.Scalar) -> core.Expr:
    """An unsized constant given the target's type."""
    if isinstance(value, core.Const) and value.type != type:
        return fold.const(value.value, type)
    return value


def same_place(a: core.Expr, b: core.Expr) -> bool:
    """Whether two expressions are the very same variable or field."""
    if isinstance(a, core.VarRef) and isinstance(b, core.VarRef):
        return a.var is b.var
    if isinstance(a, core.Field) and isinstance(b, core.Field):
        return a.header is b.header and a.name == b.name
    return False


def lvalue_cells(target: Value) -> Iterator[Cell]:
    """The cells written by assigning to `target`."""
    if isinstance(target, core.Expr):
        yield from target_cells(target)
    elif isinstance(target, Aggregate):
        for item in target.fields.values():
            yield from lvalue_cells(item)
    else:
        yield from place_cells(target)


def value_cells(value: Value) -> Iterator[Cell]:
    """The cells a value depends on."""
    if isinstance(value, core.Expr):
        yield from reads(value)
    elif isinstance(value, Aggregate):
        for item in value.fields.values():
            yield from value_cells(item)
    elif isinstance(value, HeaderValue):
        for e in (value.fields or {}).values():
            yield from reads(e)
    elif isinstance(value, StackValue):
        for item in value.items:
            yield from value_cells(item)
    else:
        yield from place_cells(value)
        if isinstance(value, core.StackElement):
            yield from reads(value.index)
