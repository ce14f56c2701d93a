"""Which designs a search looks at: sets of members, and how far a limit lets it go."""

from dataclasses import dataclass
from itertools import chain, combinations
from math import comb

import numpy as np

from explorer.accounting.compose import ensemble_costs
from explorer.analysis.costs import stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.combine import MOST_MEMBERS
from explorer.errors import UsageError
from explorer.spec import Averaging, Candidate, Cascade, Member, Stage, ensemble


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


def design_order(design: Candidate) -> tuple[int, tuple[str, ...], tuple[float, ...]]:
    """Return the key that decides between designs of equal accuracy and cost.

    Fewer members first (one that runs twice counts twice), then the stages' text, then lower thresholds.
    """
    texts = tuple(str(stage) for stage in stages_of(design))
    exits = design.exits if isinstance(design, Cascade) else ()
    return len(design.members), texts, tuple(leave.threshold for leave in exits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large the sets of members may be."""

    ensemble_size: int
    second_size: int
    """Of a cascade's second stage; 0 means that no cascade is searched."""
    notes: tuple[str, ...]


def plan_search(members: int, examples: int, *, max_members: int, cascades: bool, max_designs: int) -> Plan:
    """Choose set sizes so that the search stays within a limit, and say what that leaves out.

    Args:
        members: members of the pool.
        examples: examples on ``select``.
        max_members: largest ensemble asked for.
        cascades: whether cascades are asked for.
        max_designs: most designs to score; a pair of stages counts as one cascade an example, and an
            ensemble, which cannot share the work, as much.

    Raises:
        UsageError: ``max_members`` or ``max_designs`` is below 1, or ``max_members`` above 127.
    """
    if not 1 <= max_members <= MOST_MEMBERS:
        raise UsageError(f"max_members must be 1 to {MOST_MEMBERS}, got {max_members}")
    if max_designs < 1:
        raise UsageError(f"max_designs must be at least 1, got {max_designs}")
    wanted = min(max_members, members)

    def largest(weight: int, limit: int) -> int:
        fits = 0
        while (
            fits < limit and sum(comb(members, size) for size in range(1, fits + 2)) * weight <= max_designs
        ):
            fits += 1
        return fits

    notes = []
    ensemble_size = max(1, largest(examples, wanted))
    if ensemble_size < wanted:
        notes.append(
            f"ensembles of at most {ensemble_size} members were searched, not {wanted}: "
            f"with {members} members more would pass the limit of {max_designs:,} designs"
        )
    second_size = largest(members * examples, ensemble_size) if cascades else 0
    if cascades and second_size == 0:
        notes.append(f"no cascades were searched: they would pass the limit of {max_designs:,} designs")
    elif cascades and second_size < ensemble_size:
        notes.append(
            f"second stages of cascades of at most {second_size} members were searched, not "
            f"{ensemble_size}: more would pass the limit of {max_designs:,} designs"
        )
    return Plan(ensemble_size=ensemble_size, second_size=second_size, notes=tuple(notes))
