"""The inner loops of the search, compiled. Each is checked against its plain definition in the tests.

They release the interpreter lock and use no numba threads of their own, so that several may run at
once in ordinary threads (a Streamlit session each, say).
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def undominated(values: np.ndarray) -> tuple:
    """Keep, example by example, the classes that can win for some non-negative weighting.

    A class is dropped when another one is at least as good in every member and either has the lower
    index or is better in every member. For integers that is exact. For logarithms too: two different
    float16 numbers differ by 4.9e-4 or more in the logarithm, which no rounding of the sum can undo.

    Args:
        values: ``[member, example, class]``.

    Returns:
        offsets int64 ``[example + 1]``, class of each entry int32 ``[entry]``, and the values
        ``[member, entry]``; the entries of an example are by ascending class.
    """
    members, examples, classes = values.shape
    offsets = np.zeros(examples + 1, np.int64)
    kept = np.empty(examples * classes, np.int32)
    strength, alive = np.empty(classes), np.empty(classes, np.uint8)
    filled = 0
    for e in range(examples):
        start = filled
        # nearly every class falls to the strongest one; this order makes 1,000 classes cheap
        beside_strongest(values, e, strength, alive)
        for c in range(classes):
            if not alive[c]:
                continue
            dropped = False
            for entry in range(start, filled):
                if _beats(values, e, kept[entry], c):
                    dropped = True
                    break
            if dropped:
                continue
            still = start
            for entry in range(start, filled):
                if not _beats(values, e, c, kept[entry]):
                    kept[still] = kept[entry]
                    still += 1
            kept[still] = c
            filled = still + 1
        offsets[e + 1] = filled
    table = np.empty((members, filled), values.dtype)
    for e in range(examples):
        for entry in range(offsets[e], offsets[e + 1]):
            for m in range(members):
                table[m, entry] = values[m, e, kept[entry]]
    return offsets, kept[:filled].copy(), table


@njit(nogil=True, cache=True)
def beside_strongest(values: np.ndarray, e: int, strength: np.ndarray, alive: np.ndarray) -> None:
    """Mark the classes that the one with the largest sum does not beat; member by member, as they lie.

    Args:
        values: any numbers that order probabilities, ``[member, example, class]``.
        e: the example.
        strength: scratch for sums over members, ``[class]``.
        alive: written, uint8 ``[class]``.
    """
    members, _, classes = values.shape
    strength[:] = 0
    for m in range(members):
        row = values[m, e]
        for c in range(classes):
            strength[c] += row[c]
    strongest = 0
    for c in range(classes):
        if strength[c] > strength[strongest]:
            strongest = c
    alive[:] = 0
    for m in range(members):
        row = values[m, e]
        most = row[strongest]
        # a lower index wins a tie: it falls only where it is behind everywhere
        for c in range(strongest):
            alive[c] |= np.uint8(row[c] >= most)
        for c in range(strongest + 1, classes):
            alive[c] |= np.uint8(row[c] > most)
    alive[strongest] = 1


@njit(nogil=True, cache=True)
def _beats(values: np.ndarray, e: int, a: int, b: int) -> bool:
    every = True
    for m in range(values.shape[0]):
        if values[m, e, a] < values[m, e, b]:
            return False
        if values[m, e, a] == values[m, e, b]:
            every = False
    return every or a < b


@njit(nogil=True, cache=True)
def right_answers(
    subsets: np.ndarray, offsets: np.ndarray, hits: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """Say which examples each set of members answers right.

    Args:
        subsets: member indices int32 ``[subset, slot]``, padded with -1 at the end.
        offsets: where each example's entries are, int64 ``[example + 1]``.
        hits: whether an entry's class is the true one, bool ``[entry]``.
        table: values ``[member, entry]``.

    Returns:
        uint8 ``[subset, example]``, 1 where right.
    """
    examples = len(offsets) - 1
    right = np.empty((len(subsets), examples), np.uint8)
    total = np.empty(table.shape[1], table.dtype)
    for q in range(len(subsets)):
        total[:] = table[subsets[q, 0]]
        for slot in range(1, subsets.shape[1]):
            if subsets[q, slot] < 0:
                break
            row = table[subsets[q, slot]]
            for entry in range(len(total)):
                total[entry] += row[entry]
        for e in range(examples):
            best = offsets[e]
            for entry in range(offsets[e] + 1, offsets[e + 1]):
                if total[entry] > total[best]:
                    best = entry
            right[q, e] = hits[best]
    return right
