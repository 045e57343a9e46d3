"""State shared by the checker's modules: scopes, where we are, and how errors are reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc, Reporter
from p4native.frontend.types import UNKNOWN, Type

Scope = dict[str, list[ir.Decl]]

_MAX_HINTS = 20  # errors with a proposed spelling: looking for one takes time

# Declarations of which several may share a name (told apart by their parameters).
OVERLOADABLE = (ir.Method, ir.FunctionDecl)


@dataclass(slots=True)
class Context:
    """One checking run; `scopes[0]` is the global scope."""

    reporter: Reporter
    program: ir.Program
    scopes: list[Scope] = field(default_factory=lambda: [{}])
    match_kinds: dict[str, ir.Decl] = field(default_factory=dict)  # declared so far
    container: ir.ParserDecl | ir.ControlDecl | None = None
    function: ir.ActionDecl | ir.FunctionDecl | None = None
    return_type: Type | None = None  # of the enclosing function
    table: ir.TableDecl | None = None
    instance: ir.InstanceDecl | None = None  # whose initializer is being checked
    loops: int = 0
    in_actions_list: bool = False
    in_select: bool = False
    in_switch_expression: bool = False
    locals_scope: Scope | None = None  # of the parser or control being checked
    used: set[ir.Decl] = field(default_factory=set)  # referred to by expressions since folded
    direct_calls: list[ir.InstanceDecl] = field(default_factory=list)

    # ------------------------------------------------------------ errors

    def error(self, category: str, message: str, loc: Loc, *related: tuple[Loc, str]) -> None:
        """Report an error."""
        self.reporter.error(category, message, loc, *related)

    def type_error(self, message: str, loc: Loc, *related: tuple[Loc, str]) -> None:
        """Report a `type-error`."""
        self.reporter.error("type-error", message, loc, *related)

    def warning(self, category: str, message: str, loc: Loc, *related: tuple[Loc, str]) -> None:
        """Report a warning."""
        self.reporter.warning(category, message, loc, *related)

    def undeclared(self, what: str, name: str, loc: Loc) -> None:
        """Report a name that nothing declares, with one that is spelled almost like it."""
        names = [n for scope in self.scopes for n in scope]
        self.error("not-found", f"{what}'{name}' is not declared{self.hint(name, names)}", loc)

    def hint(self, name: str, names: Iterable[str]) -> str:
        """`; did you mean 'x'?` if one of the names is close to `name`."""
        if self.reporter.error_count > _MAX_HINTS:
            return ""
        close = get_close_matches(name, list(names), 1, 0.75)
        return f"; did you mean '{close[0]}'?" if close else ""

    def bad(self, expr: ir.Expression, message: str, loc: Loc | None = None) -> ir.Expression:
        """Report a type error about an expression, which becomes `UNKNOWN`."""
        self.type_error(message, loc or expr.loc)
        expr.type = UNKNOWN
        return expr

    # ------------------------------------------------------------ scopes

    @contextmanager
    def scope(self) -> Iterator[None]:
        """A nested scope."""
        self.scopes.append({})
        try:
            yield
        finally:
            self.scopes.pop()

    def declare(self, decl: ir.Decl) -> None:
        """Add a declaration to the innermost scope, reporting a clash of names."""
        scope = self.scopes[-1]
        earlier = scope.get(decl.name)
        if earlier is None:
            self._shadows(decl)
            scope[decl.name] = [decl]
            return
        if isinstance(decl, OVERLOADABLE) and all(isinstance(e, OVERLOADABLE) for e in earlier):
            earlier.append(decl)  # two that cannot be told apart are refused when called
            return
        self.duplicate(decl, earlier[0])

    def _shadows(self, decl: ir.Decl) -> None:
        """Warn if a declaration hides one of an outer scope; hiding a parameter is an error."""
        if len(self.scopes) == 1:
            return
        hidden = self.lookup(decl.name)
        if not hidden or isinstance(decl, OVERLOADABLE):
            return
        if isinstance(hidden[0], ir.Param) and self.scopes[-1] is not self.locals_scope:
            self.error(
                "shadow",
                f"'{decl.name}' hides a parameter",
                decl.loc,
                (hidden[0].loc, "the parameter"),
            )
            return
        self.warning(
            "shadow", f"'{decl.name}' shadows another", decl.loc, (hidden[0].loc, "the other one")
        )

    def duplicate(self, decl: ir.Decl, earlier: ir.Decl) -> None:
        """Report that a name is declared twice."""
        self.error(
            "duplicate",
            f"'{decl.name}' is declared twice",
            decl.loc,
            (earlier.loc, "first declared here"),
        )

    def lookup(self, name: str, absolute: bool = False) -> list[ir.Decl]:
        """The declarations a name refers to (several if overloaded), empty if none.

        Match kinds come last: `lpm` and `exact` are names for tables and variables, too.
        """
        if absolute:
            return self.scopes[0].get(name, [])
        for scope in reversed(self.scopes):
            found = scope.get(name)
            if found is not None:
                return found
        return [self.match_kinds[name]] if name in self.match_kinds else []

    def warn_deprecated(self, decl: ir.Decl, loc: Loc) -> None:
        """Warn if a declaration that is used is marked @deprecated."""
        annotation = decl.annotation("deprecated")
        if annotation is not None:
            reason = "".join(e.text for e in annotation.exprs if isinstance(e, ir.StringLit))
            self.warning(
                "deprecated",
                f"'{decl.name}' is deprecated. {reason}".rstrip(),
                loc,
                (decl.loc, "declared here"),
            )

    def in_action(self) -> bool:
        """Whether an action's body is being checked."""
        return isinstance(self.function, ir.ActionDecl)

    def in_parser(self) -> bool:
        """Whether we are inside a parser."""
        return isinstance(self.container, ir.ParserDecl)


def same_signature(a: ir.Decl, b: ir.Decl) -> bool:
    """Whether two overloads can never be told apart: equal parameter counts and names."""
    assert isinstance(a, OVERLOADABLE)
    assert isinstance(b, OVERLOADABLE)
    return len(a.params) == len(b.params) and {p.name for p in a.params} == {
        p.name for p in b.params
    }


def check_unique(ctx: Context, decls: list[ir.Decl]) -> None:
    """Report declarations of a list that share a name."""
    seen: dict[str, ir.Decl] = {}
    for decl in decls:
        earlier = seen.setdefault(decl.name, decl)
        if earlier is not decl:
            ctx.duplicate(decl, earlier)
