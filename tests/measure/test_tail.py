from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import UsageError
from explorer.measure.tail import (
    early_stopping_estimate,
    passes,
    quantile_bounds,
    samples_needed,
    tail_bound,
    tail_bounds,
)


def binomial_at_most(k, n, p):
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@pytest.mark.parametrize(
    ("q", "over", "queries"),
    [
        # LoadGen asks for 64 queries for p90, 662 for p99, and 459 for p99 with none over the bound.
        (0.9, 1, 64),
        (0.99, 1, 662),
        (0.99, 0, 459),
        # ln 0.01 / ln q, rounded up: nothing over latency in n queries has probability q^n
        (0.5, 0, 7),
        (0.9, 0, 44),
    ],
)
def test_loadgens_numbers_of_queries(q, over, queries):
    assert samples_needed(q, over=over) == queries
    assert passes(queries, over, q)
    assert not passes(queries - 1, over, q)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 120), q=st.sampled_from([0.5, 0.9, 0.97]), confidence=st.sampled_from([0.8, 0.95, 0.99])
)
def test_bounds_are_the_nearest_order_statistics_that_hold(n, q, confidence):
    """Samples 1 ... n, so that a bound is its own rank; the binomial summed term by term."""
    low, high = quantile_bounds(range(1, n + 1), q, confidence)

    above = [r for r in range(1, n + 1) if binomial_at_most(r - 1, n, q) >= confidence]
    below = [r for r in range(1, n + 1) if 1 - binomial_at_most(r - 1, n, q) >= confidence - 1e-12]
    assert high == (min(above) if above else None)
    assert low == (max(below) if below else None)


def test_each_bound_misses_as_often_as_it_may_and_no_oftener():
    """20,000 runs of 700 exponential samples: the share of runs whose bound is wrong is at most 1 %."""
    random = np.random.default_rng(3)
    runs, n, q = 20_000, 700, 0.99
    true = -np.log(1 - q)
    ranks_low, ranks_high = quantile_bounds(range(1, n + 1), q)
    ordered = np.sort(random.standard_exponential((runs, n), dtype=np.float32), axis=1)
    too_low = np.mean(ordered[:, int(ranks_high) - 1] < true)
    too_high = np.mean(ordered[:, int(ranks_low) - 1] > true)

    noise = 3 * (0.01 * 0.99 / runs) ** 0.5
    assert too_low <= 0.01 + noise
    assert too_high <= 0.01 + noise
    # the next order statistic would miss oftener: the bound is as near as it can be
    assert np.mean(ordered[:, int(ranks_high) - 2] < true) > 0.01 - noise


@pytest.mark.parametrize(("n", "q"), [(64, 0.9), (500, 0.9), (662, 0.99), (5000, 0.99)])
def test_the_early_stopping_estimate_is_the_sample_loadgen_takes(n, q):
    """LoadGen counts up: the last t whose queries still suffice; then the t-th largest sample."""
    samples = np.random.default_rng(n).permutation(n)
    t = 1
    while n >= samples_needed(q, over=t + 1):
        t += 1

    assert early_stopping_estimate(samples, q) == np.sort(samples)[n - t]
    assert early_stopping_estimate(samples, q) >= quantile_bounds(samples, q)[1]


def test_too_few_samples_say_nothing_of_a_tail():
    assert quantile_bounds([0.5], 0.5) == (None, None)
    # one sample is below the 99th percentile in 99 of 100 cases
    assert quantile_bounds([0.5], 0.99) == (0.5, None)
    assert early_stopping_estimate(range(661), 0.99) is None
    bounds = tail_bounds([2.0, 1.0, 3.0])
    assert bounds["p50"].value == 2.0
    assert bounds["p99"].high is None
    assert bounds["p99"].samples_needed == 662


def test_a_tail_does_not_depend_on_the_order_of_the_samples():
    samples = np.random.default_rng(0).random(1009)
    assert tail_bound(samples, 0.9) == tail_bound(sorted(samples), 0.9)
    assert tail_bound(samples, 0.9).value == np.quantile(samples, 0.9)


@pytest.mark.parametrize(
    ("samples", "q", "confidence"), [([], 0.5, 0.9), ([1.0], 1.0, 0.9), ([1.0], 0.5, 0.0), ([1.0], 0.0, 0.9)]
)
def test_impossible_questions_are_refused(samples, q, confidence):
    with pytest.raises(UsageError):
        quantile_bounds(samples, q, confidence)
