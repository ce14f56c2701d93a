"""The inner loop over cascades on several cost axes, compiled; see `explorer.analysis.search.several_costs`.

It releases the interpreter lock. Several threads may write one `known` table at once: whatever they write is
the cost of a design that exists, so that a lost write costs time and never a design.
"""

import numpy as np
from numba import njit

_FIRST_ROOM = 1024


@njit(nogil=True, cache=True)
def collect_pairs(gates: tuple, seconds: tuple, examples: tuple, known: tuple) -> tuple:
    """Return the cascades that no design known so far beats, over all steps of some pairs of stages.

    On every axis a step costs no more than the one before it. So of one pair only those steps count that
    answer more examples right than every later step, and a pair whose cost does not depend on the step has
    one: the last of those with most right answers. Whatever is left out is beaten by a design that was
    kept; not all that is returned is on the front.

    Args:
        gates: right uint8 ``[gate, place]`` and undecided example int32 ``[gate, place]``, both by falling
            confidence; undecided leavers int32 ``[step]`` and all leavers int32 ``[step]`` of all gates'
            steps; where each gate's steps are int64 ``[gate + 1]``; its set int64 ``[gate]``.
        seconds: right uint8 ``[second, undecided]``, its set int64 ``[second]``, base and slope of the cost
            float64 ``[axis, gate, second]`` of three axes, and which axes depend on the share that stays,
            bool ``[axis]``.
        examples: how many there are, and how many every average answers right.
        known: see `note`; changed.

    Returns:
        right int64 ``[cascade]``, costs float64 ``[cascade, axis]``, (gate, second, step) int64
        ``[cascade, 3]``; the second is counted within what is given here.
    """
    leavers, bounds, gate_set = gates[3:]
    second_right, second_set, base, slope, by_share = seconds
    total, settled = examples
    count, here = np.empty(len(leavers), np.int64), np.empty(3, np.float64)
    right, costs = np.empty(_FIRST_ROOM, np.int64), np.empty((_FIRST_ROOM, 3), np.float64)
    design, size = np.empty((_FIRST_ROOM, 3), np.int64), 0
    at_start = np.empty(len(second_right), np.int64)
    for q in range(len(second_right)):
        at_start[q] = settled + second_right[q].sum()
    for g in range(len(gate_set)):
        for q in range(len(second_right)):
            if second_set[q] == gate_set[g]:
                continue
            most = _count_steps(g, second_right[q], at_start[q], gates, count)
            flat = True
            for axis in range(3):
                flat &= slope[axis, g, q] == 0 or not by_share[axis]
            best = most - 1 if flat else np.int64(-1)
            for step in range(bounds[g + 1] - 1, bounds[g] - 1, -1):
                if count[step] <= best:
                    continue
                best = count[step]
                stay = total - leavers[step]
                for axis in range(3):
                    here[axis] = base[axis, g, q]
                    if by_share[axis]:
                        # as `costs.mean_cost` reckons: both then agree on what costs the same
                        here[axis] = (base[axis, g, q] * total + slope[axis, g, q] * stay) / total
                if beaten(best, here, known):
                    continue
                note(best, here, known)
                if size == len(right):
                    right, costs, design = _roomier(right, costs, design)
                right[size], costs[size], design[size] = best, here, (g, q, step - bounds[g])
                size += 1
    return right[:size], costs[:size], design[:size]


@njit(nogil=True, cache=True)
def _count_steps(
    g: int, second_right: np.ndarray, at_start: int, gates: tuple, count: np.ndarray
) -> np.int64:
    """Count right answers at each step of a pair, from ``at_start`` where nobody leaves; return the most."""
    gate_right, order, undecided_leavers, _, bounds, _ = gates
    place, right, most = 0, np.int64(at_start), np.int64(-1)
    for step in range(bounds[g], bounds[g + 1]):
        while place < undecided_leavers[step]:
            right += np.int64(gate_right[g, place]) - np.int64(second_right[order[g, place]])
            place += 1
        count[step] = right
        most = max(most, right)
    return most


@njit(nogil=True, cache=True)
def beaten(right: int, costs: np.ndarray, known: tuple) -> bool:
    """Say whether a known design surely beats one: more right answers or a lower first cost, no worse else.

    Args:
        right: right answers.
        costs: float64 ``[axis]`` of three axes.
        known: see `note`.
    """
    table, lowest, second_edges, third_edges = known
    second = np.searchsorted(second_edges, costs[1], side="right") - 1
    third = np.searchsorted(third_edges, costs[2], side="right") - 1
    if second < 0 or third < 0:
        return False
    level = right - lowest
    if level < 0:
        return bool(table[0, second, third] <= costs[0])
    if level + 1 < len(table) and table[level + 1, second, third] <= costs[0]:
        return True
    return bool(level < len(table) and table[level, second, third] < costs[0])


@njit(nogil=True, cache=True)
def note(right: int, costs: np.ndarray, known: tuple) -> None:
    """Take a design up into what is known.

    Args:
        right: right answers.
        costs: float64 ``[axis]`` of three axes.
        known: lowest first cost of all designs with at least so many right answers (level 0: ``lowest``),
            a second and a third cost of at most the edges, float64 ``[level, edge, edge]``, infinite where
            there is none; ``lowest``; the edges of the second and of the third cost, ascending. Changed.
    """
    table, lowest, second_edges, third_edges = known
    second = np.searchsorted(second_edges, costs[1], side="left")
    third = np.searchsorted(third_edges, costs[2], side="left")
    if second == len(second_edges) or third == len(third_edges):
        return
    # lower levels and higher edges hold lower costs already: the first that does ends a row
    for level in range(min(right - lowest, len(table) - 1), -1, -1):
        if table[level, second, third] <= costs[0]:
            break
        for i in range(second, len(second_edges)):
            if table[level, i, third] <= costs[0]:
                break
            for j in range(third, len(third_edges)):
                if table[level, i, j] <= costs[0]:
                    break
                table[level, i, j] = costs[0]


@njit(nogil=True, cache=True)
def note_all(right: np.ndarray, costs: np.ndarray, known: tuple) -> None:
    """Take many designs up into what is known: right int64 ``[design]``, costs float64 ``[design, axis]``."""
    for i in range(len(right)):
        note(right[i], costs[i], known)


@njit(nogil=True, cache=True)
def _roomier(right: np.ndarray, costs: np.ndarray, design: np.ndarray) -> tuple:
    size = len(right)
    more_right = np.empty(2 * size, np.int64)
    more_costs = np.empty((2 * size, 3), np.float64)
    more_design = np.empty((2 * size, 3), np.int64)
    more_right[:size], more_costs[:size], more_design[:size] = right, costs, design
    return more_right, more_costs, more_design
