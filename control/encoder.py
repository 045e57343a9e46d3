"""Policy entries to P4Runtime messages, with ids and byte widths looked up once per program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from finsy.proto import p4i, p4r
from google.protobuf import text_format

from control.difference import Key, index, key_of
from control.errors import ControlError
from control.policy import Entry, Group, Meter, MeterRate, NicProgram, Session
from control.policy.entries import Match
from control.session import canonical

_Field = Callable[[p4r.FieldMatch, Any], None]


def _exact(match: p4r.FieldMatch, value: int) -> None:
    match.exact.value = canonical(value)


def _lpm(match: p4r.FieldMatch, value: tuple[int, int]) -> None:
    match.lpm.value, match.lpm.prefix_len = canonical(value[0]), value[1]


def _ternary(match: p4r.FieldMatch, value: tuple[int, int]) -> None:
    match.ternary.value, match.ternary.mask = canonical(value[0] & value[1]), canonical(value[1])


def _range(match: p4r.FieldMatch, value: tuple[int, int]) -> None:
    match.range.low, match.range.high = canonical(value[0]), canonical(value[1])


def _optional(match: p4r.FieldMatch, value: int) -> None:
    match.optional.value = canonical(value)


_KINDS: dict[int, _Field] = {
    p4i.MatchField.EXACT: _exact,
    p4i.MatchField.LPM: _lpm,
    p4i.MatchField.TERNARY: _ternary,
    p4i.MatchField.RANGE: _range,
    p4i.MatchField.OPTIONAL: _optional,
}


class _Table:
    """One table's ids: match fields by name with their encoder, actions by name with parameters."""

    def __init__(self, table: p4i.Table, actions: dict[int, p4i.Action]) -> None:
        self.id = table.preamble.id
        self.fields = {f.name: (f.id, _KINDS[f.match_type]) for f in table.match_fields}
        self.actions: dict[str, tuple[int, dict[str, int]]] = {}
        for ref in table.action_refs:
            action = actions[ref.id]
            parameters = {param.name: param.id for param in action.params}
            self.actions[action.preamble.alias] = (ref.id, parameters)


class Encoder:
    """Encodes the entries of one P4 program."""

    def __init__(self, p4info: Path) -> None:
        info = text_format.Parse(p4info.read_text(encoding="utf-8"), p4i.P4Info())
        actions = {action.preamble.id: action for action in info.actions}
        self.const_tables = frozenset(t.preamble.id for t in info.tables if t.is_const_table)
        self.table_ids = {t.preamble.alias: t.preamble.id for t in info.tables}
        self.table_sizes = {t.preamble.alias: t.size for t in info.tables}
        self.digest_ids = {d.preamble.alias: d.preamble.id for d in info.digests}
        self.counter_ids = {c.preamble.alias: c.preamble.id for c in info.counters}
        self.metered = frozenset(meter.direct_table_id for meter in info.direct_meters)
        self.meter_ids = {m.preamble.alias: m.preamble.id for m in info.meters}
        self._tables = {t.preamble.alias: _Table(t, actions) for t in info.tables}
        self._known: dict[Entry, tuple[Key, p4r.Entity]] = {}
        self._by_id = {table.id: alias for alias, table in self._tables.items()}

    def exact_fields(self, table: str) -> dict[str, int]:
        """Ids of a table's match fields by name. ControlError unless all of them are exact."""
        fields = self._tables[table].fields
        if any(encode is not _exact for _, encode in fields.values()):
            raise ControlError(f"{table} of the P4 program on the NIC is not an exact table.")
        return {name: number for name, (number, _) in fields.items()}

    def describe(self, update: p4r.Update) -> str:
        """One update as a line for the operator: sign, table, match, action."""
        sign = {p4r.Update.INSERT: "+", p4r.Update.MODIFY: "~", p4r.Update.DELETE: "-"}[update.type]
        entity = update.entity
        if entity.HasField("table_entry"):
            return f"{sign} {self._describe_entry(entity.table_entry)}"
        text = text_format.MessageToString(entity, as_one_line=True)
        return f"{sign} {text}"

    def _describe_entry(self, entry: p4r.TableEntry) -> str:
        """Table, match and action of an entry, with names and hexadecimal values."""
        alias = self._by_id[entry.table_id]
        table = self._tables[alias]
        names = {number: name for name, (number, _) in table.fields.items()}
        fields = [f"{names[match.field_id]}={_show(match)}" for match in entry.match]
        if entry.priority:
            fields.append(f"priority={entry.priority}")
        words = [alias, *fields]
        for name, (number, parameters) in table.actions.items():
            if number == entry.action.action.action_id:
                labels = {i: label for label, i in parameters.items()}
                values = (
                    f"{labels[p.param_id]}=0x{p.value.hex()}" for p in entry.action.action.params
                )
                words.append(f"-> {name}({', '.join(values)})")
        return " ".join(words)

    def decode_match(self, entry: p4r.TableEntry) -> tuple[str, Match]:
        """The table and match of an entry as read from a NIC."""
        alias = self._by_id[entry.table_id]
        given = {match.field_id: _value(match) for match in entry.match}
        fields = self._tables[alias].fields.items()
        return alias, tuple((name, given[n]) for name, (n, _) in fields if n in given)

    def decode(self, entry: p4r.TableEntry) -> Entry:
        """A table entry as read from a NIC, with the P4Info's names; statistics are left out."""
        alias, match = self.decode_match(entry)
        table = self._tables[alias]
        chosen = entry.action.action
        values = {param.param_id: int.from_bytes(param.value, "big") for param in chosen.params}
        for action, (number, parameters) in table.actions.items():
            if number == chosen.action_id:
                params = tuple((name, values[i]) for name, i in parameters.items())
                return Entry(alias, match, action, params, priority=entry.priority)
        raise ControlError(f"an entry of {alias} has an action that the P4 program does not have.")

    def program(self, program: NicProgram) -> list[p4r.Entity]:
        """Everything a NIC should hold, as entities."""
        entities = [self.group(group) for group in program.groups]
        entities += [self.session(session) for session in program.sessions]
        entities += [self.meter(meter) for meter in program.meters]
        entities += [self.entry(entry) for entry in program.entries]
        return entities

    def indexed(self, program: NicProgram) -> dict[Key, p4r.Entity]:
        """The same by what identifies each; an entry of the last program is encoded only once."""
        known, self._known = self._known, {}
        for entry in program.entries:
            made = known.get(entry)
            if made is None:
                entity = self.entry(entry)
                made = key_of(entity), entity
            self._known[entry] = made
        others = index(self.program(replace(program, entries=())))
        return others | dict(self._known.values())

    def entry(self, entry: Entry) -> p4r.Entity:
        """One table entry. Raises ControlError if the P4 program has no such table or action."""
        entity = p4r.Entity()
        target = entity.table_entry
        try:
            table = self._tables[entry.table]
            target.table_id = table.id
            for name, value in entry.match:
                match = target.match.add()
                match.field_id, encode = table.fields[name]
                encode(match, value)
            action = target.action.action
            action.action_id, known = table.actions[entry.action]
            parameters = dict(known)
            for name, number in entry.params:
                action.params.add(param_id=parameters.pop(name), value=canonical(number))
        except KeyError as error:
            raise self._mismatch(
                entry, f"no {error.args[0]!r}, which the controller writes"
            ) from None
        if parameters:
            surplus = next(iter(parameters))
            raise self._mismatch(
                entry, f"a parameter {surplus!r} that the controller does not write"
            )
        target.priority = entry.priority
        target.idle_timeout_ns = entry.idle_timeout_ns
        if entry.meter is not None:
            _rate(target.meter_config, entry.meter)
        return entity

    def _mismatch(self, entry: Entry, what: str) -> ControlError:
        """The program and the controller are of different versions."""
        return ControlError(
            f"the P4 program on the NIC has {what} (table {entry.table}, action {entry.action}); "
            "take p4src and control from one version."
        )

    def group(self, group: Group) -> p4r.Entity:
        """A multicast group."""
        entity = p4r.Entity()
        target = entity.packet_replication_engine_entry.multicast_group_entry
        target.multicast_group_id = group.id
        for port, instance in group.replicas:
            target.replicas.add(egress_port=port, instance=instance)
        return entity

    def session(self, session: Session) -> p4r.Entity:
        """A clone session, as mirrors use it."""
        entity = p4r.Entity()
        target = entity.packet_replication_engine_entry.clone_session_entry
        target.session_id = session.id
        target.replicas.add(egress_port=session.port, instance=1)
        return entity

    def meter(self, meter: Meter) -> p4r.Entity:
        """One cell of an indirect meter."""
        entity = p4r.Entity()
        if meter.name not in self.meter_ids:
            raise ControlError(
                f"the P4 program on the NIC has no meter {meter.name}, which the controller wants "
                "to set; take p4src and control from one version."
            )
        entity.meter_entry.meter_id = self.meter_ids[meter.name]
        entity.meter_entry.index.index = meter.index
        _rate(entity.meter_entry.config, meter.rate)
        return entity


def _value(match: p4r.FieldMatch) -> int | tuple[int, int]:
    """A match value as policy entries have it."""
    kind = match.WhichOneof("field_match_type")
    number = int.from_bytes
    if kind == "lpm":
        return number(match.lpm.value, "big"), match.lpm.prefix_len
    if kind == "ternary":
        return number(match.ternary.value, "big"), number(match.ternary.mask, "big")
    if kind == "range":
        return number(match.range.low, "big"), number(match.range.high, "big")
    return number(match.optional.value if kind == "optional" else match.exact.value, "big")


def _show(match: p4r.FieldMatch) -> str:
    """A match value in hexadecimal, with mask, prefix length or upper end."""
    kind = match.WhichOneof("field_match_type")
    if kind == "lpm":
        return f"0x{match.lpm.value.hex()}/{match.lpm.prefix_len}"
    if kind == "ternary":
        return f"0x{match.ternary.value.hex()}&0x{match.ternary.mask.hex()}"
    if kind == "range":
        return f"0x{match.range.low.hex()}..0x{match.range.high.hex()}"
    value = match.optional.value if kind == "optional" else match.exact.value
    return f"0x{value.hex()}"


def _rate(config: p4r.MeterConfig, rate: MeterRate) -> None:
    """Fill a meter configuration; rates in bytes per second, bursts in bytes."""
    config.cir, config.cburst = rate.cir, rate.cburst
    config.pir, config.pburst = rate.pir, rate.pburst
