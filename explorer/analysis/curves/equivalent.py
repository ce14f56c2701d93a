"""Deep ensemble equivalent: how many independent members another method is worth.

Ashukha et al., arXiv 2002.06470: the smallest size at which an ensemble of independently trained networks
reaches the same calibrated negative log-likelihood. Between the sizes of the ensemble's curve the loss is
straight in 1 / size, as the loss of averaged members nearly is; a curve that rises somewhere is taken at the
lowest loss reached so far, which is what "the smallest size that reaches it" means.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.analysis.statistics.seeds import Estimate, percentiles
from explorer.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    """The size of an independent ensemble with the same loss."""

    members: float | None
    """None: more than ``most``, the end of the ensemble's curve."""
    low: float | None
    """Lower end of the 95 % interval; None: more than ``most``. Equal to ``members`` without draws."""
    high: float | None
    most: int
    """Members of the largest ensemble there is a figure of."""
    worse_than_one: bool
    """Whether the loss is above that of a single network: it then counts as one."""
    interval_known: bool
    """Whether draws gave the interval."""


def ensemble_equivalent(loss: float | Estimate, ensemble: Mapping[int, float | Estimate]) -> Equivalent:
    """Return how many independent members reach a loss.

    Args:
        loss: calibrated negative log-likelihood (lower is better) of the method in question.
        ensemble: of independent ensembles by number of members, one included.

    Raises:
        UsageError: no figure of one member, or some figures have draws and others not as many.
    """
    sizes = sorted(ensemble)
    if not sizes or sizes[0] != 1:
        raise UsageError(f"the ensemble's curve must start at 1 member, got sizes {sizes}")
    figures = [loss, *(ensemble[size] for size in sizes)]
    value, curve = _value(figures[0]), np.array([_value(one) for one in figures[1:]])
    found = float(_smallest(np.array([value]), curve[None], np.array(sizes, dtype=np.float64))[0])
    drawn = [one.draws for one in figures if isinstance(one, Estimate)]
    low = high = found
    if drawn:
        if len(drawn) != len(figures) or len({len(draws) for draws in drawn}) > 1:
            raise UsageError("an equivalent with an interval needs as many draws of every figure")
        curves = np.stack(drawn[1:], axis=1)
        low, high = percentiles(_smallest(drawn[0], curves, np.array(sizes, dtype=np.float64)))
        low, high = min(low, found), max(high, found)
    return Equivalent(
        members=_none(found),
        low=_none(low),
        high=_none(high),
        most=sizes[-1],
        worse_than_one=bool(value > curve[0]),
        interval_known=bool(drawn),
    )


def _value(figure: float | Estimate) -> float:
    return figure.value if isinstance(figure, Estimate) else float(figure)


def _none(members: float) -> float | None:
    return members if np.isfinite(members) else None


def _smallest(losses: np.ndarray, curves: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the smallest size that reaches each loss, infinity where none does.

    Args:
        losses: ``[draw]``.
        curves: ``[draw, size]``.
        sizes: ascending, ``[size]``.
    """
    best = np.minimum.accumulate(curves, axis=1)
    reached = best <= losses[:, None]
    right = np.where(reached.any(axis=1), reached.argmax(axis=1), len(sizes))
    found = np.full(len(losses), np.inf)
    found[right == 0] = 1.0
    for draw in np.flatnonzero((right > 0) & (right < len(sizes))):
        place = right[draw]
        above, below = best[draw, place - 1], best[draw, place]
        share = (above - losses[draw]) / (above - below)
        inverse = 1 / sizes[place - 1] + share * (1 / sizes[place] - 1 / sizes[place - 1])
        found[draw] = 1 / inverse
    return found
