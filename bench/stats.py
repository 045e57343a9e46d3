"""The bench's arithmetic: percentiles, summaries of repeats, and ratios between planes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def percentile(samples: Sequence[float], percent: float) -> float:
    """The ``percent``-th percentile (0..100) by the nearest-rank method.

    Nearest rank returns a value that was measured, so that a p99.9 of few samples is honest:
    it is the maximum. Raises ValueError without samples or outside 0..100.
    """
    if not samples:
        raise ValueError("a percentile needs at least one sample, got none")
    if not 0 <= percent <= 100:
        raise ValueError(f"a percentile lies between 0 and 100, got {percent}")
    ordered = sorted(samples)
    rank = max(1, math.ceil(percent / 100 * len(ordered)))
    return ordered[rank - 1]


def median(samples: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones. Raises ValueError without samples."""
    if not samples:
        raise ValueError("a median needs at least one sample, got none")
    ordered = sorted(samples)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True)
class Summary:
    """Repeats of one figure: how many, the median, and the extremes."""

    count: int
    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """(max - min) / median: how noisy the repeats were; infinite around a zero median."""
        if self.high == self.low:
            return 0.0
        return (self.high - self.low) / self.median if self.median else math.inf


def summarise(samples: Iterable[float]) -> Summary:
    """Median and extremes of repeats. Raises ValueError without samples."""
    values = list(samples)
    return Summary(len(values), median(values), min(values), max(values))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios round by round.

    The planes run in turn, so round *i* of both met the same machine: pairing cancels drift that
    a ratio of medians would keep. Raises ValueError unless both have the same number of rounds;
    a zero on the right gives infinity (or 1 when both are zero).
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"ratios need equally many rounds, got {len(ours)} and {len(theirs)}")
    return median([_ratio(a, b) for a, b in zip(ours, theirs, strict=True)])


def _ratio(a: float, b: float) -> float:
    """a / b, with 0 / 0 = 1 and x / 0 = infinity."""
    if b:
        return a / b
    return math.inf if a else 1.0


def cdf(samples: Sequence[float], points: int = 200) -> list[tuple[float, float]]:
    """(value, fraction at or below it) at ``points`` evenly spread ranks, ending at (max, 1.0)."""
    if not samples:
        raise ValueError("a distribution needs at least one sample, got none")
    ordered = sorted(samples)
    count = len(ordered)
    ranks = sorted({max(1, math.ceil(count * i / points)) for i in range(1, points + 1)})
    return [(ordered[rank - 1], rank / count) for rank in ranks]


def kept(with_attack: float, without: float) -> float:
    """Share of service kept under attack, 0..1 and above when it even rose; 0 if there was none."""
    return with_attack / without if without else 0.0
