"""Intervals: what another draw of examples would have shown.

Resampling n examples with replacement draws a binomial number of right answers (a trinomial difference
for two designs on the same examples). Those distributions are computed, not simulated: the percentiles
are the limit of infinitely many resamples and need no seed. Only a cascade of three or more stages is
resampled with a random generator, seeded.
"""

from collections.abc import Sequence

import numpy as np

from explorer.analysis.binomial import at_most, clopper_pearson, normal_quantile, quantile
from explorer.analysis.result import Interval

LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2
_Z = normal_quantile(1 - _TAIL)
_ROUNDING = 1e-11
"""Slack when a cumulative probability is compared with a percentile."""
_RESAMPLES = 10_000
_SEED = 20005


def share_interval(count: int, n: int) -> Interval:
    """Return ``count`` of ``n`` as a share with its 95 % interval.

    Percentile bootstrap, exact; the Wilson score interval where every resample would be alike.
    """
    if 0 < count < n:
        low, high = quantile(np.array([_TAIL, 1 - _TAIL]), n, count / n) / n
        return Interval(value=count / n, low=float(low), high=float(high), n=n, method="bootstrap")
    low, high = wilson(count, n)
    return Interval(value=count / n, low=low, high=high, n=n, method="wilson")


def wilson(count: int, n: int) -> tuple[float, float]:
    """Return the Wilson score interval of a share (Wilson 1927, JASA 22:209), clipped to [0, 1]."""
    share, weight = count / n, _Z**2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * float(np.sqrt(share * (1 - share) / n + weight / (4 * n)))
    # at the ends the formula gives 0 and 1 but for rounding
    return (0.0 if count == 0 else centre - half), (1.0 if count == n else centre + half)


def paired_interval(only_first: int, only_second: int, n: int) -> Interval:
    """Return the difference in accuracy of two designs on the same examples, with its 95 % interval.

    The percentile bootstrap over examples, widened to the exact sign test (McNemar) on the examples
    that one design alone answers right: with few of those the bootstrap alone claims too much (four
    against none would be a win, though a fair coin does that in 1 of 8 cases). ``method`` is
    ``bootstrap``, or ``sign test`` where an end was widened, or ``wilson`` where the designs never
    differ: then the interval is what a share of 0 of ``n`` allows, both ways.

    Args:
        only_first: examples that only the first design answers right.
        only_second: examples that only the second one does.
        n: all examples.
    """
    value = (only_first - only_second) / n
    differing = only_first + only_second
    if differing == 0:
        edge = wilson(0, n)[1]
        return Interval(value=0.0, low=-edge, high=edge, n=n, method="wilson")
    low, high = _trinomial_percentiles(only_first, only_second, n)
    win_low, win_high = clopper_pearson(only_first, differing, _TAIL)
    sign_low, sign_high = (differing / n * (2 * win - 1) for win in (win_low, win_high))
    widened = sign_low < low or sign_high > high
    return Interval(
        value=value,
        low=min(low, sign_low),
        high=max(high, sign_high),
        n=n,
        method="sign test" if widened else "bootstrap",
    )


def tells(interval: Interval) -> bool:
    """Say whether an interval of a difference leaves out zero."""
    return interval.low > 0 or interval.high < 0


def mean_interval(counts: Sequence[int], values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a mean over examples that take few distinct values.

    Args:
        counts: examples that take each value.
        values: the values, ascending: the cost of an input that leaves at each stage.

    Returns:
        low and high of the mean. Exact bootstrap for two values (Wilson where all examples are alike),
        seeded draws for more.
    """
    n = sum(counts)
    if len(values) == 1:
        return values[0], values[0]
    if len(values) == 2:
        share = share_interval(counts[1], n)
        step = values[1] - values[0]
        return values[0] + step * share.low, values[0] + step * share.high
    draws = np.random.default_rng(_SEED).multinomial(n, np.asarray(counts) / n, size=_RESAMPLES)
    low, high = np.quantile(draws @ np.asarray(values) / n, [_TAIL, 1 - _TAIL])
    return float(low), float(high)


def examples_to_tell(only_first: int, only_second: int, n: int) -> int | None:
    """Return how many examples would show a difference of this size, or None when there is none.

    The smallest number at which the same shares of differing examples make the sign test significant;
    at that number a repeat of the experiment would show it about half of the time.
    """
    if only_first == only_second:
        return None
    more, fewer = max(only_first, only_second), min(only_first, only_second)
    told = tells(paired_interval(only_first, only_second, n))
    low, high = (0, n) if told else (n, 2 * n)
    while not told and not _sign_test_tells(more, fewer, high / n):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if _sign_test_tells(more, fewer, middle / n):
            high = middle
        else:
            low = middle
    return high


def _sign_test_tells(more: int, fewer: int, scale: float) -> bool:
    wins, losses = int(more * scale), int(np.ceil(fewer * scale))
    return wins > losses and at_most(losses, wins + losses, 0.5) < _TAIL


def _trinomial_percentiles(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Return the percentiles of the mean of n draws of +1, -1 and 0, by Fourier inversion."""
    length = 1 << (2 * n).bit_length()
    angle = 2 * np.pi * np.arange(length) / length
    up, down = only_first / n, only_second / n
    step = (1 - up - down) + up * np.exp(-1j * angle) + down * np.exp(1j * angle)
    mass = np.fft.ifft(step**n).real
    support = np.arange(-n, n + 1)
    cumulative = np.cumsum(mass[support % length])
    low, high = np.searchsorted(cumulative, [_TAIL - _ROUNDING, 1 - _TAIL - _ROUNDING])
    return float(support[low]) / n, float(support[high]) / n
