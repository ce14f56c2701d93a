"""From a cascade of a pool to the arrays that threshold rules work on, and from thresholds back to a design.

Rules know one direction: an example leaves when its score is at least the threshold. The entropy falls as
sureness grows, so its negative is the score.
"""

from collections.abc import Sequence
from math import inf

import numpy as np

from explorer.analysis.costs import stage_costs
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import Memo, candidate_decisions
from explorer.analysis.scoring.signals import signal_values
from explorer.analysis.statistics.early_exit import ExitStages
from explorer.analysis.statistics.two_stages import TwoStages
from explorer.convention import Composition, CostAxis
from explorer.errors import UsageError
from explorer.spec import (
    Candidate,
    Cascade,
    Exit,
    Signal,
    Stage,
    averaging_of,
    ensemble,
)


def check_paid_by_example(axis: CostAxis) -> None:
    """Refuse a cost that is the same whoever leaves.

    Raises:
        UsageError: the kind is not paid stage by stage.
    """
    if axis.kind.composition is not Composition.EXPECTED:
        raise UsageError(
            f"{axis} is the same whoever leaves, so no exit threshold changes it; wanted a cost that each "
            "example pays, e.g. macs or latency@cpu"
        )


def two_stages_of(design: Candidate) -> Cascade:
    """Return the design as a two-stage cascade.

    Raises:
        UsageError: it is none.
    """
    if isinstance(design, Cascade) and len(design.stages) == 2:
        return design
    stages = len(design.stages) if isinstance(design, Cascade) else 1
    raise UsageError(
        f"wanted a cascade of 2 stages, 'FIRST -> SECOND', got {stages} in {design}; "
        "chains of more stages: --early-exit"
    )


def calibration(
    pool: Pool, cascade: Cascade, split: str = "select", *, memo: Memo | None = None
) -> TwoStages:
    """Return what a promise on a two-stage cascade is worked out from.

    Raises:
        UsageError: not two stages, a member is not in the pool, or the axis is not paid by the example.
    """
    stages = exit_stages(pool, two_stages_of(cascade), split, memo=memo)
    first, added = stage_costs(pool, cascade)
    return TwoStages(
        confidence=stages.scores[0],
        first_right=stages.right[0],
        second_right=stages.right[1],
        costs=(first, added),
    )


def exit_stages(
    pool: Pool, cascade: Cascade, split: str = "select", *, memo: Memo | None = None
) -> ExitStages:
    """Return every stage's score and answers as if nobody had left before.

    The score is the signal of the stage's exit; the last stage has none, and gets the largest probability.

    Raises:
        UsageError: a member is not in the pool, or the axis is not paid by the example.
        InputDataError: a stage adds no cost.
    """
    check_paid_by_example(pool.axis)
    memo = {} if memo is None else memo
    probabilities, labels = pool.arrays(split)
    signals = [*(leave.signal for leave in cascade.exits), Signal.P]
    scores = [
        _sign(signal)
        * signal_values(signal, np.asarray(probabilities[pool.rows(stage.members)]), averaging_of(stage))
        for signal, stage in zip(signals, cascade.combined, strict=True)
    ]
    right = [candidate_decisions(pool, stage, split, memo=memo)[0] == labels for stage in cascade.combined]
    return ExitStages(
        scores=np.stack(scores), right=np.stack(right), costs=np.array(stage_costs(pool, cascade))
    )


def with_thresholds(cascade: Cascade, thresholds: Sequence[float]) -> Candidate:
    """Return the design that decides as the cascade with other thresholds does, without idle stages.

    Args:
        cascade: the stages and signals.
        thresholds: one an exit, of the scores of `exit_stages`. After a stage at which everybody leaves
            (``-inf``) nothing runs, so the rest goes. A stage at which nobody leaves (``inf``) goes too, or
            is merged with the next one where that is averaged with it.

    Raises:
        UsageError: not one threshold an exit, or one that no exit can have.
    """
    if len(thresholds) != len(cascade.exits):
        raise UsageError(f"wanted {len(cascade.exits)} thresholds, got {len(thresholds)}")
    last = next((k for k, at in enumerate(thresholds) if at == -inf), len(thresholds))
    stages: list[Stage] = []
    exits: list[Exit] = []
    joined: list[bool] = []
    stage, joins = cascade.stages[0], False
    for number in range(last + 1):
        if number == last:
            stages.append(stage)
            joined.append(joins)
            break
        following, joins_following = cascade.stages[number + 1], cascade.joined[number]
        if thresholds[number] != inf:
            stages.append(stage)
            joined.append(joins)
            exits.append(_exit(thresholds[number], cascade.exits[number].signal))
            stage, joins = following, joins_following
        elif joins_following:
            stage = ensemble((*stage.members, *following.members), averaging_of(stage))
        else:
            stage, joins = following, False
    return stages[0] if len(stages) == 1 else Cascade(tuple(stages), tuple(exits), tuple(joined[1:]))


def _exit(score: float, signal: Signal) -> Exit:
    return Exit(_sign(signal) * score, signal)


def _sign(signal: Signal) -> float:
    # only the entropy falls as sureness grows
    return -1.0 if signal is Signal.ENTROPY else 1.0
