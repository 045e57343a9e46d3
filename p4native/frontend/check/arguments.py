"""Binding arguments to parameters, choosing overloads, converting arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from p4native.frontend import ir
from p4native.frontend.check.coerce import coerce
from p4native.frontend.check.context import Context
from p4native.frontend.check.infer import block_matches
from p4native.frontend.check.overlaps import warn_overlaps
from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import (
    DONT_CARE,
    UNKNOWN,
    ActionRunType,
    ArchBlockType,
    ExternType,
    FunctionType,
    TableResultType,
    TableType,
    Type,
    VoidType,
    substitute,
)
from p4native.frontend.visitor import clone

T = TypeVar("T", ir.Method, ir.FunctionDecl, "ir.Method | ir.FunctionDecl")


@dataclass(frozen=True, slots=True)
class Signature:
    """What is being called; `outer` binds type parameters fixed by the object called on."""

    name: str
    params: list[ir.Param]
    type_params: list[ir.TypeParam]
    outer: dict[ir.TypeParam, Type]
    loc: Loc
    is_action: bool = False


def check_argument_expressions(ctx: Context, args: list[ir.Argument]) -> bool:
    """Check every argument's expression and the use of names; False after any error."""
    from p4native.frontend.check.expressions import check

    good = True
    names: dict[str, ir.Argument] = {}
    for arg in args:
        arg.expr = check(ctx, arg.expr)
        good = good and arg.expr.type is not UNKNOWN
        if (arg.name is None) != (args[0].name is None):
            ctx.error(
                "invalid", "either all or none of the arguments of a call must be named", arg.loc
            )
            good = False
        if arg.name is not None and names.setdefault(arg.name, arg) is not arg:
            ctx.error(
                "duplicate",
                f"argument '{arg.name}' is given twice",
                arg.loc,
                (names[arg.name].loc, "first given here"),
            )
            good = False
    return good


def select_overload(
    ctx: Context, name: str, candidates: Sequence[T], args: list[ir.Argument], loc: Loc
) -> T | None:
    """The one candidate whose parameters take these arguments; None after an error."""
    if len(candidates) == 1:
        return candidates[0]
    fitting = [c for c in candidates if accepts(c.params, args)]
    if len(fitting) == 1:
        return fitting[0]
    what = "no" if not fitting else "more than one"
    ctx.type_error(
        f"{what} version of '{name}' takes these arguments",
        loc,
        *((c.loc, "candidate") for c in (fitting or candidates)[:4]),
    )
    return None


def accepts(params: list[ir.Param], args: list[ir.Argument]) -> bool:
    """Whether the number and names of the arguments fit the parameters."""
    if len(args) > len(params):
        return False
    if args and args[0].name is not None:
        given = {a.name for a in args}
        if not given <= {p.name for p in params}:
            return False
    else:
        given = {p.name for p in params[: len(args)]}
    return all(p.name in given or p.optional or p.default is not None for p in params)


def bind_arguments(
    ctx: Context,
    args: list[ir.Argument],
    signature: Signature,
    loc: Loc,
    partial: bool = False,
) -> list[ir.Argument] | None:
    """Arguments with their parameters, defaults appended; None after an error.

    `partial`: parameters may be left out (actions in tables).
    """
    by_name = {p.name: p for p in signature.params}
    bound = list(args)
    for position, arg in enumerate(args):
        if arg.name is not None:
            arg.param = by_name.get(arg.name)
        elif position < len(signature.params):
            arg.param = signature.params[position]
        else:
            ctx.type_error(
                f"'{signature.name}' takes {len(signature.params)} arguments,"
                f" but {len(args)} are given",
                loc,
                (signature.loc, "declared here"),
            )
            return None
        if arg.param is None:
            ctx.type_error(f"'{signature.name}' has no parameter '{arg.name}'", arg.loc)
            return None
    given = {a.param for a in args}
    for param in signature.params:
        if param in given or param.optional or (partial and not param.direction):
            continue
        if param.default is not None:
            bound.append(ir.Argument(clone(param.default), None, param, loc=loc))
        elif not partial and not signature.is_action:
            ctx.type_error(
                f"no argument is given for parameter '{param.name}' of '{signature.name}'",
                loc,
                (param.loc, "the parameter"),
            )
            return None
    return bound


def convert_arguments(
    ctx: Context,
    args: list[ir.Argument],
    bind: dict[ir.TypeParam, Type],
    loc: Loc,
    is_action: bool = False,
) -> bool:
    """Give each argument its parameter's type, checking directions; False after an error."""
    before = ctx.reporter.error_count
    for arg in args:
        assert arg.param is not None
        wanted = substitute(arg.param.type, bind)
        if UNKNOWN in (wanted, arg.expr.type):
            continue
        _convert(ctx, arg, wanted, loc, is_action)
    if ctx.reporter.error_count > before:
        return False
    warn_overlaps(ctx, args)
    return True


def _convert(
    ctx: Context,
    arg: ir.Argument,
    wanted: Type,
    loc: Loc,
    is_action: bool,
) -> None:
    from p4native.frontend.check.expressions import is_constant, is_lvalue

    param = arg.param
    assert param is not None
    if isinstance(arg.expr, ir.DontCare):
        if param.direction != "out":
            ctx.type_error("'_' can only be given for an out parameter", arg.loc)
        arg.expr.type = wanted
        return
    if param.direction in ("out", "inout"):
        if not is_lvalue(arg.expr):
            ctx.type_error(
                f"the argument for {param.direction} parameter '{param.name}' cannot be written",
                loc,
                (param.loc, "the parameter"),
            )
            return
        if arg.expr.type != wanted:
            _wrong_type(ctx, arg, param, wanted, loc)
        return
    if not param.direction and not is_action and not is_constant(arg.expr):
        ctx.type_error(
            f"the argument for directionless parameter '{param.name}' must be a compile-time"
            " constant",
            loc,
            (param.loc, "the parameter"),
        )
        return
    _convert_value(ctx, arg, param, wanted, loc)


def _convert_value(ctx: Context, arg: ir.Argument, param: ir.Param, wanted: Type, loc: Loc) -> None:
    source = arg.expr.type
    if isinstance(wanted, ArchBlockType) and isinstance(source, ArchBlockType):
        reason = block_matches(wanted, source)
        if reason:
            ctx.type_error(reason, loc, (param.loc, f"parameter '{param.name}'"))
        return
    if isinstance(
        wanted,
        (TableType, FunctionType, ActionRunType, TableResultType, VoidType),
    ):
        ctx.type_error(f"an argument cannot have type '{wanted}'", loc)
        return
    if wanted is DONT_CARE:
        ctx.type_error(
            f"the type of parameter '{param.name}' cannot be inferred",
            arg.loc,
            (param.loc, "the parameter"),
        )
        return
    if source == wanted:
        return
    if isinstance(wanted, ExternType) and isinstance(source, ExternType):
        if wanted.decl is source.decl and all(
            w is DONT_CARE or w == s for w, s in zip(wanted.args, source.args, strict=False)
        ):
            return
        _wrong_type(ctx, arg, param, wanted, loc)
        return
    before = ctx.reporter.error_count
    blame = loc if isinstance(source, ArchBlockType) else arg.loc
    arg.expr = coerce(ctx, arg.expr, wanted, blame)
    if ctx.reporter.error_count > before:
        arg.expr.type = UNKNOWN


def _wrong_type(ctx: Context, arg: ir.Argument, param: ir.Param, wanted: Type, loc: Loc) -> None:
    ctx.type_error(
        f"the argument for '{param.name}' has type '{arg.expr.type}', expected '{wanted}'",
        loc,
        (param.loc, "the parameter"),
    )
