"""`explorer train` as one call: what was asked for, planned and trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.data import ImageSet
from explorer.errors import ExplorerError, UsageError
from explorer.record import MemberRecord
from explorer.run.training.jobs import MemberJob, Precision, chosen_recipe, plan_members, stack_jobs
from explorer.run.training.pool import TrainingPool, Update
from explorer.run.training.teachers import teacher_of
from explorer.run.training.unfinished import Finished
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
        UsageError: a recipe that does not go with a teacher, or not with seeds side by side.
    """
    recipe = chosen_recipe(
        dataset, asked.recipe, asked.epochs, precision=asked.precision, train_share=asked.train_share
    )
    if asked.teacher and recipe.label_smoothing:
        raise UsageError(
            f"--teacher does not go with recipe {recipe.name!r}: a teacher's labels are soft already, wanted "
            f"label smoothing 0, got {recipe.label_smoothing}; name a recipe without it"
        )
    if (asked.stacked or 1) > 1 and asked.device == "cpu" and recipe.precision != "float32":
        raise UsageError(
            f"--stacked {asked.stacked} does not go with {recipe.precision} on a CPU, where convolutions "
            "would run in float32: train each seed by itself, or with --precision float32"
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
        UsageError: a teacher that cannot teach these images, or options that do not go together.
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
    jobs: Sequence[MemberJob],
    asked: Asked,
    *,
    finished: Finished = lambda job: None,
    update: Update = lambda share, text: None,
) -> tuple[tuple[MemberJob, ...], tuple[str, ...]]:
    """Join the jobs of a model's seeds as many at a time as was asked for, or as is faster when measured.

    On a CPU, nothing is measured: each core has a process of its own, which is as good.

    Args:
        jobs: of one seed each.
        asked: says how many.
        finished: finds the stack of a job that an interrupted run trained and did not commit whole; it is
            taken as it is, first.
        update: told how far the measurements are.

    Returns:
        The jobs, and a note for every model whose seeds were to be stacked and could not be timed so.
    """
    stacks = {job: finished(job) for job in jobs}
    whole = tuple(dict.fromkeys(stack for stack in stacks.values() if stack is not None))
    rest = [job for job, stack in stacks.items() if stack is None]
    if asked.stacked is not None:
        return (*whole, *stack_jobs(rest, asked.stacked)), ()
    if asked.device == "cpu" or not rest:
        return (*whole, *rest), ()
    joined, notes = stack_jobs(rest, len(rest)), []
    with TrainingPool(1) as pool:
        chosen: list[MemberJob] = []
        for number, job in enumerate(joined):
            if len(job.seeds) > 1:
                width = len(job.seeds)
                update(number / len(joined), f"timing a step of {job.model}, 1 and {width} at a time")
                faster, note = _faster_together(pool, job)
                notes += [note] if note else []
                if not faster:
                    chosen += [replace(job, seeds=(seed,)) for seed in job.seeds]
                    continue
            chosen.append(job)
    return (*whole, *chosen), tuple(notes)


def _faster_together(pool: TrainingPool, job: MemberJob) -> tuple[bool, str]:
    """Tell whether a step of all seeds of ``job`` is faster than one of each, and what could not be timed."""
    from zoo import ZooError

    seconds, note = dict.fromkeys((1, len(job.seeds)), math.inf), ""
    for width in seconds:
        try:
            seconds[width] = pool.time_step(job, stacked=width, seconds=TIMING_S).result()
        except (ExplorerError, ZooError) as error:
            note = f"seeds of {job.model} are trained one at a time: {error}"
    return seconds[len(job.seeds)] < seconds[1] and not note, note
