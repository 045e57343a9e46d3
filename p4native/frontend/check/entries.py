"""Rules for key values of table entries that depend on the keys' match kinds."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.types import BitsType
from p4native.frontend.visitor import walk


def check_entries(program: ir.Program, reporter: Reporter) -> None:
    """Check the entries of all tables of a program that is otherwise correct."""
    for node in walk(program):
        if not isinstance(node, ir.TableDecl):
            continue
        for entry in node.entries or ():
            for item, key in zip(entry.keyset.items, node.keys, strict=True):
                problem = _entry_key_problem(item, key.match_kind.name)
                if problem:
                    reporter.error("invalid", problem, item.loc)


def _entry_key_problem(item: ir.Expression, kind: str) -> str:
    """Why a key value does not suit the match kind, empty if it does."""
    if isinstance(item, ir.DontCare):
        return "an exact key cannot match anything" if kind == "exact" else ""
    if isinstance(item, ir.Range):
        if kind != "range":
            return f"a key of match kind '{kind}' cannot match a range"
        low, high = item.left.value, item.right.value
        if isinstance(low, int) and isinstance(high, int) and low > high:
            return f"the range {low}..{high} is empty"
    if isinstance(item, ir.Mask):
        if kind not in ("ternary", "lpm"):
            return f"a key of match kind '{kind}' cannot have a mask"
        return _mask_problem(item, kind)
    return ""


def _mask_problem(item: ir.Mask, kind: str) -> str:
    value, mask = item.left.value, item.right.value
    if kind != "lpm" or not isinstance(mask, int) or not isinstance(value, int):
        return ""
    width = item.right.type.width if isinstance(item.right.type, BitsType) else 0
    inverse = ~mask & ((1 << width) - 1)
    if inverse & (inverse + 1):
        return f"the mask {mask:#x} of an lpm key is not a prefix"
    return ""
