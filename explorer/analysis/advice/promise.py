"""The exit threshold of a two-stage cascade that keeps a promise, and what the promise costs.

The threshold is found on ``select`` (`explorer.analysis.statistics.guarantee`), all else is quoted on
``report``. The promise is about draws of ``select``: it needs a cascade whose members were fixed before
those examples were looked at. Where the cascade was picked out of N on the same examples, each of the N gets
``delta`` / N (Bonferroni), so that the promise holds whichever is picked.
"""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.advice.thresholds import calibration, with_thresholds
from explorer.analysis.pool import Pool
from explorer.analysis.result import Comparison, Point
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.statistics.compare import compare
from explorer.analysis.statistics.exchangeable import exchangeable_p_value
from explorer.analysis.statistics.guarantee import (
    DELTA,
    Guarantee,
    accuracy_and_cost_threshold,
    accuracy_threshold,
    cost_threshold,
    near_full_threshold,
    promisable_budget,
    promisable_epsilon,
    promisable_target,
)
from explorer.analysis.statistics.two_stages import TwoStages, walk_of
from explorer.errors import UsageError
from explorer.spec import Cascade


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is promised, and how surely."""

    target: float | None = None
    """Least accuracy, a share."""
    budget: float | None = None
    """Highest mean cost, in the unit of the pool's axis."""
    near_full: float | None = None
    """Most accuracy below the second stage's, a share; excludes the other two."""
    delta: float = DELTA
    """Share of redrawn ``select`` sets for which the promise may be broken."""
    picked_from: int = 1
    """Cascades that this one was picked out of on the same examples."""

    def __post_init__(self) -> None:
        told = self.target is not None or self.budget is not None
        if told == (self.near_full is not None):
            raise UsageError("promise either an accuracy, a cost or both, or nearness to the second stage")
        if self.picked_from < 1:
            raise UsageError(f"a cascade is picked out of 1 or more, got {self.picked_from}")
        if not 0 < self.delta < 1:
            raise UsageError(f"delta must be strictly between 0 and 1, got {self.delta!r}")
        if self.near_full is not None and not 0 <= self.near_full < 1:
            raise UsageError(f"nearness must be a share in [0, 1), 0.01 is one point, got {self.near_full!r}")

    @property
    def level(self) -> float:
        """The part of ``delta`` that this one cascade gets."""
        return self.delta / self.picked_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """What could be promised instead, one figure at a time; None: it is not what is missing."""

    target: float | None = None
    """Any accuracy below this, with the budget as it is."""
    budget: float | None = None
    """This mean cost, with the target as it is."""
    near_full: float | None = None
    """This distance from the second stage's accuracy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A threshold that keeps the promise, and what it does on ``report``."""

    point: Point
    """The design with that threshold; a stage alone where nobody, or everybody, leaves."""
    against_second: Comparison
    """Its accuracy against the second stage's."""
    plain: Point | None
    """With the threshold that fits the same terms on ``select``, without a promise; None: none fits."""
    against_plain: Comparison | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The answer: a threshold that keeps the promise, or what could be promised."""

    terms: Terms
    cascade: Cascade
    """As it was given; its own threshold means nothing here."""
    guarantee: Guarantee
    """On ``select``; its ``delta`` is `Terms.level`."""
    first: Point
    """The first stage alone."""
    second: Point
    """What answers when an example goes on, alone."""
    kept: Kept | None
    possible: Possible | None
    """Where nothing keeps the promise."""
    alike: float
    """P-value of "`select` and `report` are draws from one source", which the promise supposes."""

    @property
    def second_is_cheaper(self) -> bool:
        """Say whether the second stage alone keeps the promise too, and costs less than the cascade."""
        if self.kept is None or self.kept.point.design == self.second.design:
            return False
        if self.terms.target is None and self.terms.near_full is None:
            # nobody leaving is on the dear side of a budget: only the second stage's own cost can fit
            return self.terms.budget is not None and self.second.select_cost <= self.terms.budget
        return self.second.select_cost <= self.kept.point.select_cost


def promise(pool: Pool, cascade: Cascade, terms: Terms) -> Promise:
    """Find the threshold of a two-stage cascade that keeps a promise with probability 1 - ``delta``.

    Args:
        pool: members, labels and costs.
        cascade: two stages; its threshold is replaced, its exit signal is used.
        terms: what is promised.

    Raises:
        UsageError: not two stages, a member is not in the pool, a cost that no threshold changes, or a share
            that is not strictly between 0 and 1.
    """
    memo: Memo = {}
    stages = calibration(pool, cascade, memo=memo)
    found = _guarantee(stages, terms)
    first, second = (evaluate(pool, stage, pool.axis, memo=memo) for stage in cascade.combined)
    kept = possible = None
    if found.threshold is None:
        possible = _possible(stages, terms)
    else:
        point = evaluate(pool, with_thresholds(cascade, [found.threshold]), pool.axis, memo=memo)
        at = plain_threshold(stages, terms)
        plain = None if at is None else evaluate(pool, with_thresholds(cascade, [at]), pool.axis, memo=memo)
        kept = Kept(
            point=point,
            against_second=compare(pool, point.design, second.design, memo=memo),
            plain=plain,
            against_plain=None if plain is None else compare(pool, point.design, plain.design, memo=memo),
        )
    return Promise(
        terms=terms,
        cascade=cascade,
        guarantee=found,
        first=first,
        second=second,
        kept=kept,
        possible=possible,
        alike=_alike(stages, calibration(pool, cascade, "report", memo=memo)),
    )


def plain_threshold(stages: TwoStages, terms: Terms) -> float | None:
    """Return the threshold that fits the terms on these very examples, with no margin; None: none does.

    The cheapest one; where nothing but a budget is asked, the one that lets most examples go on.
    """
    walk = walk_of(stages)
    cost = stages.costs[0] + stages.costs[1] * (1 - walk.leavers / stages.n)
    fits = np.ones(len(cost), dtype=bool)
    if terms.target is not None:
        fits &= walk.right >= terms.target * stages.n
    if terms.near_full is not None:
        fits &= walk.right >= walk.right[0] - terms.near_full * stages.n
    if terms.budget is not None:
        fits &= cost <= terms.budget
    steps = np.flatnonzero(fits)
    if not steps.size:
        return None
    only_budget = terms.target is None and terms.near_full is None
    return walk.threshold(int(steps[0] if only_budget else steps[-1]))


def _guarantee(stages: TwoStages, terms: Terms) -> Guarantee:
    if terms.near_full is not None:
        return near_full_threshold(stages, terms.near_full, delta=terms.level)
    if terms.target is None:
        assert terms.budget is not None  # Terms sees to it
        return cost_threshold(stages, terms.budget, delta=terms.level)
    if terms.budget is None:
        return accuracy_threshold(stages, terms.target, delta=terms.level)
    return accuracy_and_cost_threshold(stages, terms.target, terms.budget, delta=terms.level)


def _alike(chosen: TwoStages, reported: TwoStages) -> float:
    return exchangeable_p_value(
        (chosen.confidence, reported.confidence), (chosen.second_right, reported.second_right)
    )


def _possible(stages: TwoStages, terms: Terms) -> Possible:
    """Return what could be promised; both promises share ``delta`` evenly, as in the guarantee."""
    if terms.near_full is not None:
        return Possible(near_full=promisable_epsilon(stages, delta=terms.level))
    if terms.budget is None:
        return Possible(target=promisable_target(stages, delta=terms.level))
    if terms.target is None:
        return Possible(budget=stages.costs[0])
    half = terms.level / 2
    accurate = accuracy_threshold(stages, terms.target, delta=half)
    affordable = cost_threshold(stages, terms.budget, delta=half)
    return Possible(
        target=None
        if affordable.threshold is None
        else promisable_target(stages, left=affordable.left, delta=half),
        budget=None if accurate.threshold is None else promisable_budget(stages, accurate.left, delta=half),
    )
