"""What is chosen next and what fits, against a plain simulation and by property."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.run.study.fate import Fate
from explorer.run.study.schedule import Row, choose, planned
from explorer.spec import Member


def row(study_job, seed, epoch_s, epochs=10, *, fate=Fate.LEFT, after_s=0.0, **more) -> Row:
    return Row(
        one=study_job(seed=seed, **more), epoch_s=epoch_s, epochs_left=epochs, after_s=after_s, fate=fate
    )


def fates(rows) -> list[str]:
    return [str(one.fate) for one in rows]


def test_without_a_limit_everything_fits(study_job) -> None:
    rows = [row(study_job, seed, 10.0 * (seed + 1)) for seed in range(4)]
    assert fates(planned(rows, workers=2, left_s=math.inf)) == ["fits"] * 4


def test_what_cannot_end_waits_for_what_can(study_job) -> None:
    """100 s each but the second; 130 s: the second, that needs 500 s, is begun with the rest of the time."""
    rows = [row(study_job, 0, 10.0), row(study_job, 1, 50.0), row(study_job, 2, 2.0)]
    found = planned(rows, workers=1, left_s=175.0)
    assert fates(found) == ["fits", "starts", "fits"]
    assert [one.planned_s for one in found] == [100.0, 55.0, 20.0]


def test_nothing_is_begun_that_cannot_finish_an_epoch(study_job) -> None:
    rows = [row(study_job, 0, 10.0), row(study_job, 1, 50.0)]
    assert fates(planned(rows, workers=1, left_s=149.0)) == ["fits", "left"]
    assert fates(planned(rows, workers=1, left_s=150.0)) == ["fits", "starts"]
    assert fates(planned(rows, workers=1, left_s=9.0)) == ["left", "left"]
    assert fates(planned(rows, workers=1, left_s=-5.0)) == ["left", "left"]


def test_a_begun_training_only_needs_its_rest(study_job) -> None:
    rows = [row(study_job, 0, 10.0, epochs=3, after_s=1.0)]
    assert fates(planned(rows, workers=1, left_s=31.0)) == ["fits"]
    assert fates(planned(rows, workers=1, left_s=30.9)) == ["starts"]


def test_a_student_waits_for_its_teacher(study_job) -> None:
    rows = [row(study_job, 0, 10.0), row(study_job, 1, 1.0)]
    teacher = rows[0].one.job.members[0]
    rows[1] = row(study_job, 1, 1.0, arm="distilled", needs=[teacher])
    assert choose(rows[1:], set(), math.inf) is None
    assert choose(rows[1:], {teacher}, math.inf) is rows[1]
    # Two workers: the student cannot begin beside its teacher, but after it.
    assert fates(planned(rows, workers=2, left_s=110.0)) == ["fits", "fits"]
    assert fates(planned(rows, workers=2, left_s=100.5)) == ["fits", "left"]
    # A teacher that only begins leaves the student out.
    assert fates(planned(rows, workers=2, left_s=50.0)) == ["starts", "left"]


def test_what_is_there_stays_there(study_job) -> None:
    rows = [row(study_job, 0, 0.0, epochs=0, fate=Fate.THERE), row(study_job, 1, 1.0)]
    found = planned(rows, workers=1, left_s=100.0)
    assert fates(found) == ["there", "fits"]
    assert found[0].planned_s == 0.0


def test_what_cannot_be_timed_is_not_tried(study_job) -> None:
    rows = [row(study_job, 0, 0.0, fate=Fate.FAILED), row(study_job, 1, 1.0)]
    found = planned(rows, workers=1, left_s=100.0)
    assert fates(found) == ["failed", "fits"]
    assert found[0].planned_s == 0.0


@pytest.fixture(scope="module")
def any_study_job(quick):
    from explorer.run.study.expand import StudyJob
    from explorer.run.training import MemberJob
    from explorer.spec import ModelSpec

    def make(seed, needs):
        job = MemberJob(
            model=ModelSpec("wrn10-0.25", 8), seeds=(seed,), recipe=quick, dataset="digits", data_dir=None,
            store_url="", device="cpu", macs=1,
        )  # fmt: skip
        return StudyJob(job=job, arm="scale", needs=frozenset(needs), done=False)

    return make


@given(
    wanted=st.lists(
        st.tuples(st.floats(0.1, 100), st.integers(1, 12), st.booleans()), min_size=1, max_size=8
    ),
    workers=st.integers(1, 4),
    left_s=st.floats(0, 2000),
)
def test_no_plan_spends_more_than_there_is(any_study_job, wanted, workers, left_s) -> None:
    rows: list[Row] = []
    for seed, (epoch_s, epochs, after_the_first) in enumerate(wanted):
        needs: list[Member] = list(rows[0].one.job.members) if after_the_first and rows else []
        one = any_study_job(seed, needs)
        rows.append(Row(one=one, epoch_s=epoch_s, epochs_left=epochs, after_s=0.0, fate=Fate.LEFT))

    found = planned(rows, workers=workers, left_s=left_s)

    assert [one.one for one in found] == [one.one for one in rows]
    assert sum(one.planned_s for one in found) <= workers * left_s * (1 + 1e-9)
    whole = {member for one in found if one.fate is Fate.FITS for member in one.one.job.members}
    for one in found:
        if one.fate is Fate.FITS:
            assert one.planned_s == one.seconds
        if one.fate is Fate.STARTS:
            assert one.epoch_s <= one.planned_s < one.seconds
        if one.fate is not Fate.LEFT:
            assert one.one.needs <= whole
    if found[0].fate is Fate.LEFT:
        assert found[0].epoch_s > left_s or any(one.fate is not Fate.LEFT for one in found[1:])
