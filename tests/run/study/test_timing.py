"""Epoch times: taken from members trained on this very device, else measured; what is stacked."""

import math
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from explorer.errors import EnvironmentMissingError
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
    """Says that a step takes 0.1 s alone, and a quarter of that beside others; or that it failed."""

    def __init__(self, failing=()) -> None:
        self.asked: list[tuple[ModelSpec, int]] = []
        self.failing = failing

    def time_step(self, job, *, stacked=1, seconds):
        self.asked.append((job.model, stacked))
        future: Future[float] = Future()
        if (job.model, stacked) in self.failing:
            future.set_exception(EnvironmentMissingError(f"{job.model} x {stacked} failed: out of memory"))
        else:
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


@pytest.mark.parametrize("variant", ["sam", "batchnorm-only", "mixup", "dropblock"])
def test_steps_of_another_kind_say_nothing(study_job, quick, variant) -> None:
    """A sharpness-aware step takes twice as long as a plain one, and the reverse."""
    other = study_job(recipe=quick.variant(variant))

    _, plain = times_of([study_job()], [record(other.job, 40.0)])
    _, varied = times_of([other], [record(study_job().job, 40.0)])
    _, alike = times_of([other], [record(other.job, 40.0)])

    assert plain.asked == varied.asked == [(SMALL, 1)]
    assert alike.asked == []


def test_what_costs_no_time_does_not_matter(study_job, quick) -> None:
    smooth = study_job(recipe=quick.variant("label-smoothing"))
    _, pool = times_of([study_job()], [record(smooth.job, 40.0)])
    assert pool.asked == []


def test_a_network_whose_step_fails_is_told_and_the_others_are_timed(study_job, quick) -> None:
    small, large = study_job(), study_job("wrn10-2")
    student = study_job(
        arm="distilled", teacher=large.job.members, recipe=quick.distilled("wrn10-2@8~quick-1#0")
    )

    times, pool = times_of([small, large, student], pool=MadePool({(LARGE, 1)}))

    assert sorted(pool.asked) == [(SMALL, 1), (LARGE, 1)]
    assert times.epoch_s(small) == pytest.approx(1.0)
    assert times.problem(small) == ""
    assert times.problem(large) == times.problem(student) == "wrn10-2@8 x 1 failed: out of memory"
    assert times.measured == {(SMALL, 1)}


def test_a_stack_that_cannot_be_timed_is_not_faster(study_job) -> None:
    jobs = [study_job(seed=seed) for seed in range(3)]

    times, _ = times_of(jobs, widths={SMALL: 3}, pool=MadePool({(SMALL, 3)}))

    assert times.seconds[SMALL, 3] == math.inf
    assert faster_widths(times, {SMALL: 3}) == {}
    assert times.problem(jobs[0]) == ""
    joined = replace(jobs[0], job=replace(jobs[0].job, seeds=(0, 1, 2)))
    assert times.problem(joined) == "wrn10-0.25@8 x 3 failed: out of memory"


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
    # asked for by a number, the largest are stacked too
    assert possible_widths(jobs, up_to_macs=math.inf) == {SMALL: 3, LARGE: 3}


def test_bfloat16_is_not_stacked_on_a_cpu(study_job, quick) -> None:
    half = replace(quick, precision="bfloat16")
    assert possible_widths([study_job(seed=seed, recipe=half) for seed in range(3)]) == {}
    on_cuda = [study_job(seed=seed, recipe=half, device="cuda") for seed in range(3)]
    assert possible_widths(on_cuda) == {SMALL: 3}


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


def test_what_was_begun_alone_goes_on_alone(study_job) -> None:
    jobs = [study_job(seed=seed) for seed in range(3)]

    assert begun_widths(jobs, {SMALL: 3}, lambda job: job.seeds == (1,)) == {SMALL: 1}
    # where both were begun, the stack has more to lose
    assert begun_widths(jobs, {SMALL: 3}, lambda job: job.seeds != (0,)) == {SMALL: 3}
    assert begun_widths(jobs, {}, lambda job: 2) == {}
