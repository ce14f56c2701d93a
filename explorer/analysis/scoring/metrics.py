"""How good answers are: accuracy, proper scores, calibration, disagreement."""

import numpy as np

from explorer.analysis.scoring.combine import ZERO_PROBABILITY


def accuracy(decisions: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of examples answered right. Both ``[example]``."""
    return float(np.mean(decisions == labels))


def negative_log_likelihood(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of -log of the true class's probability, in nats.

    A probability of zero counts as 2^-25, as in `explorer.analysis.scoring.combine`.

    Args:
        probabilities: ``[example, class]``.
        labels: ``[example]``.
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(true, ZERO_PROBABILITY)).mean())


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over examples of the squared distance to the one-hot truth, in [0, 2].

    Args:
        probabilities: ``[example, class]``.
        labels: ``[example]``.
    """
    wide = probabilities.astype(np.float64)
    true = wide[np.arange(len(labels)), labels]
    return float(((wide**2).sum(axis=1) - 2 * true + 1).mean())


def calibration_error(
    confidence: np.ndarray, decisions: np.ndarray, labels: np.ndarray, *, bins: int = 15
) -> float:
    """Return the expected calibration error: mean |accuracy - confidence| over equal-width bins.

    Guo et al., arXiv 1706.04599, eq. 3, bins weighted by their share of examples; a bin holds its
    upper edge.

    Args:
        confidence: ``[example]``, in [0, 1].
        decisions: ``[example]``.
        labels: ``[example]``.
        bins: number of bins over [0, 1].
    """
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = (decisions == labels).astype(np.float64) - confidence
    return float(np.abs(np.bincount(place, weights=gap, minlength=bins)).sum() / len(labels))


def disagreement(decisions: np.ndarray) -> float:
    """Return the mean over pairs of members of the share of examples they answer differently.

    Args:
        decisions: ``[member, example]``; 0 for a single member.
    """
    pairs = [np.mean(decisions[i] != decisions[j]) for i in range(len(decisions)) for j in range(i)]
    return float(np.mean(pairs)) if pairs else 0.0
