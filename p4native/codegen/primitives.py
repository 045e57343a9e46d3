"""Action primitives: BMv2's core ones and simple_switch's."""

from __future__ import annotations

from collections.abc import Callable

from p4native.bmv2 import model as m
from p4native.codegen.context import Context
from p4native.codegen.expr import ExprGen
from p4native.codegen.headers import HeaderPrimitives
from p4native.codegen.layout import register_cell_bytes
from p4native.codegen.logs import emit_check, emit_log
from p4native.codegen.phv import Place, int_type
from p4native.codegen.store import StoreGen
from p4native.codegen.values import Val, unsigned

_BINARY = {
    "add": "+",
    "subtract": "-",
    "bit_xor": "^",
    "bit_or": "|",
    "bit_and": "&",
    "shift_left": "<<",
    "shift_right": ">>",
}


class PrimitiveGen:
    """Generates primitive calls inside one function."""

    def __init__(self, context: Context, exprs: ExprGen) -> None:
        self.context = context
        self.exprs = exprs
        self.out = exprs.out
        self.store = StoreGen(exprs)
        self.headers = HeaderPrimitives(context, exprs)
        self._table: dict[str, Callable[[tuple[m.Expr, ...]], None]] = {
            "assign": self._assign,
            "assign_VL": self._assign,
            "modify_field": self._assign,
            "add_to_field": lambda a: self._update("+", a),
            "subtract_from_field": lambda a: self._update("-", a),
            "drop": self._drop,
            "mark_to_drop": self._drop,
            "generate_digest": lambda a: self._flag("learn", a[1]),
            "clone_ingress_pkt_to_egress": self._clone,
            "clone_egress_pkt_to_egress": self._clone,
            "resubmit": lambda a: self._flag("resubmit", a[0]),
            "recirculate": lambda a: self._flag("recirculate", a[0]),
            "modify_field_with_hash_based_offset": self._hash,
            "modify_field_rng_uniform": self._random,
            "execute_meter": self._meter,
            "count": self._count,
            "register_read": self._register_read,
            "register_write": self._register_write,
            "truncate": self._truncate,
            "exit": lambda a: self.out.line("p->exit = true;"),
            "no_op": lambda a: None,
            "log_msg": lambda a: emit_log(self.exprs, a),
        }

    def call(self, call: m.Call) -> None:
        """One primitive."""
        if call.op in _BINARY:
            target, left, right = call.args
            self.store.assign(target, m.Op(_BINARY[call.op], left, right))
        elif call.op in ("assert", "assume"):
            emit_check(self.exprs, call)
        elif call.op in self._table:
            self._table[call.op](call.args)
        elif not self.headers.call(call):
            raise self.exprs.fail(f"primitive '{call.op}' is not supported")

    def _assign(self, args: tuple[m.Expr, ...]) -> None:
        self.store.assign(args[0], args[1])

    def _update(self, op: str, args: tuple[m.Expr, ...]) -> None:
        self.store.assign(args[0], m.Op(op, args[0], args[1]))

    def _drop(self, args: tuple[m.Expr, ...]) -> None:
        """Marks the metadata given, which may be a copy that is assigned back later."""
        given = args[0].header if args and isinstance(args[0], m.HeaderRef) else None
        for name, code, width in (
            ("standard_metadata.egress_spec", "p->th->drop_port", 32),
            ("intrinsic_metadata.mcast_grp", "0", 1),
        ):
            ref = self.context.arch_field(name)
            if given is not None:
                field = given.type.field(name.split(".")[1])
                ref = None if field is None else m.FieldRef(given, field)
            if ref is not None:
                place = self.context.layout.place(ref.header, ref.field)
                self.store.put(place, Val(code, "u64", *unsigned(width)))

    def _flag(self, name: str, value: m.Expr) -> None:
        self.out.line(f"p->{name} = (uint16_t){self.exprs.low(value, 16)};")

    def _clone(self, args: tuple[m.Expr, ...]) -> None:
        session = self.exprs.low(args[0], 16)
        self.out.line(f"p->clone = (uint16_t){session} | P4N_CLONE_REQUEST;")
        self._flag("clone_list", args[1])

    def _hash(self, args: tuple[m.Expr, ...]) -> None:
        target, base, calculation, size = args
        if not isinstance(calculation, m.NameRef):
            raise self.exprs.fail("a hash needs a calculation")
        b = self.exprs.low(base, 64)
        n = self.out.temp("uint64_t", self.exprs.low(size, 64))
        name = calculation_name(self.context, calculation.name)
        code = f"({name}(p) % ({n} ? {n} : 1) + {b})"
        self._put(target, Val(code, "u64", *unsigned(64)))

    def _random(self, args: tuple[m.Expr, ...]) -> None:
        target, low, high = args
        lo = self.out.temp("uint64_t", self.exprs.low(low, 64))
        hi = self.out.temp("uint64_t", self.exprs.low(high, 64))
        with self.out.block(f"if ({lo} <= {hi})"):
            self._put(target, Val(f"p4n_random(p->th, {lo}, {hi})", "u64", *unsigned(64)))

    def _put(self, target: m.Expr, value: Val) -> None:
        if isinstance(target, m.RegisterRef):
            raise self.exprs.fail("a register cell cannot be the result of this primitive")
        self.store.put(self.exprs.place(target), value)

    def _named(self, arg: m.Expr, kind: str) -> str:
        if not isinstance(arg, m.NameRef):
            raise self.exprs.fail(f"expected a {kind}")
        return arg.name

    def _meter(self, args: tuple[m.Expr, ...]) -> None:
        number = self.context.meters[self._named(args[0], "meter")]
        index = self.out.temp("uint64_t", f"(uint32_t){self.exprs.low(args[1], 32)}")
        meter = f"p->th->meters[{number}]"
        with self.out.block(f"if ({index} < {meter}->size)"):
            code = f"p4n_meter_execute(p->th, {meter}, {index}, p->pkt->wire_len)"
            self._put(args[2], Val(code, "u64", 0, 2))

    def _count(self, args: tuple[m.Expr, ...]) -> None:
        number = self.context.counters[self._named(args[0], "counter")]
        index = f"(uint32_t){self.exprs.low(args[1], 32)}"
        self.out.line(f"p4n_count(p->th, p->th->counters[{number}], {index}, p->pkt->wire_len);")

    def _register(self, arg: m.Expr) -> m.Register:
        name = self._named(arg, "register")
        return next(r for r in self.context.program.registers if r.name == name)

    def _register_read(self, args: tuple[m.Expr, ...]) -> None:
        register = self._register(args[1])
        index = self.out.temp("uint64_t", f"(uint32_t){self.exprs.low(args[2], 32)}")
        reg = f"p->th->registers[{self.context.registers[register.name]}]"
        with self.out.block(f"if ({index} < {reg}->size)"):
            if register.width > 64:
                size = register_cell_bytes(register.width)
                cell = f"((const uint8_t *){reg}->cells + {index} * {size})"
                value = self.exprs.load(
                    Place("bytes", cell, register.width, bit=-register.width % 8)
                )
            else:
                code = f"(uint64_t)(({int_type(register.width)} *){reg}->cells)[{index}]"
                value = Val(code, "u64", *unsigned(register.width))
            self._put(args[0], value)

    def _register_write(self, args: tuple[m.Expr, ...]) -> None:
        index = f"(uint32_t){self.exprs.low(args[1], 32)}"
        self.store.register(self._register(args[0]), index, args[2])

    def _truncate(self, args: tuple[m.Expr, ...]) -> None:
        length = self.out.temp("uint64_t", self.exprs.low(args[0], 64))
        self.out.line(f"p->keep = {length} < p->keep ? (uint32_t){length} : p->keep;")


def calculation_name(context: Context, name: str) -> str:
    """The C function of a calculation."""
    return f"calculation_{context.calculation_index[name]}"
