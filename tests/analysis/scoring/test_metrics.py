import numpy as np
import pytest
from sklearn.metrics import log_loss

from explorer.analysis.scoring.metrics import (
    accuracy,
    brier,
    calibration_error,
    disagreement,
    negative_log_likelihood,
)

RNG = np.random.default_rng(3)
CHANCE = RNG.dirichlet(np.ones(7), 101)
LABELS = RNG.integers(0, 7, 101)


def test_against_scikit_learn_and_written_out_sums() -> None:
    assert negative_log_likelihood(CHANCE, LABELS) == pytest.approx(log_loss(LABELS, CHANCE, labels=range(7)))
    assert brier(CHANCE, LABELS) == pytest.approx(((CHANCE - np.eye(7)[LABELS]) ** 2).sum(axis=1).mean())
    assert accuracy(CHANCE.argmax(axis=1), LABELS) == np.mean(CHANCE.argmax(axis=1) == LABELS)


def test_a_stored_zero_has_a_finite_loss() -> None:
    assert negative_log_likelihood(np.array([[0.0, 1.0]]), np.array([0])) == pytest.approx(25 * np.log(2))


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    decisions, labels = np.array([1, 1, 1, 1]), np.array([1, 0, 1, 1])
    assert calibration_error(confidence, decisions, labels, bins=10) == pytest.approx(
        0.5 * abs(0.5 - 0.95) + 0.5 * abs(1 - 0.55)
    )
    assert calibration_error(np.array([1.0, 0.0]), np.array([1, 1]), np.array([1, 0])) == 0


def test_disagreement_is_the_mean_over_pairs() -> None:
    assert disagreement(np.array([[0, 1, 2], [0, 1, 1], [1, 1, 2]])) == pytest.approx((1 + 1 + 2) / 9)
    assert disagreement(np.array([[0, 1, 2]])) == 0
