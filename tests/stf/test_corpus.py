"""Every program of the corpus does on the native switch what its script says."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4native.stf.run import run_stf

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
PROGRAMS = sorted(path.stem for path in CORPUS.glob("*.p4"))


def test_every_program_has_a_script() -> None:
    assert PROGRAMS
    assert sorted(path.stem for path in CORPUS.glob("*.stf")) == PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    result = run_stf(CORPUS / f"{name}.p4", CORPUS / f"{name}.stf")
    assert result.faults == []
