"""Parsing of type references."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.lexer import NAME_KEYWORDS
from p4native.frontend.parser.base import Cursor


class TypeParser(Cursor):
    """`typeRef` and its parts; expressions come from the subclass."""

    def expression(self) -> ir.Expression:
        """See `ExpressionParser`."""
        raise NotImplementedError

    def width_expression(self) -> ir.Expression:
        """See `ExpressionParser`."""
        raise NotImplementedError

    def type_ref(self) -> ir.TypeRef:
        """A type, with any `[size]` suffixes."""
        with self.nested():
            return self.stack_suffix(self._unsuffixed())

    def stack_suffix(self, ref: ir.TypeRef) -> ir.TypeRef:
        """Wrap `ref` in a stack type for every `[size]` that follows."""
        while self.kinds[self.at] == "[":
            self.at += 1
            size = self.expression()
            self.expect("]")
            ref = ir.StackTypeRef(ref, size, loc=ref.loc)
        return ref

    def _unsuffixed(self) -> ir.TypeRef:
        kind = self.kinds[self.at]
        if kind in ("bit", "int", "varbit"):
            return self._sized()
        if kind in ("bool", "error", "string", "match_kind"):
            loc = self.loc()
            self.at += 1
            return ir.BaseTypeRef(kind, loc=loc)
        if kind == "tuple" or (kind == "list" and self.kinds[self.at + 1] == "<"):
            loc = self.loc()
            self.at += 1
            return ir.TupleTypeRef(self.type_args(), kind == "list", loc=loc)
        return self.named_type()

    def _sized(self) -> ir.TypeRef:
        kind = self.kinds[self.at]
        loc = self.loc()
        self.at += 1
        if self.kinds[self.at] != "<":
            if kind == "varbit":
                raise self.fail("'<' and the maximum width of the varbit")
            if kind == "bit":
                return ir.BaseTypeRef("bit", ir.IntLit(1, loc=loc), loc=loc)
            return ir.BaseTypeRef("int", loc=loc)
        self.at += 1
        width = self.width_expression()
        self.close_angle()
        return ir.BaseTypeRef(kind, width, loc=loc)

    def named_type(self) -> ir.NamedTypeRef:
        """A declared type's name with optional type arguments."""
        loc = self.loc()
        absolute = self.accept(".")
        if not self.at_type() and not absolute:
            raise self.fail("a type")
        name = self.name()
        args: list[ir.TypeRef] = []
        if self.kinds[self.at] == "<":
            args = self.type_args()
        return ir.NamedTypeRef(name, args, absolute, loc=loc)

    def type_args(self) -> list[ir.TypeRef]:
        """`<T, ...>`; the list may be empty."""
        self.expect("<")
        args: list[ir.TypeRef] = []
        if self.kinds[self.at] != ">":
            args.append(self.type_arg())
            while self.accept(","):
                args.append(self.type_arg())
        self.close_angle()
        return args

    def type_arg(self) -> ir.TypeRef:
        """A type argument: a type, `void`, `_` or a name declared later (a type parameter)."""
        kind = self.kinds[self.at]
        loc = self.loc()
        if kind == "void":
            self.at += 1
            return ir.BaseTypeRef("void", loc=loc)
        if kind == "_":
            self.at += 1
            return ir.NamedTypeRef("_", loc=loc)
        if (kind == "ID" or kind in NAME_KEYWORDS) and not self.at_type():
            self.at += 1
            return ir.NamedTypeRef(self.texts[self.at - 1], loc=loc)
        return self.type_ref()

    def close_angle(self) -> None:
        """The `>` that ends type arguments."""
        self.expect(">")

    def type_or_void(self) -> ir.TypeRef:
        """A return type: also `void` and names of type parameters that follow."""
        loc = self.loc()
        if self.accept("void"):
            return ir.BaseTypeRef("void", loc=loc)
        if self.kinds[self.at] == "ID" and not self.at_type():
            self.at += 1
            return ir.NamedTypeRef(self.texts[self.at - 1], loc=loc)
        return self.type_ref()

    def type_params(self) -> list[ir.TypeParam]:
        """`<T, ...>` of a declaration, or nothing; declares the names in the current scope."""
        found: list[ir.TypeParam] = []
        if self.kinds[self.at] != "<":
            return found
        self.at += 1
        while True:
            loc = self.loc()
            name = self.name()
            found.append(ir.TypeParam(name, loc=loc))
            self.declare_type(name)
            if not self.accept(","):
                break
        self.close_angle()
        return found
