"""What every two-stage cascade of a search costs, in one go."""

import numpy as np

from explorer.analysis.search.space import StageSets
from explorer.convention import Composition, CostKind


def affine_costs(
    kind: CostKind, sets: StageSets, gates: np.ndarray, chosen: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Return a two-stage cascade's cost as base + slope x share that stays, each ``[gate, second]``.

    The vectorised twin of `explorer.analysis.costs.mean_cost`; a test holds them together.

    Args:
        kind: how costs compose.
        sets: sets of members.
        gates: the first stages, indices of sets.
        chosen: the second stages.
    """
    wide = chosen.stop - chosen.start
    first = np.repeat(sets.costs[gates, None], wide, axis=1)
    second = np.repeat(sets.costs[None, chosen], len(gates), axis=0)
    if kind.composition is Composition.EXPECTED:
        return first, second
    if kind.composition is Composition.SUM:
        rows = sets.rows[chosen]
        prices = np.where(rows >= 0, sets.member_costs[rows], 0.0)
        # a member of both stages is held once
        again = _among(sets.rows[gates], rows)
        whole = first + np.where(again, 0.0, prices).sum(axis=-1)
    else:
        whole = np.maximum(first, second)
    return whole, np.zeros_like(whole)


def _among(gates: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Say which members of the second stages are in the gates, bool ``[gate, second, slot]``."""
    again = np.zeros((len(gates), *seconds.shape), bool)
    for slot in range(gates.shape[1]):
        again |= (seconds[None] == gates[:, slot, None, None]) & (seconds[None] >= 0)
    return again
