"""Fits against known laws, brute force and simulated repeats."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from explorer.analysis.curves.power_law import (
    CurveOf,
    FitPoints,
    PowerLaw,
    choose_power_law,
    fit_power_law,
    joined,
    points_of,
)
from explorer.analysis.statistics.seeds import Estimate
from explorer.errors import ConventionError, UsageError

OF = CurveOf(recipe="plain", dataset="made-up", figure="error", quantity="members")
SIZES = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0)


@pytest.fixture(autouse=True, scope="module")
def few_draws() -> Iterator[None]:
    """Fewer fits behind an interval than the product makes: these tests fit hundreds of curves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("explorer.analysis.curves.power_law.DRAWS", 150)
        yield


def law(x: np.ndarray, floor: float = 0.2, scale: float = 0.1, exponent: float = 0.8) -> np.ndarray:
    return floor + scale * x**-exponent


def exact(floor: float, scale: float, exponent: float, x: tuple[float, ...] = SIZES) -> FitPoints:
    return FitPoints(of=OF, x=x, y=tuple(law(np.array(x), floor, scale, exponent).tolist()))


@given(st.floats(0, 1), st.floats(0.01, 3), st.floats(0.1, 3), st.sampled_from([1.0, 1e6, 1e-3]))
@settings(max_examples=12, deadline=None)
def test_a_law_without_noise_is_found_again(floor: float, scale: float, exponent: float, unit: float) -> None:
    x = tuple(unit * size for size in SIZES)
    found = fit_power_law(exact(floor, scale * unit**exponent, exponent, x))
    assert found.exponent == pytest.approx(exponent, rel=1e-3)
    assert found.floor == pytest.approx(floor, abs=1e-3)
    assert found.values(x[0])[0] == pytest.approx(floor + scale, rel=1e-5)


@given(st.lists(st.floats(0.05, 1), min_size=5, max_size=5), st.booleans(), st.booleans())
@settings(max_examples=8, deadline=None)
def test_no_exponent_of_a_fine_grid_fits_better(y: list[float], falling: bool, weighted: bool) -> None:
    """Brute force: bounded linear least squares by scipy at 100 exponents."""
    x, errors = np.array(SIZES[:5]), np.array([0.1, 0.02, 0.03, 0.05, 0.07])
    points = FitPoints(
        of=OF, x=tuple(x), y=tuple(y), standard_errors=tuple(errors.tolist()) if weighted else None
    )
    found = fit_power_law(points, falling=falling)
    root = (1 / errors if weighted else np.ones(5)) / np.sqrt(((1 / errors) ** 2).sum() if weighted else 5)
    least = min(
        2
        * optimize.lsq_linear(
            root[:, None] * np.stack([np.ones(5), x**-power], axis=1),
            root * y,
            bounds=([0, 0 if falling else -np.inf], np.inf),
        ).cost
        for power in np.geomspace(0.02, 8, 100)
    )
    assert found.residual**2 <= least + 1e-9
    assert found.floor >= 0
    assert found.scale >= 0 or not falling


def test_a_floor_below_the_least_one_is_moved_there() -> None:
    points = exact(-0.3, 1.0, 1.0)
    assert fit_power_law(points).floor == 0
    assert fit_power_law(points, least_floor=-math.inf).floor == pytest.approx(-0.3, abs=1e-3)


def test_a_rising_curve_is_level_unless_rising_is_allowed() -> None:
    points = exact(0.5, -0.2, 1.0)
    assert fit_power_law(points, exponent=1.0).scale == 0
    assert fit_power_law(points, exponent=1.0, falling=False).scale == pytest.approx(-0.2)


def test_few_points_are_refused_or_said_to_leave_nothing() -> None:
    points = exact(0.2, 0.1, 0.8)
    with pytest.raises(UsageError, match="free exponent needs 3 points, got 2"):
        fit_power_law(points.take([0, 1]))
    with pytest.raises(UsageError, match="given exponent needs 2 points, got 1"):
        fit_power_law(points.take([0]), exponent=1.0)
    three = fit_power_law(points.take([0, 2, 4]))
    assert three.exponent == pytest.approx(0.8, rel=1e-3)
    assert three.exponent_interval() is None
    assert "nothing is left" in three.notes[0]
    assert (three.predict(99).low, three.predict(99).high) == (-math.inf, math.inf)


def test_a_straight_line_in_log_x_says_that_the_exponent_is_not_determined() -> None:
    points = FitPoints(of=OF, x=SIZES, y=tuple((1 - 0.1 * np.log(SIZES)).tolist()))
    found = fit_power_law(points, least_floor=-math.inf)
    assert any("do not determine it" in note for note in found.notes)


def test_points_of_another_recipe_or_data_set_are_not_fitted_together() -> None:
    first, second = exact(0.2, 0.1, 0.8).take([0, 2]), exact(0.2, 0.1, 0.8).take([1, 4])
    assert joined(first, second).x == (1.0, 2.0, 3.0, 8.0)
    assert fit_power_law(joined(first, second)).exponent == pytest.approx(0.8, rel=1e-3)
    for name in ("recipe", "dataset", "figure", "quantity"):
        fields = {key: getattr(OF, key) for key in ("recipe", "dataset", "figure", "quantity")}
        other = FitPoints(of=CurveOf(**(fields | {name: "other"})), x=second.x, y=second.y)
        with pytest.raises(ConventionError, match=f"points of {name}"):
            joined(first, other)
    with pytest.raises(UsageError, match="all bring standard errors"):
        joined(first, FitPoints(of=OF, x=(20.0,), y=(0.2,), standard_errors=(0.1,)))


@pytest.mark.parametrize(
    "fields",
    [
        {"x": (1.0, 1.0)},
        {"x": (0.0, 1.0)},
        {"y": (1.0, math.nan)},
        {"standard_errors": (0.1, 0.0)},
        {"draws": np.zeros((3, 2))},
        {"draws": np.ones((3, 5))},
        {"standard_errors": (0.1, 0.1), "draws": np.eye(2)},
    ],
)
def test_points_that_make_no_sense_are_refused(fields: dict) -> None:
    with pytest.raises(UsageError):
        FitPoints(**({"of": OF, "x": (1.0, 2.0), "y": (0.3, 0.2)} | fields))


def test_extrapolation_is_labelled_by_its_factor() -> None:
    found = fit_power_law(exact(0.2, 0.1, 0.8))
    assert not found.extrapolates(13)
    assert found.predict(13).factor == 1
    far, near = found.predict(39), found.predict(0.25)
    assert (far.extrapolated, far.factor) == (True, 3)
    assert (near.extrapolated, near.factor) == (True, 4)
    assert found.predict(math.inf).value == found.floor
    with pytest.raises(UsageError, match="x above 0"):
        found.predict(0)


def test_the_exponent_is_chosen_by_the_largest_point_left_out() -> None:
    free = choose_power_law(exact(0.2, 0.1, 0.5))
    assert not free.law.fixed
    assert free.misses is not None
    assert free.misses[1] < free.misses[0]
    assert free.other is not None
    assert free.other.fixed
    assert free.reason.startswith("free exponent")
    # one point off the law 1 / n leads the free exponent astray
    y = law(np.array(SIZES), exponent=1.0) + np.array([0, 0.01, -0.01, 0, 0, 0])
    given = choose_power_law(FitPoints(of=OF, x=SIZES, y=tuple(y.tolist())))
    assert given.law.fixed
    assert given.reason.startswith("given exponent")
    few = choose_power_law(exact(0.2, 0.1, 0.5).take([0, 1, 2]))
    assert few.law.fixed
    assert few.other is None
    assert "cannot test it" in few.reason


def test_shared_draws_keep_points_paired() -> None:
    """Noise common to all points moves the floor, not the shape."""
    random = np.random.default_rng(3)
    common = random.normal(0, 0.01, 400)
    estimates = {
        int(x): Estimate(value=float(law(np.array(x))), draws=law(np.array(x)) + common, n=100) for x in SIZES
    }
    found = fit_power_law(points_of(estimates, OF))
    low, high = found.exponent_interval()
    assert high - low < 1e-3
    end = found.predict(math.inf)
    assert end.high - end.low == pytest.approx(np.ptp(np.quantile(common, [0.025, 0.975])), rel=0.1)


def noisy(random: np.random.Generator, sigma: float) -> FitPoints:
    y = law(np.array(SIZES)) + random.normal(0, sigma, len(SIZES))
    return FitPoints(of=OF, x=SIZES, y=tuple(y.tolist()), standard_errors=(sigma,) * len(SIZES))


def covered(laws: list[PowerLaw], x: float) -> float:
    truth = float(law(np.array(x))) if math.isfinite(x) else 0.2
    return float(np.mean([one.predict(x).low <= truth <= one.predict(x).high for one in laws]))


def test_intervals_cover_and_widen_beyond_the_data() -> None:
    """Nominal 95 %; 120 repeats, so the Monte Carlo error of a coverage is 2 points (one sigma)."""
    random = np.random.default_rng(7)
    laws = [fit_power_law(noisy(random, 0.001)) for _ in range(120)]
    assert all(covered(laws, x) >= 0.95 - 0.06 for x in (5.0, 50.0, math.inf))
    widths = np.array([[one.predict(x).high - one.predict(x).low for x in (13, 50, 1000)] for one in laws])
    assert (np.diff(np.median(widths, axis=0)) > 0).all()
    assert np.mean(np.diff(widths, axis=1) > 0) > 0.95
    assert np.median([one.exponent for one in laws]) == pytest.approx(0.8, abs=0.02)


def test_a_misfit_widens_the_interval() -> None:
    """Points that no power law goes through, with noise far too small to excuse it."""
    y = tuple((law(np.array(SIZES)) + np.array([0.01, -0.01, 0.01, -0.01, 0.01, -0.01])).tolist())
    tight = fit_power_law(FitPoints(of=OF, x=SIZES, y=y, standard_errors=(0.001,) * 6))
    assert tight.inflation > 5
    assert tight.predict(5).high - tight.predict(5).low > 4 * 0.001


def test_a_measurement_is_less_sure_than_the_curve() -> None:
    found = fit_power_law(noisy(np.random.default_rng(1), 0.001))
    curve, seen = found.predict(50), found.predict(50, noise=0.01)
    assert seen.value == curve.value
    assert seen.high - seen.low > 1.5 * (curve.high - curve.low)
