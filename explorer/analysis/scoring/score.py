"""One candidate from stored predictions: what it decides, how often it is right, what it costs."""

import numpy as np

from explorer.analysis.bootstrap import share_interval
from explorer.analysis.costs import cost_figure, mean_cost, most_cost, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Point
from explorer.analysis.scoring.combine import combine
from explorer.analysis.scoring.signals import leaves, signal_values
from explorer.convention import CostAxis
from explorer.spec import Candidate, Cascade, Signal, Stage, averaging_of

Memo = dict[tuple[Stage, str, Signal | None], np.ndarray]
"""Of stages already combined, by stage and split: decisions (None) and signals; start with an empty one."""


def candidate_decisions(
    pool: Pool, design: Candidate, split: str, *, memo: Memo | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a candidate decides on a split, and at which stage each example left.

    An example leaves a cascade at the first stage whose exit signal reaches the threshold, and takes
    that stage's answer. The answer and the signal of a stage that is joined to earlier ones are those of
    the average over all their members.

    Args:
        pool: the members' probabilities.
        design: the candidate.
        split: ``select`` or ``report``.
        memo: remembered answers of stages, to score many designs that share them.

    Returns:
        decisions int64 ``[example]`` and the index of the last stage run int64 ``[example]``.

    Raises:
        UsageError: a member is not in the pool, or no such split.
    """
    memo = {} if memo is None else memo
    if not isinstance(design, Cascade):
        decisions = _decisions(pool, design, split, memo)
        return decisions, np.zeros(len(decisions), dtype=np.int64)
    first, *later = design.combined
    decisions = _decisions(pool, first, split, memo)
    left_at = np.zeros(len(decisions), dtype=np.int64)
    stays = np.ones(len(decisions), dtype=bool)
    before = first
    for number, (leave, stage) in enumerate(zip(design.exits, later, strict=True), start=1):
        stays &= ~leaves(_signal(pool, before, split, leave.signal, memo), leave)
        decisions = np.where(stays, _decisions(pool, stage, split, memo), decisions)
        left_at[stays] = number
        before = stage
    return decisions, left_at


def evaluate(pool: Pool, design: Candidate, axis: CostAxis, *, memo: Memo | None = None) -> Point:
    """Score one candidate on both splits.

    Args:
        pool: members, labels and costs; its axis must be ``axis``.
        design: any candidate of the pool's members, with any number of stages.
        axis: the cost kind, and device, of the figures.
        memo: remembered answers of stages, see `candidate_decisions`.

    Raises:
        UsageError: a member is not in the pool.
        ConventionError: the pool holds costs of another axis.
    """
    pool.check(design, axis)
    memo = {} if memo is None else memo
    stages = len(stages_of(design))
    chosen, chosen_left = candidate_decisions(pool, design, "select", memo=memo)
    quoted, quoted_left = candidate_decisions(pool, design, "report", memo=memo)
    right = int((quoted == pool.report_labels).sum())
    return Point(
        design=design,
        select_accuracy=int((chosen == pool.select_labels).sum()) / len(chosen),
        select_cost=mean_cost(pool, design, reached_counts(chosen_left, stages)),
        accuracy=share_interval(right, len(quoted)),
        cost=cost_figure(pool, design, quoted_left),
        worst_cost=most_cost(pool, design),
        reached=tuple(count / len(quoted) for count in reached_counts(quoted_left, stages)),
    )


def reached_counts(left_at: np.ndarray, stages: int) -> tuple[int, ...]:
    """Return how many examples reach each stage, from where each one left, int ``[example]``."""
    return tuple(int((left_at >= stage).sum()) for stage in range(stages))


def _decisions(pool: Pool, stage: Stage, split: str, memo: Memo) -> np.ndarray:
    if (stage, split, None) not in memo:
        answers, confidence = combine(_probabilities(pool, stage, split), averaging_of(stage))
        memo[stage, split, None], memo[stage, split, Signal.P] = answers, confidence
    return memo[stage, split, None]


def _signal(pool: Pool, stage: Stage, split: str, signal: Signal, memo: Memo) -> np.ndarray:
    if (stage, split, signal) not in memo:
        chance = _probabilities(pool, stage, split)
        memo[stage, split, signal] = signal_values(signal, chance, averaging_of(stage))
    return memo[stage, split, signal]


def _probabilities(pool: Pool, stage: Stage, split: str) -> np.ndarray:
    return np.asarray(pool.arrays(split)[0][pool.rows(stage.members)])
