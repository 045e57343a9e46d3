"""log_msg, assert and assume."""

from __future__ import annotations

from p4native.bmv2 import model as m
from p4native.codegen.expr import ExprGen
from p4native.codegen.names import c_string
from p4native.codegen.values import Val


def emit_log(exprs: ExprGen, args: tuple[m.Expr, ...]) -> None:
    """log_msg(format, values): each {} is replaced by a value in decimal."""
    template = args[0]
    values = args[1].items if len(args) > 1 and isinstance(args[1], m.Vector) else ()
    if not isinstance(template, m.StringConst):
        raise exprs.fail("log_msg needs a format string")
    pieces = [
        p.replace("\\{", "{").replace("\\}", "}") for p in m.LOG_PLACEHOLDER.split(template.value)
    ]
    if len(pieces) - 1 != len(values):
        raise exprs.fail(f"log_msg has {len(pieces) - 1} placeholders for {len(values)} values")
    out = exprs.out
    numbers = [exprs.exact(v) for v in values]
    text = out.name()
    out.line(f"struct p4n_text {text} = {{ .len = 0 }};")
    for i, piece in enumerate(pieces):
        if piece:
            out.line(f"p4n_text_add(&{text}, {c_string(piece)});")
        if i < len(numbers):
            _add_number(exprs, text, numbers[i])
    out.line(f"p4n_log(p->th, {text}.data, {text}.len);")


def _add_number(exprs: ExprGen, text: str, v: Val) -> None:
    if v.cls == "wide":
        exprs.out.line(f"p4n_text_hex(&{text}, P4N_NUM({v.code}, {v.limbs}));")
    elif v.cls in ("u64", "u128"):
        exprs.out.line(f"p4n_text_u128(&{text}, {v.code});")
    else:
        exprs.out.line(f"p4n_text_i128(&{text}, {v.code});")


def emit_check(exprs: ExprGen, call: m.Call) -> None:
    """assert(condition), assume(condition): where BMv2 aborts, the packet is dropped and logged."""
    cond = exprs.boolean(call.args[0])
    message = f"{call.op.capitalize()} error: {call.source or exprs.where}"
    with exprs.out.block(f"if (!{cond})"):
        literal = c_string(message)
        exprs.out.line(f"p4n_log(p->th, {literal}, sizeof({literal}) - 1);")
        exprs.out.line("p->failed = true;")
        exprs.out.line("p->exit = true;")
