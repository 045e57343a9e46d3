"""Type checking of parsers and controls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from p4native.frontend import ir
from p4native.frontend.check.annotations import check_annotations
from p4native.frontend.check.callables import check_action, check_params, declare_type_params
from p4native.frontend.check.constructors import check_instance
from p4native.frontend.check.context import Context, check_unique
from p4native.frontend.check.select import check_select
from p4native.frontend.check.statements import (
    check_block,
    check_constant,
    check_statement,
    check_variable,
)
from p4native.frontend.check.tables import check_table
from p4native.frontend.check.typerefs import resolve_type
from p4native.frontend.types import (
    STATE,
    UNKNOWN,
    ArchBlockType,
    BitsType,
    BoolType,
    EnumType,
    NewType,
    SetType,
    StructType,
    TupleType,
)

Block = ir.ParserDecl | ir.ControlDecl
BlockType = ir.ParserTypeDecl | ir.ControlTypeDecl | ir.PackageTypeDecl


def check_block_type(ctx: Context, decl: BlockType) -> None:
    """A parser, control or package type."""
    with ctx.scope():
        declare_type_params(ctx, decl.type_params)
        is_package = isinstance(decl, ir.PackageTypeDecl)
        check_params(ctx, decl.params, constructor=is_package, package=is_package)
        _distinct(ctx, decl.type_params, decl.params, [])


def check_parser(ctx: Context, decl: ir.ParserDecl) -> None:
    """A parser with its states."""
    with _body(ctx, decl):
        _states(ctx, decl)


def check_control(ctx: Context, decl: ir.ControlDecl) -> None:
    """A control with its locals and body."""
    with _body(ctx, decl):
        ctx.loops = 0
        check_block(ctx, decl.body)


@contextmanager
def _body(ctx: Context, decl: Block) -> Iterator[None]:
    """Check parameters and locals; in the block, the scope of the body."""
    ctx.container = decl
    with ctx.scope():
        _head(ctx, decl)
        ctx.scopes.append({})
        ctx.locals_scope = ctx.scopes[-1]
        for local in decl.locals:
            _declare_local(ctx, local)
        yield
        ctx.scopes.pop()
        decl.locals.extend(ctx.direct_calls)
        ctx.direct_calls.clear()
    ctx.container = None


def _head(ctx: Context, decl: Block) -> None:
    declare_type_params(ctx, decl.type_params)
    check_params(ctx, decl.params)
    check_params(ctx, decl.ctor_params, constructor=True, package=True)
    _distinct(ctx, decl.type_params, decl.params, decl.ctor_params)
    for param in decl.ctor_params:
        _wrong_kind(ctx, decl, param)
    for param in decl.ctor_params:
        if param.optional:
            ctx.error("invalid", "optional parameters are not allowed here", param.loc)


def _wrong_kind(ctx: Context, decl: Block, param: ir.Param) -> None:
    """Parsers can only be made in parsers, controls in controls."""
    t = param.type
    if not isinstance(t, ArchBlockType):
        return
    if isinstance(t.decl, ir.ParserTypeDecl) and isinstance(decl, ir.ControlDecl):
        ctx.error("invalid", f"'{param.name}': a parser cannot be part of a control", param.loc)
    if isinstance(t.decl, ir.ControlTypeDecl) and isinstance(decl, ir.ParserDecl):
        ctx.error("invalid", f"'{param.name}': a control cannot be part of a parser", param.loc)


def _distinct(
    ctx: Context,
    type_params: list[ir.TypeParam],
    params: list[ir.Param],
    ctor_params: list[ir.Param],
) -> None:
    seen: dict[str, ir.Decl] = {p.name: p for p in type_params}
    for group in (params, ctor_params):
        for param in group:
            earlier = seen.get(param.name)
            if earlier is not None and earlier not in group:
                ctx.duplicate(param, earlier)
        seen.update({p.name: p for p in group})


def _declare_local(ctx: Context, local: ir.Decl) -> None:
    check_annotations(ctx, local.annotations)
    with ctx.reporter.mute(ir.no_warn(local.annotations)):
        if isinstance(local, ir.TableDecl):  # a table's name is known inside it
            ctx.declare(local)
            _local(ctx, local)
        else:
            _local(ctx, local)
            ctx.declare(local)


def _local(ctx: Context, decl: ir.Decl) -> None:
    if isinstance(decl, ir.VarDecl):
        check_variable(ctx, decl)
    elif isinstance(decl, ir.ConstDecl):
        check_constant(ctx, decl)
    elif isinstance(decl, ir.InstanceDecl):
        check_instance(ctx, decl)
    elif isinstance(decl, ir.ActionDecl):
        check_action(ctx, decl)
    elif isinstance(decl, ir.TableDecl):
        check_table(ctx, decl)
    else:
        assert isinstance(decl, ir.ValueSetDecl)
        _value_set(ctx, decl)


def _value_set(ctx: Context, decl: ir.ValueSetDecl) -> None:
    from p4native.frontend.check.expressions import check, is_constant

    t = resolve_type(ctx, decl.ref)
    decl.size = check(ctx, decl.size)
    if decl.size.type is not UNKNOWN and not is_constant(decl.size):
        ctx.type_error("the size of a value_set must be a compile-time constant", decl.size.loc)
    if t is UNKNOWN:
        return
    plain = isinstance(t, StructType) and t.kind == "struct"
    if not plain and not isinstance(t, (BitsType, BoolType, EnumType, NewType, TupleType)):
        ctx.type_error(f"a value_set cannot have elements of type '{t}'", decl.ref.loc)
        return
    decl.type = SetType(t)


def _states(ctx: Context, decl: ir.ParserDecl) -> None:
    check_unique(ctx, list(decl.states))
    table = {s.name: s for s in reversed(decl.states)}
    for state in decl.states:
        if state.name in ("accept", "reject"):
            ctx.error(
                "invalid",
                f"state '{state.name}' is built in and cannot be implemented",
                state.loc,
            )
    if "start" not in table:
        ctx.error("invalid", f"parser '{decl.name}' has no 'start' state", decl.loc)
    table["accept"], table["reject"] = decl.accept, decl.reject
    for state in decl.states:
        earlier = ctx.scopes[-1].get(state.name)
        if earlier is not None and not isinstance(earlier[0], ir.StateDecl):
            ctx.duplicate(state, earlier[0])
    for state in decl.states:
        _state(ctx, state, table)


def _state(ctx: Context, state: ir.StateDecl, table: dict[str, ir.StateDecl]) -> None:
    with ctx.scope(), ctx.reporter.mute(ir.no_warn(state.annotations)):
        ctx.loops = 0
        for statement in state.statements:
            check_statement(ctx, statement)
        transition = state.transition
        if isinstance(transition, ir.Path):
            _target(ctx, transition, table)
        elif isinstance(transition, ir.Select):
            check_select(ctx, transition)
            for case in transition.cases:
                _target(ctx, case.state, table)


def _target(ctx: Context, path: ir.Path, table: dict[str, ir.StateDecl]) -> None:
    state = table.get(path.name)
    if state is None:
        decls = ctx.lookup(path.name)
        if decls:
            ctx.type_error(f"'{path.name}' is not a state", path.loc, (decls[0].loc, "it is this"))
        else:
            hint = ctx.hint(path.name, table)
            ctx.error("not-found", f"state '{path.name}' is not declared{hint}", path.loc)
        return
    path.decl = state
    path.type = STATE
