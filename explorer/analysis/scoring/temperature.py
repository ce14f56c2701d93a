"""One temperature for an ensemble's averaged answer, and the loss it leaves.

Calibrated negative log-likelihood (Ashukha et al., arXiv 2002.06470, section 4; Lobacheva et al., arXiv
2007.08483): members are averaged first, the average is tempered after, with the temperature that is best on
other examples than those the loss is reported on.
"""

import numpy as np

from explorer.analysis.scoring.combine import ZERO_PROBABILITY
from explorer.errors import InputDataError

_STEPS = 50
_ENOUGH = 1e-10
_RANGE = (1e-3, 1e3)
"""Exponents 1 / temperature that are looked at."""


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature with the lowest mean negative log-likelihood.

    The loss is convex in 1 / temperature (a log-partition function minus a linear term), so Newton's
    method with bisection as its guard finds the one minimum between 0.001 and 1000. Where the loss falls
    for ever (every example right), a temperature is returned at which nothing of it is left to tell.

    Args:
        probabilities: averaged, ``[example, class]``; zero counts as 2^-25.
        labels: ``[example]``.

    Raises:
        InputDataError: no examples, or another number of labels.
    """
    logs = _logs(probabilities, labels)
    true = logs[np.arange(len(labels)), labels].mean()
    low, high = _RANGE
    power = 1.0
    for _ in range(_STEPS):
        slope, curvature = _slope(logs, true, power)
        low, high = (power, high) if slope < 0 else (low, power)
        step = power - slope / curvature if curvature > 0 else 0.0
        new = step if low < step < high else (low * high) ** 0.5
        if abs(new - power) <= _ENOUGH * power:
            break
        power = new
    return 1 / power


def tempered_losses(probabilities: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
    """Return each example's negative log-likelihood in nats after tempering, float64 ``[example]``.

    Probabilities to the power 1 / temperature, made to add up to 1 again.

    Raises:
        InputDataError: as `fit_temperature`.
    """
    logs = _logs(probabilities, labels) / temperature
    true = logs[np.arange(len(labels)), labels]
    most = logs.max(axis=1)
    return most + np.log(np.exp(logs - most[:, None]).sum(axis=1)) - true


def _logs(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if probabilities.ndim != 2 or len(probabilities) == 0 or len(labels) != len(probabilities):
        raise InputDataError(
            f"wanted probabilities [example, class] and as many labels, got {list(probabilities.shape)} "
            f"and {len(labels)} labels"
        )
    return np.log(np.maximum(probabilities.astype(np.float64), ZERO_PROBABILITY))


def _slope(logs: np.ndarray, true: float, power: float) -> tuple[float, float]:
    """Return first and second derivative of the loss by the power: mean and variance of the logs."""
    raised = power * logs
    weight = np.exp(raised - raised.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    mean = (weight * logs).sum(axis=1)
    square = (weight * logs**2).sum(axis=1)
    return float(mean.mean() - true), float((square - mean**2).mean())
