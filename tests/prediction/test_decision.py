"""Cheaper, dearer or too close: the rule by hand, its symmetries, the test against every pair in a loop."""

import dataclasses
import math
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.convention import Basis
from explorer.prediction.decision import (
    FIGURE_LEVEL,
    MEMBER_COUNTS,
    RATIO_BINS,
    Verdict,
    decide,
    decision_test,
)
from explorer.record import CostFigure

CHEAPER, DEARER, CLOSE = Verdict.CHEAPER, Verdict.DEARER, Verdict.TOO_CLOSE
OPPOSITE = {CHEAPER: DEARER, DEARER: CHEAPER, CLOSE: CLOSE}


def figure(value: float, factor: float = 1.0, *, basis: Basis = Basis.FITTED) -> CostFigure:
    return CostFigure(value=value, low=value / factor, high=value * factor, basis=basis)


figures = st.builds(
    lambda value, down, up: CostFigure(value=value, low=value / down, high=value * up, basis=Basis.FITTED),
    st.floats(0.01, 100),
    st.floats(1, 3),
    st.floats(1, 3),
)


def test_the_margin_is_the_root_of_the_squares() -> None:
    # at confidence 0.95 the pair's 90 % interval decides: log arms of 0.3 and 0.4 reach 0.5 together
    first, second = figure(1.0, math.exp(0.3)), figure(1.0, math.exp(0.4))

    for gap, said in ((0.49, CLOSE), (0.51, CHEAPER), (-0.49, CLOSE), (-0.51, DEARER)):
        moved = figure(second.value * math.exp(gap), math.exp(0.4))
        assert decide(first, moved, confidence=0.95) is said


def test_only_the_arms_between_the_two_count() -> None:
    first = CostFigure(value=1.0, low=0.01, high=1.1, basis=Basis.FITTED)
    second = CostFigure(value=2.0, low=1.8, high=200.0, basis=Basis.FITTED)

    assert decide(first, second, confidence=0.95) is CHEAPER


def test_shared_errors_cancel_within_one_basis_only() -> None:
    first, second = figure(1.0, 2.0), figure(1.1, 2.0)
    elsewhere = dataclasses.replace(second, basis=Basis.MEASURED)

    assert decide(first, second) is CLOSE
    assert decide(first, second, correlation=1.0) is CHEAPER
    assert decide(first, elsewhere, correlation=1.0) is CLOSE


def test_bounds_only_decide_where_they_can() -> None:
    at_least = CostFigure(value=5.0, low=5.0, high=math.inf, basis=Basis.BOUND)
    at_most = CostFigure(value=5.0, low=0.0, high=5.0, basis=Basis.BOUND)

    assert decide(figure(1.0, 1.2), at_least) is CHEAPER
    assert decide(figure(50.0, 1.2), at_least) is CLOSE
    assert decide(figure(50.0, 1.2), at_most) is DEARER
    assert decide(figure(1.0, 1.2), at_most) is CLOSE
    assert decide(at_least, at_least, correlation=1.0) is CLOSE


@given(first=figures, second=figures, correlation=st.floats(-1, 1), confidence=st.floats(0.5, 0.99))
def test_the_other_way_round_is_the_opposite(
    first: CostFigure, second: CostFigure, correlation: float, confidence: float
) -> None:
    one = decide(first, second, correlation=correlation, confidence=confidence)

    assert decide(second, first, correlation=correlation, confidence=confidence) is OPPOSITE[one]


@given(first=figures, second=figures)
def test_more_confidence_never_calls_more(first: CostFigure, second: CostFigure) -> None:
    said = [decide(first, second, confidence=level) for level in (0.5, 0.7, 0.9, 0.99)]
    called = [verdict is not CLOSE for verdict in said]

    assert called == sorted(called, reverse=True)
    assert len({verdict for verdict in said if verdict is not CLOSE}) <= 1


@given(value=st.floats(0.01, 100), members=st.integers(2, 8))
def test_more_of_the_same_model_are_dearer_when_errors_are_shared(value: float, members: int) -> None:
    one, many = figure(value, 3.0), figure(value * members, 3.0)

    assert decide(many, one, correlation=1.0) is DEARER


@pytest.mark.parametrize(
    "bad",
    [
        CostFigure(value=0.0, low=0.0, high=1.0, basis=Basis.FITTED),
        CostFigure(value=-1.0, low=-2.0, high=1.0, basis=Basis.FITTED),
        CostFigure(value=math.nan, low=0.0, high=1.0, basis=Basis.FITTED),
        CostFigure(value=math.inf, low=0.0, high=math.inf, basis=Basis.FITTED),
        CostFigure(value=3.0, low=1.0, high=2.0, basis=Basis.FITTED),
    ],
)
def test_what_is_no_cost_is_refused(bad: CostFigure) -> None:
    with pytest.raises(ValueError, match="not a cost"):
        decide(figure(1.0), bad)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="correlation"):
        decide(figure(1.0), figure(2.0), correlation=1.1)
    with pytest.raises(ValueError, match="confidence"):
        decide(figure(1.0), figure(2.0), confidence=0.3)


def test_at_the_edge_the_stated_share_is_right() -> None:
    """Normal errors in logarithms: a pair predicted just at its margin is right with the stated chance."""
    sigma, confidence = 0.1, 0.8
    arm = math.exp(sigma * NormalDist().inv_cdf((1 + FIGURE_LEVEL) / 2))
    edge = NormalDist().inv_cdf(confidence) * sigma * math.sqrt(2)
    errors = np.random.default_rng(0).normal(0, sigma, (2, 100_000))

    assert decide(figure(1.0, arm), figure(math.exp(edge * 0.999), arm), confidence=confidence) is CLOSE
    assert decide(figure(1.0, arm), figure(math.exp(edge * 1.001), arm), confidence=confidence) is CHEAPER
    assert (edge + errors[1] - errors[0] > 0).mean() == pytest.approx(confidence, abs=0.005)


def looped(predicted: list[CostFigure], measured: np.ndarray, models: list[str]) -> list[list[int]]:
    """Count right, wrong and too close by asking `decide` for every pair."""
    counts = [[0, 0, 0] for _ in RATIO_BINS[:-1]]
    for (i, first), (j, second), members in product(
        enumerate(predicted), enumerate(predicted), MEMBER_COUNTS
    ):
        ratio = members * measured[i] / measured[j]
        factor = max(ratio, 1 / ratio)
        if models[i] == models[j] or not factor < RATIO_BINS[-1]:
            continue
        ensemble = CostFigure(
            value=members * first.value, low=members * first.low, high=members * first.high, basis=first.basis
        )
        said = decide(ensemble, second)
        truth = CHEAPER if ratio < 1 else DEARER
        place = max(number for number, edge in enumerate(RATIO_BINS) if edge <= factor)
        counts[place][2 if said is CLOSE else 0 if said is truth else 1] += 1
    return counts


def test_the_test_is_every_pair_asked_once() -> None:
    generator = np.random.default_rng(7)
    measured = np.exp(generator.normal(0, 1, 23))
    predicted = [
        CostFigure(value=v, low=v / d, high=v * u, basis=Basis.FITTED)
        for v, d, u in zip(
            (measured * np.exp(generator.normal(0, 0.2, 23))).tolist(),
            generator.uniform(1, 1.5, 23).tolist(),
            generator.uniform(1, 1.5, 23).tolist(),
            strict=True,
        )
    ]
    models = [f"m{number // 2}" for number in range(23)]

    bins = decision_test(predicted, measured, models)

    for found, (right, wrong, close) in zip(bins, looped(predicted, measured, models), strict=True):
        assert found.pairs == right + wrong + close > 0
        assert found.right == pytest.approx(right / found.pairs)
        assert found.wrong == pytest.approx(wrong / found.pairs)
        assert found.too_close == pytest.approx(close / found.pairs)


def test_perfect_predictions_are_always_right_and_nothing_is_said_where_nothing_is_known() -> None:
    measured = np.exp(np.random.default_rng(1).normal(0, 1, 60))
    models = [str(number) for number in range(60)]
    perfect = decision_test([figure(v, 1.0) for v in measured.tolist()], measured, models)
    blind = decision_test(
        [CostFigure(value=v, low=0.0, high=math.inf, basis=Basis.BOUND) for v in measured.tolist()],
        measured,
        models,
    )

    assert all(entry.right == 1 and entry.right_of_decided == 1 for entry in perfect)
    assert all(entry.too_close == 1 and entry.right_of_decided is None for entry in blind)
