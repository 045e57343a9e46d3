"""Type checking of parameters, functions, actions and extern methods."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.coerce import coerce
from p4native.frontend.check.context import Context, check_unique
from p4native.frontend.check.infer import block_matches
from p4native.frontend.check.typerefs import has_type_params, resolve_type
from p4native.frontend.types import (
    UNKNOWN,
    VOID,
    ArchBlockType,
    ExternType,
    IntType,
    StringType,
    Type,
    TypeVar,
)

_BLOCKS = (ir.ParserDecl, ir.ControlDecl)


def check_params(
    ctx: Context, params: list[ir.Param], constructor: bool = False, package: bool = False
) -> None:
    """Resolve and check parameters and declare them in the innermost scope.

    `constructor`: parameters of a constructor; `package`: parsers and controls are allowed.
    """
    check_unique(ctx, list(params))
    for param in params:
        _param(ctx, param, package)
        if constructor and param.direction:
            ctx.error("invalid", "a constructor's parameters cannot have a direction", param.loc)
    for param in params:
        hidden = ctx.lookup(param.name)
        is_prototype = ctx.container is None and ctx.function is None
        if hidden and hidden[0] not in params and not is_prototype:
            ctx.warning(
                "shadow",
                f"'{param.name}' shadows another",
                param.loc,
                (hidden[0].loc, "the other one"),
            )
        ctx.scopes[-1].setdefault(param.name, [param])


def _param(ctx: Context, param: ir.Param, package: bool) -> None:
    t = resolve_type(ctx, param.ref)
    if t is not UNKNOWN:
        problem = _param_problem(ctx, param, t, package)
        if problem:
            ctx.type_error(f"parameter '{param.name}' {problem}", param.loc)
    param.type = t
    if param.default is not None:
        _default(ctx, param, t)


def _param_problem(ctx: Context, param: ir.Param, t: Type, package: bool) -> str:
    if isinstance(t, ArchBlockType):
        is_package = isinstance(t.decl, ir.PackageTypeDecl)
        if isinstance(t.decl, _BLOCKS) or not package or param.direction:
            return f"cannot have type '{t}'"
        if is_package and ctx.container is not None:
            return "cannot be a package"
    if has_type_params(t):
        return f"has type '{t}', which needs type arguments"
    if param.direction and isinstance(t, (ExternType, StringType)):
        return f"of type '{t}' cannot have a direction"
    if isinstance(t, IntType):
        if param.direction:
            return "of type 'int' must be directionless"
        if ctx.in_action():
            return "of an action cannot have type 'int'"
    if ctx.in_action() and isinstance(t, ExternType):
        return f"of an action cannot have extern type '{t}'"
    return ""


def _default(ctx: Context, param: ir.Param, t: Type) -> None:
    from p4native.frontend.check.expressions import check, is_constant

    assert param.default is not None
    param.default = check(ctx, param.default)
    if param.optional:
        ctx.error("invalid", "an optional parameter cannot have a default value", param.loc)
    if param.direction in ("out", "inout"):
        ctx.error("invalid", "an out parameter cannot have a default value", param.loc)
    if UNKNOWN in (t, param.default.type):
        return
    if not is_constant(param.default):
        ctx.type_error("a default value must be a compile-time constant", param.default.loc)
        return
    if isinstance(t, ArchBlockType) and isinstance(param.default.type, ArchBlockType):
        if t.args and any(isinstance(a, TypeVar) for a in t.args):
            return  # checked where the package is instantiated
        reason = block_matches(t, param.default.type)
        if reason:
            ctx.type_error(reason, param.default.loc, (param.loc, "the parameter"))
        return
    param.default = coerce(ctx, param.default, t, param.loc)


def declare_type_params(ctx: Context, params: list[ir.TypeParam]) -> None:
    """Declare type parameters in the innermost scope."""
    check_unique(ctx, list(params))
    for param in params:
        ctx.scopes[-1][param.name] = [param]


def check_prototype(ctx: Context, method: ir.Method) -> None:
    """An extern function or method; leaves its parameters checked."""
    with ctx.scope():
        declare_type_params(ctx, method.type_params)
        is_constructor = method.ref is None
        check_params(ctx, method.params, constructor=is_constructor, package=False)
        if method.ref is not None:
            method.return_type = resolve_type(ctx, method.ref)
            _no_self_reference(ctx, method)
            if method.parent is not None and isinstance(method.return_type, (IntType, StringType)):
                ctx.type_error(f"a method cannot return '{method.return_type}'", method.ref.loc)
        else:
            method.return_type = VOID


def _no_self_reference(ctx: Context, method: ir.Method) -> None:
    for t in [method.return_type, *(p.type for p in method.params)]:
        if isinstance(t, ExternType) and t.decl is method.parent:
            ctx.error(
                "unsupported",
                f"extern '{t.decl.name}' cannot refer to itself in its methods",
                method.loc,
            )


def check_function(ctx: Context, function: ir.FunctionDecl) -> None:
    """A function with its body."""
    for param in function.params:
        if param.optional:
            ctx.error("invalid", "optional parameters are not allowed here", param.loc)
    saved = ctx.function, ctx.return_type
    with ctx.scope():
        declare_type_params(ctx, function.type_params)
        function.return_type = resolve_type(ctx, function.ref)
        ctx.function, ctx.return_type = function, function.return_type
        check_params(ctx, function.params)
        _body(ctx, function.body)
    ctx.function, ctx.return_type = saved


def check_action(ctx: Context, action: ir.ActionDecl) -> None:
    """An action with its body."""
    saved = ctx.function
    ctx.function = action
    with ctx.scope():
        check_params(ctx, action.params)
        directionless = None
        for param in action.params:
            if not param.direction:
                directionless = param
            elif directionless is not None:
                ctx.type_error(
                    "an action's directionless parameters must come last",
                    param.loc,
                    (directionless.loc, "this one is directionless"),
                )
        _body(ctx, action.body)
    ctx.function = saved


def _body(ctx: Context, body: ir.Block) -> None:
    from p4native.frontend.check.statements import check_block

    saved, ctx.loops = ctx.loops, 0
    check_block(ctx, body)
    ctx.loops = saved


def check_extern(ctx: Context, decl: ir.ExternDecl) -> None:
    """An extern object type with constructors and methods."""
    with ctx.scope():
        declare_type_params(ctx, decl.type_params)
        for method in [*decl.constructors, *decl.methods]:
            check_prototype(ctx, method)
            if method.name == decl.name and method.ref is not None:
                ctx.error("invalid", "a constructor cannot have a return type", method.loc)
    _distinct(ctx, decl.constructors)
    _distinct(ctx, decl.methods)


def _distinct(ctx: Context, methods: list[ir.Method]) -> None:
    from p4native.frontend.check.context import same_signature

    for at, method in enumerate(methods):
        for other in methods[:at]:
            if method.name == other.name and same_signature(method, other):
                ctx.duplicate(method, other)
