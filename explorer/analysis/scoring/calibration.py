"""Calibration error of many averages from the few classes that can be the largest.

Under ``mean`` and ``vote`` an average's confidence is the largest of its sums over the classes no other
beats in every member, divided by the weights' total. Logarithmic averages need the normaliser over all
classes: see `explorer.analysis.scoring.log_averages`.
"""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.scoring.combine import NEAR_TIE
from explorer.analysis.scoring.rank_kernels import among_largest
from explorer.analysis.scoring.ranks import Table
from explorer.analysis.scoring.weightings import Scores, Weightings, unit_of

BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationScorer:
    """The classes that can be the largest, in every example."""

    table: Table
    """With one place, settled examples held."""

    def __call__(self, weightings: Weightings) -> Scores:
        """Return every row's expected calibration error, as `metrics.calibration_error`."""
        averaging = self.table.averaging
        unit = unit_of(averaging)
        gaps = Gaps.none(weightings.rows)
        tolerance = weightings.tolerance(averaging, unit)
        for part in self.table.parts():
            for rows, sums in part.sums(weightings):
                right, unsure = among_largest(sums, part.offsets, part.truth, 1, tolerance[rows])
                most = np.maximum.reduceat(sums, part.offsets[:-1], axis=1)
                confidence = most / (weightings.totals[rows, None] * unit)
                gaps.add(rows, confidence, right, unsure, exact=tolerance[rows] < 0)
        return gaps.scores(len(self.table.labels))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaps:
    """Right answers minus confidence, summed by bin."""

    gaps: np.ndarray
    """float64 ``[row, bin]``"""
    near_ties: np.ndarray
    """int64 ``[row]``"""

    @staticmethod
    def none(rows: int) -> "Gaps":
        """Return sums over no examples."""
        return Gaps(gaps=np.zeros((rows, BINS)), near_ties=np.zeros(rows, np.int64))

    def add(
        self,
        rows: slice,
        confidence: np.ndarray,
        right: np.ndarray,
        unsure: np.ndarray,
        *,
        exact: np.ndarray,
    ) -> None:
        """Add examples to some rows.

        Args:
            rows: which.
            confidence: float64 ``[row, example]``.
            right: ``[row, example]``.
            unsure: where rounding may have decided ``right``, ``[row, example]``.
            exact: rows whose confidence is correctly rounded; in the others one beside the edge of a bin
                counts as a near-tie too, bool ``[row]``.
        """
        place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        place += np.arange(len(place))[:, None] * BINS
        summed = np.bincount(place.ravel(), (right - confidence).ravel(), minlength=len(place) * BINS)
        self.gaps[rows] += summed.reshape(-1, BINS)
        # the first edge, 0, and the last, 1, part no two bins
        edge = np.clip(np.rint(confidence * BINS), 1, BINS - 1)
        beside = (np.abs(confidence * BINS - edge) < NEAR_TIE * BINS) & ~exact[:, None]
        self.near_ties[rows] += np.count_nonzero(beside | (unsure > 0), axis=1)

    def scores(self, examples: int) -> Scores:
        """Return the errors over all examples."""
        return Scores(values=np.abs(self.gaps).sum(axis=1) / examples, near_ties=self.near_ties)
