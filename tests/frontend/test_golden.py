"""Every rejection rule refuses its program, every warning is given, with exactly this output."""

from __future__ import annotations

from pathlib import Path

import pytest

from .golden import MUST_FAIL, WARN, diagnostics, programs


def _id(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("program", programs(MUST_FAIL), ids=_id)
def test_must_fail(program: Path) -> None:
    accepted, text = diagnostics(program)
    assert not accepted
    assert "error[" in text
    assert text == program.with_suffix(".txt").read_text()


@pytest.mark.parametrize("program", programs(WARN), ids=_id)
def test_warns(program: Path) -> None:
    accepted, text = diagnostics(program)
    assert accepted
    assert text == program.with_suffix(".txt").read_text()
