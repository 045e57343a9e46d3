"""Tables: building the key, looking it up, running the action."""

from __future__ import annotations

from p4native.bmv2 import model as m
from p4native.codegen.actions import action_name
from p4native.codegen.bits import Slot, WordGen, slots_of, word_constants
from p4native.codegen.context import Context
from p4native.codegen.emitter import Emitter
from p4native.codegen.expr import ExprGen
from p4native.codegen.layout import key_bytes, pack_action_data
from p4native.codegen.names import byte_array, c_string, u64
from p4native.codegen.store import StoreGen
from p4native.codegen.values import Val

# Const entries up to here become comparisons; more are looked up like any others.
MAX_INLINED = 32


def is_inlined(table: m.Table) -> bool:
    """True when the table's entries are generated as code and never looked up."""
    if not table.keys or table.impl != "simple":
        return not table.keys and table.impl == "simple"
    if not table.immutable or len(table.entries) > MAX_INLINED:
        return False
    tracked = table.with_counters or table.support_timeout or table.direct_meter is not None
    plain = all(
        k.kind in (m.MatchKind.EXACT, m.MatchKind.TERNARY, m.MatchKind.LPM, m.MatchKind.OPTIONAL)
        for k in table.keys
    )
    return plain and not tracked


class TableGen:
    """Generates the application of tables inside a pipeline function."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def apply(self, out: Emitter, table: m.Table, goto: dict[str, str]) -> None:
        """Applies a table, then goes to the next node; `goto` maps node names to labels."""
        exprs = ExprGen(self.context.layout, out, self.context.registers, (), f"table {table.name}")
        number = self.context.tables[table.name]
        if is_inlined(table):
            self._inlined(out, exprs, table, goto)
            return
        out.line(f"struct p4n_table *const t = p->th->tables[{number}];")
        self._lookup(out, exprs, table)
        out.line()
        out.line("const bool hit = e != NULL;")
        out.line()
        if table.with_counters or table.support_timeout or table.direct_meter is not None:
            with out.block("if (hit)"):
                self._on_hit(out, exprs, table)
        out.line("if (!hit)")
        out.line("\te = p4n_table_default(t);")
        if table.impl != "simple":
            self._resolve(out, table)
        out.line("(void)hit;")
        key = f"key, {key_bytes(table)}" if table.keys else "NULL, 0"
        out.line(f"P4N_TRACE_TABLE({number}, {c_string(table.name)}, hit, e, {key});")
        self._dispatch(out, table, goto)

    def _next(self, table: m.Table, action_id: int | None, goto: dict[str, str]) -> str | None:
        """Where to go after an action; None when it depends on hit or miss."""
        if table.by_hit or table.by_miss:
            return None
        if action_id in table.next_by_action:
            return goto_label(goto, table.next_by_action[action_id])
        return goto_label(goto, table.base_default_next)

    # --- lookup ----------------------------------------------------------------------------------

    def _key(self, out: Emitter, exprs: ExprGen, table: m.Table) -> int:
        """Emits `key`, the packed key as words in memory order; returns its length in bytes."""
        slots, total = slots_of(tuple(k.target for k in table.keys))
        words = self._masked(WordGen(exprs).words(slots, total), table, slots, total)
        out.line(f"const uint64_t key[{len(words)}] = {{")
        for word in words:
            out.line(f"\t__builtin_bswap64({word}),")
        out.line("};")
        return total

    @staticmethod
    def _masked(words: list[str], table: m.Table, slots: list[Slot], total: int) -> list[str]:
        if all(k.mask is None for k in table.keys):
            return words
        mask = (1 << total * 8) - 1
        for key, slot in zip(table.keys, slots, strict=True):
            if key.mask is not None:
                size = (slot.width + 7) // 8
                low = (total - slot.offset - size) * 8
                field = (1 << size * 8) - 1
                mask &= ~((field & ~key.mask) << low)
        return [
            f"({w}) & {u64(c)}" for w, c in zip(words, word_constants(mask, total), strict=True)
        ]

    def _lookup(self, out: Emitter, exprs: ExprGen, table: m.Table) -> None:
        if not table.keys:
            out.line("const struct p4n_entry *e = NULL;")
            return
        total = self._key(out, exprs, table)
        kind = {"exact": "exact", "lpm": "lpm"}.get(table.match_type, "ternary")
        out.line(
            f"const struct p4n_entry *e = p4n_{kind}_lookup(t, (const uint8_t *)key, {total});"
        )

    def _on_hit(self, out: Emitter, exprs: ExprGen, table: m.Table) -> None:
        if table.with_counters or table.support_timeout:
            out.line("p4n_entry_hit(p->th, t, e, p->pkt->wire_len);")
        if table.direct_meter is not None:
            number = self.context.meters[table.direct_meter]
            target = self.context.program.meters[number].target
            if target is not None:
                code = "p4n_entry_meter(p->th, t, e, p->pkt->wire_len)"
                StoreGen(exprs).put(exprs.place(target), Val(code, "u64", 0, 2))

    def _resolve(self, out: Emitter, table: m.Table) -> None:
        assert table.profile is not None
        number = self.context.profiles[table.profile]
        profile = self.context.program.profiles[number]
        with out.block("if (e)"):
            if profile.selector is None:
                out.line("e = p4n_resolve_member(t, e, 0);")
            else:
                call = f"(uint32_t)selector_{number}(p)"
                out.line(f"e = p4n_resolve_member(t, e, p4n_entry_is_group(e) ? {call} : 0);")

    # --- actions ---------------------------------------------------------------------------------

    def _same_named(self, table: m.Table, action_id: int) -> list[int]:
        """Ids under which a shared action profile may hold this action (each table has a copy)."""
        if table.profile is None:
            return [action_id]
        program = self.context.program
        name = program.action(action_id).name
        sharing = [t for t in program.tables if t.profile == table.profile]
        ids = {i for t in sharing for i in t.action_ids if program.action(i).name == name}
        return [action_id, *sorted(ids - {action_id})]

    def _dispatch(self, out: Emitter, table: m.Table, goto: dict[str, str]) -> None:
        with out.block("if (e)"):
            out.line("switch (e->action) {")
            done: set[int] = set()
            for action_id in dict.fromkeys(self._runnable(table)):
                ids = [i for i in self._same_named(table, action_id) if i not in done]
                done.update(ids)
                if not ids:
                    continue
                for i in ids:
                    out.line(f"case {i}:")
                self._run(out, table, action_id, "e->data", goto)
            out.line("}")
        self._after(out, table, goto)

    @staticmethod
    def _runnable(table: m.Table) -> list[int]:
        default = [] if table.default is None else [table.default.action_id]
        return [*table.action_ids, *default]

    def _run(
        self, out: Emitter, table: m.Table, action_id: int, data: str, goto: dict[str, str]
    ) -> None:
        action = self.context.program.action(action_id)
        if action.calls:
            out.line(f"\t{action_name(action)}(p, {data});")
        if any(call.op in ("exit", "assert", "assume") for call in action.calls):
            out.line("\tif (p->exit)")
            out.line("\t\treturn;")
        target = self._next(table, action_id, goto)
        out.line("\tbreak;" if target is None else f"\tgoto {target};")

    def _after(self, out: Emitter, table: m.Table, goto: dict[str, str]) -> None:
        """No action ran, or the next node depends on hit or miss."""
        if table.by_hit or table.by_miss:
            out.line("if (hit)")
            out.line(f"\tgoto {goto_label(goto, table.next_hit)};")
            out.line(f"goto {goto_label(goto, table.next_miss)};")
            return
        out.line(f"goto {goto_label(goto, table.base_default_next)};")

    # --- tables turned into code -----------------------------------------------------------------

    def _inlined(self, out: Emitter, exprs: ExprGen, table: m.Table, goto: dict[str, str]) -> None:
        if table.entries:
            self._entries(out, exprs, table, goto)
        fixed = table.default is not None and table.default_entry_const
        if fixed:
            assert table.default is not None
            self._miss_constant(out, table, table.default, goto)
            return
        number = self.context.tables[table.name]
        out.line(f"const struct p4n_entry *e = p4n_table_default(p->th->tables[{number}]);")
        out.line("const bool hit = false;")
        out.line()
        out.line("(void)hit;")
        out.line(f"P4N_TRACE_TABLE({number}, {c_string(table.name)}, hit, e, NULL, 0);")
        self._dispatch(out, table, goto)

    def _entries(self, out: Emitter, exprs: ExprGen, table: m.Table, goto: dict[str, str]) -> None:
        slots, total = slots_of(tuple(k.target for k in table.keys))
        words = self._masked(WordGen(exprs).words(slots, total), table, slots, total)
        names = [out.temp("const uint64_t", w) for w in words]
        out.line(" ".join(f"(void){name};" for name in names))
        for i, entry in match_order(table):
            value, mask = entry_words(table, entry)
            tests = [
                f"{n} == {u64(v)}" if mk == (1 << 64) - 1 else f"({n} & {u64(mk)}) == {u64(v)}"
                for n, v, mk in zip(
                    names, word_constants(value, total), word_constants(mask, total), strict=True
                )
                if mk
            ]
            with out.block(f"if ({' && '.join(tests) or 'true'})"):
                self._constant(out, table, i, entry.action, goto, hit=True)

    def _miss_constant(
        self, out: Emitter, table: m.Table, call: m.ActionCall, goto: dict[str, str]
    ) -> None:
        self._constant(out, table, -1, call, goto, hit=False)

    def _constant(
        self,
        out: Emitter,
        table: m.Table,
        index: int,
        call: m.ActionCall,
        goto: dict[str, str],
        *,
        hit: bool,
    ) -> None:
        """Runs an action with constant arguments, then goes on."""
        action = self.context.program.action(call.action_id)
        number = self.context.tables[table.name]
        data = pack_action_data(action, call.args)
        if data:
            out.line(f"static const uint8_t data[] = {byte_array(data)};")
            out.line()
            out.line("(void)data;")
        argument = "data" if data else "NULL"
        out.line(
            f"P4N_TRACE_CONST({number}, {c_string(table.name)}, {index}, {call.action_id}, "
            f"{argument});"
        )
        if action.calls:
            out.line(f"{action_name(action)}(p, {argument});")
        if any(c.op in ("exit", "assert", "assume") for c in action.calls):
            out.line("if (p->exit)")
            out.line("\treturn;")
        if table.by_hit or table.by_miss:
            target = goto_label(goto, table.next_hit if hit else table.next_miss)
        else:
            target = self._next(table, call.action_id, goto) or "end"
        out.line(f"goto {target};")


def goto_label(goto: dict[str, str], node: str | None) -> str:
    """The label of a control-flow node; the function's end for none."""
    return "end" if node is None else goto[node]


def match_order(table: m.Table) -> list[tuple[int, m.Entry]]:
    """Const entries with their positions, in the order in which they are tried."""
    numbered = list(enumerate(table.entries))
    if table.match_type == "ternary":
        return sorted(numbered, key=lambda pair: (pair[1].priority, pair[0]))
    if table.match_type == "lpm":
        return sorted(numbered, key=lambda pair: -max(k.prefix_len for k in pair[1].keys))
    return numbered


def entry_words(table: m.Table, entry: m.Entry) -> tuple[int, int]:
    """An entry as (value, mask) over the packed key."""
    value = mask = 0
    for key, item in zip(table.keys, entry.keys, strict=True):
        bits = (key.width + 7) // 8 * 8
        full = (1 << bits) - 1
        if item.kind is m.MatchKind.LPM:
            ones = (1 << key.width) - 1
            item_mask = ones & ~((1 << (key.width - item.prefix_len)) - 1)
        elif item.kind in (m.MatchKind.TERNARY, m.MatchKind.OPTIONAL):
            item_mask = item.mask & full
        else:
            item_mask = full
        value = value << bits | item.key & item_mask
        mask = mask << bits | item_mask
    assert mask < 1 << key_bytes(table) * 8
    return value, mask
