"""One candidate from stored predictions: what it decides, how often it is right, what it costs."""

import numpy as np

from explorer.analysis.costs import cost_figure, mean_cost, most_cost, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Point
from explorer.analysis.scoring.combine import combine
from explorer.analysis.statistics.bootstrap import share_interval
from explorer.convention import CostAxis
from explorer.spec import Averaging, Candidate, Cascade, Single, Stage

Memo = dict[tuple[Stage, str], tuple[np.ndarray, np.ndarray]]
"""Answers of stages already combined, by stage and split; start with an empty one."""


def candidate_decisions(
    pool: Pool, design: Candidate, split: str, *, memo: Memo | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a candidate decides on a split, and at which stage each example left.

    An example leaves a cascade at the first stage whose confidence is at least the threshold, and
    takes that stage's answer.

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
    stages = stages_of(design)
    decisions, confidence = _stage_answers(pool, stages[0], split, memo)
    left_at = np.zeros(len(decisions), dtype=np.int64)
    if not isinstance(design, Cascade):
        return decisions, left_at
    stays = np.ones(len(decisions), dtype=bool)
    for number, (leave, stage) in enumerate(zip(design.exits, stages[1:], strict=True), start=1):
        stays &= ~(confidence >= leave.threshold)
        answers, confidence = _stage_answers(pool, stage, split, memo)
        decisions = np.where(stays, answers, decisions)
        left_at[stays] = number
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


def _stage_answers(pool: Pool, stage: Stage, split: str, memo: Memo) -> tuple[np.ndarray, np.ndarray]:
    if (stage, split) not in memo:
        probabilities, _ = pool.arrays(split)
        averaging = Averaging.MEAN if isinstance(stage, Single) else stage.averaging
        memo[stage, split] = combine(probabilities[pool.rows(stage.members)], averaging)
    return memo[stage, split]
