"""P4Info objects bound to the program's: ids to engine indices, fields to byte positions.

P4Info and device config come from one compilation; a pair that does not fit together is refused
here, with the object at fault, before anything is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from p4native.bmv2 import model
from p4native.codegen.layout import learn_widths, value_set_widths
from p4native.p4runtime import p4info
from p4native.p4runtime.codec import byte_width, canonical, decode
from p4native.p4runtime.errors import P4RuntimeError, invalid_argument
from p4native.p4runtime.p4data import DataCodec, build_codec
from p4native.p4runtime.translation import Names, Translations

_KINDS: dict[int, set[model.MatchKind]] = {
    p4info.EXACT: {model.MatchKind.EXACT, model.MatchKind.VALID},
    p4info.LPM: {model.MatchKind.LPM},
    p4info.TERNARY: {model.MatchKind.TERNARY},
    p4info.RANGE: {model.MatchKind.RANGE},
    p4info.OPTIONAL: {model.MatchKind.OPTIONAL, model.MatchKind.TERNARY},
}
_COMPOUND = ("tuple", "struct", "header")
_MASKED = ("ternary", "range")
_Named = TypeVar("_Named", bound=Any)


@dataclass(frozen=True, slots=True)
class BoundField:
    """A match field or parameter at bytes [offset, offset + size) of a key or action data.

    `width` is the data plane's; `names` is there for types that the controller sees as strings.
    """

    id: int
    name: str
    width: int
    kind: int
    offset: int
    size: int
    names: Names | None = None

    @property
    def ones(self) -> int:
        """The value with all bits of the field set."""
        return (1 << self.width) - 1

    def value(self, data: bytes, what: str) -> int:
        """Return the data plane's value of what a client sent."""
        if self.names is not None:
            return self.names.value(data, what)
        return decode(data, self.width, what)

    def shown(self, record: bytes) -> bytes:
        """Return what a client sees of a value in a record."""
        if self.names is not None:
            return self.names.name(int.from_bytes(record, "big"))
        return canonical(record)


@dataclass(frozen=True, slots=True)
class BoundAction:
    """An action as one table runs it: its JSON id differs from table to table."""

    id: int
    name: str
    json_id: int
    params: tuple[BoundField, ...]
    size: int


@dataclass(frozen=True, slots=True)
class BoundTable:
    """A table: fields in key order, actions by P4Info id and by JSON id."""

    info: p4info.Table
    index: int
    fields: tuple[BoundField, ...]
    key_size: int
    masked: bool
    actions: Mapping[int, BoundAction]
    by_json_id: Mapping[int, BoundAction]
    profile: int | None


@dataclass(frozen=True, slots=True)
class BoundProfile:
    """An action profile; its actions are those of its tables."""

    info: p4info.Profile
    index: int
    actions: Mapping[int, BoundAction]
    by_json_id: Mapping[int, BoundAction]


@dataclass(frozen=True, slots=True)
class BoundArray:
    """A counter or meter array."""

    info: p4info.Indexed
    index: int


@dataclass(frozen=True, slots=True)
class BoundRegister:
    """A register array with the coder of its cells."""

    info: p4info.Register
    index: int
    codec: DataCodec


@dataclass(frozen=True, slots=True)
class BoundValueSet:
    """A value set with its members' key layout."""

    info: p4info.ValueSet
    index: int
    fields: tuple[BoundField, ...]
    key_size: int


@dataclass(frozen=True, slots=True)
class BoundDigest:
    """A digest with the coder of its messages."""

    info: p4info.Digest
    index: int
    codec: DataCodec


class Binding:
    """Everything of a P4Info that a client can address, by P4Info id."""

    def __init__(self, info: p4info.P4InfoIndex, program: model.Program) -> None:
        """Bind; INVALID_ARGUMENT names the object that the two sides disagree on."""
        self.info = info
        self._program = program
        self._actions = {action.id: action for action in program.actions}
        profiles = _by_name(program.profiles)
        self.tables = {t.id: self._table(t, profiles) for t in info.tables.values()}
        self.tables_by_index = {t.index: t for t in self.tables.values()}
        self.profiles = {p.id: self._profile(p, profiles) for p in info.profiles.values()}
        self.counters = _arrays("counter", info.counters.values(), program.counters)
        self.meters = _arrays("meter", info.meters.values(), program.meters)
        self.registers = self._registers()
        self.value_sets = self._value_sets()
        self.digests = self._digests()
        self.digests_by_index = {d.index: d for d in self.digests.values()}

    def _table(self, info: p4info.Table, profiles: Mapping[str, int]) -> BoundTable:
        index = _find("table", info.name, _by_name(self._program.tables))
        table = self._program.tables[index]
        fields, key_size = _key_layout(self.info.translations, info, table)
        actions = self._table_actions(info, table)
        profile = None
        if (info.profile is None) != (table.profile is None):
            raise _mismatch("table", info.name, "only one of P4Info and JSON has a profile")
        if table.profile is not None:
            profile = profiles[table.profile]
        return BoundTable(
            info=info,
            index=index,
            fields=fields,
            key_size=key_size,
            masked=table.match_type in _MASKED,
            actions=actions,
            by_json_id={action.json_id: action for action in actions.values()},
            profile=profile,
        )

    def _table_actions(self, info: p4info.Table, table: model.Table) -> dict[int, BoundAction]:
        by_name = {self._actions[json_id].name: json_id for json_id in table.action_ids}
        bound = {}
        for action_id in info.scopes:
            action = self.info.actions[action_id]
            if action.name not in by_name:
                raise _mismatch("table", info.name, f"the JSON lacks its action {action.name}")
            json_action = self._actions[by_name[action.name]]
            bound[action_id] = _bind_action(self.info.translations, action, json_action)
        return bound

    def _profile(self, info: p4info.Profile, profiles: Mapping[str, int]) -> BoundProfile:
        index = _find("action profile", info.name, profiles)
        users = [self.tables[table_id] for table_id in info.tables]
        users += [t for t in self.tables.values() if t.info.profile == info.id]
        # Tables that share a profile have the same actions, each under a JSON id of its own.
        actions = users[0].actions if users else {}
        by_json_id = {json_id: a for t in users for json_id, a in t.by_json_id.items()}
        return BoundProfile(info, index, actions, by_json_id)

    def _registers(self) -> dict[int, BoundRegister]:
        known = _by_name(self._program.registers)
        bound = {}
        for info in self.info.registers.values():
            index = _find("register", info.name, known)
            cell = self._program.registers[index]
            leaf = info.type_spec.WhichOneof("type_spec") not in _COMPOUND
            widths = (cell.width,) if leaf else None
            codec = build_codec(
                info.type_spec, self.info.translations, widths, f"register {info.name}"
            )
            if sum(codec.widths) != cell.width or info.size != cell.size:
                raise _mismatch("register", info.name, "element type or size differ")
            bound[info.id] = BoundRegister(info, index, codec)
        return bound

    def _value_sets(self) -> dict[int, BoundValueSet]:
        known = _by_name(self._program.value_sets)
        bound = {}
        for info in self.info.value_sets.values():
            index = _find("value set", info.name, known)
            widths = value_set_widths(self._program, info.name)
            if len(widths) != len(info.fields):
                raise _mismatch("value set", info.name, "the numbers of fields differ")
            translations = self.info.translations
            fields, key_size = _place(
                translations, f"value set {info.name}", zip(info.fields, widths, strict=True)
            )
            bound[info.id] = BoundValueSet(info, index, fields, key_size)
        return bound

    def _digests(self) -> dict[int, BoundDigest]:
        known = _by_name(self._program.learn_lists)
        bound = {}
        for info in self.info.digests.values():
            index = _find("digest", info.name, known)
            widths = learn_widths(self._program.learn_lists[index])
            codec = build_codec(
                info.type_spec, self.info.translations, widths, f"digest {info.name}"
            )
            bound[info.id] = BoundDigest(info, index, codec)
        return bound


def _by_name(objects: Iterable[_Named]) -> dict[str, int]:
    return {item.name: index for index, item in enumerate(objects)}


def _find(kind: str, name: str, known: Mapping[str, int]) -> int:
    if name not in known:
        raise _mismatch(kind, name, "it is not in the JSON")
    return known[name]


def _mismatch(kind: str, name: str, why: str) -> P4RuntimeError:
    return invalid_argument(
        f"p4info {kind} {name}: {why}; push the P4Info and JSON of one compilation"
    )


def _arrays(
    kind: str, infos: Iterable[p4info.Indexed], objects: Iterable[Any]
) -> dict[int, BoundArray]:
    sizes = {item.name: (index, item.size) for index, item in enumerate(objects)}
    bound = {}
    for info in infos:
        if info.name not in sizes:
            raise _mismatch(kind, info.name, "it is not in the JSON")
        index, size = sizes[info.name]
        if info.size != size:
            raise _mismatch(kind, info.name, f"size {info.size}, the JSON has {size}")
        bound[info.id] = BoundArray(info, index)
    return bound


def _place(
    translations: Translations, what: str, fields: Iterable[tuple[p4info.Field, int]]
) -> tuple[tuple[BoundField, ...], int]:
    """Lay fields out one after the other; return them and their total size in bytes.

    Each comes with its width in the data plane, which a translated type does not tell.
    """
    placed, offset = [], 0
    for field, width in fields:
        if field.width != width and not translations.is_translated(field.type_name):
            raise _mismatch(
                what, field.name, f"bit<{field.width}> in the P4Info, bit<{width}> in the JSON"
            )
        names = translations.names(field.type_name, width)
        size = byte_width(width)
        placed.append(BoundField(field.id, field.name, width, field.kind, offset, size, names))
        offset += size
    return tuple(placed), offset


def _key_layout(
    translations: Translations, info: p4info.Table, table: model.Table
) -> tuple[tuple[BoundField, ...], int]:
    if len(info.fields) != len(table.keys):
        raise _mismatch(
            "table", info.name, f"{len(info.fields)} key fields, the JSON has {len(table.keys)}"
        )
    for field, key in zip(info.fields, table.keys, strict=True):
        if key.kind not in _KINDS[field.kind]:
            raise _mismatch("table", info.name, f"key {field.name} is {key.kind.value} in the JSON")
    widths = [key.width for key in table.keys]
    return _place(translations, f"table {info.name}: key", zip(info.fields, widths, strict=True))


def _bind_action(
    translations: Translations, info: p4info.Action, action: model.Action
) -> BoundAction:
    if len(info.params) != len(action.params):
        raise _mismatch("action", info.name, "the numbers of parameters differ")
    widths = [param.width for param in action.params]
    what = f"action {info.name}: parameter"
    placed, size = _place(translations, what, zip(info.params, widths, strict=True))
    return BoundAction(info.id, info.name, action.id, placed, size)


def header_fields(
    info: p4info.P4InfoIndex, program: model.Program, name: str
) -> tuple[BoundField, ...]:
    """Return the fields of a controller header, `packet_in` or `packet_out`.

    The JSON does not say which of its headers that is; one with the same fields has their widths.
    """
    fields = info.packet_in if name == "packet_in" else info.packet_out
    names = [own.name for own in fields]
    translated = info.translations.is_translated
    known = [h for h in program.header_types if [own.name for own in h.fields] == names]
    for header in known:
        pairs = [(own, other.width) for own, other in zip(fields, header.fields, strict=True)]
        if all(own.width == width or translated(own.type_name) for own, width in pairs):
            return _place(info.translations, f"header {name}:", pairs)[0]
    if known and fields:
        raise _mismatch("header", name, f"its fields are not as wide as those of {known[0].name}")
    return _place(info.translations, f"header {name}:", [(own, own.width) for own in fields])[0]
