"""Fitting tables and calibrating devices: what is learnt, and that nothing is kept of what is refused."""

import dataclasses
import json

import numpy as np
import pytest

from explorer.convention import Basis
from explorer.errors import InputDataError, UsageError
from explorer.prediction.library import find_predictor
from explorer.run import fitting
from explorer.run.fitting import Timed, calibrate_device, fit_table, planned_runs, read_timed
from explorer.workload import Workload

TABLE = "benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv"
H100 = Workload.parse("h100-sxm/b256/amp")


def kept(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def runs(made_models):
    """Return times of made-up models, ``slower`` times those of the RTX 4090."""

    def make(count, slower=0.37, batch=256):
        return [
            Timed(
                model=f"timm:{name}",
                resolution=224,
                batch=batch,
                seconds=slower * made_models.seconds(name, batch),
            )
            for name in list(made_models.tables)[:count]
        ]

    return make


def test_a_table_becomes_the_users_predictor(predictors, made_models, made_predictor, tmp_path):
    told = []
    path = made_models.write_csv(tmp_path / TABLE)
    done = fit_table(path, update=lambda share, text: told.append((share, text)))
    assert (done.rows, done.left_out) == (60, ())
    assert done.path == str(predictors / "rtx4090_amp.npz")
    assert str(done.workload) == "rtx4090/b256/amp", "a workload that it answers for"
    assert kept(predictors) == ["rtx4090_amp.npz"]
    assert told[-1] == (1.0, "fitting 60 models")
    found = find_predictor(done.workload)
    assert (found.source, found.notes) == (path.stem, ())
    samples = made_models.samples(Workload.parse("rtx4090/amp"))
    figures = found.predictor.predict(samples)
    assert np.mean([abs(f.value / s.seconds - 1) for f, s in zip(figures, samples, strict=True)]) < 0.15
    inside = [f.low <= s.seconds <= f.high for f, s in zip(figures, samples, strict=True)]
    assert np.mean(inside) > 0.8


@pytest.mark.parametrize(
    ("name", "device", "key"),
    [
        ("benchmark-infer-amp-nchw-pt240-cu124-4090.csv", None, "rtx4090"),
        ("mine-amp.csv", "NVIDIA GeForce RTX 4090", "rtx4090"),
        (TABLE, "rtx3090", "rtx3090"),
        ("mine-amp.csv", "cuda", "cuda"),
    ],
)
def test_the_device_is_kept_under_the_name_that_is_asked_for(
    predictors, made_models, made_predictor, tmp_path, monkeypatch, name, device, key
):
    workloads = []
    monkeypatch.setattr(
        fitting, "fit", lambda samples: workloads.append(samples[0].workload) or made_predictor
    )
    fit_table(made_models.write_csv(tmp_path / name), device=device)
    assert workloads[0].device == key


@pytest.mark.parametrize(
    ("name", "device", "message"),
    [
        ("benchmark-infer-amp-nchw-pt240-cu124-mycard9.csv", None, "unknown device 'mycard9'; known: a10, "),
        ("mine-amp.csv", None, "does not say what was timed: give --device"),
        (TABLE, "rtx4091", "unknown device 'rtx4091'; did you mean rtx4090"),
    ],
)
def test_a_device_that_nobody_could_ask_for_is_refused(
    predictors, made_models, tmp_path, name, device, message
):
    with pytest.raises(UsageError, match=message):
        fit_table(made_models.write_csv(tmp_path / name), device=device)
    assert kept(predictors) == []


@pytest.mark.parametrize("time", ["nan", "-1.5", "0", "inf", ""])
def test_a_table_with_a_bad_time_writes_nothing(predictors, made_models, tmp_path, time):
    path = made_models.write_csv(tmp_path / TABLE)
    lines = path.read_text().splitlines()
    name, size, _, _, batch = lines[17].split(",")
    lines[17] = f"{name},{size},{time},,{batch}"
    path.write_text("\n".join(lines))
    with pytest.raises(InputDataError, match="line 18: infer_samples_per_sec is"):
        fit_table(path)
    assert kept(predictors) == []


def test_too_few_models_or_families_write_nothing(predictors, made_models, tmp_path):
    names = list(made_models.tables)
    with pytest.raises(InputDataError, match="49 measured models of 12 families; a fit wants 50 of 10"):
        fit_table(made_models.write_csv(tmp_path / TABLE, names[:49]))
    few = [name for name in names if name.rstrip("0123456789") in ("elm", "fir", "oak")]
    with pytest.raises(InputDataError, match="15 measured models of 3 families"):
        fit_table(made_models.write_csv(tmp_path / TABLE, few))
    assert kept(predictors) == []


def test_models_that_cannot_be_traced_are_left_out_and_said(
    predictors, made_models, made_predictor, tmp_path, monkeypatch
):
    traced = fitting.kernel_tables

    def partly(wanted, **options):
        found = traced(wanted, **options)
        return {one: "no such model" if one.model == "timm:oak0" else found[one] for one in wanted}

    monkeypatch.setattr(fitting, "kernel_tables", partly)
    monkeypatch.setattr(fitting, "fit", lambda samples: made_predictor)
    done = fit_table(made_models.write_csv(tmp_path / TABLE))
    assert (done.rows, done.left_out) == (59, ("timm:oak0@224: no such model",))


def test_a_few_runs_correct_a_device(predictors, runs, made_models):
    told, before, after = calibrate_device(H100, runs(12), source="runs.json")
    assert told.path == str(predictors / "h100-sxm_amp.npz")
    assert (told.rows, told.workload) == (12, H100)
    assert after < 0.6 * before
    found = find_predictor(H100)
    assert (found.source, found.notes, found.predictor.runs) == ("runs.json", (), 12)
    assert found.predictor.batches == (256, 256)
    # on models that were not timed, too, and known better than before
    unseen = [
        dataclasses.replace(s, batch=256, workload=H100, device=H100.device)
        for s in made_models.samples(H100)
    ][12:]
    moved, _ = fitting.base_of(H100)
    truth = [0.37 * made_models.seconds(s.model.removeprefix("timm:"), 256) for s in unseen]

    def error(figures):
        return np.mean([abs(np.log(f.value / t)) for f, t in zip(figures, truth, strict=True)])

    first, second = moved.predict(unseen), found.predictor.predict(unseen)
    assert error(second) < 0.8 * error(first)
    assert all(b.high / b.low < a.high / a.low for a, b in zip(first, second, strict=True))
    assert {figure.basis for figure in second} == {Basis.TRANSFERRED}


@pytest.mark.parametrize("time", [float("nan"), 0.0, -1.0, float("inf")])
def test_a_bad_run_keeps_nothing(predictors, runs, time):
    bad = [*runs(4), dataclasses.replace(runs(5)[4], seconds=time)]
    with pytest.raises(InputDataError, match=r"timm:elm0 took .* wanted times above 0"):
        calibrate_device(H100, bad, source="")
    assert kept(predictors) == []


def test_too_few_runs_keep_nothing(predictors, runs):
    for count in (0, 2):
        with pytest.raises(
            InputDataError, match=f"{count} runs do not calibrate a predictor; wanted 3 or more"
        ):
            calibrate_device(H100, runs(count), source="")
    assert kept(predictors) == []


@pytest.mark.parametrize("text", ["tpu-v5e/b64", "rtx4090/b64/int8", "coral-edge-tpu/b8"])
def test_what_has_no_predictor_cannot_be_calibrated(predictors, runs, text):
    with pytest.raises(UsageError, match=f"no predictor to calibrate for {text}: fit one with"):
        calibrate_device(Workload.parse(text), runs(5), source="")


def test_the_runs_that_tell_most_are_planned(predictors, made_models):
    names = tuple(made_models.tables)[:20]
    first = planned_runs(H100, 5, candidates=names)
    assert len(set(first)) == 5
    assert set(first) <= {f"timm:{name}@224" for name in names}
    assert planned_runs(H100, 5, candidates=names) == first
    # greedy: what is chosen first does not depend on how many follow
    assert planned_runs(H100, 3, candidates=names) == first[:3]
    with pytest.raises(UsageError, match="cannot choose 21 of 20 models"):
        planned_runs(H100, 21, candidates=names)


def test_every_candidate_is_a_model_of_timm():
    from zoo.families.timm_bridge import declare_torchvision_ops

    declare_torchvision_ops()
    import timm

    assert [name for name in fitting.CANDIDATES if not timm.is_model(name)] == []
    assert len(set(fitting.CANDIDATES)) == len(fitting.CANDIDATES)


# ---- measured times from files -----------------------------------------------------------------------


def row(model="timm:resnet18@224", workload="cuda/b64/amp", p50=0.017, **changes) -> dict:
    return {
        "model": model,
        "workload": workload,
        "batch": Workload.parse(workload).batch,
        "device_name": "NVIDIA H100 80GB HBM3",
        "latency_s": {"p50": p50},
        "basis": "measured",
        "error": None,
    } | changes


def write_rows(tmp_path, *rows):
    path = tmp_path / "runs.json"
    path.write_text(json.dumps({"schema_version": 1, "rows": list(rows)}))
    return path


def test_rows_of_a_profile_are_read(tmp_path):
    wanted = Workload.parse("h100-sxm/b8/amp")
    design = row(design="mean(a@8#0, a@8#1)")
    del design["model"]
    path = write_rows(
        tmp_path,
        row(),
        row("wrn10-1@8", "cuda:1/b13/amp", 0.019),
        design,
        row("no-fp32@8", "cuda/b64"),
        row("no-compiled@8", "cuda/b64/amp/compiled"),
        row("no-nhwc@8", "cuda/b64/amp/nhwc"),
        row("no-other-card@8", device_name="NVIDIA GeForce RTX 4090"),
        row("predicted@8", basis="fitted"),
        row("failed@8", basis=None, error="out of memory", latency_s=None),
    )
    assert read_timed(path, wanted) == (
        Timed(model="timm:resnet18", resolution=224, batch=64, seconds=0.017),
        Timed(model="wrn10-1", resolution=8, batch=13, seconds=0.019),
    )


def test_rows_of_a_cpu_by_threads_and_runtime(tmp_path):
    same = {"device_name": "Some CPU"}
    path = write_rows(
        tmp_path, row("a@8", "cpu", **same), row("b@8", "cpu/eager", **same), row("c@8", "cpu/t2", **same)
    )
    assert [one.model for one in read_timed(path, Workload.parse("cpu/b7"))] == ["a"]
    assert [one.model for one in read_timed(path, Workload.parse("cpu/eager"))] == ["b"]
    assert [one.model for one in read_timed(path, Workload.parse("i9-10940x/onnxruntime/t2"))] == ["c"]


def test_times_of_something_else_say_what_they_are_of(tmp_path):
    path = write_rows(tmp_path, row(workload="cuda/b64"))
    with pytest.raises(
        InputDataError, match=r"no measured model of h100-sxm/amp; it has cuda/b64 \(NVIDIA H100"
    ):
        read_timed(path, Workload.parse("h100-sxm/b64/amp"))
    with pytest.raises(InputDataError, match="it has none"):
        read_timed(write_rows(tmp_path), Workload.parse("h100-sxm/b64/amp"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"rows": 7}',
        '{"rows": [7]}',
        '{"rows": [{"basis": "measured", "model": "a@8"}]}',
        json.dumps({"rows": [row(p50=None)]}),
        json.dumps({"rows": [row("nameless")]}),
        json.dumps({"rows": [row(workload="cuda/b64/amp", latency_s=None)]}),
        json.dumps({"rows": [row() | {"workload": "cuda/b0"}]}),
    ],
)
def test_what_is_no_profile_is_refused(tmp_path, text):
    path = tmp_path / "runs.json"
    path.write_text(text)
    with pytest.raises(InputDataError, match=r"runs\.json is not the output of `explorer profile --json`"):
        read_timed(path, Workload.parse("h100-sxm/b64/amp"))


def test_times_that_are_not_numbers_reach_nobody(tmp_path, predictors):
    path = write_rows(tmp_path, *(row(model, p50=float("nan")) for model in ("a@8", "b@8", "c@8")))
    assert "NaN" in path.read_text()
    timed = read_timed(path, Workload.parse("h100-sxm/b64/amp"))
    assert all(np.isnan(one.seconds) for one in timed)
    # and calibrating refuses them: test_a_bad_run_keeps_nothing


@pytest.mark.parametrize(
    ("name", "workload", "fits"),
    [
        (TABLE, "rtx4090/b64/amp", True),
        (TABLE, "cuda/b64/amp", True),
        (TABLE, "rtx3090/b64/amp", False),
        (TABLE, "rtx4090/b64", False),
        (TABLE, "rtx4090/b64/amp/nhwc", False),
        (TABLE, "rtx4090/b64/amp/compiled", False),
        ("mine.csv", "rtx3090/b64/fp16/nhwc", True),
        ("benchmark-infer-amp.csv", "rtx3090/b64/amp/nhwc", True),
        ("benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv", "i9-10940x/b64/compiled/t8", True),
    ],
)
def test_a_table_is_read_where_its_name_allows_it(tmp_path, made_models, name, workload, fits):
    path = made_models.write_csv(tmp_path / name, ["alder0", "oak4"])
    if fits:
        first, second = read_timed(path, Workload.parse(workload))
        assert (first.model, second.model, first.resolution) == ("timm:alder0", "timm:oak4", 224)
        batch = made_models.batches["alder0"]
        assert first.batch == batch
        assert first.seconds == pytest.approx(made_models.seconds("alder0", batch), rel=1e-3)
    else:
        with pytest.raises(
            InputDataError, match=f"has times of .*; wanted {Workload.parse(workload).device}"
        ):
            read_timed(path, Workload.parse(workload))
