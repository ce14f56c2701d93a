"""Sets of members, and the order between designs that are equally good."""

from dataclasses import dataclass
from itertools import chain, combinations
from math import comb

import numpy as np

from explorer.accounting.compose import ensemble_costs
from explorer.analysis.costs import stages_of
from explorer.analysis.pool import Pool
from explorer.spec import Averaging, Candidate, Cascade, Member, Signal, Stage, ensemble

SIGNALS = tuple(Signal)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageSets:
    """Every set of 1 to ``largest`` distinct members, small sets first."""

    members: tuple[Member, ...]
    averaging: Averaging
    rows: np.ndarray
    """Member indices, ascending, padded with -1: int32 ``[set, slot]``."""
    sizes: np.ndarray
    """int64 ``[set]``"""
    member_costs: np.ndarray
    """float64 ``[member]``"""
    costs: np.ndarray
    """float64 ``[set]``, in the unit of the pool's axis."""
    text_rank: np.ndarray
    """Place of the set's text among the texts of its size, int64 ``[set]``."""

    def stage(self, index: int) -> Stage:
        """Return set ``index`` as a stage of a design."""
        return ensemble([self.members[row] for row in self.rows[index] if row >= 0], self.averaging)

    def index_of(self, rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return where sets stand here, int64 ``[set]``.

        Args:
            rows: member indices, ascending, int ``[set, slot]``; only the first slots of each count.
            sizes: how many of them, int ``[set]``.
        """
        many, slots = len(self.members), self.rows.shape[1]
        # passed[r, c]: sets of r members after one of those before c (the combinatorial number system)
        passed = np.zeros((slots, many + 1), np.int64)
        for size in range(slots):
            passed[size, 1:] = np.cumsum([comb(many - 1 - first, size) for first in range(many)])
        index = np.searchsorted(self.sizes, sizes, side="left").astype(np.int64)
        before = np.full(len(rows), -1)
        for slot in range(slots):
            counts = slot < sizes
            after = np.where(counts, sizes - 1 - slot, 0)
            here = np.where(counts, rows[:, slot], 0)
            index += np.where(counts, passed[after, here] - passed[after, before + 1], 0)
            before = np.where(counts, here, before)
        return index

    def count_up_to(self, size: int) -> int:
        """Return how many sets have at most ``size`` members; they are the first ones."""
        return int(np.searchsorted(self.sizes, size, side="right"))


def stage_sets(pool: Pool, largest: int, averaging: Averaging) -> StageSets:
    """Enumerate all sets of 1 to ``largest`` members of the pool with their costs."""
    count = len(pool.members)
    texts = np.array([str(member) for member in pool.members])
    rank_of = np.empty(count, dtype=np.int64)
    rank_of[np.argsort(texts)] = np.arange(count)
    rows, sizes, ranks, prices = [], [], [], []
    for size in range(1, largest + 1):
        flat = chain.from_iterable(combinations(range(count), size))
        block = np.fromiter(flat, dtype=np.int32).reshape(-1, size)
        # texts of one size compare as the texts of their members, in the order written
        order = np.lexsort(rank_of[block].T[::-1])
        rank = np.empty(len(block), dtype=np.int64)
        rank[order] = np.arange(len(block))
        padding = np.full((len(block), largest - size), -1, dtype=np.int32)
        rows.append(np.concatenate([block, padding], axis=1))
        sizes.append(np.full(len(block), size))
        ranks.append(rank)
        prices.append(ensemble_costs(pool.axis.kind, pool.costs[block]))
    return StageSets(
        members=pool.members,
        averaging=averaging,
        rows=np.concatenate(rows),
        sizes=np.concatenate(sizes),
        member_costs=pool.costs,
        costs=np.concatenate(prices),
        text_rank=np.concatenate(ranks),
    )


def design_order(design: Candidate) -> tuple:
    """Return the key that decides between designs of equal accuracy and cost.

    Fewer members first (one that runs twice counts twice), then the stages' text, then a last stage that
    answers alone before an average, then signals in the order of `explorer.spec.Signal`, then thresholds
    that let more leave.
    """
    texts = tuple(str(stage) for stage in stages_of(design))
    if not isinstance(design, Cascade):
        return len(design.members), texts, (), (), ()
    signals = tuple(SIGNALS.index(leave.signal) for leave in design.exits)
    lowest = tuple(
        -leave.threshold if leave.signal is Signal.ENTROPY else leave.threshold for leave in design.exits
    )
    return len(design.members), texts, design.joined, signals, lowest
