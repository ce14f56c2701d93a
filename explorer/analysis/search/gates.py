"""First stages of cascades, each with the order in which a signal lets its examples leave."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.cascade import Cuts, cuts
from explorer.analysis.scoring.signals import signal_values
from explorer.analysis.scoring.tables import AnswerTable
from explorer.analysis.search.space import StageSets
from explorer.spec import Averaging, Exit, Signal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gates:
    """Every first stage of a search.

    A step is the last of the cuts between two neighbours among the undecided examples: the other cuts
    there give the same answers and let fewer leave.
    """

    sets: np.ndarray
    """Set of members of each gate, int64 ``[gate]``."""
    signals: tuple[Signal, ...]
    """What each gate's examples leave by."""
    cuts: tuple[Cuts, ...]
    """On all examples, by rising certainty: of an entropy its negative."""
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

    def exit(self, gate: int, step: int) -> Exit:
        """Return the gate's exit at a step."""
        threshold = self.cuts[gate].threshold(self.cut_of(gate, step))
        signal = self.signals[gate]
        return Exit(-threshold if signal is Signal.ENTROPY else threshold, signal)


def find_gates(
    pool: Pool, table: AnswerTable, sets: StageSets, first_size: int, signals: Sequence[Signal]
) -> Gates | None:
    """Order ``select`` by each signal of every set of at most ``first_size`` members.

    None where there is no gate: agreement, alone, needs sets of two members.
    """
    asked = [
        (index, signal)
        for index in range(sets.count_up_to(first_size))
        for signal in signals
        if signal is not Signal.AGREEMENT or sets.sizes[index] > 1
    ]
    if not asked:
        return None
    chosen = [index for index, _ in asked]
    confidence_cuts = tuple(cuts(_certainty(pool, sets, index, signal)) for index, signal in asked)
    place_of = np.full(table.examples, -1, np.int32)
    place_of[table.undecided] = np.arange(len(table.undecided), dtype=np.int32)
    answered = table.right(sets.rows[chosen])
    right, order, steps = [], [], []
    for cut, row in zip(confidence_cuts, answered, strict=True):
        falling = place_of[cut.order]
        left = np.cumsum(falling >= 0)
        order.append(falling[falling >= 0])
        right.append(row[order[-1]])
        steps.append(_steps(cut, left))
    return Gates(
        sets=np.asarray(chosen, dtype=np.int64),
        signals=tuple(signal for _, signal in asked),
        cuts=confidence_cuts,
        right=np.stack(right),
        order=np.stack(order),
        undecided_leavers=np.concatenate([step[0] for step in steps]),
        leavers=np.concatenate([step[1] for step in steps]),
        cut=np.concatenate([step[2] for step in steps]),
        bounds=np.cumsum([0, *(len(step[0]) for step in steps)]),
    )


def _certainty(pool: Pool, sets: StageSets, index: int, signal: Signal) -> np.ndarray:
    rows = sets.rows[index][: sets.sizes[index]].tolist()
    averaging = Averaging.MEAN if len(rows) == 1 else sets.averaging
    values = signal_values(signal, pool.select[rows], averaging)
    return -values if signal is Signal.ENTROPY else values


def _steps(cut: Cuts, left: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return undecided leavers, leavers and cut of each step, from the undecided among the first n."""
    undecided = left[cut.leavers - 1]
    kept = np.flatnonzero(np.append(undecided[1:] != undecided[:-1], True)[: len(undecided)])
    return undecided[kept].astype(np.int32), cut.leavers[kept], kept.astype(np.int32)
