"""One metric of many averages of the same members, from what is worked out once.

`prepare` reads the members once, a few examples at a time (`explorer.analysis.blocks`), and keeps
the least that settles the metric for every non-negative weighting:

======================== =========================================== ============================
metric                   ``mean``, ``vote``                          ``geometric``, ``logit``
======================== =========================================== ============================
accuracy, top5,          classes not beaten in every member by as    the same
worst_class_accuracy     many others as an answer may name
nll                      probability of the true class               members read at each scoring
brier                    one matrix ``[member, member]``             members read at each scoring
ece                      classes no other beats in every member      members read at each scoring
======================== =========================================== ============================

The values are those of `explorer.analysis.scoring.metrics` on the average of
`explorer.analysis.scoring.combine`: for sets under ``mean`` and ``vote`` every answer and every bin is
decided exactly, and so it is for weights that are whole or all equal. Otherwise sums are float64, and
examples that rounding may have decided are counted. Such near-ties are of the true class with the one it
has to beat: a tie of two wrong classes decides no metric.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from explorer.analysis.blocks import Members, check_members
from explorer.analysis.scoring.calibration import CalibrationScorer
from explorer.analysis.scoring.combine import EXACT
from explorer.analysis.scoring.gram import build_gram
from explorer.analysis.scoring.log_averages import LogAverageScorer, LogLoss
from explorer.analysis.scoring.ranks import RankScorer, build_table
from explorer.analysis.scoring.true_class import build_true_class
from explorer.analysis.scoring.weightings import (
    Scores,
    Weightings,
    check_labels,
    weightings_of_sets,
    weightings_of_weights,
)
from explorer.errors import UsageError
from explorer.spec import Averaging

TABLE_BYTES = 2 * 2**30
"""Most memory a table of classes may take, unless asked otherwise."""


class Metric(StrEnum):
    """How good probabilities are."""

    ACCURACY = "accuracy"
    """Share of examples answered right."""
    NLL = "nll"
    """Mean negative log-likelihood in nats; a probability of zero counts as 2^-25."""
    BRIER = "brier"
    """Mean squared distance to the one-hot truth, in [0, 2]."""
    TOP5 = "top5"
    """Share of examples whose true class is among the k largest, 5 unless asked otherwise."""
    ECE = "ece"
    """Expected calibration error over 15 bins of equal width."""
    WORST_CLASS_ACCURACY = "worst_class_accuracy"
    """Lowest accuracy over the classes that occur."""

    @property
    def higher_is_better(self) -> bool:
        """Say which way is good."""
        return self in (Metric.ACCURACY, Metric.TOP5, Metric.WORST_CLASS_ACCURACY)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One metric of one split under one averaging rule, ready for any number of weightings."""

    metric: Metric
    averaging: Averaging
    members: int
    examples: int
    scorer: Callable[[Weightings], Scores]
    in_memory: bool
    """False where each call reads the members again: score many rows in one call."""

    def score(self, weights: np.ndarray) -> np.ndarray:
        """Return the metric of each weighting, float64 ``[row]``.

        Args:
            weights: non-negative ``[row, member]``; normalised inside.

        Raises:
            InputDataError: another shape, a negative or infinite weight, a row of zeros.
        """
        return self.of_weights(weights).values

    def score_sets(self, sets: np.ndarray) -> np.ndarray:
        """Return the metric of each set of members, float64 ``[set]``.

        Args:
            sets: member indices ``[set, slot]``, padded with -1 at the end; a repeat counts again.

        Raises:
            InputDataError: another shape, an empty set, a member that does not exist.
        """
        return self.of_sets(sets).values

    def of_weights(self, weights: np.ndarray) -> Scores:
        """Return the metric of each weighting with its near-ties; see `score`."""
        return self.scorer(weightings_of_weights(weights, self.members))

    def of_sets(self, sets: np.ndarray) -> Scores:
        """Return the metric of each set with its near-ties; see `score_sets`."""
        return self.scorer(weightings_of_sets(sets, self.members))


def prepare(
    members: Members,
    labels: np.ndarray,
    metric: Metric,
    averaging: Averaging = Averaging.MEAN,
    *,
    k: int = 5,
    table_bytes: int = TABLE_BYTES,
) -> Prepared:
    """Read the members once for scoring many of their averages.

    Where a table of classes would take more than ``table_bytes`` it is not kept but worked out again at each
    call, with the same result (`Prepared.in_memory`).

    Args:
        members: float16 ``[example, class]`` each; memory maps are read block by block.
        labels: true classes ``[example]``.
        metric: what to work out.
        averaging: the rule.
        k: how many classes an answer of ``top5`` names.
        table_bytes: most memory of a table of classes.

    Raises:
        InputDataError: members or labels that do not fit together, or impossible probabilities.
        UsageError: ``k`` is not positive.
    """
    if k < 1:
        raise UsageError(f"an answer must name at least one class, got k = {k}")
    examples, classes = check_members(members)
    truth = check_labels(np.asarray(labels), examples, classes)
    scorer, in_memory = _scorer(members, truth, metric, averaging, (k, table_bytes))
    return Prepared(
        metric=metric,
        averaging=averaging,
        members=len(members),
        examples=examples,
        scorer=scorer,
        in_memory=in_memory,
    )


def _scorer(
    members: Members, labels: np.ndarray, metric: Metric, averaging: Averaging, limits: tuple[int, int]
) -> tuple[Callable[[Weightings], Scores], bool]:
    k, table_bytes = limits
    if metric in (Metric.NLL, Metric.BRIER, Metric.ECE) and averaging not in EXACT:
        plain = LogAverageScorer(
            members=members, labels=labels, averaging=averaging, loss=LogLoss(metric.value)
        )
        return plain, False
    if metric is Metric.NLL:
        return build_true_class(members, labels, averaging), True
    if metric is Metric.BRIER:
        return build_gram(members, labels, averaging), True
    calibration = metric is Metric.ECE
    table = build_table(
        members,
        labels,
        averaging,
        places=k if metric is Metric.TOP5 else 1,
        table_bytes=table_bytes,
        hold_settled=calibration,
    )
    in_memory = table.held is not None
    if calibration:
        return CalibrationScorer(table=table), in_memory
    return RankScorer(table=table, worst_class=metric is Metric.WORST_CLASS_ACCURACY), in_memory
