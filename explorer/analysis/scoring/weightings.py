"""Many weighted averages of the same members, one a row: sets with repeats, or real weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from explorer.analysis.scoring.combine import EXACT, FIXED_POINT, NEAR_TIE, member_values
from explorer.errors import InputDataError
from explorer.spec import Averaging

_MOST_WHOLE = 2**28
"""Whole weights up to this sum, times probabilities in units of 2^-24, stay below 2^53: exact in float64."""
_SCORES_AT_ONCE = 4_000_000
_INFINITE, _MINUS_ZERO = 0x7C00, 0x8000
_LOGS = member_values(
    np.arange(_INFINITE, dtype=np.uint16).view(np.float16)[None, None], Averaging.GEOMETRIC
)[0, 0]
"""Logarithm of every finite float16 that is not negative, by its code."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weightings:
    """How much each member counts, row by row."""

    matrix: np.ndarray | csr_array
    """float64 ``[row, member]``: dense for real weights, sparse in slot order for sets, so that logarithms
    are added in the order of `combine`."""
    totals: np.ndarray
    """Sum of each row, float64 ``[row]``; 1 for real weights."""
    whole: np.ndarray
    """Whether a row's weights are whole numbers and sums of them exact, bool ``[row]``."""

    @property
    def rows(self) -> int:
        """Return how many averages there are."""
        return len(self.totals)

    def chunks(self, entries: int) -> Iterator[tuple[slice, np.ndarray | csr_array]]:
        """Yield rows a few at a time, so that ``[row, entry]`` stays small."""
        step = max(1, _SCORES_AT_ONCE // max(1, entries))
        for start in range(0, self.rows, step):
            part = slice(start, start + step)
            yield part, self.matrix[part]

    def tolerance(self, averaging: Averaging, unit: float) -> np.ndarray:
        """Return how close two sums must be to count as a near-tie, float64 ``[row]``; -1 for never.

        Args:
            averaging: the rule.
            unit: what a probability of 1 is in the sums.
        """
        near = NEAR_TIE * self.totals * unit
        return np.where(self.whole, -1.0, near) if averaging in EXACT else near


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """One metric of many averages."""

    values: np.ndarray
    """float64 ``[row]``"""
    near_ties: np.ndarray
    """Examples whose part in the metric rounding may have decided, int64 ``[row]``."""


def weightings_of_sets(sets: np.ndarray, members: int) -> Weightings:
    """Read sets of members as weightings.

    Args:
        sets: member indices, integers ``[set, slot]``, padded with -1 at the end; a repeat counts again.
        members: how many there are.

    Raises:
        InputDataError: another shape or type, an empty set, an index out of range, padding before the end.
    """
    if sets.ndim != 2 or sets.dtype.kind not in "iu":
        raise InputDataError(f"sets must be integers [set, slot], got {sets.dtype} {list(sets.shape)}")
    held = sets >= 0
    sizes = held.sum(axis=1)
    if (sets < -1).any() or (sets >= members).any():
        raise InputDataError(f"sets hold members {sets.min()} to {sets.max()}, there are 0 to {members - 1}")
    if (held[:, 1:] & ~held[:, :-1]).any() or (sizes == 0).any():
        raise InputDataError("a set must have a member, and -1 only after its last one")
    matrix = csr_array(
        (np.ones(int(sizes.sum())), sets[held].astype(np.int32), np.append(0, np.cumsum(sizes))),
        shape=(len(sets), members),
    )
    return Weightings(matrix=matrix, totals=sizes.astype(np.float64), whole=np.ones(len(sets), dtype=bool))


def weightings_of_weights(weights: np.ndarray, members: int) -> Weightings:
    """Read real weights as weightings: normalised, except that whole and equal ones stay exact.

    Args:
        weights: non-negative, ``[row, member]``.
        members: how many there are.

    Raises:
        InputDataError: another shape, a negative or infinite weight, a row of zeros.
    """
    wide = np.array(weights, dtype=np.float64)
    if wide.ndim != 2 or wide.shape[1] != members:
        raise InputDataError(f"weights must be [row, {members} members], got {list(wide.shape)}")
    if not np.isfinite(wide).all() or (wide < 0).any():
        raise InputDataError("weights must be finite and not negative")
    most = wide.max(axis=1, keepdims=True, initial=0.0)
    if (most == 0).any():
        raise InputDataError(f"weights of row {int(np.argmin(most))} are all zero")
    equal = ((wide == most) | (wide == 0)).all(axis=1)
    wide[equal] = wide[equal] > 0
    whole = (wide == np.floor(wide)).all(axis=1) & (most[:, 0] <= _MOST_WHOLE)
    # summed only where it cannot overflow
    whole[whole] = wide[whole].sum(axis=1) <= _MOST_WHOLE
    wide[~whole] /= most[~whole]
    wide[~whole] /= wide[~whole].sum(axis=1, keepdims=True)
    totals = np.where(whole, np.where(whole[:, None], wide, 0.0).sum(axis=1), 1.0)
    return Weightings(matrix=wide, totals=totals, whole=whole)


def check_block(block: np.ndarray) -> np.ndarray:
    """Return float16 probabilities as uint16 codes, whose order is that of the numbers.

    Raises:
        InputDataError: a probability is negative or not finite.
    """
    codes: np.ndarray = block.view(np.uint16)
    if codes.size and codes.max() >= _INFINITE:
        codes = np.where(codes == _MINUS_ZERO, np.uint16(0), codes)
        if codes.max() >= _INFINITE:
            raise InputDataError("probabilities must be finite and not negative")
    return codes


def check_labels(labels: np.ndarray, examples: int, classes: int) -> np.ndarray:
    """Return labels as int64 ``[example]``.

    Raises:
        InputDataError: no examples, another number of labels, or one that is no class.
    """
    if labels.shape != (examples,) or labels.dtype.kind not in "iu" or examples == 0:
        raise InputDataError(
            f"labels must be integers [{examples} examples], one at least, got {labels.dtype} "
            f"{list(labels.shape)}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InputDataError(f"labels are {labels.min()} to {labels.max()}, classes 0 to {classes - 1}")
    checked: np.ndarray = labels.astype(np.int64)
    return checked


def votes_or_codes(codes: np.ndarray, averaging: Averaging) -> np.ndarray:
    """Return what decides who beats whom, uint16 ``[member, example, class]``: votes, or the codes."""
    if averaging is not Averaging.VOTE:
        return codes
    return (codes.argmax(axis=2)[:, :, None] == np.arange(codes.shape[2])).astype(np.uint16)


def unit_of(averaging: Averaging) -> float:
    """Return what a probability of 1, or a vote, is in the sums; 1 for logarithms."""
    return float(FIXED_POINT) if averaging is Averaging.MEAN else 1.0


def values_of(codes: np.ndarray, averaging: Averaging) -> np.ndarray:
    """Return what members add to the sums, of the same shape as ``codes``.

    Args:
        codes: of `check_block`, or votes 0 and 1 for ``vote``.
        averaging: the rule.

    Returns:
        float32, exact, for ``mean`` (in units of 2^-24) and ``vote``; float64 for logarithms.
    """
    if averaging is Averaging.VOTE:
        return codes.astype(np.float32)
    if averaging is Averaging.MEAN:
        return codes.view(np.float16).astype(np.float32) * np.float32(FIXED_POINT)
    logs: np.ndarray = _LOGS[codes]
    return logs
