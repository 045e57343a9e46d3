"""The parser: precedence, the ambiguities of `<`, every construct, recovery."""

from __future__ import annotations

import pytest

from p4native.frontend import ir
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.lexer import tokenize
from p4native.frontend.parser import parse
from p4native.frontend.source import SourceText


def parsed(text: str) -> tuple[ir.Program, Reporter]:
    source = SourceText()
    for number, line in enumerate(text.split("\n"), 1):
        source.add(line, "t.p4", number)
    reporter = Reporter()
    return parse(tokenize(source), reporter), reporter


def program(text: str) -> ir.Program:
    result, reporter = parsed(text)
    assert not reporter.errors, reporter.render()
    return result


def show(expr: ir.Expression) -> str:
    """An expression with every operator parenthesised."""
    if isinstance(expr, ir.Binary):
        return f"({show(expr.left)} {expr.op} {show(expr.right)})"
    if isinstance(expr, ir.Unary):
        return f"({expr.op}{show(expr.expr)})"
    if isinstance(expr, ir.Ternary):
        return f"({show(expr.cond)} ? {show(expr.then)} : {show(expr.other)})"
    if isinstance(expr, ir.Cast):
        return f"(cast {show(expr.expr)})"
    if isinstance(expr, ir.Member):
        return f"{show(expr.expr)}.{expr.name}"
    if isinstance(expr, ir.Index):
        return f"{show(expr.expr)}[{show(expr.index)}]"
    if isinstance(expr, ir.Slice):
        return f"{show(expr.expr)}[{show(expr.hi)}:{show(expr.lo)}]"
    if isinstance(expr, ir.Call):
        args = ", ".join(show(a.expr) for a in expr.args)
        return f"{show(expr.callee)}<{len(expr.type_refs)}>({args})"
    if isinstance(expr, ir.ConstructorCall):
        return f"new {len(expr.args)}"
    if isinstance(expr, ir.IntLit):
        return str(expr.number)
    return getattr(expr, "name", type(expr).__name__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("a & b == c", "((a & b) == c)"),
        ("a | b ^ c & d", "(a | (b ^ (c & d)))"),
        ("a << 1 + 2", "(a << (1 + 2))"),
        ("a >> 1 >> 2", "((a >> 1) >> 2)"),
        ("a > > b", "SYNTAX"),
        ("a < b", "(a < b)"),
        ("a < b > (c)", "((a < b) > c)"),
        ("f<bit<8>>(a)", "f<1>(a)"),
        ("f<t, bit<(8)>>(a)", "f<2>(a)"),
        ("a < t.b", "(a < TypeName.b)"),
        ("-a.b[1]", "(-a.b[1])"),
        ("(bit<8>)a + b", "((cast a) + b)"),
        ("(bit<8>)-a", "(cast (-a))"),
        ("(t)a", "(cast a)"),
        ("(a) + b", "(a + b)"),
        ("a[3:0] ++ b", "(a[3:0] ++ b)"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a && b || !c", "((a && b) || (!c))"),
        ("a |+| b |-| c", "((a |+| b) |-| c)"),
        ("a.apply().hit", "a.apply<0>().hit"),
        ("t(1, 2)", "new 2"),
        (".a + b", "(a + b)"),
    ],
)
def test_expression(text: str, expected: str) -> None:
    result, reporter = parsed(f"typedef bit<8> t; const bit<8> x = {text};")
    if expected == "SYNTAX":
        assert reporter.errors
        return
    assert not reporter.errors, reporter.render()
    constant = result.decls[-1]
    assert isinstance(constant, ir.ConstDecl)
    assert show(constant.init) == expected


@pytest.mark.parametrize(
    ("text", "number", "t"),
    [
        ("0xFF", 255, "int"),
        ("0b1010_1010", 170, "int"),
        ("0o17", 15, "int"),
        ("0d19", 19, "int"),
        ("8w0x_0F", 15, "bit<8>"),
        ("4s7", 7, "int<4>"),
        ("1_000", 1000, "int"),
    ],
)
def test_integer_literal(text: str, number: int, t: str) -> None:
    constant = program(f"const int x = {text};").decls[0]
    assert isinstance(constant, ir.ConstDecl)
    assert isinstance(constant.init, ir.IntLit)
    assert (constant.init.number, str(constant.init.type)) == (number, t)


def test_keywords_as_names() -> None:
    program("struct s { bit<8> type; bit<8> state; bit<8> key; bit<8> priority; bit<8> list; }")


def test_nested_angle_brackets() -> None:
    found = program("header h<t> { t a; } typedef h<tuple<bit<8>>> u;").decls[-1]
    assert isinstance(found, ir.TypedefDecl)
    assert isinstance(found.ref, ir.NamedTypeRef)


def test_local_variable_hides_a_type() -> None:
    program("typedef bit<8> t; control c() { apply { bool t = true; bool b = t; } }")


def test_annotations() -> None:
    found = program('@name("x") @hidden @a(1, (2), b) @c[k = 1] @d[1, 2] const int x = 1;').decls[0]
    kinds = [(a.name, a.kind, a.tokens) for a in found.annotations]
    assert kinds[:3] == [
        ("name", "unstructured", ['"x"']),
        ("hidden", "none", []),
        ("a", "unstructured", ["1", ",", "(", "2", ")", ",", "b"]),
    ]
    assert [p.name for p in found.annotations[3].pairs] == ["k"]
    assert len(found.annotations[4].exprs) == 2


def test_pragma_ends_with_the_line() -> None:
    found = program("@pragma other one two\nconst int x = 1;").decls[0]
    assert found.annotations[0].tokens == ["one", "two"]


def test_table() -> None:
    control = program(
        """control c() {
            table t {
                key = { a.b: exact @name("k"); }
                actions = { @defaultonly a; .b(1, _); }
                const entries = {
                    (1, 2 &&& 3, _): a();
                    priority = 3: 4 .. 5: b @x;
                }
                const default_action = a(1);
                size = 16;
            }
            apply { }
        }"""
    ).decls[0]
    assert isinstance(control, ir.ControlDecl)
    table = control.locals[0]
    assert isinstance(table, ir.TableDecl)
    assert table.keys[0].annotation("name") is not None
    assert [len(e.keyset.items) for e in table.entries or []] == [3, 1]
    assert table.entries_const and table.default_const
    assert [p.name for p in table.properties] == ["size"]


def test_all_errors_are_reported() -> None:
    _, reporter = parsed(
        """const bit<8> = 1;
        control c() {
            action a( { }
            apply {
                x = ;
                if (y { }
                z = 1;
            }
        }
        struct S { bit<8> a b; bit<8> c; }
        const bit<8> w = 1"""
    )
    lines = [e.loc.line for e in reporter.errors]
    assert lines[0] == 1
    assert {3, 5, 6, 10, 11} <= set(lines)
