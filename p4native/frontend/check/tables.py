"""Type checking of tables: keys, actions, default action, entries and properties."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.check.annotations import check_annotations
from p4native.frontend.check.calls import check_action_call
from p4native.frontend.check.context import Context
from p4native.frontend.check.expressions import check, is_constant
from p4native.frontend.check.select import check_keyset
from p4native.frontend.types import (
    MATCH_KIND,
    UNKNOWN,
    BitsType,
    BoolType,
    EnumType,
    ErrorType,
    IntType,
    Type,
    underlying,
)
from p4native.frontend.visitor import clone, walk

_NO_PRIORITY = ("exact", "lpm")


def check_table(ctx: Context, table: ir.TableDecl) -> None:
    """A table declaration."""
    saved, ctx.table = ctx.table, table
    if not table.has_actions:
        ctx.error("expected", f"table '{table.name}' has no 'actions'", table.loc)
    for name, other, loc in table.misplaced:
        if other == "actions" and not table.has_actions:
            continue
        if name == "entries" and not (table.entries and table.keys):
            continue
        ctx.type_error(f"'{name}' must come after '{other}'", loc, (table.loc, "in this table"))
    for key in table.keys:
        _key(ctx, key)
    _actions(ctx, table)
    _actions_tables(ctx, table)
    if table.default_action is not None:
        _default_action(ctx, table, table.default_action)
    else:
        _no_action(ctx, table)
    for prop in table.properties:
        _property(ctx, prop)
    if table.entries is not None:
        _entries(ctx, table, table.entries)
    ctx.table = saved


def _entries(ctx: Context, table: ir.TableDecl, entries: list[ir.Entry]) -> None:
    if not entries:
        return
    if not table.keys:
        ctx.type_error(f"table '{table.name}' has entries but no key", table.loc)
        return
    for entry in entries:
        _entry(ctx, table, entry)
    _priorities(ctx, table, entries)


def _key(ctx: Context, key: ir.KeyElement) -> None:
    key.expr = check(ctx, key.expr)
    _match_kind(ctx, key.match_kind)
    if key.annotation("name") is None and not _has_name(key.expr):
        ctx.error("expected", "a complex key expression needs a @name annotation", key.expr.loc)
    check_annotations(ctx, key.annotations)
    t = underlying(key.expr.type)
    if t is not UNKNOWN and not isinstance(t, (BitsType, BoolType, EnumType, ErrorType)):
        ctx.type_error(f"a key cannot have type '{key.expr.type}'", key.expr.loc)
    if key.expr.type is not UNKNOWN and is_constant(key.expr):
        ctx.warning("ignore-prop", "constant key element", key.loc)


def _match_kind(ctx: Context, path: ir.Path) -> None:
    """Match kinds are looked for among match kinds: a table may be called `lpm`."""
    found = ctx.match_kinds.get(path.name)
    if found is not None:
        path.decl, path.type = found, MATCH_KIND
    elif ctx.lookup(path.name):
        ctx.type_error(f"'{path.name}' is not a match_kind", path.loc)
    else:
        hint = ctx.hint(path.name, ctx.match_kinds)
        ctx.error("not-found", f"'{path.name}' is not declared{hint}", path.loc)


def _has_name(expr: ir.Expression) -> bool:
    """Whether a key's name can be made from its expression."""
    if expr.type is UNKNOWN or isinstance(expr, (ir.Path, ir.IntLit, ir.BoolLit, ir.This)):
        return True
    if isinstance(expr, ir.Member):
        return _has_name(expr.expr)
    if isinstance(expr, ir.TypeName):
        return True
    if isinstance(expr, ir.Index):
        return _has_name(expr.expr) and _has_name(expr.index)
    if isinstance(expr, ir.Slice):
        return _has_name(expr.expr)
    if isinstance(expr, ir.Binary):
        return expr.op == "&" and _has_name(expr.left) and _has_name(expr.right)
    if isinstance(expr, ir.Cast):
        return expr.ref is None and _has_name(expr.expr)
    return isinstance(expr, ir.Call) and _call_has_name(expr)


def _call_has_name(call: ir.Call) -> bool:
    if call.kind is ir.CallKind.EXTERN_METHOD and call.target is not None:
        return call.target.name == "lookahead"
    return call.builtin == "isValid" and call.receiver is not None and _has_name(call.receiver)


def _actions(ctx: Context, table: ir.TableDecl) -> None:
    ctx.in_actions_list = True
    seen: dict[str, ir.ActionRef] = {}
    for ref in table.actions:
        path = ref.call.callee
        assert isinstance(path, ir.Path)
        if _resolve_action(ctx, ref.call, path) is None:
            continue
        earlier = seen.setdefault(path.name, ref)
        if earlier is not ref:
            ctx.error(
                "duplicate",
                f"action '{path.name}' is listed twice",
                ref.loc,
                (earlier.loc, "first listed here"),
            )
    ctx.in_actions_list = False


def _resolve_action(ctx: Context, call: ir.Call, path: ir.Path) -> ir.ActionDecl | None:
    decls = ctx.lookup(path.name, path.absolute)
    if not decls:
        ctx.undeclared("", path.name, path.loc)
        return None
    if not isinstance(decls[0], ir.ActionDecl):
        ctx.type_error(f"'{path.name}' is not an action", path.loc)
        return None
    path.decl = decls[0]
    check_action_call(ctx, call, decls[0])
    return decls[0]


def _action_initializer(
    ctx: Context, table: ir.TableDecl, call: ir.Call, what: str
) -> ir.ActionRef | None:
    """Check an action call in `default_action` or an entry; its entry in the actions list."""
    path = call.callee
    if not isinstance(path, ir.Path):
        ctx.type_error(f"{what} must name an action", call.loc)
        return None
    decls = ctx.lookup(path.name, path.absolute)
    if decls and not isinstance(decls[0], ir.ActionDecl):
        ctx.type_error(f"{what} must name an action, '{path.name}' is none", call.loc)
        return None
    ref = next((r for r in table.actions if _names(r, path)), None)
    if ref is None and decls:
        ctx.type_error(
            f"'{path.name}' is not in the actions of table '{table.name}'",
            call.loc,
            (table.loc, "the table"),
        )
        return None
    before = ctx.reporter.error_count
    action = _resolve_action(ctx, call, path)
    if ref is None or action is None or ctx.reporter.error_count > before:
        return None
    if ref.call.target is not action:
        ctx.type_error(
            f"'{path.name}' is not the action that the table lists",
            call.loc,
            (ref.loc, "listed here"),
        )
        return None
    return ref if _arguments_match(ctx, call, ref, action) else None


def _names(ref: ir.ActionRef, path: ir.Path) -> bool:
    return isinstance(ref.call.callee, ir.Path) and ref.call.callee.name == path.name


def _arguments_match(ctx: Context, call: ir.Call, ref: ir.ActionRef, action: ir.ActionDecl) -> bool:
    """Every parameter is given, and the data-plane ones as in the actions list."""
    given = {a.param: a for a in call.args}
    for param in action.params:
        if param in given:
            continue
        if param.default is not None:
            call.args.append(ir.Argument(clone(param.default), None, param, loc=call.loc))
            continue
        ctx.type_error(
            f"no argument is given for parameter '{param.name}' of action '{action.name}'",
            call.loc,
            (param.loc, "the parameter"),
        )
        return False
    for listed in ref.call.args:
        mine = given.get(listed.param)
        if mine is None or not same_expression(mine.expr, listed.expr):
            ctx.type_error(
                "the argument differs from the one in the actions list",
                mine.loc if mine is not None else call.loc,
                (listed.loc, "the actions list"),
            )
            return False
    return True


def same_expression(a: ir.Expression, b: ir.Expression) -> bool:
    """Whether two checked expressions are written alike."""
    if a.value is not None and b.value is not None:
        return a.value == b.value
    if type(a) is not type(b) or a.type != b.type:
        return False
    if isinstance(a, ir.Path) and isinstance(b, ir.Path):
        return a.decl is b.decl
    for name in ("name", "op"):
        if getattr(a, name, None) != getattr(b, name, None):
            return False
    for name in a.CHILDREN:
        one, other = getattr(a, name), getattr(b, name)
        if isinstance(one, ir.Expression) and isinstance(other, ir.Expression):
            if not same_expression(one, other):
                return False
        elif isinstance(one, list) and len(one) != len(other):
            return False
    return True


def _default_action(ctx: Context, table: ir.TableDecl, call: ir.Call) -> None:
    if not table.actions:
        return
    ref = _action_initializer(ctx, table, call, "default_action")
    if ref is not None and ref.annotation("tableonly") is not None:
        ctx.type_error(
            f"'{ref.action.name}' is marked @tableonly and cannot be the default action",
            call.loc,
            (ref.loc, "listed here"),
        )


def _no_action(ctx: Context, table: ir.TableDecl) -> None:
    """Without a default action a table needs core.p4's `NoAction`."""
    found = ctx.scopes[0].get("NoAction", [])
    if not found:
        ctx.error(
            "model",
            f"table '{table.name}' has no default_action and 'NoAction' is not declared;"
            " include core.p4",
            table.loc,
        )
    elif not isinstance(found[0], ir.ActionDecl) or found[0].params:
        ctx.error(
            "model",
            "'NoAction' must be an action without parameters; include core.p4",
            found[0].loc,
        )


def _property(ctx: Context, prop: ir.Property) -> None:
    prop.expr = check(ctx, prop.expr)
    if prop.expr.type is UNKNOWN:
        return
    if prop.name == "size":
        if not isinstance(prop.expr.type, (IntType, BitsType)):
            ctx.type_error("'size' must be an integer", prop.expr.loc)
        elif not is_constant(prop.expr):
            ctx.type_error("'size' must be a compile-time constant", prop.expr.loc)
    elif prop.name == "support_timeout" and not isinstance(prop.expr.value, bool):
        ctx.error("unexpected", "'support_timeout' must be true or false", prop.expr.loc)
    elif prop.name == "priority_delta":
        value = prop.expr.value
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            ctx.error("invalid", "'priority_delta' must be a constant of 0 or more", prop.expr.loc)
    elif prop.name == "largest_priority_wins" and not isinstance(prop.expr.value, bool):
        ctx.error("unexpected", "'largest_priority_wins' must be true or false", prop.expr.loc)


def _entry(ctx: Context, table: ir.TableDecl, entry: ir.Entry) -> None:
    if entry.priority is not None:
        entry.priority = check(ctx, entry.priority)
    keys = table.keys
    items = entry.keyset.items
    if len(items) == 1 and isinstance(items[0], ir.DontCare) and len(keys) > 1:
        entry.keyset.items = items = [
            ir.DontCare(items[0].is_default, loc=items[0].loc) for _ in keys
        ]
    if len(items) != len(keys):
        ctx.type_error(
            f"{len(items)} key values are given for the {len(keys)} keys of table '{table.name}'",
            entry.loc,
        )
        return
    checked: list[ir.Expression] = []
    for item, key in zip(items, keys, strict=True):
        checked.append(_entry_key(ctx, item, key.expr.type, entry))
    entry.keyset.items = checked
    ref = _action_initializer(ctx, table, entry.call, "an entry")
    if ref is not None and ref.annotation("defaultonly") is not None:
        ctx.type_error(
            f"'{ref.action.name}' is marked @defaultonly and cannot be used in an entry",
            entry.call.loc,
            (ref.loc, "listed here"),
        )


def _entry_key(ctx: Context, item: ir.Expression, wanted: Type, entry: ir.Entry) -> ir.Expression:
    item = check_keyset(ctx, item, wanted, entry.loc)
    if item.type is not UNKNOWN and not is_constant(item):
        ctx.type_error("a key value of an entry must be a compile-time constant", item.loc)
    return item


def _actions_tables(ctx: Context, table: ir.TableDecl) -> None:
    """Applying a table in the arguments of an action is not supported."""
    for ref in table.actions:
        for node in walk(ref.call):
            if isinstance(node, ir.Call) and node.kind is ir.CallKind.TABLE_APPLY:
                ctx.error("unsupported", "a table is applied in an action's argument", node.loc)


def _priorities(ctx: Context, table: ir.TableDecl, entries: list[ir.Entry]) -> None:
    first = next((e for e in entries if e.priority is not None), None)
    if first is None:
        return
    if table.entries_const:
        ctx.error("invalid", "'const' entries cannot have priorities", first.loc)
        return
    if all(k.match_kind.name in _NO_PRIORITY for k in table.keys):
        ctx.error(
            "unsupported",
            "the match kinds of this key need no priorities, but an entry has one",
            table.keys_loc,
            (first.loc, "this one"),
        )
        return
    if entries[0].priority is None:
        ctx.error("expected", "the first entry must have a priority", entries[0].loc)
    for entry in entries:
        if entry.priority is None:
            continue
        value = entry.priority.value
        if isinstance(value, bool) or not isinstance(value, int):
            ctx.error("invalid", "a priority must be a constant integer", entry.priority.loc)
