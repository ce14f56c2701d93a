"""`explorer train` as one call: what was asked for, planned and trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.data import ImageSet
from explorer.errors import UsageError
from explorer.record import MemberRecord
from explorer.run.training.jobs import MemberJob, Precision, chosen_recipe, plan_members, stack_jobs
from explorer.run.training.pool import TrainingPool, Update
from explorer.run.training.teachers import teacher_of
from explorer.spec import ModelSpec
from explorer.store import Store

if TYPE_CHECKING:
    from zoo import Recipe

TIMING_S = 2.0
"""Time limit of one measurement, its warm-up apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options of `explorer train` were set to."""

    recipe: str | None = None
    """Name; None: the data set's default."""
    epochs: int | None = None
    precision: Precision | None = None
    train_share: float | None = None
    """Of the training examples; None: as the recipe says."""
    teacher: str | None = None
    """Text of a design."""
    snapshots: int | None = None
    """Cycles."""
    stacked: int | None = 1
    """None: as measured."""
    compiled: bool = False
    device: str = "cpu"
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.teacher is not None and not self.teacher.strip():
            raise UsageError("--teacher got an empty text; wanted a member or mean(MEMBER, ...)")
        if self.teacher and self.snapshots:
            raise UsageError("--teacher and --snapshots exclude each other: a student has one cycle")
        if (self.teacher or self.snapshots) and (self.stacked or 1) > 1:
            what = "--teacher" if self.teacher else "--snapshots"
            raise UsageError(f"--stacked {self.stacked} does not go with {what}: train each seed by itself")


def untaught_recipes(dataset: str, asked: Asked) -> "tuple[Recipe, ...]":
    """Return the recipe that was asked for, but for its teacher; with snapshots one for each cycle's end.

    Raises:
        ZooError: no such recipe, or cycles that cannot be.
    """
    recipe = chosen_recipe(
        dataset, asked.recipe, asked.epochs, precision=asked.precision, train_share=asked.train_share
    )
    if asked.snapshots:
        # Without --epochs, the run is stretched as the zoo says; with it, it is as long as was asked for.
        return recipe.snapshots(cycles=asked.snapshots, epochs=asked.epochs)
    return (recipe,)


def asked_jobs(
    store: Store, images: ImageSet, models: Sequence[ModelSpec], seeds: Sequence[int], asked: Asked
) -> tuple[tuple[MemberJob, ...], tuple[MemberRecord, ...], str]:
    """Return the jobs still to do, the members that are there, and the id of the (last) recipe.

    Raises:
        ZooError: no such recipe, or cycles that cannot be.
        UsageError: a teacher that cannot teach these images.
        StoreError: a teacher whose weights are not kept.
    """
    recipes = untaught_recipes(images.name, asked)
    if asked.teacher:
        recipes = (recipes[0].distilled(str(teacher_of(store, images, asked.teacher))),)
    jobs, there = plan_members(
        store,
        images,
        models,
        seeds,
        recipe=recipes,
        data_dir=asked.data_dir,
        device=asked.device,
        compiled=asked.compiled,
    )
    return jobs, there, recipes[-1].id


def stacked_as_asked(
    jobs: Sequence[MemberJob], asked: Asked, *, update: Update = lambda share, text: None
) -> tuple[MemberJob, ...]:
    """Join the jobs of a model's seeds as many at a time as was asked for, or as is faster when measured.

    On a CPU, nothing is measured: each core has a process of its own, which is as good.
    """
    if asked.stacked is not None:
        return stack_jobs(jobs, asked.stacked)
    if asked.device == "cpu" or not jobs:
        return tuple(jobs)
    joined = stack_jobs(jobs, len(jobs))
    with TrainingPool(1) as pool:
        chosen: list[MemberJob] = []
        for number, job in enumerate(joined):
            width = len(job.seeds)
            if width > 1:
                update(number / len(joined), f"timing a step of {job.model}, 1 and {width} at a time")
                alone, together = (
                    pool.time_step(job, stacked=seeds, seconds=TIMING_S).result() for seeds in (1, width)
                )
                if alone <= together:
                    chosen += [replace(job, seeds=(seed,)) for seed in job.seeds]
                    continue
            chosen.append(job)
    return tuple(chosen)
