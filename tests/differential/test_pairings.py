"""Both compilers and both switches agree on a cross-section of the corpus.

``python -m tests.differential`` compares the whole corpus; here is what fits a test run.
"""

from __future__ import annotations

import pytest

from tests.differential.harness import CORPUS, compare_pairings, why_not_run

CROSS_SECTION = (
    "again",
    "const_entries",
    "counters_registers",
    "header_stack",
    "replication",
)


@pytest.mark.parametrize("name", CROSS_SECTION)
def test_pairings_agree(name: str) -> None:
    reason = why_not_run()
    if reason is not None:
        pytest.skip(f"differential test not run: {reason}")
    report = compare_pairings(CORPUS / f"{name}.p4", CORPUS / f"{name}.stf")
    assert report.differences == []
