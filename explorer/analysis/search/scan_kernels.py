"""The inner loop over cascades, compiled; checked against its plain definition in the tests.

It releases the interpreter lock and uses no numba threads of its own, so that several may run at once in
ordinary threads (a Streamlit session each, say).
"""

import numpy as np
from numba import njit

NO_KEY = np.iinfo(np.int64).max


@njit(nogil=True, cache=True)
def scan_cascades(gates: tuple, seconds: tuple, best: tuple, sampled: np.ndarray) -> None:
    """Score every cascade from each gate to each second stage at every step.

    Only examples that some averages answer right and others wrong are looked at: the others are as right
    after one stage as after two. Between two of them in a gate's order more leavers only make a cascade
    cheaper, so that of the cuts there the last one stands for all: a step.

    Args:
        gates: right uint8 ``[gate, place]`` and undecided example int32 ``[gate, place]``, both by falling
            confidence; undecided leavers int32 ``[step]`` and all leavers int32 ``[step]`` of all gates'
            steps; where each gate's steps are int64 ``[gate + 1]``; its set int64 ``[gate]``.
        seconds: right uint8 ``[second, undecided]``, its set int64 ``[second]``, tie-break key int64
            ``[gate, second]``, and cost as ``base + slope x share that stays``, both float64
            ``[gate, second]``.
        best: for each number of right answers ``[example + 1]``: lowest cost of all examples together
            float64, its key int64, its (gate, second, step) int32 ``[example + 1, 3]``; and the number of
            examples every average answers right, int64 ``[1]``. Updated in place; ``second`` and ``step``
            are counted within what is given here.
        sampled: (step or -1, right answers) int32 ``[gate, second, 2]``: on entry the step to note down.
    """
    gate_right, order, undecided_leavers, leavers, bounds, gate_set = gates
    second_right, second_set, key, base, slope = seconds
    best_cost, best_key, best_design, settled = best
    examples = len(best_cost) - 1
    at_start = np.empty(len(second_right), np.int64)
    for q in range(len(second_right)):
        at_start[q] = settled[0] + second_right[q].sum()
    for g in range(len(gate_right)):
        for q in range(len(second_right)):
            if second_set[q] == gate_set[g]:
                continue
            right, place = at_start[q], 0
            whole, each = base[g, q] * examples, slope[g, q]
            for step in range(bounds[g], bounds[g + 1]):
                while place < undecided_leavers[step]:
                    right += np.int64(gate_right[g, place]) - np.int64(second_right[q, order[g, place]])
                    place += 1
                # of all examples together, so that whole-number costs stay exact and ties are seen
                cost = whole + each * (examples - leavers[step])
                if cost > best_cost[right]:
                    continue
                # <= : the same two stages at the same cost, more leave, the lower threshold
                if cost < best_cost[right] or key[g, q] <= best_key[right]:
                    best_cost[right] = cost
                    best_key[right] = key[g, q]
                    best_design[right, 0] = g
                    best_design[right, 1] = q
                    best_design[right, 2] = step - bounds[g]
            if sampled[g, q, 0] >= 0:
                sampled[g, q, 1] = _right_at(
                    gates, g, second_right[q], bounds[g] + sampled[g, q, 0], at_start[q]
                )


@njit(nogil=True, cache=True)
def _right_at(gates: tuple, g: int, second_right: np.ndarray, step: int, right: np.int64) -> np.int64:
    for place in range(gates[2][step]):
        right += np.int64(gates[0][g, place]) - np.int64(second_right[gates[1][g, place]])
    return right
