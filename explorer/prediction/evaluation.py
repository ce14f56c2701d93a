"""How well predicted times agree with measured ones: relative errors, coverage, and their own scatter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

BOOTSTRAP_DRAWS = 1000
BOOTSTRAP_LEVEL = 0.95

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Relative errors of predictions against measurements; all are shares, 0.1 is ten percent."""

    rows: int
    mape: float
    """Mean of the absolute relative error."""
    median: float
    p90: float
    """Nine in ten are off by no more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyInterval:
    """Where the figures of an `Accuracy` lie if other families had been drawn, 95 %: (low, high) each."""

    mape: tuple[float, float]
    median: tuple[float, float]
    p90: tuple[float, float]


def relative_errors(predicted: Sequence[float] | np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return predicted over measured minus 1 [row]: -0.5 is half of the truth.

    Raises:
        ValueError: lengths differ, no rows, or a time that is not finite or not above 0.
    """
    foretold, truth = np.asarray(predicted, float), np.asarray(measured, float)
    if foretold.shape != truth.shape or not foretold.size:
        raise ValueError(f"{foretold.shape} predictions for {truth.shape} measurements")
    if not (np.isfinite(foretold).all() and np.isfinite(truth).all() and (truth > 0).all()):
        raise ValueError("times must be finite, and measured ones above 0")
    return foretold / truth - 1


def accuracy(predicted: Sequence[float] | np.ndarray, measured: np.ndarray) -> Accuracy:
    """Return mean, median and 90th percentile of the absolute relative error."""
    size = np.abs(relative_errors(predicted, measured))
    mape, median, p90 = _summary(size)
    return Accuracy(rows=len(size), mape=mape, median=median, p90=p90)


def coverage(low: np.ndarray, high: np.ndarray, measured: np.ndarray) -> float:
    """Return the share of measurements that lie within their intervals, ends included."""
    inside = (np.asarray(low) <= measured) & (measured <= np.asarray(high))
    return float(inside.mean())


def accuracy_interval(
    predicted: Sequence[float] | np.ndarray,
    measured: np.ndarray,
    families: Sequence[str],
    *,
    seed: int = 0,
    draws: int = BOOTSTRAP_DRAWS,
) -> AccuracyInterval:
    """Return percentile-bootstrap intervals; whole families are drawn, as models of one err alike."""
    size = np.abs(relative_errors(predicted, measured))
    names, member = np.unique(np.asarray(families), return_inverse=True)
    groups = [size[member == number] for number in range(len(names))]
    generator = np.random.default_rng(seed)
    found = np.empty((draws, 3))
    for draw in range(draws):
        chosen = generator.integers(0, len(groups), len(groups))
        found[draw] = _summary(np.concatenate([groups[number] for number in chosen]))
    tail = (1 - BOOTSTRAP_LEVEL) / 2
    lows, highs = np.quantile(found, [tail, 1 - tail], axis=0)
    (mape, median, p90) = ((float(low), float(high)) for low, high in zip(lows, highs, strict=True))
    return AccuracyInterval(mape=mape, median=median, p90=p90)


def worst_rows(predicted: Sequence[float] | np.ndarray, measured: np.ndarray, count: int) -> list[int]:
    """Return the rows that are off by the largest factor either way, worst first."""
    ratio = np.asarray(predicted, float) / np.asarray(measured, float)
    with np.errstate(divide="ignore"):
        off = np.abs(np.log(ratio))
    return [int(row) for row in np.argsort(-off, kind="stable")[:count]]


def by_fold(fold: np.ndarray, predict: Callable[[np.ndarray, np.ndarray], Sequence[T]]) -> list[T]:
    """Return one prediction a row, each made without the row's fold.

    Args:
        fold: which fold each row is in [row].
        predict: given the rows to learn from and the rows asked for (both as indices), the predictions.

    Raises:
        ValueError: as many predictions as rows were not given.
    """
    made: dict[int, T] = {}
    for number in np.unique(fold):
        asked = np.flatnonzero(fold == number)
        given = predict(np.flatnonzero(fold != number), asked)
        made |= zip(asked.tolist(), given, strict=True)
    return [made[row] for row in range(len(fold))]


def _summary(size: np.ndarray) -> tuple[float, float, float]:
    median, p90 = np.quantile(size, [0.5, 0.9])
    return float(size.mean()), float(median), float(p90)
