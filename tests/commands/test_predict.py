"""`explorer profile --predict`, `explorer devices fit|calibrate`, and fronts and reports on what they say."""

import contextlib
import dataclasses
import json
import re
import shlex
import shutil

import pytest

from explorer.commands.profile import command as profile_command
from explorer.convention import Basis
from explorer.data.devices import find_device_entry
from explorer.prediction.files import save
from explorer.run.fitting import planned_runs
from explorer.store import Store
from explorer.workload import Workload

SMALL, LARGE = "wrn10-0.25@8", "wrn10-0.5@8"
PAIR = f"mean({SMALL}#0, {LARGE}#0)"
FITTED, MOVED = "rtx4090/b256/amp", "l4/b256/amp"
TABLE = "benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv"


@pytest.fixture
def run(explorer_here, predictors, monkeypatch, tmp_path):
    """Run a command in a folder of its own, without a store of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPLORER_STORE", raising=False)
    return explorer_here


@pytest.fixture(scope="module")
def digits(trained_store, tmp_path_factory, made_models, request):
    """The trained store with predicted latencies of its models on two cards; tests read it."""
    store = tmp_path_factory.mktemp("predicted") / "store"
    shutil.copytree(trained_store, store)
    from explorer.run.predicting import predicted
    from explorer.run.profile_asked import Named, Question

    with pytest.MonkeyPatch.context() as patch, Store.open(store) as opened:
        patch.setenv("EXPLORER_PREDICTORS", str(store.parent / "none"))
        for device in (FITTED, MOVED):
            predicted(
                opened,
                Question(named=Named(), device=device, dataset="digits"),
                show_plan=lambda planning: None,
                progress=lambda title: contextlib.nullcontext(lambda share, text: None),
                cache=made_models.cache,
            )
    return store


def rows_of(done) -> list[dict]:
    assert done.code == 0, done.err
    return json.loads(done.out)["rows"]


# ---- profile --predict ----------------------------------------------------------------------------------


def test_a_data_sets_models_are_predicted_kept_and_said(run, store_copy):
    arguments = ("profile", "--dataset", "digits", "--device", FITTED, "--predict", "--store", store_copy)
    done = run(*arguments)
    assert done.code == 0, done.err
    for name in (SMALL, LARGE):
        assert re.search(rf"{re.escape(name)} +{FITTED} +fitted .* to ", done.out)
    small, large = rows_of(run(*arguments, "--json"))
    assert [small["model"], large["model"]] == [SMALL, LARGE]
    for row in (small, large):
        assert (row["basis"], row["batch"], row["precision"], row["runtime"]) == (
            "fitted",
            256,
            "amp",
            "eager",
        )
        assert 0 < row["low"] < row["latency_s"]["p50"] < row["high"]
        assert row["time_per_example_s"] == row["latency_s"]["p50"] / 256
        assert row["details"]["predictor"] == "rtx4090/amp"
        assert "benchmark-infer-amp-nchw" in row["details"]["fitted_to"]
        assert (row["samples"], row["conditions"]) == (0, None)
    assert small["latency_s"]["p50"] < large["latency_s"]["p50"]
    with Store.open(store_copy) as store:
        found = store.costs(kind="latency", device=FITTED)
        assert [record.figure.value for record in found] == [
            row["latency_s"]["p50"] for row in (small, large)
        ]
        assert {record.channels for record in found} == {1}


def test_another_device_or_batch_is_transferred_with_notes(run, tmp_path):
    for device, note in (
        (MOVED, "moved to l4 by the devices' peaks"),
        ("rtx4090/b8/amp", "nobody checked it at 8"),
    ):
        arguments = ("profile", SMALL, "--device", device, "--predict", "--store", tmp_path / "s")
        (row,) = rows_of(run(*arguments, "--json"))
        assert row["basis"] == "transferred"
        assert any(note in text for text in row["notes"])
        text = run(*arguments).out
        assert " transferred " in text
        assert note in text


def test_an_ensemble_is_its_members_one_after_the_other(run, tmp_path):
    arguments = ("profile", SMALL, LARGE, PAIR, "--channels", 1, "--device", FITTED, "--predict", "--energy")
    small, large, pair = rows_of(run(*arguments, "--json", "--store", tmp_path / "s"))
    assert pair["design"] == PAIR
    assert pair["latency_s"]["p50"] == small["latency_s"]["p50"] + large["latency_s"]["p50"]
    assert pair["low"] == small["low"] + large["low"]
    assert pair["high"] == small["high"] + large["high"]
    power = find_device_entry("rtx4090").tdp_w
    for row in (small, large, pair):
        energy = row["energy_j"]
        assert row["energy_reason"] == "not measured: rated power for the predicted time"
        assert energy["basis"] == "bound"
        assert energy["low"] == 0
        assert energy["high"] == pytest.approx(power * row["high"] / 256, rel=1e-12)


def test_an_unknown_device_lists_the_known(run, tmp_path):
    for extra in (("--predict",), ("--predict", "--plan"), ()):
        done = run("profile", SMALL, "--device", "rtx4091/b8", *extra, "--store", tmp_path / "s")
        assert done.code == 2
        assert "unknown device 'rtx4091'; did you mean rtx4090" in done.error_line
        assert "v100-sxm2" in done.error_line


def test_a_known_device_that_is_not_here_is_missing(run, tmp_path):
    done = run("profile", SMALL, "--device", FITTED, "--store", tmp_path / "s")
    assert done.code == 3
    assert "--predict" in done.error_line, "it says what to do"


def test_a_device_without_anything_to_predict_from_is_missing(run, tmp_path):
    done = run("profile", SMALL, "--device", "coral-edge-tpu", "--predict", "--store", tmp_path / "s")
    assert done.code == 3
    assert "nothing to predict coral-edge-tpu from" in done.err
    (row,) = rows_of(
        run(
            "profile",
            SMALL,
            "--device",
            "coral-edge-tpu/int8",
            "--predict",
            "--json",
            "--store",
            tmp_path / "s",
        )
    )
    assert (row["basis"], row["high"]) == ("bound", None)


def test_a_tpu_is_the_compilers_with_or_without_predict(run, tmp_path, monkeypatch):
    from explorer.run import tpu_profile

    asked = []

    def compiled(store, question, **options):
        asked.append(question.device)
        return tpu_profile.Answer(planning=tpu_profile.Planning(planned=()), rows=())

    monkeypatch.setattr(tpu_profile, "compiled", compiled)
    for extra in ((), ("--predict",)):
        done = run("profile", SMALL, "--device", "tpu-v5e/b8", *extra, "--store", tmp_path / "s")
        assert done.code == 0, done.err
    assert asked == ["tpu-v5e/b8"] * 2


def test_what_is_not_predicted_is_refused(run, tmp_path):
    base = ("profile", PAIR, "--device", FITTED, "--predict", "--store", tmp_path / "s")
    done = run(*base, "--placement", "streams")
    assert (done.code, "has to be measured" in done.error_line) == (2, True)
    done = run("profile", SMALL, *base[2:], "--scenario", "offline")
    assert (done.code, "leave it out with --predict" in done.error_line) == (2, True)


def test_a_plan_of_predictions_keeps_nothing(run, tmp_path):
    done = run(
        "profile", SMALL, "--device", FITTED, "--predict", "--plan", "--json", "--store", tmp_path / "s"
    )
    assert done.code == 0, done.err
    assert [row["workload"] for row in json.loads(done.out)["planned"]] == [FITTED]
    with Store.open(tmp_path / "s") as store:
        assert store.costs() == ()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not a predictor"])
def test_a_damaged_predictor_is_one_line(run, predictors, tmp_path, content):
    predictors.mkdir()
    (predictors / "mine.npz").write_bytes(content)
    done = run("profile", SMALL, "--device", FITTED, "--predict", "--store", tmp_path / "s")
    assert done.code == 2
    line = [text for text in done.err.splitlines() if text.startswith("explorer: ")]
    assert len(line) == 1
    assert "mine.npz holds no predictor" in line[0]
    assert "Traceback" not in done.err
    # and so is calibrating, which needs one
    done = run("devices", "calibrate", "h100-sxm/b64/amp")
    assert (done.code, "mine.npz holds no predictor" in done.err) == (2, True)


def test_the_users_predictor_goes_first(run, predictors, made_predictor, tmp_path):
    save(made_predictor, predictors / "rtx4090_amp.npz", source="mine")
    arguments = ("profile", SMALL, "--device", FITTED, "--predict", "--json", "--store", tmp_path / "s")
    (row,) = rows_of(run(*arguments))
    assert (row["basis"], row["details"]["fitted_to"]) == ("fitted", "mine")


# ---- fronts, advice, reports on predicted axes ------------------------------------------------------------


def front(run, store, axis) -> dict:
    done = run("front", "--dataset", "digits", "--cost", axis, "--store", store, "--max-members", 2, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def costs(document) -> dict[str, dict]:
    return {point["design"]: point["cost"] for point in document["points"]}


@pytest.mark.parametrize(("workload", "basis"), [(FITTED, "fitted"), (MOVED, "transferred")])
def test_a_front_on_a_predicted_axis_says_its_basis(run, digits, workload, basis):
    document = front(run, digits, f"latency@{workload}")
    assert {point["cost"]["basis"] for point in document["points"]} == {basis}
    assert any(f"is {basis}, not measured" in note for note in document["notes"])
    with Store.open(digits) as store:
        found = {str(r.model): r.figure.value for r in store.costs(kind="latency", device=workload)}
    for design, cost in costs(document).items():
        members = re.findall(r"(wrn10-[0-9.]+@8)#", design)
        if ">" not in design:
            assert cost["value"] == pytest.approx(sum(found[m] for m in members), rel=1e-12)
    text = run("front", "--dataset", "digits", "--cost", f"latency@{workload}", "--store", digits)
    assert f" {basis} " in text.out
    assert "not measured" in text.err


def test_time_and_money_are_latency_times_a_factor(run, digits, tmp_path):
    store = shutil.copytree(digits, tmp_path / "store")
    given = ("--date", "2026-10-03", "--source", "my seller", "--store", store)
    assert run("devices", "prices", "set", "rtx4090", "0.37", *given).code == 0
    latency = front(run, store, f"latency@{FITTED}")
    for kind, unit, factor in (("time_per_example", "s", 1 / 256), ("money", "USD", 0.37 / 3600 / 256 * 1e6)):
        document = front(run, store, f"{kind}@{FITTED}")
        assert document["cost"]["unit"] == unit
        found, whole = costs(document), costs(latency)
        assert list(found) == list(whole)
        for design in found:
            rel = 0 if kind == "time_per_example" and ">" not in design else 1e-12
            assert found[design]["value"] == pytest.approx(whole[design]["value"] * factor, rel=rel, abs=0)
        priced = [note for note in document["notes"] if "0.37 USD an hour per gpu" in note]
        assert len(priced) == (kind == "money")
    text = run("front", "--dataset", "digits", "--cost", f"money@{FITTED}", "--store", store)
    assert text.code == 0, text.err
    assert " USD" in text.out
    assert "my seller" in text.err


@pytest.mark.parametrize(
    ("axis", "limit", "words"),
    [
        (f"latency@{FITTED}", "1s", "per call of 256 examples (fitted)"),
        (f"latency@{MOVED}", "1s", "per call of 256 examples (transferred)"),
        (f"time_per_example@{FITTED}", "1s", "per example (fitted)"),
        (f"money@{FITTED}", "9USD", "per million examples (fitted)"),
    ],
)
def test_advice_on_a_predicted_axis(run, digits, axis, limit, words):
    arguments = (
        "advise",
        "--budget",
        f"{axis}<={limit}",
        "--dataset",
        "digits",
        "--store",
        digits,
        "--max-members",
        2,
    )
    done = run(*arguments)
    assert done.code == 0, done.err
    assert words in " ".join(done.out.split())
    document = json.loads(run(*arguments, "--json").out)
    assert document["answer"]["cost"]["basis"] == ("transferred" if "l4" in axis else "fitted")


def test_a_device_that_nobody_priced(run, digits, tmp_path):
    done = run("front", "--dataset", "digits", "--cost", "money@cpu", "--store", digits)
    assert done.code == 2
    assert "no price for 'cpu'; give one with `explorer devices prices set cpu" in done.error_line
    done = run("advise", "--budget", "money@cpu<=1", "--dataset", "digits", "--store", digits)
    assert (done.code, "explorer devices prices set cpu" in done.error_line) == (2, True)


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_a_report_in_money(run, digits, tmp_path, suffix):
    path = tmp_path / f"report.{suffix}"
    done = run(
        *("report", "--dataset", "digits", "--cost", f"money@{FITTED}", "--store", digits),
        *("--max-members", 2, "--budget", f"money@{FITTED}<=9USD", "--out", path),
    )
    assert done.code == 0, done.err
    text = path.read_text(encoding="utf-8")
    assert "USD" in text
    assert "price of a million examples on rtx4090/b256/amp" in text
    assert "USD an hour per gpu" in text
    assert "fitted" in text
    assert "not recorded" not in text


def test_bases_do_not_share_a_front(run, digits, tmp_path):
    store = shutil.copytree(digits, tmp_path / "store")
    with Store.open(store) as opened:
        record = opened.costs(kind="latency", device=FITTED)[0]
        figure = dataclasses.replace(record.figure, basis=Basis.TRANSFERRED)
        other = dataclasses.replace(record, device="rtx5090/b256/amp")
        opened.put_cost(other, None)
        second = opened.costs(kind="latency", device=FITTED)[1]
        opened.put_cost(dataclasses.replace(second, device="rtx5090/b256/amp", figure=figure), None)
    for kind in ("latency", "money"):
        done = run("front", "--dataset", "digits", "--cost", f"{kind}@rtx5090/b256/amp", "--store", store)
        assert done.code == 2
        assert "bases are not mixed on one front" in done.error_line


# ---- devices fit and calibrate ----------------------------------------------------------------------------


def test_a_fitted_table_is_what_profile_then_uses(run, made_models, predictors, tmp_path):
    path = made_models.write_csv(tmp_path / TABLE)
    done = run("devices", "fit", path)
    assert done.code == 0, done.err
    assert done.out.startswith("fitted 60 measured models: rtx4090/b256/amp")
    line = re.search(r"`explorer (profile MODEL .*)`", done.out)[1].replace("MODEL", SMALL)
    (row,) = rows_of(run(*shlex.split(line), "--json", "--store", tmp_path / "s"))
    assert (row["basis"], row["details"]["fitted_to"]) == ("fitted", path.stem)
    assert str(predictors / "rtx4090_amp.npz") in done.out


def test_a_table_that_cannot_be_fitted_leaves_nothing(run, made_models, predictors, tmp_path):
    path = made_models.write_csv(tmp_path / TABLE)
    good = path.read_text()
    for bad in ("nan", "-3.5"):
        lines = good.splitlines()
        lines[9] = re.sub(r",224,[0-9.]+,", f",224,{bad},", lines[9])
        path.write_text("\n".join(lines))
        done = run("devices", "fit", path)
        assert done.code == 2
        assert f"line 10: infer_samples_per_sec is '{bad}', wanted a finite number above 0" in done.err
    path.write_text("\n".join(good.splitlines()[:40]))
    done = run("devices", "fit", path)
    assert (done.code, "39 measured models of 12 families; a fit wants 50" in done.err) == (2, True)
    assert not predictors.exists()


def test_a_folder_that_cannot_be_written_is_one_line(run, made_models, predictors, tmp_path):
    predictors.write_text("a file in the way")
    done = run("devices", "fit", made_models.write_csv(tmp_path / TABLE))
    assert done.code == 2
    assert "cannot keep the predictor at" in done.err
    assert "Traceback" not in done.err


@pytest.fixture
def few_candidates(monkeypatch, made_models):
    names = tuple(made_models.tables)[:12]
    monkeypatch.setitem(planned_runs.__kwdefaults__, "candidates", names)
    return names


@pytest.mark.parametrize(
    ("workload", "device"),
    [
        ("h100-sxm/b64/amp", "cuda/b64/amp"),
        ("RTX5090/b64/amp/compiled", "cuda/b64/amp/compiled"),
        ("l4/b32/onnxruntime", "cuda/b32/onnxruntime"),
        ("i9-10940x/b2/compiled", "cpu/b2/compiled"),
        ("cpu/b2", "cpu/b2"),
    ],
)
def test_a_plan_of_runs_can_be_typed(run, few_candidates, workload, device):
    done = run("devices", "calibrate", workload, "--models", 4)
    assert done.code == 0, done.err
    there, here = (line.strip() for line in done.out.splitlines() if line.startswith("  explorer "))
    words = shlex.split(there)
    assert words[-2:] == [">", "runs.json"]
    context = profile_command.make_context("profile", words[2:-2])
    assert context.params["device"] == device
    assert len(context.params["subjects"]) == 4
    assert {name.removeprefix("timm:").removesuffix("@224") for name in context.params["subjects"]} <= set(
        few_candidates
    )
    assert (context.params["classes"], context.params["as_json"]) == (1000, True)
    plain = str(Workload.parse(workload))
    assert here == f"explorer devices calibrate {plain} --measured runs.json"
    document = json.loads(run("devices", "calibrate", workload, "--models", 4, "--json").out)
    assert (document["workload"], tuple(document["models"])) == (plain, context.params["subjects"])


def profile_json(
    tmp_path, made_models, seconds=lambda name, batch, time: time, workload="cuda/b64/amp", count=8
):
    """Write what `profile --json` prints on the machine with the card."""
    batch = Workload.parse(workload).batch
    rows = [
        {
            "model": f"timm:{name}@224",
            "workload": workload,
            "batch": batch,
            "device_name": "NVIDIA H100 80GB HBM3",
            "latency_s": {"p50": seconds(name, batch, 0.4 * made_models.seconds(name, batch))},
            "basis": "measured",
            "error": None,
        }
        for name in list(made_models.tables)[:count]
    ]
    path = tmp_path / "runs.json"
    path.write_text(json.dumps({"schema_version": 1, "rows": rows}))
    return path


def test_runs_make_a_predictor_that_profile_then_uses(run, made_models, predictors, tmp_path):
    path = profile_json(tmp_path, made_models)
    asked = (
        "profile",
        SMALL,
        "--device",
        "h100-sxm/b64/amp",
        "--predict",
        "--json",
        "--store",
        tmp_path / "s",
    )
    (before,) = rows_of(run(*asked))
    done = run("devices", "calibrate", "h100-sxm/b64/amp", "--measured", path, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert (document["rows"], document["workload"]) == (8, "h100-sxm/b64/amp")
    assert document["error_after"] < document["error_before"]
    (after,) = rows_of(run(*asked))
    assert after["basis"] == "transferred"
    assert after["details"]["fitted_to"] == "runs.json"
    assert after["high"] / after["low"] < before["high"] / before["low"]
    text = run("devices", "calibrate", "h100-sxm/b64/amp", "--measured", path).out
    assert re.search(r"mean error on these models: .* before, .* after", text)
    assert [one.name for one in predictors.iterdir()] == ["h100-sxm_amp.npz"]


def test_a_table_calibrates_too(run, made_models, predictors, tmp_path):
    path = made_models.write_csv(
        tmp_path / "benchmark-infer-amp-nchw-pt240-cu124-l4.csv", list(made_models.tables)[:9], slower=3.1
    )
    done = run("devices", "calibrate", MOVED, "--measured", path, "--json")
    assert done.code == 0, done.err
    (row,) = rows_of(
        run("profile", SMALL, "--device", MOVED, "--predict", "--json", "--store", tmp_path / "s")
    )
    assert row["details"]["fitted_to"] == path.name
    assert row["basis"] == "transferred"


def test_bad_runs_are_refused_and_nothing_is_kept(run, made_models, predictors, tmp_path):
    def refused(path, words, workload="h100-sxm/b64/amp"):
        done = run("devices", "calibrate", workload, "--measured", path)
        assert done.code == 2
        assert words in done.err, done.err
        assert "Traceback" not in done.err
        assert not predictors.exists()

    nan = profile_json(tmp_path, made_models, lambda name, batch, time: float("nan"))
    refused(nan, "took nan s; wanted times above 0")
    refused(profile_json(tmp_path, made_models, lambda *given: -1.0), "took -1.0 s")
    refused(profile_json(tmp_path, made_models, count=2), "2 runs do not calibrate a predictor; wanted 3")
    refused(profile_json(tmp_path, made_models, workload="cuda/b64"), "it has cuda/b64 (NVIDIA H100")
    refused(profile_json(tmp_path, made_models), "no measured model of l4/amp", "l4/b64/amp")
    refused(
        profile_json(tmp_path, made_models, workload="cuda/b64/int8"),
        "no predictor to calibrate for h100-sxm/b64/int8",
        "h100-sxm/b64/int8",
    )
    (tmp_path / "x.json").write_text("[]")
    refused(tmp_path / "x.json", "is not the output of `explorer profile --json`")
    other = made_models.write_csv(tmp_path / TABLE, list(made_models.tables)[:9])
    refused(other, "has times of rtx4090/amp; wanted h100-sxm/amp")


@pytest.mark.parametrize("text", ["rtx4091/b64/amp", "mycard"])
def test_calibrating_an_unknown_device_lists_the_known(run, predictors, text):
    done = run("devices", "calibrate", text)
    assert done.code == 2
    assert "unknown device" in done.error_line
    assert "v100-sxm2" in done.error_line


def test_a_tpu_is_not_calibrated(run):
    done = run("devices", "calibrate", "tpu-v5e/b8")
    assert (done.code, "no predictor to calibrate for tpu-v5e/b8" in done.err) == (2, True)
