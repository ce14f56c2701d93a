"""The inner loops of the truncated form. Each is checked against its plain definition in the tests."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def largest(codes: np.ndarray, k: int) -> np.ndarray:
    """Return the classes of the ``k`` largest, falling; of equal ones the lowest, int64 ``[example, k]``.

    Args:
        codes: uint16 ``[example, class]``.
        k: at most the number of classes.
    """
    examples, classes = codes.shape
    best = np.empty((examples, k), np.int64)
    for e in range(examples):
        filled = 0
        for c in range(classes):
            code = codes[e, c]
            if filled == k and code <= codes[e, best[e, k - 1]]:
                continue
            if filled < k:
                filled += 1
            place = filled - 1
            while place > 0 and codes[e, best[e, place - 1]] < code:
                best[e, place] = best[e, place - 1]
                place -= 1
            best[e, place] = c
    return best


@njit(nogil=True, cache=True)
def certify(sets: np.ndarray, held: tuple, labels: np.ndarray, classes: int) -> tuple:
    """Bound every class's sum in every example, and say what that decides.

    A class in a member's list adds its value to both bounds. Any other class adds 0 to its lower bound and
    the member's cap to its upper bound. The true class's value is known in every member, listed or not.

    Args:
        sets: member indices int32 ``[set, slot]``, padded with -1 at the end.
        held: values int32 ``[member, example, k]``, their classes ``[member, example, k]``, the true class's
            value int32 ``[member, example]``, and caps int32 ``[member, example]``: no class that is neither
            in the list nor the true one has more.
        labels: true classes int64 ``[example]``.
        classes: how many there are.

    Returns:
        leaders int32 ``[set, example]``, the class with the largest lower bound; uint8, whether it is
        certain to win; int8, whether the true class wins: 1 yes, 0 no, -1 cannot tell.
    """
    examples = len(labels)
    leaders = np.empty((len(sets), examples), np.int32)
    certain = np.empty((len(sets), examples), np.uint8)
    right = np.empty((len(sets), examples), np.int8)
    lower = np.zeros(classes, np.int64)
    slack = np.zeros(classes, np.int64)  # what the members that list a class take off the sum of caps
    listed = np.zeros(classes, np.bool_)
    touched = np.empty(classes, np.int64)
    for q in range(len(sets)):
        for e in range(examples):
            label = labels[e]
            count, cap = _add_up(sets[q], e, label, held, (lower, slack, listed, touched))
            # the first class in nobody's list: of equal upper bounds it is the one that wins ties
            other = 0
            while other < classes and listed[other]:
                other += 1
            leader = _leader(lower, touched[:count])
            leaders[q, e] = leader
            sure = _wins(leader, (lower, slack, touched[:count]), cap, other, classes)
            certain[q, e] = sure
            if _wins(label, (lower, slack, touched[:count]), cap, other, classes):
                right[q, e] = 1
            elif leader != label:
                # the true class's sum is exact, so one that surely passes it is enough
                right[q, e] = 0
            else:
                right[q, e] = -1
            for place in range(count):
                c = touched[place]
                lower[c], slack[c], listed[c] = 0, 0, False
    return leaders, certain, right


@njit(nogil=True, cache=True)
def _add_up(members: np.ndarray, e: int, label: int, held: tuple, bounds: tuple) -> tuple:
    """Add up one example's values and caps; return how many classes were met, and the sum of the caps."""
    values, ids, true, caps = held
    lower, slack, listed, touched = bounds
    touched[0], count, cap = label, 1, 0
    listed[label] = True
    for m in members:
        if m < 0:
            break
        cap += caps[m, e]
        lower[label] += true[m, e]
        slack[label] += caps[m, e]
        for place in range(values.shape[2]):
            c = ids[m, e, place]
            if c == label:
                continue
            if not listed[c]:
                listed[c] = True
                touched[count] = c
                count += 1
            lower[c] += values[m, e, place]
            slack[c] += caps[m, e]
    return count, cap


@njit(nogil=True, cache=True)
def _leader(lower: np.ndarray, touched: np.ndarray) -> int:
    best = touched[0]
    for c in touched:
        if lower[c] > lower[best] or (lower[c] == lower[best] and c < best):
            best = c
    return best


@njit(nogil=True, cache=True)
def _wins(c: int, bounds: tuple, cap: int, other: int, classes: int) -> bool:
    """Say whether ``c`` at its least beats every other class at its most; a tie goes to the lower index."""
    lower, slack, touched = bounds
    if other < classes and (cap > lower[c] or (cap == lower[c] and other < c)):
        return False
    for rival in touched:
        if rival != c:
            most = lower[rival] + cap - slack[rival]
            if most > lower[c] or (most == lower[c] and rival < c):
                return False
    return True
