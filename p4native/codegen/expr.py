"""Expressions to C: exact where it shows, modulo the demanded bits where it does not."""

from __future__ import annotations

from collections.abc import Sequence

from p4native.bmv2 import model as m
from p4native.codegen import wide
from p4native.codegen.access import load_bits
from p4native.codegen.emitter import Emitter
from p4native.codegen.layout import register_cell_bytes
from p4native.codegen.names import u64, u128
from p4native.codegen.phv import PhvLayout, Place, int_type
from p4native.codegen.references import RefGen, operand
from p4native.codegen.values import (
    CTYPES,
    MAX_BITS,
    Val,
    arith_range,
    bitwise_range,
    class_of,
    clip,
    decide,
    signed,
    unsigned,
)

_COMPARE = frozenset(["==", "!=", "<", "<=", ">", ">="])


class ExprGen(RefGen):
    """Generates the expressions of one function; statements they need go to `out` first.

    `params` are the (C code, width) of the action's runtime data; `lookahead` maps a parser
    lookahead to a place in the frame.
    """

    def __init__(
        self,
        layout: PhvLayout,
        out: Emitter,
        registers: dict[str, int],
        params: Sequence[tuple[str, int]] = (),
        where: str = "",
    ) -> None:
        super().__init__(layout, out, where)
        self.registers = registers
        self.params = params

    # --- booleans --------------------------------------------------------------------------------

    def boolean(self, e: m.Expr) -> str:  # noqa: PLR0911 - one per construct
        """A C condition."""
        match e:
            case m.BoolConst():
                return "true" if e.value else "false"
            case m.Op(op="and" | "or"):
                sign = "&&" if e.op == "and" else "||"
                return f"({self.boolean(operand(e.left))} {sign} {self.boolean(operand(e.right))})"
            case m.Op(op="not"):
                return f"!{self.boolean(operand(e.right))}"
            case m.Op(op="d2b"):
                return self._nonzero(operand(e.right))
            case m.Op(op="valid" | "valid_union"):
                return self._valid(operand(e.right))
            case m.Op(op="?"):
                cond = self.boolean(operand(e.cond))
                yes, no = self.boolean(operand(e.left)), self.boolean(operand(e.right))
                return f"({cond} ? {yes} : {no})"
            case m.Op() if e.op in _COMPARE:
                return self._compare(e.op, operand(e.left), operand(e.right))
        return self._nonzero(e)

    def is_boolean(self, e: m.Expr) -> bool:
        """True when the expression denotes a boolean rather than a number."""
        if isinstance(e, m.Op):
            if e.op == "?":
                return self.is_boolean(operand(e.left))
            return e.op in ("and", "or", "not", "d2b", "valid", "valid_union", *_COMPARE)
        return isinstance(e, m.BoolConst)

    def _nonzero(self, e: m.Expr) -> str:
        v = self.exact(e)
        if v.cls == "wide":
            return f"(p4n_wide_cmp({wide.num(v)}, P4N_NUM((const uint64_t[]){{ 0 }}, 1)) != 0)"
        return f"({v.code} != 0)"

    def _valid(self, e: m.Expr) -> str:
        if isinstance(e, m.UnionRef):
            return f"p4n_union_valid(p, {self.layout.union_index[e.union.name]})"
        if isinstance(e, m.Op) and isinstance(e.left, m.UnionStackRef):
            return self._union_element_valid(e.left.stack, operand(e.right))
        if isinstance(e, m.HeaderRef) and e.header.metadata:
            return "true"
        return f"p4n_is_valid(p, {self.header_number(e)})"

    def _union_element_valid(self, stack: m.UnionStack, index: m.Expr) -> str:
        """Validity of an element of a union stack; false out of its range."""
        i = self.out.temp("uint64_t", self.low(index, 64))
        table = ", ".join(str(self.layout.union_index[u.name]) for u in stack.unions)
        element = f"((const unsigned[]){{ {table} }})[{i}]"
        return f"({i} < {len(stack.unions)} && p4n_union_valid(p, {element}))"

    def _compare(self, op: str, left: m.Expr, right: m.Expr) -> str:  # noqa: PLR0911 - one per construct
        if isinstance(left, m.HeaderRef) or self._denotes_header(left):
            numbers = f"{self.header_number(left)}, {self.header_number(right)}"
            return f"{'!' if op == '!=' else ''}p4n_equal_headers(p, {numbers})"
        if isinstance(left, m.UnionRef) and isinstance(right, m.UnionRef):
            return self._compare_unions(op, left.union, right.union)
        if self.is_boolean(left) or self.is_boolean(right):
            return f"(({self.boolean(left)}) {op} ({self.boolean(right)}))"
        varbits = self._varbit_places(left, right)
        if varbits is not None:
            x, y = varbits
            args = f"p, {x.header}, {x.bit // 8}, {y.header}, {y.bit // 8}"
            return f"{'!' if op == '!=' else ''}p4n_equal_varbits({args})"
        a, b = self.exact(left), self.exact(right)
        known = decide(op, a, b)
        if known is not None:
            return "true" if known else "false"
        cls = class_of(min(a.lo, b.lo), max(a.hi, b.hi))
        if cls == "wide":
            return f"(p4n_wide_cmp({wide.num(self.widen(a))}, {wide.num(self.widen(b))}) {op} 0)"
        return f"({self.cast(a, cls)} {op} {self.cast(b, cls)})"

    def _varbit_places(self, left: m.Expr, right: m.Expr) -> tuple[Place, Place] | None:
        """Both sides' places when they are variable-length fields."""
        if not all(isinstance(e, m.FieldRef | m.StackField) for e in (left, right)):
            return None
        a, b = self.place(left), self.place(right)
        return (a, b) if a.kind == b.kind == "varbit" else None

    def _compare_unions(self, op: str, a: m.Union, b: m.Union) -> str:
        index = self.layout.index
        same = " || ".join(
            f"p4n_equal_headers(p, {index[x.name]}, {index[y.name]})"
            for x, y in zip(a.headers, b.headers, strict=True)
        )
        return f"{'!' if op == '!=' else ''}({same})"

    @staticmethod
    def _denotes_header(e: m.Expr) -> bool:
        return isinstance(e, m.Op) and e.op in ("dereference_header_stack", "access_union_header")

    # --- numbers ---------------------------------------------------------------------------------

    def exact(self, e: m.Expr) -> Val:
        """The value, exactly."""
        return self.data(e, None)

    def low(self, e: m.Expr, width: int) -> str:
        """A uint64_t whose low `width` (<= 64) bits are the value's; the others are anything."""
        return self.cast(self.data(e, width), "u64")

    def data(self, e: m.Expr, demand: int | None) -> Val:  # noqa: PLR0911 - one per construct
        """The value; with `demand`, only that many low bits have to be right."""
        match e:
            case m.Const():
                return self.const(e.value if demand is None else _reduce(e.value, demand))
            case m.FieldRef() | m.StackField() | m.UnionStackField() | m.LookAhead():
                return self.load(self.place(e), demand)
            case m.Local():
                code, width = self.params[e.index]
                return self.load(Place("bytes", code, width, bit=-width % 8), demand)
            case m.RegisterRef():
                return self._register(e)
            case m.Op(op="access_field"):
                return self.load(self.place(e), demand)
            case m.Op():
                v = self._operation(e, demand)
                return self.const(v.lo) if v.lo == v.hi and v.low is None else v
        if self.is_boolean(e):
            return Val(f"p4n_bit({self.boolean(e)})", "u64", 0, 1)
        raise self.fail(f"{type(e).__name__} is not a number")

    def const(self, value: int) -> Val:
        """A constant."""
        cls = class_of(value, value)
        if cls == "u64":
            return Val(u64(value), cls, value, value)
        if cls == "i64":
            return Val(f"(int64_t){u64(value)}", cls, value, value)
        if cls in ("u128", "i128"):
            return Val(f"({CTYPES[cls]}){u128(value)}", cls, value, value)
        return wide.const(self.out, value)

    def load(self, place: Place, demand: int | None = None) -> Val:  # noqa: PLR0911 - one per construct
        """A field's value."""
        lo, hi = signed(place.width) if place.signed else unsigned(place.width or 1)
        if place.kind == "const":
            return Val(u64(int(place.code)), "u64", 0, 1)
        if place.width == 0 and place.kind != "varbit":
            return self.const(0)
        if place.kind == "valid":
            return Val(f"(uint64_t)p4n_is_valid(p, {place.code})", "u64", 0, 1)
        if place.kind == "varbit":
            raise self.fail("a variable-length field is used as a number")
        if place.kind == "var":
            if place.signed:
                return Val(f"p4n_sext({place.code}, {place.width})", "i64", lo, hi)
            return Val(f"(uint64_t){place.code}", "u64", lo, hi)
        if demand is not None and demand < place.width and place.width > 64:
            return self.slice(place, 0, demand)
        if place.width > 128:
            return wide.load(self.out, place, lo, hi)
        code = load_bits(place, place.bit, place.width)
        cls = class_of(lo, hi)
        if place.signed:
            fn = "p4n_sext" if place.width <= 64 else "p4n_sext128"
            code = f"{fn}({code}, {place.width})"
        return Val(code, cls, lo, hi)

    def slice(self, place: Place, lsb: int, width: int) -> Val:
        """Bits [lsb, lsb + width) of a stored field, as an unsigned number."""
        bit = place.bit + place.width - lsb - width
        lo, hi = unsigned(width)
        if width > 128:
            part = Place("bytes", place.code, width, bit=bit, bit_extra=place.bit_extra)
            return wide.load(self.out, part, lo, hi)
        return Val(load_bits(place, bit, width), class_of(lo, hi), lo, hi)

    def _register(self, e: m.RegisterRef) -> Val:
        index = self.out.temp("uint64_t", self.low(e.index, 64))
        width = e.register.width
        reg = f"p->th->registers[{self.registers[e.register.name]}]"
        if width > 64:
            size = register_cell_bytes(width)
            cell = self.out.temp(
                "const uint8_t *",
                f"{index} < {reg}->size ? (const uint8_t *){reg}->cells + {index} * {size}"
                f" : p->home + p4n_headers[P4N_HEADERS].home",
            )
            return self.load(Place("bytes", cell, width, bit=-width % 8))
        ctype = int_type(width)
        code = f"({index} < {reg}->size ? (uint64_t)(({ctype} *){reg}->cells)[{index}] : 0)"
        return Val(code, "u64", *unsigned(width))

    # --- conversions -----------------------------------------------------------------------------

    def cast(self, v: Val, cls: str) -> str:
        """The value as another scalar class (modulo its size)."""
        if v.cls == cls:
            return v.code
        if v.cls == "wide":
            return f"({CTYPES[cls]})p4n_wide_low128({wide.num(v)})"
        return f"({CTYPES[cls]})({v.code})"

    def widen(self, v: Val) -> Val:
        """The value as limbs."""
        return v if v.cls == "wide" else wide.from_scalar(self.out, v)

    # --- operators -------------------------------------------------------------------------------

    def _operation(self, e: m.Op, demand: int | None) -> Val:  # noqa: PLR0911 - one per construct
        match e.op:
            case "+" | "-" | "*":
                return self._ring(e, demand)
            case "&" | "|" | "^":
                return self._bitwise(e, demand)
            case "~":
                return self._invert(e, demand)
            case "<<":
                return self._shift_left(e, demand)
            case ">>":
                return self._shift_right(e, demand)
            case "/" | "%":
                return self._divide(e)
            case "two_comp_mod":
                return self._two_comp(e)
            case "usat_cast" | "sat_cast":
                return self._saturate(e)
            case "?":
                return self._ternary(e, demand)
            case "b2d":
                return Val(f"p4n_bit({self.boolean(operand(e.right))})", "u64", 0, 1)
            case "last_stack_index" | "size_stack":
                return self._stack_size(e)
        if self.is_boolean(e):
            return Val(f"p4n_bit({self.boolean(e)})", "u64", 0, 1)
        raise self.fail(f"operator '{e.op}' is not supported")

    def _stack_size(self, e: m.Op) -> Val:
        stack = operand(e.right)
        if isinstance(stack, m.StackRef):
            n, size = self.layout.stack_index[stack.stack.name], len(stack.stack.headers)
        elif isinstance(stack, m.UnionStackRef):
            n = self.layout.union_stack_index[stack.stack.name]
            size = len(stack.stack.unions)
        else:
            raise self.fail(f"'{e.op}' of something that is not a stack")
        if e.op == "size_stack":
            return Val(f"(uint64_t)p->next[{n}]", "u64", 0, size)
        return Val(f"((int64_t)p->next[{n}] - 1)", "i64", -1, size - 1)

    def _ring(self, e: m.Op, demand: int | None) -> Val:
        left = m.Const(0) if e.left is None else e.left
        a, b = self.data(left, demand), self.data(operand(e.right), demand)
        lo, hi = arith_range(e.op, a, b)
        cls = class_of(lo, hi)
        inexact = a.low is not None or b.low is not None
        if demand is not None and (inexact or _class_bits(cls, lo, hi) > max(64, demand)):
            return self._ring_modulo(e.op, a, b, demand)
        if cls == "wide":
            return wide.binary(self.out, e.op, self.widen(a), self.widen(b), (lo, hi, None))
        work = "u64" if cls in ("u64", "i64") else "u128"
        code = f"({self.cast(a, work)} {e.op} {self.cast(b, work)})"
        return Val(code if cls == work else f"({CTYPES[cls]}){code}", cls, lo, hi)

    def _ring_modulo(self, op: str, a: Val, b: Val, demand: int) -> Val:
        """a op b where only `demand` bits count."""
        lo, hi = unsigned(demand)
        if demand > 128:
            return wide.binary(self.out, op, self.widen(a), self.widen(b), (lo, hi, demand))
        work = "u64" if demand <= 64 else "u128"
        return Val(f"({self.cast(a, work)} {op} {self.cast(b, work)})", work, lo, hi, demand)

    def _bitwise(self, e: m.Op, demand: int | None) -> Val:
        left, right = operand(e.left), operand(e.right)
        if e.op == "&":
            for mask, other in ((left, right), (right, left)):
                if isinstance(mask, m.Const) and mask.value >= 0:
                    return self._mask(other, mask.value, demand)
        a, b = self.data(left, demand), self.data(right, demand)
        if a.low is not None or b.low is not None:
            assert demand is not None
            return self._ring_modulo(e.op, a, b, demand)
        lo, hi = bitwise_range(e.op, a, b)
        cls = class_of(lo, hi)
        if cls == "wide" or "wide" in (a.cls, b.cls):
            v = wide.binary(self.out, e.op, self.widen(a), self.widen(b), (lo, hi, None))
            return self._narrow(v)
        work = "u64" if cls in ("u64", "i64") else "u128"
        code = f"({self.cast(a, work)} {e.op} {self.cast(b, work)})"
        return Val(code if cls == work else f"({CTYPES[cls]}){code}", cls, lo, hi)

    def _mask(self, other: m.Expr, mask: int, demand: int | None) -> Val:
        """other & mask, for a constant mask: only the mask's bits of `other` are computed."""
        if demand is not None:
            mask &= (1 << demand) - 1
        width = max(1, mask.bit_length())
        v = self.data(other, width)
        hi = mask if v.lo < 0 or v.low is not None else min(mask, v.hi)
        if mask == (1 << width) - 1 and v.low is None and v.lo >= 0 and v.hi <= mask:
            return v
        if width > 128:
            w = wide.binary(
                self.out, "&", self.widen(v), self.widen(self.const(mask)), (0, hi, None)
            )
            return self._narrow(w)
        cls = "u64" if width <= 64 else "u128"
        literal = u64(mask) if width <= 64 else u128(mask)
        return Val(f"({self.cast(v, cls)} & {literal})", cls, 0, hi)

    def _narrow(self, v: Val) -> Val:
        """Limbs as a scalar when the range allows."""
        cls = class_of(v.lo, v.hi)
        return v if cls == "wide" else Val(self.cast(v, cls), cls, v.lo, v.hi)

    def _invert(self, e: m.Op, demand: int | None) -> Val:
        v = self.data(operand(e.right), demand)
        lo, hi = -v.hi - 1, -v.lo - 1
        if demand is not None and demand <= 128:
            cls = "u64" if demand <= 64 else "u128"
            return Val(f"~{self.cast(v, cls)}", cls, *unsigned(demand), demand)
        cls = class_of(lo, hi)
        if cls == "wide" or v.cls == "wide":
            return wide.invert(self.out, self.widen(v), (lo, hi, v.low))
        work = "u64" if cls in ("u64", "i64") else "u128"
        return Val(f"({CTYPES[cls]})~{self.cast(v, work)}", cls, lo, hi)

    def _shift_left(self, e: m.Op, demand: int | None) -> Val:
        by = self.exact(operand(e.right))
        a = self.data(operand(e.left), demand)
        top = min(by.hi, 2 * MAX_BITS)
        if isinstance(e.right, m.Const):
            lo, hi = clip(a.lo << top, a.hi << top)
        else:
            lo, hi = clip(min(a.lo, a.lo << top), max(a.hi, a.hi << top))
        cls = class_of(lo, hi)
        modulo = demand is not None and (
            a.low is not None or _class_bits(cls, lo, hi) > max(64, demand)
        )
        if modulo:
            assert demand is not None
            lo, hi = unsigned(demand)
            cls = "u64" if demand <= 64 else "u128" if demand <= 128 else "wide"
        low = demand if modulo else None
        if cls == "wide":
            return wide.shift(self.out, "shl", self.widen(a), self._amount(by), (lo, hi, low))
        work = "u64" if cls in ("u64", "i64") else "u128"
        if isinstance(e.right, m.Const) and by.hi < (64 if work == "u64" else 128):
            code = f"({self.cast(a, work)} << {by.hi})"
        else:
            fn = "p4n_shl" if work == "u64" else "p4n_shl128"
            code = f"{fn}({self.cast(a, work)}, {self._amount(by)})"
        return Val(code if cls == work else f"({CTYPES[cls]}){code}", cls, lo, hi, low)

    def _amount(self, by: Val) -> str:
        """A shift amount as uint64_t: anything huge stays huge."""
        if by.cls == "u64":
            return by.code
        if by.cls == "wide":
            return f"p4n_wide_amount({wide.num(by)})"
        t = self.out.temp(CTYPES[by.cls], by.code)
        return f"({t} >> 32 ? UINT64_MAX : (uint64_t){t})"

    def _shift_right(self, e: m.Op, demand: int | None) -> Val:
        left, right = operand(e.left), operand(e.right)
        if isinstance(right, m.Const) and right.value >= 0:
            by = right.value
            piece = self._field_slice(left, by, demand)
            if piece is not None:
                return piece
            a = self.data(left, None if demand is None else demand + by)
            amount = str(by)
        else:
            a, shift = self.exact(left), self.exact(right)
            by, amount = 0, self._amount(shift)
        if isinstance(right, m.Const):
            lo, hi = a.lo >> by, a.hi >> by
        else:
            lo, hi = min(a.lo, 0), max(a.hi, -1)
        if a.low is not None:
            assert demand is not None
            lo, hi = unsigned(demand)
        low = demand if a.low is not None else None
        if a.cls == "wide":
            v = wide.shift(self.out, "shr", a, amount, (lo, hi, low))
            return v if low is not None else self._narrow(v)
        fn = {"u64": "p4n_shr", "i64": "p4n_sar", "u128": "p4n_shr128", "i128": "p4n_sar128"}
        if amount.isdigit() and int(amount) < a.bits:
            code = f"({a.code} >> {amount})"
        else:
            code = f"{fn[a.cls]}({a.code}, {amount})"
        cls = a.cls if low is not None else class_of(lo, hi)
        return Val(code if cls == a.cls else f"({CTYPES[cls]}){code}", cls, lo, hi, low)

    def _field_slice(self, left: m.Expr, by: int, demand: int | None) -> Val | None:
        """field >> by read straight from the field's bytes, when it is a long unsigned one."""
        if not isinstance(left, m.FieldRef | m.StackField):
            return None
        place = self.place(left)
        if place.kind != "bytes" or place.signed or place.width <= 64 or by >= place.width:
            return None
        width = place.width - by
        return self.slice(place, by, width if demand is None else min(width, demand))

    def _divide(self, e: m.Op) -> Val:
        a, b = self.exact(operand(e.left)), self.exact(operand(e.right))
        hi = a.hi if e.op == "/" else max(0, min(a.hi, b.hi - 1))
        name = "div" if e.op == "/" else "mod"
        cls = class_of(0, max(a.hi, b.hi))
        if cls == "wide" or "wide" in (a.cls, b.cls):
            return self._narrow(wide.divide(self.out, name, self.widen(a), self.widen(b), hi))
        fn = f"p4n_{name}" if cls == "u64" else f"p4n_{name}128"
        code = f"{fn}({self.cast(a, cls)}, {self.cast(b, cls)})"
        return Val(code, cls, 0, max(hi, 0))

    def _width_of(self, e: m.Op) -> int:
        if not isinstance(e.right, m.Const) or not 0 < e.right.value <= MAX_BITS:
            raise self.fail(f"'{e.op}' needs a constant width")
        return e.right.value

    def _two_comp(self, e: m.Op) -> Val:
        width = self._width_of(e)
        a = self.data(operand(e.left), width)
        lo, hi = signed(width)
        if a.low is None and lo <= a.lo and a.hi <= hi:
            return a
        if width > 128:
            return wide.extend(self.out, self.widen(a), width)
        if width <= 64:
            return Val(f"p4n_sext({self.cast(a, 'u64')}, {width})", "i64", lo, hi)
        return Val(f"p4n_sext128({self.cast(a, 'u128')}, {width})", "i128", lo, hi)

    def _saturate(self, e: m.Op) -> Val:
        width = self._width_of(e)
        a = self.exact(operand(e.left))
        lo, hi = unsigned(width) if e.op == "usat_cast" else signed(width)
        return self.clamp(a, lo, hi, width, e.op == "sat_cast")

    def clamp(self, a: Val, lo: int, hi: int, width: int, is_signed: bool) -> Val:
        """The value limited to [lo, hi], the range of `width` bits."""
        if lo <= a.lo and a.hi <= hi:
            return a
        new_lo, new_hi = max(lo, min(a.lo, hi)), min(hi, max(a.hi, lo))
        if a.cls == "wide":
            return self._narrow(
                wide.saturate(self.out, a, width, is_signed, (new_lo, new_hi, None))
            )
        t = self.out.temp(CTYPES[a.cls], a.code)
        code = t
        if a.hi > hi:
            high = self.cast(self.const(hi), a.cls)
            code = f"({t} > {high} ? {high} : {t})"
        if a.lo < lo:
            low = self.cast(self.const(lo), a.cls)
            code = f"({t} < {low} ? {low} : {code})"
        cls = class_of(new_lo, new_hi)
        return Val(f"({CTYPES[cls]}){code}", cls, new_lo, new_hi)

    def _ternary(self, e: m.Op, demand: int | None) -> Val:
        cond = self.boolean(operand(e.cond))
        a, b = self.data(operand(e.left), demand), self.data(operand(e.right), demand)
        if a.low is not None or b.low is not None:
            assert demand is not None
            (lo, hi), low = unsigned(demand), demand
        else:
            lo, hi, low = min(a.lo, b.lo), max(a.hi, b.hi), None
        cls = class_of(lo, hi)
        if cls == "wide":
            return wide.choose(self.out, cond, self.widen(a), self.widen(b), (lo, hi, low))
        return Val(f"({cond} ? {self.cast(a, cls)} : {self.cast(b, cls)})", cls, lo, hi, low)


def _reduce(value: int, demand: int) -> int:
    """A constant's cheapest form with the same low bits."""
    if 0 <= value < 1 << 64 or -(1 << 63) <= value < 0:
        return value
    return value & ((1 << demand) - 1)


def _class_bits(cls: str, lo: int, hi: int) -> int:
    if cls == "wide":
        return max(hi.bit_length(), (-lo).bit_length()) + 1
    return 64 if cls in ("u64", "i64") else 128
