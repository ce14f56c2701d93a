"""Sets of members, and the order between designs that are equally good."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from math import comb

import numpy as np

from explorer.accounting.compose import ensemble_costs
from explorer.analysis.costs import stages_of
from explorer.analysis.pool import Pool
from explorer.spec import Averaging, Candidate, Cascade, Member, Signal, Stage, ensemble

SIGNALS = tuple(Signal)
_LARGEST_KEY = int(np.iinfo(np.int64).max)


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
    """Place of the set's text among the texts of all sets, int64 ``[set]``."""

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
    blocks, sizes, prices = [], [], []
    for size in range(1, largest + 1):
        flat = chain.from_iterable(combinations(range(count), size))
        block = np.fromiter(flat, dtype=np.int32).reshape(-1, size)
        padding = np.full((len(block), largest - size), -1, dtype=np.int32)
        blocks.append(np.concatenate([block, padding], axis=1))
        sizes.append(np.full(len(block), size))
        prices.append(ensemble_costs(pool.axis.kind, pool.costs[block]))
    rows = np.concatenate(blocks)
    return StageSets(
        members=pool.members,
        averaging=averaging,
        rows=rows,
        sizes=np.concatenate(sizes),
        member_costs=pool.costs,
        costs=np.concatenate(prices),
        text_rank=_text_ranks(pool.members, rows, averaging),
    )


def _text_ranks(members: Sequence[Member], rows: np.ndarray, averaging: Averaging) -> np.ndarray:
    """Return each set's place among the texts of all, without writing them: int64 ``[set]``.

    A member alone is written bare, several as ``mean(a, b)``: all of the latter stand together between the
    former. Among themselves they compare as their members do, in the order written, and what is a
    beginning of another comes first, since the bracket that closes sorts before the comma.
    """
    texts = np.array([str(member) for member in members])
    rank_of = np.empty(len(members) + 1, dtype=np.int64)
    rank_of[np.argsort(texts)] = np.arange(1, len(members) + 1)
    rank_of[-1] = 0  # padding
    alone = rows[:, 1] < 0 if rows.shape[1] > 1 else np.ones(len(rows), bool)
    after = texts[rows[:, 0]] > f"{averaging}("
    key = np.where(alone, np.where(after, 2, 0), 1)
    for slot in rows.T:
        if key.max(initial=0) > _LARGEST_KEY // (2 * len(rank_of)):
            key = np.unique(key, return_inverse=True)[1]
        key = key * len(rank_of) + rank_of[slot]
    rank = np.empty(len(rows), dtype=np.int64)
    rank[np.argsort(key, kind="stable")] = np.arange(len(rows))
    return rank


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
