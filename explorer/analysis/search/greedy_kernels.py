"""The inner loops of greedy selection, compiled; each is checked against its plain definition in the tests.

Probabilities are read as the integers of `explorer.analysis.scoring.combine`, straight from the bits of
float16: non-negative float16 numbers are ordered as their bits are. Sums are written as ``np.int32(a + b)``:
numba would widen them to 64 bits, which halves what one vector instruction does.
"""

import numpy as np
from numba import njit

from explorer.analysis.scoring.combine import FIXED_POINT
from explorer.analysis.scoring.kernels import beside_strongest, undominated

_CHUNK = 1024
"""Examples whose lowest margin is worked out at once: they stay in the first-level cache."""
_LANES = 64
_FACTORS = 16
"""Probabilities multiplied before one logarithm is taken: 16 factors above 2^-52 stay above 2^-1022."""
_CEILING = 1.0 - 2.0**-52
_PRODUCTS = 512
"""About how many numbers of a member are multiplied with another's at once."""


@njit(nogil=True, cache=True)
def _fixed(bits: np.uint16) -> np.int32:
    """Return a non-negative float16 number x 2^24."""
    exponent = np.int32(bits >> 10)
    if exponent == 0:
        return np.int32(bits)
    return np.int32(np.int32((bits & 1023) | 1024) << np.int32(exponent - 1))


@njit(nogil=True, cache=True)
def fixed_point(bits: np.ndarray) -> np.ndarray:
    """Return float16 bits ``[member, example]`` as integers, the numbers x 2^24."""
    out = np.empty(bits.shape, np.int32)
    for m in range(bits.shape[0]):
        for e in range(bits.shape[1]):
            out[m, e] = _fixed(bits[m, e])
    return out


@njit(nogil=True, cache=True)
def class_totals(bits: np.ndarray, totals: np.ndarray) -> None:
    """Write the sum over classes x 2^24, exact; bits ``[member, example, class]``."""
    members, examples, classes = bits.shape
    for m in range(members):
        for e in range(examples):
            row = bits[m, e]
            total = 0.0
            for low in range(0, classes, 64):  # 64 of at most 2^24 fit in 32 bits
                part = np.int32(0)
                for c in range(low, min(low + 64, classes)):
                    part = np.int32(part + _fixed(row[c]))
                total += part
            totals[m, e] = total


@njit(nogil=True, cache=True)
def add_gram(bits: np.ndarray, labels: np.ndarray, gram: np.ndarray) -> None:
    """Add the members' inner products of probability minus one-hot truth.

    Args:
        bits: float16 probabilities as uint16 ``[member, example, class]``.
        labels: int64 ``[example]``.
        gram: float64 ``[member, member]``. Its entries with column at most row are added to.
    """
    members, examples, classes = bits.shape
    step = max(1, _PRODUCTS // classes)
    apart = np.empty((members, step * classes))
    for low in range(0, examples, step):
        many = min(step, examples - low)
        for m in range(members):
            for e in range(many):
                row = bits[m, low + e]
                for c in range(classes):
                    apart[m, e * classes + c] = _fixed(row[c]) / FIXED_POINT
                apart[m, e * classes + labels[low + e]] -= 1.0
        for m in range(members):
            for n in range(m + 1):
                gram[m, n] += _dot(apart[m, : many * classes], apart[n, : many * classes])


# additions in any order: without it, no vector instructions
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@njit(nogil=True, cache=True)
def rival_margins(bits: np.ndarray, labels: np.ndarray) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Return what decides whether a weighting answers right, of the examples where that is open.

    Args:
        bits: float16 probabilities as uint16 ``[member, example, class]``.
        labels: int64 ``[example]``.

    Returns:
        how many examples every weighting answers right, the number of rivals of each open example int64
        ``[open]``, of each pair whether a tie goes to the true class int32 ``[pair]``, and its margins int32
        ``[pair, member]``; an example's pairs are neighbours.
    """
    members, examples, classes = bits.shape
    settled, filled, opened = 0, 0, 0
    widths = np.empty(examples, np.int64)
    late = np.empty(64, np.int32)
    margins = np.empty((64, members), np.int32)
    strength = np.empty(classes, np.uint32)
    alive = np.empty(classes, np.uint8)
    for e in range(examples):
        beside_strongest(bits, e, strength, alive)
        if not alive[labels[e]]:
            continue
        survivors = np.flatnonzero(alive)
        left = len(survivors)
        if left == 1:
            settled += 1
            continue
        few = np.empty((members, 1, left), np.uint16)
        for m in range(members):
            for k in range(left):
                few[m, 0, k] = bits[m, e, survivors[k]]
        _, kept, table = undominated(few)
        truth = -1
        for k in range(len(kept)):
            if survivors[kept[k]] == labels[e]:
                truth = k
        if truth < 0:
            continue
        if len(kept) == 1:
            settled += 1
            continue
        while filled + len(kept) > len(late):
            late, margins = _doubled(late, margins)
        widths[opened] = len(kept) - 1
        opened += 1
        for k in range(len(kept)):
            if k == truth:
                continue
            late[filled] = k > truth
            for m in range(members):
                margins[filled, m] = _fixed(table[m, truth]) - _fixed(table[m, k])
            filled += 1
    return settled, widths[:opened].copy(), late[:filled].copy(), margins[:filled].copy()


@njit(nogil=True, cache=True)
def _doubled(late: np.ndarray, margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wider = np.empty(2 * len(late), np.int32)
    wider[: len(late)] = late
    taller = np.empty((2 * len(margins), margins.shape[1]), np.int32)
    taller[: len(margins)] = margins
    return wider, taller


@njit(nogil=True, cache=True)
def scatter(
    widths: np.ndarray,
    late: np.ndarray,
    values: np.ndarray,
    rank: np.ndarray,
    starts: np.ndarray,
    bias: np.ndarray,
    margins: np.ndarray,
) -> None:
    """Copy a block's pairs to their places in ``bias`` and ``margins`` (see `AccuracyTable`)."""
    pair = 0
    for e in range(len(widths)):
        for rival in range(widths[e]):
            place = starts[rival] + rank[e]
            bias[place] = late[pair]
            for m in range(len(margins)):
                margins[m, place] = values[pair, m]
            pair += 1


@njit(nogil=True, cache=True)
def count_right(
    running: np.ndarray, margins: np.ndarray, starts: np.ndarray, candidates: np.ndarray, right: np.ndarray
) -> None:
    """Count the examples whose every sum of ``running`` and a candidate's margins is above zero.

    Args:
        running: int32 ``[pair]``, the bias in it.
        margins: int32 ``[member, pair]``.
        starts: int64 ``[rival + 1]``, see `AccuracyTable`.
        candidates: members int64 ``[candidate]``.
        right: int64 ``[candidate]``. Written.
    """
    worst = np.empty(_CHUNK, np.int32)
    rivals = len(starts) - 1
    examples = starts[1] if rivals else 0
    for q in range(len(candidates)):
        row = margins[candidates[q]]
        count = np.int64(0)
        for low in range(0, examples, _CHUNK):
            wide = min(_CHUNK, examples - low)
            lowest = worst[:wide]
            own, other = running[low : low + wide], row[low : low + wide]
            for i in range(wide):
                lowest[i] = np.int32(own[i] + other[i])
            for rival in range(1, rivals):
                a = starts[rival] + low
                many = min(wide, starts[rival + 1] - a)
                if many <= 0:
                    break
                own, other = running[a : a + many], row[a : a + many]
                for i in range(many):
                    lowest[i] = min(lowest[i], np.int32(own[i] + other[i]))
            ahead = np.int32(0)
            for i in range(wide):
                ahead = np.int32(ahead + np.int32(lowest[i] > 0))
            count += ahead
        right[q] = count


@njit(nogil=True, cache=True)
def log_losses(
    running: np.ndarray,
    true: np.ndarray,
    total: np.ndarray,
    floor: float,
    candidates: np.ndarray,
    losses: np.ndarray,
) -> None:
    """Write the mean of -log(true / total) with each candidate added; see `LogLossTable`.

    Sixteen probabilities are multiplied before a logarithm is taken, in 64 lanes.

    Args:
        running: sums of true and total, float64 ``[2, example]``.
        true: int32 ``[member, example]``.
        total: float64 ``[member, example]``.
        floor: ratios are clipped to ``[floor, 1 - 2^-52]``.
        candidates: members int64 ``[candidate]``.
        losses: float64 ``[candidate]``. Written.
    """
    examples = true.shape[1]
    over, under = np.ones(_LANES), np.ones(_LANES)
    for q in range(len(candidates)):
        m = candidates[q]
        loss = 0.0
        factors = 0
        for low in range(0, examples, _LANES):
            wide = min(_LANES, examples - low)
            a, b = running[0, low : low + wide], true[m, low : low + wide]
            c, d = running[1, low : low + wide], total[m, low : low + wide]
            for i in range(wide):
                whole = c[i] + d[i]
                part = min(max(a[i] + b[i], floor * whole), _CEILING * whole)
                over[i] *= part
                under[i] *= whole
            factors += 1
            if factors == _FACTORS or low + wide == examples:
                for i in range(_LANES):
                    loss -= np.log(over[i] / under[i])
                over[:] = 1.0
                under[:] = 1.0
                factors = 0
        losses[q] = loss / examples
