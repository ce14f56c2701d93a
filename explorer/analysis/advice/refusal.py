"""Answer only when sure: the confidence below which a design should refuse, with a promise on its mistakes.

The refusal threshold is found on ``select`` (`explorer.analysis.statistics.selective`) and quoted on
``report``. For a two-stage cascade also: which examples the second stage is best spent on, when the others
may be refused (a window, without a promise).
"""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.advice.thresholds import check_paid_by_example
from explorer.analysis.bootstrap import share_interval
from explorer.analysis.costs import stage_costs
from explorer.analysis.pool import Pool
from explorer.analysis.result import Interval
from explorer.analysis.scoring.answers import candidate_answers
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.statistics.exchangeable import exchangeable_p_value
from explorer.analysis.statistics.guarantee import DELTA
from explorer.analysis.statistics.selective import (
    ScoredStages,
    SelectiveGuarantee,
    WindowReport,
    evaluate_window,
    fit_window,
    guaranteed_coverage,
    risk_coverage,
)
from explorer.errors import UsageError
from explorer.spec import Candidate, Cascade

_HALVINGS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a refusal threshold does on ``report``."""

    coverage: Interval
    """Share of the examples that are answered."""
    risk: Interval | None
    """Share of those that are wrong; None where none is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """When to refuse, what is answered then, and how much of it is wrong."""

    design: Candidate
    risk: float
    """Largest share of wrong answers among those given."""
    delta: float
    """Share of redrawn ``select`` sets for which that may be broken."""
    picked_from: int
    """Designs that this one was picked out of on the same examples."""
    accuracy: Interval
    """On ``report``, every example answered."""
    guarantee: SelectiveGuarantee
    """On ``select``; answer where the largest probability is above its threshold."""
    kept: Answered | None
    """On ``report``; None: no threshold is safe."""
    possible: float | None
    """Least risk that could be promised where the one asked for cannot; None: not needed."""
    plain_threshold: float | None
    """Answer at this largest probability or above: fits the risk on ``select``, without a promise."""
    plain: Answered | None
    window: WindowReport | None
    """On ``report``; only for a two-stage cascade."""
    window_budget: float | None
    """Mean cost the window was fitted to on ``select``."""
    stage_costs: tuple[float, ...]
    """What each stage adds."""
    alike: float
    """P-value of "`select` and `report` are draws from one source", which the promise supposes."""


def refusal(
    pool: Pool,
    design: Candidate,
    risk: float,
    *,
    delta: float = DELTA,
    picked_from: int = 1,
    budget: float | None = None,
) -> Refusal:
    """Find when a design should refuse, so that at most ``risk`` of its answers are wrong, surely.

    Args:
        pool: members, labels and costs.
        design: any candidate, with its own thresholds.
        risk: share of wrong answers that is allowed.
        delta: chance that the promise is broken.
        picked_from: designs that this one was picked out of on ``select``; each gets ``delta`` / that many.
        budget: mean cost of a window, for a two-stage cascade; None takes the cascade's own on ``select``.

    Raises:
        UsageError: a member is not in the pool, a share is not strictly between 0 and 1, or a budget for a
            design that has no window, or below the first stage's cost.
    """
    for name, share in (("the share of wrong answers", risk), ("delta", delta)):
        if not 0 < share < 1:
            raise UsageError(f"{name} must be strictly between 0 and 1, got {share!r}")
    if picked_from < 1:
        raise UsageError(f"a design is picked out of 1 or more, got {picked_from}")
    memo: Memo = {}
    score, right = _scored(pool, design, "select", memo)
    reported, reported_right = _scored(pool, design, "report", memo)
    found = guaranteed_coverage(score, right, risk, delta=delta / picked_from)
    plain_at = risk_coverage(score, right).threshold_at(risk)
    window, spent = _window(pool, design, risk, budget, memo)
    return Refusal(
        design=design,
        risk=risk,
        delta=delta,
        picked_from=picked_from,
        accuracy=share_interval(int(reported_right.sum()), len(reported_right)),
        guarantee=found,
        kept=None if found.threshold is None else _answered(reported > found.threshold, reported_right),
        possible=None if found.threshold is not None else _least_risk(score, right, delta / picked_from),
        plain_threshold=plain_at,
        plain=None if plain_at is None else _answered(reported >= plain_at, reported_right),
        window=window,
        window_budget=spent,
        stage_costs=stage_costs(pool, design),
        alike=exchangeable_p_value((score, reported), (right, reported_right)),
    )


def _scored(pool: Pool, design: Candidate, split: str, memo: Memo) -> tuple[np.ndarray, np.ndarray]:
    answers = candidate_answers(pool, design, split, memo=memo)
    return answers.confidence, answers.decisions == pool.arrays(split)[1]


def _answered(which: np.ndarray, right: np.ndarray) -> Answered:
    count = int(which.sum())
    return Answered(
        coverage=share_interval(count, len(which)),
        risk=share_interval(int((which & ~right).sum()), count) if count else None,
    )


def _least_risk(score: np.ndarray, right: np.ndarray, delta: float) -> float | None:
    """Return the least risk that some threshold keeps surely, to 2^-30; None: not even nearly 1."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        safe = guaranteed_coverage(score, right, middle, delta=delta).threshold is not None
        low, high = (low, middle) if safe else (middle, high)
    return high if high < 1 else None


def _window(
    pool: Pool, design: Candidate, risk: float, budget: float | None, memo: Memo
) -> tuple[WindowReport | None, float | None]:
    if not (isinstance(design, Cascade) and len(design.stages) == 2):
        if budget is not None:
            raise UsageError(f"a budget beside a refusal needs a cascade of 2 stages, got {design}")
        return None, None
    check_paid_by_example(pool.axis)
    spent = evaluate(pool, design, pool.axis, memo=memo).select_cost if budget is None else budget
    first, added = stage_costs(pool, design)
    splits = []
    for split in ("select", "report"):
        (one, one_right), (two, two_right) = (_scored(pool, s, split, memo) for s in design.combined)
        splits.append(
            ScoredStages(
                first_score=one,
                second_score=two,
                first_right=one_right,
                second_right=two_right,
                costs=(first, added),
            )
        )
    return evaluate_window(fit_window(splits[0], risk, spent), splits[1], risk), spent
