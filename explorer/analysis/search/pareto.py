"""Fronts of cost (less is better) against value (more is better)."""

from collections.abc import Sequence

import numpy as np


def pareto_front(costs: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the indices of the points no other point beats, cheapest first, int64 ``[front]``.

    A point is beaten by one that is no dearer and no worse and differs in at least one of the two. Of
    equal points the first one stays.
    """
    cost, value = np.asarray(costs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    order = np.lexsort((np.arange(len(cost)), -value, cost))
    if len(order) == 0:
        return order
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(value[order])[:-1]])
    return order[value[order] > best_before]


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
    inside = (cost < reference_cost) & (value > reference_value)
    cost, value = cost[inside], value[inside]
    front = pareto_front(cost, value)
    right = np.append(cost[front][1:], reference_cost)
    return float(((right - cost[front]) * (value[front] - reference_value)).sum())


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
