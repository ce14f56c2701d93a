"""The inner loops of fronts, compiled: every objective is minimised, no number is NaN.

Each is checked against its plain definition in the tests. They release the interpreter lock and use no numba
threads of their own.
"""

import numpy as np
from numba import njit

_BLOCK = 64
"""Points of the front compared in one go: enough for vector instructions, few enough to stop early."""


@njit(nogil=True, cache=True)
def survivors(points: np.ndarray, cells: int) -> np.ndarray:
    """Say which points a coarse grid leaves over; the others are beaten, exactly.

    Points are put into cells of their first coordinate (of the first two for three objectives). A point of a
    cell that is lower in each of these is strictly better there, whatever its place in the cell; if it is
    also no worse in the last coordinate, the point is beaten. One pass over the points, no sorting.

    Args:
        points: float64 ``[objective, point]`` of two or three objectives.
        cells: along each coordinate that is gridded.

    Returns:
        bool ``[point]``
    """
    objectives, n = points.shape
    last = objectives - 1
    keep = np.ones(n, np.bool_)
    low, scale = np.empty(2), np.zeros(2)
    for axis in range(last):
        low[axis] = points[axis].min()
        span = points[axis].max() - low[axis]
        # rounding keeps the order, so equal cells are the only harm it can do; an infinite span has no cells
        if not (np.isfinite(span) and span > 0 and np.isfinite(cells / span)):
            return keep
        scale[axis] = cells / span
    rows = cells if last == 2 else 1
    best = np.full((rows + 1, cells + 1), np.inf)
    for i in range(n):
        column = min(cells - 1, int((points[0, i] - low[0]) * scale[0]))
        row = min(cells - 1, int((points[1, i] - low[1]) * scale[1])) if last == 2 else 0
        # shifted by one: what is asked for later are the cells strictly lower
        if points[last, i] < best[row + 1 if last == 2 else 0, column + 1]:
            best[row + 1 if last == 2 else 0, column + 1] = points[last, i]
    for row in range(rows + 1):
        for column in range(1, cells + 1):
            best[row, column] = min(best[row, column], best[row, column - 1])
            if row > 0:
                best[row, column] = min(best[row, column], best[row - 1, column])
    for i in range(n):
        column = min(cells - 1, int((points[0, i] - low[0]) * scale[0]))
        row = min(cells - 1, int((points[1, i] - low[1]) * scale[1])) if last == 2 else 0
        # an infinite best means an empty neighbourhood, or points no better than infinity
        if best[row, column] < np.inf and best[row, column] <= points[last, i]:
            keep[i] = False
    return keep


@njit(nogil=True, cache=True)
def sweep_two(first: np.ndarray, second: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Say which points stay, bool ``[point]``, for two objectives ``[point]`` ordered by first, then index.

    Among equal ``first`` the lowest ``second`` wins, of equal ones the first in ``order``.
    """
    n = len(order)
    keep = np.zeros(n, np.bool_)
    best = np.inf
    any_before = False
    i = 0
    while i < n:
        winner = order[i]
        j = i + 1
        while j < n and first[order[j]] == first[winner]:
            if second[order[j]] < second[winner] or (
                second[order[j]] == second[winner] and order[j] < winner
            ):
                winner = order[j]
            j += 1
        # the flag and not only the number: a lone point at infinity is on its front
        if not any_before or second[winner] < best:
            keep[winner] = True
            best = second[winner]
            any_before = True
        i = j
    return keep


@njit(nogil=True, cache=True)
def sweep_three(rank: np.ndarray, third: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Say which points stay, bool ``[point]``, for three objectives.

    In lexicographic order every point that beats or equals another one comes before it. A point falls if
    one that stayed has no higher rank in the second objective and is no worse in the third: the least third
    up to a rank, kept as a tree of prefix minima (Fenwick 1994), so that n points cost n log n whatever
    their front.

    Args:
        rank: dense rank of the second objective, int64 ``[point]``.
        third: float64 ``[point]``.
        order: lexicographic, then by index.
    """
    n = len(order)
    keep = np.zeros(n, np.bool_)
    least = np.full(n + 1, np.inf)
    reached = np.zeros(n + 1, np.bool_)
    for i in order:
        beaten = False
        node = rank[i] + 1
        while node > 0 and not beaten:
            # an untouched node holds infinity too, and infinity is no worse than infinity
            beaten = reached[node] and least[node] <= third[i]
            node -= node & -node
        if beaten:
            continue
        keep[i] = True
        node = rank[i] + 1
        while node <= n:
            reached[node] = True
            least[node] = min(least[node], third[i])
            node += node & -node
    return keep


@njit(nogil=True, cache=True)
def cull(ranks: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Say which points stay, bool ``[point]``, for any number of objectives: compared with the front so far.

    Sort-filter-skyline (Chomicki et al. 2003, ICDE): in order of the sum of ranks, whatever beats a point
    comes before it, so what stays once stays for good. Time: points x front, in blocks of the front.

    Args:
        ranks: int32 ``[objective, point]``, equal ranks for equal numbers.
        order: by sum of ranks, then by index.
    """
    objectives, n = ranks.shape
    keep = np.zeros(n, np.bool_)
    front = np.empty((objectives, n), np.int32)
    size = 0
    no_worse = np.empty(_BLOCK, np.bool_)
    for i in order:
        beaten = False
        for start in range(0, size, _BLOCK):
            width = min(_BLOCK, size - start)
            no_worse[:width] = True
            for axis in range(objectives):
                here = ranks[axis, i]
                for j in range(width):
                    no_worse[j] &= front[axis, start + j] <= here
            for j in range(width):
                beaten |= no_worse[j]
            if beaten:
                break
        if not beaten:
            keep[i] = True
            for axis in range(objectives):
                front[axis, size] = ranks[axis, i]
            size += 1
    return keep


@njit(nogil=True, cache=True)
def _before(tree: np.ndarray, place: int) -> int:
    """Return how many entries of a counting tree lie below ``place``."""
    count = 0
    node = place
    while node > 0:
        count += tree[node]
        node -= node & -node
    return count


@njit(nogil=True, cache=True)
def _at(tree: np.ndarray, number: int) -> int:
    """Return the place of entry ``number`` (from 0) of a counting tree."""
    step = 1
    while 2 * step < len(tree):
        step *= 2
    place, left = 0, number
    while step > 0:
        if place + step < len(tree) and tree[place + step] <= left:
            place += step
            left -= tree[place]
        step //= 2
    return place


@njit(nogil=True, cache=True)
def _count(tree: np.ndarray, place: int, by: int) -> None:
    node = place + 1
    while node < len(tree):
        tree[node] += by
        node += node & -node


@njit(nogil=True, cache=True)
def volume_three(points: np.ndarray, rank: np.ndarray, reference: np.ndarray) -> float:
    """Return the volume that a front of three objectives covers up to a reference point.

    A sweep along the third objective: the area covered in the first two only grows, point by point, and each
    point leaves the staircase once (Beume et al. 2009, IEEE Trans. Evol. Comput. 13:1075). n log n.

    Args:
        points: float64 ``[objective, point]``, none beats another, all below the reference, third ascending.
        rank: place of each point by (first, second, index), int64 ``[point]``; a permutation.
        reference: float64 ``[objective]``.
    """
    n = points.shape[1]
    tree = np.zeros(n + 1, np.int64)
    holder = np.empty(n, np.int64)
    size = 0
    area, volume = 0.0, 0.0
    for i in range(n):
        if i > 0:
            volume += area * (points[2, i] - points[2, i - 1])
        x, y = points[0, i], points[1, i]
        holder[rank[i]] = i
        below = _before(tree, rank[i])
        height = reference[1]
        if below > 0:
            height = points[1, holder[_at(tree, below - 1)]]
        if height <= y:
            # equal in third and beaten in the other two: a front has none, equal points have
            continue
        left = x
        while below < size:
            place = _at(tree, below)
            other = holder[place]
            area += (points[0, other] - left) * (height - y)
            left, height = points[0, other], points[1, other]
            if height < y:
                break
            _count(tree, place, -1)
            size -= 1
        else:
            area += (reference[0] - left) * (height - y)
        _count(tree, rank[i], 1)
        size += 1
    return volume + area * (reference[2] - points[2, n - 1]) if n else 0.0
