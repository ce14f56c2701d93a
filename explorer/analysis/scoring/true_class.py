"""Negative log-likelihood of many averages from the true class's probability alone.

Under ``mean`` and ``vote`` the average's probability of the true class is the average of the members', so
one number a member and example is all the loss needs, whatever the number of classes. Under ``geometric``
and ``logit`` it is not: see `explorer.analysis.scoring.log_averages`.
"""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.blocks import Members, blocks
from explorer.analysis.scoring.combine import ZERO_PROBABILITY
from explorer.analysis.scoring.weightings import Scores, Weightings, check_block, unit_of, values_of
from explorer.spec import Averaging

_EXAMPLES_AT_ONCE = 8192


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrueClassScorer:
    """What every member gives the true class."""

    values: np.ndarray
    """In units of the rule, exact, float32 ``[member, example]``."""
    averaging: Averaging

    def __call__(self, weightings: Weightings) -> Scores:
        """Return every row's mean negative log-likelihood in nats; zero counts as 2^-25."""
        examples = self.values.shape[1]
        loss = np.zeros(weightings.rows)
        scale = weightings.totals[:, None] * unit_of(self.averaging)
        for start in range(0, examples, _EXAMPLES_AT_ONCE):
            wide = self.values[:, start : start + _EXAMPLES_AT_ONCE].astype(np.float64)
            for rows, matrix in weightings.chunks(wide.shape[1]):
                true = (matrix @ wide) / scale[rows]
                loss[rows] -= np.log(np.maximum(true, ZERO_PROBABILITY)).sum(axis=1)
        return Scores(values=loss / examples, near_ties=np.zeros(weightings.rows, np.int64))


def build_true_class(members: Members, labels: np.ndarray, averaging: Averaging) -> TrueClassScorer:
    """Read the true class's probabilities, or votes for it, block by block.

    Args:
        members: of one split.
        labels: checked, int64 ``[example]``.
        averaging: ``mean`` or ``vote``.

    Raises:
        InputDataError: members that do not fit together, or with impossible probabilities.
    """
    values = np.empty((len(members), len(labels)), np.float32)
    for part, block in blocks(members):
        codes, true = check_block(block), labels[part]
        if averaging is Averaging.VOTE:
            values[:, part] = codes.argmax(axis=2) == true
        else:
            values[:, part] = values_of(codes[:, np.arange(len(true)), true], averaging)
    return TrueClassScorer(values=values, averaging=averaging)
