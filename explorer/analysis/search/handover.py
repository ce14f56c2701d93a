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
    seconds = np.arange(chosen.start, chosen.stop)[None]
    stage, joined = second_stages(sets, gates[:, None], seconds)
    first, second = np.broadcast_to(sets.costs[gates, None], stage.shape), sets.costs[stage]
    if kind.composition is Composition.EXPECTED:
        return Handovers(stage=stage, joined=joined, base=first, slope=second)
    if kind.composition is Composition.SUM:
        rows = sets.rows[chosen]
        again = _among(sets.rows[gates][:, None], rows)
        prices = np.where(rows >= 0, sets.member_costs[rows], 0.0)
        # a member of both stages is held once
        whole = first + np.where(again, 0.0, prices).sum(axis=-1)
    elif kind.composition is Composition.WORST:
        whole = first + second
    else:
        whole = np.maximum(first, second)
    return Handovers(stage=stage, joined=joined, base=whole, slope=np.zeros_like(whole))


def second_stages(sets: StageSets, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the set that runs second, int64, and whether it is joined, bool, both of the two's joint shape.

    Args:
        sets: sets of members.
        first: the first stages, indices of sets, int64 of any shape.
        second: the sets that answer second, int64 of a shape that goes with it.
    """
    again = _among(sets.rows[first], sets.rows[second])
    left = sets.sizes[second] - sets.sizes[first]
    joined = (again.sum(axis=-1) == sets.sizes[first]) & (left > 0)
    if sets.averaging is not Averaging.MEAN:
        # a single member is a mean of one, and joined stages must average alike
        joined &= (sets.sizes[first] > 1) & (left > 1)
    stage = np.array(np.broadcast_to(second, joined.shape))
    where = np.nonzero(joined)
    rows = sets.rows[stage[where]]
    # the members that are left go to the front, in their order
    order = np.argsort(again[where] | (rows < 0), axis=1, kind="stable")
    stage[where] = sets.index_of(np.take_along_axis(rows, order, axis=1), left[where])
    return stage, joined


def _among(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Say which members of the second sets are in the first ones, bool ``[..., slot]``.

    Args:
        first: member indices, padded with -1, int ``[..., slot]``.
        second: likewise, of a shape that goes with it.
    """
    again = np.zeros(np.broadcast_shapes(first.shape, second.shape), bool)
    for slot in range(first.shape[-1]):
        again |= (second == first[..., slot, None]) & (second >= 0)
    return again
