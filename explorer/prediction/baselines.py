"""The simple predictors that a better one has to beat, fitted and tested on the same folds.

Each takes totals of one example that need no trace: multiply-adds and activations (outputs of
convolutions and linear layers), and gives seconds per example.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import nnls

Estimator = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Features of the rows to fit [row, feature], their seconds [row], features to predict -> seconds."""

MACS, MACTS = 0, 1
"""Columns of the features: multiply-adds and activations of one example."""


def macs_only(fitted: np.ndarray, seconds: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Predict seconds as one constant times the multiply-adds: the geometric mean of the ratios."""
    constant = np.exp(np.mean(np.log(seconds / fitted[:, MACS])))
    return constant * asked[:, MACS]


def macs_activations(fitted: np.ndarray, seconds: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Predict seconds as two constants, 0 or more, times multiply-adds and activations.

    Least squares on the relative error, as the times span four orders of magnitude.
    """
    columns = [MACS, MACTS]
    return asked[:, columns] @ relative_nnls(fitted[:, columns], seconds)


def relative_nnls(features: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Return weights [feature], 0 or more, that minimise the sum of squared relative errors.

    Args:
        features: totals of each row [row, feature].
        seconds: what each row took [row], above 0.
    """
    scale = features.mean(axis=0) + features.std(axis=0)
    used = scale > 0
    weights = np.zeros(features.shape[1])
    scaled = features[:, used] / scale[used] / seconds[:, None]
    solution, _ = nnls(scaled, np.ones(len(seconds)), maxiter=50 * scaled.shape[1] + 1000)
    weights[used] = solution / scale[used]
    return weights


def roofline(peak_flops: float, bandwidth: float, item_bytes: int) -> Estimator:
    """Return the predictor that needs no fit: the larger of arithmetic and memory time at the device's peaks.

    Every activation is written once and read once; a multiply-add is two operations.

    Args:
        peak_flops: operations a second in the precision of the run, dense.
        bandwidth: bytes a second of main memory.
        item_bytes: bytes of one activation.
    """

    def predict(fitted: np.ndarray, seconds: np.ndarray, asked: np.ndarray) -> np.ndarray:
        del fitted, seconds
        arithmetic = 2 * asked[:, MACS] / peak_flops
        memory = 2 * item_bytes * asked[:, MACTS] / bandwidth
        return np.maximum(arithmetic, memory)

    return predict


def held_out(estimator: Estimator, features: np.ndarray, seconds: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the prediction of each row [row] by the estimator fitted on the other folds.

    Args:
        estimator: one of this module's.
        features: totals of each row [row, feature].
        seconds: what each row took [row].
        fold: which fold each row is in [row].
    """
    predicted = np.full(len(seconds), np.nan)
    for number in np.unique(fold):
        out = fold == number
        predicted[out] = estimator(features[~out], seconds[~out], features[out])
    return predicted
