"""Type checking of expressions: names, members, literals, indexing; dispatch to the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4native.frontend import ir
from p4native.frontend.check import aggregates, calls, constructors, operators, select
from p4native.frontend.check.coerce import warn_overflow
from p4native.frontend.check.consteval import fits, wrap
from p4native.frontend.check.context import Context
from p4native.frontend.check.typerefs import declared_type, resolve_type
from p4native.frontend.types import (
    BOOL,
    DONT_CARE,
    ERROR,
    INT,
    INVALID,
    STATE,
    STRING,
    UNKNOWN,
    ActionRunType,
    BitsType,
    EnumType,
    ErrorType,
    ExternType,
    FunctionType,
    IntType,
    ListType,
    ListValueType,
    StackType,
    StructType,
    StructValueType,
    TableResultType,
    TableType,
    TupleType,
    Type,
    TypeNameType,
    bits,
)


def check(ctx: Context, expr: ir.Expression) -> ir.Expression:
    """The checked expression (possibly another node); its type is `UNKNOWN` after an error."""
    if expr.type is not UNKNOWN and type(expr) is not ir.IntLit:
        return expr  # checked already
    return _CHECKS[type(expr)](ctx, expr)


def check_int_lit(ctx: Context, expr: ir.IntLit) -> ir.Expression:
    """A literal: reduce it to its declared width."""
    if isinstance(expr.type, BitsType):
        if not fits(expr.number, expr.type):
            wrapped = wrap(expr.number, expr.type)
            warn_overflow(ctx, expr.number, wrapped, expr.type, expr.loc)
            expr.number = wrapped
    else:
        expr.type = INT
    expr.value = expr.number
    return expr


def _bool_lit(_ctx: Context, expr: ir.BoolLit) -> ir.Expression:
    expr.type = BOOL
    expr.value = expr.truth
    return expr


def _string_lit(_ctx: Context, expr: ir.StringLit) -> ir.Expression:
    expr.type = STRING
    expr.value = expr.text
    return expr


def _dont_care(_ctx: Context, expr: ir.Expression) -> ir.Expression:
    if expr.type is UNKNOWN:
        expr.type = DONT_CARE
    return expr


def _invalid(_ctx: Context, expr: ir.Expression) -> ir.Expression:
    if expr.type is UNKNOWN:
        expr.type = INVALID
    return expr


def _this(ctx: Context, expr: ir.This) -> ir.Expression:
    if ctx.instance is None or ctx.function is None:
        return ctx.bad(expr, "'this' can only be used in the definition of an abstract method")
    expr.type = ctx.instance.type
    return expr


def _path(ctx: Context, expr: ir.Path) -> ir.Expression:
    if expr.decl is not None:
        return _use(ctx, expr, expr.decl)
    decls = ctx.lookup(expr.name, expr.absolute)
    if not decls:
        ctx.undeclared("", expr.name, expr.loc)
        expr.type = UNKNOWN
        return expr
    decl = decls[0]
    if declared_type(decl) is not None:
        return ctx.bad(expr, f"'{expr.name}' is a type; an expression is expected here")
    expr.decl = decl
    return _use(ctx, expr, decl)


def _use(ctx: Context, expr: ir.Path, decl: ir.Decl) -> ir.Expression:
    """Type a reference to a declaration."""
    ctx.used.add(decl)
    if isinstance(decl, ir.ConstDecl):
        expr.type = decl.type
        expr.value = decl.init.value
    elif isinstance(decl, (ir.VarDecl, ir.Param, ir.InstanceDecl, ir.ValueSetDecl, ir.EnumMember)):
        expr.type = decl.type
        if isinstance(decl, ir.EnumMember):
            expr.value = decl
    elif isinstance(decl, ir.TableDecl):
        if decl is ctx.table:
            return ctx.bad(expr, f"table '{decl.name}' cannot refer to itself")
        expr.type = TableType(decl)
    elif isinstance(decl, ir.StateDecl):
        expr.type = STATE
    elif isinstance(decl, ir.ActionDecl):
        expr.type = FunctionType(decl, "action")
    elif isinstance(decl, (ir.FunctionDecl, ir.Method)):
        expr.type = FunctionType(decl, "function")
    else:
        return ctx.bad(expr, f"'{expr.name}' cannot be used in an expression")
    return expr


def _type_name(ctx: Context, expr: ir.TypeName) -> ir.Expression:
    named = resolve_type(ctx, expr.ref, bare_generic=True)
    expr.type = UNKNOWN if named is UNKNOWN else TypeNameType(named)
    return expr


# ---------------------------------------------------------------- members


def _member(ctx: Context, expr: ir.Member) -> ir.Expression:
    expr.expr = check(ctx, expr.expr)
    return member_of(ctx, expr)


def member_of(ctx: Context, expr: ir.Member) -> ir.Expression:
    """Type a member access whose object is checked already."""
    owner = expr.expr.type
    if owner is UNKNOWN:
        expr.type = UNKNOWN
        return expr
    if isinstance(owner, TypeNameType):
        return _enum_member(ctx, expr, owner.named)
    if isinstance(owner, (StructType, StructValueType)):
        return _field(ctx, expr, owner)
    if isinstance(owner, StackType):
        return _stack_member(ctx, expr, owner)
    if isinstance(owner, TableResultType):
        return _table_result(ctx, expr, owner)
    if isinstance(owner, ExternType):
        return ctx.bad(expr, f"'{expr.name}': methods can only be called")
    return ctx.bad(expr, f"cannot access '{expr.name}' of an expression of type '{owner}'")


def _enum_member(ctx: Context, expr: ir.Member, named: Type) -> ir.Expression:
    member: ir.EnumMember | None = None
    if isinstance(named, ErrorType):
        member = ctx.program.errors.get(expr.name)
        expr.type = ERROR
    elif isinstance(named, EnumType):
        member = next((m for m in named.decl.members if m.name == expr.name), None)
        expr.type = named
    else:
        return ctx.bad(expr, f"cannot access '{expr.name}' of type '{named}'")
    if member is None:
        names = ctx.program.errors if isinstance(named, ErrorType) else _member_names(named)
        hint = ctx.hint(expr.name, names)
        return ctx.bad(expr, f"'{expr.name}' is not a member of '{named}'{hint}")
    expr.decl = member
    expr.value = member
    return expr


def _member_names(named: Type) -> list[str]:
    return [m.name for m in named.decl.members] if isinstance(named, EnumType) else []


def _field(ctx: Context, expr: ir.Member, owner: StructType | StructValueType) -> ir.Expression:
    fields = owner.fields if isinstance(owner, StructType) else dict(owner.fields)
    found = fields.get(expr.name)
    if found is None:
        kind = owner.kind if isinstance(owner, StructType) else "structure"
        related = (
            ((owner.decl.loc, f"'{owner.decl.name}' is declared here"),)
            if isinstance(owner, StructType)
            else ()
        )
        hint = ctx.hint(expr.name, fields)
        ctx.type_error(f"{kind} '{owner}' has no field '{expr.name}'{hint}", expr.loc, *related)
        expr.type = UNKNOWN
        return expr
    expr.type = found
    value = expr.expr.value
    if isinstance(value, tuple):
        expr.value = value[list(fields).index(expr.name)]
    return expr


def _stack_member(ctx: Context, expr: ir.Member, owner: StackType) -> ir.Expression:
    name = expr.name
    if name not in ("next", "last", "lastIndex", "size"):
        return ctx.bad(expr, f"header stack has no member '{name}'")
    if not isinstance(owner.element, StructType) or owner.element.kind == "struct":
        return ctx.bad(expr, f"'{name}' can only be used on header stacks")
    if name != "size" and not ctx.in_parser():
        return ctx.bad(expr, f"'{name}' of a stack can only be used in a parser")
    if name in ("next", "last"):
        expr.type = owner.element
        return expr
    expr.type = bits(32)
    if name == "size":
        expr.value = owner.size
    return expr


def _table_result(ctx: Context, expr: ir.Member, owner: TableResultType) -> ir.Expression:
    if expr.name in ("hit", "miss"):
        expr.type = BOOL
        return expr
    if expr.name == "action_run":
        if not ctx.in_switch_expression:
            return ctx.bad(expr, "'action_run' can only be used as the expression of a switch")
        expr.type = ActionRunType(owner.table)
        return expr
    return ctx.bad(expr, f"the result of apply has no member '{expr.name}'")


# ---------------------------------------------------------------- indexing


def _index(ctx: Context, expr: ir.Index) -> ir.Expression:
    expr.expr = check(ctx, expr.expr)
    expr.index = check(ctx, expr.index)
    owner, index = expr.expr.type, expr.index
    if UNKNOWN in (owner, index.type):
        expr.type = UNKNOWN
        return expr
    value = index.value
    if isinstance(value, ir.EnumMember):
        value = value.number
    numeric = isinstance(index.type, (BitsType, IntType)) or (
        isinstance(index.type, EnumType) and index.type.repr is not None
    )
    if not numeric:
        return ctx.bad(expr, f"an index must be an integer, not of type '{index.type}'")
    known = value if isinstance(value, int) else None
    if known is not None and known < 0:
        return ctx.bad(expr, f"negative index {known}")
    if isinstance(owner, StackType):
        if known is not None and known >= owner.size:
            return ctx.bad(expr, f"index {known} is not below the stack's size {owner.size}")
        expr.type = owner.element
        return expr
    return _tuple_index(ctx, expr, owner, known)


def _tuple_index(ctx: Context, expr: ir.Index, owner: Type, known: int | None) -> ir.Expression:
    if isinstance(owner, ListType):
        expr.type = owner.element
        return expr
    if not isinstance(owner, (TupleType, ListValueType)):
        return ctx.bad(expr, f"type '{owner}' cannot be indexed")
    if known is None:
        return ctx.bad(expr, "the index of a tuple must be constant")
    if known >= len(owner.elements):
        return ctx.bad(expr, f"index {known} is not below the tuple's size {len(owner.elements)}")
    expr.type = owner.elements[known]
    if isinstance(expr.expr.value, tuple):
        expr.value = expr.expr.value[known]
    return expr


# ---------------------------------------------------------------- properties of expressions


def is_lvalue(expr: ir.Expression) -> bool:
    """Whether the expression can be assigned to."""
    if isinstance(expr, ir.Path):
        if isinstance(expr.decl, ir.Param):
            return expr.decl.direction in ("out", "inout")
        return isinstance(expr.decl, ir.VarDecl)
    if isinstance(expr, ir.Member):
        if isinstance(expr.expr.type, StackType):
            return expr.name == "next" and is_lvalue(expr.expr)
        return isinstance(expr.expr.type, StructType) and is_lvalue(expr.expr)
    if isinstance(expr, (ir.Index, ir.Slice, ir.PlusSlice)):
        return is_lvalue(expr.expr)
    return False


def is_constant(expr: ir.Expression) -> bool:
    """Whether the expression is a compile-time constant, even if its value is not known yet."""
    if expr.value is not None:
        return True
    if isinstance(expr, ir.Path):
        decl = expr.decl
        if isinstance(decl, ir.Param):
            return not decl.direction
        return isinstance(
            decl,
            (ir.ConstDecl, ir.InstanceDecl, ir.EnumMember, ir.ActionDecl, ir.TableDecl),
        )
    if isinstance(expr, (ir.InvalidHeader, ir.DontCare, ir.DefaultValue, ir.ConstructorCall)):
        return True
    if isinstance(expr, (ir.Member, ir.Cast, ir.Unary, ir.Slice)):
        return is_constant(expr.expr)
    if isinstance(expr, ir.Index):
        return is_constant(expr.expr) and isinstance(
            expr.expr.type, (TupleType, ListValueType, ListType)
        )
    return _is_constant_compound(expr)


def _is_constant_compound(expr: ir.Expression) -> bool:
    if isinstance(expr, (ir.Binary, ir.Mask, ir.Range)):
        return is_constant(expr.left) and is_constant(expr.right)
    if isinstance(expr, ir.Ternary):
        return is_constant(expr.cond) and is_constant(expr.then) and is_constant(expr.other)
    if isinstance(expr, ir.ListExpr):
        return all(is_constant(i) for i in expr.items)
    if isinstance(expr, ir.StructExpr):
        return all(is_constant(f.expr) for f in expr.fields)
    if isinstance(expr, ir.Call):
        target = expr.target
        pure = isinstance(target, ir.Method) and (
            target.annotation("pure") is not None
            or target.name == "static_assert"
            or isinstance(expr.type, ExternType)
        )
        return pure and all(is_constant(a.expr) for a in expr.args)
    return False


_CHECKS: dict[type, Callable[[Context, Any], ir.Expression]] = {
    ir.IntLit: check_int_lit,
    ir.BoolLit: _bool_lit,
    ir.StringLit: _string_lit,
    ir.Path: _path,
    ir.This: _this,
    ir.TypeName: _type_name,
    ir.Member: _member,
    ir.Index: _index,
    ir.Slice: operators.check_slice,
    ir.PlusSlice: operators.check_plus_slice,
    ir.Unary: operators.check_unary,
    ir.Binary: operators.check_binary,
    ir.Ternary: operators.check_ternary,
    ir.Cast: operators.check_cast,
    ir.Call: calls.check_call,
    ir.ConstructorCall: constructors.check_constructor_call,
    ir.ListExpr: aggregates.check_list,
    ir.StructExpr: aggregates.check_struct,
    ir.InvalidHeader: _invalid,
    ir.DefaultValue: _dont_care,
    ir.DontCare: _dont_care,
    ir.Mask: select.check_mask,
    ir.Range: select.check_range,
}
