"""Brier score of many averages from one matrix, members by members.

With weights that sum to 1, the distance of an average to the one-hot truth is the average of the members'
distances, so its square is ``w' G w`` with G[i, j] the mean product of two members' distances: after one
pass over the probabilities a weighting costs as many multiplications as there are pairs of members.
Distances, not probabilities, are multiplied, so that nothing cancels where the score is small.
"""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.blocks import Members, blocks
from explorer.analysis.scoring.weightings import (
    Scores,
    Weightings,
    check_block,
    unit_of,
    values_of,
    votes_or_codes,
)
from explorer.spec import Averaging

_BLOCK_BYTES = 16 * 2**20
"""Of float16; the float64 that is multiplied takes four times as much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GramScorer:
    """Mean products of the members' distances to the truth."""

    gram: np.ndarray
    """float64 ``[member, member]``"""

    def __call__(self, weightings: Weightings) -> Scores:
        """Return every row's Brier score, in [0, 2]."""
        values = np.empty(weightings.rows)
        for rows, matrix in weightings.chunks(len(self.gram)):
            dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
            shares = dense / weightings.totals[rows, None]
            values[rows] = ((shares @ self.gram) * shares).sum(axis=1)
        return Scores(values=values, near_ties=np.zeros(weightings.rows, np.int64))


def build_gram(members: Members, labels: np.ndarray, averaging: Averaging) -> GramScorer:
    """Multiply the members' distances to the truth, block by block.

    Args:
        members: of one split.
        labels: checked, int64 ``[example]``.
        averaging: ``mean`` or ``vote``.

    Raises:
        InputDataError: members that do not fit together, or with impossible probabilities.
    """
    gram = np.zeros((len(members), len(members)))
    for part, block in blocks(members, block_bytes=_BLOCK_BYTES):
        values = values_of(votes_or_codes(check_block(block), averaging), averaging)
        away = values.astype(np.float64) / unit_of(averaging)
        away[:, np.arange(away.shape[1]), labels[part]] -= 1
        flat = away.reshape(len(members), -1)
        gram += flat @ flat.T
    return GramScorer(gram=gram / len(labels))
