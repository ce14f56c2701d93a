import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from explorer.convention import Basis
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.memory_limits import OutOfMemory
from explorer.measure.runtime import Prepared
from explorer.profile_record import ProfileRow
from explorer.record import Conditions, CostFigure, LatencyRun
from explorer.run.profiling import (
    Options,
    Subject,
    count_subjects,
    grid,
    job,
    plan_rows,
    profile_models,
    ready,
    run_plan,
    subjects,
)
from explorer.run.profiling import devices as profiling_devices
from explorer.run.profiling.scenarios import scenario_rows
from explorer.spec import ModelSpec, parse_model
from explorer.store import Store
from explorer.workload import Precision, Runtime, Workload

SMALL = Subject(model=ModelSpec("wrn10-0.25", 8), channels=1, classes=10)
LARGER = Subject(model=ModelSpec("wrn10-0.5", 8), channels=1, classes=10)
QUICK = Options(seconds=0.05)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


class Device:
    """Stands for a device: prepares anything at once, and times by a script."""

    def __init__(self, conditions_of) -> None:
        self.prepared: list[tuple[str, str]] = []
        self.groups: list[list[str]] = []
        self.closed = 0
        self.too_large: set[str] = set()
        self.crowded = False
        self.refused: set[str] = set()
        self.seconds = 0.001
        self.interrupt_at = -1
        self._conditions_of = conditions_of

    def make_ready(self, asked, seed):
        name = str(asked.subject.model)
        self.prepared.append((name, str(asked.workload)))
        if name in self.refused:
            return f"{name} cannot\nbe compiled"
        if name in self.too_large:
            return OutOfMemory(workload=asked.workload, reason="out of memory: 7 GiB wanted")
        return Prepared(
            workload=asked.workload,
            call=lambda: None,
            before=None,
            timer=None,
            conditions=self._conditions_of(asked.workload),
            prepare_s=0.5,
            first_call_s=0.25,
            memory_bytes=None,
            observations={},
            _release=self._close,
        )

    def measure_prepared(self, prepared, *, seed, **stop):
        if len(self.groups) == self.interrupt_at:
            raise KeyboardInterrupt
        self.groups.append(list(prepared))
        workload = next(iter(prepared.values())).workload
        runs = {}
        for number, (name, one) in enumerate(prepared.items()):
            if self.crowded and len(prepared) > 1 and number:
                runs[name] = OutOfMemory(workload=workload, reason="out of memory: beside others")
                continue
            self.seconds += 0.0001
            runs[name] = LatencyRun(
                subject=name,
                samples_s=tuple(self.seconds * (1 + k / 1000) for k in range(100)),
                warmup_s=(1.0,),
                conditions=one.conditions,
                stop_reason="steady",
                observations={"doubtful": ("it rained",), "memory_bytes": 1009, "seed": seed},
            )
        return runs

    def _close(self) -> None:
        self.closed += 1


@pytest.fixture
def device(monkeypatch):
    from explorer.measure.environment import conditions

    def conditions_of(workload):
        backend = "onnxruntime" if workload.runtime is Runtime.ONNXRUNTIME else "torch-eager"
        return conditions("cpu", batch=workload.batch, threads=workload.threads, backend=backend)

    fake = Device(conditions_of)
    monkeypatch.setattr(job, "make_ready", fake.make_ready)
    monkeypatch.setattr(job, "measure_prepared", fake.measure_prepared)
    return fake


def texts(planned):
    return [(str(one.job.subject.model), str(one.job.workload)) for one in planned]


# ---- what is planned --------------------------------------------------------------------------


def test_the_usual_profile_on_a_cpu_is_what_ships_and_eager_torch():
    assert [str(workload) for workload in grid("cpu")] == ["cpu", "cpu/eager"]
    assert [str(workload) for workload in grid("cpu/eager")] == ["cpu/eager"]
    assert [str(workload) for workload in grid("cpu/onnxruntime/b3")] == ["cpu/b3"]
    assert [str(workload) for workload in grid("cuda")] == ["cuda"]


def test_a_grid_is_every_combination_one_change_before_two():
    found = grid(
        "cuda",
        batches=(1, 8, 64),
        precisions=(Precision.FP32, Precision.BF16),
        runtimes=(Runtime.EAGER, Runtime.GRAPH),
    )
    names = [str(workload) for workload in found]

    assert len(names) == len(set(names)) == 12
    assert names[:2] == ["cuda", "cuda/graph"]
    assert set(names[:5]) == {"cuda", "cuda/graph", "cuda/bf16", "cuda/b8", "cuda/b64"}
    assert names[-1] == "cuda/b64/bf16/graph"


def test_without_a_runtime_named_onnxruntime_is_left_out_where_it_lacks_the_precision():
    names = [str(w) for w in grid("cpu", precisions=(Precision.BF16, Precision.INT8), channels_last=True)]

    assert names == ["cpu/bf16/eager/nhwc", "cpu/int8/nhwc", "cpu/int8/eager/nhwc"]


def test_resolutions_are_for_models_without_their_own(store):
    chosen = subjects(
        store,
        [parse_model("wrn10-1"), parse_model("wrn10-2@16")],
        dataset=None,
        channels=1,
        classes=3,
        resolutions=(8, 12),
    )

    assert [str(one.model) for one in chosen] == ["wrn10-1@8", "wrn10-2@16", "wrn10-1@12"]


def test_minutes_leave_out_what_comes_last(store):
    options = replace(QUICK, seconds=10.0, minutes=1.0)
    plan = plan_rows(store, [SMALL, LARGER], grid("cpu/eager", batches=(1, 4, 16)), options)

    assert texts(plan.planned)[:2] == [("wrn10-0.25@8", "cpu/eager"), ("wrn10-0.5@8", "cpu/eager")]
    assert plan.seconds <= 60.0
    assert texts(plan.left_out)[-1] == ("wrn10-0.5@8", "cpu/b16/eager")
    assert len(plan.planned) + len(plan.left_out) == 6
    # the first row is measured however little time there is
    least = plan_rows(store, [SMALL], grid("cpu/eager"), replace(options, minutes=1e-6))
    assert len(least.planned) == 1


def test_a_large_model_is_estimated_by_its_work(store):
    short = plan_rows(store, [SMALL], grid("cpu/eager"), QUICK, macs={SMALL: 1e6})
    long = plan_rows(store, [SMALL], grid("cpu/eager", batches=(64,)), QUICK, macs={SMALL: 1e10})

    assert long.seconds > 60 * 9 > short.seconds


def test_impossible_rows_are_refused_with_the_reason_and_alone_are_an_error(store):
    workloads = grid("cpu", precisions=(Precision.FP32, Precision.TF32), runtimes=(Runtime.EAGER,))
    plan = plan_rows(store, [SMALL], workloads, QUICK)

    assert texts(plan.planned) == [("wrn10-0.25@8", "cpu/eager")]
    assert [(str(row.workload), row.figure) for row in plan.refused] == [("cpu/tf32/eager", None)]
    assert "tf32 is a mode of CUDA devices" in plan.refused[0].error
    with pytest.raises(UsageError, match="tf32 is a mode of CUDA"):
        plan_rows(store, [SMALL], workloads[1:], QUICK)


def test_devices_that_are_unknown_or_elsewhere(store, monkeypatch):
    with pytest.raises(UsageError, match=r"unknown device 'rtx409'; did you mean rtx4090.* known: .*tpu-v5e"):
        plan_rows(store, [SMALL], grid("rtx409"), QUICK)
    with pytest.raises(
        EnvironmentMissingError, match=r"'tpu-v5e' .* is not here .*measure there, or --predict"
    ):
        plan_rows(store, [SMALL], grid("tpu-v5e"), QUICK)
    monkeypatch.setattr(
        profiling_devices,
        "_own_devices",
        lambda: [("cpu", "None such"), ("cuda:1", "NVIDIA GeForce RTX 4090")],
    )
    profiling_devices._local_name.cache_clear()
    workload = Workload.parse("rtx4090/b8/bf16")
    assert profiling_devices.here(workload) == replace(workload, device="cuda:1")
    profiling_devices._local_name.cache_clear()


# ---- what is done -----------------------------------------------------------------------------


def test_rows_are_stored_with_samples_and_what_was_seen_and_not_measured_again(store, device):
    workloads = grid("cpu", batches=(1, 4))
    plan = plan_rows(store, [SMALL, LARGER], workloads, QUICK)
    outcome = run_plan(store, plan, QUICK)

    assert len(outcome.rows) == 8
    assert device.closed == 8
    assert device.groups == [["wrn10-0.25@8", "wrn10-0.5@8"]] * 4
    (record,) = (c for c in store.costs("latency", "cpu/b4/eager") if c.model == LARGER.model)
    row = next(r for r in outcome.rows if (r.subject, str(r.workload)) == ("wrn10-0.5@8", "cpu/b4/eager"))
    assert record.figure == row.figure
    assert record.convention == "single-stream-b4"
    np.testing.assert_array_equal(store.samples(record.samples_digest), row.run.samples_s)
    notes = store.sample_notes(record.samples_digest)
    assert notes["doubtful_reasons"] == ["it rained"]
    assert notes["memory_bytes"] == 1009
    assert notes["observations"]["seed"] == 0

    again = plan_rows(store, [SMALL, LARGER], workloads, QUICK)
    assert again.planned == ()
    found = {(r.subject, str(r.workload)): r for r in again.stored}
    restored = found["wrn10-0.5@8", "cpu/b4/eager"]
    assert restored.from_store
    assert restored.run.samples_s == row.run.samples_s
    assert restored.run.warmup_s == (1.0,)
    assert (restored.figure, restored.tails, restored.doubtful_reasons) == (
        row.figure,
        row.tails,
        row.doubtful_reasons,
    )


def test_old_rows_other_conditions_and_more_series_are_measured_anew(store, device, monkeypatch):
    run_plan(store, plan_rows(store, [SMALL], grid("cpu/eager"), QUICK), QUICK)

    def planned(options=QUICK, now=None, chosen=SMALL):
        return len(plan_rows(store, [chosen], grid("cpu/eager"), options, now=now).planned)

    assert planned() == 0
    assert planned(replace(QUICK, again=True)) == 1
    assert planned(replace(QUICK, repeat=2)) == 1
    assert planned(now=datetime.now(UTC) + timedelta(days=8)) == 1
    assert planned(replace(QUICK, max_age_days=9), now=datetime.now(UTC) + timedelta(days=8)) == 0
    assert planned(chosen=replace(SMALL, classes=11)) == 1
    monkeypatch.setattr("explorer.measure.environment._version", lambda package: "another")
    assert planned() == 1


def test_repeated_series_are_pooled_and_their_spread_is_said(store, device):
    options = replace(QUICK, repeat=3)
    plan = plan_rows(store, [SMALL, LARGER], grid("cpu/eager", batches=(1, 4)), options)
    rows = run_plan(store, plan, options).rows

    assert len(device.groups) == 6
    assert all(len(row.series_medians_s) == 3 and len(row.run.samples_s) == 300 for row in rows)
    row = rows[0]
    low, middle, high = sorted(row.series_medians_s)
    assert row.series_spread == pytest.approx((high - low) / middle)
    assert row.run.observations["seed"] == (0, 1, 2)
    assert row.run.observations["memory_bytes"] == 1009
    assert row.doubtful_reasons[-1].startswith("medians of the 3 series differ by")
    (stored,) = (r for r in plan_rows(store, [SMALL], grid("cpu/eager"), options).stored)
    assert stored.series_medians_s == row.series_medians_s
    # in the later series neither models nor workloads come in the same order every time
    later = [device.prepared[k : k + 4] for k in (4, 8)]
    assert any(part != device.prepared[:4] for part in later)


def test_what_does_not_fit_or_is_refused_is_a_row_with_the_reason(store, device):
    device.too_large = {"wrn10-0.5@8"}
    device.refused = {"wrn10-1@8"}
    third = replace(SMALL, model=ModelSpec("wrn10-1", 8))
    rows = run_plan(store, plan_rows(store, [SMALL, LARGER, third], grid("cpu/eager"), QUICK), QUICK).rows

    assert [(row.subject, row.error) for row in rows] == [
        ("wrn10-0.25@8", None),
        ("wrn10-0.5@8", "out of memory: 7 GiB wanted"),
        ("wrn10-1@8", "wrn10-1@8 cannot be compiled"),
    ]
    assert rows[1].figure is None
    assert len(store.costs("latency")) == 1
    # tried beside the others, then alone
    assert [name for name, _ in device.prepared].count("wrn10-0.5@8") == 2


def test_what_does_not_fit_beside_others_is_timed_alone(store, device):
    device.crowded = True
    third = replace(SMALL, model=ModelSpec("wrn10-1", 8))
    rows = run_plan(store, plan_rows(store, [SMALL, LARGER, third], grid("cpu/eager"), QUICK), QUICK).rows

    assert all(row.error is None for row in rows)
    assert device.groups[1:] == [["wrn10-0.5@8"], ["wrn10-1@8"]]
    assert device.closed == 5


def test_nothing_measured_at_all_is_an_error(store, device):
    device.too_large = {"wrn10-0.25@8"}
    with pytest.raises(UsageError, match=r"nothing could be measured: wrn10-0.25@8: out of memory: 7 GiB"):
        run_plan(store, plan_rows(store, [SMALL], grid("cpu/eager"), QUICK), QUICK)


def test_groups_are_small_and_even(store, device):
    many = [replace(SMALL, model=ModelSpec("wrn10-1", size)) for size in range(8, 25)]
    run_plan(store, plan_rows(store, many, grid("cpu/eager"), QUICK), QUICK)

    assert [len(group) for group in device.groups] == [5, 6, 6]


def test_time_that_runs_out_leaves_the_rest_out_and_says_so(store, device):
    options = replace(QUICK, minutes=1.0)
    plan = plan_rows(store, [SMALL], grid("cpu/eager", batches=(1, 2, 4)), options)
    ticks = iter([0.0, 0.0, 61.0, 62.0])
    outcome = run_plan(store, plan, options, clock=lambda: next(ticks))

    assert [str(row.workload) for row in outcome.rows] == ["cpu/eager"]
    assert [str(one.workload) for one in outcome.left_out] == ["cpu/b2/eager", "cpu/b4/eager"]


def test_an_interruption_keeps_the_groups_before_it_and_closes_its_own(store, device):
    device.interrupt_at = 1
    workloads = grid("cpu/eager", batches=(1, 4))
    with pytest.raises(KeyboardInterrupt):
        run_plan(store, plan_rows(store, [SMALL, LARGER], workloads, QUICK), QUICK)

    assert device.closed == 4
    plan = plan_rows(store, [SMALL, LARGER], workloads, QUICK)
    assert {str(row.workload) for row in plan.stored} == {"cpu/eager"}
    assert {str(one.job.workload) for one in plan.planned} == {"cpu/b4/eager"}


def test_progress_rises_and_ends_within_its_share(store, device):
    seen = []
    plan = plan_rows(store, [SMALL, LARGER], grid("cpu", batches=(1, 4)), QUICK)
    run_plan(store, plan, QUICK, update=lambda share, text: seen.append((share, text)))

    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] < 1.0
    assert any(text.startswith("timing 2 models on cpu/b4/eager") for _, text in seen)


# ---- on this processor ------------------------------------------------------------------------


def test_models_are_timed_here_by_onnxruntime_and_eager_and_then_reused(store):
    rows = profile_models(store, [SMALL, LARGER], seconds=0.05, reuse=True)

    assert len(rows) == 4
    assert {(run.conditions.backend, run.conditions.threads) for run, _ in rows} == {
        ("onnxruntime", 1),
        ("torch-eager", 1),
    }
    for run, figure in rows:
        assert figure.basis is Basis.MEASURED
        assert 0.0 < figure.low <= figure.value <= figure.high
        assert "reference_ratio" in run.observations
    assert {c.kind for c in store.costs()} >= {"macs", "parameters", "latency"}
    assert {c.device for c in store.costs("latency")} == {"cpu", "cpu/eager"}
    assert profile_models(store, [SMALL, LARGER], seconds=0.05, reuse=True) == ()


@pytest.mark.parametrize(
    "text", ["cpu/b4/int8/onnxruntime", "cpu/deploy/nhwc", "cpu/bf16/eager/t2", "cpu/b2/amp/eager"]
)
def test_other_ways_to_run_a_model_on_a_cpu_have_their_conditions_and_are_found_again(store, text):
    (row,) = run_plan(store, plan_rows(store, [SMALL], grid(text), QUICK), QUICK).rows

    assert row.error is None
    assert row.workload == Workload.parse(text)
    assert row.run.conditions.batch == row.workload.batch
    assert (row.run.conditions.memory_format == "channels_last") == row.workload.channels_last
    assert (row.run.conditions.form == "deploy") == (row.workload.runtime is Runtime.DEPLOY)
    assert plan_rows(store, [SMALL], grid(text), QUICK).planned == ()


def test_a_short_call_is_preceded_by_untimed_ones_and_a_long_one_is_not(monkeypatch):
    calls = []
    short = ready.make_ready(job.Job(subject=SMALL, workload=Workload.parse("cpu/eager")), 0)
    assert isinstance(short, Prepared)
    count = short.observations["untimed_calls_before_each"]
    assert 1 <= count <= 100
    bare = replace(short, before=lambda: calls.append("before"), call=lambda: calls.append("call"))
    monkeypatch.setattr(ready, "_call_s", lambda one: 0.0004)
    ready._warmed(bare).before()
    assert calls == ["before", "call", "call", "call"]
    monkeypatch.setattr(ready, "_call_s", lambda one: 0.2)
    assert ready._warmed(bare) is bare
    short.close()


def test_a_network_with_uncounted_operators_is_timed_and_said(store, monkeypatch):
    from explorer.errors import UncountedError
    from explorer.run import profiling

    def refuse(model, **_):
        raise UncountedError("no formula for fft")

    monkeypatch.setattr(profiling, "counted_costs", refuse)
    assert count_subjects([SMALL], store) == (
        {},
        ("wrn10-0.25@8 is timed, but not counted: no formula for fft",),
    )


def test_sigint_ends_with_130_and_what_was_timed_is_there(tmp_path):
    """The real command, interrupted once the first rows are in the store; then it goes on from there."""
    arguments = [
        sys.executable, "-m", "explorer.cli", "profile", "wrn10-0.25@8", "--device", "cpu/eager",
        "--batch", "1,2,4,8", "--seconds", "1", "--repeat", "3", "--store", str(tmp_path / "store"),
    ]  # fmt: skip
    running = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    timed = 0
    while timed == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
        if (tmp_path / "store" / "ledger.sqlite").is_file():
            try:
                with Store.open(tmp_path / "store", create=False) as store:
                    timed = len(store.costs("latency"))
            except Exception:
                continue  # it is being made
    os.kill(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=180)

    assert running.returncode == 130
    assert "interrupted; the same command continues" in err
    with Store.open(tmp_path / "store", create=False) as store:
        assert len(store.costs("latency")) >= timed >= 1
        assert store.check().problems == ()


# ---- scenarios --------------------------------------------------------------------------------


def timed_row(batch, seconds, subject="net@8"):
    conditions = Conditions(
        device="cpu", device_name="x", dtype="float32", batch=batch, threads=1, backend="b", versions={}
    )
    run = LatencyRun(
        subject=subject, samples_s=(seconds,) * 100, warmup_s=(), conditions=conditions, stop_reason="steady"
    )
    from explorer.measure.tail import tail_bounds

    return ProfileRow(
        subject=subject,
        workload=Workload(device="cpu", batch=batch, runtime=Runtime.EAGER),
        figure=CostFigure(value=seconds, low=seconds, high=seconds, basis=Basis.MEASURED),
        run=run,
        tails=tail_bounds(run.samples_s),
    )


def test_scenarios_take_a_models_batches_together():
    rows = [timed_row(1, 0.001), timed_row(8, 0.004), timed_row(32, 0.064)]
    failed = ProfileRow(subject="net@8", workload=Workload(device="cpu", batch=64), error="out of memory")
    found = scenario_rows([*rows, failed], ("single-stream", "offline", "server"), bound_s=0.02)

    single, offline, server = found
    assert (single.value, single.unit, single.basis) == (0.001, "s", Basis.MEASURED)
    assert (offline.value, offline.workload.batch) == (2000.0, 8)
    assert server.basis is Basis.COMPOSED
    assert server.workload.batch == 8
    assert 1000 < server.value < 2000
    assert server.details["p99_bound_s"] == 0.02
    json.dumps(dict(server.details))


def test_a_scenario_without_what_it_needs_says_why():
    (single,) = scenario_rows([timed_row(8, 0.1)], ("single-stream",))
    assert (single.value, single.error) == (None, "batch 1 was not timed")
    (server,) = scenario_rows([timed_row(1, 0.1)], ("server",), bound_s=0.02)
    assert server.value is None
    assert "even when the server is idle" in server.error
    for wrong, bound in (("server", None), ("offlin", None), ("offline", 0.1)):
        with pytest.raises(UsageError):
            scenario_rows([timed_row(1, 0.1)], (wrong,), bound_s=bound)
