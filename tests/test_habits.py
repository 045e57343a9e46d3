"""Habits that can be checked: sizes of files and functions, links in the documentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ("control", "topologies", "p4native", "bench", "tests")
FILE_LINES = 600
FUNCTION_LINES = 60


def sources(folders: tuple[str, ...], *suffixes: str) -> Iterator[Path]:
    """Files of the project in some folders."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and "build" not in path.parts:
                yield path


def test_files_are_short() -> None:
    files = [*sources(PYTHON, ".py", ".c", ".h"), *sources(("p4src",), ".p4")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    long = [f"{path.relative_to(ROOT)}: {n}" for path, n in lengths.items() if n > FILE_LINES]
    assert not long, f"split what is over {FILE_LINES} lines: {long}"


def test_functions_are_short() -> None:
    long = []
    for path in sources(PYTHON, ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert not long, f"split what is over {FUNCTION_LINES} lines: {long}"


@pytest.mark.parametrize(
    "page", [p.relative_to(ROOT) for p in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]]
)
def test_links_lead_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"
