"""What greedy and beam selection make good, how scores are compared, and the tables that score.

Accuracy, log loss and Brier score have tables of their own (`explorer.analysis.search.greedy_tables`), in
which adding a member is one pass over one row. Every other metric goes through
`explorer.analysis.scoring.losses`, which scores whole weightings: right, and slower.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from explorer.analysis.blocks import Members
from explorer.analysis.scoring.combine import FIXED_POINT
from explorer.analysis.scoring.losses import Metric, Prepared, prepare
from explorer.analysis.search.greedy_tables import (
    AccuracyTable,
    BrierTable,
    LogLossTable,
    Tables,
    Wanted,
    read_tables,
)
from explorer.errors import UsageError

ROUNDED_ABOVE = 1e-4
"""A first score at or below this is too small for six decimals: then none is rounded."""
SAME = 1e-12
"""Relative difference below which two scores are a tie."""


class Objective(StrEnum):
    """What the average of the picks is to be good at, on the labels given."""

    ACCURACY = "accuracy"
    """Most right answers; exact, a tie of classes goes to the lowest index."""
    LOG_LOSS = "log-loss"
    """Least mean of -log of the true class's probability, in nats."""
    BRIER = "brier"
    """Least mean squared distance to the one-hot truth, in [0, 2]; averages as they are, not normalised."""
    TOP5 = "top-5"
    """Most examples whose true class is among the five largest."""
    ECE = "ece"
    """Least expected calibration error over 15 bins; says nothing of how often answers are right."""
    WORST_CLASS = "worst-class"
    """Highest accuracy in the class where it is lowest."""

    @property
    def metric(self) -> Metric:
        """Return what it is called in `explorer.analysis.scoring.losses`."""
        return _METRICS[self]

    @property
    def own_table(self) -> bool:
        """Say whether a table of its own makes it fast."""
        return self in (Objective.ACCURACY, Objective.LOG_LOSS, Objective.BRIER)


_METRICS = {
    Objective.ACCURACY: Metric.ACCURACY,
    Objective.LOG_LOSS: Metric.NLL,
    Objective.BRIER: Metric.BRIER,
    Objective.TOP5: Metric.TOP5,
    Objective.ECE: Metric.ECE,
    Objective.WORST_CLASS: Metric.WORST_CLASS_ACCURACY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How scores are compared, and which of equally good members is picked.

    Of equals a member already picked comes first, because it adds no cost. Then, when the objective is a
    share of right answers, the one with the lower log loss: such a share has few distinct values, and a tie
    in it is broken by what shows progress below the decision. What is left goes to the lowest index, so that
    the answer depends on nothing but the input; with a ``seed`` it goes by chance.
    """

    decimals: int | None = 6
    """Errors after the first round are rounded, unless the first one is below 1e-4; None: never."""
    second_metric: bool = True
    """Whether log loss, of averages that are not normalised, decides ties in shares of right answers."""
    seed: int | None = None
    """Draw among the remaining ties with ``numpy.random.RandomState(seed)``; None: lowest index."""
    normalise: bool = True
    """Whether log loss divides the average by its sum over classes, which rounding keeps from being 1."""
    floor: float = 2.0**-52
    """Log loss clips probabilities to ``[floor, 1 - 2^-52]``; `ZERO_PROBABILITY` of
    `explorer.analysis.scoring.combine`, without ``normalise``, is what
    `explorer.analysis.scoring.metrics.negative_log_likelihood` reports."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricTable:
    """Any metric, scored from how often each member was picked."""

    prepared: Prepared

    def start(self) -> np.ndarray:
        """Return how often each member was picked: never, int64 ``[member]``."""
        return np.zeros(self.prepared.members, np.int64)

    def add(self, running: np.ndarray, member: int, times: int = 1) -> None:
        """Add one member."""
        running[member] += times

    def errors(self, running: np.ndarray, picked: int, candidates: np.ndarray) -> np.ndarray:
        """Return the error with each candidate added, float64 ``[candidate]``: 1 minus what is to be high."""
        weights = np.repeat(running[None], len(candidates), axis=0)
        weights[np.arange(len(candidates)), candidates] += 1
        values = self.prepared.score(weights)
        return 1.0 - values if self.prepared.metric.higher_is_better else values


Table = AccuracyTable | LogLossTable | BrierTable | MetricTable


def objective_tables(
    members: Members,
    labels: np.ndarray,
    objective: Objective,
    rule: Rule,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Table, LogLossTable | None] | None:
    """Read every probability, and return the table of the objective and the one that breaks its ties.

    Args:
        members: of one split.
        labels: true classes int ``[example]``.
        objective: what to be good at.
        rule: of comparing and of ties.
        should_stop: asked before every block; a general metric's own table is read without asking.

    Returns:
        the tables, the second None where nothing breaks ties; None when told to stop.

    Raises:
        UsageError: a floor that is no probability.
        InputDataError: members or labels that are not what they should be.
    """
    if not 0 < rule.floor < 0.5:
        raise UsageError(f"floor must be above 0 and below 0.5, got {rule.floor}")
    by_log_loss = objective is Objective.LOG_LOSS
    breaks_ties = objective.metric.higher_is_better and rule.second_metric
    wanted = Wanted(
        accuracy=objective is Objective.ACCURACY,
        true=by_log_loss or breaks_ties,
        totals=by_log_loss and rule.normalise,
        brier=objective is Objective.BRIER,
    )
    tables = read_tables(members, labels, wanted, should_stop)
    if tables is None:
        return None
    second = _log_loss(tables, rule) if breaks_ties else None
    if not objective.own_table:
        return MetricTable(prepared=prepare(members, labels, objective.metric)), second
    return _own_table(tables, objective, rule), second


def least(values: np.ndarray) -> np.ndarray:
    """Return where the least value is, and every one that is as good as equal to it."""
    return np.flatnonzero(np.isclose(values, values.min(), atol=0, rtol=SAME))


def _own_table(tables: Tables, objective: Objective, rule: Rule) -> Table:
    if objective is Objective.ACCURACY:
        assert isinstance(tables.accuracy, AccuracyTable)
        return tables.accuracy
    if objective is Objective.BRIER:
        assert tables.gram is not None
        return BrierTable(gram=tables.gram)
    return _log_loss(tables, rule)


def _log_loss(tables: Tables, rule: Rule) -> LogLossTable:
    """Return the table of log losses; without sums over classes averages are not normalised."""
    true, totals = tables.true, tables.totals
    assert true is not None
    if totals is None:
        totals = np.full(true.shape, float(FIXED_POINT))
    return LogLossTable(true=true, total=totals, floor=rule.floor)
