"""Fronts: which points no other one beats, what they cover, and how they grow as points arrive.

One point beats another when it is no worse in every objective and better in at least one. Of equal points
the first stays: everywhere here, so that a front has no doubles and does not depend on how it was cut into
chunks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from explorer.analysis.search.pareto_kernels import cull, survivors, sweep_three, sweep_two, volume_three
from explorer.errors import InputDataError, UsageError

_GRID_FROM = 1_000
"""Points from which a pass over a grid pays."""
_CELLS = {2: 4_096, 3: 512}


def nondominated(points: ArrayLike, *, maximise: bool | Sequence[bool] = False) -> np.ndarray:
    """Say which points no other point beats, bool ``[point]``; of equal points the first.

    Exact: numbers are only compared. n log n for two objectives (sort and sweep) and three (sweep over a
    tree of prefix minima; Kung, Luccio and Preparata 1975, JACM 22:469); for more each point is compared
    with the front so far, so that a large front of many objectives takes points x front.

    >>> nondominated([[1, 1], [0, 1], [1, 0], [1, 0]])
    array([False,  True,  True, False])

    Args:
        points: ``[point, objective]``; infinite numbers are as good as any.
        maximise: whether more is better, for all objectives or for each.

    Raises:
        InputDataError: not a table of numbers, or one of them is not a number.
        UsageError: ``maximise`` is not one for each objective.
    """
    return _kept(_minimised(points, maximise))


def pareto_front(costs: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the indices of the points no other point beats, cheapest first, int64 ``[front]``.

    A point is beaten by one that is no dearer and no worse and differs in at least one of the two. Of
    equal points the first one stays.

    Raises:
        InputDataError: a cost or a value is not a number.
    """
    cost, value = np.asarray(costs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    front = np.flatnonzero(nondominated(np.stack([cost, value], axis=1), maximise=(False, True)))
    return front[np.argsort(cost[front])]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrontSoFar:
    """The front of all points seen, and which of them its points are."""

    points: np.ndarray
    """float64 ``[point, objective]``, in the order of arrival"""
    ids: np.ndarray
    """int64 ``[point]``"""
    maximise: tuple[bool, ...]
    """Of each objective."""

    @staticmethod
    def empty(maximise: Sequence[bool]) -> "FrontSoFar":
        """Return the front of no points, of as many objectives as ``maximise`` has entries."""
        of = tuple(map(bool, maximise))
        return FrontSoFar(points=np.empty((0, len(of))), ids=np.empty(0, np.int64), maximise=of)

    def with_points(self, points: ArrayLike, ids: ArrayLike) -> "FrontSoFar":
        """Return the front of what was seen before and ``points`` ``[point, objective]``.

        The chunks may be cut anywhere: the front, its ids and its order are those of all points at once.

        Args:
            points: what arrives.
            ids: the caller's name of each point, int64 ``[point]``.

        Raises:
            InputDataError: not a table of numbers, or not one id for each point.
            UsageError: another number of objectives than before.
        """
        new, names = np.asarray(points, dtype=np.float64), np.asarray(ids, dtype=np.int64)
        if names.shape != new.shape[:1]:
            raise InputDataError(f"a front needs one id for each point, got {names.shape} for {new.shape}")
        fresh = _minimised(new, self.maximise)
        # first among themselves: the chunk is long and the front short
        ours = np.flatnonzero(_kept(fresh))
        both = np.concatenate([self.points, new[ours]])
        keep = _kept(_minimised(both, self.maximise))
        return FrontSoFar(
            points=both[keep],
            ids=np.concatenate([self.ids, names[ours]])[keep],
            maximise=self.maximise,
        )


def merge(first: FrontSoFar, second: FrontSoFar) -> FrontSoFar:
    """Return the front of the points of two fronts; of equal points that of ``first`` stays.

    Raises:
        UsageError: they do not have the same objectives.
    """
    if first.maximise != second.maximise:
        raise UsageError(f"fronts of {first.maximise} and {second.maximise} (maximise) do not merge")
    return first.with_points(second.points, second.ids)


def hypervolume(
    costs: Sequence[float] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    *,
    reference_cost: float,
    reference_value: float,
) -> float:
    """Return the area between the front and a reference point, in cost unit x value unit.

    Points at or beyond the reference add nothing.
    """
    cost, value = np.asarray(costs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    points, reference = np.stack([cost, value], axis=1), (reference_cost, reference_value)
    return dominated_volume(points, reference=reference, maximise=(False, True))


def dominated_volume(
    points: ArrayLike, *, reference: Sequence[float], maximise: bool | Sequence[bool] = False
) -> float:
    """Return the hypervolume: what is beaten by a point and beats the reference, in the product of the units.

    Points at or beyond the reference in any objective add nothing. Two and three objectives take n log n;
    each one more takes as many volumes of one fewer as there are points on the front, which is for hundreds
    of points, not for thousands.

    >>> dominated_volume([[5, 5], [4, 6], [2, 7], [7, 4]], reference=[10, 10])
    38.0

    Args:
        points: ``[point, objective]``, finite where they count.
        reference: one number for each objective.
        maximise: whether more is better, for all objectives or for each.

    Raises:
        InputDataError: not a table of numbers, one is not a number, or one is infinitely good.
        UsageError: ``reference`` or ``maximise`` is not one for each objective.
    """
    low = _minimised(points, maximise)
    if np.shape(reference) != (len(low),):
        raise UsageError(f"{len(low)} objectives need a reference of as many, got {np.shape(reference)}")
    corner = _minimised(np.asarray(reference, dtype=np.float64)[None], maximise)
    inside = low[:, (low < corner).all(axis=0)]
    if not (np.isfinite(inside).all() and np.isfinite(corner).all()):
        raise InputDataError("a hypervolume needs a finite reference and finite points below it")
    return _volume(inside[:, _kept(inside)], corner[:, 0])


def knee(costs: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray) -> int | None:
    """Return the index of the front's point farthest above the line between its two ends.

    Both axes are scaled to [0, 1] over the front, cost by its logarithm when all costs are above zero.
    None when fewer than three points are on the front or none lies above the line.
    """
    cost, value = np.asarray(costs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    front = pareto_front(cost, value)
    if len(front) < 3:
        return None
    x = np.log(cost[front]) if cost[front].min() > 0 else cost[front]
    x = (x - x[0]) / (x[-1] - x[0])
    y = (value[front] - value[front][0]) / (value[front][-1] - value[front][0])
    height = y - x
    return int(front[height.argmax()]) if height.max() > 0 else None


def _minimised(points: ArrayLike, maximise: bool | Sequence[bool]) -> np.ndarray:
    """Return a copy, float64 ``[objective, point]``, in which less is always better."""
    table = np.asarray(points, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 1:
        raise InputDataError(f"points are [point, objective], got an array of shape {table.shape}")
    up = np.full(table.shape[1], maximise) if isinstance(maximise, bool) else np.asarray(maximise, dtype=bool)
    if up.shape != (table.shape[1],):
        raise UsageError(f"{table.shape[1]} objectives need as many entries of maximise, got {up.size}")
    low = np.array(table.T, order="C")
    low[up] *= -1
    if np.isnan(low).any():
        raise InputDataError(f"{int(np.isnan(low).any(axis=0).sum())} points have an objective that is NaN")
    return low


def _kept(low: np.ndarray) -> np.ndarray:
    """Say which points stay, bool ``[point]``, of minimised ``[objective, point]``."""
    objectives, n = low.shape
    if objectives not in _CELLS or n < _GRID_FROM:
        return _swept(low)
    keep = survivors(low, _CELLS[objectives])
    if not keep.all():
        keep[keep] = _swept(np.ascontiguousarray(low[:, keep]))
        return keep
    return _swept(low)


def _swept(low: np.ndarray) -> np.ndarray:
    objectives, n = low.shape
    if n == 0:
        return np.zeros(0, bool)
    if objectives == 1:
        return np.asarray(np.arange(n) == low[0].argmin())
    if objectives == 2:
        return np.asarray(sweep_two(low[0], low[1], np.argsort(low[0])))
    if objectives == 3:
        order = np.argsort(low[0])
        if (low[0][order[1:]] == low[0][order[:-1]]).any():
            order = np.lexsort(low[::-1])  # stable: equal points stay in order
        return np.asarray(sweep_three(_ranks(low[1]), low[2], order))
    ranks = np.stack([_ranks(row) for row in low])
    order = np.argsort(ranks.sum(axis=0), kind="stable")
    return np.asarray(cull(ranks.astype(np.int32), order))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return dense ranks from 0, int64 ``[point]``; equal numbers have equal ranks."""
    order = np.argsort(values)
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.concatenate([[0], np.cumsum(values[order][1:] > values[order][:-1])])
    return ranks


def _volume(front: np.ndarray, reference: np.ndarray) -> float:
    """Return the volume of a minimised front ``[objective, point]``, all of it below the reference."""
    objectives, n = front.shape
    if n == 0:
        return 0.0
    front = front[:, np.argsort(front[-1], kind="stable")]
    if objectives == 1:
        return float(reference[0] - front[0, 0])
    if objectives == 2:
        # by ascending second objective the first falls: strips from the next one's height
        top = np.append(front[1][1:], reference[1])
        return float(((top - front[1]) * (reference[0] - front[0])).sum())
    if objectives == 3:
        rank = np.empty(n, np.int64)
        rank[np.lexsort((front[1], front[0]))] = np.arange(n)
        return float(volume_three(front, rank, reference))
    tops = np.append(front[-1][1:], reference[-1])
    slices = np.flatnonzero(tops > front[-1])
    flat = front[:-1]
    areas = [_volume(flat[:, : i + 1][:, _kept(flat[:, : i + 1])], reference[:-1]) for i in slices]
    return float(np.dot(areas, (tops - front[-1])[slices]))
