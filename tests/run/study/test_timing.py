"""Epoch times: taken from members trained on this very device, else measured; what is stacked."""

from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from explorer.record import MemberRecord, TrainingRecord
from explorer.run.study.timing import (
    STACKED_UP_TO_MACS,
    begun_widths,
    epoch_times,
    faster_widths,
    possible_widths,
)
from explorer.spec import ModelSpec

IMAGES = SimpleNamespace(train=SimpleNamespace(labels=np.arange(640) % 10))
SMALL, LARGE = ModelSpec("wrn10-0.25", 8), ModelSpec("wrn10-2", 8)


class MadePool:
    """Says that a step takes 0.1 s alone, and a quarter of that beside others."""

    def __init__(self) -> None:
        self.asked: list[tuple[ModelSpec, int]] = []

    def time_step(self, job, *, stacked=1, seconds):
        self.asked.append((job.model, stacked))
        future: Future[float] = Future()
        future.set_result(0.1 if stacked == 1 else 0.025)
        return future


def record(job, wall_s, **changes) -> MemberRecord:
    training = TrainingRecord(
        recipe_id=job.recipe.id,
        recipe=job.recipe.settings(),
        epochs=10,
        examples_seen=6400,
        wall_s=wall_s,
        device="cpu",
        macs=1,
        curve=(),
        versions={},
        device_name="this cpu",
    )
    return MemberRecord(
        member=job.members[0],
        dataset="digits",
        split_digest="a" * 64,
        channels=1,
        classes=10,
        training=replace(training, **changes),
        weights_digest="",
    )


def times_of(jobs, records=(), widths=None, pool=None):
    pool = pool or MadePool()
    found = epoch_times(pool, IMAGES, jobs, records, widths=widths or {}, device_name="this cpu")
    return found, pool


def test_a_measured_step_makes_an_epoch(study_job) -> None:
    jobs = [study_job(seed=seed) for seed in range(3)]

    times, pool = times_of(jobs)

    assert pool.asked == [(SMALL, 1)]
    assert times.epoch_s(jobs[0]) == pytest.approx(0.1 * 640 / 64)
    assert times.measured == {(SMALL, 1)}


def test_members_of_this_device_need_no_measurement(study_job) -> None:
    jobs = [study_job(seed=seed) for seed in range(3)]

    times, pool = times_of(jobs, [record(jobs[0].job, wall_s) for wall_s in (40.0, 50.0, 90.0)])

    assert pool.asked == []
    assert times.epoch_s(jobs[2]) == 5.0
    assert times.measured == frozenset()


@pytest.mark.parametrize(
    "changes",
    [
        {"device_name": "another cpu"},
        {"device_name": ""},
        {"device": "cuda:0"},
        {"precision": "bfloat16"},
        {"compiled": True},
        {"teacher": "mean(wrn10-1@8#0, wrn10-1@8#1)"},
        {"recipe": {"batch_size": 128}},
        {"epochs": 0},  # merged from others
    ],
)
def test_members_made_otherwise_say_nothing(study_job, changes) -> None:
    _, pool = times_of([study_job()], [record(study_job().job, 40.0, **changes)])
    assert pool.asked == [(SMALL, 1)]


def test_an_epoch_of_fewer_examples_takes_so_much_less(study_job, quick) -> None:
    tenth = replace(study_job(), job=replace(study_job().job, recipe=replace(quick, train_share=0.1)))

    measured, _ = times_of([tenth])
    known, pool = times_of([tenth], [record(study_job().job, 40.0)])

    # 6 of the 64 examples of each class: one step
    assert measured.epoch_s(tenth) == pytest.approx(0.1)
    assert pool.asked == []
    assert known.epoch_s(tenth) == pytest.approx(40.0 / 6400 * 60)


def test_a_teachers_answers_take_a_third_of_its_step(study_job, quick) -> None:
    teachers = [study_job("wrn10-2", seed) for seed in range(2)]
    members = [one.job.members[0] for one in teachers]
    student = study_job(
        arm="distilled", teacher=members, recipe=quick.distilled("mean(wrn10-2@8~a-1#0, wrn10-2@8~a-1#1)")
    )

    times, pool = times_of([replace(one, done=True) for one in teachers] + [student])

    assert sorted(pool.asked) == [(SMALL, 1), (LARGE, 1)]
    assert times.epoch_s(student) == pytest.approx(1.0 + 2 * 1.0 / 3)


def test_what_may_be_stacked(study_job) -> None:
    jobs = [
        *(study_job(seed=seed) for seed in range(3)),
        *(study_job("wrn10-2", seed, macs=STACKED_UP_TO_MACS + 1) for seed in range(3)),
        study_job("mlp16x1"),
        study_job("wrn10-0.125", 0, done=True),
        study_job("wrn10-0.125", 1),
    ]
    assert possible_widths(jobs) == {SMALL: 3}


def test_the_faster_way_is_taken(study_job) -> None:
    jobs = [study_job(seed=seed) for seed in range(3)]

    times, pool = times_of(jobs, widths={SMALL: 3})

    assert sorted(pool.asked) == [(SMALL, 1), (SMALL, 3)]
    assert faster_widths(times, {SMALL: 3}) == {SMALL: 3}
    stacked = replace(jobs[0], job=replace(jobs[0].job, seeds=(0, 1, 2)))
    assert times.epoch_s(stacked) == pytest.approx(3 * 0.25)
    slower = replace(times, seconds={(SMALL, 1): 1.0, (SMALL, 3): 1.0})
    assert faster_widths(slower, {SMALL: 3}) == {}


def test_a_begun_stack_goes_on_as_it_was(study_job) -> None:
    jobs = [study_job(seed=seed) for seed in range(3)]

    assert begun_widths(jobs, {SMALL: 3}, lambda job: 2 if len(job.seeds) == 3 else 0) == {SMALL: 3}
    assert begun_widths(jobs, {SMALL: 3}, lambda job: 0) == {}
