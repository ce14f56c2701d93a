"""How many seeds go side by side, what is made of torch's failures, and where unfinished work is found."""

import json
import os
import weakref
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from explorer.errors import EnvironmentMissingError, StoreError
from explorer.run.training import MemberJob, asked, pool, worker
from explorer.run.training.asked import Asked, stacked_as_asked
from explorer.run.training.unfinished import checkpoint_of, epochs_kept, finished_stack
from explorer.spec import ModelSpec
from explorer.store import Store

AUTO = Asked(stacked=None, device="cuda")


@pytest.fixture
def job(store, monkeypatch) -> MemberJob:
    from zoo import recipe

    monkeypatch.setattr(worker, "_messages", SimpleNamespace(put=lambda news: None))
    return MemberJob(
        model=ModelSpec("mlp16x1", 8), seeds=(0,), recipe=recipe("quick").with_epochs(2), dataset="digits",
        data_dir=None, store_url=store.url, device="cpu", macs=10,
    )  # fmt: skip


def seeds(job: MemberJob, number: int) -> list[MemberJob]:
    return [replace(job, seeds=(seed,)) for seed in range(number)]


# ---- how many side by side --------------------------------------------------------------------


class MadePool:
    """Says how long steps take, by members side by side; an error is raised."""

    answers: dict[int, float | Exception] = {}  # noqa: RUF012 - each test sets its own

    def __init__(self, workers: int) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_error) -> None:
        pass

    def time_step(self, job, *, stacked=1, seconds):
        future: Future[float] = Future()
        answer = self.answers[stacked]
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future


def failures():
    from zoo import ZooError

    return [EnvironmentMissingError("timing failed: out of memory"), ZooError("mlp16x1 has dropout (net.1)")]


@pytest.mark.parametrize(
    ("alone_s", "together_s", "wanted"), [(0.2, 0.1, [(0, 1, 2)]), (0.1, 0.2, [(0,), (1,), (2,)])]
)
def test_the_faster_way_is_taken(monkeypatch, job, alone_s, together_s, wanted) -> None:
    monkeypatch.setattr(asked, "TrainingPool", MadePool)
    monkeypatch.setattr(MadePool, "answers", {1: alone_s, 3: together_s})
    jobs, notes = stacked_as_asked(seeds(job, 3), AUTO)
    assert ([one.seeds for one in jobs], notes) == (wanted, ())


@pytest.mark.parametrize("error", failures(), ids=str)
@pytest.mark.parametrize("failing", [{3}, {1, 3}, {1}])
def test_what_cannot_be_timed_is_trained_one_at_a_time_and_that_is_said(
    monkeypatch, job, error, failing
) -> None:
    monkeypatch.setattr(asked, "TrainingPool", MadePool)
    monkeypatch.setattr(MadePool, "answers", {width: error if width in failing else 1.0 for width in (1, 3)})
    jobs, notes = stacked_as_asked(seeds(job, 3), AUTO)
    assert [one.seeds for one in jobs] == [(0,), (1,), (2,)]
    assert notes == (f"seeds of mlp16x1@8 are trained one at a time: {error}",)


def test_a_stack_that_is_trained_stays_whole(job) -> None:
    def finished(one):
        return replace(one, seeds=(0, 1, 2)) if one.seeds[0] in (1, 2) else None

    for stacked, wanted in ((1, [(0, 1, 2), (3,), (4,)]), (2, [(0, 1, 2), (3, 4)])):
        jobs, _ = stacked_as_asked(seeds(job, 5)[1:], Asked(stacked=stacked), finished=finished)
        assert [one.seeds for one in jobs] == wanted
    jobs, _ = stacked_as_asked(seeds(job, 5)[1:], Asked(stacked=None), finished=finished)
    assert [one.seeds for one in jobs] == [(0, 1, 2), (3,), (4,)]


def test_bfloat16_on_a_cpu_stays_alone(job) -> None:
    half = replace(job, recipe=replace(job.recipe, precision="bfloat16"))
    assert pool.default_workers("cuda") == 1
    assert [one.seeds for one in stacked_as_asked(seeds(half, 2), Asked(stacked=2))[0]] == [(0,), (1,)]


def test_one_worker_for_each_core_that_may_be_used(monkeypatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 6}, raising=False)
    assert pool.default_workers("cpu") == 3
    assert pool.default_workers("cuda:0") == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert pool.default_workers("cpu") == 64


# ---- torch's failures -------------------------------------------------------------------------


def raising(error):
    def function(*_arguments, **_keywords):
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nSee the docs"), "out of memory: CUDA out of memory."),
        (MemoryError(), "out of memory: MemoryError"),
        (RuntimeError("CUDA error: misaligned address\nmore"), "CUDA error: misaligned address"),
        (NotImplementedError("no kernel"), "no kernel"),
    ],
    ids=["gpu", "main", "cuda", "kernel"],
)
def test_a_failure_of_torch_names_the_job_and_the_reason(job, store, monkeypatch, error, reason) -> None:
    import zoo

    monkeypatch.setattr(zoo, "train", raising(error))
    monkeypatch.setattr(zoo, "step_seconds", raising(error))
    with pytest.raises(EnvironmentMissingError) as trained:
        worker.train_job(job, None)
    assert str(trained.value) == f"training mlp16x1@8~quick#0 failed: {reason}"
    with pytest.raises(EnvironmentMissingError) as timed:
        worker.time_step(job, 4, 0.1)
    assert str(timed.value) == f"timing a step of mlp16x1@8, 4 at a time, failed: {reason}"


def test_a_failure_in_predicting_commits_nothing(job, store, monkeypatch) -> None:
    import zoo

    monkeypatch.setattr(zoo, "predict", raising(torch.OutOfMemoryError("CUDA out of memory.")))
    with pytest.raises(EnvironmentMissingError, match=r"predicting with mlp16x1@8~quick-.*#0 failed: out of"):
        worker.train_job(job, None)
    assert store.members("digits") == ()


@pytest.mark.parametrize("error", [StoreError("the store is locked"), ValueError("a bug")])
def test_other_errors_stay_what_they_are(job, monkeypatch, error) -> None:
    import zoo

    monkeypatch.setattr(zoo, "train", raising(error))
    with pytest.raises(type(error)) as raised:
        worker.train_job(job, None)
    assert raised.value is error


def test_a_failed_step_leaves_no_tensors_behind(job, monkeypatch) -> None:
    """A worker keeps its last error, whose cause would keep the frames, and they the device's memory."""
    import zoo

    kept = []

    def fill(*_arguments, **_keywords):
        tensor = torch.zeros(10)
        kept.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(zoo, "train", fill)
    with pytest.raises(EnvironmentMissingError) as raised:
        worker.train_job(job, None)
    assert raised.value.__cause__ is not None
    assert kept[0]() is None


# ---- unfinished work --------------------------------------------------------------------------


def test_a_stack_is_found_by_each_of_its_seeds_once_it_is_trained(job, store, digits, monkeypatch) -> None:
    stack = replace(job, seeds=(0, 2))
    monkeypatch.setattr(Store, "commit_member", raising(KeyboardInterrupt()))
    monkeypatch.setattr(worker, "Deadline", lambda at_s, asked_s: lambda: True)

    assert worker.train_job(stack, float("inf")).epochs == 1
    assert epochs_kept(store, digits, stack) == 1
    assert finished_stack(store, digits, job) is None

    with pytest.raises(KeyboardInterrupt):
        worker.train_job(stack, None)
    found = [finished_stack(store, digits, one) for one in seeds(job, 3)]
    assert found == [stack, None, stack]
    other = replace(job, recipe=job.recipe.with_epochs(3))
    assert finished_stack(store, digits, other) is None
    checkpoint_of(store, digits, stack).write_bytes(b"damaged")
    assert finished_stack(store, digits, job) is None


def test_the_command_commits_the_rest_of_a_stack(explorer_here, job, store, monkeypatch) -> None:
    commit, members = Store.commit_member, []

    def once(self, record, *arguments, **keywords):
        members.append(record.member)
        return (
            commit(self, record, *arguments, **keywords)
            if len(members) == 1
            else raising(KeyboardInterrupt())()
        )

    monkeypatch.setattr(Store, "commit_member", once)
    with pytest.raises(KeyboardInterrupt):
        worker.train_job(replace(job, seeds=(0, 1, 2)), None)
    monkeypatch.setattr(Store, "commit_member", commit)

    done = explorer_here(
        "train",
        "mlp16x1",
        "--dataset",
        "digits",
        "--seeds",
        "0-2",
        "--epochs",
        2,
        "--json",
        "--store",
        store.url,
    )

    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["trained"] == 2
    assert len({one["member"] for one in document["members"]}) == len(document["members"]) == 3
    assert {record.training.stacked for record in store.members("digits")} == {3}
