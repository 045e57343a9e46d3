"""Expressions: evaluated to values, hoisting what has side effects in left-to-right order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import (
    BOOL,
    EnumType,
    StackType,
    StructType,
    TupleType,
    Type,
    bits,
    underlying,
)
from p4native.midend import core, fold
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.scope import Frame
from p4native.midend.elaborate.storage import component_types, scalar_type
from p4native.midend.elaborate.values import (
    Aggregate,
    ElementOfUnions,
    EnumConst,
    HeaderPlace,
    HeaderValue,
    InvalidUnion,
    StackValue,
    TableResult,
    Text,
    Value,
)
from p4native.midend.elaborate.work import Work, has_effects

_PLACES = (core.Header, core.StackElement, core.StackEnd, core.UnionMember)


class Exprs:
    """Evaluates expressions in a frame."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._handlers: dict[type, Callable[[Frame, Any], Value]] = {
            ir.IntLit: lambda _, e: core.Const(e.number, _scalar(e.type, e.loc)),
            ir.BoolLit: lambda _, e: core.Const(int(e.truth), BOOL),
            ir.StringLit: lambda _, e: Text(e.text),
            ir.Path: self._path,
            ir.Member: self._member,
            ir.Index: self._index,
            ir.Slice: self._slice,
            ir.PlusSlice: self._plus_slice,
            ir.Unary: self._unary,
            ir.Binary: self._binary,
            ir.Ternary: self._ternary,
            ir.Cast: self._cast,
            ir.Call: self._call,
            ir.ListExpr: self._list,
            ir.StructExpr: self._struct,
            ir.InvalidHeader: self._invalid,
            ir.DefaultValue: lambda f, e: self.work.storage.zero(f.type(e.type)),
        }

    def value(self, frame: Frame, e: ir.Expression) -> Value:
        """What `e` stands for: a value, or storage if it is an lvalue."""
        if e.value is not None:
            known = self.constant(e.value, frame.type(e.type), e.loc)
            if known is not None:
                return known
        handler = self._handlers.get(type(e))
        if handler is None:
            raise Unsupported(f"{type(e).__name__} expressions are not supported here", e.loc)
        return handler(frame, e)

    def scalar(self, frame: Frame, e: ir.Expression) -> core.Expr:
        """The scalar value of `e`."""
        value = self.value(frame, e)
        if isinstance(value, TableResult):
            raise Unsupported(
                "the result of apply() must be used through hit, miss or action_run", e.loc
            )
        if not isinstance(value, core.Expr):
            raise Unsupported("a scalar value is expected here", e.loc)
        return value

    def number(self, frame: Frame, e: ir.Expression, what: str) -> int:
        """The compile-time number that `e` is."""
        value = self.value(frame, e)
        if not isinstance(value, core.Const):
            raise Unsupported(f"{what} must be a compile-time constant", e.loc, "expected")
        return value.value

    def size(self, frame: Frame, e: ir.Expression, what: str) -> int:
        """The compile-time number of elements that `e` is: P4Info has 32 bits for it."""
        value = self.number(frame, e, what)
        if not -(1 << 31) <= value < 1 << 31:
            raise Unsupported(f"{what} must be below 2147483648, not {value}", e.loc, "overlimit")
        return value

    def constant(self, value: ir.Value, t: Type, loc: Loc) -> Value | None:
        """A compile-time value as elaborated value, None if it must be computed otherwise."""
        base = underlying(t)
        if isinstance(value, ir.EnumMember):
            return _enumerator(value, t)
        if isinstance(value, str):
            return Text(value)
        if isinstance(value, (bool, int)):
            scalar = scalar_type(base)
            return None if scalar is None else fold.const(int(value), scalar)
        if isinstance(value, tuple):
            return self._constant_tuple(value, base, loc)
        return None

    def _constant_tuple(self, value: tuple[Any, ...], t: Type, loc: Loc) -> Value | None:
        types = t.fields if isinstance(t, StructType) else component_types(t)
        if types is None or len(types) != len(value):
            return None
        fields: dict[str, Value] = {}
        for (name, field_type), item in zip(types.items(), value, strict=True):
            one = self.constant(item, field_type, loc)
            if one is None:
                return None
            fields[name] = one
        if isinstance(t, StructType) and t.kind == "header":
            return self.header_value(t, fields)
        return Aggregate(fields)

    def header_value(self, t: StructType, fields: dict[str, Value]) -> HeaderValue:
        """A valid header with these (possibly nested) fields."""
        flat: dict[str, core.Expr] = {}

        def add(prefix: str, items: dict[str, Value]) -> None:
            for name, item in items.items():
                if isinstance(item, Aggregate):
                    add(f"{prefix}{name}.", item.fields)
                else:
                    assert isinstance(item, core.Expr)
                    flat[prefix + name] = item

        add("", fields)
        return HeaderValue(self.work.storage.header_type(t), flat)

    def _call(self, frame: Frame, e: ir.Call) -> Value:
        return self.work.calls.call(frame, e)

    def _path(self, frame: Frame, e: ir.Path) -> Value:
        decl = e.decl
        assert decl is not None
        found = frame.find(decl)
        if found is not None:
            return found
        if isinstance(decl, ir.ConstDecl):
            return self.converted(self.value(frame, decl.init), frame.type(decl.type))
        return self.work.blocks.global_object(frame, decl, e.loc)

    def _member(self, frame: Frame, e: ir.Member) -> Value:
        if e.decl is not None:
            return _enumerator(e.decl, frame.type(e.type))
        base = self.value(frame, e.expr)
        name = e.name
        if isinstance(base, Aggregate):
            return base.fields[name]
        if isinstance(base, TableResult):
            return self._table_result(base, name, e.loc)
        if isinstance(base, HeaderValue):
            return self._value_field(base, name)
        if isinstance(base, core.Union):
            return base.members[name]
        if isinstance(base, core.UnionElement):
            return core.UnionMember(base, name)
        if isinstance(base, core.Stack):
            return self._stack_member(base, name, e)
        if isinstance(base, _PLACES):
            return self._field(frame, base, name, e)
        raise Unsupported(f"'.{name}' is not supported on this expression", e.loc)

    def _field(self, frame: Frame, place: HeaderPlace, name: str, e: ir.Member) -> Value:
        layout = core.place_type(place)
        if isinstance(place, core.StackEnd) and place.which == "next":
            raise Unsupported(
                "the next element of a stack is not initialized", e.loc, "uninitialized"
            )
        if name in layout.fields:
            return core.Field(place, name)
        return Aggregate(
            self.work.storage.header_fields(frame.type(e.type), place, self._prefix(e))
        )

    @staticmethod
    def _prefix(e: ir.Member) -> str:
        """The dotted path of nested struct `e` inside its header, with a final dot."""
        names = [e.name]
        inner = e.expr
        while isinstance(inner, ir.Member):
            t = underlying(inner.type)
            if not (isinstance(t, StructType) and t.kind == "struct"):
                break
            names.append(inner.name)
            inner = inner.expr
        return ".".join(reversed(names)) + "."

    def _value_field(self, base: HeaderValue, name: str) -> Value:
        if base.fields is None:
            for path, t in base.type.fields.items():
                if path == name:
                    return core.Const(0, t)
        assert base.fields is not None
        if name in base.fields:
            return base.fields[name]
        dotted = {p[len(name) + 1 :]: v for p, v in base.fields.items() if p.startswith(name + ".")}
        return Aggregate(dict(dotted))

    def _stack_member(self, stack: core.Stack, name: str, e: ir.Member) -> Value:
        if name == "size":
            return core.Const(stack.size, bits(32))
        if name == "lastIndex":
            return core.LastIndex(stack)
        if not self.work.in_parser:
            raise Unsupported(f"'.{name}' of a stack may only be used in a parser", e.loc)
        if isinstance(stack.elements[0], core.Union):
            return core.UnionElement(stack, name)
        return core.StackEnd(stack, name)

    def _table_result(self, result: TableResult, name: str, loc: Loc) -> Value:
        if name not in ("hit", "miss"):
            raise Unsupported("action_run may only be used as the expression of a switch", loc)
        temp = self.work.temp(BOOL, loc, name)
        hit = int(name == "hit")
        result.apply.hit = [core.Assign(temp, core.Const(hit, BOOL), loc)]
        result.apply.miss = [core.Assign(temp, core.Const(1 - hit, BOOL), loc)]
        return temp

    def _index(self, frame: Frame, e: ir.Index) -> Value:
        base = self.value(frame, e.expr)
        index = self.scalar(frame, e.index)
        if isinstance(base, Aggregate):
            if not isinstance(index, core.Const):
                raise Unsupported("a tuple's index must be a compile-time constant", e.loc)
            return base.fields[str(index.value)]
        if isinstance(base, StackValue) and isinstance(index, core.Const):
            return base.items[index.value]
        if not isinstance(base, core.Stack):
            raise Unsupported("only header stacks and tuples can be indexed", e.loc)
        if isinstance(index, core.Const):
            if not 0 <= index.value < base.size:
                raise Unsupported(
                    f"index {index.value} is outside of stack '{base.name}' with size {base.size}",
                    e.index.loc,
                    "overlimit",
                )
            return base.elements[index.value]
        if isinstance(base.elements[0], core.Union):
            return ElementOfUnions(base, index)
        return core.StackElement(base, index)

    def _slice(self, frame: Frame, e: ir.Slice) -> Value:
        arg = self.scalar(frame, e.expr)
        for bound in (e.hi, e.lo):
            if bound.value is None:
                raise Unsupported("a slice's bounds must be constants", bound.loc, "type-error")
        hi = self.number(frame, e.hi, "a slice's bound")
        lo = self.number(frame, e.lo, "a slice's bound")
        return fold.slice_of(arg, hi, lo)

    def _plus_slice(self, frame: Frame, e: ir.PlusSlice) -> Value:
        arg = self.scalar(frame, e.expr)
        base = self.scalar(frame, e.base)
        width = self.number(frame, e.width, "a slice's width")
        if isinstance(base, core.Const):
            return fold.slice_of(arg, base.value + width - 1, base.value)
        return fold.slice_of(fold.binary(">>", arg, base, arg.type), width - 1, 0)

    def _unary(self, frame: Frame, e: ir.Unary) -> Value:
        return fold.unary(e.op, self.scalar(frame, e.expr), _scalar(frame.type(e.type), e.loc))

    def _binary(self, frame: Frame, e: ir.Binary) -> Value:
        if e.op in ("&&", "||"):
            return self._shortcut(frame, e)
        left = self.value(frame, e.left)
        if has_effects(e.right):
            left = self.work.saved(left, e.left.loc)
        right = self.value(frame, e.right)
        if isinstance(left, core.Expr) and isinstance(right, core.Expr):
            if e.op in fold.COMPARISONS:
                left, right = _same_type(left, right)
            return fold.binary(e.op, left, right, _scalar(frame.type(e.type), e.loc))
        if e.op not in ("==", "!="):
            raise Unsupported(f"'{e.op}' is not supported on structured values", e.loc)
        equal = self.equal(left, right, e.loc)
        return equal if e.op == "==" else fold.unary("!", equal, BOOL)

    def _shortcut(self, frame: Frame, e: ir.Binary) -> Value:
        left = self.scalar(frame, e.left)
        if isinstance(left, core.Const):
            decided = left.value == (0 if e.op == "&&" else 1)
            return left if decided else self.scalar(frame, e.right)
        result: list[core.Expr] = []
        body = self.work.collect(lambda: result.append(self.scalar(frame, e.right)))
        if not body:
            return fold.binary(e.op, left, result[0], BOOL)
        temp = self.work.temp(BOOL, e.loc)
        body.append(core.Assign(temp, result[0], e.loc))
        fixed: list[core.Stmt] = [core.Assign(temp, core.Const(int(e.op == "||"), BOOL), e.loc)]
        then, other = (body, fixed) if e.op == "&&" else (fixed, body)
        self.work.emit(core.If(left, then, other, e.loc))
        return temp

    def _ternary(self, frame: Frame, e: ir.Ternary) -> Value:
        cond = self.scalar(frame, e.cond)
        if isinstance(cond, core.Const):
            return self.value(frame, e.then if cond.value else e.other)
        if has_effects(e.then) or has_effects(e.other):
            cond_saved = self.work.saved(cond, e.loc)
            assert isinstance(cond_saved, core.Expr)
            cond = cond_saved
        got: list[Value] = []
        bodies = [
            self.work.collect(lambda side=side: got.append(self.value(frame, side)))  # type: ignore[misc]
            for side in (e.then, e.other)
        ]
        if not bodies[0] and not bodies[1] and all(isinstance(v, core.Expr) for v in got):
            assert isinstance(got[0], core.Expr) and isinstance(got[1], core.Expr)
            return fold.mux(cond, got[0], got[1])
        result = self.work.storage.make(frame.type(e.type), "tmp", "temp", e.loc)
        for body, value in zip(bodies, got, strict=True):
            body.extend(self._assignment(result, value, e.loc))
        self.work.emit(core.If(cond, bodies[0], bodies[1], e.loc))
        return result

    def _assignment(self, target: Value, value: Value, loc: Loc) -> list[core.Stmt]:
        return self.work.collect(lambda: self.work.assigns.assign(target, value, loc))

    def _cast(self, frame: Frame, e: ir.Cast) -> Value:
        return self.converted(self.value(frame, e.expr), frame.type(e.type))

    def converted(self, value: Value, t: Type) -> Value:
        """`value` as a value of type `t` (a cast or an implicit conversion)."""
        base = underlying(t)
        if isinstance(value, core.Expr):
            scalar = scalar_type(base)
            if scalar is None:
                return value
            if isinstance(value, EnumConst) and isinstance(base, EnumType):
                return value
            return fold.cast(value, scalar)
        if isinstance(value, Aggregate) and isinstance(base, (StructType, TupleType)):
            types = base.fields if isinstance(base, StructType) else component_types(base)
            assert types is not None
            if len(types) != len(value.fields):
                return value
            by_name = set(types) == set(value.fields)
            items = list(value.fields.values())
            fields = {
                n: self.converted(value.fields[n] if by_name else items[i], ft)
                for i, (n, ft) in enumerate(types.items())
            }
            if isinstance(base, StructType) and base.kind == "header":
                return self.header_value(base, fields)
            return Aggregate(fields)
        if isinstance(value, Aggregate) and isinstance(base, StackType):
            return StackValue([self.converted(v, base.element) for v in value.fields.values()])
        return value

    def _list(self, frame: Frame, e: ir.ListExpr) -> Value:
        values = self._in_order(frame, e.items)
        made = Aggregate({str(i): v for i, v in enumerate(values)})
        return self.converted(made, frame.type(e.type))

    def _struct(self, frame: Frame, e: ir.StructExpr) -> Value:
        values = self._in_order(frame, [f.expr for f in e.fields])
        made = Aggregate({f.name: v for f, v in zip(e.fields, values, strict=True)})
        return self.converted(made, frame.type(e.type))

    def _in_order(self, frame: Frame, items: list[ir.Expression]) -> list[Value]:
        """The values of `items`, each as it is before later ones are evaluated."""
        last_effect = max((i for i, x in enumerate(items) if has_effects(x)), default=-1)
        values: list[Value] = []
        for i, item in enumerate(items):
            value = self.value(frame, item)
            values.append(self.work.saved(value, item.loc) if i < last_effect else value)
        return values

    def _invalid(self, frame: Frame, e: ir.InvalidHeader) -> Value:
        t = underlying(frame.type(e.type))
        if isinstance(t, StructType) and t.kind == "header":
            return HeaderValue(self.work.storage.header_type(t), None)
        return InvalidUnion()

    # --- comparison of structured values ---

    def equal(self, left: Value, right: Value, loc: Loc) -> core.Expr:
        """Whether two values are equal, component by component."""
        if isinstance(left, core.Expr) and isinstance(right, core.Expr):
            left, right = _same_type(left, right)
            return fold.binary("==", left, right, BOOL)
        if isinstance(left, Aggregate) and isinstance(right, Aggregate):
            return _all(
                self.equal(a, b, loc)
                for a, b in zip(left.fields.values(), right.fields.values(), strict=True)
            )
        if isinstance(left, core.Union) and isinstance(right, core.Union):
            pairs = zip(left.members.values(), right.members.values(), strict=True)
            return _all(self.equal(a, b, loc) for a, b in pairs)
        if isinstance(left, core.Union) and isinstance(right, InvalidUnion):
            return fold.unary("!", core.UnionValid(left), BOOL)
        if isinstance(left, InvalidUnion) and isinstance(right, core.Union):
            return self.equal(right, left, loc)
        if isinstance(left, core.Stack) and isinstance(right, core.Stack):
            pairs_ = zip(left.elements, right.elements, strict=True)
            return _all(self.equal(a, b, loc) for a, b in pairs_)
        return self._equal_headers(left, right, loc)

    def _equal_headers(self, left: Value, right: Value, loc: Loc) -> core.Expr:
        layout = _layout(left) or _layout(right)
        if layout is None:
            raise Unsupported("these values cannot be compared", loc)
        valid = [self.valid(v) for v in (left, right)]
        same = _all(
            fold.binary("==", _field_of(left, f), _field_of(right, f), BOOL) for f in layout.fields
        )
        both = fold.binary("&&", fold.binary("&&", valid[0], valid[1], BOOL), same, BOOL)
        neither = fold.binary(
            "&&", fold.unary("!", valid[0], BOOL), fold.unary("!", valid[1], BOOL), BOOL
        )
        return fold.binary("||", neither, both, BOOL)

    def valid(self, header: Value) -> core.Expr:
        """`header.isValid()`."""
        if isinstance(header, HeaderValue):
            return core.Const(int(header.fields is not None), BOOL)
        if isinstance(header, core.StackElement):
            stack, index = header.stack, header.index
            result: core.Expr = core.Const(0, BOOL)
            for i, element in enumerate(stack.elements):
                assert isinstance(element, core.Header)
                here = fold.binary("==", index, fold.const(i, index.type), BOOL)
                result = fold.binary(
                    "||", result, fold.binary("&&", here, core.Valid(element), BOOL), BOOL
                )
            return result
        assert isinstance(header, _PLACES)
        return core.Valid(header)


def _enumerator(member: ir.EnumMember, t: Type) -> Value:
    scalar = scalar_type(t)
    if member.number is not None and scalar is not None:
        return fold.const(member.number, scalar)
    if isinstance(underlying(t), EnumType):
        return EnumConst(member, bits(32))
    if scalar is not None:  # an error code
        return core.Const(member.index, scalar)
    return EnumConst(member, bits(32))


def _scalar(t: Type, loc: Loc) -> core.Scalar:
    scalar = scalar_type(t)
    if scalar is None:
        raise Unsupported(f"a scalar is expected, not {t}", loc)
    return scalar


def _same_type(left: core.Expr, right: core.Expr) -> tuple[core.Expr, core.Expr]:
    """Operands of a comparison where one may be an unsized number."""
    if left.type == right.type:
        return left, right
    if isinstance(right, core.Const):
        return left, fold.const(right.value, left.type)
    if isinstance(left, core.Const):
        return fold.const(left.value, right.type), right
    return left, right


def _all(parts: Any) -> core.Expr:
    result: core.Expr = fold.true()
    for part in parts:
        result = fold.binary("&&", result, part, BOOL)
    return result


def _layout(value: Value) -> core.HeaderType | None:
    if isinstance(value, HeaderValue):
        return value.type
    return core.place_type(value) if isinstance(value, _PLACES) else None


def _field_of(value: Value, name: str) -> core.Expr:
    if isinstance(value, HeaderValue):
        return (
            core.Const(0, value.type.fields[name]) if value.fields is None else value.fields[name]
        )
    assert isinstance(value, _PLACES)
    return core.Field(value, name)
