"""Malformed and hostile input ends in a diagnostic, quickly, never in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4native.frontend import check_source, parse_and_check
from p4native.frontend.diagnostics import MAX_ERRORS, Reporter

DEEP = 20_000

PROGRAMS = {
    "parentheses": "const int x = " + "(" * DEEP + "1" + ")" * DEEP + ";",
    "minus signs": "const int x = " + "-" * DEEP + "1;",
    "braces": "control c() { apply " + "{" * DEEP + "}" * DEEP + " }",
    "ifs": "control c(in bool a) { apply { " + "if (a) " * DEEP + "; } }",
    "else ifs": "control c(in bool a) { apply { " + "if (a) {} else " * DEEP + "{} } }",
    "operators": "const int x = " + "+".join(["1"] * DEEP) + ";",
    "ternaries": "const int x = " + "true ? 1 : " * DEEP + "1;",
    "members": "const int x = a" + ".b" * DEEP + ";",
    "indices": "const int x = a" + "[0]" * DEEP + ";",
    "calls": "const int x = " + "f(" * DEEP + ")" * DEEP + ";",
    "types": "typedef " + "tuple<" * DEEP + "bool" + ">" * DEEP + " t;",
    "stacks": "header h { } typedef h" + "[2]" * DEEP + " t;",
    "lists": "const tuple<> x = " + "{" * DEEP + "}" * DEEP + ";",
    "huge literal": "const int x = " + "9" * 100_000 + ";",
    "huge width": "const bit<99999999999999999999> x = 1;",
    "huge shift": "const int x = 1 << 1000000000;",
    "huge power": "const int x = (1 << 6000) * (1 << 6000);",
    "huge condition": "#if " + "(" * DEEP + "\n#endif",
    "nul bytes": "const bit<8> x = \0\0;",
    "open string": 'const string x = "abc',
    "open comment": "/* const bit<8> x = 1; x",
    "exploding macro": "\n".join(f"#define A{i} A{i + 1} A{i + 1}" for i in range(60)) + "\nA0",
    "self-calling macros": "#define F(x) F(x)(x)\nF(F(F(F(F(1)))))",
    "struct of itself": "struct S { S s; }",
    "function of itself": "bit f() { return f() + x; }",
    "many errors": "\n".join(f"const bit<8> x{i} = y;" for i in range(5000)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_ends_in_a_diagnostic(name: str) -> None:
    reporter = Reporter()
    assert check_source(PROGRAMS[name], "t.p4", reporter) is None
    assert 0 < len(reporter.errors) <= MAX_ERRORS
    assert reporter.render()


@pytest.mark.parametrize("number", ["(1 << 8000)", "(-(1 << 8000))"])
@pytest.mark.parametrize(
    "text",
    [
        "enum bit<8> E {{ A = {} }}",
        "header h {{ }} typedef h[{}] t;",
        "typedef bit<({})> t;",
        "const int x = 8w1[{}:0];",
        "const int x = 8w1[0+:{}];",
        "const int x = 8w1[{}+:1];",
        "const int x = true << {};",
        "const tuple<bool> t = {{ true }}; const bool x = t[{}];",
        "header h {{ }} control c(inout h[2] s) {{ apply {{ s[{}].setValid(); }} }}",
        "const bool b = (bool){};",
    ],
)
def test_huge_numbers_in_messages(text: str, number: str) -> None:
    reporter = Reporter()
    assert check_source(text.format(number), "t.p4", reporter) is None
    assert all(len(e.message) < 500 for e in reporter.errors)


def test_exponential_calls_and_large_variables() -> None:
    nested = "\n".join(
        f"struct s{i} {{ s{i - 1} a; s{i - 1} b; s{i - 1} c; s{i - 1} d; }}" for i in range(1, 12)
    )
    actions = "\n".join(f"action a{i}() {{ a{i - 1}(); a{i - 1}(); }}" for i in range(1, 40))
    text = f"""header h {{ bit<8> x; }} struct s0 {{ h[1000000] a; }}
        {nested}
        control c(inout s11 p) {{
            action a0() {{ }}
            {actions}
            apply {{ s11 q = p; p = q; a39(); }}
        }}
        control C(inout s11 p); package P(C c); P(c()) main;"""
    reporter = Reporter()
    assert check_source(text, "t.p4", reporter) is not None, reporter.render()


def test_exponential_instances() -> None:
    controls = "\n".join(
        f"control a{i}() {{ a{i - 1}() p; a{i - 1}() q; apply {{ p.apply(); q.apply(); }} }}"
        for i in range(1, 31)
    )
    text = f"""control a0() {{ action x() {{ }} apply {{ x(); }} }}
        {controls}
        control C(); package P(C c); P(a30()) main;"""
    reporter = Reporter()
    assert check_source(text, "t.p4", reporter) is not None, reporter.render()


def test_include_cycle(tmp_path: Path) -> None:
    (tmp_path / "a.p4").write_text('#include "b.p4"\n#include "b.p4"\n')
    (tmp_path / "b.p4").write_text('#include "a.p4"\n#include "a.p4"\n')
    reporter = Reporter()
    assert parse_and_check(tmp_path / "a.p4", [], {}, reporter) is None
    assert [e.category for e in reporter.errors] == ["include"]


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.p4"
    path.write_bytes(bytes(range(256)) * 100)
    reporter = Reporter()
    assert parse_and_check(path, [], {}, reporter) is None
    assert reporter.errors


def test_folder_as_program(tmp_path: Path) -> None:
    reporter = Reporter()
    assert parse_and_check(tmp_path, [], {}, reporter) is None
    assert [e.category for e in reporter.errors] == ["io"]
