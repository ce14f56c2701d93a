"""Scoring a predictor: nothing leaks, and the figures are those of a computation by hand."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explorer.errors import InputDataError
from explorer.prediction.families import folds
from explorer.prediction.scores import Peaks, score_table, score_transfer

RATES = (2e-13, 5e-11, 3e-10)


def totals_of(rows: Sequence[Any]) -> np.ndarray:
    return np.array([row.kernels[:2] for row in rows])


def test_a_linear_table_is_predicted_exactly(stand_in: SimpleNamespace) -> None:
    rows = stand_in.rows(RATES)
    score = score_table("t", rows, totals_of(rows), fit=stand_in.fit)

    assert score.rows == 120
    assert score.accuracy["ours"].mape < 1e-6
    assert score.accuracy["macs"].mape > 0.1
    assert score.accuracy["roofline"] is None
    assert all(entry.right_of_decided == pytest.approx(1, abs=0.01) for entry in score.decisions)


def test_scatter_is_seen_as_large_as_it_is_and_covered(stand_in: SimpleNamespace) -> None:
    rows = stand_in.rows(RATES, scatter=0.1, families=26)
    score = score_table("t", rows, totals_of(rows), fit=stand_in.fit)

    # the mean absolute deviation of a normal is 0.8 sigma
    assert score.accuracy["ours"].mape == pytest.approx(0.08, abs=0.015)
    assert score.coverage90 == pytest.approx(0.9, abs=0.06)
    worst = [abs(np.log(score.figures[row].value / rows[row].seconds)) for row in score.worst]
    assert worst == sorted(worst, reverse=True)


def test_no_family_is_fitted_and_predicted_at_once(stand_in: SimpleNamespace) -> None:
    rows = stand_in.rows(RATES)
    fitted: list[set[str]] = []

    class Watching:
        def __init__(self, samples: Sequence[Any]) -> None:
            self.inner, self.known = stand_in.fit(samples), {sample.family for sample in samples}

        def predict(self, samples: Sequence[Any]) -> Sequence[Any]:
            assert not self.known & {sample.family for sample in samples}
            fitted.append(self.known)
            return self.inner.predict(samples)  # itself checks that no seconds are given

    score_table("t", rows, totals_of(rows), fit=Watching)

    assert len(fitted) == 5


def test_the_simple_ones_are_scored_per_example_on_rows_with_totals(stand_in: SimpleNamespace) -> None:
    rows = stand_in.rows((2e-13, 0, 0))
    totals = totals_of(rows)
    totals[:7, 1] = np.nan
    peaks = Peaks(flops=2e13, bandwidth=1e30, item_bytes=2)
    found = score_table("t", rows, totals, fit=stand_in.fit, peaks=peaks).accuracy

    assert found["ours"].rows == 120
    assert found["macs"].rows == found["macs_activations"].rows == found["roofline"].rows == 113
    assert found["macs"].mape < 1e-9
    assert found["roofline"].mape == pytest.approx(0.5)  # 2 / 2e13 a MAC is half of the truth


def test_a_table_without_totals_has_no_simple_ones(stand_in: SimpleNamespace) -> None:
    rows = stand_in.rows(RATES)
    found = score_table("t", rows, np.full((120, 2), np.nan), fit=stand_in.fit).accuracy

    assert found["macs"] is found["macs_activations"] is found["roofline"] is None


def test_too_few_families_are_refused(stand_in: SimpleNamespace) -> None:
    rows = stand_in.rows(RATES, families=4)

    with pytest.raises(InputDataError, match=r"24 rows of 4 model families \(anet, bnet, cnet, dnet\)"):
        score_table("t", rows, totals_of(rows), fit=stand_in.fit)


def scaled(factor: float, stand_in: SimpleNamespace) -> Any:
    def move(samples: Sequence[Any], target: Any) -> Any:
        fitted = stand_in.fit(samples)
        return stand_in.Additive(fitted.weights * factor, fitted.spread)

    return move


def test_transfer_scores_both_steps(stand_in: SimpleNamespace) -> None:
    source, target = stand_in.rows(RATES), stand_in.rows([rate / 2 for rate in RATES], seed=1)
    score = score_transfer(
        source,
        target,
        move=scaled(0.6, stand_in),
        calibrate=stand_in.calibrate,
        plan=lambda predictor, rows, runs: range(runs),
        runs=10,
    )

    assert score.peaks.mape == pytest.approx(0.2)  # 0.6 where 0.5 was true
    assert score.calibrated is not None
    assert score.calibrated.mape < 1e-6
    assert [len(models) for models in score.calibration_models] == [10] * 5
    assert score.rows == 120


def test_neither_fit_nor_calibration_nor_plan_sees_what_is_asked(stand_in: SimpleNamespace) -> None:
    source, target = stand_in.rows(RATES), stand_in.rows(RATES, seed=1)
    seen: list[set[str]] = []

    def move(samples: Sequence[Any], example: Any) -> Any:
        assert np.isnan(example.seconds)
        seen.append({sample.family for sample in samples})
        return Watching(stand_in.fit(samples), seen[-1])

    class Watching:
        def __init__(self, inner: Any, known: set[str]) -> None:
            self.inner, self.known = inner, known

        def predict(self, samples: Sequence[Any]) -> Any:
            assert not self.known & {sample.family for sample in samples}
            return self.inner.predict(samples)

    def plan(predictor: Any, rows: Sequence[Any], runs: int) -> list[int]:
        assert all(np.isnan(row.seconds) for row in rows)
        assert {row.family for row in rows} == seen[-1]
        return list(range(0, 5 * runs, 5))

    def calibrate(predictor: Any, samples: Sequence[Any]) -> Any:
        assert {sample.family for sample in samples} <= predictor.known
        assert not any(np.isnan(sample.seconds) for sample in samples)
        return Watching(stand_in.calibrate(predictor.inner, samples), predictor.known)

    score = score_transfer(source, target, move=move, calibrate=calibrate, plan=plan, runs=7)

    fold = folds([row.family for row in (*source, *target)])[len(source) :]
    for number, models in enumerate(score.calibration_models):
        out = {row.model for row, place in zip(target, fold, strict=True) if place == number}
        assert not out & set(models)


def test_no_runs_is_no_calibration(stand_in: SimpleNamespace) -> None:
    rows = stand_in.rows(RATES)
    score = score_transfer(
        rows, rows, move=scaled(1, stand_in), calibrate=stand_in.calibrate, plan=lambda p, r, n: [], runs=0
    )

    assert score.calibrated is score.calibrated_interval is score.calibrated_coverage90 is None
    assert score.calibration_models == ()


def test_a_planner_that_repeats_itself_or_has_too_few_rows_is_noticed(stand_in: SimpleNamespace) -> None:
    rows = stand_in.rows(RATES)
    move = scaled(1, stand_in)

    with pytest.raises(ValueError, match="3 different rows"):
        score_transfer(
            rows, rows, move=move, calibrate=stand_in.calibrate, plan=lambda p, r, n: [0] * n, runs=3
        )
    with pytest.raises(InputDataError, match="200 calibration runs"):
        score_transfer(
            rows, rows, move=move, calibrate=stand_in.calibrate, plan=lambda p, r, n: range(n), runs=200
        )
