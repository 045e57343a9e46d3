"""Type checking of constructor calls and instance declarations."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.arguments import (
    Signature,
    bind_arguments,
    check_argument_expressions,
    convert_arguments,
    select_overload,
)
from p4native.frontend.check.context import Context
from p4native.frontend.check.infer import fresh, infer, settle
from p4native.frontend.check.typerefs import bindings, mentions, resolve_type
from p4native.frontend.diagnostics import Loc
from p4native.frontend.preprocess import is_system_file
from p4native.frontend.types import (
    DONT_CARE,
    UNKNOWN,
    ArchBlockType,
    ExternType,
    Type,
    substitute,
)

_BLOCKS = (ir.ParserDecl, ir.ControlDecl)


def check_constructor_call(ctx: Context, call: ir.ConstructorCall) -> ir.Expression:
    """`T(args)` as an expression."""
    if call.type is not UNKNOWN:
        return call
    if ctx.in_action():
        return ctx.bad(call, "constructors cannot be called in actions")
    construct(ctx, call)
    if isinstance(call.type, ExternType) and any(m.abstract for m in call.type.decl.methods):
        return ctx.bad(
            call, f"'{call.type}' has abstract methods: declare an instance that defines them"
        )
    return call


def check_instance_call(ctx: Context, instance: ir.InstanceDecl) -> None:
    """Check what an instance declaration constructs and set the instance's type."""
    construct(ctx, instance.call)
    instance.type = instance.call.type


def construct(ctx: Context, call: ir.ConstructorCall) -> None:
    """Resolve type, constructor and arguments; the type stays `UNKNOWN` after an error."""
    made = resolve_type(ctx, call.ref, bare_generic=True)
    args_ok = check_argument_expressions(ctx, call.args)
    if made is UNKNOWN:
        return
    if isinstance(made, ExternType):
        _extern(ctx, call, made, args_ok)
    elif isinstance(made, ArchBlockType) and isinstance(made.decl, (*_BLOCKS, ir.PackageTypeDecl)):
        _block(ctx, call, made, args_ok)
    else:
        ctx.type_error(f"objects of type '{made}' cannot be made", call.loc)


def _extern(ctx: Context, call: ir.ConstructorCall, made: ExternType, args_ok: bool) -> None:
    decl = made.decl
    call.target = decl
    fitting = decl.constructors
    if not fitting:
        ctx.type_error(f"extern '{decl.name}' has no constructor", call.loc)
        return
    chosen = select_overload(ctx, decl.name, fitting, call.args, call.loc)
    if chosen is None or not args_ok:
        return
    call.constructor = chosen
    signature = Signature(decl.name, chosen.params, decl.type_params, {}, chosen.loc)
    found = _arguments(ctx, call, signature, bindings(made))
    if found is None:
        return
    found.update({p: t for p, t in bindings(made).items() if t is DONT_CARE})
    missing = [p for p in decl.type_params if p not in found]
    if missing:
        names = ", ".join(p.name for p in missing)
        ctx.type_error(f"cannot infer type argument {names} of '{decl.name}'", call.loc)
        return
    call.type = ExternType(decl, tuple(found[p] for p in decl.type_params))


def _block(ctx: Context, call: ir.ConstructorCall, made: ArchBlockType, args_ok: bool) -> None:
    decl = made.decl
    call.target = decl
    assert isinstance(decl, (*_BLOCKS, ir.PackageTypeDecl))
    params = decl.params if isinstance(decl, ir.PackageTypeDecl) else decl.ctor_params
    if not args_ok:
        return
    signature = Signature(decl.name, params, decl.type_params, {}, decl.loc)
    # The declaration is blamed, as p4c does, unless it is not the user's own.
    blame = call.loc if is_system_file(decl.loc.file) else decl.loc
    found = _arguments(ctx, call, signature, bindings(made), blame)
    if found is None:
        return
    given = bindings(made)
    if any(
        p not in found and given.get(p) is not DONT_CARE and not _optional_only(p, params)
        for p in decl.type_params
    ):
        ctx.type_error(f"cannot infer the type arguments of '{decl.name}'", call.loc)
        return
    args = tuple(found.get(p, DONT_CARE) for p in decl.type_params)
    call.type = ArchBlockType(decl, args)


def _arguments(
    ctx: Context,
    call: ir.ConstructorCall,
    signature: Signature,
    explicit: dict[ir.TypeParam, Type],
    blame: Loc | None = None,
) -> dict[ir.TypeParam, Type] | None:
    """Bind, infer and convert; the type arguments found, None after an error."""
    from p4native.frontend.check.expressions import is_constant

    bound = bind_arguments(ctx, call.args, signature, blame or call.loc)
    if bound is None:
        return None
    for arg in bound:
        if not is_constant(arg.expr):
            ctx.type_error("a constructor's argument must be a compile-time constant", arg.loc)
            return None
    bind = fresh(signature.type_params)
    bind.update({p: t for p, t in explicit.items() if t is not DONT_CARE})
    given = bound[: len(call.args)]
    for arg in given + bound[len(call.args) :]:
        assert arg.param is not None
        if arg not in given and all(
            bind.get(p) is not None for p in bind if mentions(arg.param.type, p)
        ):
            continue  # a default: it takes the types that the other arguments have
        if not infer(arg.param.type, arg.expr.type, bind):
            ctx.type_error(
                f"the argument for '{arg.param.name}' of '{signature.name}' has type"
                f" '{arg.expr.type}', which contradicts the type of other arguments",
                blame or call.loc,
                (call.loc, "in this call"),
            )
            return None
    own = signature.type_params
    found = {
        p: settle(t)
        for p, t in bind.items()
        if t is not None and not any(mentions(t, q) for q in own)
    }
    for arg in bound[len(call.args) :]:
        arg.expr.type = substitute(arg.expr.type, found)
    call.args = bound
    if not convert_arguments(ctx, call.args, found, blame or call.loc):
        return None
    call.type_args = found
    return found


def _optional_only(param: ir.TypeParam, params: list[ir.Param]) -> bool:
    users = [p for p in params if mentions(p.type, param)]
    return all(p.optional for p in users)


def check_instance(ctx: Context, instance: ir.InstanceDecl) -> None:
    """An instance declaration with its initializer."""
    check_instance_call(ctx, instance)
    made = instance.type
    if isinstance(made, ArchBlockType):
        if instance.initializer is not None:
            for statement in instance.initializer.statements:
                if isinstance(statement, ir.DeclStmt) and isinstance(
                    statement.decl, ir.FunctionDecl
                ):
                    resolve_type(ctx, statement.decl.ref)
            ctx.type_error("only extern instances have initializers", instance.initializer.loc)
        if ctx.container is None and isinstance(made.decl, _BLOCKS):
            ctx.error(
                "invalid", f"'{instance.name}': cannot be instantiated at top level", instance.loc
            )
    elif isinstance(made, ExternType):
        _initializer(ctx, instance, made)


def _initializer(ctx: Context, instance: ir.InstanceDecl, made: ExternType) -> None:
    """Check the definitions of abstract methods."""
    from p4native.frontend.check.callables import check_function

    abstract = {m.name: m for m in made.decl.methods if m.abstract}
    if instance.initializer is None:
        needed = [m for m in abstract.values() if m.annotation("optional") is None]
        if needed:
            ctx.type_error(
                f"'{instance.name}' must define the abstract method '{needed[0].name}' of '{made}'",
                instance.loc,
            )
        return
    none_abstract = not abstract
    saved, ctx.instance = ctx.instance, instance
    with ctx.scope():
        for statement in instance.initializer.statements:
            assert isinstance(statement, ir.DeclStmt)
            decl = statement.decl
            if isinstance(decl, ir.InstanceDecl):
                check_instance(ctx, decl)
                ctx.declare(decl)
            elif isinstance(decl, ir.FunctionDecl):
                check_function(ctx, decl)
                if none_abstract:
                    continue
                _implements(ctx, instance, decl, abstract, made)
    ctx.instance = saved
    if none_abstract:
        ctx.type_error(f"'{made}' has no abstract methods to define", instance.initializer.loc)
    for method in abstract.values():
        if method.annotation("optional") is None:
            ctx.type_error(
                f"'{instance.name}' does not define the abstract method '{method.name}'",
                instance.loc,
            )


def _implements(
    ctx: Context,
    instance: ir.InstanceDecl,
    function: ir.FunctionDecl,
    abstract: dict[str, ir.Method],
    made: ExternType,
) -> None:
    method = abstract.pop(function.name, None)
    if method is None:
        ctx.type_error(f"'{made}' has no abstract method '{function.name}'", function.loc)
        return
    bind = bindings(made)
    required = [p for p in method.params if not p.optional]
    same = len(required) <= len(function.params) <= len(method.params) and all(
        p.direction == q.direction and substitute(p.type, bind) == q.type
        for p, q in zip(method.params, function.params, strict=False)
    )
    if (
        function.type_params
        or not same
        or (substitute(method.return_type, bind) != function.return_type)
    ):
        ctx.type_error(
            f"'{function.name}' does not have the type of the abstract method",
            instance.loc,
            (function.loc, "the definition"),
            (method.loc, "the abstract method"),
        )
