"""Several members trained side by side, as one network with a leading axis over seeds.

`torch.func` stacks the members' weights and maps one forward pass over them: a small network, whose
kernels leave a device idle, then takes its steps for all seeds at little more than the cost of one. Each
seed keeps its own initial weights, order, augmentation and batch-norm statistics: the draws are those of
`zoo.train`, and the results differ from separate trainings only by the rounding of other kernels.
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.modules.dropout import _DropoutNd

from zoo.arrays import arrays_or_raise, learned
from zoo.classifier import Classifier
from zoo.determinism import deterministic, device_or_raise, stream_seed
from zoo.job import Progress, Trained, TrainJob
from zoo.recipes import Recipe
from zoo.registry import ZooError
from zoo.train import train
from zoo.training_loop import finish, identity, results
from zoo.training_nets import Nets, State, compiled, in_precision, initial_models, mean_loss, on_cpu, sgd
from zoo.training_step import new_run

_PREFIX = "classifier."
_RANDOM_IN_VMAP = "called random operation while in randomness error mode"
"""Part of what `torch.func.vmap` says of a function that draws."""


def train_stacked(
    jobs: Sequence[TrainJob],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    checkpoint: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    device: str = "cpu",
    stop: Callable[[], bool] | None = None,
) -> tuple[Trained, ...]:
    """Train members that differ in their seeds only, all in the same steps. One job is left to `train`.

    Args:
        jobs: what to train; alike but for the seeds, of which no two are equal.
        images: uint8 ``[example, height, width, channel]``, square.
        labels: int64 ``[example]``, each below the jobs' ``classes``.
        checkpoint: file of one checkpoint for all of them, as in `train`; it is of these seeds together.
        progress: called about twice a second and at every epoch's end, with means over the members.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        stop: asked after every epoch but the last, when its checkpoint is written; True ends the training.

    Returns:
        One for each job, in their order.

    Raises:
        ZooError: jobs that differ in more than the seed or not in it, a recipe with a teacher, a network
            that draws at random (dropout, dropped paths), a precision that the device has for one network
            only, or what `train` refuses.
        TrainingStopped: ``stop`` said so.
    """
    alike_or_raise(jobs)
    job = jobs[0]
    if len(jobs) == 1:
        return (
            train(job, images, labels, checkpoint=checkpoint, progress=progress, device=device, stop=stop),
        )
    arrays_or_raise(images, labels, job.classes)
    images, labels = learned(images, labels, job.recipe.train_share)
    device_or_raise(device)
    seed = stream_seed(job.seed, "init")
    with deterministic(seed, threads=job.threads, device=device, what=job.name):
        nets = StackedNets(initial_models(jobs, images, device), job)
        run = new_run(jobs, nets, images, labels, device=device)
        finish(
            run,
            checkpoint=checkpoint,
            identity=identity(run, images, labels, device),
            report=progress or (lambda _: None),
            stop=stop,
        )
        return results(run, device)


def alike_or_raise(jobs: Sequence[TrainJob]) -> None:
    """Check that ``jobs`` can be trained side by side.

    Raises:
        ZooError: none, or they differ in more than the seed, or two have the same seed, or a teacher.
    """
    if not jobs:
        raise ZooError("training side by side needs at least one job, got none")
    first = jobs[0]
    for job in jobs[1:]:
        compared = [field.name for field in dataclasses.fields(TrainJob) if field.compare]
        differing = [
            name for name in compared if name != "seed" and getattr(job, name) != getattr(first, name)
        ]
        if differing:
            raise ZooError(
                f"members trained side by side may differ in the seed only; {first.name} seed {first.seed} "
                f"and {job.name} seed {job.seed} differ in {', '.join(differing)}"
            )
    seeds = [job.seed for job in jobs]
    if len(set(seeds)) < len(seeds):
        raise ZooError(f"members trained side by side need different seeds, got {seeds}")
    if first.recipe.teacher:
        raise ZooError(
            f"recipe {first.recipe.name!r} has a teacher; distilled members are trained one at a time"
        )
    if first.recipe.alone:
        why = "starts from weights" if first.recipe.start else "drops blocks at random"
        raise ZooError(f"recipe {first.recipe.name!r} {why}; its members are trained one at a time")


def precise_side_by_side(recipe: Recipe, device: str) -> bool:
    """Tell whether members trained side by side on ``device`` compute in the recipe's precision.

    A CPU's autocast knows no convolution as `vmap` writes it, and would leave it in float32.
    """
    return recipe.precision == "float32" or torch.device(device).type != "cpu"


class StackedNets(Nets):
    """The members' weights with a leading axis over seeds, under one mapped forward pass."""

    stacked = True

    def __init__(self, models: Sequence[Classifier], job: TrainJob) -> None:
        super().__init__(models[0])
        device = str(models[0].preprocess.mean.device)
        if not precise_side_by_side(job.recipe, device):
            raise ZooError(
                f"recipe {job.recipe.name!r} trains in {job.recipe.precision}, but side by side on {device} "
                f"convolutions would run in float32; train members of {job.name} one at a time"
            )
        self.name = job.name
        for name, module in models[0].named_modules():
            if isinstance(module, _DropoutNd) and module.p > 0:
                raise self._drawing(f"has dropout ({name})")
        wrapped = [_MemberLogits(model).train() for model in models]
        self.recipe = job.recipe
        self.parameters, self.buffers = stack_module_state(wrapped)
        self.kept = tuple(models[0].state_dict())
        """Names of what a member's state dict has: buffers that are not saved are stacked too."""
        self.skeleton = copy.deepcopy(wrapped[0]).to("meta")
        self.seeds, self.network = len(models), self.skeleton
        # Stacking adds an axis, so weights of 2 dimensions have 3 here.
        self.optimizer = sgd(
            [p for p in self.parameters.values() if p.requires_grad], job.recipe, least_decayed_dims=3
        )
        self.logits = compiled(self._logits) if job.compiled else self._logits

    def _logits(self, images: torch.Tensor, orders: torch.Tensor | None) -> torch.Tensor:
        """Return ``[seed, member, example, class]``."""

        def one(
            parameters: State, buffers: State, images: torch.Tensor, orders: torch.Tensor | None
        ) -> torch.Tensor:
            return functional_call(self.skeleton, (parameters, buffers), (images, orders))

        axes = (0, 0, 0, None if orders is None else 0)
        return vmap(one, in_dims=axes)(self.parameters, self.buffers, images, orders)

    def losses(
        self, images: torch.Tensor, targets: torch.Tensor, orders: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Nets.losses`."""
        try:
            logits = in_precision(self.recipe, images.device, lambda: self.logits(images, orders))
        except RuntimeError as error:
            if _RANDOM_IN_VMAP not in str(error):
                raise
            raise self._drawing("draws at random in its forward pass") from error
        return vmap(lambda one, wanted: mean_loss(one, wanted, self.recipe))(logits, targets), logits

    def everything(self) -> State:
        """See `Nets.everything`."""
        return {**self.parameters, **self.buffers}

    def load(self, everything: Mapping[str, torch.Tensor]) -> None:
        """See `Nets.load`."""
        with torch.no_grad():
            for name, value in self.everything().items():
                value.copy_(everything[name])

    def states(self) -> tuple[State, ...]:
        """See `Nets.states`."""
        everything = self.everything()
        return tuple(
            on_cpu({name: everything[_PREFIX + name][i] for name in self.kept}) for i in range(self.seeds)
        )

    def _drawing(self, how: str) -> ZooError:
        """Return the refusal of a network that draws at random, ``how`` saying so."""
        return ZooError(
            f"{self.name} {how}, whose draws side by side would not be those of a separate training; train "
            "its members one at a time"
        )


class _MemberLogits(nn.Module):
    """A classifier whose call is `Classifier.member_logits`: `functional_call` makes calls only."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: torch.Tensor, orders: torch.Tensor | None) -> torch.Tensor:
        return self.classifier.member_logits(images, orders)
