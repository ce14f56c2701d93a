"""Moving a predictor to another device: exact where that is known, Bayes' rule where it is measured."""

import dataclasses
import math

import numpy as np
import pytest

from explorer.accounting.kernels import KIND, KINDS
from explorer.convention import Basis
from explorer.errors import InputDataError, UsageError
from explorer.prediction import Scaling, calibrate, plan, transfer
from explorer.prediction.features import work
from explorer.prediction.transfer import (
    CONSTANT_SD,
    LEAST_RUNS,
    NOISE_SD,
    SHARE_SD,
    SORTS,
    correction_terms,
)
from explorer.workload import Precision, Runtime, Workload

TARGET = Workload(device="rtx4090", precision=Precision.AMP)


@pytest.fixture(scope="module")
def moved(fitted):
    return transfer(fitted, TARGET, Scaling(macs=0.5, bytes=0.8, launches=0.9))


def on_target(samples, factor=lambda sample: 1.0) -> list:
    return [
        dataclasses.replace(
            sample,
            workload=dataclasses.replace(TARGET, batch=sample.batch),
            device=TARGET.device,
            seconds=sample.seconds * factor(sample),
        )
        for sample in samples
    ]


def values(figures) -> np.ndarray:
    return np.array([figure.value for figure in figures])


def seconds(samples) -> np.ndarray:
    return np.array([sample.seconds for sample in samples])


# ---- by peaks -----------------------------------------------------------------------------------


def test_a_device_whose_rates_are_scaled_is_predicted_exactly(made, fitted) -> None:
    """Scaled work and scaled rates are the same thing, once the networks' corrections stay."""
    factors = (0.37, 1.9, 2.3)
    shifted = dataclasses.replace(
        fitted,
        networks=tuple(
            dataclasses.replace(network, rates=network.rates + np.log(factors)[:, None])
            for network in fitted.networks
        ),
    )
    scaling = Scaling(**dict(zip(("macs", "bytes", "launches"), factors, strict=True)))
    samples = made.timed(made.rates, seed=41, families=4)

    there = transfer(fitted, TARGET, scaling).predict(on_target(samples))

    np.testing.assert_allclose(values(there), values(shifted.predict(samples)), rtol=1e-9)
    assert {figure.basis for figure in there} == {Basis.TRANSFERRED}


def test_a_device_twice_as_slow_takes_twice_as_long(made, fitted) -> None:
    samples = made.timed(made.rates, seed=41, families=4)
    twice = transfer(fitted, TARGET, Scaling(macs=2, bytes=2, launches=2))

    np.testing.assert_allclose(
        values(twice.predict(on_target(samples))), 2 * values(fitted.predict(samples)), rtol=1e-9
    )


def test_times_of_a_device_whose_rates_differ_are_met_better_by_their_peaks(made, fitted) -> None:
    def rates(table: np.ndarray, batch: int) -> np.ndarray:
        speed = np.where(table["kind"] == KIND["conv"], 2.0, 1.0)
        macs, moved, launches = work(table, batch).T
        return macs * speed * 2e-13 * 0.5 + moved * 1e-12 * 1.5 + launches * 5e-6

    there = on_target(made.timed(rates, seed=43, families=8))

    def off(scaling: Scaling) -> float:
        predicted = transfer(fitted, TARGET, scaling).predict(there)
        return float(np.mean(np.abs(values(predicted) / seconds(there) - 1)))

    # Not exact: a fit splits a kernel's time among its sorts of work only about as it is.
    assert off(Scaling(macs=0.5, bytes=1.5)) < 0.12
    assert off(Scaling(macs=0.5, bytes=1.5)) < 0.6 * off(Scaling())


def test_an_uncalibrated_interval_is_wider_than_the_base(made, fitted, moved) -> None:
    samples = made.timed(made.rates, seed=41, families=4)
    for here, there in zip(fitted.predict(samples), moved.predict(on_target(samples)), strict=True):
        assert there.value / there.low > here.value / here.low
        assert there.high / there.value > here.high / here.value
        # At least what the constant alone leaves open.
        assert there.high / there.value >= math.exp(1.645 * CONSTANT_SD)
    assert (moved.runs, moved.batches) == (0, fitted.batches)
    assert moved.predict([]) == ()


def test_more_doubt_widens_the_constant_alone(fitted, moved) -> None:
    doubtful = transfer(fitted, TARGET, Scaling(), extra_sd=0.5)

    assert np.sqrt(np.diag(doubtful.covariance)) == pytest.approx(
        [CONSTANT_SD + 0.5, *[SHARE_SD] * len(SORTS)]
    )
    assert (doubtful.mean == 0).all()


# ---- terms --------------------------------------------------------------------------------------


def test_every_kind_is_of_one_sort() -> None:
    assert sorted(kind for sort in SORTS for kind in sort) == sorted(KINDS)


def test_terms_are_a_one_and_shares(made, fitted) -> None:
    samples = made.timed(made.rates, seed=47, families=4)
    terms = correction_terms(fitted, samples)

    assert terms.shape == (len(samples), 1 + len(SORTS))
    assert (terms[:, 0] == 1).all()
    assert (terms >= 0).all()
    np.testing.assert_allclose(terms[:, 1:].sum(axis=1), 1, rtol=1e-9)
    used = [1 + n for n, sort in enumerate(SORTS) if {"conv", "pointwise", "elementwise", "copy"} & set(sort)]
    assert set(np.flatnonzero(terms.sum(axis=0)).tolist()) == {0, *used}


def test_a_sorts_share_is_what_it_takes_alone(made, fitted) -> None:
    (sample,) = made.timed(made.rates, seed=47, families=1, per_family=1)
    table = sample.kernels.operators
    bare = dataclasses.replace(
        sample.kernels, operators=table[table["kind"] == KIND["conv"]], fused=table[:0]
    )
    alone = dataclasses.replace(sample, kernels=bare)

    def arithmetic_mean(one) -> float:
        from explorer.prediction.predictor import pack

        return float(np.mean([n.model_seconds(pack([one], Scaling()))[0] for n in fitted.networks]))

    share = correction_terms(fitted, [sample])[0, 1]
    assert share == pytest.approx(arithmetic_mean(alone) / arithmetic_mean(sample), rel=1e-5)


# ---- calibration --------------------------------------------------------------------------------


def by_kernel_trick(predictor, measured) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior by conditioning a joint normal on the runs: no inverse of the precision."""
    blind = [
        dataclasses.replace(s, workload=dataclasses.replace(s.workload, device="rtx3090")) for s in measured
    ]
    seen = correction_terms(predictor.base, blind)
    excess = np.log(seconds(measured)) - np.log(
        np.exp(predictor.base.log_seconds(blind)) * [s.batch for s in measured]
    )
    cross = predictor.covariance @ seen.T
    gain = cross @ np.linalg.inv(seen @ cross + NOISE_SD**2 * np.eye(len(measured)))
    return (
        predictor.mean + gain @ (excess - seen @ predictor.mean),
        predictor.covariance - gain @ cross.T,
    )


@pytest.fixture(scope="module")
def measured(made) -> list:
    return on_target(made.timed(made.rates, seed=53, families=8, per_family=1, scatter=0.3))


def test_a_calibration_is_bayes_rule(moved, measured) -> None:
    found = calibrate(moved, measured)
    mean, covariance = by_kernel_trick(moved, measured)

    np.testing.assert_allclose(found.mean, mean, atol=1e-9)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-9)
    assert found.runs == len(measured)


def test_runs_in_two_goes_are_the_same_as_in_one(moved, measured) -> None:
    once = calibrate(moved, measured)
    twice = calibrate(calibrate(moved, measured[:4]), measured[4:])

    np.testing.assert_allclose(twice.mean, once.mean, atol=1e-9)
    np.testing.assert_allclose(twice.covariance, once.covariance, atol=1e-9)
    assert (twice.runs, twice.batches) == (once.runs, once.batches)


def test_batches_are_those_of_all_runs(moved, measured) -> None:
    def at(batch: int) -> list:
        return [dataclasses.replace(s, batch=batch) for s in measured[:3]]

    first = calibrate(moved, [*at(16)[:2], *at(64)])

    assert first.batches == (16, 64), "the base's own do not count"
    assert calibrate(first, at(32)).batches == (16, 64)
    assert calibrate(first, at(256)).batches == (16, 256)


def test_a_measured_device_is_never_known_worse(made, moved, measured) -> None:
    after = calibrate(moved, measured)
    asked = on_target(made.timed(made.rates, seed=59, families=6))

    assert np.linalg.eigvalsh(moved.covariance - after.covariance).min() > -1e-12
    assert np.linalg.eigvalsh(after.covariance).min() > 0
    for before, now in zip(moved.predict(asked), after.predict(asked), strict=True):
        assert now.high / now.value <= before.high / before.value + 1e-12
        assert now.value / now.low <= before.value / before.low + 1e-12


def test_calibration_finds_what_the_peaks_do_not_say(made, fitted) -> None:
    """Convolutions half as fast as their peak says, and all a tenth slower."""

    def rates(table: np.ndarray, batch: int) -> np.ndarray:
        return 1.1 * np.where(table["kind"] == KIND["conv"], 2.0, 1.0) * made.rates(table, batch)

    known = on_target(made.timed(rates, seed=61, families=10, per_family=1))
    asked = on_target(made.timed(rates, seed=67, families=10))
    before = transfer(fitted, TARGET, Scaling())
    after = calibrate(before, known)

    def off(predictor) -> float:
        return float(np.mean(np.abs(values(predictor.predict(asked)) / seconds(asked) - 1)))

    assert off(after) < 0.5 * off(before)
    assert off(after) < 0.12
    conv = 1 + next(n for n, sort in enumerate(SORTS) if "conv" in sort)
    assert after.mean[conv] == max(after.mean[1:])


def test_runs_that_agree_with_the_peaks_change_little(fitted, made) -> None:
    plain = transfer(fitted, TARGET, Scaling())
    runs = on_target(made.timed(made.rates, seed=71, families=8, per_family=1))
    exact = [
        dataclasses.replace(run, seconds=figure.value)
        for run, figure in zip(runs, plain.predict(runs), strict=True)
    ]

    np.testing.assert_allclose(calibrate(plain, exact).mean, 0, atol=1e-9)


# ---- planning -----------------------------------------------------------------------------------


def greedily(predictor, samples, runs: int) -> tuple[int, ...]:
    """Return the runs by trying each one: the posterior's variances, summed over all samples."""
    blind = [
        dataclasses.replace(s, workload=dataclasses.replace(s.workload, device="rtx3090")) for s in samples
    ]
    seen = correction_terms(predictor.base, blind)
    chosen: list[int] = []
    for _ in range(runs):
        left: dict[int, float] = {}
        for candidate in set(range(len(samples))) - set(chosen):
            ran = seen[[*chosen, candidate]]
            precision = np.linalg.inv(predictor.covariance) + ran.T @ ran / NOISE_SD**2
            left[candidate] = float(np.trace(seen @ np.linalg.inv(precision) @ seen.T))
        chosen.append(min(left, key=lambda place: left[place]))
    return tuple(chosen)


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_leaves_the_least_unknown(made, moved, seed) -> None:
    kinds = ("conv", "pointwise", "depthwise", "elementwise", "copy", "softmax", "attention", "layer_norm")
    samples = on_target(made.timed(made.rates, seed=seed, families=9, per_family=1, kinds=kinds))

    assert plan(moved, samples, 5) == greedily(moved, samples, 5)
    assert sorted(plan(moved, samples, 9)) == list(range(9)), "none twice"


def test_a_plan_needs_no_times_and_goes_on_from_a_calibration(made, moved, measured) -> None:
    after = calibrate(moved, measured)
    blind = [dataclasses.replace(sample, seconds=math.nan) for sample in measured]

    assert plan(after, blind, 3) == greedily(after, measured, 3)


def test_measuring_as_planned_is_better_than_the_worst(made, moved) -> None:
    samples = on_target(made.timed(made.rates, seed=5, families=10, per_family=2))
    ran = [samples[place] for place in plan(moved, samples, 4)]
    widths = [
        np.mean([math.log(f.high / f.low) for f in calibrate(moved, chosen).predict(samples)])
        for chosen in (ran, *(samples[n : n + 4] for n in range(0, 20, 4)))
    ]

    assert widths[0] <= min(widths[1:]) + 1e-3


# ---- refusals -----------------------------------------------------------------------------------


def test_too_few_runs(moved, measured) -> None:
    with pytest.raises(InputDataError, match=f"{LEAST_RUNS - 1} runs do not calibrate"):
        calibrate(moved, measured[: LEAST_RUNS - 1])


@pytest.mark.parametrize("value", [math.nan, 0.0, -2.0, math.inf])
def test_runs_without_times(moved, measured, value) -> None:
    with pytest.raises(InputDataError, match="wanted times above 0"):
        calibrate(moved, [*measured, dataclasses.replace(measured[0], seconds=value)])


@pytest.mark.parametrize(
    "change",
    [{"device": "rtx3090"}, {"precision": Precision.FP32}, {"runtime": Runtime.GRAPH}, {"threads": 2}],
)
def test_samples_of_another_workload(moved, measured, change) -> None:
    other = dataclasses.replace(measured[0], workload=dataclasses.replace(TARGET, **change))
    for ask in (
        lambda: moved.predict([other]),
        lambda: calibrate(moved, [*measured, other]),
        lambda: plan(moved, [*measured, other], 2),
    ):
        with pytest.raises(UsageError, match="this predictor is for rtx4090/amp"):
            ask()


@pytest.mark.parametrize("runs", [0, -1, 99])
def test_plans_that_cannot_be(moved, measured, runs) -> None:
    with pytest.raises(UsageError, match="cannot choose"):
        plan(moved, measured, runs)
