"""One step of training: the epoch's random draws, then images, loss and optimiser.

Everything random of an epoch is drawn at its start, on the CPU, and copied to the device in one go: the
values are the same on every device, and a step makes a CUDA device wait for nothing.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from zoo import augment
from zoo.determinism import generator, stream_seed
from zoo.job import TrainJob
from zoo.recipes import Recipe
from zoo.registry import ZooError
from zoo.training_nets import Nets, State
from zoo.training_variants import mixed, mixing_shares, sharpen, still_statistics

Teacher = Callable[[torch.Tensor], torch.Tensor]
"""From images ``[example, channel, height, width]`` in [0, 1] to probabilities ``[example, class]``."""

SUM_TOLERANCE = 1e-2
"""How far a teacher's probabilities of one example may sum from 1: half-precision teachers round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What was drawn for one step, on the device; the seeds' examples one after the other."""

    chosen: torch.Tensor
    """Indices ``[seed * example]``."""
    draws: augment.Draws
    orders: torch.Tensor | None
    """For members with inputs of their own: places in the batch, ``[seed, member, example]``."""
    shares: torch.Tensor | None = None
    """Of mixed images: how much of each is its own, ``[seed, example]``."""


@dataclass(slots=True)
class Run:
    """What a training holds while it runs; all of it that changes goes into the checkpoint."""

    jobs: tuple[TrainJob, ...]
    """One for each seed; alike in all else."""
    nets: Nets
    images: torch.Tensor
    """uint8 ``[example, height, width, channel]`` with the recipe's border, on the device."""
    labels: torch.Tensor
    teacher: Teacher | None = None
    curves: list[list[dict[str, float]]] = field(default_factory=list)
    """Of each seed."""
    snapshots: list[tuple[State, ...]] = field(default_factory=list)
    """For each cycle that ended, the states of all seeds."""

    @property
    def recipe(self) -> Recipe:
        """The one of all jobs."""
        return self.jobs[0].recipe

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.labels) // self.recipe.batch_size)

    @property
    def epochs_done(self) -> int:
        """Whole epochs."""
        return len(self.curves[0])

    @property
    def wall_s(self) -> float:
        """Seconds spent in whole epochs, of all seeds together."""
        return sum(entry["wall_s"] for curve in self.curves for entry in curve)

    @property
    def what(self) -> str:
        """Which members, for a sentence: ``wrn10-1 seed 3``."""
        word = "seed" if len(self.jobs) == 1 else "seeds"
        return f"{self.jobs[0].name} {word} {', '.join(str(job.seed) for job in self.jobs)}"


def new_run(
    jobs: Sequence[TrainJob],
    nets: Nets,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    device: str,
    teacher: Teacher | None = None,
) -> Run:
    """Return the run before its first epoch, with the data on ``device``."""
    recipe = jobs[0].recipe
    return Run(
        jobs=tuple(jobs),
        nets=nets,
        images=augment.pad(torch.from_numpy(np.ascontiguousarray(images)).to(device), recipe),
        labels=torch.from_numpy(np.asarray(labels, dtype=np.int64)).to(device),
        teacher=None if teacher is None else _checked(teacher, jobs[0].classes),
        curves=[[] for _ in jobs],
    )


def batches(run: Run, epoch: int) -> Iterator[Batch]:
    """Draw all of an epoch, seed torch's own generator for it, and yield its batches."""
    drawn = [_drawn(run, job.seed, epoch) for job in run.jobs]
    on_device = {
        key: torch.stack([one[key] for one in drawn]).to(run.labels.device, non_blocking=True)
        for key in drawn[0]
    }
    torch.manual_seed(stream_seed(run.jobs[0].seed, "layers", epoch))  # dropout, where a model has it
    sizes = [len(part) for part in torch.tensor_split(drawn[0]["chosen"], run.steps)]
    start = 0
    for size in sizes:
        part = {key: value[..., start : start + size] for key, value in on_device.items()}
        orders, shares = part.pop("orders", None), part.pop("shares", None)
        flat = {key: value.flatten() for key, value in part.items()}
        yield Batch(chosen=flat.pop("chosen"), draws=augment.Draws(**flat), orders=orders, shares=shares)
        start += size


def _drawn(run: Run, seed: int, epoch: int) -> State:
    """Return a seed's draws of an epoch by name: ``orders`` ``[member, example]``, others ``[example]``."""
    chosen = torch.randperm(len(run.labels), generator=generator(seed, "order", epoch))
    stream, side = generator(seed, "augment", epoch), run.images.shape[1] - 2 * run.recipe.crop_padding
    parts = [
        augment.draw(len(part), side, run.recipe, stream) for part in torch.tensor_split(chosen, run.steps)
    ]
    drawn = {"chosen": chosen}
    for each in dataclasses.fields(augment.Draws):
        if getattr(parts[0], each.name) is not None:
            drawn[each.name] = torch.cat([getattr(part, each.name) for part in parts])
    if run.recipe.mixup:
        sizes = [len(part) for part in torch.tensor_split(chosen, run.steps)]
        drawn["shares"] = mixing_shares(run.recipe, seed, epoch, sizes)
    if run.nets.independent_inputs:
        # MIMO, arXiv 2010.06610, section 2: each member sees the batch in an order of its own.
        stream = generator(seed, "orders", epoch)
        drawn["orders"] = torch.cat(
            [
                torch.stack([torch.randperm(len(part), generator=stream) for _ in range(run.nets.members)])
                for part in torch.tensor_split(chosen, run.steps)
            ],
            dim=1,
        )
    return drawn


def step(run: Run, batch: Batch, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Take one optimiser step at the learning rate ``rate``.

    Returns:
        The mean loss ``[seed]``, and how many examples were answered rightly ``[seed]``, as the mean over
        the members inside a network.
    """
    nets = run.nets
    for group in nets.optimizer.param_groups:
        group["lr"] = rate
    images, targets, labels = _examples(run, batch)
    loss, logits = nets.losses(images, targets, batch.orders)
    nets.optimizer.zero_grad(set_to_none=True)
    loss.sum().backward()
    if run.recipe.sharpness:

        def gradients() -> None:
            with still_statistics(nets.network):
                nets.losses(images, targets, batch.orders)[0].sum().backward()

        sharpen(nets.weights, run.recipe.sharpness, stacked=nets.stacked, gradients=gradients)
    nets.optimizer.step()
    right = (logits.detach().argmax(-1) == labels).sum(dim=(1, 2)) / nets.members
    return loss.detach(), right


def _examples(run: Run, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a batch's images ``[seed, example, ...]``, and targets and labels ``[seed, member, example]``.

    Targets are the labels, or probabilities with a last axis over classes: a teacher's, or mixed labels.
    """
    seeds, members = len(run.jobs), run.nets.members
    images = augment.apply(run.images, batch.chosen, batch.draws, run.recipe)
    own = run.labels[batch.chosen].unflatten(0, (seeds, -1))
    labels = targets = _by_member(own, members, batch.orders)
    if batch.shares is not None:
        flat = mixed(images.unflatten(0, (seeds, -1)), batch.shares).flatten(0, 1)
        images = flat.contiguous(memory_format=torch.channels_last)
        soft = mixed(F.one_hot(own, run.jobs[0].classes).to(images.dtype), batch.shares)
        targets = _by_member(soft, members, batch.orders)
    if run.teacher is not None:
        answers = run.teacher(images).unflatten(0, (seeds, -1))
        targets = _by_member(answers, members, batch.orders)
    return images.unflatten(0, (seeds, -1)), targets, labels


def _by_member(values: torch.Tensor, members: int, orders: torch.Tensor | None) -> torch.Tensor:
    """Return ``values`` ``[seed, example, ...]`` as members see them: ``[seed, member, example, ...]``."""
    everyone = values.unsqueeze(1).expand(-1, members, *values.shape[1:])
    if orders is None:
        return everyone
    index = orders.reshape(*orders.shape, *(1 for _ in values.shape[2:])).expand_as(everyone)
    return everyone.gather(2, index)


def _checked(teacher: Teacher, classes: int) -> Teacher:
    """Return the teacher without gradients; what it answers is checked, its sums once."""
    first = True

    def probabilities(images: torch.Tensor) -> torch.Tensor:
        nonlocal first
        with torch.no_grad():
            answer = teacher(images).float()
        if answer.shape != (len(images), classes):
            raise ZooError(
                f"a teacher must answer with probabilities [{len(images)}, {classes}] "
                f"(example, class), got {list(answer.shape)}"
            )
        if first:  # a look at the values makes a device wait, so only once
            first = False
            error = float((answer.sum(1) - 1).abs().max())
            if not (error < SUM_TOLERANCE and float(answer.min()) >= 0):
                raise ZooError(
                    "a teacher must answer with probabilities: none below 0, sum 1 for each example; got a "
                    f"least of {float(answer.min()):g} and a sum {error:g} away from 1"
                )
        return answer

    return probabilities
