"""What is to train: one job is one run of the trainer, and may make several members."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from explorer.data import ImageSet
from explorer.errors import UsageError
from explorer.record import MemberRecord
from explorer.run.costs import counted_costs
from explorer.run.training.teachers import teacher_of
from explorer.spec import Member, ModelSpec
from explorer.store import Store

if TYPE_CHECKING:
    from zoo import Recipe

Precision = Literal["float32", "bfloat16"]

DEFAULT_RECIPES = {"digits": "quick"}
"""Data set -> recipe; every other takes ``standard``. Digits must not be mirrored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJob:
    """One training run; everything a worker process needs, picklable."""

    model: ModelSpec
    """With its resolution."""
    seeds: tuple[int, ...]
    """More than one: stacked, trained side by side in one process."""
    recipe: "Recipe"
    """What is run; of snapshots, the whole run's."""
    snapshots: "tuple[Recipe, ...]" = ()
    """The recipe of the network at each cycle's end; empty: the run makes one member a seed."""
    dataset: str
    data_dir: Path | None
    store_url: str
    device: str
    macs: int
    """MACs of one example's forward pass."""
    teacher_macs: int = 0
    """MACs of the teacher's forward pass for one example; 0 without a teacher."""
    compiled: bool = False
    """Whether the network runs through ``torch.compile``."""
    checkpoints: Path | None = None
    """Where the unfinished training is kept; None: in the store's folder for unfinished work."""

    def __post_init__(self) -> None:
        if not self.seeds:
            raise UsageError(f"a training of {self.model} needs at least one seed")
        if len(self.seeds) > 1 and self.alone:
            raise UsageError(f"{self.alone} of {self.model} cannot be stacked; train each seed by itself")

    @property
    def members(self) -> tuple[Member, ...]:
        """The members that the run makes, seed by seed."""
        resolution = self.model.resolution
        assert resolution is not None  # `resolved_models` has filled it in
        recipes = self.snapshots or (self.recipe,)
        return tuple(
            Member(self.model.name, resolution, seed, made.id) for seed in self.seeds for made in recipes
        )

    @property
    def macs_per_example(self) -> int:
        """MACs of training on one example: forward, backward as 2 x forward, and the teacher's forward.

        A recipe may take fewer or more passes than these 3, see `zoo.Recipe.training_passes`.
        """
        return self.recipe.training_passes * self.macs + self.teacher_macs

    @property
    def work(self) -> float:
        """MACs of the whole run, but for the size of the training set: for shares of a job list."""
        seen = self.recipe.epochs * self.recipe.train_share
        return float(self.macs_per_example) * seen * len(self.seeds)

    @property
    def alone(self) -> str:
        """Why its seeds cannot be stacked: what they are, for a sentence; empty where they can."""
        from zoo.stacked import precise_side_by_side

        if self.snapshots:
            return "snapshots"
        if self.recipe.alone:
            return _alone(self.recipe)
        if not precise_side_by_side(self.recipe, self.device):
            return f"members in {self.recipe.precision} on a CPU"
        return ""

    def digest(self, split_digest: str, machine: str) -> str:
        """Return a name for the run's checkpoint: 16 hexadecimal digits.

        Args:
            split_digest: of the images.
            machine: what else decides the bits, so that after an upgrade or a move a training begins anew
                instead of meeting a checkpoint that it cannot go on from.
        """
        where = (self.dataset, split_digest, self.device, str(self.compiled), machine)
        return hashlib.sha256("\n".join((*map(str, self.members), *where)).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        first, last = self.seeds[0], self.seeds[-1]
        run = len(self.seeds) == last - first + 1
        seeds = str(first) if len(self.seeds) == 1 else f"{first}-{last}" if run else str(list(self.seeds))
        return f"{self.model}~{self.recipe.name}#{seeds}"


def _alone(recipe: "Recipe") -> str:
    """Return which members of a recipe cannot be stacked, for a sentence."""
    if recipe.teacher:
        return "students of a teacher"
    return "members that start from others' weights" if recipe.start else f"members of recipe {recipe.name}"


def chosen_recipe(
    dataset: str,
    name: str | None,
    epochs: int | None,
    *,
    precision: Precision | None = None,
    train_share: float | None = None,
) -> "Recipe":
    """Return the recipe called ``name``, or the data set's default, with what else was asked for.

    A variant's name alone (``sam``) is that variant of the data set's default; ``reference+sam`` names both.

    Args:
        dataset: which data set's default.
        name: a recipe's name.
        epochs: instead of the recipe's own.
        precision: likewise, ``float32`` or ``bfloat16``.
        train_share: likewise, of the training examples, in (0, 1].

    Raises:
        ZooError: no such recipe, the message lists those that exist; or no such share.
    """
    import dataclasses

    from zoo import recipe
    from zoo.recipes import split_name

    default = DEFAULT_RECIPES.get(dataset, "standard")
    base, variant = split_name(name or default, default)
    chosen = recipe(base)
    if epochs is not None:
        chosen = chosen.with_epochs(epochs)
    if precision is not None:
        chosen = dataclasses.replace(chosen, precision=precision)
    if train_share is not None:
        chosen = dataclasses.replace(chosen, train_share=train_share)
    # Last, so that the variant and the recipe it may be compared with are equally long.
    return chosen.variant(variant) if variant else chosen


def examples_learned(recipe: "Recipe", images: ImageSet) -> int:
    """Return how many training examples a recipe sees each epoch."""
    from zoo.arrays import learned_positions

    return len(learned_positions(images.train.labels, recipe.train_share))


def resolved_models(models: Sequence[ModelSpec], images: ImageSet) -> tuple[ModelSpec, ...]:
    """Return the models in canonical spelling, each with the resolution it will see.

    Raises:
        ZooError: unknown name or impossible knob.
    """
    from zoo import canonical_name, default_resolution

    return tuple(
        ModelSpec(
            canonical_name(model.name),
            model.resolution or default_resolution(model.name, images.native),
        )
        for model in models
    )


def counted_macs(store: Store, model: ModelSpec, images: ImageSet) -> int:
    """Count a model, store the figures, so that a front over MACs needs no profile, and return its MACs."""
    costs = counted_costs(model, channels=images.channels, classes=len(images.classes))
    for record in costs:
        store.put_cost(record, None)
    return next(int(record.figure.value) for record in costs if record.kind == "macs")


def plan_members(
    store: Store,
    images: ImageSet,
    models: Sequence[ModelSpec],
    seeds: Sequence[int],
    *,
    recipe: "Recipe | tuple[Recipe, ...]",
    data_dir: Path | None,
    device: str = "cpu",
    compiled: bool = False,
) -> tuple[tuple[MemberJob, ...], tuple[MemberRecord, ...]]:
    """Return the jobs still to do, dearest first, and the members that are already there.

    Args:
        store: where members go.
        images: what they are trained on.
        models: with their resolutions.
        seeds: of every model.
        recipe: of every member; several are the snapshots of one run, in the order of its cycles.
        data_dir: where workers find the images.
        device: where they train.
        compiled: whether they use ``torch.compile``.

    Raises:
        UsageError: the recipe's teacher cannot teach this data set.
    """
    recipes = recipe if isinstance(recipe, tuple) else (recipe,)
    teacher = teacher_of(store, images, recipes[-1].teacher) if recipes[-1].teacher else None
    jobs: list[MemberJob] = []
    there: list[MemberRecord] = []
    for model in models:
        macs = counted_macs(store, model, images)
        for seed in seeds:
            job = MemberJob(
                model=model,
                seeds=(seed,),
                recipe=recipes[-1].run,
                snapshots=recipes if len(recipes) > 1 else (),
                dataset=images.name,
                data_dir=data_dir,
                store_url=store.url,
                device=device,
                macs=macs,
                teacher_macs=teacher.macs if teacher else 0,
                compiled=compiled,
            )
            found = records_of(store, images, job)
            if len(found) < len(job.members):
                jobs.append(job)
            else:
                there += found
    # Dearest first: the last to finish are short, so no core idles at the end.
    return tuple(sorted(jobs, key=lambda job: -job.macs)), tuple(there)


def records_of(store: Store, images: ImageSet, job: MemberJob) -> list[MemberRecord]:
    """Return those of a job's members that the store has under the images' own split."""
    found = (store.find_member(images.name, member) for member in job.members)
    return [record for record in found if record is not None and record.split_digest == images.split_digest]


def stack_jobs(jobs: Sequence[MemberJob], stacked: int) -> tuple[MemberJob, ...]:
    """Join up to ``stacked`` jobs that differ in nothing but the seed; the order stays that of the firsts.

    Snapshot runs, students of a teacher and what else cannot be stacked stay alone; stacks stay as they are.

    Raises:
        UsageError: ``stacked`` below 1.
    """
    if stacked < 1:
        raise UsageError(f"at least 1 member is trained at a time in a process, got {stacked}")
    first = {_without_seed(job): place for place, job in reversed(list(enumerate(jobs)))}
    joined: list[MemberJob] = []
    ordered = sorted(jobs, key=lambda job: first[_without_seed(job)])
    for _, same in groupby(ordered, key=_without_seed):
        alike = list(same)
        width = stacked if stacked > 1 and not alike[0].alone else 1
        for start in range(0, len(alike), width):
            part = alike[start : start + width]
            seeds = sorted(seed for job in part for seed in job.seeds)
            joined.append(replace(part[0], seeds=tuple(seeds)))
    return tuple(joined)


def _without_seed(job: MemberJob) -> MemberJob:
    return job if len(job.seeds) > 1 else replace(job, seeds=(0,))
