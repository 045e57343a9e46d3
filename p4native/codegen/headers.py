"""Primitives on whole headers, stacks and unions."""

from __future__ import annotations

from p4native.bmv2 import model as m
from p4native.codegen.context import Context
from p4native.codegen.expr import ExprGen
from p4native.codegen.store import StoreGen


class HeaderPrimitives:
    """Generates header primitives inside one function."""

    def __init__(self, context: Context, exprs: ExprGen) -> None:
        self.context = context
        self.exprs = exprs
        self.out = exprs.out
        self.store = StoreGen(exprs)

    def call(self, call: m.Call) -> bool:
        """Generates the primitive; False when it is not one of these."""
        match call.op:
            case "add_header":
                self._each("p4n_add_header", call)
            case "add_header_fast":
                self._each("p4n_mark_valid", call)
            case "remove_header":
                self._each("p4n_remove_header", call)
            case "assign_header" | "copy_header":
                self._assign_header(*call.args)
            case "push" | "pop":
                self._shift(call.op, call.args[0], call.args[1])
            case "assign_header_stack":
                self._assign_stack(*call.args)
            case "assign_union":
                self._assign_union(*call.args)
            case "assign_union_stack":
                self._assign_union_stack(*call.args)
            case _:
                return False
        return True

    def _each(self, function: str, call: m.Call) -> None:
        target = call.args[0]
        if isinstance(target, m.HeaderRef) and target.header.metadata:
            return  # metadata is always valid
        self.out.line(f"{function}(p, {self.exprs.header_number(target)});")

    def _assign_header(self, to: m.Expr, source: m.Expr) -> None:
        structs = [isinstance(e, m.HeaderRef) and e.header.metadata for e in (to, source)]
        if not any(structs):
            numbers = self.exprs.header_number(to), self.exprs.header_number(source)
            self.out.line(f"p4n_copy_header(p, {numbers[0]}, {numbers[1]});")
            return
        if not (isinstance(to, m.HeaderRef) and isinstance(source, m.HeaderRef)):
            raise self.exprs.fail("a struct is assigned from an element of a stack")
        for field in to.header.type.fields:
            with self.out.block(""):
                target = m.FieldRef(to.header, field)
                self.store.assign(target, m.FieldRef(source.header, field))

    def _copy_headers(self, to: tuple[m.Header, ...], source: tuple[m.Header, ...]) -> None:
        symbol = self.context.layout.symbol
        for a, b in zip(to, source, strict=True):
            self.out.line(f"p4n_copy_header(p, {symbol[a.name]}, {symbol[b.name]});")

    def _copy_next(self, to: int, source: int) -> None:
        self.out.line(f"p->next[{to}] = p->next[{source}];")

    def _assign_stack(self, to: m.Expr, source: m.Expr) -> None:
        if not (isinstance(to, m.StackRef) and isinstance(source, m.StackRef)):
            raise self.exprs.fail("assign_header_stack needs two header stacks")
        index = self.context.layout.stack_index
        self._copy_next(index[to.stack.name], index[source.stack.name])
        self._copy_headers(to.stack.headers, source.stack.headers)

    def _assign_union(self, to: m.Expr, source: m.Expr) -> None:
        if not (isinstance(to, m.UnionRef) and isinstance(source, m.UnionRef)):
            raise self.exprs.fail("assign_union needs two header unions")
        self._copy_headers(to.union.headers, source.union.headers)

    def _assign_union_stack(self, to: m.Expr, source: m.Expr) -> None:
        if not (isinstance(to, m.UnionStackRef) and isinstance(source, m.UnionStackRef)):
            raise self.exprs.fail("assign_union_stack needs two stacks of unions")
        index = self.context.layout.union_stack_index
        self._copy_next(index[to.stack.name], index[source.stack.name])
        for a, b in zip(to.stack.unions, source.stack.unions, strict=True):
            self._copy_headers(a.headers, b.headers)

    def _shift(self, op: str, target: m.Expr, count: m.Expr) -> None:
        if isinstance(target, m.StackRef):
            lanes = [target.stack.headers]
            size = len(target.stack.headers)
            slot = self.context.layout.stack_index[target.stack.name]
        elif isinstance(target, m.UnionStackRef):
            unions = target.stack.unions
            lanes = list(zip(*(u.headers for u in unions), strict=True))
            size = len(unions)
            slot = self.context.layout.union_stack_index[target.stack.name]
        else:
            raise self.exprs.fail(f"{op} needs a stack")
        if not isinstance(count, m.Const):
            raise self.exprs.fail(f"{op} needs a constant count")
        by = min(count.value, size)
        if by == 0:
            return
        next_ = f"p->next[{slot}]"
        if op == "pop":
            self.out.line(f"{next_} -= {next_} < {by} ? {next_} : {by};")
        else:
            self.out.line(f"{next_} = {next_} + {by} < {size} ? {next_} + {by} : {size};")
        self._move_lanes(lanes, by, size, op == "pop")

    def _move_lanes(self, lanes: list[tuple[m.Header, ...]], by: int, size: int, pop: bool) -> None:
        """Moves element i + by to i (pop) or i to i + by (push); the freed ones become invalid."""
        symbol = self.context.layout.symbol
        order = range(size - by) if pop else range(size - by - 1, -1, -1)
        for i in order:
            to, source = (i, i + by) if pop else (i + by, i)
            for lane in lanes:
                a, b = symbol[lane[to].name], symbol[lane[source].name]
                self.out.line(f"p4n_move_header(p, {a}, {b});")
        freed = range(size - by, size) if pop else range(by)
        for i in freed:
            for lane in lanes:
                self.out.line(f"p4n_mark_invalid(p, {symbol[lane[i].name]});")
