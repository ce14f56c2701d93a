"""The networks that a training steps: initial weights, optimiser, precision, loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from zoo.arrays import channel_statistics
from zoo.classifier import Classifier, build_classifier
from zoo.determinism import stream_seed
from zoo.job import TrainJob
from zoo.recipes import Recipe
from zoo.registry import ZooError, default_resolution
from zoo.training_variants import add_drop_blocks, freeze_all_but_norms

State = dict[str, torch.Tensor]


class Nets(ABC):
    """Networks of one shape that take their steps together: one for each seed."""

    optimizer: torch.optim.SGD
    network: nn.Module
    """Whose modules run."""
    stacked = False
    """Whether each weight has a leading axis over seeds."""

    def __init__(self, model: Classifier) -> None:
        self.resolution = model.preprocess.resolution
        self.members, self.independent_inputs = model.members, model.independent_inputs

    @abstractmethod
    def losses(
        self, images: torch.Tensor, targets: torch.Tensor, orders: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean loss ``[seed]`` and the logits ``[seed, member, example, class]``.

        Args:
            images: float32 ``[seed, example, channel, height, width]``.
            targets: labels ``[seed, member, example]`` or probabilities ``[seed, member, example, class]``.
            orders: which image each member sees, ``[seed, member, example]``; None for all the same.
        """

    @property
    def weights(self) -> list[torch.Tensor]:
        """What the optimiser steps."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def begin_epoch(self, progress: float) -> None:  # noqa: B027 - most networks change nothing
        """Set what changes as training goes on, at the share ``progress`` of it."""

    @abstractmethod
    def everything(self) -> State:
        """Return all tensors that change in training, for a checkpoint."""

    @abstractmethod
    def load(self, everything: Mapping[str, torch.Tensor]) -> None:
        """Put back what `everything` gave."""

    @abstractmethod
    def states(self) -> tuple[State, ...]:
        """Return each seed's state dict of its `Classifier`: contiguous copies on the CPU."""


class OneNet(Nets):
    """One network under ordinary autograd."""

    def __init__(self, model: Classifier, job: TrainJob) -> None:
        super().__init__(model)
        self.model = self.network = model.train()
        self.recipe = job.recipe
        device = model.preprocess.mean.device
        self.drops = add_drop_blocks(model, job.name, str(device)) if job.recipe.drop_block else ()
        self.optimizer = sgd(
            [p for p in model.parameters() if p.requires_grad], job.recipe, least_decayed_dims=2
        )
        self.logits = compiled(model.member_logits) if job.compiled else model.member_logits

    def losses(
        self, images: torch.Tensor, targets: torch.Tensor, orders: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Nets.losses`."""
        own_orders = None if orders is None else orders[0]
        logits = in_precision(self.recipe, images.device, lambda: self.logits(images[0], own_orders))
        return mean_loss(logits, targets[0], self.recipe)[None], logits[None]

    def begin_epoch(self, progress: float) -> None:
        """See `Nets.begin_epoch`."""
        for drop, factor in self.drops:
            drop.share.fill_(factor * self.recipe.drop_block * progress)

    def everything(self) -> State:
        """See `Nets.everything`."""
        return self.model.state_dict()

    def load(self, everything: Mapping[str, torch.Tensor]) -> None:
        """See `Nets.load`."""
        self.model.load_state_dict(everything)

    def states(self) -> tuple[State, ...]:
        """See `Nets.states`."""
        return (on_cpu(self.model.state_dict()),)


def initial_models(jobs: Sequence[TrainJob], images: np.ndarray, device: str) -> list[Classifier]:
    """Return each job's network on ``device``, its weights drawn from the job's seed or those it brings.

    Mean and standard deviation are those of ``images``, uint8 ``[example, height, width, channel]``.

    Raises:
        ZooError: weights to start from that are not this network's, or no norms where only they learn.
    """
    _, native, _, channels = images.shape
    mean, std = channel_statistics(images)
    models = []
    for job in jobs:
        torch.manual_seed(stream_seed(job.seed, "init"))
        resolution = default_resolution(job.name, native) if job.resolution is None else job.resolution
        model = build_classifier(
            job.name,
            channels=channels,
            classes=job.classes,
            native=native,
            resolution=resolution,
            mean=mean,
            std=std,
        )
        if job.initial is not None:
            load_or_raise(model, job.initial, job.name)
        if job.recipe.trained == "norms":
            freeze_all_but_norms(model, job.name)
        model.to(device)
        # Channels last: as the batches come out of the gather.
        models.append(model.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    return models


def load_or_raise(model: nn.Module, state: Mapping[str, torch.Tensor], name: str) -> None:
    """Put ``state`` into ``model``.

    Raises:
        ZooError: it is of another network than ``name``.
    """
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    came = {key: tuple(value.shape) for key, value in state.items()}
    for key in sorted(wanted.keys() | came.keys()):
        if wanted.get(key) != came.get(key):
            raise ZooError(
                f"weights to start from are not those of a {name}: {key} has shape {came.get(key)}, "
                f"wanted {wanted.get(key)}"
            )
    model.load_state_dict(dict(state))


def sgd(parameters: Sequence[torch.Tensor], recipe: Recipe, *, least_decayed_dims: int) -> torch.optim.SGD:
    """Return the recipe's optimiser; weights of fewer dimensions (biases, norms) do not decay."""
    decayed = [p for p in parameters if p.ndim >= least_decayed_dims]
    others = [p for p in parameters if p.ndim < least_decayed_dims]
    return torch.optim.SGD(
        [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        fused=True,
    )


def compiled(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return ``function`` compiled anew; forgets what this process compiled before.

    torch stops compiling, without a word, a function that it compiled for 8 other networks already.
    """
    torch.compiler.reset()
    # The steps of an epoch have two sizes at most, so each gets kernels of its own.
    return torch.compile(function, dynamic=False)


def on_cpu(state: Mapping[str, torch.Tensor]) -> State:
    """Return contiguous copies of the tensors on the CPU."""
    return {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()
    }


def in_precision(recipe: Recipe, device: torch.device, forward: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Return what ``forward`` answers when it computes in the recipe's precision, as float32."""
    if recipe.precision == "float32":
        return forward()
    # No cache of cast weights: each is used once a step, and under vmap it would be looked up in vain.
    with torch.autocast(device.type, getattr(torch, recipe.precision), cache_enabled=False):
        return forward().float()


def mean_loss(logits: torch.Tensor, targets: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return the mean cross entropy over members and examples.

    Args:
        logits: float32 ``[member, example, class]``.
        targets: labels ``[member, example]`` or probabilities ``[member, example, class]``.
        recipe: says how much the labels are smoothed.
    """
    return F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(0, 1), label_smoothing=recipe.label_smoothing
    )
