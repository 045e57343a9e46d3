"""Assignments: expressions into fields, headers' bytes and register cells."""

from __future__ import annotations

from p4native.bmv2 import model as m
from p4native.codegen import wide
from p4native.codegen.access import store_bits
from p4native.codegen.expr import ExprGen
from p4native.codegen.layout import register_cell_bytes
from p4native.codegen.phv import Place, int_type
from p4native.codegen.values import Val, signed, unsigned


class StoreGen:
    """Generates assignments into the places that an ExprGen knows."""

    def __init__(self, exprs: ExprGen) -> None:
        self.exprs = exprs
        self.out = exprs.out

    def assign(self, target: m.Expr, value: m.Expr) -> None:
        """target = value, truncated or clamped to the target's width."""
        if isinstance(target, m.RegisterRef):
            self.register(target.register, self.exprs.low(target.index, 64), value)
            return
        place = self.exprs.place(target)
        if place.kind == "varbit":
            self.assign_varbit(place, self.exprs.place(value))
            return
        if place.width == 0:
            return
        if self._copy_bytes(place, value):
            return
        if place.saturating:
            v = self._clamped(place, self.exprs.exact(value))
        else:
            v = self.exprs.data(value, place.width)
        self.put(place, v)

    def put(self, place: Place, v: Val) -> None:
        """Stores a value's low bits."""
        if place.width == 0:
            return
        if place.kind == "valid":
            # BMv2 lets $valid$ be written, but nothing looks at it afterwards.
            self.out.line(f"(void)({v.code});")
        elif place.kind == "var":
            self._put_var(place, v)
        elif place.width > 128:
            bit = f"{place.bit} + {place.bit_extra}" if place.bit_extra else str(place.bit)
            num = wide.num(self.exprs.widen(v))
            self.out.line(f"p4n_wide_store({place.code}, {bit}, {place.width}, {num});")
        else:
            self._put_bits(place, v)

    def _put_var(self, place: Place, v: Val) -> None:
        ctype = int_type(place.width)
        code = self.exprs.cast(v, "u64")
        fits = v.low is None and v.lo >= 0 and v.hi < 1 << place.width
        if not fits and place.width not in (8, 16, 32, 64):
            code = f"p4n_low({code}, {place.width})"
        self.out.line(f"{place.code} = ({ctype}){code};")

    def _put_bits(self, place: Place, v: Val) -> None:
        if place.width <= 64:
            self._put_word(place, place.bit, place.width, self.exprs.cast(v, "u64"))
            return
        value = self.out.temp("const p4n_u128", self.exprs.cast(v, "u128"))
        high = place.width - 64
        self._put_word(place, place.bit, high, f"(uint64_t)({value} >> 64)")
        self._put_word(place, place.bit + high, 64, f"(uint64_t){value}")

    def _put_word(self, place: Place, bit: int, width: int, value: str) -> None:
        for line in store_bits(place, bit, width, value):
            self.out.line(line)

    def _clamped(self, place: Place, v: Val) -> Val:
        lo, hi = signed(place.width) if place.signed else unsigned(place.width)
        return self.exprs.clamp(v, lo, hi, place.width, place.signed)

    def _copy_bytes(self, place: Place, value: m.Expr) -> bool:
        """A long byte-aligned field from another of the same width is a plain copy."""
        if not isinstance(value, m.FieldRef | m.StackField | m.LookAhead | m.Local):
            return False
        if place.kind != "bytes" or place.width <= 64 or place.bit_extra:
            return False
        if isinstance(value, m.Local):
            code, width = self.exprs.params[value.index]
            source = Place("bytes", code, width, bit=-width % 8)
        else:
            source = self.exprs.place(value)
        same = source.kind == "bytes" and source.width == place.width and not source.bit_extra
        if not same or place.width % 8 or place.bit % 8 or source.bit % 8:
            return False
        to, at = place.bit // 8, source.bit // 8
        self.out.line(f"memmove({place.code} + {to}, {source.code} + {at}, {place.width // 8});")
        return True

    def assign_varbit(self, target: Place, source: Place) -> None:
        """A variable-length field with its length; what follows it in the header moves."""
        self.out.line(
            f"p4n_copy_varbit(p, {target.header}, {target.bit // 8}, "
            f"{source.header}, {source.bit // 8});"
        )

    def register(self, register: m.Register, index: str, value: m.Expr) -> None:
        """A register cell; an index beyond the array changes nothing."""
        number = self.exprs.registers[register.name]
        reg = f"p->th->registers[{number}]"
        i = self.out.temp("uint64_t", index)
        if register.width > 64:
            v = self.exprs.data(value, register.width)
            with self.out.block(f"if ({i} < {reg}->size)"):
                cell = f"((uint8_t *){reg}->cells + {i} * {register_cell_bytes(register.width)})"
                self.put(Place("bytes", cell, register.width, bit=-register.width % 8), v)
            return
        code = self.exprs.low(value, register.width)
        if register.width not in (8, 16, 32, 64):
            code = f"p4n_low({code}, {register.width})"
        ctype = int_type(register.width)
        with self.out.block(f"if ({i} < {reg}->size)"):
            self.out.line(f"(({ctype} *){reg}->cells)[{i}] = ({ctype}){code};")
