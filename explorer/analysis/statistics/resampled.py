"""Intervals of what is no mere share: examples drawn again, the same draws for every design.

Percentiles of the resampled values for a mean. A calibration error and the worst of several classes are
biased under resampling (noise is taken for error, and the worst gets worse): the interval is reflected about
the value there (the "basic" bootstrap, Davison and Hinkley 1997, section 5.2), which takes as much off as
resampling adds.
"""

from collections.abc import Iterator

import numpy as np

from explorer.analysis.bootstrap import LEVEL
from explorer.analysis.result import Interval

DRAWS = 2_000
SEED = 20005
_NUMBERS_A_BLOCK = 4_000_000
_TAIL = (1 - LEVEL) / 2


def draw_counts(examples: int, *, draws: int = DRAWS, seed: int = SEED) -> Iterator[np.ndarray]:
    """Yield how often each example is drawn, float64 ``[draw, example]``, in blocks of draws."""
    random = np.random.default_rng(seed)
    step = max(1, min(draws, _NUMBERS_A_BLOCK // examples))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = random.integers(0, examples, (rows, examples))
        drawn += np.arange(rows)[:, None] * examples
        yield np.bincount(drawn.ravel(), minlength=rows * examples).reshape(rows, examples).astype(float)


def percentile_interval(value: float, resampled: np.ndarray, n: int) -> Interval:
    """Return a value with the middle 95 % of its resampled values ``[draw]``."""
    low, high = np.quantile(resampled, [_TAIL, 1 - _TAIL])
    return Interval(value=value, low=float(low), high=float(high), n=n, method="bootstrap")


def basic_interval(
    value: float, resampled: np.ndarray, n: int, *, least: float = -np.inf, most: float = np.inf
) -> Interval:
    """Return a value with the percentiles reflected about it, within what is possible, see the module."""
    low, high = np.quantile(resampled, [_TAIL, 1 - _TAIL])
    return Interval(
        value=value,
        low=float(min(value, max(least, 2 * value - high))),
        high=float(max(value, min(most, 2 * value - low))),
        n=n,
        method="basic bootstrap",
    )


def calibrated_error(
    confidence: np.ndarray, place: np.ndarray, *, bins: int, draws: int = DRAWS, seed: int = SEED
) -> float:
    """Return the calibration error that a perfectly calibrated classifier stays below in 39 of 40 draws.

    Consistency resampling (Bröcker and Smith 2007, Weather and Forecasting 22:651): each answer is right
    with the chance that its confidence names. A bin's sum is drawn from the normal distribution with its
    variance.

    Args:
        confidence: ``[example]``.
        place: bin of each example, int ``[example]``.
        bins: how many there are.
        draws: of right answers.
        seed: of the draws.
    """
    spread = np.sqrt(np.bincount(place, confidence * (1 - confidence), minlength=bins))
    noise = np.random.default_rng(seed).standard_normal((draws, bins)) * spread
    return float(np.quantile(np.abs(noise).sum(axis=1) / len(confidence), 1 - _TAIL))
