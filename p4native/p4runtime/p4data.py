"""`P4Data` to and from the fixed-size records of registers and digests.

A record is the type's scalar leaves in declaration order, each big-endian in ceil(width / 8)
bytes (spec, "Representation of Arbitrary P4 Types").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from finsy.proto import p4d

from p4native.p4runtime import codec
from p4native.p4runtime.errors import P4RuntimeError, invalid_argument
from p4native.p4runtime.translation import Names, Translations

_Encode = Callable[[Any, str], bytes]
_Decode = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class DataCodec:
    """Coder of one type; `size` in bytes, `widths` in bits of each leaf."""

    size: int
    widths: tuple[int, ...]
    encode: _Encode
    decode: _Decode


def build_codec(
    spec: Any, translations: Translations, widths: Sequence[int] | None, what: str
) -> DataCodec:
    """Return the coder for a `P4DataTypeSpec`; INVALID_ARGUMENT if the type cannot be coded.

    `widths` are those of its leaves in the data plane, which translated types do not tell.
    """
    types = _Types(translations, widths)
    made = _build(spec, types, what)
    types.finish(what)
    return made


class _Types:
    """Named types, and the data plane's widths of the leaves that are still to come."""

    def __init__(self, translations: Translations, widths: Sequence[int] | None) -> None:
        self.translations = translations
        self.info = translations.types
        self._widths = None if widths is None else list(widths)

    def leaf(self, what: str, own: int | None) -> int:
        """Take the next leaf's width, which must be its `own` unless it is translated (None)."""
        widths = [own or 0] if self._widths is None else self._widths
        width = widths.pop(0) if widths else 0
        if width == 0 or own not in (None, width):
            raise _mismatch(
                what, f"a field is {own or 'translated'} bits wide, {width} in the JSON"
            )
        return width

    def finish(self, what: str) -> None:
        """Refuse leaves that the type does not have."""
        if self._widths:
            raise _mismatch(what, f"the JSON has {len(self._widths)} fields more")


def _mismatch(what: str, why: str) -> P4RuntimeError:
    return invalid_argument(f"p4info {what}: {why}; push the P4Info and JSON of one compilation")


def _build(spec: Any, types: _Types, what: str) -> DataCodec:
    kind = spec.WhichOneof("type_spec")
    builder = _BUILDERS.get(kind)
    if builder is None:
        raise invalid_argument(f"p4info {what}: values of type {kind} are not supported")
    return builder(getattr(spec, kind), types, what)


def _tuple(spec: Any, types: _Types, what: str) -> DataCodec:
    return _struct_like("tuple", [_build(member, types, what) for member in spec.members])


def _struct(spec: Any, types: _Types, what: str) -> DataCodec:
    fields = _named(types.info.structs, spec.name, what).members
    members = [_build(field.type_spec, types, f"{what}.{field.name}") for field in fields]
    return _struct_like("struct", members)


def _named_header(spec: Any, types: _Types, what: str) -> DataCodec:
    fields = _named(types.info.headers, spec.name, what).members
    return _header([_bitstring(field.type_spec, types, f"{what}.{field.name}") for field in fields])


def _enum(spec: Any, types: _Types, what: str) -> DataCodec:
    enum = _named(types.info.serializable_enums, spec.name, what)
    return _unsigned("enum_value", types.leaf(what, enum.underlying_type.bitwidth))


def _plain_enum(spec: Any, types: _Types, what: str) -> DataCodec:
    members = _named(types.info.enums, spec.name, what).members
    return _labels("enum", [member.name for member in members], types.leaf(what, None))


def _error(_spec: Any, types: _Types, what: str) -> DataCodec:
    return _labels("error", list(types.info.error.members), types.leaf(what, None))


def _labels(kind: str, labels: list[str], width: int) -> DataCodec:
    """Values that the data plane numbers in the order of their declaration."""
    size = codec.byte_width(width)

    def encode(data: Any, what: str) -> bytes:
        label = _expect(data, kind, what)
        if label not in labels:
            raise invalid_argument(f"{what}: {label!r} is none of {labels}")
        return labels.index(label).to_bytes(size, "big")

    def decode(record: bytes) -> Any:
        value = int.from_bytes(record, "big")
        data = p4d.P4Data()
        setattr(data, kind, labels[value] if value < len(labels) else str(value))
        return data

    return DataCodec(size, (width,), encode, decode)


def _named(known: Any, name: str, what: str) -> Any:
    if name not in known:
        raise invalid_argument(f"p4info {what}: type {name!r} is not in type_info")
    return known[name]


def _new_type(name: Any, types: _Types, what: str) -> DataCodec:
    spec = _named(types.info.new_types, name.name, what)
    if spec.WhichOneof("representation") == "original_type":
        return _build(spec.original_type, types, what)
    width = types.leaf(what, None)
    names = types.translations.names(name.name, width)
    return _unsigned("bitstring", width) if names is None else _named_values(names)


def _named_values(names: Names) -> DataCodec:
    size = codec.byte_width(names.width)

    def encode(data: Any, what: str) -> bytes:
        return names.value(_expect(data, "bitstring", what), what).to_bytes(size, "big")

    def decode(record: bytes) -> Any:
        return p4d.P4Data(bitstring=names.name(int.from_bytes(record, "big")))

    return DataCodec(size, (names.width,), encode, decode)


def _expect(data: Any, kind: str, what: str) -> Any:
    given = data.WhichOneof("data")
    if given != kind:
        raise invalid_argument(f"{what}: P4Data has {given}, expected {kind}")
    return getattr(data, kind)


def _bitstring(spec: Any, types: _Types, what: str) -> DataCodec:
    kind = spec.WhichOneof("type_spec")
    if kind == "bit":
        return _unsigned("bitstring", types.leaf(what, spec.bit.bitwidth))
    if kind == "int":
        return _signed(types.leaf(what, spec.int.bitwidth))
    raise invalid_argument(f"p4info {what}: values of type {kind} are not supported")


def _unsigned(kind: str, width: int) -> DataCodec:
    def encode(data: Any, what: str) -> bytes:
        return codec.fit(_expect(data, kind, what), width, what)

    def decode(record: bytes) -> Any:
        value = codec.canonical(record)
        if kind == "enum_value":
            return p4d.P4Data(enum_value=value)
        return p4d.P4Data(bitstring=value)

    return DataCodec(codec.byte_width(width), (width,), encode, decode)


def _signed(width: int) -> DataCodec:
    size = codec.byte_width(width)

    def encode(data: Any, what: str) -> bytes:
        value = codec.decode_signed(_expect(data, "bitstring", what), width, what)
        return (value & ((1 << width) - 1)).to_bytes(size, "big")

    def decode(record: bytes) -> Any:
        value = int.from_bytes(record, "big")
        if value >> (width - 1):
            value -= 1 << width
        return p4d.P4Data(bitstring=codec.encode_signed(value))

    return DataCodec(size, (width,), encode, decode)


def _bool(_spec: Any, types: _Types, what: str) -> DataCodec:
    types.leaf(what, 1)

    def encode(data: Any, what: str) -> bytes:
        return b"\1" if _expect(data, "bool", what) else b"\0"

    return DataCodec(1, (1,), encode, lambda record: p4d.P4Data(bool=record != b"\0"))


def _struct_like(kind: str, members: list[DataCodec]) -> DataCodec:
    def encode(data: Any, what: str) -> bytes:
        given = _expect(data, kind, what).members
        _check_count(len(given), len(members), what)
        pairs = zip(members, given, strict=True)
        return b"".join(m.encode(value, f"{what}[{i}]") for i, (m, value) in enumerate(pairs))

    def decode(record: bytes) -> Any:
        values = [member.decode(part) for member, part in _split(members, record)]
        if kind == "tuple":
            return p4d.P4Data(tuple=p4d.P4StructLike(members=values))
        return p4d.P4Data(struct=p4d.P4StructLike(members=values))

    return _compound(members, encode, decode)


def _header(members: list[DataCodec]) -> DataCodec:
    def encode(data: Any, what: str) -> bytes:
        header = _expect(data, "header", what)
        if not header.is_valid:
            raise invalid_argument(f"{what}: an invalid header cannot be stored")
        _check_count(len(header.bitstrings), len(members), what)
        pairs = zip(members, header.bitstrings, strict=True)
        return b"".join(m.encode(p4d.P4Data(bitstring=value), what) for m, value in pairs)

    def decode(record: bytes) -> Any:
        values = [member.decode(part).bitstring for member, part in _split(members, record)]
        return p4d.P4Data(header=p4d.P4Header(is_valid=True, bitstrings=values))

    return _compound(members, encode, decode)


def _compound(members: list[DataCodec], encode: _Encode, decode: _Decode) -> DataCodec:
    widths = tuple(width for member in members for width in member.widths)
    return DataCodec(sum(member.size for member in members), widths, encode, decode)


def _split(members: list[DataCodec], record: bytes) -> list[tuple[DataCodec, bytes]]:
    parts, offset = [], 0
    for member in members:
        parts.append((member, record[offset : offset + member.size]))
        offset += member.size
    return parts


def _check_count(given: int, expected: int, what: str) -> None:
    if given != expected:
        raise invalid_argument(f"{what}: {given} members given, expected {expected}")


_BUILDERS: dict[str | None, Callable[[Any, _Types, str], DataCodec]] = {
    "bitstring": _bitstring,
    "bool": _bool,
    "tuple": _tuple,
    "struct": _struct,
    "header": _named_header,
    "serializable_enum": _enum,
    "enum": _plain_enum,
    "error": _error,
    "new_type": _new_type,
}
