"""Parsing of declarations and whole programs."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc, Reporter
from p4native.frontend.lexer import NAME_KEYWORDS, Tokens
from p4native.frontend.parser.base import SyntaxFailure
from p4native.frontend.parser.tables import TableParser

_TOP_LEVEL = frozenset(
    [
        "const",
        "extern",
        "action",
        "parser",
        "control",
        "package",
        "header",
        "header_union",
        "struct",
        "enum",
        "typedef",
        "match_kind",
    ]
)


class DeclarationParser(TableParser):
    """Top-level declarations and those nested in parsers and controls."""

    def __init__(self, tokens: Tokens, reporter: Reporter) -> None:
        super().__init__(tokens, reporter)
        self.extra: list[ir.Decl] = []  # declared by the declaration being parsed, before it

    def program(self) -> ir.Program:
        """The whole program, recovering from errors declaration by declaration."""
        program = ir.Program(loc=self.loc())
        self.declare_type("error")
        while self.kinds[self.at] != "EOF":
            start = self.at
            self.nesting = 0
            self.in_parser = False
            try:
                decl = self._declaration()
                program.decls.extend(self.extra)
                self.extra.clear()
                if decl is not None:
                    program.decls.append(decl)
            except SyntaxFailure:
                del self.scopes[1:]
                self._skip_declaration(start)
        return program

    def _skip_declaration(self, start: int) -> None:
        """Resume at a token that can only start a top-level declaration."""
        depth = 0
        self.at = max(self.at, start)
        if self.at == start:
            self.at += 1
        depth = _depth(self.kinds, start, self.at)
        while self.kinds[self.at] != "EOF":
            kind = self.kinds[self.at]
            if depth <= 0 and kind in _TOP_LEVEL:
                return
            if kind == "{":
                depth += 1
            elif kind == "}":
                depth -= 1
                if depth <= 0:
                    self.at += 1
                    return
            elif kind == ";" and depth <= 0:
                self.at += 1
                return
            self.at += 1

    def _declaration(self) -> ir.Decl | None:
        if self.accept(";"):
            return None
        annotations = self.annotations()
        kind = self.kinds[self.at]
        handler = _HANDLERS.get(kind)
        if handler is not None:
            found: ir.Decl | None = getattr(self, handler)(annotations)
            return found
        if kind == "error" and self.kinds[self.at + 1] == "{":
            return self._error_members()
        if kind == "match_kind" and self.kinds[self.at + 1] == "{":
            return self._match_kind_members()
        if kind == "type" and not self.is_type_name("type"):
            return self._new_type(annotations)
        return self._instance_or_function(annotations)

    def _instance_or_function(self, annotations: list[ir.Annotation]) -> ir.Decl:
        loc = self.loc()
        kind = self.kinds[self.at]
        if kind not in ("void", "ID") and not self.at_type():
            raise self.fail("a declaration")
        ref = self.type_or_void()
        if self.kinds[self.at] == "(":
            return self.instance(ref, annotations, loc)
        return self._function(ref, annotations)

    # ------------------------------------------------------------ parameters

    def params(self) -> list[ir.Param]:
        """`(parameters)`; declares the names in the current scope."""
        self.expect("(")
        found: list[ir.Param] = []
        if self.kinds[self.at] != ")":
            found.append(self._param())
            while self.accept(","):
                found.append(self._param())
        self.expect(")")
        for p in found:
            self.declare_object(p.name)
        return found

    def _param(self) -> ir.Param:
        annotations = self.annotations()
        direction = ""
        if self.kinds[self.at] in ("in", "out", "inout"):
            direction = self.kinds[self.at]
            self.at += 1
        ref = self.type_ref()
        loc = self.loc()
        name = self.name()
        ref = self.stack_suffix(ref)
        default = self.expression() if self.accept("=") else None
        return ir.Param(name, direction, ref, default, loc=loc, annotations=annotations)

    # ------------------------------------------------------------ types

    def _struct(self, annotations: list[ir.Annotation]) -> ir.StructDecl:
        kind = self.kinds[self.at]
        self.at += 1
        loc = self.loc()
        name = self.name()
        self.declare_type(name)
        with self.scope():
            type_params = self.type_params()
            self.expect("{")
            fields = self._fields()
        return ir.StructDecl(name, kind, fields, type_params, loc=loc, annotations=annotations)

    def _fields(self) -> list[ir.Field]:
        fields: list[ir.Field] = []
        self.members(lambda: fields.append(self._field()))
        return fields

    def _field(self) -> ir.Field:
        annotations = self.annotations()
        ref = self.type_ref()
        loc = self.loc()
        name = self.name()
        ref = self.stack_suffix(ref)
        self.expect(";")
        return ir.Field(name, ref, loc=loc, annotations=annotations)

    def _enum(self, annotations: list[ir.Annotation]) -> ir.EnumDecl:
        self.expect("enum")
        ref = None
        if not (self.is_name(self.kinds[self.at]) and self.kinds[self.at + 1] == "{"):
            ref = self.type_ref()
        loc = self.loc()
        name = self.name()
        self.declare_type(name)
        self.expect("{")
        members: list[ir.EnumMember] = []
        while self.kinds[self.at] != "}" or not members:
            member_loc = self.loc()
            member = ir.EnumMember(self.name(), index=len(members), loc=member_loc)
            if ref is not None:
                self.expect("=")
                member.init = self.expression()
            members.append(member)
            if not self.accept(","):
                break
        self.expect("}")
        return ir.EnumDecl(name, members, ref, loc=loc, annotations=annotations)

    def _identifiers(self, trailing_comma: bool) -> list[ir.EnumMember]:
        self.at += 1
        self.expect("{")
        members: list[ir.EnumMember] = []
        seen: dict[str, Loc] = {}
        while True:
            loc = self.loc()
            members.append(ir.EnumMember(self.name(), loc=loc))
            self.unique(seen, members[-1].name, loc)
            if not self.accept(","):
                break
            if trailing_comma and self.kinds[self.at] == "}":
                break
        self.expect("}")
        return members

    def _error_members(self) -> ir.ErrorDecl:
        loc = self.loc()
        return ir.ErrorDecl("error", self._identifiers(False), loc=loc)

    def _match_kind_members(self) -> ir.MatchKindDecl:
        loc = self.loc()
        members = self._identifiers(True)
        for m in members:
            self.declare_object(m.name)
        return ir.MatchKindDecl("match_kind", members, loc=loc)

    def _typedef(self, annotations: list[ir.Annotation]) -> ir.TypedefDecl:
        self.expect("typedef")
        if self.kinds[self.at] in ("struct", "header", "header_union", "enum"):
            ref = self._inline_type()
        else:
            ref = self.type_ref()
        loc = self.loc()
        name = self.name()
        ref = self.stack_suffix(ref)
        self.expect(";")
        self.declare_type(name)
        return ir.TypedefDecl(name, ref, loc=loc, annotations=annotations)

    def _inline_type(self) -> ir.TypeRef:
        """`typedef struct S {...} T;`: declares S ahead of T."""
        decl = self._enum([]) if self.kinds[self.at] == "enum" else self._struct([])
        self.extra.append(decl)
        return ir.NamedTypeRef(decl.name, loc=decl.loc)

    def _new_type(self, annotations: list[ir.Annotation]) -> ir.NewTypeDecl:
        self.expect("type")
        ref = self.type_ref()
        loc = self.loc()
        name = self.name()
        ref = self.stack_suffix(ref)
        self.expect(";")
        self.declare_type(name)
        return ir.NewTypeDecl(name, ref, loc=loc, annotations=annotations)

    # ------------------------------------------------------------ externs and functions

    def _extern(self, annotations: list[ir.Annotation]) -> ir.Decl | None:
        self.expect("extern")
        kind = self.kinds[self.at]
        if kind == "ID" or kind in NAME_KEYWORDS:
            following = self.kinds[self.at + 1]
            if following == ";":
                self.declare_type(self.texts[self.at])
                self.at += 2
                return None
            known = self.is_type_name(self.texts[self.at])
            if following == "{" or (following == "<" and not known):
                return self._extern_object(annotations)
        with self.scope():
            method = self._prototype(annotations)
        self.declare_object(method.name)
        self.expect(";")
        return method

    def _extern_object(self, annotations: list[ir.Annotation]) -> ir.ExternDecl:
        loc = self.loc()
        name = self.name()
        self.declare_type(name)
        found = ir.ExternDecl(name, loc=loc, annotations=annotations)
        with self.scope():
            self.declare_type(name)
            found.type_params = self.type_params()
            self.expect("{")
            self.members(lambda: self._extern_member(found))
        return found

    def _extern_member(self, owner: ir.ExternDecl) -> None:
        annotations = self.annotations()
        loc = self.loc()
        if self.texts[self.at] == owner.name and self.kinds[self.at + 1] == "(":
            self.at += 1
            with self.scope():
                params = self.params()
            self.expect(";")
            owner.constructors.append(
                ir.Method(owner.name, None, params, parent=owner, loc=loc, annotations=annotations)
            )
            return
        if self.kinds[self.at] == "ID" and self.kinds[self.at + 1] == "(":
            self.reporter.error(
                "syntax",
                f"'{self.texts[self.at]}': a constructor must have the extern's name"
                f" '{owner.name}', a method a return type",
                loc,
            )
            raise SyntaxFailure
        abstract = self.accept("abstract")
        with self.scope():
            method = self._prototype(annotations)
        self.expect(";")
        method.abstract = abstract
        method.parent = owner
        owner.methods.append(method)

    def _prototype(self, annotations: list[ir.Annotation]) -> ir.Method:
        ref = self.type_or_void()
        loc = self.loc()
        name = self.name()
        type_params = self.type_params()
        params = self.params()
        return ir.Method(name, ref, params, type_params, loc=loc, annotations=annotations)

    def _function(self, ref: ir.TypeRef, annotations: list[ir.Annotation]) -> ir.FunctionDecl:
        loc = self.loc()
        name = self.name()
        saved, self.in_parser = self.in_parser, False
        with self.scope():
            type_params = self.type_params()
            params = self.params()
            body = self.block()
        self.in_parser = saved
        self.declare_object(name)
        return ir.FunctionDecl(
            name, ref, params, body, type_params, loc=loc, annotations=annotations
        )

    def initializer_block(self) -> ir.Block:
        """`{ functions and instances }` of an instance."""
        loc = self.loc()
        self.expect("{")
        found: list[ir.Statement] = []
        with self.scope():
            while self.kinds[self.at] not in ("}", "EOF"):
                annotations = self.annotations()
                decl = self._instance_or_function(annotations)
                found.append(ir.DeclStmt(decl, loc=decl.loc))
        self.expect("}")
        return ir.Block(found, loc=loc)

    def action(self, annotations: list[ir.Annotation]) -> ir.ActionDecl:
        """An action declaration."""
        self.expect("action")
        loc = self.loc()
        name = self.name()
        with self.scope():
            params = self.params()
            body = self.block()
        self.declare_object(name)
        return ir.ActionDecl(name, params, body, loc=loc, annotations=annotations)

    # ------------------------------------------------------------ parsers and controls

    def _package(self, annotations: list[ir.Annotation]) -> ir.PackageTypeDecl:
        self.expect("package")
        loc = self.loc()
        name = self.name()
        self.declare_type(name)
        with self.scope():
            type_params = self.type_params()
            params = self.params()
        self.expect(";")
        return ir.PackageTypeDecl(name, params, type_params, loc=loc, annotations=annotations)

    def _parser(self, annotations: list[ir.Annotation]) -> ir.Decl:
        self.expect("parser")
        loc = self.loc()
        name = self.name()
        self.declare_type(name)
        with self.scope():
            type_params = self.type_params()
            params = self.params()
            if self.accept(";"):
                return ir.ParserTypeDecl(
                    name, params, type_params, loc=loc, annotations=annotations
                )
            found = ir.ParserDecl(name, params, type_params, loc=loc, annotations=annotations)
            if self.kinds[self.at] == "(":
                found.ctor_params = self.params()
            self.expect("{")
            self.in_parser = True
            self._members(found.locals, self._parser_local, ("state", "@", "PRAGMA"))
            if self.kinds[self.at] == "}":
                raise self.fail("a parser state")
            while self.kinds[self.at] not in ("}", "EOF"):
                self._states(found)
            self.expect("}")
            self.in_parser = False
        found.accept.loc = found.reject.loc = loc
        return found

    def _states(self, owner: ir.ParserDecl) -> None:
        start = self.at
        try:
            owner.states.append(self._state())
        except SyntaxFailure:
            if self.nesting > 1:
                raise
            while self.kinds[self.at] not in ("state", "EOF"):
                if self.kinds[self.at] in _TOP_LEVEL and self.kinds[self.at] != "const":
                    raise
                self.at += 1
            if self.at == start:
                self.at += 1

    def _parser_local(self, annotations: list[ir.Annotation]) -> ir.Decl:
        if self.kinds[self.at] == "value_set":
            return self._value_set(annotations)
        if self.kinds[self.at] == "const":
            return self.constant(annotations)
        if not self.at_type():
            raise self.fail("a declaration, type or parser state")
        found = self.variable_or_instance(annotations)
        assert isinstance(found, ir.DeclStmt)
        return found.decl

    def _value_set(self, annotations: list[ir.Annotation]) -> ir.ValueSetDecl:
        self.expect("value_set")
        self.expect("<")
        ref = self.type_ref()
        self.close_angle()
        self.expect("(")
        size = self.expression()
        self.expect(")")
        loc = self.loc()
        name = self.name()
        self.expect(";")
        self.declare_object(name)
        return ir.ValueSetDecl(name, ref, size, loc=loc, annotations=annotations)

    def _state(self) -> ir.StateDecl:
        annotations = self.annotations()
        self.expect("state")
        loc = self.loc()
        state = ir.StateDecl(self.name(), loc=loc, annotations=annotations)
        self.expect("{")
        with self.scope():
            state.statements = self.statements_until_brace()
            if self.accept("transition"):
                state.transition = self._transition()
        self.expect("}")
        return state

    def _transition(self) -> ir.Expression:
        loc = self.loc()
        if not self.accept("select"):
            name = ir.Path(self.name(), loc=loc)
            self.expect(";")
            return name
        self.expect("(")
        selectors: list[ir.Expression] = []
        if self.kinds[self.at] != ")":
            selectors.append(self.expression())
            while self.accept(","):
                selectors.append(self.expression())
        self.expect(")")
        self.expect("{")
        cases: list[ir.SelectCase] = []
        while self.kinds[self.at] not in ("}", "EOF"):
            case_loc = self.loc()
            keyset = self.keyset()
            self.expect(":")
            state_loc = self.loc()
            state = ir.Path(self.name(), loc=state_loc)
            self.expect(";")
            cases.append(ir.SelectCase(keyset, state, loc=case_loc))
        self.expect("}")
        return ir.Select(selectors, cases, loc=loc)

    def _control(self, annotations: list[ir.Annotation]) -> ir.Decl:
        self.expect("control")
        loc = self.loc()
        name = self.name()
        self.declare_type(name)
        with self.scope():
            type_params = self.type_params()
            params = self.params()
            if self.accept(";"):
                return ir.ControlTypeDecl(
                    name, params, type_params, loc=loc, annotations=annotations
                )
            found = ir.ControlDecl(name, params, type_params, loc=loc, annotations=annotations)
            if self.kinds[self.at] == "(":
                found.ctor_params = self.params()
            self.expect("{")
            self._members(found.locals, self._control_local, ("apply",))
            self.expect("apply")
            found.body = self.block(self.annotations())
            self.expect("}")
        return found

    def _control_local(self, annotations: list[ir.Annotation]) -> ir.Decl:
        kind = self.kinds[self.at]
        if kind == "action":
            return self.action(annotations)
        if kind == "table":
            return self.table(annotations)
        if kind == "const":
            return self.constant(annotations)
        if not self.at_type():
            raise self.fail("a declaration, type or 'apply'")
        found = self.variable_or_instance(annotations)
        assert isinstance(found, ir.DeclStmt)
        return found.decl

    def _members(self, into: list[ir.Decl], one: object, stop: tuple[str, ...]) -> None:
        """Local declarations until a stop token, recovering after each error."""
        assert callable(one)
        while self.kinds[self.at] not in ("}", "EOF"):
            start = self.at
            if self.kinds[self.at] in stop and not self._annotated_local():
                return
            try:
                into.append(one(self.annotations()))
            except SyntaxFailure:
                if self.nesting > 1:
                    raise
                self.skip_statement()
                if self.at == start:
                    self.at += 1

    def _annotated_local(self) -> bool:
        """Whether annotations here belong to a local declaration rather than to a state."""
        if self.kinds[self.at] not in ("@", "PRAGMA"):
            return False
        start = self.at
        self.annotations()
        following = self.kinds[self.at]
        self.at = start
        return following != "state"


_HANDLERS = {
    "const": "constant",
    "extern": "_extern",
    "action": "action",
    "parser": "_parser",
    "control": "_control",
    "package": "_package",
    "header": "_struct",
    "header_union": "_struct",
    "struct": "_struct",
    "enum": "_enum",
    "typedef": "_typedef",
}


def _depth(kinds: list[str], start: int, end: int) -> int:
    return sum((k == "{") - (k == "}") for k in kinds[start:end])
