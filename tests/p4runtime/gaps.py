"""The table of known BMv2 gaps, from the marks on the tests: gaps.py DOCUMENT rewrites it there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

START, END = "<!-- gaps: made by tests/p4runtime/gaps.py -->", "<!-- end of gaps -->"
_HERE = Path(__file__).parent


def gaps() -> Iterator[tuple[str, str, str]]:
    """Yield (file, test, what BMv2 does instead)."""
    for path in sorted(_HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith(".bmv2_gap"):
                    (reason,) = mark.args
                    yield path.stem, node.name, ast.literal_eval(reason)


def table() -> str:
    """Return the table in Markdown."""
    rows = ["| what is tested | what BMv2 does instead |", "|---|---|"]
    for file, test, reason in gaps():
        name = test.removeprefix("test_").replace("_", " ")
        rows.append(f"| {name} (`{file}.py`) | {reason} |")
    return "\n".join(rows)


def updated(document: str) -> str:
    """Return the document with the table as it should be."""
    before, rest = document.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(updated(target.read_text()))
