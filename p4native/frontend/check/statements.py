"""Type checking of statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4native.frontend import ir
from p4native.frontend.check.coerce import coerce, to_numeric
from p4native.frontend.check.consteval import COMPARE
from p4native.frontend.check.context import Context
from p4native.frontend.check.expressions import check, is_constant, is_lvalue
from p4native.frontend.check.operators import can_cast
from p4native.frontend.check.typerefs import has_type_params, resolve_type
from p4native.frontend.types import (
    UNKNOWN,
    ActionRunType,
    ArchBlockType,
    BitsType,
    BoolType,
    EnumType,
    ExternType,
    IntType,
    ListType,
    SetType,
    StackType,
    StringType,
    TableResultType,
    Type,
    VoidType,
)

_SHIFTS = ("<<=", ">>=")


def check_statement(ctx: Context, statement: ir.Statement) -> None:
    """Check one statement in place."""
    _CHECKS[type(statement)](ctx, statement)


def check_block(ctx: Context, block: ir.Block) -> None:
    """A block with its own scope."""
    with ctx.scope(), ctx.reporter.mute(ir.no_warn(block.annotations)):
        for statement in block.statements:
            check_statement(ctx, statement)


def _empty(_ctx: Context, _statement: ir.Empty) -> None:
    pass


def _decl(ctx: Context, statement: ir.DeclStmt) -> None:
    decl = statement.decl
    if isinstance(decl, ir.VarDecl):
        check_variable(ctx, decl)
    elif isinstance(decl, ir.ConstDecl):
        check_constant(ctx, decl)
    else:
        ctx.error(
            "invalid",
            f"'{decl.name}': instances cannot be declared in blocks, states, actions or functions",
            decl.loc,
        )
    ctx.declare(decl)


def check_variable(ctx: Context, decl: ir.VarDecl) -> None:
    """A local variable."""
    t = resolve_type(ctx, decl.ref)
    if decl.init is not None:
        decl.init = check(ctx, decl.init)
    if t is UNKNOWN:
        return
    if isinstance(t, (ArchBlockType, ExternType)):
        ctx.type_error(
            f"'{decl.name}': a variable cannot have type '{t}'; declare an instance", decl.loc
        )
    elif isinstance(t, (StringType, IntType, VoidType, SetType)):
        ctx.type_error(f"'{decl.name}': a variable cannot have type '{t}'", decl.loc)
    elif has_type_params(t):
        ctx.type_error(f"'{decl.name}': type '{t}' needs type arguments", decl.loc)
    else:
        decl.type = t
        if decl.init is not None:
            decl.init = coerce(ctx, decl.init, t, decl.loc)


def check_constant(ctx: Context, decl: ir.ConstDecl) -> None:
    """A constant."""
    t = resolve_type(ctx, decl.ref)
    decl.init = check(ctx, decl.init)
    if UNKNOWN in (t, decl.init.type):
        decl.type = t
        return
    if isinstance(t, ExternType):
        ctx.type_error(f"'{decl.name}': a constant cannot have type '{t}'", decl.loc)
        return
    if not is_constant(decl.init):
        ctx.type_error("the value of a constant must be known at compile time", decl.init.loc)
        return
    decl.init = coerce(ctx, decl.init, t, decl.loc)
    decl.type = t


def _assign(ctx: Context, statement: ir.Assign) -> None:
    statement.left = check(ctx, statement.left)
    statement.right = check(ctx, statement.right)
    left = statement.left
    if UNKNOWN in (left.type, statement.right.type):
        return
    if statement.op != "=" and not isinstance(left.type, BitsType):
        ctx.type_error(f"'{statement.op}' cannot be applied to type '{left.type}'", statement.loc)
        return
    if not is_lvalue(left):
        ctx.type_error(f"this cannot be assigned to{_why_constant(left)}", left.loc)
        return
    if statement.op in _SHIFTS:
        statement.right = to_numeric(statement.right)
        if not isinstance(statement.right.type, (BitsType, IntType)):
            ctx.type_error(
                f"a shift amount cannot have type '{statement.right.type}'", statement.right.loc
            )
        return
    statement.right = coerce(ctx, statement.right, left.type, statement.loc)


def _call(ctx: Context, statement: ir.CallStmt) -> None:
    checked = check(ctx, statement.call)
    if isinstance(checked, ir.Call):
        statement.call = checked


def _if(ctx: Context, statement: ir.If) -> None:
    node: ir.Statement | None = statement
    while isinstance(node, ir.If):  # `else if` chains are walked without recursion
        node.cond = _condition(ctx, node.cond, node)
        _branch(ctx, node.then)
        node = node.other
    if node is not None:
        _branch(ctx, node)


def _why_constant(expr: ir.Expression) -> str:
    """What the root of an expression is that makes it constant, if it is a parameter."""
    while isinstance(expr, (ir.Member, ir.Index, ir.Slice, ir.PlusSlice)):
        expr = expr.expr
    if isinstance(expr, ir.Path) and isinstance(expr.decl, ir.Param):
        direction = expr.decl.direction
        kind = f"an '{direction}' parameter" if direction else "a parameter without a direction"
        return f": '{expr.decl.name}' is {kind}" if direction in ("", "in") else ""
    return ""


def _branch(ctx: Context, statement: ir.Statement) -> None:
    with ctx.scope():
        check_statement(ctx, statement)


def _condition(ctx: Context, cond: ir.Expression, statement: ir.Statement) -> ir.Expression:
    cond = check(ctx, cond)
    if cond.type is not UNKNOWN and not isinstance(cond.type, BoolType):
        hint = "; compare it with a number" if isinstance(cond.type, (BitsType, IntType)) else ""
        ctx.type_error(f"the condition must be bool, not '{cond.type}'{hint}", statement.loc)
    return cond


def _switch(ctx: Context, statement: ir.Switch) -> None:
    ctx.in_switch_expression = True
    statement.expr = check(ctx, statement.expr)
    ctx.in_switch_expression = False
    t = statement.expr.type
    _switch_labels(ctx, statement)
    for case in statement.cases:
        if isinstance(case.label, ir.DontCare):
            case.label.type = t
    if isinstance(t, ActionRunType):
        for case in statement.cases:
            _action_label(ctx, case, t)
        _duplicate_actions(ctx, statement)
    elif isinstance(t, (BitsType, IntType, EnumType)):
        for case in statement.cases:
            _value_label(ctx, statement, case, t)
        _duplicate_values(ctx, statement)
    elif t is not UNKNOWN:
        hint = "; its '.action_run' can" if isinstance(t, TableResultType) else ""
        ctx.type_error(f"a value of type '{t}' cannot be switched on{hint}", statement.expr.loc)
    for case in statement.cases:
        if case.body is not None:
            check_block(ctx, case.body)


def _switch_labels(ctx: Context, statement: ir.Switch) -> None:
    for case in statement.cases[:-1]:
        if isinstance(case.label, ir.DontCare):
            ctx.error(
                "invalid",
                "'default' must be the last label of a switch",
                statement.loc,
                (case.label.loc, "'default' is here"),
            )
            return


def _action_label(ctx: Context, case: ir.SwitchCase, t: ActionRunType) -> None:
    label = case.label
    if isinstance(label, ir.DontCare):
        return
    if not isinstance(label, ir.Path):
        ctx.type_error("a label must be the name of an action or 'default'", label.loc)
        return
    for ref in t.table.actions:
        target = ref.call.target
        if isinstance(target, ir.ActionDecl) and target.name == label.name:
            label.decl = target
            label.type = t
            return
    ctx.type_error(
        f"'{label.name}' is not an action of table '{t.table.name}'",
        label.loc,
        (t.table.loc, "the table"),
    )


def _duplicate_actions(ctx: Context, statement: ir.Switch) -> None:
    seen: dict[str, ir.Path] = {}
    for case in statement.cases:
        if isinstance(case.label, ir.Path):
            earlier = seen.setdefault(case.label.name, case.label)
            if earlier is not case.label:
                ctx.error(
                    "invalid",
                    "this label appears twice",
                    case.label.loc,
                    (earlier.loc, "first here"),
                )


def _value_label(ctx: Context, statement: ir.Switch, case: ir.SwitchCase, t: Type) -> None:
    if isinstance(case.label, ir.DontCare):
        return
    label = check(ctx, case.label)
    case.label = label
    if label.type is UNKNOWN:
        return
    if not is_constant(label):
        ctx.type_error("a label must be a compile-time constant", label.loc)
        return
    if isinstance(t, EnumType) and label.type != t:
        ctx.type_error(
            f"a label of type '{label.type}' cannot be compared to '{t}'",
            statement.loc,
            (label.loc, "the label"),
        )
    elif label.type != t:
        case.label = coerce(ctx, label, t, statement.loc)


def _duplicate_values(ctx: Context, statement: ir.Switch) -> None:
    seen: list[tuple[ir.Value, ir.SwitchCase]] = []
    for case in statement.cases:
        value = case.label.value
        if value is None or isinstance(case.label, ir.DontCare):
            continue
        for earlier, other in seen:
            if type(earlier) is type(value) and COMPARE["=="](earlier, value):
                ctx.error(
                    "invalid",
                    "this label appears twice",
                    case.label.loc,
                    (other.label.loc, "first here"),
                )
        seen.append((value, case))


def _for(ctx: Context, statement: ir.For) -> None:
    with ctx.scope():
        for init in statement.init:
            check_statement(ctx, init)
        statement.cond = _condition(ctx, statement.cond, statement)
        for update in statement.update:
            check_statement(ctx, update)
        ctx.loops += 1
        _branch(ctx, statement.body)
        ctx.loops -= 1


def _for_in(ctx: Context, statement: ir.ForIn) -> None:
    with ctx.scope():
        statement.collection = check(ctx, statement.collection)
        if isinstance(statement.var, ir.VarDecl):
            check_variable(ctx, statement.var)
            ctx.declare(statement.var)
        _collection(ctx, statement)
        ctx.loops += 1
        _branch(ctx, statement.body)
        ctx.loops -= 1


def _collection(ctx: Context, statement: ir.ForIn) -> None:
    collection, var = statement.collection, statement.var.type
    if UNKNOWN in (collection.type, var):
        return
    if isinstance(collection, ir.Range):
        collection.left = coerce(ctx, collection.left, var, statement.loc)
        collection.right = coerce(ctx, collection.right, var, statement.loc)
        collection.type = SetType(var)
    elif isinstance(collection.type, (StackType, ListType)):
        if not can_cast(collection.type.element, var):
            ctx.type_error(
                f"the variable does not have the elements' type '{collection.type.element}'",
                statement.var.loc,
            )
    else:
        ctx.error(
            "unsupported",
            f"iteration over a value of type '{collection.type}' is not supported",
            collection.loc,
        )


def _jump(ctx: Context, statement: ir.Statement) -> None:
    if not ctx.loops:
        word = "break" if isinstance(statement, ir.Break) else "continue"
        ctx.error("invalid", f"'{word}' can only be used in a loop", statement.loc)


def _return(ctx: Context, statement: ir.Return) -> None:
    if statement.expr is not None:
        statement.expr = check(ctx, statement.expr)
    if not isinstance(ctx.function, ir.FunctionDecl):
        if ctx.in_parser():
            ctx.error("invalid", "'return' cannot be used in parsers", statement.loc)
        elif statement.expr is not None:
            ctx.type_error("only functions can return a value", statement.loc)
        return
    wanted = ctx.return_type
    if wanted is None or wanted is UNKNOWN:
        return
    if isinstance(wanted, VoidType):
        if statement.expr is not None:
            ctx.type_error("a function that returns 'void' cannot return a value", statement.loc)
    elif statement.expr is None:
        ctx.type_error(f"a value of type '{wanted}' must be returned", statement.loc)
    else:
        statement.expr = coerce(ctx, statement.expr, wanted, statement.loc)


def _exit(ctx: Context, statement: ir.Exit) -> None:
    if ctx.in_parser():
        ctx.error("invalid", "'exit' cannot be used in parsers", statement.loc)
    elif isinstance(ctx.function, ir.FunctionDecl):
        ctx.error("invalid", "'exit' cannot be used in functions", statement.loc)


_CHECKS: dict[type, Callable[[Context, Any], None]] = {
    ir.Empty: _empty,
    ir.Block: check_block,
    ir.DeclStmt: _decl,
    ir.Assign: _assign,
    ir.CallStmt: _call,
    ir.If: _if,
    ir.Switch: _switch,
    ir.For: _for,
    ir.ForIn: _for_in,
    ir.Break: _jump,
    ir.Continue: _jump,
    ir.Return: _return,
    ir.Exit: _exit,
}
