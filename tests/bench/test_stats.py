"""The bench's own arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import cdf, kept, median, paired_ratio, percentile, summarise

SAMPLES = st.lists(st.floats(0, 1e9), min_size=1, max_size=50)


def test_percentile_is_nearest_rank():
    values = list(range(1, 101))
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile(values, 99.9) == 100
    assert percentile(values, 0) == 1


@given(SAMPLES, st.floats(0, 100))
def test_percentile_is_a_measured_value(samples, percent):
    value = percentile(samples, percent)
    assert value in samples
    assert sum(s <= value for s in samples) >= percent / 100 * len(samples) - 1e-9


@given(SAMPLES)
def test_summary_brackets_its_median(samples):
    summary = summarise(samples)
    assert summary.low <= summary.median <= summary.high
    assert summary.count == len(samples)


def test_median_of_even_count_is_the_mean_of_the_middle():
    assert median([4, 1, 3, 2]) == 2.5


def test_spread():
    assert summarise([5, 5]).spread == 0
    assert summarise([0, 0, 1]).spread == math.inf
    assert summarise([9, 10, 11]).spread == pytest.approx(0.2)


def test_pairing_cancels_a_drift_that_medians_keep():
    ours, theirs = [10.0, 20.0, 90.0], [5.0, 10.0, 45.0]
    assert paired_ratio(ours, theirs) == 2.0


def test_ratio_edges():
    assert paired_ratio([0], [0]) == 1
    assert paired_ratio([1], [0]) == math.inf
    with pytest.raises(ValueError, match="equally many rounds"):
        paired_ratio([1, 2], [1])


@given(SAMPLES)
def test_cdf_rises_to_one(samples):
    points = cdf(samples)
    assert points[-1] == (max(samples), 1.0)
    assert points == sorted(points)


@pytest.mark.parametrize("call", [lambda: percentile([], 50), lambda: median([]), lambda: cdf([])])
def test_no_samples_is_an_error(call):
    with pytest.raises(ValueError, match="at least one sample"):
        call()


def test_kept():
    assert kept(30, 120) == 0.25
    assert kept(1, 0) == 0
