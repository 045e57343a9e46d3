"""The control plane's name of a table key, made from its expression as P4Runtime says."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.types import StructType, underlying


def key_name(e: ir.Expression) -> str | None:
    """The name of a key without `@name`, None if the expression needs one."""
    if isinstance(e, ir.Path):
        return ("." if e.absolute else "") + e.name
    if isinstance(e, ir.Member):
        return _member(e)
    if isinstance(e, ir.IntLit):
        return _number(e)
    if isinstance(e, ir.Cast) and e.ref is None:
        return key_name(e.expr)
    if isinstance(e, ir.Index):
        return _join(key_name(e.expr), "[", key_name(e.index), "]")
    if isinstance(e, ir.Slice):
        inner = _join(key_name(e.hi), ":", key_name(e.lo), "")
        return _join(key_name(e.expr), "[", inner, "]")
    if isinstance(e, ir.Binary) and e.op == "&":
        return _join(key_name(e.left), " & ", key_name(e.right), "")
    if isinstance(e, ir.Call) and e.builtin == "isValid" and e.receiver is not None:
        return _join(key_name(e.receiver), ".", "$valid$", "")
    return None


def _join(left: str | None, middle: str, right: str | None, end: str) -> str | None:
    return None if left is None or right is None else f"{left}{middle}{right}{end}"


def _number(e: ir.IntLit) -> str:
    sign, number = ("-", -e.number) if e.number < 0 else ("", e.number)
    if e.base == 16:
        return f"{sign}0x{number:x}"
    if e.base == 2:
        return f"{sign}0b{number:b}"
    if e.base == 8:
        return f"{sign}0o{number:o}"
    return f"{sign}{number}"


def _member(e: ir.Member) -> str | None:
    name = e.name
    t = underlying(e.expr.type)
    if isinstance(t, StructType):
        for f in t.decl.fields:
            if f.name == name:
                name = f.external_name
    if name.startswith("."):
        return name[1:]
    return _join(key_name(e.expr), ".", name, "")
