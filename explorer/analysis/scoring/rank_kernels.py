"""The inner loops of ranks under many averages. Each is checked against its plain definition in the tests."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def contenders(codes: np.ndarray, places: int) -> tuple:
    """Keep, example by example, the classes that can be among the ``places`` largest of some average.

    A class beats another if it is at least as good in every member, and has the lower index or is better
    in every member. Beating is transitive, so a class that ``places`` others beat is beaten by as many that
    are kept, and it never is among the ``places`` largest, whatever the non-negative weights. With one
    place that is `explorer.analysis.scoring.kernels.undominated`.

    Args:
        codes: whole numbers in the order of the values, uint16 ``[member, example, class]``.
        places: how many classes an answer may name, 1 or more.

    Returns:
        offsets int64 ``[example + 1]`` and class of each entry int32 ``[entry]``; the entries of an
        example are by ascending class.
    """
    members, examples, classes = codes.shape
    offsets = np.zeros(examples + 1, np.int64)
    kept = np.empty(examples * classes, np.int32)
    local = np.empty((classes, members), codes.dtype)
    sums = np.empty(classes, np.int64)
    filled = 0
    for e in range(examples):
        sums[:] = 0
        for m in range(members):
            for c in range(classes):
                local[c, m] = codes[m, e, c]
                sums[c] -= codes[m, e, c]
        start = filled
        # who beats a class stands before it in this order, and the strongest are the likeliest to
        for c in np.argsort(sums, kind="mergesort"):
            beaten = 0
            for entry in range(start, filled):
                beaten += _beats(local, kept[entry], c)
                if beaten == places:
                    break
            if beaten < places:
                kept[filled] = c
                filled += 1
        kept[start:filled].sort()
        offsets[e + 1] = filled
    return offsets, kept[:filled].copy()


@njit(nogil=True, cache=True)
def _beats(local: np.ndarray, a: int, b: int) -> bool:
    every = True
    for m in range(local.shape[1]):
        if local[a, m] < local[b, m]:
            return False
        if local[a, m] == local[b, m]:
            every = False
    return every or a < b


@njit(nogil=True, cache=True)
def among_largest(
    sums: np.ndarray, offsets: np.ndarray, truth: np.ndarray, places: int, tolerance: np.ndarray
) -> tuple:
    """Say where the true class is among the ``places`` largest; a tie goes to the lower class.

    Args:
        sums: float64 ``[row, entry]``.
        offsets: where each example's entries are, int64 ``[example + 1]``.
        truth: entry of the true class int64 ``[example]``, or -1 where it is not kept: never right.
        places: how many classes an answer names.
        tolerance: sums this close may be a tie that rounding decided, float64 ``[row]``; negative: none.

    Returns:
        uint8 ``[row, example]``: 1 where it is; and the same, 1 where rounding may have decided that.
    """
    rows, examples = len(sums), len(truth)
    right = np.zeros((rows, examples), np.uint8)
    unsure = np.zeros((rows, examples), np.uint8)
    for r in range(rows):
        for e in range(examples):
            true = truth[e]
            if true < 0:
                continue
            mine = sums[r, true]
            above, surely, perhaps = 0, 0, 0
            for entry in range(offsets[e], offsets[e + 1]):
                if entry == true:
                    continue
                other = sums[r, entry]
                above += other > mine or (other == mine and entry < true)
                surely += other > mine + tolerance[r]
                perhaps += other >= mine - tolerance[r]
            right[r, e] = above < places
            unsure[r, e] = tolerance[r] >= 0 and surely < places and perhaps >= places
    return right, unsure
