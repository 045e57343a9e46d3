"""Parsing of expressions by precedence climbing."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import MAX_INT_BITS, Loc
from p4native.frontend.lexer import NAME_KEYWORDS
from p4native.frontend.parser.base import TYPE_KEYWORDS, NestingFailure, SyntaxFailure
from p4native.frontend.parser.types import TypeParser
from p4native.frontend.types import INT, bits

MAX_WIDTH = 2048  # bits: BMv2's limit on field widths, p4c's maximumWidthSupported
_MAX_DIGITS = 4000
_MAX_CHAIN = 2000  # operators in one unparenthesised expression

_PRECEDENCE = {
    "?": 1,
    "||": 2,
    "&&": 3,
    "==": 4,
    "!=": 4,
    "<": 5,
    ">": 5,
    "<=": 5,
    ">=": 5,
    "|": 6,
    "^": 7,
    "&": 8,
    "<<": 9,
    ">>": 9,
    "++": 10,
    "+": 10,
    "-": 10,
    "|+|": 10,
    "|-|": 10,
    "*": 11,
    "/": 11,
    "%": 11,
}
_UNARY = frozenset("-+!~")
_BASES = {"x": 16, "X": 16, "d": 10, "D": 10, "o": 8, "O": 8, "b": 2, "B": 2}


class ExpressionParser(TypeParser):
    """Expressions, keysets and arguments."""

    no_greater = 0  # > 0 inside `<...>`: a `>` ends the expression

    def expression(self) -> ir.Expression:
        """Any expression."""
        saved, self.no_greater = self.no_greater, 0
        try:
            return self.binary(1)
        finally:
            self.no_greater = saved

    def width_expression(self) -> ir.Expression:
        """An expression inside angle brackets: `>` is not an operator."""
        saved, self.no_greater = self.no_greater, 1
        try:
            return self.binary(1)
        finally:
            self.no_greater = saved

    def binary(self, minimum: int) -> ir.Expression:
        """An expression of operators that bind at least as tightly as `minimum`."""
        left = self.unary()
        chain = 0
        while True:
            op = self.kinds[self.at]
            level = _PRECEDENCE.get(op)
            if level is None:
                return left
            size = 1
            if op == ">":
                if self.no_greater:
                    return left
                if self.kinds[self.at + 1] == ">" and self.tokens.adjacent(self.at):
                    op, level, size = ">>", 9, 2
            if level < minimum:
                return left
            chain += 1
            if chain > _MAX_CHAIN:
                self.reporter.error("overlimit", "expression has too many operators", self.loc())
                raise NestingFailure
            if op == "?":
                left = self._ternary(left)
                continue
            self.at += size
            left = ir.Binary(op, left, self.binary(level + 1), loc=left.loc)

    def _ternary(self, cond: ir.Expression) -> ir.Expression:
        self.at += 1
        with self.nested():
            then = self.expression()
            self.expect(":")
            return ir.Ternary(cond, then, self.binary(1), loc=cond.loc)

    def unary(self) -> ir.Expression:
        """A prefix operator, cast or postfix expression."""
        self.nesting += 1
        try:
            self.check_nesting()
            kind = self.kinds[self.at]
            if kind in _UNARY:
                loc = self.loc()
                self.at += 1
                return ir.Unary(kind, self.unary(), loc=loc)
            if kind == "(":
                return self._parenthesis()
            return self.postfix(self.primary())
        finally:
            self.nesting -= 1

    def _parenthesis(self) -> ir.Expression:
        """A cast or a parenthesised expression."""
        loc = self.loc()
        self.at += 1
        if self.at_type():
            start = self.at
            self.speculating += 1
            try:
                ref = self.type_ref()
                is_cast = self.kinds[self.at] == ")"
            except SyntaxFailure:
                is_cast = False
            finally:
                self.speculating -= 1
            if is_cast:
                self.at += 1
                return self._cast(ref, loc)
            self.at = start
        inner = self.expression()
        self.expect(")")
        return self.postfix(inner)

    def _cast(self, ref: ir.TypeRef, loc: Loc) -> ir.Expression:
        operand = self.unary()
        return ir.Cast(ref, operand, loc=loc)

    def primary(self) -> ir.Expression:
        """An atom: literal, name, type name, `{...}`."""
        kind = self.kinds[self.at]
        loc = self.loc()
        if kind == "ID" or kind in NAME_KEYWORDS:
            if self.is_type_name(self.texts[self.at]):
                return self._type_primary()
            self.at += 1
            return ir.Path(self.texts[self.at - 1], loc=loc)
        if kind == "INT":
            return self.integer()
        if kind in ("true", "false"):
            self.at += 1
            return ir.BoolLit(kind == "true", loc=loc)
        if kind == "STR":
            return self.string()
        if kind == "{":
            return self._braces()
        if kind == "{#}":
            self.at += 1
            return ir.InvalidHeader(loc=loc)
        if kind == "...":
            self.at += 1
            return ir.DefaultValue(loc=loc)
        if kind == "this":
            self.at += 1
            return ir.This(loc=loc)
        return self._other_primary(kind, loc)

    def _other_primary(self, kind: str, loc: Loc) -> ir.Expression:
        if kind == ".":
            if self.at_type():
                return self._type_primary()
            self.at += 1
            return ir.Path(self.name(), True, loc=loc)
        if kind == "error" or (kind in TYPE_KEYWORDS and self.at_type()):
            return self._type_primary()
        raise self.fail("an expression")

    def _type_primary(self) -> ir.Expression:
        """`T.member`, or `T<args>(constructor arguments)`."""
        loc = self.loc()
        if self.kinds[self.at] == "error":
            ref: ir.TypeRef = self._unsuffixed()
        else:
            ref = self.named_type() if self.kinds[self.at] in ("ID", ".") else self._unsuffixed()
        if self.kinds[self.at] == "(" and isinstance(ref, ir.NamedTypeRef):
            self.at += 1
            args = self.arguments()
            return ir.ConstructorCall(ref, args, loc=loc)
        if self.kinds[self.at] == ".":
            return ir.TypeName(ref, loc=loc)
        raise self.fail("'.' or '(' after the type name")

    def integer(self) -> ir.IntLit:
        """An integer literal with its type."""
        loc = self.loc()
        if self.kinds[self.at] != "INT":
            raise self.fail("an integer")
        text = self.texts[self.at]
        self.at += 1
        if len(text) > _MAX_DIGITS:
            self.reporter.error("overlimit", "integer literal is too long", loc)
            return ir.IntLit(0, type=INT, loc=loc)
        width, signed = None, False
        for mark in "ws":
            head, found, rest = text.partition(mark)
            if found:
                width, signed, text = int(head), mark == "s", rest
                break
        base = _BASES.get(text[1:2], 10)
        digits = (text[2:] if text[1:2] in _BASES else text).replace("_", "")
        if not digits:
            self.reporter.error("syntax", f"integer literal '{text}' has no digits", loc)
            digits = "0"
        number = int(digits, base)
        if number.bit_length() > MAX_INT_BITS:
            self.reporter.error("overlimit", f"more than {MAX_INT_BITS} bits", loc)
            number = 0
        if width is None:
            return ir.IntLit(number, base, type=INT, loc=loc)
        if signed and not width:
            self.reporter.error("invalid", "a signed type cannot have width 0", loc)
            width = 1
        if width > MAX_WIDTH:
            self.reporter.error(
                "overlimit", f"{width}: width is larger than the supported {MAX_WIDTH}", loc
            )
            width = MAX_WIDTH
        return ir.IntLit(number, base, type=bits(width, signed), loc=loc)

    def string(self) -> ir.StringLit:
        """A string literal."""
        loc = self.loc()
        if self.kinds[self.at] != "STR":
            raise self.fail("a string")
        text = self.texts[self.at][1:-1]
        self.at += 1
        return ir.StringLit(text, loc=loc)

    def _braces(self) -> ir.Expression:
        """`{a, b}`, `{f = a}`, with optional trailing comma or `...`."""
        loc = self.loc()
        self.expect("{")
        if self._at_named():
            return self._struct_value(loc)
        items: list[ir.Expression] = []
        rest = False
        while self.kinds[self.at] != "}":
            if self.kinds[self.at] == "..." and self.kinds[self.at + 1] in ("}", ","):
                self.at += 1
                rest = True
                self.accept(",")
                break
            items.append(self.expression())
            if not self.accept(","):
                break
        self.expect("}")
        return ir.ListExpr(items, has_rest=rest, loc=loc)

    def _at_named(self) -> bool:
        return self.is_name(self.kinds[self.at]) and self.kinds[self.at + 1] == "="

    def _struct_value(self, loc: Loc) -> ir.Expression:
        fields: list[ir.NamedExpr] = []
        seen: dict[str, Loc] = {}
        rest = False
        while self.kinds[self.at] != "}":
            if self.accept("..."):
                rest = True
                self.accept(",")
                break
            fields.append(self.named_expression())
            self.unique(seen, fields[-1].name, fields[-1].loc)
            if not self.accept(","):
                break
        self.expect("}")
        return ir.StructExpr(fields, has_rest=rest, loc=loc)

    def named_expression(self) -> ir.NamedExpr:
        """`name = expression`."""
        loc = self.loc()
        name = self.name()
        self.expect("=")
        return ir.NamedExpr(name, self.expression(), loc=loc)

    # ------------------------------------------------------------ postfix

    def postfix(self, expr: ir.Expression, always_type_args: bool = False) -> ir.Expression:
        """Member accesses, indexing, slices and calls after `expr`."""
        while True:
            kind = self.kinds[self.at]
            if kind == ".":
                self.at += 1
                expr = ir.Member(expr, self.name(), loc=expr.loc)
            elif kind == "[":
                expr = self._index(expr)
            elif kind == "(":
                self.at += 1
                expr = ir.Call(expr, self.arguments(), loc=expr.loc)
            elif kind == "<" and (always_type_args or self._starts_type(self.at + 1)):
                call = self._generic_call(expr, always_type_args)
                if call is None:
                    return expr
                expr = call
            else:
                return expr

    def _starts_type(self, at: int) -> bool:
        kind = self.kinds[at]
        if kind == "ID" or kind in NAME_KEYWORDS:
            return self.is_type_name(self.texts[at])
        return kind in TYPE_KEYWORDS or kind in ("void", "_", ".")

    def _generic_call(self, expr: ir.Expression, always: bool) -> ir.Expression | None:
        """`expr<types>(args)`, or None (position unchanged) if it is a comparison after all."""
        start = self.at
        if not always:
            self.speculating += 1
        try:
            types = self.type_args()
            if self.kinds[self.at] != "(":
                raise self.fail("'('")
        except NestingFailure:
            raise
        except SyntaxFailure:
            if always:
                raise
            self.at = start
            return None
        finally:
            if not always:
                self.speculating -= 1
        self.at += 1
        return ir.Call(expr, self.arguments(), types, loc=expr.loc)

    def _index(self, expr: ir.Expression) -> ir.Expression:
        self.at += 1
        first = self.expression()
        if self.accept(":"):
            second = self.expression()
            self.expect("]")
            return ir.Slice(expr, first, second, loc=expr.loc)
        if self.accept("+:"):
            second = self.expression()
            self.expect("]")
            return ir.PlusSlice(expr, first, second, loc=expr.loc)
        self.expect("]")
        return ir.Index(expr, first, loc=expr.loc)

    def arguments(self) -> list[ir.Argument]:
        """Arguments up to and including the `)`; the `(` is consumed already."""
        args: list[ir.Argument] = []
        if self.accept(")"):
            return args
        with self.nested():
            while True:
                args.append(self._argument())
                if not self.accept(","):
                    break
        self.expect(")")
        return args

    def _argument(self) -> ir.Argument:
        loc = self.loc()
        name = None
        if self._at_named():
            name = self.name()
            self.at += 1
        if self.kinds[self.at] == "_":
            dont_care = ir.DontCare(loc=self.loc())
            self.at += 1
            return ir.Argument(dont_care, name, loc=loc)
        return ir.Argument(self.expression(), name, loc=loc)

    # ------------------------------------------------------------ keysets

    def simple_keyset(self) -> ir.Expression:
        """`default`, `_`, `a &&& b`, `a .. b` or an expression."""
        kind = self.kinds[self.at]
        loc = self.loc()
        if kind in ("default", "_"):
            self.at += 1
            return ir.DontCare(kind == "default", loc=loc)
        left = self.expression()
        return self.keyset_tail(left)

    def keyset_tail(self, left: ir.Expression) -> ir.Expression:
        """The mask or range whose left side was parsed already."""
        if self.accept("&&&"):
            return ir.Mask(left, self.expression(), loc=left.loc)
        if self.accept(".."):
            return ir.Range(left, self.expression(), loc=left.loc)
        return left

    def keyset(self) -> ir.Expression:
        """A keyset expression: a `ListExpr` for a tuple `(k, ...)`, else a simple keyset."""
        if self.kinds[self.at] != "(":
            return self.simple_keyset()
        start, loc = self.at, self.loc()
        items = self._try_keyset_tuple()
        if items is not None:
            return ir.ListExpr(items, loc=loc)
        self.at = start
        return self.simple_keyset()

    def _try_keyset_tuple(self) -> list[ir.Expression] | None:
        """`(k, k...)`; None if it is a parenthesised expression instead."""
        self.speculating += 1
        try:
            self.at += 1
            items = [self.simple_keyset()]
            while self.accept(","):
                items.append(self.simple_keyset())
            self.expect(")")
        except NestingFailure:
            raise
        except SyntaxFailure:
            return None
        finally:
            self.speculating -= 1
        single = len(items) == 1 and not isinstance(items[0], (ir.Mask, ir.Range, ir.DontCare))
        if single or self.kinds[self.at] != ":":
            return None
        return items
