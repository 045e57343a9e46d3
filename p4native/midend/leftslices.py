"""Pass `left_slices`: assigning to part of a field assigns the whole field.

before:  x[7:4] = v;      after:  x = (x & 0x0f) | (((bit<8>) v << 4) & 0xf0);
post: the target of an assignment is a variable or a field.
"""

from __future__ import annotations

from p4native.frontend.types import BitsType, bits
from p4native.midend import core, fold, rewrite


def run(program: core.Program) -> None:
    """Rewrite every assignment to a slice."""
    for body in rewrite.lists(program):
        _body(body)


def _body(body: list[core.Stmt]) -> None:
    for s in body:
        for inner in core.bodies(s):
            _body(inner)
        if isinstance(s, core.Assign):
            while isinstance(s.target, core.Slice):
                _widen(s, s.target)


def _widen(s: core.Assign, target: core.Slice) -> None:
    whole = target.arg
    width = core.scalar_width(whole.type)
    plain = bits(width)
    mask = ((1 << (target.hi + 1)) - 1) & ~((1 << target.lo) - 1)
    value = s.value
    if isinstance(value.type, BitsType) and value.type.signed:
        value = fold.cast(value, bits(value.type.width))
    piece = fold.binary("<<", fold.cast(value, plain), core.Const(target.lo, bits(32)), plain)
    piece = fold.binary("&", piece, core.Const(mask, plain), plain)
    old = fold.cast(whole, plain)
    kept = fold.binary("&", old, core.Const(((1 << width) - 1) & ~mask, plain), plain)
    s.target = whole
    s.value = fold.cast(fold.binary("|", kept, piece, plain), whole.type)
