"""Byte layouts that C and Python share: table keys, action data, digest records, registers.

Every field takes ceil(width / 8) bytes, big-endian, right-aligned; fields follow each other without
padding in the JSON's order. A P4Runtime byte string `v` becomes a field of n bytes by
`v.rjust(n, b"\\0")`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p4native.bmv2 import model as m
from p4native.codegen.errors import CodegenError


def byte_width(bits: int) -> int:
    """Bytes that a field of `bits` takes."""
    return (bits + 7) // 8


def pack(values: Sequence[int], widths: Sequence[int]) -> bytes:
    """Concatenates fields of the given widths in bits; values are taken modulo their width."""
    return b"".join(
        (value & ((1 << width) - 1)).to_bytes(byte_width(width), "big")
        for value, width in zip(values, widths, strict=True)
    )


def packed_bytes(widths: Sequence[int]) -> int:
    """Bytes of a record of fields of these widths in bits."""
    return sum(byte_width(w) for w in widths)


@dataclass(frozen=True, slots=True)
class KeyField:
    """Where one match field lies in the key: `offset` and `bytes` in bytes, `width` in bits."""

    name: str
    kind: m.MatchKind
    width: int
    offset: int
    bytes: int


def key_fields(table: m.Table) -> tuple[KeyField, ...]:
    """The fields of a table's key with their places."""
    fields, offset = [], 0
    for key in table.keys:
        size = byte_width(key.width)
        fields.append(KeyField(key.name, key.kind, key.width, offset, size))
        offset += size
    return tuple(fields)


def key_bytes(table: m.Table) -> int:
    """Bytes of a table's key, unpadded."""
    return packed_bytes([key.width for key in table.keys])


def action_data_bytes(action: m.Action) -> int:
    """Bytes of an action's runtime data."""
    return packed_bytes([param.width for param in action.params])


def pack_action_data(action: m.Action, args: Sequence[int]) -> bytes:
    """An action's runtime data from its argument values."""
    return pack(args, [param.width for param in action.params])


def param_offsets(action: m.Action) -> tuple[int, ...]:
    """Byte offset of each runtime parameter in the action data."""
    offsets, at = [], 0
    for param in action.params:
        offsets.append(at)
        at += byte_width(param.width)
    return tuple(offsets)


def register_cell_bytes(width: int) -> int:
    """Bytes of a register cell: 1, 2, 4 or 8 native-endian up to 64 bits, else big-endian."""
    if width > 64:
        return byte_width(width)
    return next(n for n in (1, 2, 4, 8) if n * 8 >= width)


def learn_widths(fields: m.FieldList) -> tuple[int, ...]:
    """Widths in bits of a digest's fields."""
    return tuple(expr_width(element) for element in fields.elements)


def learn_bytes(fields: m.FieldList) -> int:
    """Bytes of a digest record."""
    return packed_bytes(learn_widths(fields))


def value_set_widths(program: m.Program, name: str) -> tuple[int, ...]:
    """Widths in bits of a value set's fields, taken from the first parser state that uses it."""
    for parser in program.parsers:
        for state in parser.states:
            if any(t.value_set == name for t in state.transitions):
                return tuple(expr_width(k) for k in state.key)
    width = next(vs.width for vs in program.value_sets if vs.name == name)
    return (width,)


def expr_width(expr: m.Expr) -> int:
    """Width in bits of a field-like expression."""
    match expr:
        case m.FieldRef() | m.StackField() | m.UnionStackField():
            return expr.field.width
        case m.LookAhead():
            return expr.width
        case m.HeaderRef():
            return expr.header.type.fixed_bits
        case m.Op(op="access_field"):
            htype = m.header_type_of(expr.left)
            if htype is not None:
                return htype.fields[expr.index].width if expr.index < len(htype.fields) else 1
    raise CodegenError(type(expr).__name__, "has no width of its own, so it cannot be a key")
