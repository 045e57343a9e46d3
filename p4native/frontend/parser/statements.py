"""Parsing of statements and of the declarations allowed among them."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc
from p4native.frontend.lexer import NAME_KEYWORDS
from p4native.frontend.parser.annotations import AnnotationParser
from p4native.frontend.parser.base import NestingFailure, SyntaxFailure

_ASSIGN_OPS = frozenset(
    [
        "=",
        "+=",
        "-=",
        "*=",
        "/=",
        "%=",
        "|+|=",
        "|-|=",
        "<<=",
        ">>=",
        "&=",
        "|=",
        "^=",
    ]
)
_MAX_ELSE_IF = 1000
_NO_ANNOTATION = "a declaration, block, loop, if or switch after the annotations"


class StatementParser(AnnotationParser):
    """Statements; `function_declaration` comes from the subclass."""

    in_parser = False  # inside a parser: only parser statements are allowed

    def initializer_block(self) -> ir.Block:
        """See `DeclarationParser`."""
        raise NotImplementedError

    def block(self, annotations: list[ir.Annotation] | None = None) -> ir.Block:
        """`{ ... }`; errors inside are recovered from at statement level."""
        loc = self.loc()
        self.expect("{")
        with self.scope(), self.nested():
            statements = self.statements_until_brace()
        self.expect("}")
        return ir.Block(statements, annotations or [], loc=loc)

    def statements_until_brace(self) -> list[ir.Statement]:
        """Statements up to (not including) the closing brace."""
        found: list[ir.Statement] = []
        while self.kinds[self.at] not in ("}", "EOF"):
            start = self.at
            if self.in_parser and self.kinds[start] == "transition":
                break
            try:
                found.append(self.statement(True))
            except NestingFailure:
                raise
            except SyntaxFailure:
                if self.speculating:
                    raise
                if self.in_parser and self.kinds[self.at] == "state":
                    break
                self.skip_statement()
                if self.at == start:
                    self.at += 1
        return found

    def statement(self, declarations: bool) -> ir.Statement:
        """One statement; `declarations`: variables and constants are allowed here."""
        annotations = self.annotations()
        kind = self.kinds[self.at]
        loc = self.loc()
        if kind == "{":
            return self.block(annotations)
        if kind in ("if", "switch", "for"):
            with self.nested():
                return self._compound(kind, annotations)
        if declarations and kind == "const":
            return self._const(annotations)
        if self._at_declaration():
            if not declarations:
                raise self.fail("a statement")
            return self.variable_or_instance(annotations, instances=not self.in_parser)
        if annotations:
            raise self.fail(_NO_ANNOTATION)
        if kind == ";":
            self.at += 1
            return ir.Empty(loc=loc)
        if kind in ("return", "exit", "break", "continue"):
            return self._jump(kind, loc)
        found = self._assign_or_call()
        self.expect(";")
        return found

    def _const(self, annotations: list[ir.Annotation]) -> ir.Statement:
        decl = self.constant(annotations)
        return ir.DeclStmt(decl, loc=decl.loc)

    def _compound(self, kind: str, annotations: list[ir.Annotation]) -> ir.Statement:
        if self.in_parser and kind != "if":
            raise self.fail("a parser statement")
        if kind == "if":
            return self._if(annotations)
        return self._switch(annotations) if kind == "switch" else self._for(annotations)

    def _jump(self, kind: str, loc: Loc) -> ir.Statement:
        if self.in_parser:
            raise self.fail("a parser statement")
        self.at += 1
        expr = None
        if kind == "return" and self.kinds[self.at] != ";":
            expr = self.expression()
        self.expect(";")
        if kind == "return":
            return ir.Return(expr, loc=loc)
        return {"exit": ir.Exit, "break": ir.Break, "continue": ir.Continue}[kind](loc=loc)

    def _if(self, annotations: list[ir.Annotation]) -> ir.If:
        saved, self.in_parser = self.in_parser, False
        try:
            return self._if_chain(annotations)
        finally:
            self.in_parser = saved

    def _if_chain(self, annotations: list[ir.Annotation]) -> ir.If:
        loc = self.loc()
        self.expect("if")
        self.expect("(")
        cond = self.expression()
        self.expect(")")
        then = self.statement(False)
        first = found = ir.If(cond, then, None, annotations, loc=loc)
        length = 0
        while self.accept("else"):  # `else if` chains are parsed without recursion
            length += 1
            if length > _MAX_ELSE_IF:
                self.reporter.error("overlimit", "too many 'else if' in a row", self.loc())
                raise NestingFailure
            if self.kinds[self.at] != "if":
                found.other = self.statement(False)
                break
            loc = self.loc()
            self.at += 1
            self.expect("(")
            cond = self.expression()
            self.expect(")")
            following = ir.If(cond, self.statement(False), None, loc=loc)
            found.other = following
            found = following
        return first

    def _switch(self, annotations: list[ir.Annotation]) -> ir.Switch:
        loc = self.loc()
        self.expect("switch")
        self.expect("(")
        expr = self.expression()
        self.expect(")")
        self.expect("{")
        cases: list[ir.SwitchCase] = []
        while self.kinds[self.at] not in ("}", "EOF"):
            case_loc = self.loc()
            label: ir.Expression
            if self.accept("default"):
                label = ir.DontCare(True, loc=case_loc)
            else:
                label = self._switch_label()
            self.expect(":")
            body = self.block() if self.kinds[self.at] == "{" else None
            cases.append(ir.SwitchCase(label, body, loc=case_loc))
        self.expect("}")
        return ir.Switch(expr, cases, annotations, loc=loc)

    def _switch_label(self) -> ir.Expression:
        if self.kinds[self.at] in ("{", "{#}"):
            raise self.fail("a switch label")
        return self.expression()

    def _for(self, annotations: list[ir.Annotation]) -> ir.Statement:
        loc = self.loc()
        self.expect("for")
        self.expect("(")
        with self.scope():
            found = self._for_in(annotations, loc)
            if found is not None:
                return found
            init: list[ir.Statement] = []
            if self.kinds[self.at] != ";":
                init = self._for_statements(True)
            self.expect(";")
            cond = self.expression()
            self.expect(";")
            update: list[ir.Statement] = []
            if self.kinds[self.at] != ")":
                update = self._for_statements(False)
            self.expect(")")
            body = self.statement(False)
        return ir.For(init, cond, update, body, annotations, loc=loc)

    def _for_in(self, annotations: list[ir.Annotation], loc: Loc) -> ir.ForIn | None:
        start = self.at
        own = self.annotations()
        if not self.at_type():
            self.at = start
            return None
        self.speculating += 1
        try:
            ref = self.type_ref()
            name_loc = self.loc()
            name = self.name()
            is_in = self.accept("in")
        except NestingFailure:
            raise
        except SyntaxFailure:
            is_in = False
        finally:
            self.speculating -= 1
        if not is_in:
            self.at = start
            return None
        collection = self.keyset_tail(self.expression())
        self.expect(")")
        self.declare_object(name)
        var = ir.VarDecl(name, ref, loc=name_loc, annotations=own)
        return ir.ForIn(var, collection, self.statement(False), annotations, loc=loc)

    def _for_statements(self, declarations: bool) -> list[ir.Statement]:
        found: list[ir.Statement] = []
        while True:
            own = self.annotations()
            if declarations and self._at_declaration():
                ref = self.type_ref()
                found.append(self._variable(ref, own))
            else:
                found.append(self._assign_or_call())
            if not self.accept(","):
                return found

    # ------------------------------------------------------------ declarations in blocks

    def _at_declaration(self) -> bool:
        """Whether a variable declaration or instantiation (not an expression) starts here."""
        kind = self.kinds[self.at]
        if not self.at_type():
            return False
        if kind not in ("ID", ".") and kind not in NAME_KEYWORDS:
            return True
        start = self.at
        self.speculating += 1
        try:
            self.named_type()
            following = self.kinds[self.at]
            if following == "[":
                self.stack_suffix(ir.NamedTypeRef(""))
                following = self.kinds[self.at]
        except NestingFailure:
            raise
        except SyntaxFailure:
            return False
        finally:
            self.speculating -= 1
            self.at = start
        return following == "(" or self.is_name(following)

    def variable_or_instance(
        self, annotations: list[ir.Annotation], instances: bool = True
    ) -> ir.Statement:
        """`T name [= init];` or, if allowed here, `T(args) name;`."""
        loc = self.loc()
        ref = self.type_ref()
        if self.kinds[self.at] == "(" and instances:
            instance = self.instance(ref, annotations, loc)
            return ir.DeclStmt(instance, loc=instance.loc)
        found = self._variable(ref, annotations)
        self.expect(";")
        return found

    def _variable(self, ref: ir.TypeRef, annotations: list[ir.Annotation]) -> ir.DeclStmt:
        loc = self.loc()
        name = self.name()
        ref = self.stack_suffix(ref)
        init = self.expression() if self.accept("=") else None
        self.declare_object(name)
        decl = ir.VarDecl(name, ref, init, loc=loc, annotations=annotations)
        return ir.DeclStmt(decl, loc=loc)

    def constant(self, annotations: list[ir.Annotation]) -> ir.ConstDecl:
        """`const T name = init;`."""
        self.expect("const")
        ref = self.type_ref()
        loc = self.loc()
        name = self.name()
        ref = self.stack_suffix(ref)
        self.expect("=")
        init = self.expression()
        self.expect(";")
        self.declare_object(name)
        return ir.ConstDecl(name, ref, init, loc=loc, annotations=annotations)

    def instance(
        self, ref: ir.TypeRef, annotations: list[ir.Annotation], loc: Loc
    ) -> ir.InstanceDecl:
        """`(args) name [= {...}];` after its type; arrays of instances are refused."""
        self.expect("(")
        args = self.arguments()
        call = ir.ConstructorCall(ref, args, loc=loc)
        name_loc = self.loc()
        name = self.name()
        if self.kinds[self.at] == "[":
            self.reporter.error("unsupported", "arrays of instances are not supported", name_loc)
            self.stack_suffix(ref)
        body = self.initializer_block() if self.accept("=") else None
        self.expect(";")
        self.declare_object(name)
        return ir.InstanceDecl(name, call, body, loc=name_loc, annotations=annotations)

    # ------------------------------------------------------------ assignments and calls

    def _lvalue_head(self) -> ir.Expression:
        loc = self.loc()
        kind = self.kinds[self.at]
        if kind == "(":
            with self.nested():
                self.at += 1
                inner = self._lvalue()
                self.expect(")")
                return inner
        if kind == "this":
            self.at += 1
            return ir.This(loc=loc)
        if self.at_type():
            ref = self._unsuffixed()
            if self.kinds[self.at] != ".":
                raise self.fail("'.' after the type name")
            return ir.TypeName(ref, loc=loc)
        absolute = self.accept(".")
        kind = self.kinds[self.at]
        if kind != "ID" and kind not in NAME_KEYWORDS:
            raise self.fail("a statement")
        self.at += 1
        return ir.Path(self.texts[self.at - 1], absolute, loc=loc)

    def _lvalue(self) -> ir.Expression:
        return self.postfix(self._lvalue_head(), always_type_args=True)

    def _assign_or_call(self) -> ir.Statement:
        target = self._lvalue()
        op = self.kinds[self.at]
        loc = self.loc()
        if op == ">" and self.kinds[self.at + 1] == ">=" and self.tokens.adjacent(self.at):
            op = ">>="
            self.at += 1
        if op in _ASSIGN_OPS:
            self.at += 1
            return ir.Assign(target, self.expression(), op, loc=loc)
        if isinstance(target, ir.Call):
            return ir.CallStmt(target, loc=target.loc)
        raise self.fail("'=' or '('")
