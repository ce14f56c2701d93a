"""Bound a percentile of latency: distribution-free, and by the early-stopping rule of MLPerf's LoadGen.

Both rest on one fact: of n independent samples, the number above the q-quantile is binomial(n, 1 - q),
whatever the distribution. Samples of one run are not quite independent (a busy spell covers several), so
a bound holds for the run's conditions, not for a busier day.

Sources: H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1; MLCommons inference,
``loadgen/early_stopping.cc`` and ``PerformanceSummary::EarlyStopping`` in ``loadgen/results.cc``
(confidence 0.99, tolerance 0).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import bdtr

from explorer.errors import UsageError
from explorer.profile_record import TailBound

CONFIDENCE = 0.99
"""LoadGen's; of each bound by itself (one-sided)."""
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_MOST = 2**40
"""No search for a number of samples goes beyond this."""


def tail_bounds(samples: Sequence[float], *, confidence: float = CONFIDENCE) -> dict[str, TailBound]:
    """Return p50, p90 and p99 of ``samples`` with their bounds.

    Raises:
        UsageError: no samples, or a confidence outside (0, 1).
    """
    return {name: tail_bound(samples, q, confidence=confidence) for name, q in QUANTILES.items()}


def tail_bound(samples: Sequence[float], q: float, *, confidence: float = CONFIDENCE) -> TailBound:
    """Return the q-quantile of ``samples``, by linear interpolation, with its bounds.

    Raises:
        UsageError: no samples, or ``q`` or the confidence outside (0, 1).
    """
    low, high = quantile_bounds(samples, q, confidence)
    return TailBound(
        quantile=q,
        value=float(np.quantile(np.asarray(samples, dtype=np.float64), q)),
        low=low,
        high=high,
        confidence=confidence,
        early_stopping=early_stopping_estimate(samples, q, confidence),
        samples_needed=samples_needed(q, confidence),
    )


def quantile_bounds(
    samples: Sequence[float], q: float, confidence: float = CONFIDENCE
) -> tuple[float | None, float | None]:
    """Return one-sided bounds of the q-quantile, each right with at least ``confidence``.

    The r-th smallest sample is at or above the quantile with probability P(B <= r - 1) and at or below it
    with P(B >= r), B binomial(n, q).

    Returns:
        the largest lower and the smallest upper bound; None where there are too few samples for one.

    Raises:
        UsageError: no samples, or ``q`` or the confidence outside (0, 1).
    """
    _require(q, confidence)
    if len(samples) == 0:
        raise UsageError("a quantile needs at least one sample, got none")
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    n = len(ordered)
    below = bdtr(np.arange(n, dtype=np.float64), n, q)  # P(B <= k), k = 0 ... n - 1
    rank_low = int(np.searchsorted(below, 1.0 - confidence, side="right"))
    rank_high = int(np.searchsorted(below, confidence, side="left")) + 1
    return (
        float(ordered[rank_low - 1]) if rank_low >= 1 else None,
        float(ordered[rank_high - 1]) if rank_high <= n else None,
    )


def early_stopping_estimate(
    samples: Sequence[float], q: float, confidence: float = CONFIDENCE
) -> float | None:
    """Return LoadGen's single-stream percentile estimate, or None below `samples_needed` samples.

    It is the t-th largest sample, t the largest number of over-latency queries with which a run of this
    length would still pass: one order statistic on the safe side of `quantile_bounds`.

    Raises:
        UsageError: ``q`` or the confidence outside (0, 1).
    """
    n = len(samples)
    if n < samples_needed(q, confidence):
        return None
    low, high = 1, n  # passing falls with t, so the last t that passes is found by halving
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(n, middle, q, confidence) else (low, middle)
    return float(np.sort(np.asarray(samples, dtype=np.float64))[n - low])


def passes(queries: int, over: int, q: float, confidence: float = CONFIDENCE) -> bool:
    """Tell whether ``over`` of ``queries`` above a latency show that its q-quantile is below it.

    LoadGen's rule for the server scenario: if the share above were 1 - q, so few would be above with
    probability less than 1 - confidence.

    Raises:
        UsageError: ``q`` or the confidence outside (0, 1).
    """
    _require(q, confidence)
    return queries > over and bool(bdtr(float(over), queries, 1.0 - q) < 1.0 - confidence)


@lru_cache(maxsize=256)
def samples_needed(q: float, confidence: float = CONFIDENCE, over: int = 1) -> int:
    """Return the fewest queries that pass with ``over`` of them over latency.

    >>> samples_needed(0.9), samples_needed(0.99), samples_needed(0.99, over=0)
    (64, 662, 459)

    Raises:
        UsageError: ``q`` or the confidence outside (0, 1).
    """
    _require(q, confidence)
    high = over + 1
    while not passes(high, over, q, confidence):
        high *= 2
        if high > _MOST:
            raise UsageError(f"no number of samples bounds quantile {q!r} with confidence {confidence!r}")
    low = over
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle, over, q, confidence) else (middle, high)
    return high


def _require(q: float, confidence: float) -> None:
    if not (0.0 < q < 1.0 and 0.0 < confidence < 1.0):
        raise UsageError(f"quantile and confidence must lie between 0 and 1, got {q!r} and {confidence!r}")
