"""From which cost on several networks of a family err less than one larger network of it.

The founding question (arXiv 2005.00570). The single scales that nothing beats on ``select`` make one curve,
the ensembles that nothing beats there the other; both are straight in log cost. Where the ensembles' curve
comes to lie below the singles' for good, on ``report``, they cross. Nothing is chosen on ``report``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from explorer.analysis.curves.crossover import crossover
from explorer.analysis.pool import Pool
from explorer.analysis.search.pareto import pareto_front
from explorer.analysis.statistics.seeds import (
    LARGEST,
    Estimate,
    Resampling,
    Scale,
    SeedValues,
    percentiles,
    right_answers,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One scale: error of ensembles of 1, 2, ... seeds."""

    scale: Scale
    chosen: Mapping[int, float]
    """Error on ``select`` by number of members."""
    error: Mapping[int, Estimate]
    """Error on ``report`` by number of members."""

    def cost(self, size: int) -> float:
        """Return the cost of ``size`` members one after the other, in the unit of the pool's axis."""
        return size * self.scale.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """From which cost on ensembles are ahead; infinite: nowhere in the range, minus infinity: all over it."""

    value: float
    low: float
    high: float
    start: float
    end: float
    never: float
    """Share of draws without a crossing."""

    @property
    def cannot_tell(self) -> bool:
        """Say whether some draws have ensembles ahead at the end of the range and others have not."""
        return self.low < math.inf and self.high == math.inf


def wrong_answers(pool: Pool, scale: Scale, split: str, *, largest: int = LARGEST) -> SeedValues:
    """Return which examples every set of up to ``largest`` of a scale's seeds answers wrong.

    Raises:
        UsageError: no such split.
    """
    right = right_answers(pool, scale, split, largest=largest)
    return replace(right, values=1 - right.values)


def error_curve(pool: Pool, scale: Scale, resampling: Resampling) -> Curve:
    """Return the error of one scale by number of members, on both splits."""
    chosen = wrong_answers(pool, scale, "select")
    return Curve(
        scale=scale,
        chosen={size: chosen.mean(size) for size in chosen.sizes},
        error=resampling.estimates(wrong_answers(pool, scale, "report")),
    )


def overtaking(family: tuple[Curve, ...]) -> Crossing | None:
    """Return where the ensembles' curve passes below the singles', or None: they share no range of cost."""
    single = _best(family, [(curve, 1) for curve in family])
    several = _best(family, [(curve, size) for curve in family for size in list(curve.error)[1:]])
    costs = [np.array([curve.cost(size) for curve, size in side]) for side in (single, several)]
    if not several or costs[1][0] > costs[0][-1] or costs[0][0] > costs[1][-1]:
        return None
    value, drawn = (
        crossover(costs[0], one, costs[1], other)
        for one, other in zip(_figures(single), _figures(several), strict=True)
    )
    low, high = percentiles(drawn)
    start, end = max(costs[0][0], costs[1][0]), min(costs[0][-1], costs[1][-1])
    never = float(np.mean(np.isposinf(drawn)))
    return Crossing(value=float(value[0]), low=low, high=high, start=start, end=end, never=never)


def _best(family: tuple[Curve, ...], designs: list[tuple[Curve, int]]) -> list[tuple[Curve, int]]:
    """Return the designs that no other beats on ``select``, cheapest first."""
    cost = [curve.cost(size) for curve, size in designs]
    front = pareto_front(cost, [-curve.chosen[size] for curve, size in designs])
    return [designs[place] for place in front]


def _figures(designs: list[tuple[Curve, int]]) -> tuple[np.ndarray, np.ndarray]:
    found = [curve.error[size] for curve, size in designs]
    return np.array([one.value for one in found]), np.stack([one.draws for one in found], axis=1)
