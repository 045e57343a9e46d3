"""Types reduced to what the target stores, and storage made for them."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc
from p4native.frontend.types import (
    BOOL,
    BitsType,
    BoolType,
    EnumType,
    ErrorType,
    IntType,
    ListValueType,
    StackType,
    StructType,
    StructValueType,
    TupleType,
    Type,
    TypeVar,
    VarbitType,
    bits,
    substitute,
    underlying,
)
from p4native.midend import core
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.values import Aggregate, HeaderValue, InvalidUnion, Value

ENUM_WIDTH = 32


def scalar_type(t: Type) -> core.Scalar | None:
    """The storage type of a scalar P4 type, None for structured ones."""
    t = underlying(t)
    if isinstance(t, (BitsType, BoolType, ErrorType, VarbitType)):
        return t
    if isinstance(t, EnumType):
        return bits(ENUM_WIDTH)
    if isinstance(t, IntType):
        return t  # type: ignore[return-value]  # a compile-time number
    return None


def component_types(t: Type) -> dict[str, Type] | None:
    """Field (or element index) to type for a struct or tuple, None for others."""
    t = underlying(t)
    if isinstance(t, StructType) and t.kind == "struct":
        return t.fields
    if isinstance(t, (TupleType, ListValueType)):
        return {str(i): e for i, e in enumerate(t.elements)}
    if isinstance(t, StructValueType):
        return dict(t.fields)
    return None


class Storage:
    """Makes variables, headers, unions and stacks and keeps their types."""

    def __init__(self, program: core.Program) -> None:
        self.program = program
        self._headers: dict[StructType, core.HeaderType] = {}
        self._unions: dict[StructType, core.UnionType] = {}

    def header_type(self, t: StructType) -> core.HeaderType:
        """The layout of a header (nested structs flattened to dotted field names)."""
        found = self._headers.get(t)
        if found is None:
            fields: dict[str, core.Scalar] = {}
            self._flatten(t, "", fields)
            name = self.program.fresh_type(t.decl.external_name.lstrip("."))
            found = core.HeaderType(name, fields, t.decl.loc)
            self._headers[t] = found
            self.program.header_types.append(found)
        return found

    def _flatten(self, t: StructType, prefix: str, out: dict[str, core.Scalar]) -> None:
        for name, field_type in t.fields.items():
            scalar = scalar_type(field_type)
            inner = underlying(field_type)
            if scalar is not None:
                out[prefix + name] = scalar
            elif isinstance(inner, StructType) and inner.kind == "struct":
                self._flatten(inner, f"{prefix}{name}.", out)
            else:
                raise Unsupported(
                    f"header field '{prefix}{name}' has type {field_type}", t.decl.loc
                )

    def union_type(self, t: StructType) -> core.UnionType:
        """The layout of a header union."""
        found = self._unions.get(t)
        if found is None:
            members: dict[str, core.HeaderType] = {}
            for name, member in t.fields.items():
                assert isinstance(member, StructType)
                members[name] = self.header_type(member)
            name = self.program.fresh_type(t.decl.external_name.lstrip("."))
            found = core.UnionType(name, members)
            self._unions[t] = found
            self.program.union_types.append(found)
        return found

    def header(self, t: StructType, name: str, loc: Loc, kind: str = "temp") -> core.Header:
        """A new header instance."""
        made = core.Header(self.program.fresh(name), self.header_type(t), loc, kind)
        self.program.headers.append(made)
        return made

    def union(self, t: StructType, name: str, loc: Loc, kind: str = "temp") -> core.Union:
        """A new header union instance."""
        name = self.program.fresh(name)
        members = {
            m: self.header(mt, f"{name}.{m}", loc, kind)
            for m, mt in t.fields.items()
            if isinstance(mt, StructType)
        }
        made = core.Union(name, self.union_type(t), members, loc)
        self.program.unions.append(made)
        return made

    def stack(self, t: StackType, name: str, loc: Loc, kind: str = "temp") -> core.Stack:
        """A new stack with its elements `name[0]`, `name[1]`..."""
        element = t.element
        assert isinstance(element, StructType)
        name = self.program.fresh(name)
        make = self.union if element.kind == "header_union" else self.header
        elements = [make(element, f"{name}[{i}]", loc, kind) for i in range(t.size)]
        made = core.Stack(name, elements, loc)  # type: ignore[arg-type]
        self.program.stacks.append(made)
        return made

    def make(self, t: Type, name: str, kind: str, loc: Loc) -> Value:
        """Storage for any type; `kind` as in `core.Var`."""
        t = underlying(t)
        if isinstance(t, IntType):
            raise Unsupported(f"variable '{name}' of type int cannot be stored at run time", loc)
        scalar = scalar_type(t)
        if scalar is not None:
            var = core.Var(self.program.fresh(name), scalar, kind, loc=loc)
            self.program.variables.append(var)
            return core.VarRef(var)
        components = component_types(t)
        if components is not None:
            names = _external_names(t)
            return Aggregate(
                {
                    f: self.make(ft, f"{name}.{names.get(f, f)}", kind, loc)
                    for f, ft in components.items()
                }
            )
        if isinstance(t, StackType):
            return self.stack(t, name, loc, kind)
        if isinstance(t, StructType):
            make = self.union if t.kind == "header_union" else self.header
            return make(t, name, loc, kind)
        raise Unsupported(f"'{name}' has type {t}, which this target cannot store", loc)

    def zero(self, t: Type) -> Value:
        """The default value of a type: 0, false, invalid."""
        t = underlying(t)
        scalar = scalar_type(t)
        if scalar is not None:
            return core.Const(0, scalar)
        components = component_types(t)
        if components is not None:
            return Aggregate({f: self.zero(ft) for f, ft in components.items()})
        if isinstance(t, StructType):
            return (
                InvalidUnion()
                if t.kind == "header_union"
                else HeaderValue(self.header_type(t), None)
            )
        raise Unsupported(f"no default value for type {t}", Loc("<none>", 0, 0))

    def header_fields(self, t: Type, place: core.Place, prefix: str = "") -> dict[str, Value]:
        """The fields of the header at `place` (nested structs as `Aggregate`)."""
        out: dict[str, Value] = {}
        components = t.fields if isinstance(t, StructType) else component_types(t) or {}
        for name, field_type in components.items():
            if scalar_type(field_type) is not None:
                out[name] = core.Field(place, prefix + name)
            else:
                inner = self.header_fields(underlying(field_type), place, f"{prefix}{name}.")
                out[name] = Aggregate(inner)
        return out


def _external_names(t: Type) -> dict[str, str]:
    if not isinstance(t, StructType):
        return {}
    return {f.name: f.external_name.lstrip(".") for f in t.decl.fields}


def bind_types(t: Type, bind: dict[ir.TypeParam, Type]) -> Type:
    """`t` with type parameters replaced by what they stand for, transitively."""
    if not bind:
        return t
    while True:
        new = substitute(t, bind)
        if new == t or (isinstance(new, TypeVar) and new.decl not in bind):
            return new
        t = new


__all__ = ["BOOL", "Storage", "bind_types", "component_types", "scalar_type"]
