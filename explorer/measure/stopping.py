"""Decide when enough has been timed: a distribution-free interval of the median, and two time limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, inf
from statistics import median
from typing import TypedDict

from explorer.errors import UsageError

MIN_SAMPLES = 6
"""Fewest samples whose smallest and largest bracket the median with 95 % confidence: 1 - 2 / 2^6 = 0.969."""
_NORMAL_FROM = 500
"""Sample size from which the binomial tail is taken from the normal distribution."""


class StopOptions(TypedDict, total=False):
    """Keywords of `StopRule`, for functions that pass them on."""

    min_seconds: float
    max_seconds: float
    target_half_width: float
    warmup: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When a measurement may end: steady after ``min_seconds``, or at ``max_seconds`` in any case.

    ``max_seconds`` wins where it is the shorter one.
    At least `MIN_SAMPLES` are taken even if that takes longer: without them the median has no interval.
    """

    min_seconds: float = 0.2
    """Shortest time spent sampling one subject."""
    max_seconds: float = 2.0
    """Longest time spent sampling one subject, warm-up left out."""
    target_half_width: float = 0.02
    """Half of the interval's width over the median, at which the median is steady."""
    warmup: int = 3
    """Calls before sampling; timed and kept, never counted."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.min_seconds < inf and 0.0 < self.max_seconds < inf):
            raise UsageError(
                "a measurement needs min_seconds of 0 or more and max_seconds above 0, "
                f"got {self.min_seconds!r} and {self.max_seconds!r}"
            )
        if not self.target_half_width > 0.0:
            raise UsageError(f"target_half_width must be above 0, got {self.target_half_width!r}")
        if self.warmup < 0:
            raise UsageError(f"warmup must be 0 or more calls, got {self.warmup!r}")

    def steady(self, samples_s: Sequence[float]) -> bool:
        """Tell whether the interval of the median is narrow enough."""
        if len(samples_s) < MIN_SAMPLES:
            return False
        low, high = median_interval(samples_s)
        return (high - low) / 2.0 <= self.target_half_width * median(samples_s)


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the order statistics that bracket the median with at least 95 % confidence.

    The count of samples below the median is binomial(n, 1/2) whatever the distribution, so the k-th
    smallest and k-th largest sample hold the median with probability 1 - 2 P(B <= k - 1).
    Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1.

    Raises:
        UsageError: fewer than `MIN_SAMPLES` samples.
    """
    if len(samples) < MIN_SAMPLES:
        raise UsageError(f"an interval of the median needs {MIN_SAMPLES} samples or more, got {len(samples)}")
    ordered = sorted(samples)
    rank = interval_rank(len(ordered))
    return ordered[rank - 1], ordered[-rank]


@lru_cache(maxsize=4096)
def interval_rank(n: int) -> int:
    """Return the largest k with P(binomial(n, 1/2) <= k - 1) <= 0.025."""
    if n >= _NORMAL_FROM:
        # Rounded down, which widens: the interval stays at 95 % or above.
        return max(1, int(n / 2.0 - 1.96 * n**0.5 / 2.0))
    tail, k = 0, 0
    while 40 * (tail + comb(n, k)) <= 2**n:
        tail += comb(n, k)
        k += 1
    return k
