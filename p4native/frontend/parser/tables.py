"""Parsing of tables."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc
from p4native.frontend.lexer import NAME_KEYWORDS
from p4native.frontend.parser.statements import StatementParser


class TableParser(StatementParser):
    """`table name { properties }`."""

    def table(self, annotations: list[ir.Annotation]) -> ir.TableDecl:
        """A table declaration; errors are recovered from property by property."""
        self.expect("table")
        loc = self.loc()
        table = ir.TableDecl(self.name(), loc=loc, annotations=annotations)
        self.expect("{")
        seen: dict[str, ir.Node] = {}
        if self.kinds[self.at] == "}":
            raise self.fail("a table property")
        self.members(lambda: self._property(table, seen))
        self.declare_object(table.name)
        return table

    def _property(self, table: ir.TableDecl, seen: dict[str, ir.Node]) -> None:
        annotations = self.annotations()
        is_const = self.accept("const")
        loc = self.loc()
        kind = self.kinds[self.at]
        marker = ir.Node(loc=loc)
        name = self.texts[self.at]
        if name in seen:
            self.reporter.error(
                "duplicate",
                f"duplicate table property '{name}'",
                loc,
                (seen[name].loc, "first given here"),
            )
        seen[name] = marker
        plain = not annotations and not is_const
        if kind == "key" and plain:
            self._braced_property()
            table.keys_loc = loc
            table.keys = self._keys()
        elif kind == "actions" and plain:
            self._braced_property()
            table.actions = self._actions()
            table.has_actions = True
        elif kind == "entries":
            self._needs(table, seen, ("key", "actions"), "entries", loc)
            self._braced_property()
            table.entries = self._entries()
            table.entries_const = is_const
        else:
            if name == "default_action":
                self._needs(table, seen, ("actions",), name, table.loc)
            self._plain_property(table, annotations, is_const)

    def _needs(
        self,
        table: ir.TableDecl,
        seen: dict[str, ir.Node],
        needed: tuple[str, ...],
        name: str,
        loc: Loc,
    ) -> None:
        """`name` must follow the properties in `needed`, checked once the table is complete."""
        for other in needed:
            if other not in seen:
                table.misplaced.append((name, other, loc))

    def _braced_property(self) -> None:
        self.at += 1
        self.expect("=")
        self.expect("{")

    def _plain_property(
        self, table: ir.TableDecl, annotations: list[ir.Annotation], is_const: bool
    ) -> None:
        loc = self.loc()
        if self.kinds[self.at] in ("key", "actions"):
            raise self.fail("a property that may be const or annotated")
        name = self.name()
        self.expect("=")
        expr = self.expression()
        self.expect(";")
        if name == "default_action":
            call = expr if isinstance(expr, ir.Call) else ir.Call(expr, loc=expr.loc)
            table.default_action = call
            table.default_const = is_const
            return
        table.properties.append(ir.Property(name, expr, is_const, loc=loc, annotations=annotations))

    def _keys(self) -> list[ir.KeyElement]:
        found: list[ir.KeyElement] = []
        while self.kinds[self.at] not in ("}", "EOF"):
            loc = self.loc()
            expr = self.expression()
            self.expect(":")
            kind_loc = self.loc()
            kind = ir.Path(self.name(), loc=kind_loc)
            annotations = self.annotations()
            self.expect(";")
            found.append(ir.KeyElement(expr, kind, annotations, loc=loc))
        self.expect("}")
        return found

    def _action_ref(self) -> ir.Call:
        loc = self.loc()
        absolute = self.accept(".")
        kind = self.kinds[self.at]
        if kind != "ID" and kind not in NAME_KEYWORDS:
            raise self.fail("an action name")
        self.at += 1
        path = ir.Path(self.texts[self.at - 1], absolute, loc=loc)
        args = self.arguments() if self.accept("(") else []
        return ir.Call(path, args, loc=loc)

    def _actions(self) -> list[ir.ActionRef]:
        found: list[ir.ActionRef] = []
        while self.kinds[self.at] not in ("}", "EOF"):
            annotations = self.annotations()
            call = self._action_ref()
            self.expect(";")
            found.append(ir.ActionRef(call, annotations, loc=call.loc))
        self.expect("}")
        return found

    def _entries(self) -> list[ir.Entry]:
        found: list[ir.Entry] = []
        self.members(lambda: found.append(self._entry()))
        return found

    def _entry(self) -> ir.Entry:
        is_const = self.accept("const")
        priority = self._priority()
        loc = self.loc()
        keyset = self.keyset()
        if not isinstance(keyset, ir.ListExpr):
            keyset = ir.ListExpr([keyset], loc=loc)
        self.expect(":")
        call = self._action_ref()
        annotations = self.annotations()
        self.expect(";")
        return ir.Entry(keyset, call, priority, is_const, annotations, loc=loc)

    def _priority(self) -> ir.Expression | None:
        if self.kinds[self.at] != "priority" or self.kinds[self.at + 1] != "=":
            return None
        self.at += 2
        found: ir.Expression
        if self.accept("("):
            found = self.expression()
            self.expect(")")
        else:
            found = self.integer()
        self.expect(":")
        return found
