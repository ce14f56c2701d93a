"""What a candidate answers with, example by example: the probabilities of the stage that each one left at."""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.combine import average
from explorer.analysis.scoring.score import Memo, candidate_decisions
from explorer.spec import Candidate, Cascade, averaging_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """One candidate's answers on one split."""

    probabilities: np.ndarray
    """Of the stage that answered, float64 ``[example, class]``; as stored, so rows add up to 1 but for
    rounding."""
    decisions: np.ndarray
    """int64 ``[example]``"""
    left_at: np.ndarray
    """Index of the last stage run, int64 ``[example]``."""

    @property
    def confidence(self) -> np.ndarray:
        """Largest probability, float64 ``[example]``."""
        return np.asarray(self.probabilities.max(axis=1))


def candidate_answers(pool: Pool, design: Candidate, split: str, *, memo: Memo | None = None) -> Answers:
    """Return what a candidate answers on a split, with all its probabilities.

    Args:
        pool: the members' probabilities.
        design: the candidate.
        split: ``select`` or ``report``.
        memo: remembered answers of stages, see `candidate_decisions`.

    Raises:
        UsageError: a member is not in the pool, or no such split.
    """
    decisions, left_at = candidate_decisions(pool, design, split, memo=memo)
    stored, labels = pool.arrays(split)
    found = np.empty((len(labels), stored.shape[2]))
    for number, stage in enumerate(design.combined if isinstance(design, Cascade) else (design,)):
        here = left_at == number
        members = np.asarray(stored[pool.rows(stage.members)])[:, here]
        found[here] = average(members, averaging_of(stage))
    return Answers(probabilities=found, decisions=decisions, left_at=left_at)
