"""Errors, coverage and their scatter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.prediction.evaluation import (
    accuracy,
    accuracy_interval,
    by_fold,
    coverage,
    relative_errors,
    worst_rows,
)

times = st.floats(1e-6, 1e3)


def test_figures_by_hand() -> None:
    found = accuracy([1.1, 0.5, 3.0, 1.0], np.array([1.0, 1.0, 2.0, 1.0]))

    assert found.rows == 4
    assert found.mape == pytest.approx((0.1 + 0.5 + 0.5 + 0.0) / 4)
    assert found.median == pytest.approx(0.3)
    assert found.p90 == pytest.approx(0.5)


@given(measured=st.lists(times, min_size=1, max_size=30), factor=st.floats(0.1, 10))
def test_one_factor_gives_one_error(measured: list[float], factor: float) -> None:
    found = accuracy(np.array(measured) * factor, np.array(measured))

    for figure in (found.mape, found.median, found.p90):
        assert figure == pytest.approx(abs(factor - 1), abs=1e-12)


@pytest.mark.parametrize(
    ("predicted", "measured"),
    [([1.0], [1.0, 2.0]), ([], []), ([np.nan], [1.0]), ([1.0], [0.0]), ([1.0], [np.inf]), ([np.inf], [1.0])],
)
def test_what_has_no_error_is_refused(predicted: list[float], measured: list[float]) -> None:
    with pytest.raises(ValueError, match=r"predictions for|finite"):
        relative_errors(predicted, np.array(measured))


def test_coverage_counts_both_ends() -> None:
    assert coverage(np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0]), np.array([1.0, 2.0, 2.1])) == (
        pytest.approx(2 / 3)
    )


def test_the_worst_are_off_by_the_largest_factor_either_way() -> None:
    assert worst_rows([1.0, 0.2, 4.0, 0.0], np.ones(4), 3) == [3, 1, 2]


def test_the_interval_holds_the_figure_and_is_wider_where_models_of_a_family_err_alike() -> None:
    generator = np.random.default_rng(0)
    families = [f"f{number // 10}" for number in range(400)]
    alike = np.repeat(generator.normal(0, 0.1, 40), 10)
    apart = generator.permutation(alike)
    truth = np.ones(400)
    first, second = (accuracy_interval(1 + error, truth, families) for error in (alike, apart))
    mape = accuracy(1 + alike, truth).mape

    assert first.mape[0] < mape < first.mape[1]
    assert first.mape[1] - first.mape[0] > 2 * (second.mape[1] - second.mape[0])


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Exponential family errors of mean 0.1: the interval holds 0.1 in about 95 of 100 draws."""
    hits = 0
    for seed in range(150):
        error = np.random.default_rng(seed).exponential(0.1, 80)
        low, high = accuracy_interval(
            1 + error, np.ones(80), [f"f{number}" for number in range(80)], seed=seed, draws=200
        ).mape
        hits += low <= 0.1 <= high

    assert 0.87 <= hits / 150 <= 0.99


def test_folds_are_predicted_by_the_others_and_put_back_in_order() -> None:
    fold = np.array([2, 0, 1, 0, 2])
    asked_with: list[tuple[list[int], list[int]]] = []

    def predict(known: np.ndarray, asked: np.ndarray) -> list[int]:
        asked_with.append((known.tolist(), asked.tolist()))
        return [10 * int(row) for row in asked]

    assert by_fold(fold, predict) == [0, 10, 20, 30, 40]
    assert asked_with == [([0, 2, 4], [1, 3]), ([0, 1, 3, 4], [2]), ([1, 2, 3], [0, 4])]


def test_a_missing_prediction_is_noticed() -> None:
    with pytest.raises(ValueError, match="zip"):
        by_fold(np.array([0, 1]), lambda known, asked: [])
