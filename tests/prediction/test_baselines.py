"""The simple predictors, against closed forms and a search by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.prediction.baselines import held_out, macs_activations, macs_only, relative_nnls, roofline


def random_totals(seed: int, rows: int = 50) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(0, 2, (rows, 2))) * [3e9, 7e6]


@given(seed=st.integers(0, 50))
def test_what_is_linear_is_found_exactly(seed: int) -> None:
    totals = random_totals(seed)
    seconds = totals @ [2e-13, 5e-11]

    assert macs_activations(totals[:30], seconds[:30], totals[30:]) == pytest.approx(seconds[30:], rel=1e-9)
    assert macs_only(totals[:30], totals[:30, 0] * 3e-13, totals[30:]) == pytest.approx(
        totals[30:, 0] * 3e-13
    )


def test_macs_alone_is_the_geometric_mean_of_the_ratios() -> None:
    totals = np.array([[1.0, 9.0], [2.0, 9.0]])

    # ratios 2 and 8: their geometric mean is 4
    assert macs_only(totals, np.array([2.0, 16.0]), np.array([[5.0, 9.0]])) == pytest.approx([20.0])


def test_nnls_minimises_the_relative_error_with_weights_of_zero_or_more() -> None:
    totals = random_totals(3)
    seconds = totals @ [2e-13, 5e-11] * np.exp(np.random.default_rng(4).normal(0, 0.3, len(totals)))
    found = relative_nnls(totals, seconds)

    def loss(weights: np.ndarray) -> float:
        return float((((totals @ weights) / seconds - 1) ** 2).sum())

    for factor in np.exp(np.random.default_rng(5).normal(0, 0.1, (300, 2))):
        assert loss(found) <= loss(found * factor) + 1e-12


def test_a_harmful_feature_gets_no_weight_and_an_empty_one_neither() -> None:
    totals = np.array([[1.0, 3.0, 0.0], [2.0, 2.0, 0.0], [3.0, 1.0, 0.0]])

    assert relative_nnls(totals, totals[:, 0] - 0.2 * totals[:, 1])[1:] == pytest.approx([0.0, 0.0])


def test_the_roofline_is_the_larger_of_two_times() -> None:
    predict = roofline(100.0, 10.0, 2)
    nothing = np.empty((0, 2))

    # 2 x 500 / 100 = 10 s against 2 x 2 x 5 / 10 = 2 s; 2 x 5 / 100 against 2 x 2 x 50 / 10 = 20 s
    assert predict(nothing, np.empty(0), np.array([[500.0, 5.0], [5.0, 50.0]])).tolist() == [10.0, 20.0]


def test_a_fold_is_predicted_without_itself() -> None:
    totals = np.ones((6, 2))
    seconds = np.array([1.0, 1.0, 10.0, 10.0, 100.0, 100.0])
    fold = np.array([0, 0, 1, 1, 2, 2])

    # every fold gets the geometric mean of the two others
    assert held_out(macs_only, totals, seconds, fold) == pytest.approx(np.repeat([10**1.5, 10.0, 10**0.5], 2))
