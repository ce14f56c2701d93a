"""The inner loops over margins, compiled; see `explorer.analysis.scoring.margins`.

Sums are written as ``np.int32(a + b)``: numba would widen them to 64 bits, which halves what one vector
instruction does. They cannot overflow below 128 members.
"""

import numpy as np
from numba import njit

_CHUNK = 1024
"""Examples whose lowest margin is worked out at once: it stays in the first-level cache."""


@njit(nogil=True, cache=True)
def right_of_sets(sets: np.ndarray, margins: tuple, right: np.ndarray) -> None:
    """Say which undecided examples each set of members answers right.

    A set that begins like the one before it takes over that one's sums.

    Args:
        sets: member indices int32 ``[set, slot]``, padded with -1 at the end.
        margins: table int32 ``[member, pair]``, bias int32 ``[pair]``, groups int64 ``[group, 3]``.
        right: uint8 ``[set, undecided]``. Written.
    """
    table, bias, groups = margins
    slots = sets.shape[1]
    running = np.empty((slots + 1, len(bias)), np.int32)
    running[0] = bias
    scratch = np.empty(_CHUNK, np.int32)
    for q in range(len(sets)):
        slot = 0
        if q > 0:
            while slot < slots and sets[q, slot] == sets[q - 1, slot] and sets[q, slot] >= 0:
                slot += 1
        while slot < slots and sets[q, slot] >= 0:
            _add(running[slot], table[sets[q, slot]], running[slot + 1])
            slot += 1
        _mark(running[slot], groups, scratch, right[q])


@njit(nogil=True, cache=True)
def _mark(total: np.ndarray, groups: np.ndarray, scratch: np.ndarray, right: np.ndarray) -> None:
    """Write 1 for the examples whose every sum is above zero, else 0."""
    done = 0
    for g in range(len(groups)):
        start, rivals, examples = groups[g]
        for low in range(0, examples, _CHUNK):
            wide = min(_CHUNK, examples - low)
            lowest = scratch[:wide]
            a = start + low
            lowest[:] = total[a : a + wide]
            for r in range(1, rivals):
                row = total[a + r * examples : a + r * examples + wide]
                for e in range(wide):
                    lowest[e] = min(lowest[e], row[e])
            out = right[done + low : done + low + wide]
            for e in range(wide):
                out[e] = lowest[e] > 0
        done += examples


@njit(nogil=True, cache=True)
def count_combinations(first: int, size: int, margins: tuple, counts: np.ndarray) -> None:
    """Count the undecided examples that each set of ``size`` members with lowest index ``first`` gets right.

    Args:
        first: lowest member index of the sets.
        size: members of a set.
        margins: table int32 ``[member, pair]``, bias int32 ``[pair]``, groups int64 ``[group, 3]``.
        counts: int32 ``[set]``, the sets in the order of ``itertools.combinations``. Written.
    """
    table, bias, groups = margins
    members, prefix = len(table), size - 1
    scratch = np.empty(_CHUNK, np.int32)
    running = np.empty((size, len(bias)), np.int32)
    running[0] = bias
    chosen = np.empty(size, np.int64)
    for place in range(prefix):
        chosen[place] = first + place
        _add(running[place], table[first + place], running[place + 1])
    filled = 0
    if prefix == 0:
        counts[0] = _count(running[0], table[first], groups, scratch)
        return
    while True:
        for last in range(chosen[prefix - 1] + 1, members):
            counts[filled] = _count(running[prefix], table[last], groups, scratch)
            filled += 1
        place = prefix - 1
        while place > 0 and chosen[place] == members - size + place:
            place -= 1
        if place == 0:
            return
        chosen[place] += 1
        _add(running[place], table[chosen[place]], running[place + 1])
        for later in range(place + 1, prefix):
            chosen[later] = chosen[later - 1] + 1
            _add(running[later], table[chosen[later]], running[later + 1])


@njit(nogil=True, cache=True)
def _add(running: np.ndarray, row: np.ndarray, out: np.ndarray) -> None:
    for pair in range(len(row)):
        out[pair] = np.int32(running[pair] + row[pair])


@njit(nogil=True, cache=True)
def _count(running: np.ndarray, row: np.ndarray, groups: np.ndarray, scratch: np.ndarray) -> np.int64:
    """Count the examples whose every sum of ``running`` and ``row`` is above zero."""
    count = np.int64(0)
    for g in range(len(groups)):
        start, rivals, examples = groups[g]
        if rivals == 1:
            count += _positive(running[start : start + examples], row[start : start + examples])
            continue
        for low in range(0, examples, _CHUNK):
            wide = min(_CHUNK, examples - low)
            lowest = scratch[:wide]
            a = start + low
            _add(running[a : a + wide], row[a : a + wide], lowest)
            for r in range(1, rivals):
                b = a + r * examples
                _lower(running[b : b + wide], row[b : b + wide], lowest)
            count += _above_zero(lowest)
    return count


@njit(nogil=True, cache=True)
def _positive(running: np.ndarray, row: np.ndarray) -> np.int32:
    count = np.int32(0)
    for pair in range(len(row)):
        count = np.int32(count + np.int32(np.int32(running[pair] + row[pair]) > 0))
    return count


@njit(nogil=True, cache=True)
def _lower(running: np.ndarray, row: np.ndarray, lowest: np.ndarray) -> None:
    for pair in range(len(row)):
        total = np.int32(running[pair] + row[pair])
        lowest[pair] = min(lowest[pair], total)


@njit(nogil=True, cache=True)
def _above_zero(lowest: np.ndarray) -> np.int32:
    count = np.int32(0)
    for e in range(len(lowest)):
        count = np.int32(count + np.int32(lowest[e] > 0))
    return count
