"""What seeds alone do to accuracy: spread, wrong choices, and how many seeds tell two scales apart."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from explorer.analysis.bootstrap import LEVEL
from explorer.errors import UsageError

POWER = 0.8
MOST_SEEDS = 10_000
_TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far the seeds of one model are apart in accuracy."""

    accuracies: tuple[float, ...]
    """Of each seed."""
    mean: float
    deviation: float
    """Standard deviation over seeds, with one degree of freedom fewer than seeds."""
    low: float
    """Ends of its 95 % interval, seeds taken as normal (chi square)."""
    high: float
    range: float
    """Best minus worst seed."""
    binomial: float
    """Standard error of one network's accuracy over draws of the examples."""
    expected: float
    """The deviation that equally good networks would show on these examples: they err on different ones."""
    left: float
    """Deviation beyond that: of the seeds' accuracy on all examples there could be; 0 at least."""


def spread(right: np.ndarray) -> Spread:
    """Return the spread over seeds of ``right`` ``[seed, example]``, 1 where the seed is right.

    The mean square of what neither seed nor example explains, over the number of examples, is the
    variance that equally good seeds would show (two-way analysis of variance without repeats).

    Raises:
        UsageError: fewer than two seeds or examples.
    """
    seeds, examples = right.shape
    if seeds < 2 or examples < 2:
        raise UsageError(f"a spread needs two seeds and two examples, got {seeds} and {examples}")
    wide = right.astype(np.float64)
    accuracies, mean = wide.mean(axis=1), float(wide.mean())
    rest = wide - accuracies[:, None] - wide.mean(axis=0) + mean
    expected = float((rest**2).sum()) / ((seeds - 1) * (examples - 1)) / examples
    variance = float(accuracies.var(ddof=1))
    low, high = (
        sqrt(variance * (seeds - 1) / stats.chi2.ppf(tail, seeds - 1)) for tail in (1 - _TAIL, _TAIL)
    )
    return Spread(
        accuracies=tuple(map(float, accuracies)),
        mean=mean,
        deviation=sqrt(variance),
        low=low,
        high=high,
        range=float(np.ptp(accuracies)),
        binomial=sqrt(mean * (1 - mean) / examples),
        expected=sqrt(expected),
        left=sqrt(max(0.0, variance - expected)),
    )


def wrong_choice(
    better: np.ndarray, worse: np.ndarray, better_shares: np.ndarray, worse_shares: np.ndarray
) -> float:
    """Return how often one seed of each prefers the worse model; a tie counts half.

    Args:
        better: accuracy of each seed of the model that is better on average, ``[seed]``.
        worse: of the other one, ``[seed]``.
        better_shares: how often each seed is drawn, ``[seed]``, adding up to 1.
        worse_shares: the same of the other one.
    """
    # accuracies are counts over one number of examples: what differs by less than that is rounding
    gap = np.round(worse[None, :] - better[:, None], 9)
    return float(better_shares @ ((gap > 0) + 0.5 * (gap == 0)) @ worse_shares)


def seeds_to_tell(difference: float, first: float, second: float, *, power: float = POWER) -> int | None:
    """Return the seeds each of two models needs for a t test to tell them apart, or None: over 10,000.

    The smallest number, at least 2, at which a two-sided t test of two samples at the 5 % level finds
    ``difference`` with probability ``power``; exact, by the noncentral t distribution. It is about
    seeds alone: the examples stay the same.

    Args:
        difference: of the means, not negative.
        first: standard deviation over seeds of the one model.
        second: of the other.
        power: chance of finding it.
    """
    if difference <= 0:
        return None
    noise = sqrt((first**2 + second**2) / 2)
    if noise == 0:
        return 2

    def found(seeds: int) -> bool:
        freedom, shift = 2 * seeds - 2, difference / noise * sqrt(seeds / 2)
        limit = stats.t.ppf(1 - _TAIL, freedom)
        # beyond this shift the noncentral distribution underflows, and the chance is 1
        return shift > limit + 30 or bool(stats.nct.sf(limit, freedom, shift) >= power)

    low, high = 1, 2
    while not found(high):
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high
