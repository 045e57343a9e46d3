"""Calls of the target: core.p4's packets and v1model's functions and objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from p4native.frontend import ir
from p4native.frontend.diagnostics import NOWHERE, Loc
from p4native.frontend.types import (
    StackType,
    StructType,
    Type,
    bits,
    is_header,
    underlying,
    width_bits,
)
from p4native.midend import core, fold
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.scope import Frame
from p4native.midend.elaborate.storage import component_types, scalar_type
from p4native.midend.elaborate.values import (
    Aggregate,
    DontCareValue,
    EnumConst,
    HeaderValue,
    Packet,
    StackValue,
    Text,
    Value,
    Void,
)
from p4native.midend.elaborate.work import Work

_PLACES = (core.Header, core.StackElement, core.StackEnd, core.UnionMember)
Named = dict[str, Value]

# function name to the operation's arguments: parameter names, `*` a list of fields,
# `>` an output, `#` a compile-time number or enumerator
_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "verify": ("check", "toSignal"),
    "verify_checksum": ("condition", "*data", "checksum", "#algo"),
    "update_checksum": ("condition", "*data", ">checksum", "#algo"),
    "verify_checksum_with_payload": ("condition", "*data", "checksum", "#algo"),
    "update_checksum_with_payload": ("condition", "*data", ">checksum", "#algo"),
    "hash": (">result", "#algo", "base", "*data", "max"),
    "random": (">result", "lo", "hi"),
    "clone": ("#type", "session"),
    "clone_preserving_field_list": ("#type", "session", "#index"),
    "resubmit_preserving_field_list": ("#index",),
    "recirculate_preserving_field_list": ("#index",),
    "truncate": ("length",),
    "assert": ("check",),
    "assume": ("check",),
}
_DROPPED = ("egress_spec", "mcast_grp")  # what marking a packet to be dropped sets
_REPLACED = {
    "clone3": "clone_preserving_field_list",
    "resubmit": "resubmit_preserving_field_list",
    "recirculate": "recirculate_preserving_field_list",
}
_METHODS: dict[tuple[str, str], tuple[str, ...]] = {
    ("counter", "count"): ("index",),
    ("meter", "execute_meter"): ("index", ">result"),
    ("register", "read"): (">result", "index"),
    ("register", "write"): ("index", "value"),
}


class Externs:
    """Elaborates extern calls into `core.Extern` statements."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.meter_targets: dict[core.Instance, core.Expr] = {}
        self._digest_names: dict[ir.Call, str] = {}
        self._packet: dict[str, Callable[[Frame, ir.Call], Value]] = {
            "extract": self._extract,
            "lookahead": self._lookahead,
            "advance": self._advance,
            "emit": self._emit,
        }

    def _named(self, frame: Frame, e: ir.Call) -> Named:
        return {p.name: v for p, v in self.work.calls.evaluate_args(frame, e.args)}

    # --- functions ---

    def function(self, frame: Frame, e: ir.Call) -> Value:
        """A call of an extern function."""
        assert e.target is not None
        name = e.target.name
        if name == "static_assert":
            return core.Const(1, fold.true().type)
        if name == "mark_to_drop":
            return self._mark_to_drop(frame, e)
        if name == "digest":
            return self._digest(frame, e)
        if name == "log_msg":
            return self._log_msg(frame, e)
        shape = _FUNCTIONS.get(name)
        if shape is None:
            hint = f"; use {_REPLACED[name]}" if name in _REPLACED else ""
            raise Unsupported(
                f"extern function '{name}' is not supported on this target{hint}", _blamed(e)
            )
        named = self._named(frame, e)
        if name.startswith(("verify_checksum", "update_checksum")):
            _check_plain(named.get("data"), e.arg("data"), name)
        self._operation(name, None, shape, named, e.loc)
        return Void()

    def _operation(
        self,
        op: str,
        instance: core.Instance | None,
        shape: tuple[str, ...],
        named: Named,
        loc: Loc,
    ) -> None:
        args: list[Any] = []
        outs: list[int] = []
        after: list[tuple[core.Expr, core.Expr]] = []
        for item in shape:
            name = item.lstrip("*>#")
            value = named[name]
            if item[0] == "*":
                if isinstance(value, core.Expr):
                    raise Unsupported(
                        f"argument '{name}' of {op} must be a structure", loc, "expected"
                    )
                args.append(list(self.fields(value, loc, whole_headers=True)))
            elif item[0] == "#":
                args.append(_fixed(value, name, op, loc))
            elif item[0] == ">":
                outs.append(len(args))
                args.append(self._output(value, loc, after))
            else:
                args.append(_scalar(value, name, op, loc))
        self.work.emit(core.Extern(op, instance, args, loc, tuple(outs)))
        for target, temp in after:
            self.work.assign(target, temp, loc)

    def _output(
        self, value: Value, loc: Loc, after: list[tuple[core.Expr, core.Expr]]
    ) -> core.Expr:
        """An lvalue the operation can write: parts of fields go through a temporary."""
        if isinstance(value, (core.VarRef, core.Field)) and not _indexed(value):
            return value
        if isinstance(value, core.Expr):
            temp = self.work.temp(value.type, loc)
            self.work.assign(temp, value, loc)
            after.append((value, temp))
            return temp
        if isinstance(value, DontCareValue):
            scalar = scalar_type(value.type)
            if scalar is not None:
                return self.work.temp(scalar, loc)
        raise Unsupported("the result of this call must go to a scalar", loc)

    def _mark_to_drop(self, frame: Frame, e: ir.Call) -> Value:
        named = self._named(frame, e)
        value = next(iter(named.values()), None)
        if not isinstance(value, Aggregate):
            raise Unsupported("mark_to_drop needs standard_metadata as its argument", e.loc)
        own = [_scalar(value.fields[n], n, "mark_to_drop", e.loc) for n in _DROPPED]
        real = [core.VarRef(v) for v in self.work.dropped]
        if all(_same(a, b) for a, b in zip(own, real, strict=True)):
            self.work.emit(core.Extern("mark_to_drop", None, list(real), e.loc, (0, 1)))
            return Void()
        # on a copy: the target only marks its own metadata, so borrow that for a moment
        kept = [self.work.saved(r, e.loc) for r in real]
        self.work.emit(core.Extern("mark_to_drop", None, list(real), e.loc, (0, 1)))
        for copy, marked, old in zip(own, real, kept, strict=True):
            self.work.assign(copy, marked, e.loc)
            assert isinstance(old, core.Expr)
            self.work.assign(marked, old, e.loc)
        return Void()

    def _digest(self, frame: Frame, e: ir.Call) -> Value:
        named = self._named(frame, e)
        t = next(iter(e.type_args.values()), None)
        declared = underlying(frame.type(t)) if t is not None else None
        if declared is not None and is_header(declared):
            message = f"a digest is made of a struct or a list, not of the header '{declared}'"
            raise Unsupported(message, e.loc)
        if isinstance(declared, StructType):
            name = declared.decl.external_name.lstrip(".")
        else:
            name = self._digest_names.setdefault(e, f"digest_{len(self._digest_names)}")
        fields = list(self.fields(named["data"], e.loc, whole_headers=False))
        receiver = _scalar(named["receiver"], "receiver", "digest", e.loc)
        self.work.blocks.saw_digest(name, frame.type(t) if t is not None else None, e.loc)
        self.work.emit(core.Extern("digest", None, [receiver, name, fields], e.loc))
        return Void()

    def _log_msg(self, frame: Frame, e: ir.Call) -> Value:
        named = self._named(frame, e)
        text = named["msg"]
        if not isinstance(text, Text):
            raise Unsupported("the message of log_msg must be a string literal", e.loc)
        args: list[Any] = [text.text]
        if "data" in named:
            data = named["data"]
            args[0] = _expanded_message(text.text, data)
            args.append(list(self.fields(data, e.loc, whole_headers=False)))
        self.work.emit(core.Extern("log_msg", None, args, e.loc))
        return Void()

    def fields(self, value: Value, loc: Loc, *, whole_headers: bool) -> Iterator[Any]:
        """The scalars of a value in order; headers as one item each if `whole_headers`."""
        if isinstance(value, core.Expr) or (isinstance(value, core.Header) and whole_headers):
            yield value
        elif isinstance(value, _PLACES):
            for name in core.place_type(value).fields:
                yield core.Field(value, name)
        else:
            for item in _components(value, loc):
                yield from self.fields(item, loc, whole_headers=whole_headers)

    # --- methods ---

    def method(self, frame: Frame, e: ir.Call) -> Value:
        """A call of an extern object's method."""
        assert e.target is not None and e.receiver is not None
        name = e.target.name
        receiver = self.work.exprs.value(frame, e.receiver)
        if isinstance(receiver, Packet):
            handler = self._packet.get(name)
            if handler is None:
                raise Unsupported(f"packet method '{name}' is not supported on this target", e.loc)
            return handler(frame, e)
        if not isinstance(receiver, core.Instance):
            raise Unsupported(f"'{name}' is not supported on this object", e.loc)
        named = self._named(frame, e)
        if receiver.kind == "direct_counter" and name == "count":
            return Void()
        if receiver.kind == "direct_meter" and name == "read":
            self._read_meter(receiver, named["result"], e.loc)
            return Void()
        shape = _METHODS.get((receiver.kind, name))
        if shape is None:
            what = f"'{receiver.kind}.{name}' is not supported on this target"
            raise Unsupported(what, _blamed(e))
        if receiver.kind != "counter" or self.work.block:
            self._operation(f"{receiver.kind}.{name}", receiver, shape, named, e.loc)
        return Void()

    def _read_meter(self, meter: core.Instance, target: Value, loc: Loc) -> None:
        """A direct meter runs with its table; its colour lands where the action reads it to."""
        known = self.meter_targets.get(meter)
        if isinstance(target, (core.VarRef, core.Field)) and not _indexed(target):
            if known is None:
                self.meter_targets[meter] = target
                return
            if not _same(known, target):
                self.work.assign(target, fold.cast(known, target.type), loc)
            return
        if not isinstance(target, core.Expr):
            raise Unsupported("a meter's colour must be read into a scalar", loc)
        if known is None:
            known = self.work.temp(target.type, loc, "color")
            self.meter_targets[meter] = known
        self.work.assign(target, fold.cast(known, target.type), loc)

    # --- packets ---

    def _extract(self, frame: Frame, e: ir.Call) -> Value:
        args = self.work.calls.evaluate_args(frame, e.args)
        target = args[0][1]
        if isinstance(target, DontCareValue):
            t = underlying(frame.type(target.type))
            assert isinstance(t, StructType)
            target = self.work.storage.header(t, "skipped", e.loc)
        if isinstance(target, core.StackElement):
            raise Unsupported("extract into a stack element needs a compile-time index", e.loc)
        if not isinstance(target, _PLACES):
            raise Unsupported("extract takes a header", e.loc)
        rest = [_scalar(v, p.name, "extract", e.loc) for p, v in args[1:]]
        self.work.emit(core.Extern("extract", None, [target, *rest], e.loc, (0,)))
        return Void()

    def _lookahead(self, frame: Frame, e: ir.Call) -> Value:
        """Read all the bits at once: too short a packet is an error whatever is used of them."""
        t = frame.type(next(iter(e.type_args.values())))
        width = width_bits(t)
        if not width:
            raise Unsupported(f"lookahead of {t} is not supported", e.loc)
        scalar = scalar_type(t) or bits(width)
        var = core.Var(self.work.program.fresh("ahead"), scalar, "effect", loc=e.loc)
        self.work.program.variables.append(var)
        whole = core.VarRef(var)
        self.work.assign(whole, core.Lookahead(0, width, scalar), e.loc)
        return whole if scalar_type(t) is not None else self._pick(t, whole, width, e.loc)[0]

    def _pick(self, t: Type, whole: core.Expr, end: int, loc: Loc) -> tuple[Value, int]:
        """The value of type `t` in `whole` just below bit `end`, and the bit it starts at."""
        scalar = scalar_type(t)
        if scalar is not None:
            low = end - core.scalar_width(scalar)
            return fold.cast(fold.slice_of(whole, end - 1, low), scalar), low
        base = underlying(t)
        types = base.fields if isinstance(base, StructType) else component_types(base)
        if isinstance(base, StackType):
            items: list[Value] = []
            for _ in range(base.size):
                one, end = self._pick(base.element, whole, end, loc)
                items.append(one)
            return StackValue(items), end
        if types is None:
            raise Unsupported(f"lookahead of {t} is not supported", loc)
        fields: dict[str, Value] = {}
        for name, field_type in types.items():
            fields[name], end = self._pick(field_type, whole, end, loc)
        if isinstance(base, StructType) and base.kind == "header":
            return self.work.exprs.header_value(base, fields), end
        return Aggregate(fields), end

    def _advance(self, frame: Frame, e: ir.Call) -> Value:
        amount = self.work.exprs.scalar(frame, e.args[0].expr)
        self.work.emit(core.Extern("advance", None, [amount], e.loc))
        return Void()

    def _emit(self, frame: Frame, e: ir.Call) -> Value:
        self._emit_value(self.work.exprs.value(frame, e.args[0].expr), e.loc)
        return Void()

    def _emit_value(self, value: Value, loc: Loc) -> None:
        if isinstance(value, core.Header):
            self.work.emit(core.Extern("emit", None, [value], loc))
        elif isinstance(value, core.Stack):
            for element in value.elements:
                self._emit_value(element, loc)
        elif isinstance(value, core.Union):
            for member in value.members.values():
                self._emit_value(member, loc)
        elif isinstance(value, Aggregate):
            for item in value.fields.values():
                self._emit_value(item, loc)
        else:
            raise Unsupported("emit takes headers, stacks, unions or structs of them", loc)


def _check_plain(value: Value, written: ir.Expression | None, op: str) -> None:
    """The target computes checksums over fields and constants only."""
    while isinstance(written, ir.Cast):
        written = written.expr
    if not isinstance(value, Aggregate) or not isinstance(written, (ir.ListExpr, ir.StructExpr)):
        return
    items = written.items if isinstance(written, ir.ListExpr) else [f.expr for f in written.fields]
    for item, part in zip(items, value.fields.values(), strict=False):
        plain = isinstance(part, (core.Const, core.VarRef, core.Field))
        if isinstance(part, core.Expr) and not plain:
            hint = "compute it before, into metadata, and name that here"
            raise Unsupported(f"computations are not supported in {op}; {hint}", item.loc)


def _blamed(e: ir.Call) -> Loc:
    """Where to show that an extern is unknown: at its declaration if that is the program's own."""
    declared = e.target.loc if e.target is not None else e.loc
    library = declared.file.endswith(("core.p4", "v1model.p4"))
    return e.loc if library or not declared.line else declared


def _expanded_message(text: str, data: Value) -> str:
    """`{}` for a structure becomes one for each of its fields: `(a:{},b:{})`."""
    pieces = text.split("{}")
    holes = _components(data, NOWHERE) if isinstance(data, (Aggregate, HeaderValue)) else [data]
    out = pieces[0]
    for i, piece in enumerate(pieces[1:]):
        out += (_hole(holes[i]) if i < len(holes) else "{}") + piece
    return out


def _hole(value: Value) -> str:
    named: dict[str, Value] = {}
    if isinstance(value, Aggregate):
        named = value.fields
    elif isinstance(value, _PLACES):
        named = {name: core.Field(value, name) for name in core.place_type(value).fields}
    else:
        return "{}"
    return "(" + ",".join(f"{name}:{_hole(item)}" for name, item in named.items()) + ")"


def _components(value: Value, loc: Loc) -> list[Value]:
    """What a structured value consists of."""
    if isinstance(value, Aggregate):
        return list(value.fields.values())
    if isinstance(value, HeaderValue):
        return list((value.fields or {}).values())
    if isinstance(value, StackValue):
        return value.items
    if isinstance(value, core.Stack):
        return list(value.elements)
    if isinstance(value, core.Union):
        return list(value.members.values())
    raise Unsupported("only fields, headers and structures of them can be listed here", loc)


def _indexed(e: core.Expr) -> bool:
    return isinstance(e, core.Field) and isinstance(e.header, core.StackElement)


def _same(a: core.Expr, b: core.Expr) -> bool:
    if isinstance(a, core.VarRef) and isinstance(b, core.VarRef):
        return a.var is b.var
    return (
        isinstance(a, core.Field)
        and isinstance(b, core.Field)
        and a.header is b.header
        and a.name == b.name
    )


def _scalar(value: Value, name: str, op: str, loc: Loc) -> core.Expr:
    if not isinstance(value, core.Expr):
        raise Unsupported(f"argument '{name}' of {op} must be a scalar", loc)
    return value


def _fixed(value: Value, name: str, op: str, loc: Loc) -> str | int:
    """A compile-time argument: an enumerator's name or a number."""
    if isinstance(value, EnumConst):
        return value.member.name
    if isinstance(value, core.Const):
        return value.value
    raise Unsupported(f"argument '{name}' of {op} must be a compile-time constant", loc, "expected")
