"""What an ensemble answers: probabilities of several members into one decision and one confidence.

Every rule is the argmax of a sum over members of per-member values, and a tie goes to the lowest class
index, as in `numpy.argmax`:

========== ===================================== ==================================
rule       value of a member                     arithmetic
========== ===================================== ==================================
mean       probability x 2^24                    integers: exact, a tie is a true tie
vote       1 for its own top class, else 0       integers: exact
geometric  log of the probability                float64, summed in member order
logit      the same: see below                   float64, summed in member order
========== ===================================== ==================================

A finite float16 number is a multiple of 2^-24, so ``mean`` loses nothing. A logit is a log-probability
plus a number that is the same for all classes, which softmax cancels: ``logit`` and ``geometric`` decide
alike, and from stored probabilities they are one computation. A probability stored as zero counts as
2^-25, half the smallest one float16 can hold, so that one member's rounding cannot veto a class.
"""

import numpy as np

from explorer.errors import InputDataError
from explorer.spec import Averaging

FIXED_POINT = 2**24
"""A probability of 1 in the integers of ``mean``."""
ZERO_PROBABILITY = 2.0**-25
"""What a stored zero counts as under a logarithm."""
NEAR_TIE = 1e-9
"""Two sums of logarithms closer than this may be a tie that rounding decided."""
MOST_MEMBERS = 127
"""Sums of more int32 fixed-point probabilities could overflow."""
EXACT = (Averaging.MEAN, Averaging.VOTE)
"""Rules that are decided in integers."""
_EVERY = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
_INTEGERS = (np.where(np.abs(_EVERY) <= 1, _EVERY, 0) * np.float32(FIXED_POINT)).astype(np.int32)
"""Every float16 in [-1, 1] as a multiple of 2^-24, by its bits; nothing else is a probability."""


def member_values(probabilities: np.ndarray, averaging: Averaging) -> np.ndarray:
    """Return what each member adds to the score of each class.

    Args:
        probabilities: float16 ``[member, example, class]``.
        averaging: the rule.

    Returns:
        int32 (``mean``, ``vote``) or float64 ``[member, example, class]``.

    Raises:
        InputDataError: not float16 with three axes.
    """
    _check(probabilities)
    if averaging is Averaging.MEAN:
        # a table of all 2^16 numbers is thrice as fast as to convert each of them
        return _INTEGERS.take(probabilities.view(np.uint16))
    if averaging is Averaging.VOTE:
        top = probabilities.argmax(axis=2)
        return (top[:, :, None] == np.arange(probabilities.shape[2])).astype(np.int32)
    wide = probabilities.astype(np.float64)
    return np.log(np.where(wide > 0, wide, ZERO_PROBABILITY))


def class_scores(probabilities: np.ndarray, averaging: Averaging) -> np.ndarray:
    """Return the sum over members that decides, int64 or float64 ``[example, class]``.

    Raises:
        InputDataError: not float16 with three axes.
    """
    values = member_values(probabilities, averaging)
    wide = np.int64 if averaging in EXACT else np.float64
    # one member after the other: numpy.sum may add in another order, and floats would notice
    total = values[0].astype(wide)
    for row in values[1:]:
        total += row
    return total


def average(probabilities: np.ndarray, averaging: Averaging = Averaging.MEAN) -> np.ndarray:
    """Return the ensemble's class probabilities, float64 ``[example, class]``.

    For ``vote`` that is the share of members whose top class it is.

    Raises:
        InputDataError: not float16 with three axes.
    """
    return _normalised(class_scores(probabilities, averaging), len(probabilities), averaging)


def combine(
    probabilities: np.ndarray, averaging: Averaging = Averaging.MEAN
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the ensemble decides and how sure it is.

    Args:
        probabilities: float16 ``[member, example, class]``; a member that occurs twice counts twice.
        averaging: the rule; with one member, ``mean``, ``geometric`` and ``logit`` decide alike.

    Returns:
        decisions int64 ``[example]`` and confidence float64 ``[example]``, the largest of `average`.

    Raises:
        InputDataError: not float16 with three axes.
    """
    scores = class_scores(probabilities, averaging)
    decisions = scores.argmax(axis=1)
    if averaging in EXACT:
        unit = FIXED_POINT if averaging is Averaging.MEAN else 1
        return decisions, scores.max(axis=1) / (len(probabilities) * unit)
    return decisions, _normalised(scores, len(probabilities), averaging).max(axis=1)


def near_ties(probabilities: np.ndarray, averaging: Averaging) -> int:
    """Count examples whose two best classes are too close for floating point to tell apart.

    Always 0 for ``mean`` and ``vote``: they are decided exactly.

    Raises:
        InputDataError: not float16 with three axes.
    """
    if averaging in EXACT:
        return 0
    best = np.sort(class_scores(probabilities, averaging), axis=1)
    return int((best[:, -1] - best[:, -2] < NEAR_TIE).sum())


def _normalised(scores: np.ndarray, members: int, averaging: Averaging) -> np.ndarray:
    if averaging is Averaging.MEAN:
        return scores / (members * FIXED_POINT)
    if averaging is Averaging.VOTE:
        return scores / members
    relative = np.exp((scores - scores.max(axis=1, keepdims=True)) / members)
    return relative / relative.sum(axis=1, keepdims=True)


def _check(probabilities: np.ndarray) -> None:
    if probabilities.dtype != np.float16 or probabilities.ndim != 3 or len(probabilities) == 0:
        raise InputDataError(
            "probabilities to combine must be float16 [member, example, class], "
            f"got {probabilities.dtype} {probabilities.shape}"
        )
