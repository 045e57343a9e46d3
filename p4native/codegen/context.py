"""What every generator needs to know of the program: indices, layout, what is used."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from p4native.bmv2 import model as m
from p4native.codegen.errors import CodegenError
from p4native.codegen.phv import PhvLayout

# What simple_switch itself reads and writes, by BMv2's names.
ARCHITECTURE_FIELDS = (
    "standard_metadata.ingress_port",
    "standard_metadata.packet_length",
    "standard_metadata.instance_type",
    "standard_metadata.egress_spec",
    "standard_metadata.egress_port",
    "standard_metadata.parser_error",
    "standard_metadata.checksum_error",
    "intrinsic_metadata.ingress_global_timestamp",
    "intrinsic_metadata.egress_global_timestamp",
    "intrinsic_metadata.mcast_grp",
    "intrinsic_metadata.egress_rid",
    "intrinsic_metadata.priority",
    "queueing_metadata.enq_timestamp",
    "queueing_metadata.enq_qdepth",
    "queueing_metadata.deq_timedelta",
    "queueing_metadata.deq_qdepth",
    "queueing_metadata.qid",
)


@dataclass(slots=True)
class Context:
    """Shared, read-only facts about one program."""

    program: m.Program
    layout: PhvLayout
    used: set[tuple[str, str]]
    tables: dict[str, int] = field(default_factory=dict)
    registers: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    meters: dict[str, int] = field(default_factory=dict)
    value_sets: dict[str, int] = field(default_factory=dict)
    calculations: dict[str, m.Calculation] = field(default_factory=dict)
    calculation_index: dict[str, int] = field(default_factory=dict)
    profiles: dict[str, int] = field(default_factory=dict)
    live_actions: set[int] = field(default_factory=set)
    primitives: set[str] = field(default_factory=set)

    def arch_field(self, name: str) -> m.FieldRef | None:
        """The field that plays a part of the architecture, by BMv2's name; aliases win."""
        alias = self.program.aliases.get(name)
        if alias is not None:
            return alias
        header_name, _, field_name = name.partition(".")
        header = next((h for h in self.program.headers if h.name == header_name), None)
        found = header.type.field(field_name) if header is not None else None
        return m.FieldRef(header, found) if header is not None and found is not None else None

    def is_used(self, ref: m.FieldRef) -> bool:
        """True when the program itself refers to the field."""
        return (ref.header.name, ref.field.name) in self.used


def make_context(program: m.Program) -> Context:
    """Analyses a program; refuses one that lacks what simple_switch requires."""
    used = used_fields(program)
    probe = Context(program, PhvLayout.__new__(PhvLayout), used)
    kept = set(used)
    for name in ARCHITECTURE_FIELDS:
        ref = probe.arch_field(name)
        if ref is not None:
            kept.add((ref.header.name, ref.field.name))
    for name in ARCHITECTURE_FIELDS[:5]:
        if probe.arch_field(name) is None:
            raise CodegenError("program", f"the field {name} that simple_switch needs is missing")
    return Context(
        program=program,
        layout=PhvLayout(program, kept),
        used=used,
        tables={t.name: i for i, t in enumerate(program.tables)},
        registers={r.name: i for i, r in enumerate(program.registers)},
        counters={c.name: i for i, c in enumerate(program.counters)},
        meters={x.name: i for i, x in enumerate(program.meters)},
        value_sets={v.name: i for i, v in enumerate(program.value_sets)},
        calculations={c.name: c for c in program.calculations},
        calculation_index={c.name: i for i, c in enumerate(program.calculations)},
        profiles={p.name: i for i, p in enumerate(program.profiles)},
        live_actions=_live_actions(program),
        primitives=_primitives(program),
    )


def _live_actions(program: m.Program) -> set[int]:
    live = {call.action_id for p in program.pipelines for call in p.calls}
    for table in program.tables:
        live.update(table.action_ids)
        live.update(e.action.action_id for e in table.entries)
        if table.default is not None:
            live.add(table.default.action_id)
    return live


def _primitives(program: m.Program) -> set[str]:
    live = _live_actions(program)
    names = {c.op for a in program.actions if a.id in live for c in a.calls}
    for parser in program.parsers:
        for state in parser.states:
            names.update(op.call.op for op in state.ops if op.call is not None)
    return names


def used_fields(program: m.Program) -> set[tuple[str, str]]:
    """(header, field) pairs that the program reads or writes anywhere."""
    found: set[tuple[str, str]] = set()
    parts: list[Any] = [
        program.parsers,
        program.deparsers,
        program.pipelines,
        program.actions,
        program.calculations,
        program.checksums,
        program.meters,
        program.learn_lists,
        program.field_lists,
        program.profiles,
    ]
    for part in parts:
        _collect(part, found)
    return found


def _collect(part: Any, found: set[tuple[str, str]]) -> None:
    if isinstance(part, m.FieldRef):
        found.add((part.header.name, part.field.name))
    elif isinstance(part, m.HeaderRef):
        if part.header.metadata:
            found.update((part.header.name, f.name) for f in part.header.type.fields)
    elif isinstance(part, m.Header | m.Stack | m.Union | m.UnionStack | m.HeaderType):
        return
    elif isinstance(part, tuple | list):
        for item in part:
            _collect(item, found)
    elif is_dataclass(part):
        for spec in fields(part):
            _collect(getattr(part, spec.name), found)
