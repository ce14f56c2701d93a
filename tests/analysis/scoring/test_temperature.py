"""One temperature, against a fine grid and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.analysis.scoring.metrics import negative_log_likelihood
from explorer.analysis.scoring.temperature import fit_temperature, tempered_losses
from explorer.errors import InputDataError


def made(seed: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Answers drawn from softmax(logits), then made too sharp or too flat."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (4000, 5))
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (chance.cumsum(axis=1) < random.random((4000, 1))).sum(axis=1)
    raised = chance**sharpness
    return raised / raised.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0, 3.0])
def test_the_temperature_undoes_what_was_done(sharpness: float) -> None:
    probabilities, labels = made(0, sharpness)
    assert fit_temperature(probabilities, labels) == pytest.approx(sharpness, rel=0.05)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.3, 3))
def test_no_temperature_on_a_fine_grid_is_better(seed: int, sharpness: float) -> None:
    probabilities, labels = made(seed, sharpness)
    found = fit_temperature(probabilities[:300], labels[:300])
    best = tempered_losses(probabilities[:300], labels[:300], found).mean()
    for other in found * np.geomspace(0.2, 5, 41):
        assert best <= tempered_losses(probabilities[:300], labels[:300], other).mean() + 1e-9


def test_temperature_one_is_the_plain_loss() -> None:
    probabilities, labels = made(1, 1.0)
    assert tempered_losses(probabilities, labels, 1.0).mean() == pytest.approx(
        negative_log_likelihood(probabilities, labels), abs=1e-9
    )


def test_two_classes_by_hand() -> None:
    """Always 0.9 sure and right in 8 of 10: the best answer is 0.8, odds 4 = 9^(1/T)."""
    probabilities = np.array([[0.9, 0.1]] * 10)
    labels = np.array([0] * 8 + [1] * 2)
    assert fit_temperature(probabilities, labels) == pytest.approx(np.log(9) / np.log(4))


def test_where_every_answer_is_right_the_sharpest_is_best() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10)
    labels = np.zeros(10, int)
    assert tempered_losses(probabilities, labels, fit_temperature(probabilities, labels)).max() < 1e-12
    assert fit_temperature(probabilities, np.ones(10, int)) == pytest.approx(1000, rel=0.01)


def test_a_stored_zero_is_no_infinite_loss() -> None:
    assert np.isfinite(tempered_losses(np.array([[1.0, 0.0]]), np.array([1]), 1.0)).all()


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputDataError, match="as many labels"):
        fit_temperature(np.ones((3, 2)) / 2, np.zeros(2, int))
    with pytest.raises(InputDataError, match=r"got \[0, 2\]"):
        tempered_losses(np.ones((0, 2)), np.zeros(0, int), 1.0)
