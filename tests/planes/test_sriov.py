"""The plane of a fixed-function card: what it does, and that it refuses the rest by its reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.helpers import leftovers
from topologies.lab import Lab
from topologies.tour import Tour, take
from topologies.tour_tools import StepFailed

from .conftest import options


@pytest.fixture(scope="module")
def card() -> Iterator[Lab]:
    """The two-server lab with such cards."""
    chosen = options("sriov", 9)
    with Lab("two_servers", chosen) as lab:
        yield lab
    assert chosen.run_dir is not None
    assert leftovers(chosen.run_dir, chosen.ports.prefix) == []


def test_the_tour_tells_what_it_refuses_from_what_fails(card: Lab) -> None:
    wanted = ("ping", "ACL", "forged", "live migration", "security", "load balancer", "overlay")
    steps = [(n, step) for n, step in Tour(card).steps() if any(word in n for word in wanted)]
    taken = [take(card, name, step) for name, step in steps]
    outcomes = [result.outcome for result in taken]
    assert outcomes == ["pass"] * 2 + ["refused"] + ["pass"] * 2 + ["refused"] * 3, taken
    for result in taken:
        assert result.outcome == "pass" or "fixed-function SR-IOV card has no" in result.detail


def test_a_step_that_fails_is_no_refusal(card: Lab) -> None:
    def wrong() -> str:
        raise StepFailed("2 of 3 answered")

    assert take(card, "ping", wrong).outcome == "FAIL"
