"""What a first stage hands over to: which members run second, and what the two together cost.

A cascade is scored by the set of members that answers for those who stay. Where that set holds the first
stage's members already, these have answered: only the rest runs, and the answer is the average of both
(``a -> [p>=0.8] + b``). It is never dearer than to run them again, and decides alike.
"""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.search.space import StageSets
from explorer.convention import Composition, CostKind
from explorer.spec import Averaging


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Handovers:
    """Every pair of a first stage and a set that answers second."""

    stage: np.ndarray
    """The set that runs second, int64 ``[gate, second]``."""
    joined: np.ndarray
    """Whether its answer is averaged with the first stage's, bool ``[gate, second]``."""
    base: np.ndarray
    """float64 ``[gate, second]``; a cascade costs ``base + slope x share that stays``."""
    slope: np.ndarray
    """float64 ``[gate, second]``"""


def handovers(kind: CostKind, sets: StageSets, gates: np.ndarray, chosen: slice) -> Handovers:
    """Work out what runs second and what that costs.

    The vectorised twin of `explorer.analysis.costs.mean_cost`; a test holds them together.

    Args:
        kind: how costs compose.
        sets: sets of members.
        gates: the first stages, indices of sets, int64 ``[gate]``.
        chosen: the sets that answer second.
    """
    stage, joined = second_stages(sets, gates, chosen)
    first, second = np.broadcast_to(sets.costs[gates, None], stage.shape), sets.costs[stage]
    if kind.composition is Composition.EXPECTED:
        return Handovers(stage=stage, joined=joined, base=first, slope=second)
    if kind.composition is Composition.SUM:
        rows = sets.rows[chosen]
        again = _among(sets.rows[gates], rows)
        prices = np.where(rows >= 0, sets.member_costs[rows], 0.0)
        # a member of both stages is held once
        whole = first + np.where(again, 0.0, prices).sum(axis=-1)
    else:
        whole = np.maximum(first, second)
    return Handovers(stage=stage, joined=joined, base=whole, slope=np.zeros_like(whole))


def second_stages(sets: StageSets, gates: np.ndarray, chosen: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the set that runs second, int64, and whether it is joined, bool, both ``[gate, second]``.

    Args:
        sets: sets of members.
        gates: the first stages, indices of sets, int64 ``[gate]``.
        chosen: the sets that answer second.
    """
    again = _among(sets.rows[gates], sets.rows[chosen])
    sizes, gate_sizes = sets.sizes[chosen], sets.sizes[gates, None]
    left = sizes - gate_sizes
    joined = (again.sum(axis=-1) == gate_sizes) & (left > 0)
    if sets.averaging is not Averaging.MEAN:
        # a single member is a mean of one, and joined stages must average alike
        joined &= (gate_sizes > 1) & (left > 1)
    stage = np.repeat(np.arange(chosen.start, chosen.stop)[None], len(gates), axis=0)
    gate, second = np.nonzero(joined)
    rows = sets.rows[chosen][second]
    # the members that are left go to the front, in their order
    order = np.argsort(again[gate, second] | (rows < 0), axis=1, kind="stable")
    rest = np.take_along_axis(rows, order, axis=1)
    stage[gate, second] = sets.index_of(rest, left[gate, second])
    return stage, joined


def _among(gates: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Say which members of the second sets are in the gates, bool ``[gate, second, slot]``."""
    again = np.zeros((len(gates), *seconds.shape), bool)
    for slot in range(gates.shape[1]):
        again |= (seconds[None] == gates[:, slot, None, None]) & (seconds[None] >= 0)
    return again
