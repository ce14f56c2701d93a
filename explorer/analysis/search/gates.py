"""First stages of cascades, each with the order in which its confidence lets examples leave."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.cascade import Cuts, cuts
from explorer.analysis.scoring.combine import combine
from explorer.analysis.scoring.tables import AnswerTable
from explorer.analysis.search.space import StageSets
from explorer.spec import Averaging


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gates:
    """Every first stage of a search.

    A step is the last of the cuts between two neighbours among the undecided examples: the other cuts
    there give the same answers and let fewer leave.
    """

    sets: np.ndarray
    """Set of members of each gate, int64 ``[gate]``."""
    cuts: tuple[Cuts, ...]
    """On all examples."""
    right: np.ndarray
    """Whether the stage is right, uint8 ``[gate, place]``: undecided examples by falling confidence."""
    order: np.ndarray
    """Which undecided example stands at each place, int32 ``[gate, place]``."""
    undecided_leavers: np.ndarray
    """int32 ``[step]``, the steps of all gates one after the other."""
    leavers: np.ndarray
    """int32 ``[step]``"""
    cut: np.ndarray
    """Which of its gate's cuts a step is, int32 ``[step]``."""
    bounds: np.ndarray
    """Where each gate's steps are, int64 ``[gate + 1]``."""

    @property
    def tables(self) -> tuple:
        """What `scan_kernels.scan_cascades` reads."""
        return (self.right, self.order, self.undecided_leavers, self.leavers, self.bounds, self.sets)

    def cut_of(self, gate: int, step: int) -> int:
        """Return which of the gate's cuts its ``step`` is."""
        return int(self.cut[self.bounds[gate] + step])


def find_gates(pool: Pool, table: AnswerTable, sets: StageSets, chosen: Sequence[int]) -> Gates:
    """Order ``select`` by the confidence of each of the ``chosen`` sets of members."""
    confidence_cuts = tuple(cuts(_confidence(pool, sets, index)) for index in chosen)
    place_of = np.full(table.examples, -1, np.int32)
    place_of[table.undecided] = np.arange(len(table.undecided), dtype=np.int32)
    answered = table.right(sets.rows[list(chosen)])
    right, order, steps = [], [], []
    for cut, row in zip(confidence_cuts, answered, strict=True):
        falling = place_of[cut.order]
        left = np.cumsum(falling >= 0)
        order.append(falling[falling >= 0])
        right.append(row[order[-1]])
        steps.append(_steps(cut, left))
    return Gates(
        sets=np.asarray(chosen, dtype=np.int64),
        cuts=confidence_cuts,
        right=np.stack(right),
        order=np.stack(order),
        undecided_leavers=np.concatenate([step[0] for step in steps]),
        leavers=np.concatenate([step[1] for step in steps]),
        cut=np.concatenate([step[2] for step in steps]),
        bounds=np.cumsum([0, *(len(step[0]) for step in steps)]),
    )


def _confidence(pool: Pool, sets: StageSets, index: int) -> np.ndarray:
    rows = [row for row in sets.rows[index] if row >= 0]
    averaging = Averaging.MEAN if len(rows) == 1 else sets.averaging
    return combine(pool.select[rows], averaging)[1]


def _steps(cut: Cuts, left: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return undecided leavers, leavers and cut of each step, from the undecided among the first n."""
    undecided = left[cut.leavers - 1]
    kept = np.flatnonzero(np.append(undecided[1:] != undecided[:-1], True)[: len(undecided)])
    return undecided[kept].astype(np.int32), cut.leavers[kept], kept.astype(np.int32)
