"""Teachers, snapshots and members side by side, trained for real on digits; and what is refused."""

import json
import os
import time
from dataclasses import replace

import numpy as np
import pytest

from explorer.data import load_images
from explorer.errors import EnvironmentMissingError, StoreError, UsageError
from explorer.run.training import MemberJob, TrainingPool, pool, stack_jobs, worker
from explorer.run.training.teachers import teacher_of, teaching
from explorer.spec import ModelSpec
from explorer.store import Store

DIGITS = "digits"


@pytest.fixture(scope="module")
def images():
    return load_images(DIGITS)


@pytest.fixture(scope="module")
def store(trained_store):
    with Store.open(trained_store, create=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def recipe_id(store) -> str:
    return store.members(DIGITS)[0].member.recipe


# ---- teachers ---------------------------------------------------------------------------------


def test_a_teacher_gets_its_recipe_and_its_macs(store, images, recipe_id) -> None:
    teacher = teacher_of(store, images, "mean(wrn10-0.5@8#1, wrn10-0.25@8#0, wrn10-0.5@8#1)")

    assert str(teacher) == (
        f"mean(wrn10-0.25@8~{recipe_id}#0, wrn10-0.5@8~{recipe_id}#1, wrn10-0.5@8~{recipe_id}#1)"
    )
    assert {str(r.member.model): times for r, times in teacher.records} == {
        "wrn10-0.25@8": 1,
        "wrn10-0.5@8": 2,
    }
    # Run once a member, however often it counts.
    macs = {cost.model: int(cost.figure.value) for cost in store.costs("macs")}
    assert teacher.macs == macs[ModelSpec("wrn10-0.25", 8)] + macs[ModelSpec("wrn10-0.5", 8)]


def test_a_teacher_answers_what_the_store_has(store, images) -> None:
    """The mean of the stored predictions, repeats counted, is what the student is shown."""
    import torch

    teacher = teacher_of(store, images, "mean(wrn10-0.25@8#0, wrn10-0.5@8#1, wrn10-0.5@8#1)")
    answer = teaching(store, images, teacher, device="cpu")
    batch = torch.from_numpy(images.report.images[:50]).permute(0, 3, 1, 2).float() / 255

    found = answer(batch)

    stored = {
        record.member: np.asarray(store.probabilities(record)[:50], dtype=np.float64)
        for record in store.predictions(DIGITS, "report")
    }
    wanted = sum(stored[record.member] * times for record, times in teacher.records) / 3
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)  # stored as float16
    assert not found.requires_grad
    np.testing.assert_allclose(found.sum(dim=1).numpy(), 1.0, atol=1e-5)


def test_torch_answers_the_same_where_onnx_cannot(store, images, monkeypatch) -> None:
    import torch

    from explorer.build import onnx_export

    teacher = teacher_of(store, images, "mean(wrn10-0.25@8#0, wrn10-0.5@8#1)")
    batch = torch.from_numpy(images.report.images[:50]).permute(0, 3, 1, 2).float() / 255
    batch = batch.contiguous(memory_format=torch.channels_last)
    by_onnxruntime = teaching(store, images, teacher, device="cpu")(batch)

    def cannot(*_: object, **__: object) -> None:
        raise UsageError("no such operator")

    monkeypatch.setattr(onnx_export, "export_member", cannot)
    by_torch = teaching(store, images, teacher, device="cpu")(batch)

    np.testing.assert_allclose(by_onnxruntime.numpy(), by_torch.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("wrn10-0.25@8#0 -> [p>=0.5] wrn10-0.5@8#0", "a teacher is one member or mean"),
        ("vote(wrn10-0.25@8#0, wrn10-0.5@8#0)", "a teacher is one member or mean"),
        ("wrn10-4@8#0", "no such member of digits; train it first"),
        ("mean(wrn10-0.25@8#0", "not a member"),
    ],
)
def test_what_cannot_teach(store, images, text, reason) -> None:
    with pytest.raises(UsageError, match=reason):
        teacher_of(store, images, text)


def test_a_teacher_of_another_data_set_is_refused(store, images) -> None:
    other = replace(images, name="fashion-mnist")
    with pytest.raises(UsageError, match=r"cannot teach fashion-mnist: it is a member of digits"):
        teacher_of(store, other, "wrn10-0.25@8#0")


def test_a_teacher_of_another_split_is_refused(store, images, monkeypatch) -> None:
    monkeypatch.setattr(type(images), "split_digest", "f" * 64)
    with pytest.raises(UsageError, match="trained under another split"):
        teacher_of(store, images, "wrn10-0.25@8#0")


def test_a_teacher_whose_weights_are_gone_is_refused(store_copy, images) -> None:
    with Store.open(store_copy, create=False) as store:
        record = store.members(DIGITS)[0]
        (weights,) = store_copy.rglob(f"{record.weights_digest}*")
        weights.unlink()
        with pytest.raises(StoreError):
            teacher_of(store, images, str(record.member))


# ---- jobs -------------------------------------------------------------------------------------


@pytest.fixture
def job() -> MemberJob:
    from zoo import recipe

    return MemberJob(
        model=ModelSpec("mlp16x1", 8), seeds=(0,), recipe=recipe("quick"), dataset=DIGITS, data_dir=None,
        store_url="", device="cpu", macs=10,
    )  # fmt: skip


def test_stacking_joins_what_differs_in_the_seed_alone(job, store_copy) -> None:
    other = replace(job, model=ModelSpec("mlp32x1", 8))
    mixed = [job, other, *(replace(one, seeds=(seed,)) for seed in (1, 2) for one in (job, other))]

    assert [str(one) for one in stack_jobs(mixed, 2)] == [
        "mlp16x1@8~quick#0-1",
        "mlp16x1@8~quick#2",
        "mlp32x1@8~quick#0-1",
        "mlp32x1@8~quick#2",
    ]
    assert stack_jobs(mixed[:2], 1) == tuple(mixed[:2])
    assert stack_jobs([], 3) == ()
    with pytest.raises(UsageError, match="at least 1 member"):
        stack_jobs(mixed, 0)
    snapshots = [replace(job, seeds=(s,), snapshots=job.recipe.snapshots(2)) for s in (0, 1)]
    assert stack_jobs(snapshots, 2) == tuple(snapshots)


def test_checkpoints_of_different_trainings_have_different_names(job) -> None:
    names = {
        one.digest(split, machine)
        for one in (
            job, replace(job, seeds=(1,)), replace(job, seeds=(0, 1)), replace(job, device="cuda:0"),
            replace(job, compiled=True), replace(job, recipe=job.recipe.with_epochs(3)),
            replace(job, snapshots=job.recipe.snapshots(2)),
        )
        for split in ("a", "b")
        for machine in ("2.13 this cpu", "2.14 this cpu")
    }  # fmt: skip
    assert len(names) == 28


def test_a_run_is_cut_into_its_cycles() -> None:
    from zoo import Trained, TrainJob, recipe

    task = TrainJob(name="mlp16x1", classes=10, recipe=recipe("quick"), seed=0)
    curve = tuple({"epoch": e + 1, "wall_s": float(e)} for e in range(6))
    whole = Trained(
        job=task, resolution=8, state={}, curve=curve, wall_s=15.0, examples_seen=600, epochs=6, device="cpu",
        snapshots=({}, {}, {}),
    )  # fmt: skip

    cycles = worker._cycles(whole)

    assert [[entry["epoch"] for entry in cycle.curve] for cycle in cycles] == [[1, 2], [3, 4], [5, 6]]
    assert [cycle.wall_s for cycle in cycles] == [1.0, 5.0, 9.0]
    assert sum(cycle.examples_seen for cycle in cycles) == 600
    assert sum(cycle.epochs for cycle in cycles) == 6


def test_the_deadline_leaves_no_room_for_an_epoch_too_long(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    deadline = worker.Deadline(100.0, 0.0)
    now[0] = 40.0
    assert not deadline()  # 40 s an epoch: the next ends at 80
    now[0] = 70.0
    assert not deadline()  # 30 s: at 100
    now[0] = 86.0
    assert deadline()  # 16 s: at 102


# ---- the workers' environment -----------------------------------------------------------------


def test_allocator_settings_are_the_workers_alone(monkeypatch) -> None:
    for name in (*pool.MALLOC_SETTINGS, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pool.platform, "libc_ver", lambda: ("glibc", "2.36"))
    with pool._worker_environment():
        assert {name: os.environ[name] for name in pool.MALLOC_SETTINGS} == pool.MALLOC_SETTINGS
    assert not pool.MALLOC_SETTINGS.keys() & os.environ.keys()

    monkeypatch.setattr(pool.platform, "libc_ver", lambda: ("", ""))
    with pool._worker_environment():
        assert not pool.MALLOC_SETTINGS.keys() & os.environ.keys()


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_the_users_allocator_settings_win(monkeypatch, name) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(pool.platform, "libc_ver", lambda: ("glibc", "2.36"))
    with pool._worker_environment():
        assert os.environ[name] == "1"
        assert len({*pool.MALLOC_SETTINGS, "GLIBC_TUNABLES"} & os.environ.keys()) == 1


# ---- the command ------------------------------------------------------------------------------


def made(explorer_here, store, *arguments) -> dict[str, object]:
    done = explorer_here("train", *arguments, "--dataset", DIGITS, "--store", store, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_the_ways_to_train(explorer_here, store_copy, recipe_id) -> None:
    """Distilled, in snapshots, stacked and in bfloat16: each is stored with what it is."""
    teacher = "mean(wrn10-0.5@8#0, wrn10-0.5@8#1)"
    made(explorer_here, store_copy, "mlp16x1", "--teacher", teacher, "--epochs", "2")
    made(explorer_here, store_copy, "mlp16x1", "--snapshots", "2", "--epochs", "4")
    made(explorer_here, store_copy, "mlp16x1", "--stacked", "2", "--seeds", "0-1", "--epochs", "2")
    made(explorer_here, store_copy, "mlp16x1", "--precision", "bfloat16", "--epochs", "2")

    with Store.open(store_copy, create=False) as store:
        records = [r for r in store.members(DIGITS) if r.member.name == "mlp16x1"]
        split = {r.split_digest for r in records}
        assert len(store.predictions(DIGITS, "report")) == 6 + len(records)
    assert len(split) == 1
    assert len(records) == 1 + 2 + 2 + 1
    by_name = {r.member.recipe.split("-")[0]: r for r in records}
    assert by_name["distilled"].training.teacher == (
        f"mean(wrn10-0.5@8~{recipe_id}#0, wrn10-0.5@8~{recipe_id}#1)"
    )
    first, second = by_name["snapshot1of2"].training, by_name["snapshot2of2"].training
    assert (first.epochs, second.epochs) == (2, 2)
    assert by_name["snapshot1of2"].weights_digest != by_name["snapshot2of2"].weights_digest
    assert sorted(r.training.stacked for r in records) == [1, 1, 1, 1, 2, 2]
    assert sorted(r.training.precision for r in records) == ["bfloat16"] + 5 * ["float32"]


def test_snapshots_share_their_runs_macs(explorer_here, tmp_path) -> None:
    store = tmp_path / "store"
    document = made(explorer_here, store, "mlp16x1", "--snapshots", "2", "--epochs", "4")
    plain = made(explorer_here, store, "mlp16x1", "--epochs", "4")

    (alone,) = plain["members"]
    assert [one["training_macs"] for one in document["members"]] == 2 * [alone["training_macs"] // 2]
    again = made(explorer_here, store, "mlp16x1", "--snapshots", "2", "--epochs", "4")
    assert again["trained"] == 0


def test_a_share_of_the_examples_is_another_recipe(explorer_here, tmp_path) -> None:
    store = tmp_path / "store"
    whole = made(explorer_here, store, "mlp16x1", "--epochs", "2")
    done = explorer_here(
        "train", "mlp16x1", "--epochs", "2", "--train-share", "0.25", "--dataset", DIGITS, "--store", store
    )
    assert done.code == 0, done.err
    share = made(explorer_here, store, "mlp16x1", "--epochs", "2", "--train-share", "0.25")

    (all_of, part_of) = (document["members"][0]["examples_seen"] // 2 for document in (whole, share))
    assert part_of == pytest.approx(all_of / 4, abs=5)  # rounded in each of the ten classes
    assert f"({part_of} examples, recipe {share['recipe']})" in done.err
    assert share["recipe"] != whole["recipe"]
    assert share["trained"] == 0


def test_nothing_is_begun_after_the_deadline(job, store_copy, tmp_path) -> None:
    late = replace(job, store_url=str(store_copy), checkpoints=tmp_path / "unfinished")

    outcome = worker.train_job(late, time.monotonic() - 1.0)

    assert (outcome.records, outcome.epochs) == ((), 0)
    assert not (tmp_path / "unfinished").exists()


def test_a_worker_that_is_ended_from_outside_is_told_in_one_line() -> None:
    with (
        pytest.raises(EnvironmentMissingError, match="died, perhaps for lack of memory"),
        TrainingPool(1) as one,
    ):
        one._pool.submit(os._exit, 9).result(timeout=120)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--teacher", "wrn10-4@8#0"), "no such member of digits"),
        (("--teacher", "wrn10-0.5@8#0", "--snapshots", "2"), "exclude each other"),
        (("--teacher", "wrn10-0.5@8#0", "--stacked", "2"), "train each seed by itself"),
        (("--snapshots", "3", "--epochs", "4"), "multiple of the 3 cycles"),
        (("--teacher", ""), "--teacher got an empty text"),
        (
            ("--teacher", "wrn10-0.5@8#0", "--recipe", "reference+label-smoothing"),
            "wanted label smoothing 0, got 0.1",
        ),
        (("--stacked", "2", "--precision", "bfloat16"), "--stacked 2 does not go with bfloat16 on a CPU"),
        (("--stacked", "0"), "side by side"),
        (("--stacked", "many"), "side by side"),
        (("--train-share", "0"), "0 is not in the range 0<x<=1"),
        (("--train-share", "nan"), "train_share must be in (0, 1], got nan"),
    ],
)
def test_what_train_refuses(explorer_here, store_copy, arguments, reason) -> None:
    done = explorer_here("train", "mlp16x1", "--dataset", DIGITS, "--store", store_copy, *arguments)
    assert done.code == 2
    assert reason in done.error_line
