"""The exported description of a program's objects: `const struct p4n_pipeline p4n_pipeline`."""

from __future__ import annotations

from p4native.bmv2 import model as m
from p4native.codegen.context import Context
from p4native.codegen.effects import effects
from p4native.codegen.emitter import Emitter
from p4native.codegen.layout import (
    action_data_bytes,
    key_bytes,
    key_fields,
    learn_bytes,
    pack,
    pack_action_data,
    packed_bytes,
    register_cell_bytes,
    value_set_widths,
)
from p4native.codegen.names import byte_array, c_string
from p4native.codegen.tables import is_inlined

_KINDS = {
    "exact": "P4N_TABLE_EXACT",
    "lpm": "P4N_TABLE_LPM",
    "ternary": "P4N_TABLE_TERNARY",
    "range": "P4N_TABLE_RANGE",
}
_IMPLS = {
    "simple": "P4N_IMPL_SIMPLE",
    "indirect": "P4N_IMPL_PROFILE",
    "indirect_ws": "P4N_IMPL_SELECTOR",
}
_NONE = "P4N_NONE"


class DescriptorGen:
    """Generates the descriptor arrays and the pipeline structure."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.program = context.program

    def emit(self, out: Emitter) -> None:
        """Everything the engine needs to create the program's objects."""
        counts = {
            "tables": self._tables(out),
            "actions": self._actions(out),
            "profiles": self._profiles(out),
            "counters": self._counters(out),
            "meters": self._meters(out),
            "registers": self._registers(out),
            "value_sets": self._value_sets(out),
            "learn_lists": self._learn_lists(out),
        }
        head = '__attribute__((visibility("default"))) const struct p4n_pipeline p4n_pipeline = {'
        out.line(head)
        out.line("\t.abi = P4N_ABI_VERSION,")
        out.line(f"\t.name = {c_string(self.program.name)},")
        for name, count in counts.items():
            if count:
                out.line(f"\t.{name} = {name},")
                out.line(f"\t.n_{name} = {count},")
        flags = " | ".join(effects(self.context)) or "0"
        out.line(f"\t.effects = {flags},")
        out.line("\t.state_bytes = sizeof(struct p4n_state),")
        out.line("\t.process = p4n_process,")
        out.line("\t.flush = p4n_flush,")
        out.line("};")

    @staticmethod
    def _array(out: Emitter, name: str, rows: list[list[str]]) -> int:
        if rows:
            out.line(f"static const struct p4n_{name[:-1]}_desc {name}[] = {{")
            for row in rows:
                out.line("\t{ " + ", ".join(row) + " },")
            out.line("};")
            out.line()
        return len(rows)

    # --- tables ----------------------------------------------------------------------------------

    def _tables(self, out: Emitter) -> int:
        for i, table in enumerate(self.program.tables):
            self._table_parts(out, i, table)
        if self.program.tables:
            out.line("static const struct p4n_table_desc tables[] = {")
            for i, table in enumerate(self.program.tables):
                self._table(out, i, table)
            out.line("};")
            out.line()
        return len(self.program.tables)

    def _table_parts(self, out: Emitter, i: int, table: m.Table) -> None:
        fields = key_fields(table)
        if fields:
            out.line(f"static const struct p4n_key_field fields_{i}[] = {{")
            for field in fields:
                kind = f"P4N_MATCH_{field.kind.name}"
                out.line(
                    f"\t{{ {c_string(field.name)}, {field.width}, {field.offset}, "
                    f"{field.bytes}, {kind} }},"
                )
            out.line("};")
        ids = ", ".join(map(str, table.action_ids))
        if ids:
            out.line(f"static const uint32_t actions_{i}[] = {{ {ids} }};")
        if table.default is not None:
            data = self._data(table.default)
            out.line(f"static const uint8_t default_{i}[] = {byte_array(data)};")
        for j, entry in enumerate(table.entries):
            self._entry_bytes(out, f"{i}_{j}", table, entry)
        if table.entries:
            out.line(f"static const struct p4n_const_entry entries_{i}[] = {{")
            for j, entry in enumerate(table.entries):
                self._entry(out, f"{i}_{j}", table, entry)
            out.line("};")
        out.line()

    def _data(self, call: m.ActionCall) -> bytes:
        return pack_action_data(self.program.action(call.action_id), call.args)

    def _entry_bytes(self, out: Emitter, name: str, table: m.Table, entry: m.Entry) -> None:
        widths = [k.width for k in table.keys]
        key = pack([k.key for k in entry.keys], widths)
        out.line(f"static const uint8_t key_{name}[] = {byte_array(key)};")
        if table.match_type in ("ternary", "range"):
            mask = pack([_mask(k, e) for k, e in zip(table.keys, entry.keys, strict=True)], widths)
            out.line(f"static const uint8_t mask_{name}[] = {byte_array(mask)};")
        data = self._data(entry.action)
        if data:
            out.line(f"static const uint8_t data_{name}[] = {byte_array(data)};")

    def _entry(self, out: Emitter, name: str, table: m.Table, entry: m.Entry) -> None:
        mask = f"mask_{name}" if table.match_type in ("ternary", "range") else "NULL"
        size = len(self._data(entry.action))
        data = f"data_{name}" if size else "NULL"
        prefix = max((k.prefix_len for k in entry.keys), default=0)
        out.line(
            f"\t{{ key_{name}, {mask}, {prefix}, {entry.priority}, "
            f"{entry.action.action_id}, {data}, {size} }},"
        )

    def _table(self, out: Emitter, i: int, table: m.Table) -> None:
        lpm = next((n for n, k in enumerate(table.keys) if k.kind is m.MatchKind.LPM), None)
        meter = table.direct_meter
        profile = table.profile
        default = table.default
        const = table.default_action_const or table.default_entry_const
        data = max((action_data_bytes(self.program.action(a)) for a in table.action_ids), default=0)
        values = {
            "name": c_string(table.name),
            "id": str(table.id),
            "kind": _KINDS[table.match_type],
            "impl": _IMPLS[table.impl],
            "fields": f"fields_{i}" if table.keys else "NULL",
            "n_fields": str(len(table.keys)),
            "key_bytes": str(key_bytes(table)),
            "lpm_field": _NONE if lpm is None else str(lpm),
            "max_size": str(table.max_size),
            "max_data_bytes": str(data),
            "actions": f"actions_{i}" if table.action_ids else "NULL",
            "n_actions": str(len(table.action_ids)),
            "profile": _NONE if profile is None else str(self.context.profiles[profile]),
            "direct_meter": _NONE if meter is None else str(self.context.meters[meter]),
            "with_counters": _bool(table.with_counters),
            "with_timeout": _bool(table.support_timeout),
            "const_default": _bool(const),
            "const_entries": _bool(table.immutable),
            "inlined": _bool(is_inlined(table)),
            "default_action": _NONE if default is None else str(default.action_id),
            "default_data": f"default_{i}" if default is not None else "NULL",
            "default_data_bytes": "0" if default is None else str(len(self._data(default))),
            "entries": f"entries_{i}" if table.entries else "NULL",
            "n_entries": str(len(table.entries)),
        }
        out.line("\t{")
        for name, value in values.items():
            out.line(f"\t\t.{name} = {value},")
        out.line("\t},")

    # --- the others ------------------------------------------------------------------------------

    def _actions(self, out: Emitter) -> int:
        return self._array(
            out,
            "actions",
            [
                [c_string(a.name), str(a.id), str(action_data_bytes(a))]
                for a in self.program.actions
            ],
        )

    def _profiles(self, out: Emitter) -> int:
        return self._array(
            out,
            "profiles",
            [
                [c_string(p.name), str(p.id), str(p.max_size), _bool(p.selector is not None)]
                for p in self.program.profiles
            ],
        )

    def _binding(self, name: str | None) -> str:
        return _NONE if name is None else str(self.context.tables[name])

    def _counters(self, out: Emitter) -> int:
        return self._array(
            out,
            "counters",
            [
                [c_string(c.name), str(c.id), str(c.size), self._binding(c.binding)]
                for c in self.program.counters
            ],
        )

    def _meters(self, out: Emitter) -> int:
        return self._array(
            out,
            "meters",
            [
                [
                    c_string(x.name),
                    str(x.id),
                    str(x.size),
                    str(x.rate_count),
                    _bool(x.counts_bytes),
                    self._binding(x.binding),
                ]
                for x in self.program.meters
            ],
        )

    def _registers(self, out: Emitter) -> int:
        return self._array(
            out,
            "registers",
            [
                [c_string(r.name), str(r.id), str(r.size), str(r.width), str(cell)]
                for r in self.program.registers
                for cell in [register_cell_bytes(r.width)]
            ],
        )

    def _value_sets(self, out: Emitter) -> int:
        return self._array(
            out,
            "value_sets",
            [
                [c_string(v.name), str(v.id), str(size), str(v.max_size)]
                for v in self.program.value_sets
                for size in [packed_bytes(value_set_widths(self.program, v.name))]
            ],
        )

    def _learn_lists(self, out: Emitter) -> int:
        rows = [
            [c_string(f.name), str(f.id), str(learn_bytes(f))] for f in self.program.learn_lists
        ]
        if rows:
            out.line("static const struct p4n_learn_desc learn_lists[] = {")
            for row in rows:
                out.line("\t{ " + ", ".join(row) + " },")
            out.line("};")
            out.line()
        return len(rows)


def _mask(key: m.Key, entry: m.EntryKey) -> int:
    """The mask (range: the high bound) of a const entry's field."""
    if entry.kind in (m.MatchKind.TERNARY, m.MatchKind.OPTIONAL, m.MatchKind.RANGE):
        return entry.mask
    ones = (1 << key.width) - 1
    if entry.kind is m.MatchKind.LPM:
        return ones & ~((1 << (key.width - entry.prefix_len)) - 1)
    return ones


def _bool(value: bool) -> str:
    return "true" if value else "false"
