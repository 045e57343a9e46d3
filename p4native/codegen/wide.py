"""Numbers of more than 128 bits: each operation is a statement on a local array of limbs."""

from __future__ import annotations

from p4native.codegen.emitter import Emitter
from p4native.codegen.names import u64
from p4native.codegen.phv import Place
from p4native.codegen.values import Val, limbs_for, signed

_BINARY = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor"}


def num(v: Val) -> str:
    """The operand `struct p4n_num` of a wide value."""
    return f"P4N_NUM({v.code}, {v.limbs})"


def _array(out: Emitter, limbs: int) -> str:
    name = out.name()
    out.line(f"uint64_t {name}[{limbs}];")
    return name


def _new(out: Emitter, lo: int, hi: int, low: int | None = None) -> Val:
    limbs = limbs_for(lo, hi)
    return Val(_array(out, limbs), "wide", lo, hi, low, limbs)


def const(out: Emitter, value: int) -> Val:
    """A constant."""
    limbs = limbs_for(value, value)
    name = out.name()
    cells = ", ".join(u64(value >> 64 * i) for i in range(limbs))
    out.line(f"static const uint64_t {name}[{limbs}] = {{ {cells} }};")
    out.line(f"(void){name};")
    return Val(name, "wide", value, value, None, limbs)


def load(out: Emitter, place: Place, lo: int, hi: int) -> Val:
    """A stored field."""
    v = _new(out, lo, hi)
    bit = f"{place.bit} + {place.bit_extra}" if place.bit_extra else str(place.bit)
    sign = "true" if lo < 0 else "false"
    out.line(f"p4n_wide_load({v.code}, {v.limbs}, {place.code}, {bit}, {place.width}, {sign});")
    return v


def from_scalar(out: Emitter, v: Val) -> Val:
    """Limbs of a scalar."""
    limbs = 3 if v.cls == "u128" else 2
    name = _array(out, limbs)
    kind = "i128" if v.cls in ("i64", "i128") else "u128"
    out.line(f"p4n_wide_{kind}({name}, {limbs}, {v.code});")
    return Val(name, "wide", v.lo, v.hi, v.low, limbs)


Bounds = tuple[int, int, int | None]
"""Lowest and highest value of a result, and how many low bits of it mean something (None: all)."""


def binary(out: Emitter, op: str, a: Val, b: Val, bounds: Bounds) -> Val:
    """a op b for the ring and bitwise operators."""
    v = _new(out, *bounds)
    out.line(f"p4n_wide_{_BINARY[op]}({v.code}, {v.limbs}, {num(a)}, {num(b)});")
    return v


def divide(out: Emitter, name: str, a: Val, b: Val, hi: int) -> Val:
    """a / b or a % b."""
    v = _new(out, 0, max(hi, 0))
    out.line(f"p4n_wide_{name}({v.code}, {v.limbs}, {num(a)}, {num(b)});")
    return v


def invert(out: Emitter, a: Val, bounds: Bounds) -> Val:
    """~a."""
    v = _new(out, *bounds)
    out.line(f"p4n_wide_not({v.code}, {v.limbs}, {num(a)});")
    return v


def shift(out: Emitter, name: str, a: Val, amount: str, bounds: Bounds) -> Val:
    """a << amount (shl) or a >> amount (shr)."""
    v = _new(out, *bounds)
    out.line(f"p4n_wide_{name}({v.code}, {v.limbs}, {num(a)}, {amount});")
    return v


def extend(out: Emitter, a: Val, width: int) -> Val:
    """The low `width` bits as a signed number."""
    v = _new(out, *signed(width))
    out.line(f"p4n_wide_sext({v.code}, {v.limbs}, {num(a)}, {width});")
    return v


def saturate(out: Emitter, a: Val, width: int, is_signed: bool, bounds: Bounds) -> Val:
    """a clamped to `width` bits."""
    v = _new(out, *bounds)
    sign = "true" if is_signed else "false"
    out.line(f"p4n_wide_sat({v.code}, {v.limbs}, {num(a)}, {width}, {sign});")
    return v


def choose(out: Emitter, cond: str, a: Val, b: Val, bounds: Bounds) -> Val:
    """cond ? a : b."""
    v = _new(out, *bounds)
    out.line(f"p4n_wide_copy({v.code}, {v.limbs}, {cond} ? {num(a)} : {num(b)});")
    return v
