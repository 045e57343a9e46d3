"""Rules for the functions and objects of core.p4 that their declarations cannot express."""

from __future__ import annotations

from functools import lru_cache

from p4native.frontend import ir
from p4native.frontend.check.context import Context
from p4native.frontend.types import (
    BoolType,
    ListValueType,
    StackType,
    StructType,
    TupleType,
    Type,
    TypeVar,
    VarbitType,
    VoidType,
    is_header,
)


def check_core_call(ctx: Context, call: ir.Call) -> ir.Expression:
    """Check a call that may be of a core method; the call, or what it evaluates to."""
    target = call.target
    assert target is not None
    if call.kind is ir.CallKind.EXTERN_FUNCTION:
        if target.name == "verify" and not ctx.in_parser():
            return ctx.bad(call, "'verify' can only be called in parsers")
        if target.name == "static_assert":
            return _static_assert(ctx, call)
        return call
    if not isinstance(target, ir.Method) or target.parent is None:
        return call
    owner = target.parent.name
    if owner == "packet_in" and target.name == "extract":
        return _extract(ctx, call)
    if owner == "packet_in" and target.name == "lookahead":
        return _lookahead(ctx, call)
    if owner == "packet_out" and target.name == "emit" and call.args:
        t = call.args[0].expr.type
        if not _emittable(t):
            return ctx.bad(
                call, f"only headers, stacks, unions and structs of these are emitted, not '{t}'"
            )
    return call


@lru_cache(maxsize=4096)
def has_varbit_or_union(t: Type) -> bool:
    """Whether the size of a value of this type varies."""
    if isinstance(t, VarbitType):
        return True
    if isinstance(t, StructType):
        return t.kind == "header_union" or any(has_varbit_or_union(f) for f in t.fields.values())
    if isinstance(t, (TupleType, ListValueType)):
        return any(has_varbit_or_union(e) for e in t.elements)
    return isinstance(t, StackType) and has_varbit_or_union(t.element)


def _extract(ctx: Context, call: ir.Call) -> ir.Expression:
    argument = call.args[0]
    t = argument.expr.type
    if isinstance(argument.expr, ir.DontCare) or isinstance(t, TypeVar):
        return call
    if not is_header(t):
        return ctx.bad(call, f"'extract' reads a header, not '{t}'", argument.loc)
    assert isinstance(t, StructType)
    varbits = [f for f in t.decl.fields if isinstance(t.fields[f.name], VarbitType)]
    if len(varbits) > 1:
        ctx.type_error(
            "a header can have one varbit field only",
            varbits[0].loc,
            (varbits[1].loc, "another one"),
        )
        return call
    varies = has_varbit_or_union(t)
    if len(call.args) == 1 and varies:
        return ctx.bad(
            call,
            "a header with a varbit field is extracted with its size as a second argument",
            argument.loc,
        )
    if len(call.args) == 2 and not varies:
        return ctx.bad(call, "the header has no varbit field to give a size for", argument.loc)
    return call


def _lookahead(ctx: Context, call: ir.Call) -> ir.Expression:
    for t in call.type_args.values():
        if isinstance(t, VoidType):
            return ctx.bad(call, "'lookahead' cannot read 'void'")
        if has_varbit_or_union(t):
            return ctx.bad(call, f"'lookahead' needs a type of fixed size, not '{t}'")
    return call


@lru_cache(maxsize=4096)
def _emittable(t: Type) -> bool:
    if isinstance(t, StackType):
        return _emittable(t.element)
    if isinstance(t, StructType):
        return t.kind != "struct" or all(_emittable(f) for f in t.fields.values())
    if isinstance(t, (TupleType, ListValueType)):
        return all(_emittable(e) for e in t.elements)
    return isinstance(t, TypeVar)


def _static_assert(ctx: Context, call: ir.Call) -> ir.Expression:
    check = call.arg("check")
    if check is None or not isinstance(check.type, BoolType):
        return call
    if check.value is None:
        return ctx.bad(call, "the condition of 'static_assert' is not a compile-time constant")
    if check.value is False:
        message = call.arg("message")
        text = message.value if message is not None else None
        ctx.error("expected", f"static_assert: {text or 'the assertion does not hold'}", call.loc)
    call.value = True
    return call
