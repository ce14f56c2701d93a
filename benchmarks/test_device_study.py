# ruff: noqa: D103 - a test's name is its docstring
"""A study goes on where it stopped, loses nothing it has, and its report meets rows whose answer is known."""

import csv
import dataclasses
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import device_study, device_study_rows, device_study_worker
from benchmarks.device_study_plan import MODELS, STAGES, Asked, Unit, subject_of, units
from benchmarks.device_study_report import report, write_report
from benchmarks.device_study_scores import _predictors, scores
from benchmarks.device_study_worker import _document, work
from explorer.accounting.kernels import KERNEL, KIND, KernelTable
from explorer.convention import Basis
from explorer.errors import InputDataError, UsageError
from explorer.measure.latency import latency_figure
from explorer.measure.tail import tail_bounds
from explorer.prediction import Sample
from explorer.prediction.families import family
from explorer.profile_record import EnergyPart, PlacedTimes, ProfileRow
from explorer.record import Conditions, CostFigure, LatencyRun
from explorer.run.kernel_tables import Traced
from explorer.workload import Runtime, Workload

MACHINE = "NVIDIA H100 80GB HBM3"
TEN = tuple(text for text in MODELS if text.startswith("timm:"))[:10]
WORKLOAD = Workload.parse("cuda/b64/amp")


# ---- what is planned ----------------------------------------------------------------------------


def test_the_plan_holds_what_was_asked_for_the_planned_models_first() -> None:
    found = units(Asked(planned=TEN))
    assert sum(text.startswith("timm:") for text in MODELS) >= 40
    assert {one.stage for one in found} == set(STAGES)
    assert [one.stage for one in found[:4]] == ["planned"] * 4
    assert {text for one in found[:4] for text in one.subjects} == set(TEN)
    by_workload: dict[str, set[str]] = {}
    for one in found:
        by_workload.setdefault(str(one.workload), set()).update(one.subjects)
    for precision in ("", "/bf16"):
        for batch in ("", "/b8", "/b64", "/b256"):
            assert set(MODELS) <= by_workload[f"cuda{batch}{precision}"]
    for batch in ("", "/b8"):
        assert by_workload[f"cuda{batch}/bf16/graph"] == set(MODELS)
    assert len(by_workload["cuda/b64/amp/compiled"]) == 12
    assert not {"vit", "swin", "mixer"} & set(map(family, by_workload["cuda/b64/amp/nhwc"]))
    assert len([one for one in found if one.stage == "energy"]) == 10
    sizes = [one.subjects[0].count("#") for one in found if one.stage == "placements"]
    assert sorted(set(sizes)) == [2, 4, 8]
    assert len(sizes) == 2 * 3 * 4


def test_settings_survive_the_way_to_the_other_process() -> None:
    asked = Asked(device="cpu", models=("wrn10-1@8",), stages=("eager",), planned=TEN)
    assert Asked.read(json.loads(json.dumps(asked.document()))) == asked


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown stage 'nope'"):
        units(Asked(stages=("nope",)))


# ---- measuring ----------------------------------------------------------------------------------


def run_of(text: str, seconds: float, workload: Workload = WORKLOAD, count: int = 40) -> LatencyRun:
    draw = np.random.default_rng(zlib.crc32(text.encode()))
    return LatencyRun(
        subject=text,
        samples_s=tuple((seconds * draw.uniform(0.99, 1.01, count)).tolist()),
        warmup_s=(2 * seconds,),
        conditions=Conditions(
            device="cuda:0",
            device_name=MACHINE,
            dtype="float32",
            batch=workload.batch,
            threads=1,
            backend="torch-eager",
            versions={"torch": "2.13.0"},
            power_state="unknown",
        ),
        stop_reason="steady",
        observations={"after": {"sm_clock_mhz": 1980.0}},
    )


def timed(text: str, seconds: float, workload: Workload = WORKLOAD) -> ProfileRow:
    run = run_of(text, seconds, workload)
    return ProfileRow(
        subject=text,
        workload=workload,
        figure=latency_figure(run),
        run=run,
        tails=tail_bounds(run.samples_s),
        memory_bytes=2**30,
    )


class Recorder:
    """Stands for the device: notes what it was asked, and gives every model a time."""

    def __init__(
        self, fails: str = "", how: str = "CUDA error: an illegal memory access was encountered"
    ) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.fails, self.how = fails, how

    def __call__(self, store: Any, unit: Unit, options: Any) -> Sequence[ProfileRow]:
        """Return a row for each subject, or die."""
        self.asked.append(unit.subjects)
        if self.fails in unit.subjects:
            raise RuntimeError(self.how)
        return [timed(text, 0.01, unit.workload) for text in unit.subjects]


NAMES = ("wrn10-0.25@8", "wrn10-0.5@8", "mlp8x1@8")
SMALL = Asked(device="cpu", models=NAMES, stages=("eager",), batches=(1, 8))


def test_a_study_stops_in_time_and_goes_on_without_repeating_a_row(tmp_path: Path) -> None:
    first, now = Recorder(), [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    assert not work(tmp_path, SMALL, until=14.0, measure=first, clock=clock)
    assert 0 < len(first.asked) < 4
    second = Recorder()
    assert work(tmp_path, SMALL, until=float("inf"), measure=second)
    assert len(first.asked) + len(second.asked) == 4  # bf16 and fp32 at two batches
    assert work(tmp_path, SMALL, until=float("inf"), measure=(third := Recorder()))
    assert not third.asked
    rows = device_study_rows.read(tmp_path)
    keys = [device_study_rows.key_of(row) for row in rows]
    assert len(keys) == len(set(keys)) == 12
    [machine] = {row["machine"] for row in rows}
    told = device_study_rows.manifest(tmp_path)["machines"][machine]
    assert told["versions"]["torch"]
    assert told["observed"]["device"] == "cpu"


def test_what_ends_the_process_twice_becomes_a_row_and_the_others_are_measured(tmp_path: Path) -> None:
    asked = dataclasses.replace(SMALL, batches=(1,))
    device = Recorder(fails=NAMES[1])
    deaths = 0
    for _ in range(20):
        try:
            assert work(tmp_path, asked, until=float("inf"), measure=device)
            break
        except RuntimeError:
            deaths += 1
    assert deaths == 4  # in two workloads, together and alone
    rows = device_study_rows.read(tmp_path)
    assert len(rows) == 6
    for row in rows:
        failed = row["model"] == NAMES[1]
        assert (row["latency_s"] is None) == failed
        assert not failed or "illegal memory access" in row["error"]
    assert json.loads((tmp_path / "attempts.json").read_text()) == {}


def test_what_merely_fails_is_a_row_at_once_and_the_others_are_measured(tmp_path: Path) -> None:
    asked = dataclasses.replace(SMALL, batches=(1,))
    assert work(tmp_path, asked, until=float("inf"), measure=Recorder(NAMES[1], "cuDNN error: not supported"))
    rows = device_study_rows.read(tmp_path)
    assert len(rows) == 6
    assert {row["model"] for row in rows if row["error"]} == {NAMES[1]}
    assert all("cuDNN error" in row["error"] for row in rows if row["error"])
    assert json.loads((tmp_path / "attempts.json").read_text()) == {}


def test_an_interruption_is_not_held_against_a_model(tmp_path: Path) -> None:
    def interrupted(store: Any, unit: Unit, options: Any) -> Sequence[ProfileRow]:
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            work(tmp_path, SMALL, until=float("inf"), measure=interrupted)
    assert work(tmp_path, SMALL, until=float("inf"), measure=(device := Recorder()))
    assert device.asked[0] == NAMES


def test_the_real_measurement_gives_rows_and_reasons(tmp_path: Path) -> None:
    asked = Asked(device="cpu", models=("mlp8x1@8",), stages=("eager", "graph"), batches=(1,), seconds=0.05)
    assert work(tmp_path, asked, until=float("inf"))
    rows = {row["workload"]: row for row in device_study_rows.read(tmp_path)}
    assert rows["cpu/eager"]["latency_s"]["p50"] > 0
    assert rows["cpu/eager"]["samples_s"]
    assert rows["cpu/graph"]["error"] == "graph is a runtime of CUDA devices"


def test_the_watching_process_starts_another_until_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = iter([1, -11, device_study.COMPLETE])
    monkeypatch.setattr(device_study, "_one_process", lambda *given: next(codes))
    assert device_study.run(tmp_path, SMALL, 1.0) == 0
    [call] = json.loads((tmp_path / "calls.json").read_text())
    assert call["ended"] == "complete"
    assert call["asked"]["device"] == "cpu"
    assert (tmp_path / device_study_rows.BUNDLE).exists()


def test_a_process_that_always_dies_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_study, "_one_process", lambda *given: 1)
    assert device_study.run(tmp_path, SMALL, 1.0) == device_study.DIED
    assert "died" in json.loads((tmp_path / "calls.json").read_text())[0]["ended"]


# ---- rows and the bundle ------------------------------------------------------------------------


def row_of(row: ProfileRow, stage: str = "eager", machine: str = MACHINE) -> dict[str, Any]:
    """Return a row as the study keeps it."""
    unit = Unit(stage=stage, workload=row.workload, subjects=(row.subject,))
    return _document(row, unit, machine)


def test_a_torn_line_is_passed_over_and_the_next_row_is_whole(tmp_path: Path) -> None:
    device_study_rows.append(tmp_path, [row_of(timed("wrn10-1@32", 0.01))])
    path = tmp_path / "rows.jsonl"
    path.write_bytes(path.read_bytes() + b'{"machine": "x", "kind": "ti')
    device_study_rows.append(tmp_path, [row_of(timed("wrn10-2@32", 0.02))])
    assert [row["model"] for row in device_study_rows.read(tmp_path)] == ["wrn10-1@32", "wrn10-2@32"]


def test_a_folder_with_the_bundle_alone_goes_on_from_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    rows = [row_of(timed(text, 0.01)) for text in ("wrn10-1@32", "wrn10-2@32")]
    device_study_rows.append(first, rows)
    device_study_rows.write_json(first / "machines.json", {MACHINE: {"planned": list(TEN)}})
    bundle = device_study_rows.export(first, device_study_rows.read(first))
    (second / bundle.name).write_bytes(bundle.read_bytes())
    device_study_rows.restore(second)
    for before, after in zip(rows, device_study_rows.read(second), strict=True):
        assert after["samples_s"] == pytest.approx(before["samples_s"], rel=1e-5)
        assert {**after, "samples_s": 0} == {**before, "samples_s": 0}
    assert device_study_rows.manifest(second)["machines"][MACHINE]["planned"] == list(TEN)


def test_a_bundle_thins_its_samples_to_stay_below_the_limit(tmp_path: Path) -> None:
    row = row_of(timed("wrn10-1@32", 0.01))
    row["samples_s"] = np.random.default_rng(0).uniform(0, 1, 40_000).tolist()
    device_study_rows.export(tmp_path, [row], limit=60_000)
    path = tmp_path / device_study_rows.BUNDLE
    assert path.stat().st_size < 60_000
    [kept] = device_study_rows.read(tmp_path)
    every = device_study_rows.manifest(tmp_path)["samples_kept_every"]
    assert every > 1
    assert kept["samples_s"] == pytest.approx(row["samples_s"][::every], rel=1e-6)
    with pytest.raises(InputDataError, match="without samples"):
        device_study_rows.export(tmp_path, [row], limit=100)


def test_a_damaged_bundle_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="run it first"):
        write_report(tmp_path, tmp_path / "results")
    (tmp_path / device_study_rows.BUNDLE).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputDataError, match="damaged"):
        device_study_rows.read(tmp_path)


def test_rows_of_another_machine_do_not_count_as_done(tmp_path: Path) -> None:
    work(tmp_path, SMALL, until=float("inf"), measure=Recorder())
    rows = [{**row, "machine": MACHINE} for row in device_study_rows.read(tmp_path)]
    (tmp_path / "rows.jsonl").unlink()
    device_study_rows.append(tmp_path, rows)
    work(tmp_path, SMALL, until=float("inf"), measure=(device := Recorder()))
    assert len(device.asked) == 4


# ---- the report ---------------------------------------------------------------------------------


def table(name: str) -> KernelTable:
    """Return a pass of a few kernels, no two models alike."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    found = np.zeros(10, KERNEL)
    for number, kind in enumerate(draw.choice(["conv", "pointwise", "elementwise", "copy"], 10)):
        rows, columns, depth = np.exp(draw.normal(0, 0.7, 3)) * [3000, 96, 96]
        product = kind in ("conv", "pointwise")
        settings = dict.fromkeys(("groups", "taps", "stride", "operands", "operators", "count"), 1)
        settings |= {"kind": KIND[kind], "per_example": True, "item": 4, "item_in": 4, "rows": rows}
        settings |= {"columns": columns, "depth": depth, "read": 4 * rows * depth}
        settings |= {"written": 4 * rows * columns, "steps": 0 if product else rows * columns}
        settings |= {"macs": rows * columns * depth * product, "weights": 4 * columns * depth * product}
        for field, value in settings.items():
            found[number][field] = value
    return KernelTable(operators=found, fused=found[:5])


def tables(wanted: Sequence[Traced]) -> Mapping[Traced, KernelTable | str]:
    return {one: "branches on data" if one.model == "timm:vgg16" else table(one.model) for one in wanted}


SLOWER = 1.3


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    """Rows of a card on which everything takes 1.3 times what the peaks say, moved from the RTX 4090."""
    rows = []
    there = dataclasses.replace(WORKLOAD, device="h100-sxm")
    predictor = next(p for p, base, _ in _predictors(there) if base == "rtx4090/amp")
    for text in MODELS:
        name = subject_of(text).model.name
        sample = Sample(
            model=text,
            family=family(text),
            kernels=table(name),
            batch=64,
            workload=there,
            device=there.device,
        )
        [figure] = predictor.predict([sample])
        rows.append(row_of(timed(text, SLOWER * figure.value), "planned" if text in TEN else "eager"))
    return rows


def test_a_device_slower_throughout_is_met_after_ten_runs(recorded: list[dict[str, Any]]) -> None:
    found, notes = scores(recorded, TEN, "h100-sxm", tables)
    assert {one.base for one in found} == {"rtx3090/amp", "rtx4090/amp"}
    one = next(one for one in found if one.base == "rtx4090/amp")
    assert one.moved
    assert one.runs == 10
    assert one.before.accuracy.rows == len(MODELS) - 11
    assert one.before.accuracy.mape == pytest.approx(1 - 1 / SLOWER, abs=0.01)
    assert one.after
    assert one.after.accuracy.mape < 0.03
    known = {family(text) for text in TEN}
    apart = [text for text in MODELS if family(text) not in known and "vgg16" not in text]
    assert one.unseen_after
    assert one.unseen_after.accuracy.rows == len(apart)
    assert one.unseen_after.accuracy.mape < 0.03
    assert notes == ("timm:vgg16@224 cannot be predicted: branches on data",)


def test_without_the_planned_models_there_is_no_calibration(recorded: list[dict[str, Any]]) -> None:
    found, _ = scores(recorded[10:], TEN, "h100-sxm", tables)
    assert all(one.after is None and one.runs == 0 for one in found)
    assert found[0].before.accuracy.rows == len(MODELS) - 11


def test_the_users_own_predictors_do_not_shape_a_report(
    recorded: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    monkeypatch.setenv("EXPLORER_PREDICTORS", str(tmp_path))
    found, _ = scores(recorded, TEN, "h100-sxm", tables)
    assert found


def figure(value: float, basis: Basis = Basis.MEASURED) -> CostFigure:
    return CostFigure(value=value, low=0.9 * value, high=1.1 * value, basis=basis)


def ensemble_row() -> dict[str, Any]:
    text = "mean(wrn10-1@32#0, wrn10-1@32#1)"
    row = dataclasses.replace(
        timed(text, 0.003, Workload(device="cuda")),
        placed=PlacedTimes(
            placement="streams",
            members=("wrn10-1@32", "wrn10-1@32"),
            members_s=(0.002, 0.002),
            combination_s=1e-5,
            interference=figure(1.5),
            over_sum=figure(0.75),
            over_slowest=figure(1.5),
            composed=None,
        ),
    )
    return row_of(row, "placements")


def test_a_report_says_ratios_placements_energy_and_what_did_not_fit(
    recorded: list[dict[str, Any]], tmp_path: Path
) -> None:
    name = TEN[0]
    graph, plain = Workload.parse("cuda/bf16/graph"), Workload.parse("cuda/bf16")
    last = Workload.parse("cuda/b64/amp/nhwc")
    of_energy = dataclasses.replace(
        timed(name, 0.010), energy=EnergyPart(figure=figure(0.04), details={"power_w": 300.0, "idle_w": 70.0})
    )
    rows = [
        *recorded,
        row_of(timed(name, 0.010, plain)),
        row_of(timed(name, 0.004, graph), "graph"),
        row_of(timed(name, 2 * recorded[0]["latency_s"]["p50"], last), "nhwc"),
        row_of(ProfileRow(subject="wrn40-4@32", workload=plain, error="out of memory: 90 GiB wanted")),
        ensemble_row(),
        row_of(of_energy, "energy"),
    ]
    device_study_rows.append(tmp_path, rows)
    device_study_rows.write_json(
        tmp_path / "machines.json", {MACHINE: {"device": "cuda:0", "planned": list(TEN)}}
    )
    markdown, flat = write_report(tmp_path, tmp_path / "results", tables)
    assert markdown.name == "device_study_nvidia-h100-80gb-hbm3.md"
    text = markdown.read_text()
    assert f"| CUDA graph over eager | 1 | bf16 | graph | 1 | 0.40 | 0.40 ({name})" in text
    assert f"| channels_last over contiguous | 64 | amp | eager | 1 | 2.00 | 2.00 ({name})" in text
    assert re.search(r"\| 2 x wrn10-1@32 \| 1 \| streams \| (3|2\.99)", text)
    assert "0.75 [0.68, 0.83]" in text
    assert "wrn40-4@32 on cuda/bf16: out of memory: 90 GiB wanted" in text
    # rated power 700 W for the upper end of 10 ms, 64 examples
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} | cuda/b64/amp | 0.04 |"))
    assert "36%" in line or "37%" in line
    assert "| h100-sxm/b64/amp | rtx4090/amp | 10 |" in text
    with flat.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    assert [row["error"] for row in found if row["subject"] == "wrn40-4@32" and row["error"]] == [
        "out of memory: 90 GiB wanted"
    ]
    assert found[0]["sm_clock_mhz"] == "1980"
    assert float(found[0]["p99_s"]) > 0


def test_a_machine_that_the_table_lacks_is_reported_too(recorded: list[dict[str, Any]]) -> None:
    told = {"machines": {"Some Card": {"device": "cuda:0", "planned": []}}, "calls": []}
    text = report("Some Card", recorded, told, tables)
    assert "rtx4090/amp (peaks unknown)" in text


# ---- the command --------------------------------------------------------------------------------


def test_a_device_that_is_not_here_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert device_study.main(["run", "--out", str(tmp_path / "a"), "--minutes", "0"]) == 2
    arguments = ["run", "--out", str(tmp_path / "a"), "--minutes", "1", "--models", "nope"]
    assert device_study.main(arguments) == 2
    assert "unknown model 'nope'" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_the_planner_is_asked_once_for_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def planned(workload: Workload, runs: int, **given: Any) -> tuple[str, ...]:
        calls.append((workload.precision, workload.runtime, runs, given["candidates"]))
        return ("timm:test_vit@64",)

    monkeypatch.setattr(device_study_worker, "planned_runs", planned)
    asked = Asked(device="cpu", models=("timm:test_vit@64", "mlp8x1@8"), stages=("planned",), batches=(64,))
    for _ in range(2):
        assert work(tmp_path, asked, until=float("inf"), measure=Recorder())
    assert calls == [("fp32", Runtime.EAGER, 1, ("test_vit",))]
    [row] = device_study_rows.read(tmp_path)
    assert row["stage"] == "planned"
