"""Arguments of one call that are written to the same place: the last copied out wins."""

from __future__ import annotations

from itertools import permutations

from p4native.frontend import ir
from p4native.frontend.check.context import Context

_Steps = list[str | int | None]


def warn_overlaps(ctx: Context, args: list[ir.Argument]) -> None:
    """Warn of each written argument that has a part in common with another one.

    Slices are copied out by themselves, so the warning is about what they are a slice of.
    """
    written = [a for a in args if a.param is not None and a.param.direction in ("out", "inout")]
    for one, other in permutations(written, 2):
        if not isinstance(one.expr, (ir.Slice, ir.PlusSlice)) and _overlap(one.expr, other.expr):
            ctx.warning(
                "ordering",
                "this argument is written, and so is another that has a part in common with it",
                one.loc,
                (other.loc, "the other one"),
            )


def _overlap(a: ir.Expression, b: ir.Expression) -> bool:
    one, other = _place(a), _place(b)
    if one is None or other is None or one[0] is not other[0]:
        return False
    steps = zip(one[1], other[1], strict=False)
    return all(x == y or x is None or y is None for x, y in steps)


def _place(expr: ir.Expression) -> tuple[ir.Decl, _Steps] | None:
    """The variable and the way to the part of it; None for an index only known at run time."""
    steps: _Steps = []
    while not isinstance(expr, ir.Path):
        if isinstance(expr, (ir.Slice, ir.PlusSlice)):
            pass
        elif isinstance(expr, ir.Member):
            steps.append(expr.name)
        elif isinstance(expr, ir.Index):
            steps.append(expr.index.value if isinstance(expr.index.value, int) else None)
        else:
            return None
        expr = expr.expr
    return (expr.decl, steps[::-1]) if expr.decl is not None else None
