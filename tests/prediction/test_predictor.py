"""Fits, intervals and refusals of the predictor, on models whose times are known."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.convention import Basis
from explorer.errors import InputDataError, UsageError
from explorer.prediction import LatencyPredictor, Scaling, fit
from explorer.prediction.predictor import (
    LEAST_FAMILIES,
    LEAST_ROWS,
    _least_relative_error,
    conformal,
    is_cpu,
    pack,
)
from explorer.workload import Precision, Runtime, Workload


def seconds(samples) -> np.ndarray:
    return np.array([sample.seconds for sample in samples])


def blind(samples) -> list:
    return [dataclasses.replace(sample, seconds=math.nan) for sample in samples]


# ---- fits ---------------------------------------------------------------------------------------


def test_families_never_seen_are_within_a_few_percent(made, fitted) -> None:
    unseen = made.timed(made.rates, seed=23, families=10, prefix="other")
    figures = fitted.predict(blind(unseen))

    off = np.array([figure.value for figure in figures]) / seconds(unseen) - 1
    assert np.mean(np.abs(off)) < 0.05
    assert all(figure.basis is Basis.FITTED for figure in figures)
    assert all(0 < figure.low <= figure.value <= figure.high for figure in figures)
    assert (fitted.rows, fitted.families, fitted.batches) == (120, 20, (1, 128))
    assert len(fitted.networks) == 5


def test_a_figure_does_not_depend_on_what_else_is_asked_nor_on_the_name(made, fitted) -> None:
    asked = made.timed(made.rates, seed=29, families=3)
    together = [figure.value for figure in fitted.predict(asked)]

    alone = [fitted.predict([sample])[0].value for sample in reversed(asked)]
    np.testing.assert_allclose(alone[::-1], together, rtol=1e-5)
    renamed = [dataclasses.replace(s, model="x", family="x", seconds=math.nan) for s in asked]
    assert [figure.value for figure in fitted.predict(renamed)] == together
    assert fitted.predict([]) == ()


def test_the_prediction_is_the_geometric_mean_of_the_networks(made, fitted) -> None:
    asked = made.timed(made.rates, seed=31, families=3)
    each = [network.model_seconds(pack(asked, Scaling())) for network in fitted.networks]
    mean = np.prod(each, axis=0) ** (1 / 5) * math.exp(fitted.centre)

    np.testing.assert_allclose(
        [f.value for f in fitted.predict(asked)], mean * [s.batch for s in asked], rtol=1e-6
    )


def test_a_larger_batch_takes_longer_but_less_an_example(made, fitted) -> None:
    one = made.timed(made.rates, seed=37, families=1, per_family=1)[0]
    times = [fitted.predict([dataclasses.replace(one, batch=b)])[0].value for b in (1, 16, 128)]

    assert times[0] < times[1] < times[2]
    assert times[0] > times[1] / 16 > times[2] / 128 * 0.95


def test_the_same_seed_fits_the_same(made) -> None:
    samples = made.timed(made.rates, families=10, per_family=5)
    first, second = fit(samples, seed=7), fit(samples, seed=7)

    assert (first.centre, first.low, first.high) == (second.centre, second.low, second.high)
    assert [f.value for f in first.predict(samples)] == [f.value for f in second.predict(samples)]


def test_ninety_percent_intervals_hold_about_ninety_percent_of_new_families(made) -> None:
    noisy = {"family_scatter": 0.15, "scatter": 0.05, "per_family": 4}
    predictor = fit(made.timed(made.rates, families=50, seed=1, **noisy))
    unseen = made.timed(made.rates, families=150, seed=2, prefix="other", **noisy)

    held = [f.low <= t <= f.high for f, t in zip(predictor.predict(unseen), seconds(unseen), strict=True)]
    assert 0.83 < np.mean(held) < 0.97
    # Both ends do their part, and neither is wider than the scatter asks for.
    above = [t > f.high for f, t in zip(predictor.predict(unseen), seconds(unseen), strict=True)]
    assert 0.005 < np.mean(above) < 0.12
    assert 1.2 * 0.15 < predictor.low < 2.5 * 0.15
    assert 1.2 * 0.15 < predictor.high < 2.5 * 0.15


# ---- centre and quantiles -----------------------------------------------------------------------

ratios = st.lists(st.floats(0.05, 20), min_size=1, max_size=30).map(np.array)


@given(ratios=ratios)
def test_the_centre_makes_the_mean_relative_error_least(ratios) -> None:
    def error(factor: float) -> float:
        return float(np.mean(np.abs(factor - ratios) / ratios))

    found = error(math.exp(_least_relative_error(ratios)))

    assert found <= min(error(factor) for factor in [*ratios, *np.linspace(0.05, 20, 200)]) + 1e-9


@given(ratios=ratios, factor=st.floats(0.1, 10))
def test_the_centre_moves_with_the_ratios(ratios, factor) -> None:
    """On a slower device everything is: the centre must follow, whatever the order of the rows."""
    moved = _least_relative_error(ratios[::-1] * factor)

    def error(centre: float) -> float:
        return float(np.mean(np.abs(math.exp(centre) - ratios) / ratios))

    assert error(moved - math.log(factor)) == pytest.approx(error(_least_relative_error(ratios)), abs=1e-6)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(99, 5, 95), (19, 1, 19), (10, 1, 10), (199, 10, 190), (100, 5, 96)]
)
def testconformals_by_the_n_plus_one_rule(count, low, high) -> None:
    errors = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))

    assert (conformal(errors, 0.05), conformal(errors, 0.95)) == (low, high)


# ---- which table --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "fused"),
    [
        ("rtx3090/amp", False),
        ("rtx3090/amp/compiled", True),
        ("cuda/compiled", True),
        ("cuda:1/onnxruntime", True),
        ("cuda/graph", False),
        ("cpu/compiled", False),
        ("cpu/onnxruntime", False),
        ("i9-10940x/compiled", False),
        ("i9-10940x/eager", False),
    ],
)
def test_runtimes_that_fuse_are_told_fused_kernels_but_not_on_cpus(made, workload, fused) -> None:
    sample = made.timed(made.rates, families=1, per_family=1)[0]
    sample = dataclasses.replace(sample, workload=Workload.parse(workload))
    table = sample.kernels.fused if fused else sample.kernels.operators

    kernels = pack([sample], Scaling())
    assert len(kernels.kind) == len(table)
    assert (kernels.count == table["count"]).all()


def test_devices_that_are_cpus() -> None:
    assert [is_cpu(name) for name in ("cpu", "i9-10940x", "cuda", "cuda:0", "rtx4090", "no-such-thing")] == [
        *(True, True),
        *(False, False, False, False),
    ]


# ---- refusals -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(made) -> list:
    return made.timed(made.rates, families=LEAST_FAMILIES, per_family=LEAST_ROWS // LEAST_FAMILIES)


@pytest.mark.parametrize("value", [math.nan, 0.0, -1.0, math.inf])
def test_times_that_are_none(rows, value) -> None:
    rows = [*rows[:-1], dataclasses.replace(rows[-1], seconds=value)]

    with pytest.raises(InputDataError, match=rf"{rows[-1].model} took .*wanted times above 0"):
        fit(rows)


@pytest.mark.parametrize(
    "change",
    [
        {"precision": Precision.FP32},
        {"runtime": Runtime.COMPILED},
        {"channels_last": True},
        {"device": "cpu"},
        {"threads": 2},
    ],
)
def test_several_workloads(rows, change) -> None:
    other = dataclasses.replace(rows[0], workload=dataclasses.replace(rows[0].workload, **change))

    with pytest.raises(InputDataError, match="several workloads"):
        fit([other, *rows[1:]])


def test_too_few(rows) -> None:
    with pytest.raises(InputDataError, match=f"{LEAST_ROWS - 1} measured models of {LEAST_FAMILIES}"):
        fit(rows[:-1])
    with pytest.raises(InputDataError, match="0 measured models of 0 families"):
        fit([])
    same = [dataclasses.replace(s, family=f"f{n % (LEAST_FAMILIES - 1)}") for n, s in enumerate(rows * 2)]
    with pytest.raises(InputDataError, match=f"{len(same)} measured models of {LEAST_FAMILIES - 1} families"):
        fit(same)


def test_as_few_as_are_enough(rows) -> None:
    assert isinstance(fit(rows), LatencyPredictor)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": Precision.FP16}, "precision"),
        ({"runtime": Runtime.GRAPH}, "runtime"),
        ({"channels_last": True}, "channels last"),
    ],
)
def test_samples_of_another_workload(rows, fitted, change, words) -> None:
    other = dataclasses.replace(rows[0], workload=dataclasses.replace(rows[0].workload, **change))

    with pytest.raises(UsageError, match=f"differs in {words}"):
        fitted.predict([rows[1], other])
