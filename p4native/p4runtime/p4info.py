"""A P4Info as the server needs it: validated once, indexed by id (spec, "The P4Info Message")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from finsy.proto import p4i

from p4native.p4runtime.errors import invalid_argument
from p4native.p4runtime.translation import Translations

Kind = p4i.MatchField.MatchType
EXACT, LPM, TERNARY = p4i.MatchField.EXACT, p4i.MatchField.LPM, p4i.MatchField.TERNARY
RANGE, OPTIONAL = p4i.MatchField.RANGE, p4i.MatchField.OPTIONAL
PRIORITY_KINDS = frozenset((TERNARY, RANGE, OPTIONAL))
_KINDS = PRIORITY_KINDS | {EXACT, LPM}

_OBJECTS = (
    "tables",
    "actions",
    "action_profiles",
    "counters",
    "direct_counters",
    "meters",
    "direct_meters",
    "controller_packet_metadata",
    "value_sets",
    "registers",
    "digests",
)


@dataclass(frozen=True, slots=True)
class Field:
    """A match field, action parameter or packet metadata field.

    `width` in bits, 0 for types that the controller sees as strings.
    """

    id: int
    name: str
    width: int
    kind: int = p4i.MatchField.UNSPECIFIED
    type_name: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """An action with its parameters in declaration order."""

    id: int
    name: str
    params: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `scopes` maps each of its actions to an `ActionRef.Scope`."""

    id: int
    name: str
    fields: tuple[Field, ...]
    scopes: Mapping[int, int]
    size: int
    priority: bool
    const_entries: bool
    const_default: bool
    idle_timeout: bool
    profile: int | None
    counter: int | None
    meter: int | None


@dataclass(frozen=True, slots=True)
class Profile:
    """An action profile or selector; limits of 0 mean none."""

    id: int
    name: str
    tables: tuple[int, ...]
    selector: bool
    size: int
    max_group_size: int
    sum_of_members: bool
    max_member_weight: int
    weights_disallowed: bool


@dataclass(frozen=True, slots=True)
class Indexed:
    """A counter or meter array of `size` cells; `spec_type` is the meter's `MeterSpec.Type`."""

    id: int
    name: str
    size: int
    spec_type: int = 0


@dataclass(frozen=True, slots=True)
class Register:
    """A register array of `size` cells with its element type."""

    id: int
    name: str
    size: int
    type_spec: Any


@dataclass(frozen=True, slots=True)
class ValueSet:
    """A parser value set with room for `size` members."""

    id: int
    name: str
    fields: tuple[Field, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest with the type of its message."""

    id: int
    name: str
    type_spec: Any


class P4InfoIndex:
    """Objects of a P4Info by id; INVALID_ARGUMENT from the constructor names the faulty object."""

    def __init__(self, message: p4i.P4Info) -> None:
        """Validate and index `message`."""
        self.message = message
        self.types = message.type_info
        self.translations = Translations(message.type_info)
        self._check_ids()
        self.actions = {a.preamble.id: _action(a, self.translations) for a in message.actions}
        self.meter_types = {m.preamble.id: m.spec.type for m in message.direct_meters}
        self.tables = {t.preamble.id: self._table(t) for t in message.tables}
        self.profiles = {p.preamble.id: self._profile(p) for p in message.action_profiles}
        self.counters = {c.preamble.id: _indexed("counters", c) for c in message.counters}
        self.meters = {m.preamble.id: _indexed("meters", m) for m in message.meters}
        self.registers = {r.preamble.id: _register(r) for r in message.registers}
        self.value_sets = {
            v.preamble.id: _value_set(v, self.translations) for v in message.value_sets
        }
        self.digests = {
            d.preamble.id: Digest(d.preamble.id, d.preamble.name, d.type_spec)
            for d in message.digests
        }
        self.packet_in = self._packet_metadata("packet_in")
        self.packet_out = self._packet_metadata("packet_out")

    def _check_ids(self) -> None:
        seen: dict[int, str] = {}
        for kind in _OBJECTS:
            names: set[str] = set()
            for index, item in enumerate(getattr(self.message, kind)):
                where = f"p4info {kind}[{index}]"
                p4_id, name = item.preamble.id, item.preamble.name
                if not name:
                    raise invalid_argument(f"{where}: preamble has no name")
                where = f"{where} ({name})"
                if p4_id == 0:
                    raise invalid_argument(f"{where}: id 0 is reserved")
                if p4_id in seen:
                    raise invalid_argument(f"{where}: id 0x{p4_id:08x} is also {seen[p4_id]}'s")
                if name in names:
                    raise invalid_argument(f"{where}: another of {kind} has the same name")
                seen[p4_id] = name
                names.add(name)

    def _table(self, table: p4i.Table) -> Table:
        where = f"p4info table {table.preamble.name}"
        fields = tuple(_match_fields(where, table.match_fields, self.translations))
        scopes = {ref.id: ref.scope for ref in table.action_refs}
        for action_id in (*scopes, *filter(None, (table.const_default_action_id,))):
            if action_id not in self.actions:
                raise invalid_argument(f"{where}: action id 0x{action_id:08x} is not defined")
        if table.size < 0:
            raise invalid_argument(f"{where}: size {table.size} is negative")
        counter, meter = self._direct_resources(where, table)
        return Table(
            id=table.preamble.id,
            name=table.preamble.name,
            fields=fields,
            scopes=scopes,
            size=table.size,
            priority=any(field.kind in PRIORITY_KINDS for field in fields),
            const_entries=table.is_const_table,
            const_default=table.const_default_action_id != 0,
            idle_timeout=table.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL,
            profile=self._implementation(where, table),
            counter=counter,
            meter=meter,
        )

    def _implementation(self, where: str, table: p4i.Table) -> int | None:
        profile_id = table.implementation_id
        if not profile_id:
            return None
        if all(p.preamble.id != profile_id for p in self.message.action_profiles):
            raise invalid_argument(
                f"{where}: implementation 0x{profile_id:08x} is not an action profile"
            )
        return profile_id

    def _direct_resources(self, where: str, table: p4i.Table) -> tuple[int | None, int | None]:
        counters = {c.preamble.id: c.direct_table_id for c in self.message.direct_counters}
        meters = {m.preamble.id: m.direct_table_id for m in self.message.direct_meters}
        counter = meter = None
        for resource in table.direct_resource_ids:
            owner = counters.get(resource, meters.get(resource))
            if owner != table.preamble.id:
                raise invalid_argument(
                    f"{where}: direct resource 0x{resource:08x} is not a direct counter or meter "
                    "of this table"
                )
            if resource in counters:
                counter = resource
            else:
                meter = resource
        return counter, meter

    def _profile(self, profile: p4i.ActionProfile) -> Profile:
        where = f"p4info action profile {profile.preamble.name}"
        for table_id in profile.table_ids:
            if table_id not in self.tables:
                raise invalid_argument(f"{where}: table id 0x{table_id:08x} is not defined")
        if profile.size < 0 or profile.max_group_size < 0:
            raise invalid_argument(f"{where}: its size or max_group_size is negative")
        return Profile(
            id=profile.preamble.id,
            name=profile.preamble.name,
            tables=tuple(profile.table_ids),
            selector=profile.with_selector,
            size=profile.size,
            max_group_size=profile.max_group_size,
            sum_of_members=profile.WhichOneof("selector_size_semantics") == "sum_of_members",
            max_member_weight=profile.sum_of_members.max_member_weight,
            weights_disallowed=profile.weights_disallowed,
        )

    def _packet_metadata(self, name: str) -> tuple[Field, ...]:
        for header in self.message.controller_packet_metadata:
            if header.preamble.name == name:
                return tuple(_fields(f"p4info {name} header", header.metadata, self.translations))
        return ()


def _fields(where: str, items: Any, translations: Translations) -> Iterator[Field]:
    """Yield fields with a width; ids must be unique and not 0."""
    seen: set[int] = set()
    for item in items:
        if item.id == 0 or item.id in seen:
            raise invalid_argument(
                f"{where}: field {item.name} has id {item.id}, expected a new one"
            )
        type_name = item.type_name.name
        if translations.is_string(type_name) != (item.bitwidth == 0) or item.bitwidth < 0:
            raise invalid_argument(
                f"{where}: field {item.name} of type {type_name or 'bit<W>'} has bitwidth "
                f"{item.bitwidth}; expected 0 for strings and the width for all else"
            )
        seen.add(item.id)
        yield Field(item.id, item.name, item.bitwidth, type_name=type_name)


def _match_fields(where: str, items: Any, translations: Translations) -> Iterator[Field]:
    for field, item in zip(_fields(where, items, translations), items, strict=True):
        if item.match_type not in _KINDS:
            raise invalid_argument(f"{where}: key {item.name} has an unknown match type")
        if not field.width and item.match_type not in (EXACT, OPTIONAL):
            raise invalid_argument(
                f"{where}: key {item.name} is a string; it can only match exact or optional"
            )
        yield replace(field, kind=item.match_type)


def _action(action: p4i.Action, translations: Translations) -> Action:
    where = f"p4info action {action.preamble.name}"
    params = tuple(_fields(where, action.params, translations))
    return Action(action.preamble.id, action.preamble.name, params)


def _size(kind: str, item: Any) -> int:
    if item.size < 0:
        raise invalid_argument(f"p4info {kind} {item.preamble.name}: size {item.size} is negative")
    return int(item.size)


def _indexed(kind: str, item: Any) -> Indexed:
    spec_type = item.spec.type if kind == "meters" else 0
    return Indexed(item.preamble.id, item.preamble.name, _size(kind, item), spec_type)


def _register(item: p4i.Register) -> Register:
    return Register(item.preamble.id, item.preamble.name, _size("register", item), item.type_spec)


def _value_set(item: p4i.ValueSet, translations: Translations) -> ValueSet:
    where = f"p4info value set {item.preamble.name}"
    fields = tuple(_match_fields(where, item.match, translations))
    return ValueSet(item.preamble.id, item.preamble.name, fields, _size("value set", item))
