"""Type checking of calls: what is called, binding of arguments, inference of type arguments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from p4native.frontend import ir
from p4native.frontend.check.arguments import (
    Signature,
    bind_arguments,
    check_argument_expressions,
    convert_arguments,
    select_overload,
)
from p4native.frontend.check.context import Context
from p4native.frontend.check.core_methods import check_core_call
from p4native.frontend.check.infer import fresh, infer, settle
from p4native.frontend.check.typerefs import bindings, mentions, resolve_type
from p4native.frontend.types import (
    BOOL,
    INT,
    UNKNOWN,
    VOID,
    ArchBlockType,
    BitsType,
    ExternType,
    FunctionType,
    IntType,
    ListValueType,
    StackType,
    StringType,
    StructType,
    StructValueType,
    TableResultType,
    TableType,
    TupleType,
    Type,
    TypeNameType,
    TypeVar,
    VarbitType,
    VoidType,
    substitute,
    underlying,
    width_bits,
)

_SIZES = ("minSizeInBits", "minSizeInBytes", "maxSizeInBits", "maxSizeInBytes")
_HEADER_METHODS = ("isValid", "setValid", "setInvalid")
_STACK_METHODS = ("push_front", "pop_front")


def check_call(ctx: Context, call: ir.Call) -> ir.Expression:
    """A call; its type is what it returns."""
    callee = call.callee
    builtin = isinstance(callee, ir.Member) and callee.name in (*_HEADER_METHODS, *_SIZES)
    if ctx.in_select and not builtin:
        return ctx.bad(call, "functions cannot be called in a keyset")
    if isinstance(callee, ir.Member):
        return _member_call(ctx, call, callee)
    if not isinstance(callee, ir.Path):
        from p4native.frontend.check.expressions import check

        call.callee = check(ctx, callee)
        if call.callee.type is not UNKNOWN:
            ctx.type_error("this cannot be called", call.loc)
        return call
    decls = [callee.decl] if callee.decl else ctx.lookup(callee.name, callee.absolute)
    if not decls:
        ctx.undeclared("", callee.name, callee.loc)
        check_argument_expressions(ctx, call.args)
        return call
    if isinstance(decls[0], ir.ActionDecl):
        callee.decl = decls[0]
        return check_action_call(ctx, call, decls[0])
    functions = [d for d in decls if isinstance(d, (ir.Method, ir.FunctionDecl))]
    if not functions:
        return ctx.bad(call, f"'{callee.name}' cannot be called")
    if ctx.in_actions_list:
        return ctx.bad(call, f"'{callee.name}' is not an action")
    return _function_call(ctx, call, callee, functions)


# ---------------------------------------------------------------- functions and methods


def _function_call(
    ctx: Context,
    call: ir.Call,
    callee: ir.Path,
    functions: Sequence[ir.Method | ir.FunctionDecl],
) -> ir.Expression:
    target = select_overload(ctx, callee.name, functions, call.args, call.loc)
    if target is None:
        check_argument_expressions(ctx, call.args)
        return call
    ctx.warn_deprecated(target, callee.loc)
    callee.decl = target
    callee.type = FunctionType(target, "function")
    is_extern = isinstance(target, ir.Method)
    call.kind = ir.CallKind.EXTERN_FUNCTION if is_extern else ir.CallKind.FUNCTION
    return _typed_call(ctx, call, target, {})


def _typed_call(
    ctx: Context,
    call: ir.Call,
    target: ir.Method | ir.FunctionDecl,
    outer: dict[ir.TypeParam, Type],
) -> ir.Expression:
    """Check a call of a function or extern method; `outer` binds the extern's type parameters."""
    call.target = target
    signature = Signature(target.name, target.params, target.type_params, outer, target.loc)
    bind = _explicit_type_args(ctx, call, target.type_params)
    args_ok = check_argument_expressions(ctx, call.args)
    bound = bind_arguments(ctx, call.args, signature, call.loc)
    if bind is None or not args_ok or bound is None:
        return call
    found = _infer_arguments(ctx, call, bound, signature, bind)
    if found is None:
        return call
    call.type_args = {p: t for p, t in found.items() if p in target.type_params}
    call.args = bound
    if not convert_arguments(ctx, call.args, found, call.loc):
        return call
    call.type = settle(substitute(target.return_type, found))
    if isinstance(call.type, ArchBlockType):
        return ctx.bad(call, f"a call cannot return '{call.type}'")
    return check_core_call(ctx, call)


def _explicit_type_args(
    ctx: Context, call: ir.Call, params: list[ir.TypeParam]
) -> dict[ir.TypeParam, Type | None] | None:
    bind = fresh(params)
    if not call.type_refs:
        return bind
    given = [resolve_type(ctx, r) for r in call.type_refs]
    if len(given) != len(params):
        ctx.type_error(
            f"{len(given)} type arguments are given where {len(params)} are expected", call.loc
        )
        return None
    if UNKNOWN in given:
        return None
    for param, t in zip(params, given, strict=True):
        bind[param] = t
    return bind


def _infer_arguments(
    ctx: Context,
    call: ir.Call,
    args: list[ir.Argument],
    signature: Signature,
    bind: dict[ir.TypeParam, Type | None],
) -> dict[ir.TypeParam, Type] | None:
    """Complete the type arguments from the arguments; None after an error."""
    for arg in args:
        assert arg.param is not None
        pattern = substitute(arg.param.type, signature.outer)
        if not infer(pattern, arg.expr.type, bind):
            ctx.type_error(
                f"argument for '{arg.param.name}' of '{signature.name}' has type"
                f" '{arg.expr.type}', which contradicts the type of other arguments",
                arg.loc,
                (arg.param.loc, "the parameter"),
            )
            return None
    result = dict(signature.outer)
    for param, t in bind.items():
        if t is not None:
            if not _usable(ctx, call, args, param, t):
                return None
            result[param] = settle(t)
        elif not _only_optional(param, signature.params):
            ctx.type_error(
                f"cannot infer type argument '{param.name}' of '{signature.name}'", call.loc
            )
            return None
    return result


def _usable(
    ctx: Context, call: ir.Call, args: list[ir.Argument], param: ir.TypeParam, t: Type
) -> bool:
    """Whether an inferred type argument is one that values can have."""
    if contains_int(t) and not call.type_refs:
        user = next((a for a in args if a.param and mentions(a.param.type, param)), None)
        ctx.type_error("could not infer a width for this argument", (user or call).loc)
        return False
    if isinstance(t, StructValueType):
        ctx.type_error("the type of this structure value cannot be inferred", call.loc)
        return False
    for a in args:
        if a.param is None or a.param.type != TypeVar(param):
            continue
        if isinstance(t, StringType) and a.param.direction:
            ctx.type_error(
                "a parameter with a direction cannot be a string",
                a.param.loc,
                (a.loc, "inferred here"),
            )
            return False
        if isinstance(t, (ArchBlockType, TableType, FunctionType, VoidType, TableResultType)):
            ctx.type_error(f"an argument cannot have type '{t}'", a.loc)
            return False
    return True


def contains_int(t: Type) -> bool:
    """Whether a type is, or has an element of, the width-less `int`."""
    if isinstance(t, (TupleType, ListValueType)):
        return any(contains_int(e) for e in t.elements)
    if isinstance(t, StructValueType):
        return any(contains_int(f) for _, f in t.fields)
    return isinstance(t, IntType)


def _only_optional(param: ir.TypeParam, params: list[ir.Param]) -> bool:
    users = [p for p in params if mentions(p.type, param)]
    return bool(users) and all(p.optional for p in users)


# ---------------------------------------------------------------- actions


def check_action_call(ctx: Context, call: ir.Call, action: ir.ActionDecl) -> ir.Expression:
    """A direct call of an action, or its use in a table."""
    call.kind = ir.CallKind.ACTION
    call.target = action
    if ctx.in_parser():
        return ctx.bad(call, "actions cannot be called in parsers")
    if isinstance(ctx.function, ir.FunctionDecl):
        return ctx.bad(call, "functions cannot call actions")
    if call.type_refs:
        return ctx.bad(call, "actions take no type arguments")
    listed, ctx.in_actions_list = ctx.in_actions_list, False
    args_ok = check_argument_expressions(ctx, call.args)
    ctx.in_actions_list = listed
    signature = Signature(action.name, action.params, [], {}, action.loc, is_action=True)
    bound = bind_arguments(ctx, call.args, signature, call.loc, partial=ctx.table is not None)
    if not args_ok or bound is None:
        return call
    call.args = bound
    if not _action_arguments(ctx, call, action):
        return call
    call.type = VOID
    return call


def _action_arguments(ctx: Context, call: ir.Call, action: ir.ActionDecl) -> bool:
    from p4native.frontend.check.expressions import is_constant

    given = {a.param for a in call.args}
    for param in action.params:
        needed = param.direction or ctx.table is None
        if needed and param not in given:
            ctx.type_error(
                f"no argument is given for parameter '{param.name}' of action '{action.name}'",
                call.loc,
                (param.loc, "the parameter"),
            )
            return False
    for arg in call.args:
        assert arg.param is not None
        if arg.param.direction or ctx.table is None:
            continue
        if ctx.in_actions_list:
            ctx.type_error(
                f"parameter '{arg.param.name}' cannot be bound here: the control plane sets it",
                arg.loc,
            )
            return False
        if not is_constant(arg.expr):
            ctx.type_error("an action's argument in a table must be constant", arg.loc)
            return False
    return convert_arguments(ctx, call.args, {}, call.loc, is_action=True)


# ---------------------------------------------------------------- members


def _member_call(ctx: Context, call: ir.Call, callee: ir.Member) -> ir.Expression:
    from p4native.frontend.check.expressions import check

    callee.expr = check(ctx, callee.expr)
    owner = callee.expr.type
    if owner is UNKNOWN:
        check_argument_expressions(ctx, call.args)
        return call
    if isinstance(owner, TypeNameType) and callee.name == "apply":
        instance = _direct_instance(ctx, call, callee, owner.named)
        if instance is None:
            return call
        owner = instance
    if isinstance(owner, ExternType):
        return _extern_method(ctx, call, callee, owner)
    if callee.name in _SIZES:
        return _size(ctx, call, callee)
    if isinstance(owner, TableType) and callee.name == "apply":
        return _table_apply(ctx, call, owner)
    if isinstance(owner, ArchBlockType) and callee.name == "apply":
        return _block_apply(ctx, call, owner)
    if isinstance(owner, (StructType, StackType)) and callee.name in (
        *_HEADER_METHODS,
        *_STACK_METHODS,
    ):
        return _builtin(ctx, call, callee, owner)
    check_argument_expressions(ctx, call.args)
    return ctx.bad(call, f"type '{owner}' has no method '{callee.name}'")


def _extern_method(
    ctx: Context, call: ir.Call, callee: ir.Member, owner: ExternType
) -> ir.Expression:
    methods = [m for m in owner.decl.methods if m.name == callee.name]
    if not methods:
        check_argument_expressions(ctx, call.args)
        hint = ctx.hint(callee.name, [m.name for m in owner.decl.methods])
        return ctx.bad(call, f"extern '{owner}' has no method '{callee.name}'{hint}")
    if ctx.in_actions_list:
        return ctx.bad(call, f"'{callee.name}' is not an action")
    target = select_overload(ctx, callee.name, methods, call.args, call.loc)
    if target is None:
        check_argument_expressions(ctx, call.args)
        return call
    call.kind = ir.CallKind.EXTERN_METHOD
    callee.type = FunctionType(target, "method")
    return _typed_call(ctx, call, target, bindings(owner))


def _size(ctx: Context, call: ir.Call, callee: ir.Member) -> ir.Expression:
    """`minSizeInBits()` and its kin are compile-time constants."""
    t = callee.expr.type
    if isinstance(t, TypeNameType):
        t = t.named
    size = size_in_bits(t, callee.name.startswith("max"))
    if size is None or call.args or call.type_refs:
        return ctx.bad(call, f"'{callee.name}' is not defined on type '{t}'")
    if callee.name.endswith("Bytes"):
        size = (size + 7) // 8
    return ir.IntLit(size, type=INT, value=size, loc=call.loc)


@lru_cache(maxsize=4096)
def size_in_bits(t: Type, maximum: bool) -> int | None:
    """The largest or smallest size in bits a value of the type has in a packet."""
    if isinstance(t, StructType):
        sizes = [size_in_bits(f, maximum) for f in t.fields.values()]
        known = [s for s in sizes if s is not None]
        if len(known) != len(sizes):
            return None
        if t.kind == "header_union":
            return (max if maximum else min)(known, default=0)
        return sum(known)
    if isinstance(t, StackType):
        one = size_in_bits(t.element, maximum)
        return None if one is None else one * t.size
    if isinstance(underlying(t), VarbitType) and not maximum:
        return 0
    return width_bits(t)


def _no_arguments(ctx: Context, call: ir.Call, name: str) -> bool:
    if call.args or call.type_refs:
        ctx.type_error(f"'{name}' takes no arguments", call.loc)
        return False
    return True


def _table_apply(ctx: Context, call: ir.Call, owner: TableType) -> ir.Expression:
    call.kind = ir.CallKind.TABLE_APPLY
    call.target = owner.table
    if not _no_arguments(ctx, call, "apply"):
        return call
    if ctx.in_action():
        return ctx.bad(call, "tables cannot be applied in actions")
    if isinstance(ctx.function, ir.FunctionDecl):
        return ctx.bad(call, "tables cannot be applied in functions")
    call.type = TableResultType(owner.table)
    return call


def _direct_instance(
    ctx: Context, call: ir.Call, callee: ir.Member, named: Type
) -> ArchBlockType | None:
    """`C.apply(...)`: makes the anonymous instance that it stands for."""
    if not isinstance(named, ArchBlockType) or not isinstance(
        named.decl, (ir.ControlDecl, ir.ParserDecl)
    ):
        ctx.type_error(f"'apply' cannot be called on type '{named}'", call.loc)
        return None
    assert isinstance(callee.expr, ir.TypeName)
    decl = named.decl
    name = f"{decl.name}_inst"
    taken = {i.name for i in ctx.direct_calls}
    number = 0
    unique = name
    while unique in taken or ctx.lookup(unique):
        unique = f"{name}_{number}"
        number += 1
    constructor = ir.ConstructorCall(callee.expr.ref, [], loc=call.loc)
    annotation = ir.Annotation("name", "unstructured", f'"{decl.name}"', [f'"{decl.name}"'])
    annotation.exprs.append(ir.StringLit(decl.name))
    instance = ir.InstanceDecl(unique, constructor, loc=call.loc, annotations=[annotation])
    from p4native.frontend.check.constructors import check_instance_call

    check_instance_call(ctx, instance)
    if not isinstance(instance.type, ArchBlockType):
        return None
    ctx.direct_calls.append(instance)
    callee.expr = ir.Path(unique, decl=instance, type=instance.type, loc=call.loc)
    return instance.type


def _block_apply(ctx: Context, call: ir.Call, owner: ArchBlockType) -> ir.Expression:
    """`.apply(...)` of a parser or control instance."""
    decl = owner.decl
    if isinstance(decl, ir.PackageTypeDecl):
        return ctx.bad(call, "packages cannot be applied")
    is_parser = isinstance(decl, (ir.ParserDecl, ir.ParserTypeDecl))
    call.kind = ir.CallKind.PARSER_APPLY if is_parser else ir.CallKind.CONTROL_APPLY
    call.target = decl
    problem = _apply_problem(ctx, is_parser)
    if problem:
        return ctx.bad(call, problem)
    if call.type_refs:
        return ctx.bad(call, "'apply' takes no type arguments")
    bind = bindings(owner)
    signature = Signature("apply", decl.params, [], bind, decl.loc)
    args_ok = check_argument_expressions(ctx, call.args)
    bound = bind_arguments(ctx, call.args, signature, call.loc)
    if not args_ok or bound is None:
        return call
    call.args = bound
    if convert_arguments(ctx, call.args, bind, call.loc):
        call.type = VOID
    return call


def _apply_problem(ctx: Context, is_parser: bool) -> str:
    if ctx.function is not None and not is_parser:
        kind = "actions" if ctx.in_action() else "functions"
        return f"'apply' cannot be called in {kind}"
    if is_parser != ctx.in_parser():
        return (
            "a parser can only be applied in a parser"
            if is_parser
            else "a control cannot be applied in a parser"
        )
    return ""


def _builtin(
    ctx: Context, call: ir.Call, callee: ir.Member, owner: StructType | StackType
) -> ir.Expression:
    """Methods of headers, unions and stacks."""
    from p4native.frontend.check.expressions import is_lvalue

    name = callee.name
    call.kind = ir.CallKind.BUILTIN
    call.builtin = name
    problem = _builtin_problem(name, owner)
    if problem:
        return ctx.bad(call, problem)
    if name != "isValid" and not is_lvalue(callee.expr):
        return ctx.bad(call, f"'{name}' must be applied to something that can be changed")
    if name in _STACK_METHODS:
        return _push_pop(ctx, call, name)
    if not _no_arguments(ctx, call, name):
        return call
    call.type = BOOL if name == "isValid" else VOID
    if isinstance(callee.expr, ir.InvalidHeader):
        call.value = False
    elif isinstance(callee.expr, ir.StructExpr):
        call.value = True
    return call


def _builtin_problem(name: str, owner: StructType | StackType) -> str:
    if name in _STACK_METHODS:
        if not isinstance(owner, StackType):
            return f"'{name}' is only defined on header stacks, not on '{owner}'"
        if not isinstance(owner.element, StructType) or owner.element.kind == "struct":
            return f"'{name}' can only be used on header stacks"
        return ""
    wanted = ("header", "header_union") if name == "isValid" else ("header",)
    if not isinstance(owner, StructType) or owner.kind not in wanted:
        return f"'{name}' is only defined on headers, not on '{owner}'"
    return ""


def _push_pop(ctx: Context, call: ir.Call, name: str) -> ir.Expression:
    if ctx.in_parser():
        return ctx.bad(call, f"'{name}' cannot be used in a parser")
    if not check_argument_expressions(ctx, call.args):
        return call
    if len(call.args) != 1:
        return ctx.bad(call, f"'{name}' takes one argument: the number of elements")
    count = call.args[0].expr
    if not isinstance(count.type, (IntType, BitsType)):
        return ctx.bad(call, f"'{name}' takes an integer, not '{count.type}'", call.args[0].loc)
    from p4native.frontend.check.expressions import is_constant

    if not is_constant(count):
        return ctx.bad(call, f"the argument of '{name}' must be constant", call.args[0].loc)
    if isinstance(count.value, int) and count.value < 0:
        return ctx.bad(call, f"'{name}' by a negative number", call.args[0].loc)
    call.type = VOID
    return call
