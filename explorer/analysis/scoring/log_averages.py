"""Losses of many averages of logarithms: no short cut holds, so the plain thing, block by block.

The average's probabilities need the normaliser, a sum over all classes that every weighting has of its own.
So the members are read again at each scoring: ask for many rows at once. Answers alone (accuracy, top-k)
need no normaliser: `explorer.analysis.scoring.ranks`.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from explorer.analysis.blocks import Members, blocks
from explorer.analysis.scoring.calibration import Gaps
from explorer.analysis.scoring.combine import ZERO_PROBABILITY
from explorer.analysis.scoring.rank_kernels import among_largest
from explorer.analysis.scoring.weightings import Scores, Weightings, check_block, values_of
from explorer.spec import Averaging

_MEMORY_BYTES = 256 * 2**20
_ROWS_AT_ONCE = 16


class LogLoss(StrEnum):
    """What to work out from the normalised average."""

    NLL = "nll"
    BRIER = "brier"
    ECE = "ece"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogAverageScorer:
    """The members themselves."""

    members: Members
    labels: np.ndarray
    averaging: Averaging
    loss: LogLoss

    def __call__(self, weightings: Weightings) -> Scores:
        """Return the loss of every row."""
        total, gaps = np.zeros(weightings.rows), Gaps.none(weightings.rows)
        count = len(self.members)
        # float16 and float64 of each member, four float64 of each row
        share = 2 * count / (10 * count + 32 * _ROWS_AT_ONCE)
        for part, block in blocks(self.members, block_bytes=int(_MEMORY_BYTES * share)):
            true = self.labels[part]
            logs = values_of(check_block(block), self.averaging).reshape(count, -1)
            for start in range(0, weightings.rows, _ROWS_AT_ONCE):
                rows = slice(start, min(start + _ROWS_AT_ONCE, weightings.rows))
                sums = np.ascontiguousarray(weightings.matrix[rows] @ logs)
                chance = _normalised(sums, weightings.totals[rows], len(true))
                if self.loss is LogLoss.NLL:
                    of_true = chance[:, np.arange(len(true)), true]
                    total[rows] -= np.log(np.maximum(of_true, ZERO_PROBABILITY)).sum(axis=1)
                elif self.loss is LogLoss.BRIER:
                    chance[:, np.arange(len(true)), true] -= 1
                    total[rows] += (chance**2).sum(axis=(1, 2))
                else:
                    self._add_gaps(gaps, rows, (sums, chance), (true, weightings))
        if self.loss is LogLoss.ECE:
            return gaps.scores(len(self.labels))
        return Scores(values=total / len(self.labels), near_ties=np.zeros(weightings.rows, np.int64))

    def _add_gaps(
        self,
        gaps: Gaps,
        rows: slice,
        found: tuple[np.ndarray, np.ndarray],
        asked: tuple[np.ndarray, Weightings],
    ) -> None:
        (sums, chance), (true, weightings) = found, asked
        offsets = np.arange(len(true) + 1) * chance.shape[2]
        tolerance = weightings.tolerance(self.averaging, 1.0)[rows]
        right, unsure = among_largest(sums, offsets, offsets[:-1] + true, 1, tolerance)
        gaps.add(rows, chance.max(axis=2), right, unsure, exact=tolerance < 0)


def _normalised(sums: np.ndarray, totals: np.ndarray, examples: int) -> np.ndarray:
    """Return probabilities float64 ``[row, example, class]`` of sums of logarithms ``[row, entry]``."""
    shaped = sums.reshape(len(sums), examples, -1)
    chance: np.ndarray = np.exp((shaped - shaped.max(axis=2, keepdims=True)) / totals[:, None, None])
    chance /= chance.sum(axis=2, keepdims=True)
    return chance
