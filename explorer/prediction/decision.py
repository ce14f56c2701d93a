"""When one cost may be called cheaper than another, and how often that is right.

Both costs have an interval. The ratio of the two has one too: independent errors add in squares, on the
scale of logarithms, and errors that two models share cancel. "Cheaper" is said where that interval
does not hold 1; anything else is too close to call.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from explorer.record import CostFigure

FIGURE_LEVEL = 0.9
"""Level of a predicted figure's own interval: one in twenty lies below it, one above."""
PAIR_CONFIDENCE = 0.8
"""How sure of the cheaper side one is where the pair's interval just clears 1; further off, surer."""

MEMBER_COUNTS = (2, 3, 4, 5, 8)
RATIO_BINS = (1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
"""Edges of the true cost ratios that `decision_test` tells apart."""


class Verdict(StrEnum):
    """What may be said of the first of two costs."""

    CHEAPER = "cheaper"
    DEARER = "dearer"
    TOO_CLOSE = "too close to call"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionBin:
    """Pairs whose true costs differ by a factor from ``low`` up to ``high``; shares of the pairs."""

    low: float
    high: float
    pairs: int
    right: float
    wrong: float
    too_close: float

    @property
    def right_of_decided(self) -> float | None:
        """Share of right answers where one was given; None where none was."""
        decided = self.right + self.wrong
        return self.right / decided if decided else None


def decide(
    first: CostFigure,
    second: CostFigure,
    *,
    correlation: float = 0.0,
    confidence: float = PAIR_CONFIDENCE,
) -> Verdict:
    """Return whether the first cost is cheaper, dearer, or too close to the second to call.

    Args:
        first: a cost above 0 with its interval; an open end is infinite, a low end may be 0.
        second: the same for the other.
        correlation: how much of their errors (in logarithms) the two share, -1 to 1: 0 for models of
            different families, 1 for n members of one model against m of the same. It only counts
            between figures of one basis: what two methods get wrong has nothing in common.
        confidence: of the cheaper side at the least decided pair, 0.5 to 1.

    Raises:
        ValueError: a cost that is not above 0 or lies outside its interval, or arguments out of range.
    """
    _check(correlation, confidence)
    for figure in (first, second):
        if not (0 < figure.value < math.inf and 0 <= figure.low <= figure.value <= figure.high):
            raise ValueError(f"not a cost above 0 within its interval: {figure}")
    shared = correlation if first.basis is second.basis else 0.0
    (first_down, first_up), (second_down, second_up) = _arms(first), _arms(second)
    gap = math.log(second.value / first.value)
    up, down = (first_up, second_down) if gap > 0 else (first_down, second_up)
    margin = _margin(np.array([up]), np.array([down]), shared, confidence)[0]
    if abs(gap) <= margin:
        return Verdict.TOO_CLOSE
    return Verdict.CHEAPER if gap > 0 else Verdict.DEARER


def decision_test(
    figures: Sequence[CostFigure],
    measured: np.ndarray,
    models: Sequence[str],
    *,
    bins: Sequence[float] = RATIO_BINS,
    confidence: float = PAIR_CONFIDENCE,
) -> tuple[DecisionBin, ...]:
    """Ask of every pair whether M members of one model, one after the other, are cheaper than another model.

    All ordered pairs of rows of different models are asked, with M from `MEMBER_COUNTS`; an ensemble is
    taken to cost M times its member.

    Args:
        figures: predicted cost per example of each row, made without the row's family.
        measured: seconds per example of each row [row].
        models: name of each row's model: two sizes of one model are no pair.
        bins: edges of the true ratio's factor, ascending from 1.
        confidence: as in `decide`.
    """
    _check(0.0, confidence)
    truth = np.log(np.asarray(measured, float))
    value = np.log([figure.value for figure in figures])
    arms = np.array([_arms(figure) for figure in figures])
    _, model = np.unique(np.asarray(models), return_inverse=True)
    other = model[:, None] != model[None, :]
    # seen from the ensemble: cheaper needs room above the ensemble and below the other; dearer the reverse
    cheaper_margin = _margin(arms[:, None, 1], arms[None, :, 0], 0.0, confidence)
    dearer_margin = _margin(arms[:, None, 0], arms[None, :, 1], 0.0, confidence)
    edges = np.log(np.asarray(bins, float))
    counts = np.zeros((len(bins) - 1, 3), int)
    for members in MEMBER_COUNTS:
        true_gap = truth[None, :] - truth[:, None] - math.log(members)
        gap = value[None, :] - value[:, None] - math.log(members)
        said = np.where(gap > cheaper_margin, 1, np.where(-gap > dearer_margin, -1, 0))
        bin_of = np.digitize(np.abs(true_gap), edges) - 1
        for number in range(len(bins) - 1):
            here = other & (bin_of == number)
            answer, sign = said[here], np.sign(true_gap[here])
            counts[number] += (
                np.count_nonzero((answer != 0) & (answer == sign)),
                np.count_nonzero((answer != 0) & (answer != sign)),
                np.count_nonzero(answer == 0),
            )
    return tuple(
        _bin(low, high, row) for low, high, row in zip(bins[:-1], bins[1:], counts.tolist(), strict=True)
    )


def _check(correlation: float, confidence: float) -> None:
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation {correlation} is not within -1 to 1")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence {confidence} is not within 0.5 to 1")


def _arms(figure: CostFigure) -> tuple[float, float]:
    """Return how far the interval reaches below and above the value, in logarithms."""
    down = math.log(figure.value / figure.low) if figure.low > 0 else math.inf
    up = math.log(figure.high / figure.value) if figure.high < math.inf else math.inf
    return down, up


def _margin(up: np.ndarray, down: np.ndarray, correlation: float, confidence: float) -> np.ndarray:
    """Return what the logarithm of a ratio must exceed, from the two arms that lie between the values."""
    square = up**2 + down**2
    if correlation:
        with np.errstate(invalid="ignore"):
            product = up * down
        both = np.isfinite(product)  # an open end shares nothing
        square = square - 2 * correlation * np.where(both, product, 0.0)
    normal = NormalDist()
    share = normal.inv_cdf(confidence) / normal.inv_cdf((1 + FIGURE_LEVEL) / 2)
    with np.errstate(invalid="ignore"):
        margin = share * np.sqrt(np.maximum(square, 0.0))
    return np.where(np.isnan(margin), np.inf, margin)


def _bin(low: float, high: float, counts: Sequence[int]) -> DecisionBin:
    pairs = sum(counts)
    right, wrong, close = (count / pairs if pairs else 0.0 for count in counts)
    return DecisionBin(low=low, high=high, pairs=pairs, right=right, wrong=wrong, too_close=close)
