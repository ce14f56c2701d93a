"""The inner loop over three-stage cascades, compiled; checked against brute force in the tests.

It releases the interpreter lock and uses no numba threads of its own, as `scan_kernels`.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def scan_triples(first: int, gates: tuple, sets: tuple, costs: tuple, best: tuple) -> None:
    """Score every cascade of three stages from one first gate, at every pair of steps.

    An example leaves a gate at step i where its level is i or less. For each pair of gates the examples are
    counted by their two levels; sums over the corner "stays at both" then give, step by step, how many go
    on and how many of them the third stage turns right: integers, so nothing is rounded. Of equal designs
    the one whose examples leave earlier stays.

    Args:
        first: which gate comes first.
        gates: level int16 ``[gate, example]``, steps int64 ``[gate]``, its set int64 ``[gate]``, rank of its
            signal int64 ``[gate]``.
        sets: right uint8 ``[set, example]``; the examples on which two of the sets differ, int64
            ``[undecided]``; rank of each set's text int64 ``[set]``; members run after each set, int64
            ``[before, set]``; members int64 ``[set]``.
        costs: base ``[first, second, third]`` paid by all, and what the second ``[first, second]`` and the
            third ``[second, third]`` add for those who reach them, float64.
        best: for each number of right answers ``[example + 1]``: lowest cost of all examples together
            float64, its key int64 and its (first gate, second gate, third set, steps of both) int32
            ``[example + 1, 5]``. Updated in place.
    """
    level, steps, gate_set, signal = gates
    right, undecided, rank, runs, sizes = sets
    base, second_adds, third_adds = costs
    many = len(right)
    a, m1 = gate_set[first], steps[first]
    signals = signal.max() + 1
    for g in range(len(level)):
        b, m2 = gate_set[g], steps[g]
        if b == a or m1 == 0 or m2 == 0:
            continue
        stay1, right2, stay2 = _pair_counts(level[first], level[g], m1, m2, right[a], right[b])
        delta = np.zeros((m1 + 1, m2 + 1), np.int64)
        for c in range(many):
            if c in (a, b):
                continue
            delta[:] = 0
            for e in undecided:
                delta[level[first, e], level[g, e]] += np.int64(right[c, e]) - np.int64(right[b, e])
            key = sizes[a] + runs[a, b] + runs[b, c]
            key = ((key * many + rank[a]) * many + rank[b]) * many + rank[c]
            key = (key * signals + signal[first]) * signals + signal[g]
            found = (key, first, g, c)
            prices = (base[a, b, c], second_adds[a, b], third_adds[b, c])
            _walk(delta, (stay1, right2, stay2), prices, found, best)


@njit(nogil=True, cache=True)
def _pair_counts(
    level1: np.ndarray, level2: np.ndarray, m1: int, m2: int, right1: np.ndarray, right2: np.ndarray
) -> tuple:
    """Return who goes on from the first gate, who would be right if all of them left the second, who goes on.

    int64 ``[step]``, ``[step]`` and ``[step, step]``.
    """
    count = np.zeros((m1 + 1, m2 + 1), np.int64)
    gained = np.zeros(m1 + 1, np.int64)
    answered = 0
    for e in range(len(level1)):
        count[level1[e], level2[e]] += 1
        gained[level1[e]] += np.int64(right1[e]) - np.int64(right2[e])
        answered += right2[e]
    stay1, right_both = np.zeros(m1, np.int64), np.zeros(m1, np.int64)
    stay2 = np.zeros((m1, m2), np.int64)
    for i in range(m1):
        answered += gained[i]
        right_both[i] = answered
    column = np.zeros(m2 + 1, np.int64)
    for i in range(m1 - 1, -1, -1):
        column += count[i + 1]
        on = np.int64(0)
        for j in range(m2 - 1, -1, -1):
            on += column[j + 1]
            stay2[i, j] = on
        stay1[i] = on + column[0]
    return stay1, right_both, stay2


@njit(nogil=True, cache=True)
def _walk(delta: np.ndarray, pair: tuple, prices: tuple, found: tuple, best: tuple) -> None:
    """Score one triple of stages at every pair of steps, from the loosest first exit on."""
    stay1, right_both, stay2 = pair
    base, second_adds, third_adds = prices
    key, first, second, third = found
    best_cost, best_key, best_design = best
    examples = len(best_cost) - 1
    m1, m2 = stay2.shape
    column = np.zeros(m2 + 1, np.int64)
    for i in range(m1 - 1, -1, -1):
        column += delta[i + 1]
        turned = np.int64(0)
        paid = base * examples + second_adds * stay1[i]
        for j in range(m2 - 1, -1, -1):
            turned += column[j + 1]
            if stay2[i, j] == 0 or stay2[i, j] == stay1[i]:
                # nobody reaches the third stage, or nobody leaves at the second: two stages do the same
                continue
            right = right_both[i] + turned
            cost = paid + third_adds * stay2[i, j]
            if cost < best_cost[right] or (cost == best_cost[right] and key < best_key[right]):
                best_cost[right] = cost
                best_key[right] = key
                best_design[right, 0] = first
                best_design[right, 1] = second
                best_design[right, 2] = third
                best_design[right, 3] = i
                best_design[right, 4] = j
