"""Resampled intervals: draws as a plain loop makes them, and coverage in simulation."""

import numpy as np
import pytest
from scipy import stats

from explorer.analysis.statistics.resampled import (
    basic_interval,
    calibrated_error,
    draw_counts,
    percentile_interval,
)


def test_draws_are_draws_with_replacement() -> None:
    counts = np.concatenate(list(draw_counts(7, draws=20_000)))

    assert counts.shape == (20_000, 7)
    assert (counts.sum(axis=1) == 7).all()
    seen = np.bincount(counts[:, 3].astype(int), minlength=8) / 20_000
    assert seen == pytest.approx(stats.binom.pmf(np.arange(8), 7, 1 / 7), abs=0.012)
    # two places of one draw: multinomial covariance
    assert np.cov(counts[:, 0], counts[:, 1])[0, 1] == pytest.approx(-1 / 7, abs=0.02)


def test_blocks_do_not_change_the_draws(monkeypatch) -> None:
    whole = np.concatenate(list(draw_counts(11, draws=50)))
    monkeypatch.setattr("explorer.analysis.statistics.resampled._NUMBERS_A_BLOCK", 40)
    blocks = list(draw_counts(11, draws=50))

    assert len(blocks) > 10
    assert np.array_equal(np.concatenate(blocks), whole)


def test_intervals_by_hand() -> None:
    resampled = np.arange(1001) / 1000

    plain = percentile_interval(0.4, resampled, 9)
    assert (plain.low, plain.high, plain.n) == (pytest.approx(0.025), pytest.approx(0.975), 9)
    basic = basic_interval(0.4, resampled, 9)
    assert (basic.low, basic.high) == (pytest.approx(-0.175), pytest.approx(0.775))
    assert basic_interval(0.4, resampled, 9, least=0.0, most=0.5).low == 0.0
    assert basic_interval(0.4, resampled, 9, least=0.0, most=0.5).high == 0.5
    # all resamples on one side: the value stays inside
    assert basic_interval(2.0, resampled, 9).low == 2.0


def test_mean_is_covered_as_often_as_said() -> None:
    random = np.random.default_rng(5)
    counts = np.concatenate(list(draw_counts(200, draws=400)))
    hits = 0
    for _ in range(300):
        losses = random.exponential(1.0, 200)
        found = percentile_interval(losses.mean(), counts @ losses / 200, 200)
        hits += found.low <= 1.0 <= found.high
    assert 0.90 <= hits / 300 <= 0.98


def test_a_calibrated_classifier_stays_below_its_limit() -> None:
    random = np.random.default_rng(6)
    confidence = random.beta(6, 1, 800)
    place = np.minimum((confidence * 15).astype(int), 14)
    limit = calibrated_error(confidence, place, bins=15)
    errors = []
    for _ in range(600):
        right = random.random(800) < confidence
        errors.append(np.abs(np.bincount(place, right - confidence, minlength=15)).sum() / 800)
    assert np.mean(np.array(errors) > limit) == pytest.approx(0.025, abs=0.02)
    # one that is too sure by six points is above it
    too_sure = random.random(800) < confidence - 0.1
    assert np.abs(np.bincount(place, too_sure - confidence, minlength=15)).sum() / 800 > limit
