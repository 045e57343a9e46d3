"""The preprocessor: conditionals, macros, includes and the locations it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4native.frontend.diagnostics import Reporter
from p4native.frontend.lexer import tokenize
from p4native.frontend.ppexpr import ConditionError, evaluate
from p4native.frontend.preprocess import Preprocessor


def expand(text: str, **defines: str) -> str:
    reporter = Reporter()
    output = Preprocessor([], defines, reporter).run_text("t.p4", text)
    assert not reporter.errors, reporter.render()
    return " ".join(" ".join(line.split()) for line in output.lines if line.strip())


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("1 ? 2 : 3", 2),
        ("0 || 1 && 0", 0),
        ("unknown", 0),
        ("0x10 == 16", 1),
        ("010 == 8", 1),
        ("-1 < 0", 1),
        ("!0 + ~0", 0),
        ("1 << 4 | 1", 17),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("20200408L >= 20180101", 1),
        ("'a'", 97),
    ],
)
def test_condition(condition: str, value: int) -> None:
    assert evaluate(condition) == value


@pytest.mark.parametrize("condition", ["", "1 +", "(1", "1 / 0", "a b", "1 ? 2", "f(1)", "@"])
def test_bad_condition(condition: str) -> None:
    with pytest.raises(ConditionError):
        evaluate(condition)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#define A 1\nA", "1"),
        ("#ifdef __TARGET_BMV2__\nyes\n#else\nno\n#endif", "yes"),
        ("#define F(x, y) x + y\nF(1, (2, 3))", "1 + (2, 3)"),
        ("#define F(x) #x\nF(a b)", '"a b"'),
        ("#define F(x, y) x##y\nF(a, b)", "ab"),
        ("#define F(x) pre##x##post\nF(_)", "pre_post"),
        ("#define A A B\nA", "A B"),
        ("#define F(x) F(x) x\nF(1)", "F(1) 1"),
        ("#define F() done\nF()", "done"),
        ("#define F(x) x\nF", "F"),
        ("#define F(x, y) x y\nF(1,\n  2)", "1 2"),
        ("#define F(...) f(__VA_ARGS__)\nF(1, 2)", "f(1, 2)"),
        ("#define A B\n#define B C\nA", "C"),
        ('#define A 1\n"A"', '"A"'),
        ("#define A 1\n#undef A\nA", "A"),
        ("#define LONG 1 \\\n + 2\nLONG", "1 + 2"),
        ("a // comment\nb /* c\nd */ e", "a b e"),
        ('"// no comment"', '"// no comment"'),
        ("#if 0\nno\n#elif 1\nyes\n#else\nno\n#endif", "yes"),
        ("#ifdef A\nno\n#else\nyes\n#endif", "yes"),
        ("#if 0\n#if 1\n#else\n#endif\n#error no\n#endif\nend", "end"),
        ("#if defined(A) || defined B\nno\n#endif", ""),
        ("__LINE__", "1"),
        ("__FILE__", '"t.p4"'),
        ("# 12 unknown line marker\nx", "x"),
        ('@a("x\n// y\n#ifdef A\nno\n#endif\n z") // c', '@a("x // y z")'),
        ('#if 0\n an odd " quote\n#endif\n/* c */ x', "x"),
        ('"#\n# in a string\n"', '"# # in a string "'),
        ('#define A 1\n"odd A\nA" A', '"odd A 1" A'),
        ("#define F(x, y) x y\nF(1, // F(\n2) // A", "1 2"),
        ("#define A 1\n/* A */ A // A", "1"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text) == expected


def test_defines_from_outside() -> None:
    assert expand("#if N > 3\nN\n#endif", N="4") == "4"


def test_include_relative_to_the_including_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.p4").write_text('#include "b.p4"\n')
    (tmp_path / "sub" / "b.p4").write_text("#pragma once\nfound\n")
    (tmp_path / "main.p4").write_text(
        '#include "sub/a.p4"\n#include "sub/b.p4"\n#include "sub/../sub/b.p4"\n'
    )
    reporter = Reporter()
    output = Preprocessor([], {}, reporter).run(tmp_path / "main.p4")
    assert output is not None and not reporter.errors
    assert [line for line in output.lines if line] == ["found"]


def test_strings_over_several_lines_look_as_after_cpp() -> None:
    text = (
        '"a  b\n\tA  c  // d  e \n#if 0\nno\n#endif\n  f "\n"g\n'
        + "#define X\n" * 7
        + 'h\n"\n"i\n'
        + "\n" * 8
        + 'j"'
    )
    reporter = Reporter()
    output = Preprocessor([], {"A": "1"}, reporter).run_text("t.p4", text)
    assert not reporter.errors
    assert "\n".join(output.lines) == (
        '"a  b\n 1 c // d  e \n\n\n\n  f "\n"g\n' + "\n" * 7 + 'h\n"\n"i\n# 26 "t.p4"\nj"'
    )


def test_include_next_starts_after_the_including_folder(tmp_path: Path) -> None:
    for folder, text in (("one", "#include_next <a.p4>\nfirst\n"), ("two", "second\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.p4").write_text(text)
    reporter = Reporter()
    folders = [tmp_path / "one", tmp_path / "two"]
    output = Preprocessor(folders, {}, reporter).run_text("main.p4", "#include <a.p4>")
    assert not reporter.errors
    assert [line for line in output.lines if line] == ["second", "first"]


def test_unreadable_program(tmp_path: Path) -> None:
    reporter = Reporter()
    assert Preprocessor([], {}, reporter).run(tmp_path / "none.p4") is None
    assert reporter.errors[0].category == "io"


def test_locations_survive_expansion() -> None:
    reporter = Reporter()
    text = '#define WIDE first second\n  WIDE here\n#line 100 "other.p4"\nthere\n'
    tokens = tokenize(Preprocessor([], {}, reporter).run_text("t.p4", text))
    locations = [(t, str(tokens.loc(i))) for i, t in enumerate(tokens.texts) if t]
    assert locations == [
        ("first", "t.p4:2:3"),
        ("second", "t.p4:2:3"),
        ("here", "t.p4:2:8"),
        ("there", "other.p4:100:1"),
    ]


def test_string_over_several_lines() -> None:
    assert expand('@a("\n// kept\n") x') == '@a(" // kept ") x'
    assert expand('#if 0\nan odd " quote\n#endif\nx "y"') == 'x "y"'
