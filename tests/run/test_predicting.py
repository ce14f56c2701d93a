"""Predicted rows: sums, bounds and halves by hand; and what is refused, kept or left alone."""

import contextlib
import dataclasses
import math

import numpy as np
import pytest

from explorer.convention import Basis
from explorer.data.devices import find_device_entry
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.prediction import fit
from explorer.prediction.files import save
from explorer.run.predicting import known_device, predict_latency, predicted, sample_table
from explorer.run.profile_asked import Question, read_named
from explorer.store import Store
from explorer.workload import Precision, Workload

SMALL, LARGE = "wrn10-0.25@8", "wrn10-0.5@8"
PAIR = f"mean({SMALL}#0, {LARGE}#0)"


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def ask(store, predictors, made_models):
    """Ask for predictions; return the answer and how often a plan was shown."""

    def asked(*texts, device="rtx4090/b256/amp", **options):
        shown = []
        answer = predicted(
            store,
            Question(named=read_named(texts), device=device, **options),
            show_plan=shown.append,
            progress=lambda title: contextlib.nullcontext(lambda share, text: None),
            cache=made_models.cache,
        )
        assert len(shown) == (0 if options.get("plan_only") else 1)
        return answer

    return asked


def test_a_half_precision_moves_half_the_bytes_and_nothing_else(made_models):
    table = made_models.real["wrn10-1", 3, 10, False]
    for precision in (Precision.FP16, Precision.BF16):
        made = sample_table(table, precision)
        for whole, half in ((table.operators, made.operators), (table.fused, made.fused)):
            for name in whole.dtype.names:
                if name in ("read", "written", "weights"):
                    assert np.array_equal(2 * half[name], whole[name])
                    assert whole[name].sum() > 0
                elif name in ("item", "item_in"):
                    assert set(np.unique(whole[name])) <= {4}
                    assert np.array_equal(half[name] * 2, whole[name])
                else:
                    assert np.array_equal(half[name], whole[name])
    for precision in set(Precision) - {Precision.FP16, Precision.BF16}:
        assert sample_table(table, precision) is table


def test_a_bound_by_hand(made_models, predictors):
    table = made_models.real["wrn10-1", 3, 10, False]
    device, batch = find_device_entry("rtx4090"), 7
    macs = moved = 0.0
    for kernel in table.fused:
        times = batch if kernel["per_example"] else 1
        macs += kernel["count"] * times * kernel["macs"]
        moved += kernel["count"] * (times * (kernel["read"] + kernel["written"]) + kernel["weights"])
    (found,), answering = predict_latency([table], ["wrn10-1"], Workload.parse("rtx4090/b7/int8"))
    assert answering is None
    assert found.basis is Basis.BOUND
    assert found.high == math.inf
    assert found.low == found.value
    # in eight bits a number of the trace's four bytes takes one
    assert found.value == pytest.approx(
        max(2 * macs / device.peaks[Precision.INT8], moved / 4 / device.bandwidth), rel=1e-12
    )


def test_a_bound_is_below_what_is_predicted_in_a_wider_precision(made_models, predictors):
    for table in made_models.tables.values():
        (bound,), _ = predict_latency([table], ["x"], Workload.parse("rtx4090/b256/int8"))
        (found,), _ = predict_latency([table], ["x"], Workload.parse("rtx4090/b256/amp"))
        assert bound.value < found.value


def test_a_device_without_predictor_and_peak_is_missing(made_models, predictors):
    table = made_models.real["wrn10-1", 3, 10, False]
    with pytest.raises(
        EnvironmentMissingError,
        match=r"nothing to predict coral-edge-tpu from: no predictor, and no peak .* known: int8",
    ):
        predict_latency([table], ["wrn10-1"], Workload.parse("coral-edge-tpu/eager"))


def test_known_devices_get_their_key_and_this_machines_keep_their_name():
    for text in ("cpu", "cuda", "cuda:1"):
        assert known_device(Workload.parse(text)) == Workload.parse(text)
    found = known_device(Workload(device="nvidia-geforce-rtx-4090", batch=8))
    assert found == Workload(device="rtx4090", batch=8)
    with pytest.raises(UsageError, match="unknown device 'rtx4091'; did you mean rtx4090"):
        known_device(Workload(device="rtx4091"))


def test_an_ensemble_adds_its_members_up_each_once(ask):
    answer = ask(SMALL, LARGE, PAIR, f"mean({SMALL}#0, {SMALL}#1)", f"mean({SMALL}#0, {SMALL}#0, {LARGE}#3)")
    small, large, pair, twins, weighted = answer.rows
    assert (small.figure.basis, pair.figure.basis) == (Basis.FITTED, Basis.FITTED)
    for end in ("value", "low", "high"):
        a, b = getattr(small.figure, end), getattr(large.figure, end)
        assert getattr(pair.figure, end) == a + b
        assert getattr(twins.figure, end) == a + a
        assert getattr(weighted.figure, end) == a + b, "a member named twice has weight two and runs once"
    assert "members one after the other; averaging their answers is not in it" in pair.notes
    assert small.notes == ()


def test_members_need_not_be_asked_for(ask, store):
    (row,) = ask(PAIR).rows
    assert row.subject == PAIR
    assert store.costs() == (), "an ensemble's figure follows from its members'"


def test_models_are_kept_with_basis_and_source(ask, store):
    fitted, transferred = ask(SMALL).rows + ask(SMALL, device="l4/b256/amp").rows
    first, second = store.costs(kind="latency")
    assert (first.device, first.figure) == ("rtx4090/b256/amp", fitted.figure)
    assert (second.device, second.figure) == ("l4/b256/amp", transferred.figure)
    assert second.figure.basis is Basis.TRANSFERRED
    assert "benchmark-infer-amp-nchw" in first.source
    assert first.conditions is None
    assert first.samples_digest is None


def test_bounds_are_shown_and_not_kept(ask, store):
    (row,) = ask(SMALL, device="rtx4090/int8").rows
    assert row.figure.high == math.inf
    assert row.notes == ("no measured times to predict from: not faster than this",)
    (energetic,) = ask(SMALL, device="rtx4090/int8", energy=True).rows
    assert energetic.energy.figure is None
    assert "no upper end" in energetic.energy.reason
    assert store.costs() == ()


def test_energy_is_rated_power_for_the_longest_time_of_an_example(ask, store):
    single, pair = ask(SMALL, PAIR, energy=True).rows
    power = find_device_entry("rtx4090").tdp_w
    for row in (single, pair):
        found = row.energy.figure
        assert found.basis is Basis.BOUND
        assert (found.low, found.high) == (0, pytest.approx(power * row.figure.high / 256, rel=1e-12))
        assert found.value == found.high
        assert "not measured" in row.energy.reason
    assert [cost.kind for cost in store.costs()] == ["latency"]
    (here,) = ask(SMALL, device="cuda/b256/amp", energy=True).rows
    assert here.figure is not None
    assert here.energy.figure is None
    assert "unknown device 'cuda'" in here.energy.reason


def test_a_row_for_every_model_and_workload(ask):
    rows = ask(SMALL, LARGE, batches=(64, 256), precisions=(Precision.AMP, Precision.FP32)).rows
    assert len(rows) == 8
    assert len({(row.subject, row.workload) for row in rows}) == 8
    times = {(row.subject, str(row.workload)): row.figure.value for row in rows}
    assert times[SMALL, "rtx4090/b64/amp"] < times[SMALL, "rtx4090/b256/amp"]
    assert times[SMALL, "rtx4090/b256"] < times[LARGE, "rtx4090/b256"]


def test_what_cannot_be_predicted_is_refused(ask):
    with pytest.raises(UsageError, match="--scenario is worked out from measured times"):
        ask(SMALL, scenarios=("offline",))
    with pytest.raises(UsageError, match=r"a placement has to be measured: .* not in streams"):
        ask(PAIR, placements=("sequential", "streams"))
    assert ask(PAIR, placements=("sequential",)).rows


def test_a_plan_writes_nothing_and_still_refuses(ask, store):
    answer = ask(SMALL, PAIR, plan_only=True)
    assert answer.rows == ()
    # SMALL is a member, too
    assert [text for text, _, _ in answer.planning.planned] == [SMALL, LARGE]
    assert store.costs() == ()
    with pytest.raises(UsageError, match="unknown device"):
        ask(SMALL, device="rtx4091", plan_only=True)


def test_a_model_that_cannot_be_traced_has_a_reason_and_spares_the_rest(ask, monkeypatch):
    from explorer.run import predicting as module

    traced = module.kernel_tables

    def partly(wanted, **options):
        found = traced(wanted, **options)
        return {one: "it branches on data" if one.model == "wrn10-0.5" else found[one] for one in wanted}

    monkeypatch.setattr(module, "kernel_tables", partly)
    small, large, pair = ask(SMALL, LARGE, PAIR).rows
    assert small.figure is not None
    assert (large.figure, large.error) == (None, "it branches on data")
    assert pair.figure is None
    assert pair.error == f"{LARGE}: it branches on data"
    with pytest.raises(UsageError, match=f"nothing could be predicted: {LARGE}: it branches on data"):
        ask(LARGE)


def test_the_users_predictor_is_used(ask, predictors, made_predictor):
    (shipped,) = ask(SMALL).rows
    save(made_predictor, predictors / "mine.npz", source="mine")
    (row,) = ask(SMALL).rows
    assert row.details == {"predictor": "rtx4090/amp", "fitted_to": "mine"}
    assert row.figure.value != shipped.figure.value


def test_made_up_models_are_predicted_well(made_models, made_predictor):
    """Networks can learn times that are linear in work: the fit is no decoration."""
    workload = made_predictor.workload
    samples = made_models.samples(workload)
    off = [
        abs(figure.value / sample.seconds - 1)
        for figure, sample in zip(made_predictor.predict(samples), samples, strict=True)
    ]
    assert np.mean(off) < 0.15
    with pytest.raises(UsageError, match="differs in precision"):
        made_predictor.predict(made_models.samples(dataclasses.replace(workload, precision=Precision.FP32)))
    assert fit(samples, seed=0).predict(samples) == made_predictor.predict(samples), "same rows, same fit"
