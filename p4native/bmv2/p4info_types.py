"""Types in P4Info: type specifications, named types in `type_info`, widths on the wire."""

from __future__ import annotations

from typing import Any

from p4native.bmv2.p4info_annotations import add_annotations, annotation
from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc, Reporter
from p4native.frontend.types import (
    BitsType,
    BoolType,
    EnumType,
    ErrorType,
    ListValueType,
    NewType,
    StackType,
    StructType,
    TupleType,
    Type,
    VarbitType,
    width_bits,
)

TRANSLATION = "p4runtime_translation"


def translation(t: Type) -> tuple[str, int | None] | None:
    """URI and width (None: string) of a `@p4runtime_translation`, None without one."""
    if not isinstance(t, NewType):
        return None
    a = annotation(t.decl.annotations, TRANSLATION)
    if a is None or len(a.exprs) < 2:
        return None
    uri = a.exprs[0]
    return (uri.text if isinstance(uri, ir.StringLit) else "", _controller_width(a.exprs[1]))


def _controller_width(e: ir.Expression) -> int | None:
    """The second argument: a width, `string` or `bit<W>`."""
    if isinstance(e, ir.TypeName):
        return width_bits(e.ref.type)
    if isinstance(e, ir.IntLit):
        return e.number
    return e.value if isinstance(e.value, int) else None


def wire_width(t: Type) -> int:
    """Bits of a value in P4Runtime: 0 for strings and errors."""
    found = translation(t)
    if found is not None:
        return found[1] or 0
    return width_bits(t) or 0


def type_name(t: Type) -> str | None:
    """The name shown for values of a user-defined type."""
    return t.decl.name if isinstance(t, NewType) else None


def value_bytes(value: int, t: Type) -> bytes:
    """A value as P4Runtime bytes, padded to the width of its type."""
    width = wire_width(t) or 1
    return (value & ((1 << width) - 1)).to_bytes(-(-width // 8), "big")


class TypeSpecs:
    """Describes types, adding the named ones to `type_info`."""

    def __init__(self, p4info: Any, errors: list[str], reporter: Reporter) -> None:
        self._p4info = p4info
        self._errors = errors
        self._reporter = reporter

    @property
    def info(self) -> Any:
        """The `type_info` message."""
        return self._p4info.type_info

    def touch(self) -> None:
        """Make `type_info` present even if it stays empty."""
        self._p4info.type_info.SetInParent()

    def note(self, t: Type) -> None:
        """Add what `type_info` must say about a field of type `t`."""
        from finsy.proto.p4.config.v1 import p4types_pb2

        self.fill(p4types_pb2.P4DataTypeSpec(), t)

    def fill(self, spec: Any, t: Type) -> None:
        """Describe `t` in a `P4DataTypeSpec`."""
        if isinstance(t, BitsType):
            (spec.bitstring.int if t.signed else spec.bitstring.bit).bitwidth = t.width
        elif isinstance(t, VarbitType):
            spec.bitstring.varbit.max_bitwidth = t.max_width
        elif isinstance(t, BoolType):
            spec.bool.SetInParent()
        elif isinstance(t, ErrorType):
            spec.error.SetInParent()
            if not self.info.HasField("error"):
                self.info.error.members.extend(self._errors)
        elif isinstance(t, (TupleType, ListValueType)):
            spec.tuple.SetInParent()
            for element in t.elements:
                self.fill(spec.tuple.members.add(), element)
        elif isinstance(t, StackType):
            self._stack(spec, t)
        else:
            self._named(spec, t)

    def _stack(self, spec: Any, t: StackType) -> None:
        element = t.element
        if not isinstance(element, StructType):
            return
        name = _external(element.decl)
        if element.kind == "header_union":
            spec.header_union_stack.header_union.name = name
            spec.header_union_stack.size = t.size
            self._union(element, name)
        else:
            spec.header_stack.header.name = name
            spec.header_stack.size = t.size
            self._header(element, name)

    def _named(self, spec: Any, t: Type) -> None:
        if isinstance(t, StructType):
            name = _external(t.decl)
            if t.kind == "struct":
                spec.struct.name = name
                self._struct(t, name)
            elif t.kind == "header":
                spec.header.name = name
                self._header(t, name)
            else:
                spec.header_union.name = name
                self._union(t, name)
        elif isinstance(t, EnumType):
            name = _external(t.decl)
            if t.repr is not None:
                spec.serializable_enum.name = name
                self._serializable(t, name)
            else:
                spec.enum.name = name
                self._enum(t, name)
        elif isinstance(t, NewType):
            spec.new_type.name = _external(t.decl)
            self._new_type(t, _external(t.decl))
        else:
            self._reporter.error(
                "unexpected", f"type {t} cannot be shown in P4Info", Loc("<p4info>", 0, 0)
            )

    # --- named types ---

    def _struct(self, t: StructType, name: str) -> None:
        if name in self.info.structs:
            return
        made = self.info.structs[name]
        for f in t.decl.fields:
            member = made.members.add()
            member.name = _external(f)
            self.fill(member.type_spec, t.fields[f.name])

    def _header(self, t: StructType, name: str) -> None:
        if name in self.info.headers:
            return
        from finsy.proto.p4.config.v1 import p4types_pb2

        made = self.info.headers[name]
        made.SetInParent()
        for field_name, field_type in flat_fields(t):
            spec = p4types_pb2.P4DataTypeSpec()
            self.fill(spec, field_type)
            member = made.members.add()
            member.name = field_name
            member.type_spec.CopyFrom(spec.bitstring)

    def _union(self, t: StructType, name: str) -> None:
        if name in self.info.header_unions:
            return
        made = self.info.header_unions[name]
        for f in t.decl.fields:
            field_type = t.fields[f.name]
            assert isinstance(field_type, StructType)
            member = made.members.add()
            member.name = _external(f)
            member.header.name = _external(field_type.decl)
            self._header(field_type, member.header.name)

    def _enum(self, t: EnumType, name: str) -> None:
        if name in self.info.enums:
            return
        made = self.info.enums[name]
        for m in t.decl.members:
            made.members.add().name = _external(m)

    def _serializable(self, t: EnumType, name: str) -> None:
        if name in self.info.serializable_enums:
            return
        made = self.info.serializable_enums[name]
        width = width_bits(t) or 1
        made.underlying_type.bitwidth = width
        for m in t.decl.members:
            member = made.members.add()
            member.name = _external(m)
            number = (m.number or 0) & ((1 << width) - 1)
            member.value = number.to_bytes(-(-width // 8), "big")

    def _new_type(self, t: NewType, name: str) -> None:
        if name in self.info.new_types:
            return
        base: Type = t
        while isinstance(base, NewType):
            base = base.base
        made = self.info.new_types[name]
        made.SetInParent()
        add_annotations(made, t.decl.annotations, frozenset({TRANSLATION}))
        found = translation(t)
        if found is None:
            self.fill(made.original_type, base)
            return
        if not isinstance(base, BitsType):
            self._reporter.error(
                "invalid",
                f"@{TRANSLATION} needs a type over bit<W>, not {base}",
                t.decl.loc,
            )
        uri, width = found
        made.translated_type.uri = uri
        if width is None:
            made.translated_type.sdn_string.SetInParent()
        else:
            made.translated_type.sdn_bitwidth = width


def flat_fields(t: StructType, prefix: str = "") -> list[tuple[str, Type]]:
    """Name and type of a header's fields, those of nested structs with a dotted path."""
    nested = prefix or any(
        isinstance(f, StructType) and f.kind == "struct" for f in t.fields.values()
    )
    found: list[tuple[str, Type]] = []
    for f in t.decl.fields:
        field_type = t.fields[f.name]
        if isinstance(field_type, StructType) and field_type.kind == "struct":
            found.extend(flat_fields(field_type, f"{prefix}.{f.name}"))
        else:
            found.append((f"{prefix}.{f.name}".lstrip(".") if nested else _external(f), field_type))
    return found


def _external(decl: ir.Decl) -> str:
    return decl.external_name.lstrip(".")
