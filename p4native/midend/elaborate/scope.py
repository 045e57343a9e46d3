"""Frames: what each declaration stands for in one instantiation or invocation."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.types import Type
from p4native.midend import core
from p4native.midend.elaborate.errors import Unsupported
from p4native.midend.elaborate.storage import bind_types
from p4native.midend.elaborate.values import Value


class Frame:
    """Declarations to values, with the enclosing frame; `prefix` names what is declared here."""

    __slots__ = ("block", "parent", "prefix", "result", "types", "values")

    def __init__(
        self,
        parent: Frame | None,
        prefix: str,
        types: dict[ir.TypeParam, Type] | None = None,
    ) -> None:
        self.parent = parent
        self.prefix = prefix
        self.values: dict[ir.Decl, Value] = {}
        self.types: dict[ir.TypeParam, Type] = dict(parent.types) if parent else {}
        if types:
            outer = self.types
            self.types = outer | {p: bind_types(t, outer) for p, t in types.items()}
        self.block: core.Block | None = None  # where `return` goes
        self.result: Value | None = None  # where `return e` puts e

    def find(self, decl: ir.Decl) -> Value | None:
        """The value of a declaration, looked up outwards; None if unknown."""
        frame: Frame | None = self
        while frame is not None:
            value = frame.values.get(decl)
            if value is not None:
                return value
            frame = frame.parent
        return None

    def lookup(self, decl: ir.Decl) -> Value:
        """As `find`, but the declaration must be known."""
        value = self.find(decl)
        if value is None:
            raise Unsupported(f"'{decl.name}' cannot be used here", decl.loc)
        return value

    def type(self, t: Type) -> Type:
        """`t` with this frame's type arguments put in."""
        return bind_types(t, self.types)

    def named(self, name: str) -> str:
        """The full name of something declared here."""
        if name.startswith("."):
            return name[1:]
        return f"{self.prefix}.{name}" if self.prefix else name
