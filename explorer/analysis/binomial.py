"""The few distributions the intervals need, by `scipy.special` alone.

`scipy.stats` has them all and takes most of a second to import, which every command would pay.
"""

import numpy as np
from scipy.special import bdtr, bdtrik, betaincinv, ndtri


def quantile(shares: np.ndarray, n: int, p: float) -> np.ndarray:
    """Return the least count whose cumulative probability reaches each share, float64 ``[share]``.

    Args:
        shares: strictly between 0 and 1.
        n: draws.
        p: chance of each, strictly between 0 and 1.
    """
    # the smooth inverse is right to a rounding: the count or one beside it
    count = np.clip(np.ceil(bdtrik(shares, n, p)), 0, n)
    count = np.where((count > 0) & (bdtr(np.maximum(count - 1, 0), n, p) >= shares), count - 1, count)
    return np.asarray(np.where(bdtr(count, n, p) < shares, count + 1, count))


def at_most(count: int, n: int, p: float) -> float:
    """Return the chance of ``count`` or fewer of ``n``."""
    return float(bdtr(count, n, p))


def clopper_pearson(count: int, n: int, tail: float) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper and Pearson 1934, Biometrika 26:404).

    Args:
        count: hits.
        n: draws.
        tail: chance left out at each end.
    """
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return low, high


def normal_quantile(share: float) -> float:
    """Return the standard normal distribution's quantile."""
    return float(ndtri(share))
