"""Type checking and folding of operators, casts and slices."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check import consteval
from p4native.frontend.check.coerce import coerce, int_to_bits, same_width, to_numeric
from p4native.frontend.check.context import Context
from p4native.frontend.check.infer import merge
from p4native.frontend.check.typerefs import MAX_WIDTH, resolve_type
from p4native.frontend.types import (
    BOOL,
    INT,
    UNKNOWN,
    ActionRunType,
    BitsType,
    BoolType,
    EnumType,
    ExternType,
    FunctionType,
    IntType,
    InvalidType,
    ListType,
    ListValueType,
    NewType,
    StackType,
    StringType,
    StructType,
    StructValueType,
    TableResultType,
    TableType,
    TupleType,
    Type,
    TypeVar,
    VoidType,
    bits,
    underlying,
)

_BOOLEAN = ("&&", "||")
_RELATIONAL = ("<", ">", "<=", ">=")
_EQUALITY = ("==", "!=")
_UNSIGNED = ("/", "%")


def _operand(ctx: Context, expr: ir.Expression) -> ir.Expression:
    from p4native.frontend.check.expressions import check

    return check(ctx, expr)


# ---------------------------------------------------------------- unary


def check_unary(ctx: Context, expr: ir.Unary) -> ir.Expression:
    """`- + ~ !`."""
    expr.expr = _operand(ctx, expr.expr)
    if expr.expr.type is UNKNOWN:
        return expr
    if expr.op == "!":
        if not isinstance(expr.expr.type, BoolType):
            return ctx.bad(expr, f"'!' cannot be applied to a value of type '{expr.expr.type}'")
        expr.type = BOOL
        if expr.expr.value is not None:
            expr.value = not expr.expr.value
        return expr
    expr.expr = to_numeric(expr.expr)
    t = expr.expr.type
    if isinstance(t, IntType) and expr.op == "~":
        return ctx.bad(expr, "'~' cannot be applied to an operand of unknown width")
    if not isinstance(t, (IntType, BitsType)):
        return ctx.bad(expr, f"'{expr.op}' cannot be applied to a value of type '{t}'")
    expr.type = t
    value = expr.expr.value
    if isinstance(value, int):
        expr.value = _fold_unary(expr.op, value, t)
    return _literal(expr)


def _fold_unary(op: str, value: int, t: Type) -> int:
    if op == "+":
        return value
    return consteval.wrap(-value if op == "-" else ~value, t)


def _literal(expr: ir.Expression) -> ir.Expression:
    """An `int` expression of known value becomes a literal, so that it can take any width."""
    if expr.type is INT and isinstance(expr.value, int) and not isinstance(expr.value, bool):
        return ir.IntLit(expr.value, type=INT, value=expr.value, loc=expr.loc)
    return expr


# ---------------------------------------------------------------- binary


def check_binary(ctx: Context, expr: ir.Binary) -> ir.Expression:
    """All binary operators; long left-leaning chains are walked without recursion."""
    chain: list[ir.Binary] = []
    node: ir.Expression = expr
    while isinstance(node, ir.Binary):
        chain.append(node)
        node = node.left
    left = _operand(ctx, node)
    for current in reversed(chain):
        current.left = left
        current.right = _operand(ctx, current.right)
        left = _binary(ctx, current)
    return left


def _binary(ctx: Context, expr: ir.Binary) -> ir.Expression:
    if UNKNOWN in (expr.left.type, expr.right.type):
        expr.type = UNKNOWN
        return expr
    op = expr.op
    if op in _BOOLEAN:
        return _logical(ctx, expr)
    if op in _EQUALITY:
        return _equality(ctx, expr)
    expr.left, expr.right = to_numeric(expr.left), to_numeric(expr.right)
    if op in _RELATIONAL:
        return _relation(ctx, expr)
    if op == "++":
        return _concat(ctx, expr)
    if op in ("<<", ">>"):
        return _shift(ctx, expr)
    return _arithmetic(ctx, expr)


def _logical(ctx: Context, expr: ir.Binary) -> ir.Expression:
    left, right = expr.left, expr.right
    if not (isinstance(left.type, BoolType) and isinstance(right.type, BoolType)):
        return _undefined(ctx, expr)
    expr.type = BOOL
    if expr.op == "&&" and left.value is False:
        expr.value = False
    elif expr.op == "||" and left.value is True:
        expr.value = True
    elif left.value is not None and right.value is not None:
        expr.value = bool(right.value)
    return expr


def _undefined(ctx: Context, expr: ir.Binary) -> ir.Expression:
    return ctx.bad(
        expr, f"'{expr.op}' is not defined on '{expr.left.type}' and '{expr.right.type}'"
    )


def _relation(ctx: Context, expr: ir.Binary) -> ir.Expression:
    expr.left, expr.right = same_width(ctx, expr.left, expr.right)
    left, right = expr.left, expr.right
    numeric = isinstance(left.type, (BitsType, IntType))
    if not numeric or left.type != right.type:
        return _undefined(ctx, expr)
    expr.type = BOOL
    _fold_comparison(expr)
    return expr


def _fold_comparison(expr: ir.Binary) -> None:
    a, b = expr.left.value, expr.right.value
    if a is None or b is None:
        return
    if isinstance(a, ir.EnumMember) and isinstance(b, ir.EnumMember):
        same = a is b or (a.number is not None and a.number == b.number)
        expr.value = same if expr.op == "==" else not same
        return
    expr.value = bool(consteval.COMPARE[expr.op](a, b))


def _equality(ctx: Context, expr: ir.Binary) -> ir.Expression:
    expr.left, expr.right = same_width(ctx, expr.left, expr.right)
    left, right = expr.left, expr.right
    for t in (left.type, right.type):
        reason = _incomparable(t)
        if reason:
            return ctx.bad(expr, f"{reason} cannot be compared")
    if isinstance(left.type, StructValueType) and isinstance(right.type, StructValueType):
        return ctx.bad(expr, "structure values of unknown type cannot be compared")
    if left.type != right.type:
        wanted = _common(left.type, right.type)
        if wanted is None:
            return ctx.bad(expr, f"'{left.type}' cannot be compared to '{right.type}'")
        before = ctx.reporter.error_count
        expr.left = coerce(ctx, left, wanted, expr.loc)
        expr.right = coerce(ctx, right, wanted, expr.loc)
        if ctx.reporter.error_count > before:
            return expr
    expr.type = BOOL
    _fold_comparison(expr)
    return expr


def _incomparable(t: Type) -> str:
    if isinstance(t, (FunctionType, VoidType)):
        return "actions, functions and calls that return nothing"
    if isinstance(t, (TableType, TableResultType, ActionRunType)):
        return "tables and the results of applying them"
    if isinstance(t, ExternType):
        return "externs"
    if isinstance(t, TypeVar):
        return "values of a type variable"
    return ""


def _common(a: Type, b: Type) -> Type | None:
    """The type both sides of `==` can be given."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, EnumType) and one.repr is not None:
            if one.repr == other or isinstance(other, IntType):
                return one.repr
            if isinstance(other, EnumType) and other.repr == one.repr:
                return one.repr
    return merge(a, b)


def _concat(ctx: Context, expr: ir.Binary) -> ir.Expression:
    left, right = expr.left, expr.right
    if isinstance(left.type, StringType) and isinstance(right.type, StringType):
        expr.type = left.type
        if isinstance(left.value, str) and isinstance(right.value, str):
            return ir.StringLit(
                left.value + right.value,
                type=left.type,
                value=left.value + right.value,
                loc=expr.loc,
            )
        return expr
    for side in (left, right):
        if isinstance(side.type, IntType):
            return ctx.bad(expr, "an operand of '++' needs a width", side.loc)
    if not isinstance(left.type, BitsType) or not isinstance(right.type, BitsType):
        return _undefined(ctx, expr)
    expr.type = bits(left.type.width + right.type.width, left.type.signed)
    if isinstance(left.value, int) and isinstance(right.value, int):
        expr.value = consteval.concat(left.value, left.type, right.value, right.type)
    return expr


def _shift(ctx: Context, expr: ir.Binary) -> ir.Expression:
    left, right = expr.left, expr.right
    amount = right.value if isinstance(right.value, int) else None
    if not isinstance(left.type, (BitsType, IntType)):
        return ctx.bad(expr, f"the left operand of a shift cannot have type '{left.type}'")
    if not isinstance(right.type, (BitsType, IntType)):
        return ctx.bad(expr, f"a shift amount cannot have type '{right.type}'", right.loc)
    if amount is not None and amount < 0:
        return ctx.bad(expr, f"negative shift amount {amount}")
    if amount is None and isinstance(right.type, BitsType) and right.type.signed:
        return ctx.bad(expr, "a shift amount must be an unsigned number", right.loc)
    if isinstance(left.type, IntType) and amount is None and isinstance(right.type, BitsType):
        return ctx.bad(expr, "shifting an 'int' needs a constant amount, or give it a width")
    if amount is not None and amount >= 1 << 31:
        return ctx.bad(expr, "the shift amount is too large", right.loc)
    if amount is not None and isinstance(left.type, BitsType) and amount >= left.type.width:
        ctx.warning("overflow", f"shifting a value of {left.type.width} bits by {amount}", expr.loc)
    expr.type = left.type
    if isinstance(left.value, int) and amount is not None:
        try:
            expr.value = consteval.shift(expr.op, left.value, amount, left.type)
        except consteval.EvalError as error:
            return ctx.bad(expr, str(error))
    return _literal(expr)


def _arithmetic(ctx: Context, expr: ir.Binary) -> ir.Expression:
    op = expr.op
    for side in (expr.left, expr.right):
        if not isinstance(side.type, (BitsType, IntType)):
            hint = "; use '++' to concatenate strings" if isinstance(side.type, StringType) else ""
            return ctx.bad(expr, f"'{op}' cannot be applied to a value of type '{side.type}'{hint}")
    if op in _UNSIGNED:
        problem = _division_problem(expr)
        if problem:
            return ctx.bad(expr, problem)
    expr.left, expr.right = same_width(ctx, expr.left, expr.right)
    left, right = expr.left, expr.right
    if left.type != right.type:
        return ctx.bad(
            expr, f"'{op}' needs operands of equal types, not '{left.type}' and '{right.type}'"
        )
    expr.type = left.type
    if op in ("|+|", "|-|") and isinstance(left.type, IntType):
        return ctx.bad(expr, f"'{op}' needs operands of known width")
    if isinstance(left.value, int) and isinstance(right.value, int):
        try:
            expr.value = consteval.arithmetic(op, left.value, right.value, left.type)
        except consteval.EvalError as error:
            return ctx.bad(expr, str(error))
    elif op in _UNSIGNED and right.value == 0:
        return ctx.bad(expr, "division by zero" if op == "/" else "modulo by zero")
    return _literal(expr)


def _division_problem(expr: ir.Binary) -> str:
    for side in (expr.left, expr.right):
        if isinstance(side.type, BitsType) and side.type.signed:
            return f"'{expr.op}' is not defined on signed values"
        if isinstance(side.value, int) and side.value < 0:
            return f"'{expr.op}' is not defined on negative numbers"
    return ""


# ---------------------------------------------------------------- ternary


def check_ternary(ctx: Context, expr: ir.Ternary) -> ir.Expression:
    """`c ? a : b`."""
    expr.cond = _operand(ctx, expr.cond)
    expr.then = _operand(ctx, expr.then)
    expr.other = _operand(ctx, expr.other)
    if UNKNOWN in (expr.cond.type, expr.then.type, expr.other.type):
        return expr
    if not isinstance(expr.cond.type, BoolType):
        return ctx.bad(expr, f"the condition of '?:' must be bool, not '{expr.cond.type}'")
    if expr.then.type is INT and expr.other.type is INT:
        if expr.cond.value is not None:
            return expr.then if expr.cond.value else expr.other
        return ctx.bad(expr, "one of the values of '?:' needs a width")
    expr.then, expr.other = same_width(ctx, expr.then, expr.other)
    wanted = expr.then.type
    if wanted != expr.other.type:
        merged = merge(expr.then.type, expr.other.type)
        if merged is None or isinstance(wanted, EnumType) != isinstance(expr.other.type, EnumType):
            return ctx.bad(
                expr,
                f"the values of '?:' have different types '{expr.then.type}' and"
                f" '{expr.other.type}'",
            )
        wanted = merged
        expr.then = coerce(ctx, expr.then, wanted, expr.loc)
        expr.other = coerce(ctx, expr.other, wanted, expr.loc)
    expr.type = wanted
    if expr.cond.value is not None and None not in (expr.then.value, expr.other.value):
        expr.value = expr.then.value if expr.cond.value else expr.other.value
    return expr


# ---------------------------------------------------------------- casts


def check_cast(ctx: Context, expr: ir.Cast) -> ir.Expression:
    """`(T) e`."""
    expr.expr = _operand(ctx, expr.expr)
    assert expr.ref is not None
    target = resolve_type(ctx, expr.ref)
    source = expr.expr.type
    if UNKNOWN in (target, source):
        return expr
    if isinstance(target, (StructType, ListType, StackType, TupleType)):
        return _aggregate_cast(ctx, expr, target)
    if not isinstance(target, (BitsType, BoolType, NewType, EnumType, IntType, TypeVar)) or (
        isinstance(target, EnumType) and target.repr is None and target != source
    ):
        return ctx.bad(expr, f"casts to '{target}' are not supported")
    if isinstance(target, (NewType, EnumType)) and source is INT:
        return _cast_int_to_wrapper(ctx, expr, target)
    if not can_cast(target, source):
        return ctx.bad(expr, f"cannot cast from '{source}' to '{target}'")
    if isinstance(target, BoolType) and source is INT and expr.expr.value not in (0, 1, None):
        ctx.error("invalid", "only 0 and 1 can be cast to bool", expr.loc)
        return expr
    expr.type = target
    expr.value = cast_value(expr.expr.value, source, target)
    if source is INT and isinstance(target, BitsType):
        return int_to_bits(ctx, expr.expr, target)
    return _literal(expr)


def _cast_int_to_wrapper(ctx: Context, expr: ir.Cast, target: NewType | EnumType) -> ir.Expression:
    """A cast of an `int` to a `type` or serializable enum goes through what it is stored as."""
    base = underlying(target)
    if not isinstance(base, BitsType):
        return ctx.bad(expr, f"cannot cast from 'int' to '{target}'")
    expr.expr = int_to_bits(ctx, expr.expr, base)
    expr.type = target
    expr.value = cast_value(expr.expr.value, base, target)
    return expr


def _aggregate_cast(ctx: Context, expr: ir.Cast, target: Type) -> ir.Expression:
    inner = expr.expr
    if inner.type == target:
        expr.type = target
        expr.value = inner.value
        return expr
    provisional = isinstance(inner.type, (ListValueType, StructValueType, InvalidType))
    if not provisional or not isinstance(inner, (ir.ListExpr, ir.StructExpr, ir.InvalidHeader)):
        return ctx.bad(expr, f"cannot cast from '{inner.type}' to '{target}'")
    found = coerce(ctx, inner, target, expr.loc)
    if isinstance(found, (ir.ListExpr, ir.StructExpr)):
        found.ref = expr.ref
    found.loc = expr.loc
    return found


def can_cast(target: Type, source: Type) -> bool:
    """Whether an explicit cast exists (language specification 8.12)."""
    if target == source:
        return True
    if isinstance(target, NewType) and target.base == source:
        return True
    if isinstance(source, BitsType):
        return _cast_from_bits(target, source)
    if isinstance(source, BoolType):
        return target == bits(1)
    if isinstance(source, IntType):
        return isinstance(target, (BitsType, BoolType))
    if isinstance(source, NewType):
        return target == source.base
    if isinstance(source, EnumType) and source.repr is not None:
        if isinstance(target, EnumType):
            return target.repr == source.repr
        return target == source.repr
    return False


def _cast_from_bits(target: Type, source: BitsType) -> bool:
    if isinstance(target, BitsType):
        return source.width == target.width or source.signed == target.signed
    if isinstance(target, BoolType):
        return source == bits(1)
    if isinstance(target, EnumType):
        return target.repr == source
    return isinstance(target, IntType)


def cast_value(value: ir.Value, source: Type, target: Type) -> ir.Value:
    """The value of a cast of a known value, None if it cannot be told."""
    if value is None or target == source:
        return value
    if isinstance(value, ir.EnumMember):
        value = value.number
    if isinstance(target, EnumType):
        return next((m for m in target.decl.members if m.number == value), None)
    if isinstance(target, BoolType) and isinstance(value, int):
        return bool(value)
    if isinstance(target, NewType):
        return cast_value(value, source, target.base)
    if isinstance(value, int):
        return consteval.wrap(int(value), target)
    return None


# ---------------------------------------------------------------- slices


def _constant_bound(ctx: Context, expr: ir.Expression) -> int | None:
    value = expr.value
    if isinstance(value, ir.EnumMember):
        value = value.number
    if expr.type is UNKNOWN:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        ctx.type_error("the bit indices of a slice must be constant integers", expr.loc)
        return None
    return value


def _sliced_width(expr: ir.Expression) -> int | None:
    """How many bits a slice may choose from; None if the operand has none.

    The bits of an `int` that is known here go on for ever: as far as any width may.
    """
    if isinstance(expr.type, BitsType):
        return expr.type.width
    return MAX_WIDTH if isinstance(expr.type, IntType) and isinstance(expr.value, int) else None


def check_slice(ctx: Context, expr: ir.Slice) -> ir.Expression:
    """`e[hi:lo]`."""
    expr.expr = to_numeric(_operand(ctx, expr.expr))
    expr.hi = _operand(ctx, expr.hi)
    expr.lo = _operand(ctx, expr.lo)
    t = expr.expr.type
    if t is UNKNOWN:
        return expr
    width = _sliced_width(expr.expr)
    if width is None:
        return ctx.bad(expr, f"bits can only be extracted from 'bit' and 'int' types, not '{t}'")
    hi, lo = _constant_bound(ctx, expr.hi), _constant_bound(ctx, expr.lo)
    if hi is None or lo is None:
        expr.type = UNKNOWN
        return expr
    for bound in (hi, lo):
        if bound < 0:
            return ctx.bad(expr, f"negative bit index {bound}")
        if bound >= width:
            return ctx.bad(expr, f"bit index {bound} is not below the width {width}")
    if lo > hi:
        return ctx.bad(expr, f"the low bit index {lo} is above the high one {hi}")
    expr.type = bits(hi - lo + 1)
    if isinstance(expr.expr.value, int):
        expr.value = consteval.bit_slice(expr.expr.value, hi, lo)
    return expr


def check_plus_slice(ctx: Context, expr: ir.PlusSlice) -> ir.Expression:
    """`e[lo +: width]`."""
    expr.expr = to_numeric(_operand(ctx, expr.expr))
    expr.base = to_numeric(_operand(ctx, expr.base))
    expr.width = _operand(ctx, expr.width)
    t = expr.expr.type
    if UNKNOWN in (t, expr.base.type):
        return expr
    sliced = _sliced_width(expr.expr)
    if sliced is None:
        return ctx.bad(expr, f"bits can only be extracted from 'bit' and 'int' types, not '{t}'")
    width = _constant_bound(ctx, expr.width)
    if width is None:
        return expr
    if width < 1:
        return ctx.bad(expr, f"the width of a slice must be positive, not {width}")
    base = expr.base.value
    if not isinstance(base, int):
        if not isinstance(expr.base.type, BitsType):
            return ctx.bad(expr, f"a bit index cannot have type '{expr.base.type}'")
        if not isinstance(t, BitsType):
            return ctx.bad(expr, "a bit index known at run time only needs an operand of a width")
        expr.type = bits(width)
        return expr
    if base < 0:
        return ctx.bad(expr, f"negative bit index {base}")
    if base + width > sliced:
        return ctx.bad(expr, f"bit index {base + width - 1} is not below the width {sliced}")
    found = ir.Slice(
        expr.expr,
        ir.IntLit(base + width - 1, type=INT, value=base + width - 1, loc=expr.base.loc),
        ir.IntLit(base, type=INT, value=base, loc=expr.base.loc),
        type=bits(width),
        loc=expr.loc,
    )
    if isinstance(expr.expr.value, int):
        found.value = consteval.bit_slice(expr.expr.value, base + width - 1, base)
    return found
