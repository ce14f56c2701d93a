import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from explorer.errors import UsageError
from explorer.measure.stopping import MIN_SAMPLES, StopRule, interval_rank, median_interval


def coverage(n: int, rank: int) -> float:
    """Probability that the rank-th smallest and largest of n samples hold the median."""
    return 1.0 - 2.0 * float(binom.cdf(rank - 1, n, 0.5))


@pytest.mark.parametrize("n", [*range(6, 80), 199, 499, 500, 501, 999, 5000, 100_001])
def test_the_interval_holds_the_median_with_95_percent(n: int) -> None:
    assert coverage(n, interval_rank(n)) >= 0.95


@pytest.mark.parametrize("n", [*range(6, 80), 199, 499])
def test_the_interval_is_the_narrowest_that_does(n: int) -> None:
    assert coverage(n, interval_rank(n) + 1) < 0.95


@pytest.mark.parametrize(("n", "rank"), [(6, 1), (8, 1), (9, 2), (10, 2), (20, 6), (30, 10), (50, 18)])
def test_ranks_equal_the_published_table(n: int, rank: int) -> None:
    """The usual table of the two-sided sign test at 0.05: critical value plus 1."""
    assert interval_rank(n) == rank


def test_six_samples_are_the_fewest() -> None:
    assert coverage(MIN_SAMPLES, 1) >= 0.95 > coverage(MIN_SAMPLES - 1, 1)
    with pytest.raises(UsageError, match="needs 6 samples or more, got 5"):
        median_interval([1.0] * 5)


def test_interval_by_hand() -> None:
    assert median_interval([5, 1, 4, 2, 3, 6]) == (1, 6)
    assert median_interval([9, 8, 7, 6, 5, 4, 3, 2, 1]) == (2, 8)


@given(st.lists(st.floats(1e-9, 1e3), min_size=6, max_size=40))
def test_the_interval_holds_the_sample_median(samples: list[float]) -> None:
    low, high = median_interval(samples)
    ordered = sorted(samples)

    assert low <= ordered[(len(ordered) - 1) // 2]
    assert ordered[len(ordered) // 2] <= high


def test_simulated_coverage_on_a_skewed_distribution() -> None:
    rng, true_median, hits = random.Random(0), 1.0, 0
    for _ in range(2000):
        low, high = median_interval([rng.lognormvariate(0.0, 1.0) for _ in range(25)])
        hits += low <= true_median <= high

    assert hits / 2000 >= 0.94  # exact coverage is 0.957; 0.94 is 3.7 standard errors below


@pytest.mark.parametrize(
    "limits",
    [
        {"min_seconds": -1.0},
        {"max_seconds": 0.0},
        {"max_seconds": float("inf")},
        {"min_seconds": float("nan")},
    ],
)
def test_impossible_limits_are_refused(limits: dict) -> None:
    with pytest.raises(UsageError, match="min_seconds of 0 or more and max_seconds above 0"):
        StopRule(**limits)


def test_other_impossible_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="target_half_width must be above 0"):
        StopRule(target_half_width=0.0)
    with pytest.raises(UsageError, match="warmup must be 0 or more"):
        StopRule(warmup=-1)
