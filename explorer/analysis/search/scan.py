"""Score every design of a search on ``select``: exact counts of right answers, nothing sampled."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import gcd

import numpy as np

from explorer.analysis.scoring.cascade import Cuts, cuts
from explorer.analysis.scoring.combine import member_values
from explorer.analysis.scoring.kernels import NO_KEY, right_answers, scan_cascades, undominated
from explorer.analysis.search.space import StageSets
from explorer.convention import Composition, CostKind
from explorer.spec import Averaging

_SETS_A_TASK = 256
"""Sets of members scored in one go: their right answers stay in a core's cache."""
_Found = tuple[int, np.ndarray, "BestCascades", np.ndarray]
_VALUES_A_BLOCK = 4_000_000
"""Per-member values worked out at once, to keep 1,000 classes from filling the memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entries:
    """The classes that can still win, example by example; see `kernels.undominated`."""

    offsets: np.ndarray
    hits: np.ndarray
    table: np.ndarray

    def right(self, sets: np.ndarray) -> np.ndarray:
        """Return which examples each set of members answers right, uint8 ``[set, example]``."""
        return right_answers(sets, self.offsets, self.hits, self.table)


def entries(probabilities: np.ndarray, labels: np.ndarray, averaging: Averaging) -> Entries:
    """Prepare float16 ``[member, example, class]`` for scoring many sets of members."""
    members, examples, classes = probabilities.shape
    block = max(1, _VALUES_A_BLOCK // (members * classes))
    offsets, hits, tables = [np.zeros(1, np.int64)], [], []
    for start in range(0, examples, block):
        part = slice(start, start + block)
        ends, kept, table = undominated(member_values(probabilities[:, part], averaging))
        truth = np.repeat(labels[part], np.diff(ends))
        offsets.append(ends[1:] + offsets[-1][-1])
        hits.append(kept == truth)
        tables.append(table)
    return Entries(
        offsets=np.concatenate(offsets),
        hits=np.concatenate(hits),
        table=np.ascontiguousarray(np.concatenate(tables, axis=1)),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestCascades:
    """For each number of right answers, the cheapest cascade that has exactly that many."""

    cost: np.ndarray
    """Of all examples together, float64 ``[right]``; infinite where there is none."""
    key: np.ndarray
    """Order among equal costs, int64 ``[right]``."""
    design: np.ndarray
    """(first stage, second stage, cut) int32 ``[right, 3]``"""

    @staticmethod
    def empty(examples: int) -> "BestCascades":
        """Return the best of no cascades at all."""
        return BestCascades(
            cost=np.full(examples + 1, np.inf),
            key=np.full(examples + 1, NO_KEY),
            design=np.full((examples + 1, 3), -1, np.int32),
        )

    def merge(self, other: "BestCascades", offset: int) -> None:
        """Take over what is better in ``other``, whose second stages start at ``offset``."""
        better = (other.cost < self.cost) | ((other.cost == self.cost) & (other.key < self.key))
        self.cost[better], self.key[better] = other.cost[better], other.key[better]
        self.design[better] = other.design[better] + np.array([0, offset, 0], np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scan:
    """What scoring everything found."""

    right: np.ndarray
    """Right answers of each set of members, int64 ``[set]``."""
    best: BestCascades
    cuts: tuple[Cuts, ...]
    """Of each member as a first stage."""
    sample: np.ndarray
    """Cascades met on the way, for drawing: (first, second, cut, right) int64 ``[cascade, 4]``."""


def scan(
    prepared: Entries,
    sets: StageSets,
    first_cuts: tuple[Cuts, ...],
    seconds: int,
    *,
    kind: CostKind,
    sample: int,
) -> Scan:
    """Score all ``sets``, and all cascades from one member to one of the first ``seconds`` sets.

    Args:
        prepared: the split's entries.
        sets: sets of members, the single ones first and in the order of the members.
        first_cuts: the cuts of each member.
        seconds: how many of ``sets`` may be a second stage; 0 for no cascades.
        kind: how costs compose.
        sample: about how many cascades to note down for drawing.
    """
    examples, members = len(prepared.offsets) - 1, len(first_cuts)
    first_right = prepared.right(sets.rows[:members])
    firsts = (
        first_right,
        np.stack([cut.order for cut in first_cuts]),
        np.concatenate([cut.leavers for cut in first_cuts]),
        np.cumsum([0, *(len(cut.leavers) for cut in first_cuts)]),
    )
    stride = _stride(members, seconds, sample)
    best = BestCascades.empty(examples)
    right, found = np.empty(len(sets.rows), np.int64), []

    def work(start: int) -> _Found:
        part = slice(start, min(start + _SETS_A_TASK, len(sets.rows)))
        correct = prepared.right(sets.rows[part])
        mine, noted = BestCascades.empty(examples), np.empty((0, 4), np.int64)
        chosen = slice(start, min(part.stop, seconds))
        if chosen.stop > start:
            second = _seconds(sets, correct[: chosen.stop - start], chosen, kind)
            sampled = _cuts_to_sample(firsts[3], chosen, stride)
            scan_cascades(firsts, second, (mine.cost, mine.key, mine.design), sampled)
            noted = _noted(sampled, start)
        return start, correct.sum(axis=1, dtype=np.int64), mine, noted

    for start, counts, mine, noted in _in_threads(work, range(0, len(sets.rows), _SETS_A_TASK)):
        right[start : start + len(counts)] = counts
        best.merge(mine, start)
        found.append(noted)
    return Scan(right=right, best=best, cuts=first_cuts, sample=np.concatenate(found))


def member_cuts(probabilities: np.ndarray) -> tuple[Cuts, ...]:
    """Return the cuts of each member's confidence, from float16 ``[member, example, class]``."""
    return tuple(cuts(row.max(axis=1).astype(np.float64)) for row in probabilities)


def affine_costs(kind: CostKind, sets: StageSets, chosen: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return a two-stage cascade's cost as base + slope x share that stays, each ``[first, second]``.

    The vectorised twin of `explorer.analysis.costs.mean_cost`; a test holds them together.

    Args:
        kind: how costs compose.
        sets: sets of members, the single ones first.
        chosen: the second stages.
    """
    members = len(sets.members)
    first = np.repeat(sets.costs[:members, None], chosen.stop - chosen.start, axis=1)
    second = np.repeat(sets.costs[None, chosen], members, axis=0)
    if kind.composition is Composition.EXPECTED:
        return first, second
    if kind.composition is Composition.SUM:
        rows = sets.rows[chosen]
        prices = np.where(rows >= 0, sets.costs[rows], 0.0)
        # a member of both stages is held once
        again = rows[None, :, :] == np.arange(members)[:, None, None]
        whole = first + np.where(again, 0.0, prices).sum(axis=-1)
    else:
        whole = np.maximum(first, second)
    return whole, np.zeros_like(whole)


def _seconds(sets: StageSets, correct: np.ndarray, chosen: slice, kind: CostKind) -> tuple:
    members = len(sets.members)
    index = np.arange(chosen.start, chosen.stop)
    base, slope = affine_costs(kind, sets, chosen)
    # fewer members first, then the first stage's text, then the second's: one integer
    first_rank = sets.text_rank[:members, None]
    key = (sets.sizes[chosen] * members + first_rank) * len(sets.rows) + sets.text_rank[chosen]
    return correct, np.where(index < members, index, -1), key, base, slope


def _stride(members: int, seconds: int, sample: int) -> int:
    """Return the distance between sampled pairs; without a common factor all first stages get a turn."""
    stride = max(1, -(-members * seconds // max(1, sample)))
    while gcd(stride, members) > 1:
        stride += 1
    return stride


def _cuts_to_sample(bounds: np.ndarray, chosen: slice, stride: int) -> np.ndarray:
    """Choose, for every stride-th pair of stages, one of its cuts, spread evenly and without a seed."""
    first = np.arange(len(bounds) - 1)[:, None]
    second = np.arange(chosen.start, chosen.stop)[None, :]
    pair = second * len(first) + first
    many = np.diff(bounds)[:, None]
    golden = 0.6180339887498949
    cut = (np.modf((pair // stride) * golden)[0] * many).astype(np.int64)
    sampled = np.full((*pair.shape, 2), -1, np.int32)
    sampled[..., 0] = np.where((pair % stride == 0) & (many > 0) & (first != second), cut, -1)
    return sampled


def _noted(sampled: np.ndarray, start: int) -> np.ndarray:
    first, second = np.nonzero(sampled[..., 1] >= 0)
    cut, right = sampled[first, second].T
    return np.stack([first, second + start, cut, right], axis=1).astype(np.int64)


def _in_threads(work: Callable[[int], _Found], starts: range) -> Iterator[_Found]:
    """Yield ``work(start)`` in order; the kernels release the interpreter lock."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads == 1 or len(starts) == 1:
        yield from map(work, starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, starts)
