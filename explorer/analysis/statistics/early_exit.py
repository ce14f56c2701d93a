"""Exit thresholds of several stages under a budget, by exit shares from exponential weights.

Taken from EERO (Valade, Hebiri and Gay, UAI 2025, arXiv 2402.03779), of which the abstract was at hand: each
stage is a classifier that may refuse an example and pass it on, and the chances of leaving at each stage
are settled by aggregation with exponential weights of the stages' risks under a budget. The form is
derived here; thresholds are the quantiles of the scores that let so many leave. The shares minimise, over
all shares with mean cost within the budget,

    sum_k share_k x risk_k + temperature x KL(share, uniform),

whose solution is share_k ~ exp(-(risk_k + price x cost_k) / temperature), with the least price >= 0 that
keeps the budget (the Gibbs variational principle with a linear constraint).

A stage's risk on *all* examples says little about those that its score lets leave. So (not from the paper)
the weights of the best temperature are moved on by the risk of the examples at the margin, with the same
exponential update and the same price, while that helps (`rounds`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from explorer.analysis.scoring.cascade import short_between
from explorer.errors import InputDataError, UsageError

_TEMPERATURES = np.concatenate([[np.inf], np.logspace(1, -3, 21)])
_MOVED = 0.04
"""Share of all examples that is moved to a stage to see what its margin is worth."""
_STEPS = (16.0, 4.0, 1.0)
"""Sizes of the exponential update that a round tries."""
_LARGEST_LOG_WEIGHT = 700.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExitStages:
    """Every stage's score and answer on the same examples, as if none had left before."""

    scores: np.ndarray
    """Float ``[stage, example]``, higher is surer."""
    right: np.ndarray
    """bool ``[stage, example]``"""
    costs: np.ndarray
    """What each stage adds, positive, any one unit, float64 ``[stage]``."""

    def __post_init__(self) -> None:
        shape = self.scores.shape
        if self.scores.ndim != 2 or self.right.shape != shape or self.right.dtype != np.bool_ or 0 in shape:
            raise InputDataError(
                f"wanted scores and bool answers [stage, example], got {list(shape)} "
                f"and {self.right.dtype} {list(self.right.shape)}"
            )
        if self.costs.shape != shape[:1] or not (np.isfinite(self.costs) & (self.costs > 0)).all():
            raise InputDataError(f"wanted {shape[0]} positive costs, got {self.costs.tolist()}")
        if not np.isfinite(self.scores).all():
            raise InputDataError("a score is not a finite number")

    @property
    def totals(self) -> np.ndarray:
        """What an example costs that leaves at each stage, float64 ``[stage]``."""
        return np.cumsum(self.costs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPlan:
    """Thresholds, and what they do on one set of examples: choose on one, report on another (`run_plan`)."""

    thresholds: tuple[float, ...]
    """Of every stage but the last: an example leaves at a score of at least this. ``inf``: nobody does."""
    shares: tuple[float, ...]
    """Of the examples that leave at each stage."""
    accuracy: float
    cost: float
    """Mean over the examples."""


def fit_exits(stages: ExitStages, budget: float, *, rounds: int = 30) -> ExitPlan:
    """Return thresholds with much accuracy and mean cost within ``budget`` on these examples.

    Args:
        stages: scores, answers and costs; choose on ``select``.
        budget: highest mean cost; kept exactly, also with ties, which leave together and early.
        rounds: updates by the risk at the margin; 0 is the aggregation of the stages' own risks alone.

    Raises:
        UsageError: the budget is below the first stage's cost, or ``rounds`` is negative.
    """
    totals = stages.totals
    if budget < totals[0] or rounds < 0:
        raise UsageError(
            f"wanted a budget of at least the first stage's {totals[0]:g} and rounds >= 0, "
            f"got {budget!r} and {rounds}"
        )
    risks = 1 - stages.right.mean(axis=1)
    starts = [exit_shares(-risks / temperature, totals, budget) for temperature in _TEMPERATURES]
    plans = [run_plan(stages, thresholds_for(stages, shares)) for shares in starts]
    best = max(range(len(plans)), key=lambda place: (plans[place].accuracy, -plans[place].cost))
    shares, plan = starts[best], plans[best]
    for _ in range(rounds):
        tried = [(run_plan(stages, thresholds_for(stages, s)), s) for s in _moved_on(stages, shares, budget)]
        better, moved = max(tried, key=lambda found: (found[0].accuracy, -found[0].cost))
        if better.accuracy <= plan.accuracy:
            break
        plan, shares = better, moved
    return plan


def exit_shares(log_weights: np.ndarray, totals: np.ndarray, budget: float) -> np.ndarray:
    """Return shares ~ exp(log_weights - price x totals) with the least price >= 0 that keeps the budget.

    Args:
        log_weights: ``[stage]``.
        totals: cost of leaving at each stage, rising, ``[stage]``.
        budget: at least ``totals[0]``.

    Returns:
        float64 ``[stage]``, adding up to 1; mean cost at most ``budget`` but for rounding.
    """
    if len(totals) == 1:
        return np.ones(1)
    span = float(totals[-1] - totals[0])
    spare, allowed = (totals - totals[0]) / span, float(budget - totals[0]) / span

    def at(price: float) -> np.ndarray:
        return np.asarray(special.softmax(log_weights - price * spare), dtype=np.float64)

    def over(price: float) -> float:
        return float(at(price) @ spare) - allowed

    if over(0.0) <= 0:
        return at(0.0)
    high = 1.0
    while over(high) > 0:
        high *= 2
        if high > _LARGEST_LOG_WEIGHT * 2**20:  # the budget is the first stage's cost
            return np.append(1.0, np.zeros(len(totals) - 1))
    return at(float(optimize.brentq(over, 0.0, high, xtol=1e-12, rtol=1e-12)))


def thresholds_for(stages: ExitStages, shares: np.ndarray) -> tuple[float, ...]:
    """Return thresholds that let at least ``shares`` leave by each stage, ``[stage - 1]``.

    Quantiles of the scores of those still there. Rounding and ties let more leave early, never fewer, so
    that the mean cost is at most that of the shares.
    """
    examples = stages.scores.shape[1]
    here = np.ones(examples, dtype=bool)
    # a share of 0.3 of 10 is 3, whatever the rounding of its sum
    staying = np.floor(examples * (1 - np.cumsum(shares)) + 1e-9)
    found = []
    for score, stay in zip(stages.scores[:-1], staying[:-1].astype(int), strict=True):
        rising = np.sort(score[here].astype(np.float64))
        threshold = np.inf
        if stay < len(rising):
            below = int(np.searchsorted(rising, rising[max(stay, 0)]))
            threshold = (
                -np.inf if below == 0 else short_between(float(rising[below - 1]), float(rising[below]))
            )
        here &= score < threshold
        found.append(threshold)
    return tuple(found)


def run_plan(stages: ExitStages, thresholds: tuple[float, ...]) -> ExitPlan:
    """Return what thresholds do on these examples.

    Raises:
        UsageError: not one threshold for every stage but the last.
    """
    if len(thresholds) != len(stages.scores) - 1:
        raise UsageError(f"wanted {len(stages.scores) - 1} thresholds, got {len(thresholds)}")
    leaves = stages.scores >= np.append(np.asarray(thresholds), -np.inf)[:, None]
    stage = leaves.argmax(axis=0)
    return ExitPlan(
        thresholds=thresholds,
        shares=tuple((np.bincount(stage, minlength=len(leaves)) / len(stage)).tolist()),
        accuracy=float(stages.right[stage, np.arange(len(stage))].mean()),
        cost=float(stages.totals[stage].mean()),
    )


def _moved_on(stages: ExitStages, shares: np.ndarray, budget: float) -> Iterator[np.ndarray]:
    """Yield shares updated by what moving a few examples to each stage does to the risk."""
    corners = np.eye(len(shares))
    here = run_plan(stages, thresholds_for(stages, shares)).accuracy
    gains = np.array(
        [
            run_plan(stages, thresholds_for(stages, (1 - _MOVED) * shares + _MOVED * corner)).accuracy - here
            for corner in corners
        ]
    )
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(shares), -_LARGEST_LOG_WEIGHT)
    for step in _STEPS:
        yield exit_shares(logs + step * gains / _MOVED, stages.totals, budget)
