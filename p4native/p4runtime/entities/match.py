"""Match keys: `FieldMatch` messages to key and mask bytes, and back (spec, "Match Format")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from finsy.proto import p4r

from p4native.p4runtime import p4info
from p4native.p4runtime.bind import BoundField
from p4native.p4runtime.codec import canonical, decode, encode
from p4native.p4runtime.errors import P4RuntimeError, invalid_argument

_NAMES: dict[int, str] = {
    p4info.EXACT: "exact",
    p4info.LPM: "lpm",
    p4info.TERNARY: "ternary",
    p4info.RANGE: "range",
    p4info.OPTIONAL: "optional",
}


class Match(NamedTuple):
    """A whole key as the table holds it; `mask` is empty in exact and lpm tables."""

    key: bytes
    mask: bytes
    prefix_len: int


class KeyCodec:
    """Coder for the key of one table or value set."""

    def __init__(self, what: str, fields: tuple[BoundField, ...], masked: bool) -> None:
        """`what` names the owner in errors; `masked` tables carry a mask for every field."""
        self._what = what
        self._fields = fields
        self._masked = masked
        self._by_id = {field.id: field for field in fields}

    def encode(self, matches: Iterable[p4r.FieldMatch]) -> Match:
        """Return the key; INVALID_ARGUMENT or OUT_OF_RANGE says which field is wrong."""
        given: dict[int, p4r.FieldMatch] = {}
        for match in matches:
            if match.field_id not in self._by_id:
                raise invalid_argument(
                    f"{self._what}: no key field has id {match.field_id}; "
                    f"ids are {sorted(self._by_id)}"
                )
            if match.field_id in given:
                raise invalid_argument(f"{self._what}: field {match.field_id} is given twice")
            given[match.field_id] = match
        keys, masks, prefix_len = [], [], 0
        for field in self._fields:
            value, mask, prefix = self._field(field, given.get(field.id))
            keys.append(value.to_bytes(field.size, "big"))
            masks.append(mask.to_bytes(field.size, "big"))
            prefix_len = prefix or prefix_len
        if self._masked:
            return Match(b"".join(keys), b"".join(masks), 0)
        return Match(b"".join(keys), b"", prefix_len)

    def decode(self, key: bytes, mask: bytes, prefix_len: int, out: Any) -> None:
        """Append the canonical `FieldMatch` messages to the repeated field `out`."""
        for field in self._fields:
            end = field.offset + field.size
            value = key[field.offset : end]
            bits = mask[field.offset : end]
            if field.kind == p4info.EXACT:
                out.add(field_id=field.id).exact.value = field.shown(value)
            elif field.kind == p4info.LPM:
                length = bin(int.from_bytes(bits, "big")).count("1") if bits else prefix_len
                if length:
                    lpm = out.add(field_id=field.id).lpm
                    lpm.value, lpm.prefix_len = canonical(value), length
            elif field.kind == p4info.RANGE:
                if any(value) or int.from_bytes(bits, "big") != field.ones:
                    found = out.add(field_id=field.id).range
                    found.low, found.high = canonical(value), canonical(bits)
            elif any(bits):
                match = out.add(field_id=field.id)
                if field.kind == p4info.OPTIONAL:
                    match.optional.value = field.shown(value)
                else:
                    match.ternary.value, match.ternary.mask = canonical(value), canonical(bits)

    def _field(self, field: BoundField, match: p4r.FieldMatch | None) -> tuple[int, int, int]:
        """Return value, mask (or range high bound) and prefix length of one field."""
        if match is None:
            if field.kind == p4info.EXACT:
                raise invalid_argument(
                    f"{self._what}: exact field {field.id} ({field.name}) is missing"
                )
            return 0, field.ones if field.kind == p4info.RANGE else 0, 0
        kind = match.WhichOneof("field_match_type")
        if kind != _NAMES[field.kind]:
            raise self._wrong(field, f"match of type {kind}, expected {_NAMES[field.kind]}")
        what = f"{self._what}: {field.name}"
        if field.kind == p4info.EXACT:
            return field.value(match.exact.value, what), field.ones, 0
        if field.kind == p4info.OPTIONAL:
            return field.value(match.optional.value, what), field.ones, 0
        if field.kind == p4info.TERNARY:
            return self._ternary(field, match.ternary, what)
        if field.kind == p4info.LPM:
            return self._lpm(field, match.lpm, what)
        return self._range(field, match.range, what)

    def _ternary(self, field: BoundField, match: Any, what: str) -> tuple[int, int, int]:
        value = decode(match.value, field.width, what)
        mask = decode(match.mask, field.width, what)
        if mask == 0:
            raise self._wrong(field, "mask is 0; omit the field for don't care")
        if value & ~mask:
            raise self._wrong(field, f"value {_hex(value)} has bits outside of mask {_hex(mask)}")
        return value, mask, 0

    def _lpm(self, field: BoundField, match: Any, what: str) -> tuple[int, int, int]:
        value = decode(match.value, field.width, what)
        length = match.prefix_len
        if not 0 < length <= field.width:
            raise self._wrong(
                field, f"prefix length {length}, expected 1..{field.width}; omit it for don't care"
            )
        mask = field.ones ^ (field.ones >> length)
        if value & ~mask:
            raise self._wrong(field, f"value {_hex(value)} has bits beyond its prefix /{length}")
        return value, mask, length

    def _range(self, field: BoundField, match: Any, what: str) -> tuple[int, int, int]:
        low = decode(match.low, field.width, what)
        high = decode(match.high, field.width, what)
        if low > high:
            raise self._wrong(field, f"low {_hex(low)} is above high {_hex(high)}")
        if low == 0 and high == field.ones:
            raise self._wrong(field, "range covers all values; omit the field for don't care")
        return low, high, 0

    def _wrong(self, field: BoundField, why: str) -> P4RuntimeError:
        return invalid_argument(f"{self._what}: field {field.id} ({field.name}): {why}")


def _hex(value: int) -> str:
    return f"0x{encode(value)[:32].hex()}"
