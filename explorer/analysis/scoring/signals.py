"""How sure a stage is of its answer, example by example: what an exit threshold is compared with.

========= ==================================================================== =================
signal    value                                                                leaves when it is
========= ==================================================================== =================
p         largest class probability                                            at least
margin    largest minus second largest class probability                       at least
entropy   of the class probabilities, in nats                                  at most
agreement share of the members, repeats counted, whose top class is the answer at least
========= ==================================================================== =================

Under ``mean`` and ``vote`` a value but the entropy is a quotient of whole numbers, rounded once: equal
ones are equal numbers, and a threshold that names one exactly holds for it. Probabilities come as stored:
float16 ones need not sum to 1. Only the entropy, which has no meaning otherwise, is that of the
probabilities divided by their sum.
"""

import numpy as np
from scipy.special import entr

from explorer.analysis.scoring.combine import EXACT, FIXED_POINT, average, class_scores
from explorer.spec import Averaging, Exit, Signal


def signal_values(
    signal: Signal, probabilities: np.ndarray, averaging: Averaging = Averaging.MEAN
) -> np.ndarray:
    """Return how sure an ensemble is of each example, float64 ``[example]``.

    Args:
        signal: which of the four.
        probabilities: float16 ``[member, example, class]``; a member that occurs twice counts twice.
        averaging: the rule.

    Raises:
        InputDataError: not float16 with three axes.
    """
    scores = class_scores(probabilities, averaging)
    if signal is Signal.AGREEMENT:
        return agreement(probabilities.argmax(axis=2), scores.argmax(axis=1))
    if averaging not in EXACT:
        return score_signal(signal, average(probabilities, averaging), 1)
    unit = FIXED_POINT if averaging is Averaging.MEAN else 1
    return score_signal(signal, scores, len(probabilities) * unit)


def score_signal(signal: Signal, scores: np.ndarray, whole: int) -> np.ndarray:
    """Return a signal that follows from the members' combined scores alone, float64 ``[example]``.

    Args:
        signal: any but ``agreement``, for which see the function of that name.
        scores: 0 or more ``[example, class]``: the whole numbers that ``mean`` and ``vote`` add up, or
            probabilities.
        whole: the score that is a probability of 1.

    Raises:
        ValueError: the signal is ``agreement``.
    """
    if signal is Signal.P:
        return np.asarray(scores.max(axis=1) / whole)
    if signal is Signal.MARGIN:
        if scores.shape[1] == 1:
            return np.asarray(scores[:, 0] / whole)
        best = np.partition(scores, -2, axis=1)
        return np.asarray((best[:, -1] - best[:, -2]) / whole)
    if signal is Signal.ENTROPY:
        total = scores.sum(axis=1, keepdims=True)
        # nothing but zeros tells nothing: as unsure as all classes alike
        shares = np.where(total > 0, scores / np.where(total > 0, total, 1), 1 / scores.shape[1])
        return np.asarray(entr(shares).sum(axis=1))
    raise ValueError("agreement does not follow from the combined scores; use agreement()")


def agreement(tops: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """Return the share of members whose own top class is the decision, float64 ``[example]``.

    Args:
        tops: each member's own top class, int ``[member, example]``.
        decisions: of all together, int ``[example]``.
    """
    return np.asarray((tops == decisions).sum(axis=0) / len(tops))


def leaves(values: np.ndarray, leave: Exit) -> np.ndarray:
    """Tell which examples a threshold lets go, bool ``[example]``; one exactly at it leaves."""
    return reaches(values, leave.signal, leave.threshold)


def reaches(values: np.ndarray, signal: Signal, threshold: float) -> np.ndarray:
    """Tell which values are on the sure side of a threshold or at it, bool like ``values``.

    Args:
        values: of the signal.
        signal: says which side is sure.
        threshold: any number, also one that no exit of a design can have.
    """
    return np.asarray(values <= threshold if signal is Signal.ENTROPY else values >= threshold)
