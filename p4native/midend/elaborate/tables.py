"""Tables and the actions they run."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from p4native.frontend import ir
from p4native.frontend.types import BitsType, EnumType, underlying
from p4native.midend import core, fold
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.keynames import key_name
from p4native.midend.elaborate.scope import Frame
from p4native.midend.elaborate.storage import scalar_type
from p4native.midend.elaborate.values import TableResult
from p4native.midend.elaborate.work import Work

KNOWN_MATCHES = frozenset({"exact", "ternary", "lpm", "range", "optional", "selector"})
KNOWN_PROPERTIES = frozenset(
    {
        "size",
        "implementation",
        "counters",
        "meters",
        "support_timeout",
        "largest_priority_wins",
        "priority_delta",
    }
)
_PROFILES = ("action_profile", "action_selector")


class _Lowered:
    """A table with the statements to run before it is applied (its key's side effects)."""

    __slots__ = ("before", "table", "variants")

    def __init__(self, table: core.Table, before: list[core.Stmt]) -> None:
        self.table = table
        self.before = before
        self.variants: dict[ir.ActionDecl, list[core.Action]] = {}


class Tables:
    """Makes tables and actions on first use; keeps them per instance."""

    def __init__(self, work: Work, no_action: ir.ActionDecl | None) -> None:
        self.work = work
        self.no_action = no_action
        self._tables: dict[tuple[Frame, ir.TableDecl], _Lowered] = {}
        self._by_table: dict[core.Table, _Lowered] = {}
        self._actions: dict[tuple[Frame | None, ir.ActionDecl, str], core.Action] = {}
        self._direct: dict[tuple[Frame | None, ir.ActionDecl, str], core.Action] = {}
        self.order: list[core.Action] = []

    # --- applying ---

    def apply(self, frame: Frame, e: ir.Call) -> TableResult:
        """Emit `table.apply()`."""
        decl = e.target
        assert isinstance(decl, ir.TableDecl)
        owner = self.work.blocks.owner(frame, decl)
        assert owner is not None
        if self.work.in_action:
            raise Unsupported("tables cannot be applied in actions", e.loc)
        lowered = self._lower(owner, decl)
        for stmt in lowered.before:
            self.work.emit(stmt)
        apply = core.Apply(lowered.table, e.loc)
        self.work.emit(apply)
        return TableResult(apply)

    def find(self, owner: Frame, decl: ir.TableDecl) -> core.Table | None:
        """The table of an instance, None if it is never applied."""
        lowered = self._tables.get((owner, decl))
        return lowered.table if lowered else None

    def all(self) -> list[core.Table]:
        """Every table made so far."""
        return list(self._by_table)

    def built(self, block: str) -> list[core.Action]:
        """The actions tables of a block run, in the order they were first needed."""
        return [a for a in self.order if a.block == block]

    def global_actions(self, block: str) -> list[core.Action]:
        """The actions declared outside of controls that a block uses."""
        used = {**self._direct, **self._actions}
        keys = [*self._actions, *(k for k in self._direct if k not in self._actions)]
        return [used[k] for k in keys if k[0] is None and k[2] == block]

    def actions_of(self, table: core.Table, decl: ir.ActionDecl) -> list[core.Action]:
        """What an action's name in a switch over the table stands for."""
        found = self._by_table[table].variants.get(decl)
        if not found:
            raise Unsupported(f"'{decl.name}' is not an action of this table", decl.loc)
        return found

    # --- lowering a table ---

    def _lower(self, owner: Frame, decl: ir.TableDecl) -> _Lowered:
        cached = self._tables.get((owner, decl))
        if cached is not None:
            return cached
        table = core.Table(
            owner.named(decl.external_name),
            [],
            [],
            decl.loc,
            block=self.work.block,
            annotations=decl.annotations,
        )
        lowered = _Lowered(table, [])
        self._tables[(owner, decl)] = lowered
        self._by_table[table] = lowered
        lowered.before = self.work.collect(lambda: self._keys(owner, decl, table))
        self._action_list(owner, decl, lowered)
        self._default(owner, decl, lowered)
        self._entries(owner, decl, lowered)
        self._properties(owner, decl, table)
        return lowered

    def _keys(self, owner: Frame, decl: ir.TableDecl, table: core.Table) -> None:
        for element in decl.keys:
            match = element.match_kind.name
            if match not in KNOWN_MATCHES:
                raise Unsupported(
                    f"match kind '{match}' is not supported on this target", element.match_kind.loc
                )
            expr = self.work.exprs.scalar(owner, element.expr)
            name = _annotated_name(element)
            if name is None:
                name = key_name(element.expr)
            if name is None and match != "selector":
                raise Unsupported(
                    "a complex key expression needs a @name annotation", element.loc, "expected"
                )
            t = owner.type(element.expr.type)
            table.keys.append(
                core.Key(expr, match, name or "", t, element.loc, element.annotations)
            )
        lpm = [k for k in table.keys if k.match == "lpm"]
        if len(lpm) > 1:
            raise Unsupported(f"table '{table.name}' has more than one lpm key", lpm[1].loc)

    def _action_list(self, owner: Frame, decl: ir.TableDecl, lowered: _Lowered) -> None:
        for ref in decl.actions:
            action = self._referenced(owner, ref, lowered)
            lowered.variants.setdefault(ref.action, []).append(action)
            lowered.table.actions.append(core.ActionRef(action, ref.annotations))
        nothing = self.no_action
        if decl.default_action is None and nothing is not None and nothing not in lowered.variants:
            action = self.action(self.work.blocks.owner(owner, nothing), nothing)
            only = ir.Annotation("defaultonly", "none", loc=decl.loc)
            lowered.table.actions.append(core.ActionRef(action, [only]))
            lowered.variants[nothing] = [action]

    def _referenced(self, owner: Frame, ref: ir.ActionRef, lowered: _Lowered) -> core.Action:
        decl = ref.action
        home = self.work.blocks.owner(owner, decl)
        if not ref.call.args:
            return self.action(home, decl)
        return self._specialized(owner, home, ref.call)

    def _default(self, owner: Frame, decl: ir.TableDecl, lowered: _Lowered) -> None:
        table = lowered.table
        call = decl.default_action
        target = call.target if call is not None else self.no_action
        if target is None:
            return
        assert isinstance(target, ir.ActionDecl)
        found = lowered.variants.get(target)
        table.default = (
            found[0] if found else self.action(self.work.blocks.owner(owner, target), target)
        )
        table.default_const = decl.default_const
        if call is not None:
            table.default_args = self._control_args(owner, call)

    def _control_args(self, owner: Frame, call: ir.Call) -> list[int]:
        """The constants given to the control plane's (directionless) parameters, in order."""
        by_param = {
            a.param: a.expr for a in call.args if a.param is not None and not a.param.direction
        }
        assert isinstance(call.target, ir.ActionDecl)
        values: list[int] = []
        for param in call.target.params:
            if param.direction or param not in by_param:
                continue
            e = by_param[param]
            scalar = scalar_type(param.type)
            number = self.work.exprs.number(owner, e, "an action's argument")
            values.append(fold.wrap(number, scalar) if scalar is not None else number)
        return values

    # --- actions ---

    def action(self, owner: Frame | None, decl: ir.ActionDecl) -> core.Action:
        """The action as tables run it."""
        key = (owner, decl, self.work.block)
        found = self._actions.get(key)
        if found is None:
            found = self._new_action(owner, decl)
            self._actions[key] = found
            self._build(found, Frame(owner, decl.name), decl, None, owner)
        return found

    def known(self, owner: Frame | None, decl: ir.ActionDecl, block: str) -> core.Action | None:
        """The action if a table uses it, else what P4Info shows of one that is called directly."""
        key = (owner, decl, block)
        return self._actions.get(key) or self._direct.get(key)

    def called_directly(self, owner: Frame | None, decl: ir.ActionDecl) -> None:
        """Note a call from a control's body: the action has no parameters left then."""
        key = (owner, decl, self.work.block)
        if key not in self._direct:
            self._direct[key] = self._new_action(owner, decl)

    def _new_action(self, owner: Frame | None, decl: ir.ActionDecl) -> core.Action:
        name = decl.external_name
        full = owner.named(name) if owner is not None else name.lstrip(".")
        return core.Action(full, [], [], decl.loc, decl=decl, block=self.work.block, owner=owner)

    def _specialized(self, caller: Frame, owner: Frame | None, call: ir.Call) -> core.Action:
        """A copy of an action with the data-plane arguments of an action list bound."""
        decl = call.target
        assert isinstance(decl, ir.ActionDecl)
        key = (owner, decl, self.work.block)
        made = self._new_action(owner, decl)
        self._actions.setdefault(key, made)
        self._build(made, Frame(owner, decl.name), decl, call, caller)
        return made

    def _build(
        self,
        action: core.Action,
        frame: Frame,
        decl: ir.ActionDecl,
        call: ir.Call | None,
        caller: Frame | None,
    ) -> None:
        self.order.append(action)
        for param in decl.params:
            if not param.direction:
                self._parameter(action, frame, param)
        block = core.Block(decl.name, [], decl.loc)
        frame.block = block

        def body() -> None:
            after: list[Any] = []
            if call is not None and caller is not None:
                directed = [a for a in call.args if a.param is not None and a.param.direction]
                args = self.work.calls.evaluate_args(caller, directed)
                after = self.work.calls.bind(frame, args, call.loc, copy=True)
            outer, self.work.action_start = self.work.action_start, len(self.work.pending)
            self.work.pending.append(after)
            block.body = self.work.collect(lambda: self.work.stmts.block(frame, decl.body))
            self.work.pending.pop()
            self.work.action_start = outer
            self.work.emit(block)
            self.work.calls.copy_back(after, decl.loc)

        was, self.work.in_action = self.work.in_action, True
        action.body = self.work.collect(body)
        self.work.in_action = was

    def _parameter(self, action: core.Action, frame: Frame, param: ir.Param) -> None:
        t = underlying(frame.type(param.type))
        scalar = scalar_type(t)
        if not isinstance(t, (BitsType, EnumType)) or scalar is None:
            self.work.reporter.error(
                "invalid",
                f"action parameter '{param.name}' has type {param.type}: action parameters must be"
                " bit<> or int<> on this target",
                param.loc,
            )
            return
        var = core.Var(
            param.external_name,
            scalar,
            "param",
            loc=param.loc,
            index=len(action.params),
            annotations=param.annotations,
        )
        action.params.append(var)
        frame.values[param] = core.VarRef(var)

    # --- entries and properties ---

    def _entries(self, owner: Frame, decl: ir.TableDecl, lowered: _Lowered) -> None:
        if decl.entries is None:
            return
        table = lowered.table
        table.has_entries = True
        table.entries_const = decl.entries_const
        priorities: list[int | None] = []
        for i, entry in enumerate(decl.entries):
            target = entry.call.target
            assert isinstance(target, ir.ActionDecl)
            keys = [
                self.work.blocks.key_value(owner, e, k.expr.type)
                for e, k in zip(entry.keyset.items, table.keys, strict=True)
            ]
            action = lowered.variants[target][0]
            args = self._control_args(owner, entry.call)
            place = self._annotated_priority(owner, entry) or i + 1
            const = entry.is_const or decl.entries_const
            table.entries.append(core.Entry(keys, action, args, place, entry.loc, const))
            given = entry.priority
            priorities.append(
                None if given is None else self.work.exprs.number(owner, given, "a priority")
            )
        self._rank(decl, table, priorities)
        self._leave_out_repeated(table)

    def _leave_out_repeated(self, table: core.Table) -> None:
        """Keys that are told apart by nothing but priorities may come again, others may not.

        BMv2 ends when it loads such an entry; it could never match.
        """
        if not all(key.match in ("exact", "lpm") for key in table.keys):
            return
        ones = [(1 << core.scalar_width(key.expr.type)) - 1 for key in table.keys]
        first: dict[tuple[tuple[int, int], ...], core.Entry] = {}
        for entry in table.entries:
            keys = tuple(_value_and_mask(v, m) for v, m in zip(entry.keys, ones, strict=True))
            same = first.setdefault(keys, entry)
            if same is not entry:
                self.work.reporter.warning(
                    "duplicate",
                    "an earlier entry has the same key: this one never matches",
                    entry.loc,
                    (same.loc, "the earlier one"),
                )
        table.entries = list(first.values())

    def _annotated_priority(self, owner: Frame, entry: ir.Entry) -> int | None:
        """What `@priority(N)` says, in BMv2's own counting."""
        for a in entry.annotations:
            if a.name == "priority" and a.exprs:
                return self.work.exprs.number(owner, a.exprs[0], "a priority")
        return None

    def _rank(self, decl: ir.TableDecl, table: core.Table, priorities: list[int | None]) -> None:
        """Turn P4 priorities (largest wins unless told otherwise) to BMv2's (smallest wins)."""
        if all(p is None for p in priorities):
            return
        prop = decl.property("largest_priority_wins")
        largest = prop is None or prop.expr.value is not False
        delta_prop = decl.property("priority_delta")
        delta = delta_prop.expr.value if delta_prop is not None else 1
        assert isinstance(delta, int)
        current, known = 0, []
        for p in priorities:
            current = p if p is not None else current + (-delta if largest else delta)
            known.append(current)
        if min(known) < 0:
            raise Unsupported(
                f"the priorities of table '{decl.name}' fall below 0", decl.loc, "overlimit"
            )
        self._warn_of_priorities(decl, known, largest)
        order = sorted(range(len(known)), key=lambda i: -known[i] if largest else known[i])
        for rank, i in enumerate(order):
            table.entries[i].priority = rank + 1

    def _warn_of_priorities(self, decl: ir.TableDecl, known: list[int], largest: bool) -> None:
        """Entries that share a priority, and the first that stands behind one it wins over."""
        warning = self.work.reporter.warning
        entries = decl.entries or []
        earlier: dict[int, ir.Entry] = {}
        for priority, entry in zip(known, entries, strict=True):
            first = earlier.setdefault(priority, entry)
            if first is not entry:
                message = f"this entry and an earlier one have the same priority {priority}"
                warning("duplicate-priorities", message, entry.loc, (first.loc, "the earlier one"))
        for i, (one, other) in enumerate(pairwise(known), 1):
            if one < other if largest else one > other:
                message = f"an entry of priority {other} stands behind one of priority {one}"
                place = (entries[i - 1].loc, "that one")
                warning("entries-out-of-priority-order", message, entries[i].loc, place)
                return

    def _properties(self, owner: Frame, decl: ir.TableDecl, table: core.Table) -> None:
        for prop in decl.properties:
            if prop.name not in KNOWN_PROPERTIES:
                self.work.reporter.warning(
                    "ignore-prop",
                    f"table property '{prop.name}' is not known and ignored",
                    prop.loc,
                )
        size = decl.property("size")
        if size is not None:
            self._size(owner, decl, table, size)
        timeout = decl.property("support_timeout")
        table.timeout = timeout is not None and timeout.expr.value is True
        table.implementation = self._resource(owner, decl, "implementation", _PROFILES)
        table.counter = self._resource(owner, decl, "counters", ("direct_counter",))
        table.meter = self._resource(owner, decl, "meters", ("direct_meter",))

    def _size(self, owner: Frame, decl: ir.TableDecl, table: core.Table, prop: ir.Property) -> None:
        size = table.size = self.work.exprs.size(owner, prop.expr, "a table's size")
        if size < 0:
            raise Unsupported(
                f"a table's size must not be negative, it is {size}", prop.loc, "invalid"
            )
        if not decl.keys and size != 1:
            self.work.reporter.warning(
                "mismatch", f"size {size} has no effect: the table has no key", prop.loc
            )
        elif decl.entries is not None and decl.entries_const:
            self.work.reporter.warning(
                "mismatch", f"size {size} has no effect: the table's entries are constant", prop.loc
            )

    def _resource(
        self, owner: Frame, decl: ir.TableDecl, name: str, kinds: tuple[str, ...]
    ) -> core.Instance | None:
        prop = decl.property(name)
        if prop is None:
            return None
        if isinstance(prop.expr, ir.ConstructorCall):
            instance = self._in_place(owner, decl, prop, prop.expr)
        else:
            found = self.work.exprs.value(owner, prop.expr)
            if not isinstance(found, core.Instance):
                raise Unsupported(
                    f"property '{name}' must be an extern object", prop.loc, "expected"
                )
            instance = found
        if instance.kind not in kinds:
            raise Unsupported(
                f"property '{name}' must be a {' or '.join(kinds)}, not a {instance.kind}",
                prop.loc,
                "unexpected",
            )
        return instance

    def _in_place(
        self, owner: Frame, decl: ir.TableDecl, prop: ir.Property, call: ir.ConstructorCall
    ) -> core.Instance:
        annotation = prop.annotation("name")
        if annotation is None:
            raise Unsupported(
                f"table '{decl.name}' constructs its '{prop.name}' in place, which needs a @name"
                " annotation for P4Runtime",
                prop.loc,
            )
        name = prop.external_name
        instance = self.work.blocks.extern_object(owner, call, name, prop.annotations, prop.loc)
        instance.in_place = True
        return instance


def _value_and_mask(key: core.KeyValue, ones: int) -> tuple[int, int]:
    mask = 0 if key.any else ones if key.mask is None else key.mask
    return key.value & mask, mask


def _annotated_name(element: ir.KeyElement) -> str | None:
    a = element.annotation("name")
    if a is not None and a.exprs and isinstance(a.exprs[0], ir.StringLit):
        return a.exprs[0].text
    return None
