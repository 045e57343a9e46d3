"""The conformance document is up to date, and says which targets were tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import BMV2
from .gaps import updated

DOCUMENT = Path(__file__).parents[2] / "docs" / "p4runtime-conformance.md"


def test_known_gaps_are_listed() -> None:
    text = DOCUMENT.read_text()
    command = "python tests/p4runtime/gaps.py docs/p4runtime-conformance.md"
    assert text == updated(text), f"run: {command}"


@pytest.mark.skipif(BMV2 is None, reason="simple_switch_grpc is not on PATH: tested native only")
def test_bmv2_is_under_test() -> None:
    assert BMV2 is not None
