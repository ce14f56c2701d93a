"""Score every design of a search on ``select``: exact counts of right answers, nothing sampled."""

from dataclasses import dataclass
from math import gcd

import numpy as np

from explorer.analysis.scoring.margins import Margins
from explorer.analysis.scoring.tables import AnswerTable
from explorer.analysis.search.gates import Gates
from explorer.analysis.search.handover import Handovers, handovers, second_stages
from explorer.analysis.search.scan_kernels import NO_KEY, scan_cascades
from explorer.analysis.search.space import SIGNALS, StageSets
from explorer.analysis.search.subsets import in_threads, subset_counts
from explorer.convention import CostKind
from explorer.spec import Cascade

_SETS_A_TASK = 256
"""Sets of members scored in one go: their right answers stay in a core's cache."""
_Noted = tuple["BestCascades", np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestCascades:
    """For each number of right answers, the cheapest cascade that has exactly that many."""

    cost: np.ndarray
    """Of all examples together, float64 ``[right]``; infinite where there is none."""
    key: np.ndarray
    """Order among equal costs, int64 ``[right]``."""
    design: np.ndarray
    """(gate, set that answers second, step) int32 ``[right, 3]``"""

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
    gates: Gates | None
    """First stages; None where no cascade was scored."""
    sample: np.ndarray
    """Cascades met on the way, for drawing: (gate, second, step, right) int64 ``[cascade, 4]``."""


def scan(
    table: AnswerTable, sets: StageSets, gates: Gates | None, seconds: int, *, kind: CostKind, sample: int
) -> Scan:
    """Score all ``sets``, and all cascades from each gate to each of the first ``seconds`` sets.

    Args:
        table: the split's answers.
        sets: sets of members, the single ones first and in the order of the members.
        gates: first stages of cascades; None for no cascades.
        seconds: how many of ``sets`` may be a second stage.
        kind: how costs compose.
        sample: about how many cascades to note down for drawing.
    """
    best = BestCascades.empty(table.examples)
    right, found = right_counts(table, sets), [np.empty((0, 4), np.int64)]
    if gates is None or not seconds:
        return Scan(right=right, best=best, gates=None, sample=found[0])
    stride = _stride(len(gates.sets), seconds, sample)
    settled = np.array([len(table.always_right)])

    def work(start: int) -> _Noted:
        chosen = slice(start, min(start + _SETS_A_TASK, seconds))
        mine = BestCascades.empty(table.examples)
        sampled = _steps_to_sample(gates, chosen, stride)
        second = _seconds(table, sets, gates, chosen, kind)
        scan_cascades(gates.tables, second, (mine.cost, mine.key, mine.design, settled), sampled)
        return mine, _noted(sampled, start)

    starts = range(0, seconds, _SETS_A_TASK)
    for start, (mine, noted) in zip(starts, in_threads(work, starts), strict=True):
        best.merge(mine, start)
        found.append(noted)
    return Scan(right=right, best=best, gates=gates, sample=np.concatenate(found))


def right_counts(table: AnswerTable, sets: StageSets) -> np.ndarray:
    """Return the right answers of each set of members, int64 ``[set]``."""
    if isinstance(table, Margins):
        # the sets of a size are all combinations, in order
        sizes = range(1, sets.rows.shape[1] + 1)
        return np.concatenate([subset_counts(table, size) for size in sizes]).astype(np.int64)

    def work(start: int) -> np.ndarray:
        part = table.right(sets.rows[start : start + _SETS_A_TASK])
        return part.sum(axis=1, dtype=np.int64) + len(table.always_right)

    return np.concatenate(list(in_threads(work, range(0, len(sets.rows), _SETS_A_TASK))))


def cascade_of(sets: StageSets, gates: Gates, gate: int, second: int, step: int) -> Cascade:
    """Return the cascade from a gate, left at a step, to the set that answers second."""
    return cascades_of(sets, gates, np.array([[gate, second, step]]))[0]


def cascades_of(sets: StageSets, gates: Gates, found: np.ndarray) -> list[Cascade]:
    """Return the cascades from gates, left at steps, to the sets that answer second.

    Args:
        sets: sets of members.
        gates: first stages.
        found: (gate, second, step) int ``[cascade, 3]``.
    """
    firsts = gates.sets[found[:, 0]]
    stages, joined = second_stages(sets, firsts, found[:, 1].astype(np.int64))
    return [
        Cascade((sets.stage(first), sets.stage(stage)), (gates.exit(gate, step),), (plus,))
        for first, stage, plus, (gate, _, step) in zip(
            firsts.tolist(), stages.tolist(), joined.tolist(), found.tolist(), strict=True
        )
    ]


def order_keys(sets: StageSets, gates: Gates, given: Handovers) -> np.ndarray:
    """Return `space.design_order` but for the thresholds as one integer, int64 ``[gate, second]``."""
    many = len(sets.rows)
    key = sets.sizes[gates.sets, None] + sets.sizes[given.stage]
    key = (key * many + sets.text_rank[gates.sets, None]) * many + sets.text_rank[given.stage]
    signals = np.array([SIGNALS.index(signal) for signal in gates.signals])
    return np.asarray((key * 2 + given.joined) * len(SIGNALS) + signals[:, None])


def _seconds(table: AnswerTable, sets: StageSets, gates: Gates, chosen: slice, kind: CostKind) -> tuple:
    given = handovers(kind, sets, gates.sets, chosen)
    answers = table.right(sets.rows[chosen])
    key = order_keys(sets, gates, given)
    return answers, np.arange(chosen.start, chosen.stop), key, given.base, given.slope


def _stride(gates: int, seconds: int, sample: int) -> int:
    """Return the distance between sampled pairs; without a common factor all first stages get a turn."""
    stride = max(1, -(-gates * seconds // max(1, sample)))
    while gcd(stride, gates) > 1:
        stride += 1
    return stride


def _steps_to_sample(gates: Gates, chosen: slice, stride: int) -> np.ndarray:
    """Choose, for every stride-th pair of stages, one of its steps, spread evenly and without a seed."""
    first = np.arange(len(gates.sets))[:, None]
    second = np.arange(chosen.start, chosen.stop)[None, :]
    pair = second * len(first) + first
    many = np.diff(gates.bounds)[:, None]
    golden = 0.6180339887498949
    step = (np.modf((pair // stride) * golden)[0] * many).astype(np.int64)
    sampled = np.full((*pair.shape, 2), -1, np.int32)
    wanted = (pair % stride == 0) & (many > 0) & (gates.sets[:, None] != second)
    sampled[..., 0] = np.where(wanted, step, -1)
    return sampled


def _noted(sampled: np.ndarray, start: int) -> np.ndarray:
    first, second = np.nonzero(sampled[..., 1] >= 0)
    step, right = sampled[first, second].T
    return np.stack([first, second + start, step, right], axis=1).astype(np.int64)
