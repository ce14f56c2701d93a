"""A study's training jobs in the order they are done: any prefix of it is worth having."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from explorer.data import ImageSet
from explorer.run.study.definitions import Distilled, InnerEnsembles, Snapshots, Study
from explorer.run.study.options import StudyOptions
from explorer.run.training.jobs import (
    MemberJob,
    chosen_recipe,
    counted_macs,
    records_of,
    resolved_models,
    stack_jobs,
)
from explorer.run.training.unfinished import Finished
from explorer.spec import Member, ModelSpec, ensemble
from explorer.store import Store

if TYPE_CHECKING:
    from zoo import Recipe

SCALE = "scale"
"""Arm of a study's plain models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyJob:
    """One training of a study."""

    job: MemberJob
    arm: str
    """``scale``, ``distilled``, ``snapshots`` or ``inner ensemble``."""
    teacher: tuple[Member, ...] = ()
    needs: frozenset[Member] = frozenset()
    """Members of the teacher that are still to be trained."""
    done: bool
    """Whether the store has all its members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """All of a study, in order."""

    jobs: tuple[StudyJob, ...]
    notes: tuple[str, ...]
    """What of the study was left out, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A training before anything of it is counted."""

    round: int
    """The seed after whose scales it comes."""
    model: str
    seed: int
    recipes: "tuple[Recipe, ...]"
    """More than one: snapshots."""
    arm: str = SCALE
    teacher: tuple[Member, ...] = ()


def expand(
    store: Store,
    images: ImageSet,
    study: Study,
    options: StudyOptions,
) -> Expanded:
    """Return the trainings of a study: seed by seed, the cheapest first, an arm after what it needs.

    Args:
        store: tells which are done; counted costs are written to it.
        images: of the study's data set.
        study: what is wanted.
        options: seeds, epochs, and how the workers train.

    Raises:
        ZooError: a model or a recipe that does not exist.
    """
    recipe = chosen_recipe(study.dataset, study.recipe, options.epochs)
    wanted, notes = _wanted(study, images, recipe, options.seeds or study.seeds, store)
    specs = {one.model: resolved_models([ModelSpec(one.model)], images)[0] for one in wanted}
    macs = {name: counted_macs(store, spec, images) for name, spec in specs.items()}
    jobs = []
    for one in wanted:
        job = MemberJob(
            model=specs[one.model],
            seeds=(one.seed,),
            recipe=one.recipes[-1].run,
            snapshots=one.recipes if len(one.recipes) > 1 else (),
            dataset=images.name,
            data_dir=options.data_dir,
            store_url=store.url,
            device=options.device,
            macs=macs[one.model],
            teacher_macs=sum(counted_macs(store, member.model, images) for member in one.teacher),
            compiled=options.compiled,
            checkpoints=options.checkpoints,
        )
        found = records_of(store, images, job)
        done = len(found) == len(job.members)
        needs = frozenset(member for member in one.teacher if not _usable(store, images, member))
        jobs.append((one, StudyJob(job=job, arm=one.arm, teacher=one.teacher, needs=needs, done=done)))
    # Arms come after the scales of their round, because nothing compares with them before.
    jobs.sort(key=lambda pair: (pair[0].round, pair[0].arm != SCALE, pair[1].job.work))
    return Expanded(jobs=tuple(job for _, job in jobs), notes=tuple(notes))


def _wanted(
    study: Study, images: ImageSet, recipe: "Recipe", seeds: tuple[int, ...], store: Store
) -> tuple[list[_Wanted], list[str]]:
    wanted = [
        _Wanted(round=seed, model=model, seed=seed, recipes=(recipe,))
        for seed in seeds
        for model in study.models
    ]
    notes: list[str] = []
    for arm in study.arms:
        chosen = [seed for seed in arm.seeds if seed in seeds]
        if isinstance(arm, Distilled):
            found, note = _distilled(arm, images, recipe, chosen, seeds, store)
            wanted += found
            notes += note
        elif isinstance(arm, Snapshots):
            snapshots = recipe.snapshots(cycles=arm.cycles)
            wanted += [
                _Wanted(round=seed, model=model, seed=seed, recipes=snapshots, arm="snapshots")
                for seed in chosen
                for model in arm.models
            ]
        elif isinstance(arm, InnerEnsembles):
            wanted += [
                _Wanted(round=seed, model=model, seed=seed, recipes=(recipe,), arm="inner ensemble")
                for seed in chosen
                for model in arm.models
            ]
    return wanted, notes


def _distilled(
    arm: Distilled,
    images: ImageSet,
    recipe: "Recipe",
    chosen: Sequence[int],
    seeds: Sequence[int],
    store: Store,
) -> tuple[list[_Wanted], list[str]]:
    teacher = resolved_models([ModelSpec(arm.teacher)], images)[0]
    resolution = teacher.resolution
    assert resolution is not None  # `resolved_models` has filled it in
    members = tuple(Member(teacher.name, resolution, seed, recipe.id) for seed in arm.teacher_seeds)
    missing = [
        member.seed for member in members if member.seed not in seeds and not _usable(store, images, member)
    ]
    if missing and chosen:
        return [], [
            f"left out: students of {arm.teacher} ({', '.join(arm.students)}), whose teacher needs its seeds "
            f"{', '.join(map(str, missing))} too"
        ]
    distilled = recipe.distilled(str(ensemble(members)))
    last = max(arm.teacher_seeds)
    return [
        _Wanted(
            round=max(seed, last), model=model, seed=seed, recipes=(distilled,), arm="distilled",
            teacher=members,
        )
        for seed in chosen
        for model in arm.students
    ], []  # fmt: skip


def _usable(store: Store, images: ImageSet, member: Member) -> bool:
    found = store.find_member(images.name, member)
    return found is not None and found.split_digest == images.split_digest


def trained_already(
    jobs: Sequence[StudyJob], finished: Finished
) -> tuple[tuple[StudyJob, ...], tuple[StudyJob, ...]]:
    """Split off the stacks that an interrupted run trained to the end and did not commit whole.

    Args:
        jobs: of a study, not stacked.
        finished: finds a job's stack.

    Returns:
        The stacks, each with all its seeds, and the jobs that are in none.
    """
    stacks: dict[MemberJob, StudyJob] = {}
    others: list[StudyJob] = []
    for one in jobs:
        stack = None if one.done or one.arm != SCALE else finished(one.job)
        if stack is None:
            others.append(one)
        else:
            stacks[stack] = replace(one, job=stack)
    return tuple(stacks.values()), tuple(others)


def stacked(jobs: Sequence[StudyJob], widths: Mapping[ModelSpec, int]) -> tuple[StudyJob, ...]:
    """Join scales that are still to do and differ in the seed alone, at the first one's place.

    Args:
        jobs: of a study, in order.
        widths: model -> how many seeds at a time; 1 where a model is missing.
    """
    pieces: list[StudyJob] = []
    taken: set[MemberJob] = set()
    for one in jobs:
        if one.done or one.arm != SCALE:
            pieces.append(one)
        elif one.job not in taken:
            alike = [other.job for other in jobs if not other.done and other.job not in taken]
            alike = [job for job in alike if replace(job, seeds=one.job.seeds) == one.job]
            first = stack_jobs(alike, widths.get(one.job.model, 1))[0]
            taken |= {job for job in alike if job.seeds[0] in first.seeds}
            pieces.append(replace(one, job=first))
    return tuple(pieces)
