"""A study whose trainings fail, or that was interrupted at the worst moment, in this process."""

import json
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from explorer.commands.study_text import outcome_text, plan_text
from explorer.run.study import running, timing
from explorer.run.study.definitions import Study
from explorer.run.study.expand import expand
from explorer.run.study.options import StudyOptions
from explorer.run.study.running import run_study
from explorer.run.training import worker
from explorer.store import Store

SMALL = Study(
    name="small", summary="", dataset="digits", recipe="quick", models=("mlp16x1", "mlp32x1"), seeds=(0, 1)
)


@contextmanager
def shown(_title):
    yield lambda share, text: None


class HerePool:
    """Runs the workers' functions in this process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __enter__(self):
        return self

    def __exit__(self, *_error) -> None:
        pass

    def news(self):
        return ()

    def train(self, job, deadline_s=None):
        return done(worker.train_job, job, deadline_s)

    def time_step(self, job, *, stacked=1, seconds):
        return done(worker.time_step, job, stacked, seconds)


def done(function, *arguments):
    future: Future[object] = Future()
    try:
        future.set_result(function(*arguments))
    except Exception as error:  # as a pool does: whatever it is, the future carries it
        future.set_exception(error)
    return future


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """Train in this process, with short timings; what the workers say."""
    messages: list[str] = []
    monkeypatch.setattr(running, "TrainingPool", HerePool)
    monkeypatch.setattr(timing, "TIMING_S", 0.01)
    monkeypatch.setattr(worker, "_messages", SimpleNamespace(put=lambda news: messages.append(news.text)))
    return messages


def failing(function, *names):
    """Let the device be too small for the networks called ``names``."""

    def wrapped(job, *arguments, **keywords):
        first = job[0] if isinstance(job, list | tuple) else job
        if first.name in names:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nmore about it")
        return function(job, *arguments, **keywords)

    return wrapped


def test_a_training_that_does_not_fit_fails_alone(store, digits, monkeypatch) -> None:
    import zoo

    monkeypatch.setattr(zoo, "train", failing(zoo.train, "mlp16x1"))

    outcome = run_study(store, digits, SMALL, StudyOptions(epochs=2), shown=shown)

    fates = {str(row.one.job): row.fate.value for row in outcome.plan.rows}
    assert fates == {
        "mlp16x1@8~quick#0": "failed", "mlp32x1@8~quick#0": "done",
        "mlp16x1@8~quick#1": "failed", "mlp32x1@8~quick#1": "done",
    }  # fmt: skip
    assert outcome_text(outcome).splitlines()[0] == (
        "failed: mlp16x1@8~quick#0: training mlp16x1@8~quick#0 failed: out of memory: CUDA out of memory. "
        "Tried to allocate 20 GiB"
    )


def test_a_network_that_cannot_be_timed_is_planned_as_failed(store, digits, monkeypatch) -> None:
    import zoo

    monkeypatch.setattr(zoo, "step_seconds", failing(zoo.step_seconds, "mlp16x1"))
    plans = []

    outcome = run_study(
        store,
        digits,
        SMALL,
        StudyOptions(epochs=2),
        shown=shown,
        agreed=lambda plan: bool(plans.append(plan)),
    )

    assert [row.fate.value for row in outcome.plan.rows] == ["failed", "fits", "failed", "fits"]
    text = plan_text(plans[0], None)
    assert "failed: mlp16x1@8~quick#1: timing a step of mlp16x1@8, 1 at a time, failed: out of memory" in text
    assert "0 of 4 trainings there; 2 fit, 2 failed; about " in text
    trained = run_study(store, digits, SMALL, StudyOptions(epochs=2), shown=shown)
    assert sorted(record.member.name for record in trained.records) == ["mlp32x1", "mlp32x1"]
    assert not trained.plan.complete


def test_a_stack_that_was_half_committed_is_not_trained_again(store, digits, monkeypatch, said) -> None:
    """Ended between two commits: the other members come from the checkpoint, whatever is asked for now."""
    commit, calls = Store.commit_member, []

    def interrupted(self, record, *arguments, **keywords):
        calls.append(record.member)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return commit(self, record, *arguments, **keywords)

    study = replace(SMALL, models=("mlp16x1",), seeds=(0, 1, 2))
    monkeypatch.setattr(Store, "commit_member", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_study(store, digits, study, StudyOptions(epochs=2, stacked=3), shown=shown)
    monkeypatch.setattr(Store, "commit_member", commit)
    (there,) = store.members("digits")
    assert there.member.seed == 0
    assert len(list(store.work.glob("*.pt"))) == 1
    said.clear()

    outcome = run_study(store, digits, study, StudyOptions(epochs=2), shown=shown)

    assert outcome.plan.complete
    assert [record.member.seed for record in outcome.records] == [1, 2]
    assert said == ["mlp16x1@8~quick#0-2 epoch 2/2: resumed mlp16x1 seeds 0, 1, 2 after epoch 2 of 2"]
    records = {record.member.seed: record for record in store.members("digits")}
    assert records[0] == there
    assert [records[seed].training.stacked for seed in range(3)] == [3, 3, 3]
    assert len(store.predictions("digits", "report")) == 3
    assert not list(store.work.glob("*.pt"))


def test_all_predictions_come_before_the_first_commit(store, digits, monkeypatch) -> None:
    import zoo

    predict, seen = zoo.predict, []

    def predicting(*arguments, **keywords):
        seen.append(len(store.members("digits")))
        return predict(*arguments, **keywords)

    monkeypatch.setattr(zoo, "predict", predicting)
    study = replace(SMALL, models=("mlp16x1",))
    run_study(store, digits, study, StudyOptions(epochs=1, stacked=2), shown=shown)
    assert seen == [0, 0, 0, 0]


def test_large_networks_are_stacked_where_a_number_is_asked_for(store, digits, monkeypatch) -> None:
    monkeypatch.setattr(timing.possible_widths, "__kwdefaults__", {"up_to_macs": 0})

    plan = planned(store, digits, StudyOptions(stacked=2))

    assert [str(row.one.job) for row in plan.rows] == ["mlp16x1@8~quick#0-1", "mlp32x1@8~quick#0-1"]


def test_bfloat16_on_a_cpu_is_planned_one_at_a_time_and_that_is_said(store, digits, monkeypatch) -> None:
    import zoo.recipes

    half = replace(zoo.recipe("quick"), precision="bfloat16")
    monkeypatch.setattr(zoo.recipes, "RECIPES", {**zoo.recipes.RECIPES, "quick": half})

    plan = planned(store, digits, StudyOptions(stacked=2))

    assert all(len(row.one.job.seeds) == 1 for row in plan.rows)
    assert plan.notes == (
        "not 2 seeds side by side: members in bfloat16 on a CPU cannot be stacked",
    )  # fmt: skip


def planned(store, digits, options):
    return run_study(store, digits, SMALL, options, shown=shown, agreed=lambda plan: False).plan


def test_what_was_begun_on_another_machine_is_begun_anew(store, digits, monkeypatch) -> None:
    """After an upgrade the checkpoint is another's: the plan counts all epochs, and the training ends."""
    from zoo import determinism, training_loop

    job = expand(store, digits, SMALL, StudyOptions(epochs=3)).jobs[0].job
    assert worker.train_job(replace(job, checkpoints=None), None).records
    (committed,) = store.members("digits")
    stop = iter([False, True])
    other = replace(job, seeds=(1,))
    monkeypatch.setattr(worker, "Deadline", lambda at_s, asked_s: lambda: next(stop))
    assert worker.train_job(other, float("inf")).epochs == 2
    monkeypatch.undo()
    monkeypatch.setattr(running, "TrainingPool", HerePool)
    monkeypatch.setattr(worker, "_messages", SimpleNamespace(put=lambda news: None))

    def epochs_left():
        rows = planned(store, digits, StudyOptions(epochs=3)).rows
        return {str(row.one.job): row.epochs_left for row in rows if row.one.job.model == job.model}

    assert epochs_left() == {"mlp16x1@8~quick#0": 0, "mlp16x1@8~quick#1": 1}
    upgraded = {"torch": "99", "device_name": determinism.machine("cpu")["device_name"]}
    for module in (determinism, training_loop):
        monkeypatch.setattr(module, "machine", lambda device: upgraded)
    assert epochs_left() == {"mlp16x1@8~quick#0": 0, "mlp16x1@8~quick#1": 3}
    assert worker.train_job(other, None).epochs == 3
    assert committed in store.members("digits")


def test_bundles_of_another_split_stand_beside_this_ones(store, digits, tmp_path, monkeypatch) -> None:
    options = StudyOptions(epochs=1, bundles=tmp_path / "out")
    study = replace(SMALL, models=("mlp16x1",), seeds=(0,))
    run_study(store, digits, study, options, shown=shown)
    (first,) = (tmp_path / "out").glob("*.zip")
    assert f"-split{digits.split_digest[:8]}-seed0.zip" in first.name
    # as bundles were called before: taken up, and left under the new name too
    first.rename(first.with_name(first.name.replace(f"-split{digits.split_digest[:8]}", "")))
    with Store.open(tmp_path / "second") as second:
        taken = run_study(second, digits, study, options, shown=shown)
    assert (taken.plan.complete, taken.records) == (True, ())
    assert first.is_file()

    monkeypatch.setattr(type(digits), "split_digest", "f" * 64)
    made = run_study(store, digits, study, options, shown=shown)
    assert len(made.records) == 1
    assert len(list((tmp_path / "out").glob("small-mlp16x1*-splitffffffff-seed0.zip"))) == 1


def test_the_command_shows_what_failed_and_ends_with_4(explorer_here, tmp_path, monkeypatch) -> None:
    import zoo

    monkeypatch.setattr(zoo, "step_seconds", failing(zoo.step_seconds, "mlp16x1"))

    ended = explorer_here(
        "study", "run", "digits-scaling", "--epochs", 1, "--json", "--store", tmp_path / "store"
    )

    assert ended.code == 4, ended.err
    rows = json.loads(ended.out)["trainings"]
    assert [row["state"] for row in rows if row["training"].startswith("mlp16x1")] == ["failed", "failed"]
    assert {row["state"] for row in rows if not row["training"].startswith("mlp16x1")} == {"done"}
