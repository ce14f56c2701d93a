"""Two stages on the same examples, and every way a threshold on the first one's confidence can part them."""

from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from explorer.analysis.scoring.cascade import cuts, short_between
from explorer.errors import InputDataError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwoStages:
    """Calibration examples of a two-stage cascade; its members were chosen on others."""

    confidence: np.ndarray
    """Of the first stage, ``[example]``; an example leaves when it is at least the threshold."""
    first_right: np.ndarray
    """bool ``[example]``"""
    second_right: np.ndarray
    """bool ``[example]``: of the answer given when the example goes on."""
    costs: tuple[float, float]
    """Of the first stage, and what the second adds; any one unit."""

    def __post_init__(self) -> None:
        shapes = {np.shape(a) for a in (self.confidence, self.first_right, self.second_right)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1 or not self.confidence.size:
            raise InputDataError(
                f"wanted three arrays [example] of one length, at least 1, got {sorted(shapes)}"
            )
        if self.first_right.dtype != np.bool_ or self.second_right.dtype != np.bool_:
            kinds = f"{self.first_right.dtype} and {self.second_right.dtype}"
            raise InputDataError(f"right answers must be bool [example], got {kinds}")
        if not np.isfinite(self.confidence).all():
            raise InputDataError("a confidence is not a finite number")
        if not all(isfinite(cost) and cost >= 0 for cost in self.costs):
            raise InputDataError(f"costs must be finite and not negative, got {self.costs}")

    @property
    def n(self) -> int:
        """Examples."""
        return len(self.confidence)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """Counts at every different set of leavers, from nobody to everybody, int64 ``[step]``."""

    leavers: np.ndarray
    right: np.ndarray
    """Right answers of the cascade."""
    lost: np.ndarray
    """Leavers whom only the second stage answers right."""
    won: np.ndarray
    """Leavers whom only the first stage answers right."""
    between: np.ndarray
    """Observed confidences below and above each inner step's threshold, ``[step - 2, 2]``."""

    def threshold(self, step: int) -> float:
        """Return a threshold that makes the leavers of a step leave."""
        if step == 0:
            return inf
        if step == len(self.leavers) - 1:
            return -inf
        below, above = self.between[step - 1]
        return short_between(float(below), float(above))


def walk_of(cascade: TwoStages) -> Walk:
    """Return the counts at every step from "nobody leaves" to "everybody does"."""
    found = cuts(cascade.confidence)
    leavers = np.concatenate([[0], found.leavers, [cascade.n]]).astype(np.int64)
    first, second = cascade.first_right[found.order], cascade.second_right[found.order]

    def counted(hits: np.ndarray) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(hits, dtype=np.int64)])[leavers]

    lost, won = counted(~first & second), counted(first & ~second)
    right = int(second.sum()) - lost + won
    return Walk(leavers=leavers, right=right, lost=lost, won=won, between=found.thresholds_between)
