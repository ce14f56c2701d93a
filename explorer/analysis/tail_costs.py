"""The cost of a cascade is a distribution: its mean, a quantile over examples, and the worst case.

An example that leaves at stage k has paid stages 1 to k. A quantile q is the cost of the example in place
``ceil(q x n)`` of n by rising cost: at least q of the examples cost no more. Its interval is that of an
order statistic, which assumes nothing of the distribution (Hahn and Meeker 1991, Statistical Intervals,
5.2). Kinds of cost that are paid whole, whoever leaves (parameters, a memory peak), have one cost for all.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import stats

from explorer.analysis.bootstrap import LEVEL
from explorer.analysis.costs import mean_cost, most_cost, stage_costs, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import Memo, candidate_decisions, reached_counts
from explorer.convention import Composition
from explorer.errors import UsageError
from explorer.spec import Candidate

TAIL = 0.99
_ROUNDING = 1e-9
"""Examples: a product such as 0.99 x 100 must not pass a whole number by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailCosts:
    """What one example costs, over the examples of a split; in the unit of the pool's axis."""

    mean: float
    quantile: float
    """The quantile `q`."""
    quantile_low: float
    quantile_high: float
    """Its 95 % interval: over draws of the examples."""
    q: float
    worst: float
    """Of an example that runs every stage."""
    left: tuple[float, ...]
    """Share of the examples that leaves at each stage; they sum to 1."""


def tail_costs(
    pool: Pool, design: Candidate, *, q: float = TAIL, split: str = "report", memo: Memo | None = None
) -> TailCosts:
    """Return mean, quantile and worst cost of an example.

    Args:
        pool: members, their costs and probabilities.
        design: any candidate of the pool's members, with any number of stages.
        q: the quantile, above 0 and at most 1.
        split: whose examples.
        memo: remembered answers of stages, see `explorer.analysis.scoring.score.candidate_decisions`.

    Raises:
        UsageError: a member is not in the pool, no such split, or ``q`` is out of range.
    """
    if not 0 < q <= 1:
        raise UsageError(f"a quantile must be above 0 and at most 1, got {q!r}")
    counts, paid = _distribution(pool, design, split, memo)
    n = int(counts.sum())
    place = _place(q, n)
    # The count of examples at or below the true quantile is binomial: ranks between its ends hold it.
    ranks = stats.binom.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], n, q)
    low, high = max(1, int(ranks[0])), min(n, int(ranks[1]) + 1)
    reached = tuple(counts[::-1].cumsum()[::-1].tolist())
    return TailCosts(
        mean=mean_cost(pool, design, reached),
        quantile=_at(counts, paid, place),
        quantile_low=_at(counts, paid, min(low, place)),
        quantile_high=_at(counts, paid, max(high, place)),
        q=q,
        worst=worst_cost(pool, design),
        left=tuple(count / n for count in counts.tolist()),
    )


def cost_quantile(
    pool: Pool, design: Candidate, q: float, *, split: str = "report", memo: Memo | None = None
) -> float:
    """Return the cost that at least ``q`` of the examples do not exceed, in the unit of the pool's axis.

    Raises:
        UsageError: as `tail_costs`.
    """
    return tail_costs(pool, design, q=q, split=split, memo=memo).quantile


def worst_cost(pool: Pool, design: Candidate) -> float:
    """Return the cost of an example that runs every stage, in the unit of the pool's axis.

    Raises:
        UsageError: a member is not in the pool.
    """
    return most_cost(pool, design)


def _distribution(
    pool: Pool, design: Candidate, split: str, memo: Memo | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many examples leave at each stage, and what each has paid by then: both ``[stage]``."""
    stages = len(stages_of(design))
    _, left_at = candidate_decisions(pool, design, split, memo=memo)
    reached = np.array(reached_counts(left_at, stages))
    counts = reached - np.append(reached[1:], 0)
    if pool.axis.kind.composition is not Composition.EXPECTED:
        return counts, np.full(stages, most_cost(pool, design))
    return counts, np.cumsum(stage_costs(pool, design))


def _place(q: float, n: int) -> int:
    """Return which example by rising cost the quantile is, from 1."""
    return min(n, max(1, ceil(q * n - _ROUNDING)))


def _at(counts: np.ndarray, paid: np.ndarray, place: int) -> float:
    # an example that paid more stages never paid less: costs are 0 or more
    return float(paid[int(np.searchsorted(np.cumsum(counts), place))])
