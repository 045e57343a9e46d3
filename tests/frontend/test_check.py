"""The checker: folding, conversions, inference, resolution, scopes."""

from __future__ import annotations

import pytest

from p4native.frontend import ir
from p4native.frontend.visitor import clone, walk

from .helpers import checked, constant, errors, find, value_of


@pytest.mark.parametrize(
    ("t", "expression", "value"),
    [
        ("int", "1 + 2 * 3 - 4", 3),
        ("int", "-7", -7),
        ("int", "(1 << 100) >> 98", 4),
        ("int", "7 / 2 + 7 % 2", 4),
        ("bit<8>", "255 + 8w1", 0),
        ("bit<8>", "8w0 - 1", 255),
        ("bit<8>", "8w250 |+| 10", 255),
        ("bit<8>", "8w3 |-| 10", 0),
        ("int<8>", "8s100 |+| 8s100", 127),
        ("int<8>", "8s127 + 8s1", -128),
        ("bit<8>", "~8w0x0f", 0xF0),
        ("bit<8>", "-8w1", 255),
        ("bit<16>", "8w1 ++ 8w2", 0x0102),
        ("bit<4>", "8w0xab[7:4]", 0xA),
        ("bit<4>", "8w0xab[4+:4]", 0xA),
        ("bit<8>", "0x1234[15:8]", 0x12),
        ("bit<8>", "(-2)[2047:2040]", 0xFF),
        ("bit<4>", "0x1234[4+:4]", 3),
        ("bit<1>", "1[2048:2048]", None),
        ("bit<8>", "8w1 << 9", 0),
        ("int<8>", "8s0x80 >> 1", -64),
        ("bool", "1 < 2 && !(3 == 4)", True),
        ("bool", "8w5 >= 5 || false", True),
        ("bit<8>", "true ? 8w1 : 2", 1),
        ("bit<8>", "(bit<8>)(int<8>)-1", 255),
        ("int<16>", "(int<16>)8s0xff", -1),
        ("bool", "(bool)1w1", True),
        ("bit<1>", "(bit<1>)true", 1),
        ("string", '"a" ++ "b"', "ab"),
        ("tuple<bit<8>, bool>", "{ 1, true }", (1, True)),
        ("int", "bit<12>", None),
    ],
)
def test_folding(t: str, expression: str, value: ir.Value) -> None:
    if value is None:
        assert errors(f"const {t} x = {expression};")
    else:
        assert value_of(t, expression) == value


def test_constants_of_structs() -> None:
    text = """struct S { bit<8> a; bool b; }
        const S s = { b = true, a = 3 };
        const bit<8> x = s.a + 1;
        const S d = { 1, ... };
        const tuple<bit<8>, S> t = { 1, { 2, false } };
        const bit<8> y = t[1].a;"""
    assert constant(text, "x") == 4
    assert constant(text, "s") == (3, True)
    assert constant(text, "y") == 2


def test_serializable_enum() -> None:
    text = """enum bit<8> E { A = 1, B = A2 }
        const bit<8> A2 = 5;""".replace("B = A2", "B = 2 + 3")
    text += "const bit<8> x = E.B; const E e = (E)8w5; const bool same = E.B == 5;"
    assert constant(text, "x") == 5
    member = constant(text, "e")
    assert isinstance(member, ir.EnumMember) and member.name == "B"
    assert constant(text, "same") is True


def test_implicit_casts_are_explicit_afterwards() -> None:
    program = checked("control c(inout bit<8> x) { apply { x = 1; x = x + 2; x = 3 - x; } }")
    control = find(program, ir.ControlDecl, "c")
    assert isinstance(control, ir.ControlDecl)
    for node in walk(control.body):
        if isinstance(node, ir.IntLit):
            assert str(node.type) == "bit<8>"
        if isinstance(node, ir.Binary):
            assert node.left.type == node.right.type


def test_list_becomes_struct_value() -> None:
    program = checked(
        "struct S { bit<8> a; bit<16> b; } control c(inout S s) { apply { s = { 1, 2 }; } }"
    )
    value = next(n for n in walk(program) if isinstance(n, ir.StructExpr))
    assert [f.name for f in value.fields] == ["a", "b"]
    assert [str(f.expr.type) for f in value.fields] == ["bit<8>", "bit<16>"]


CALLS = """
#include <core.p4>
header H { bit<8> a; }
extern R<T> { R(bit<32> n); void read(out T t, in bit<32> i); }
extern T pick<T>(in T a, in T b);
bit<8> add(in bit<8> a, in bit<8> b = 5) { return a + b; }
control inner(inout H h) { apply { } }
control c(inout H h, inout bit<8> x)(bit<8> n) {
    R<bit<8>>(16) r;
    inner() i;
    action a(in bit<8> v, bit<8> w) { x = v + w; }
    table t { key = { x: exact; } actions = { a(h.a); NoAction; } }
    apply {
        r.read(x, 3);
        x = pick(x, 4);
        x = add(b = 1, a = x);
        x = add(x);
        a(1, 2);
        i.apply(h);
        inner.apply(h);
        if (t.apply().hit) { h.setValid(); }
        switch (t.apply().action_run) { a: { } default: { } }
    }
}
"""


def test_calls_are_resolved() -> None:
    program = checked(CALLS)
    calls = [n for n in walk(find(program, ir.ControlDecl, "c")) if isinstance(n, ir.Call)]
    kinds = [c.kind for c in calls]
    for kind in ir.CallKind:
        expected = kind not in (ir.CallKind.UNRESOLVED, ir.CallKind.PARSER_APPLY)
        assert (kind in kinds) is expected
    by_name = {getattr(c.target, "name", c.builtin): c for c in calls}
    assert [str(t) for t in by_name["pick"].type_args.values()] == ["bit<8>"]
    adds = [c for c in calls if getattr(c.target, "name", "") == "add"]
    assert [[a.param.name for a in c.args if a.param] for c in adds] == [["b", "a"], ["a", "b"]]
    assert adds[1].args[1].expr.value == 5


def test_direct_call_makes_an_instance() -> None:
    control = find(checked(CALLS), ir.ControlDecl, "c")
    assert isinstance(control, ir.ControlDecl)
    made = control.locals[-1]
    assert isinstance(made, ir.InstanceDecl)
    assert (made.name, made.external_name) == ("inner_inst", "inner")


def test_type_arguments_of_packages_are_inferred() -> None:
    program = checked(
        """parser P<H, M>(out H h, inout M m);
        control C<H>(inout H h);
        package Sw<H, M>(P<H, M> p, C<H> c);
        struct h_t { } struct m_t { }
        parser p(out h_t h, inout m_t m) { state start { transition accept; } }
        control c(inout h_t h) { apply { } }
        Sw(p(), c()) main;"""
    )
    assert program.main is not None
    assert [str(t) for t in program.main.call.type_args.values()] == ["h_t", "m_t"]


def test_every_expression_has_a_type() -> None:
    control = find(checked(CALLS), ir.ControlDecl, "c")
    assert isinstance(control, ir.ControlDecl)
    for node in walk(control.body):
        if isinstance(node, ir.Call):
            assert node.receiver is None or str(node.receiver.type) != "<unknown>"
        elif isinstance(node, ir.Expression) and not isinstance(node, (ir.Path, ir.Member)):
            assert str(node.type) != "<unknown>", node


def test_error_does_not_cascade() -> None:
    text = """control c(inout bit<8> x) {
        apply {
            x = nothing + 1;
            x = (nothing2 ++ x)[3:0] == 1 ? nothing3 : x;
        }
    }"""
    assert errors(text) == [
        "3: 'nothing' is not declared",
        "4: 'nothing2' is not declared",
        "4: 'nothing3' is not declared",
    ]


def test_errors_and_match_kinds_are_numbered_over_all_declarations() -> None:
    program = checked("#include <core.p4>\nerror { Mine }\nmatch_kind { mine }")
    assert program.errors["Mine"].index == len(program.errors) - 1 == 7
    assert program.match_kinds["mine"].index == 3


def test_generic_struct() -> None:
    program = checked(
        """struct Pair<A, B> { A first; B second; }
        const Pair<bit<8>, bool> p = { 1, true };
        const bit<8> x = p.first;"""
    )
    assert str(find(program, ir.ConstDecl, "p").type) == "Pair<bit<8>, bool>"


def test_v1model_versions() -> None:
    body = "#include <v1model.p4>\ncontrol c(in bit<8> i) { counter{}(4, CounterType.bytes) k;"
    body += " apply {{ k.count({}); }} }}"
    text = body.replace("{}", "%s").replace("{{", "{").replace("}}", "}")
    checked(text % ("", "(bit<32>)i"))
    checked("#define V1MODEL_VERSION 20200408\n" + text % ("<bit<8>>", "i"))
    assert errors(text % ("", "i"))


@pytest.mark.parametrize("version", ["-6419018", "20000101", "20210101"])
def test_unknown_v1model_versions(version: str) -> None:
    (error,) = errors(f"#define V1MODEL_VERSION {version}\n#include <v1model.p4>")
    assert "is not known; it goes from 20180101 to 20200408" in error


def test_clone_points_into_itself() -> None:
    control = find(checked(CALLS), ir.ControlDecl, "c")
    copy = clone(control)
    originals = {id(n) for n in walk(control)}
    for node in walk(copy):
        assert id(node) not in originals
        for name in node.REFS:
            target = getattr(node, name)
            assert target is None or id(target) not in originals
