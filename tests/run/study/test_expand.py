"""Studies as data, and the trainings that come of them, in order."""

from dataclasses import replace

import pytest

from explorer.errors import UsageError
from explorer.run.study.definitions import (
    STUDIES,
    Distilled,
    InnerEnsembles,
    Published,
    Snapshots,
    Study,
    study,
)
from explorer.run.study.expand import expand, stacked, trained_already
from explorer.run.study.options import StudyOptions
from explorer.run.training import MemberJob
from explorer.spec import ModelSpec, parse_design

EVERY_ARM = Study(
    name="every-arm",
    summary="one of each",
    dataset="digits",
    recipe="quick",
    models=("wrn10-0.25", "mlp16x1", "wrn10-0.125"),
    seeds=(0, 1, 2),
    arms=(
        Distilled(students=("wrn10-0.125",), seeds=(0, 1), teacher="wrn10-0.25", teacher_seeds=(0, 1)),
        Snapshots(models=("mlp16x1",), seeds=(1,), cycles=2),
        InnerEnsembles(models=("wrn10-0.25+mimo2",), seeds=(0,)),
    ),
)


def texts(found) -> list[str]:
    return [f"{one.job} {one.arm}" for one in found.jobs]


def test_seed_by_seed_the_cheapest_first_and_arms_after_what_they_need(store, digits) -> None:
    found = expand(store, digits, EVERY_ARM, StudyOptions())

    def scales(seed):
        return [f"{name}@8~quick#{seed} scale" for name in ("mlp16x1", "wrn10-0.125", "wrn10-0.25")]

    assert texts(found) == [
        *scales(0),
        "wrn10-0.25+mimo2@8~quick#0 inner ensemble",
        *scales(1),
        "mlp16x1@8~snapshots2#1 snapshots",
        "wrn10-0.125@8~distilled#0 distilled",
        "wrn10-0.125@8~distilled#1 distilled",
        *scales(2),
    ]
    assert found.notes == ()
    there = set()
    for one in found.jobs:
        assert one.needs <= there
        there |= set(one.job.members)


def test_arms_say_what_they_are(store, digits, quick) -> None:
    by_arm = {one.arm: one for one in expand(store, digits, EVERY_ARM, StudyOptions()).jobs}

    student = by_arm["distilled"]
    teacher = parse_design(student.job.recipe.teacher)
    assert set(teacher.members) == set(student.needs) == set(student.teacher)
    assert {member.recipe for member in teacher.members} == {quick.id}
    assert student.job.recipe.base == quick.id
    # 3 passes of the student's own and one of each of the two teachers
    own, each = by_arm["distilled"].job.macs, by_arm["scale"].job.macs
    assert student.job.macs_per_example == 3 * own + 2 * each
    assert [member.recipe.split("-")[0] for member in by_arm["snapshots"].job.members] == [
        "snapshot1of2",
        "snapshot2of2",
    ]


def test_fewer_seeds_leave_out_students_of_a_larger_teacher_and_say_so(store, digits) -> None:
    found = expand(store, digits, EVERY_ARM, StudyOptions(seeds=(0,)))

    assert len(found.jobs) == 4
    assert found.notes == (
        "left out: students of wrn10-0.25 (wrn10-0.125), whose teacher needs its seeds 1 too",
    )


def test_more_seeds_and_other_epochs(store, digits) -> None:
    found = expand(store, digits, EVERY_ARM, StudyOptions(seeds=tuple(range(5)), epochs=3))

    assert len(found.jobs) == 15 + 4
    assert {one.job.recipe.epochs for one in found.jobs if one.arm == "scale"} == {3}


def test_stacked_seeds_come_at_the_first_ones_place(store, digits) -> None:
    jobs = expand(store, digits, EVERY_ARM, StudyOptions()).jobs
    done = tuple(replace(one, done=True) if str(one.job) == "mlp16x1@8~quick#1" else one for one in jobs)
    widths = {ModelSpec("mlp16x1", 8): 2, ModelSpec("wrn10-0.125", 8): 2}

    found = [str(one.job) for one in stacked(done, widths)]

    assert found[:3] == ["mlp16x1@8~quick#[0, 2]", "wrn10-0.125@8~quick#0-1", "wrn10-0.25@8~quick#0"]
    members = [member for one in stacked(done, widths) for member in one.job.members]
    assert sorted(members) == sorted(member for one in jobs for member in one.job.members)
    assert found.count("wrn10-0.125@8~quick#2") == 1
    assert stacked(jobs, {}) == jobs


def test_a_stack_that_is_trained_is_taken_whole(store, digits) -> None:
    jobs = expand(store, digits, EVERY_ARM, StudyOptions()).jobs
    done = tuple(replace(one, done=True) if str(one.job) == "mlp16x1@8~quick#0" else one for one in jobs)

    def finished(job):
        return replace(job, seeds=(0, 1, 2)) if job.model == ModelSpec("mlp16x1", 8) else None

    whole, others = trained_already(done, finished)

    assert [str(one.job) for one in whole] == ["mlp16x1@8~quick#0-2"]
    left = [f"{one.job} {one.arm}" for one in others]
    assert "mlp16x1@8~quick#0 scale" in left  # it is there
    assert "mlp16x1@8~snapshots2#1 snapshots" in left
    assert len(others) == len(jobs) - 2


def test_snapshots_and_students_are_not_stacked(study_job, quick) -> None:
    job = study_job().job
    with pytest.raises(UsageError, match=r"snapshots of wrn10-0\.25@8 cannot be stacked"):
        replace(job, seeds=(0, 1), snapshots=quick.snapshots(2))
    with pytest.raises(UsageError, match="students of a teacher"):
        replace(job, seeds=(0, 1), recipe=quick.distilled("wrn10-1@8~quick-1#0"))
    with pytest.raises(UsageError, match="members in bfloat16 on a CPU"):
        replace(job, seeds=(0, 1), recipe=replace(quick, precision="bfloat16"))
    with pytest.raises(UsageError, match="at least one seed"):
        MemberJob(**{**{f: getattr(job, f) for f in MemberJob.__slots__}, "seeds": ()})


@pytest.mark.parametrize("defined", STUDIES.values(), ids=lambda one: one.name)
def test_every_study_can_be_built(defined) -> None:
    from zoo import canonical_name, recipe

    recipe(defined.recipe)
    inner = [name for arm in defined.arms if isinstance(arm, InnerEnsembles) for name in arm.models]
    for name in (*defined.models, *inner):
        assert canonical_name(name) == name
    for arm in defined.arms:
        if isinstance(arm, Distilled):
            assert {arm.teacher, *arm.students} <= set(defined.models)
            assert set(arm.teacher_seeds) <= set(defined.seeds)
    for one in defined.published:
        assert isinstance(one, Published)
        assert one.model in defined.models
        assert 0.9 < one.accuracy < 1


def test_what_the_issue_asks_of_the_large_studies() -> None:
    fashion, cifar = study("fashion-mnist-scaling"), study("cifar10-scaling")

    assert len(fashion.seeds) == len(cifar.seeds) == 5
    assert sum(name.startswith("wrn") for name in fashion.models) == 5
    assert sum(name.startswith("mobile") for name in fashion.models) == 4
    assert sum(name.startswith("wrn") for name in cifar.models) == 7
    assert sum(name.startswith("mobile") for name in cifar.models) == 5


def test_an_unknown_study_says_which_there_are() -> None:
    with pytest.raises(UsageError, match="unknown study 'digit-scaling'; did you mean digits-scaling"):
        study("digit-scaling")
