"""The values that go into a training and come out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from zoo.recipes import Recipe
from zoo.registry import ZooError, canonical_name


class TrainingStopped(ZooError):  # noqa: N818 - the caller asked for it
    """A training that its caller stopped at an epoch's end; with a checkpoint it can go on from there."""

    def __init__(self, message: str, *, epochs: int) -> None:
        super().__init__(message)
        self.epochs = epochs
        """Epochs done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """Which member to make: all that decides the weights, but for the images themselves."""

    name: str
    """Variant name, e.g. ``wrn16-4``; kept in its canonical spelling."""
    classes: int
    recipe: Recipe
    seed: int
    resolution: int | None = None
    """Pixels a side the network sees; None takes the variant's default for the images."""
    threads: int = 1
    """CPU threads. Part of the job, because sums split over threads round differently."""
    compiled: bool = False
    """Whether `torch.compile` makes the forward pass and its gradient. Part of the job, because fused
    kernels round differently: the bits may differ from those of the same training without it."""
    initial: Mapping[str, torch.Tensor] | None = field(default=None, compare=False, repr=False)
    """State dict of the `Classifier` to start from, for a recipe whose ``start`` says whose it is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", canonical_name(self.name))
        for what, number, least in (
            ("classes", self.classes, 2),
            ("seed", self.seed, 0),
            ("threads", self.threads, 1),
        ):
            if number < least:
                raise ZooError(f"{what} of a training of {self.name} must be at least {least}, got {number}")
        if (self.initial is not None) != bool(self.recipe.start):
            came = "initial weights came" if self.initial is not None else "no initial weights came"
            start = self.recipe.start or "weights drawn from the seed"
            raise ZooError(f"recipe {self.recipe.name!r} starts from {start}, but {came}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a training is; handed to the caller now and then, and at every epoch's end.

    Of members trained side by side, loss and accuracy are the means over the members.
    """

    epoch: int
    """Epochs finished."""
    epochs: int
    step: int
    """Steps finished of the running epoch; equal to ``steps`` at its end."""
    steps: int
    loss: float
    """Mean over the running epoch so far; NaN before the first step."""
    accuracy: float
    """Share of the running epoch's augmented training examples answered rightly so far."""
    eta_s: float
    """Expected remaining seconds; NaN before the first step."""
    note: str = ""
    """Something worth telling a person: resumed, or a damaged checkpoint was put aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained member and what making it took."""

    job: TrainJob
    resolution: int
    """Pixels a side the network sees."""
    state: dict[str, torch.Tensor]
    """State dict of the `Classifier`, on the CPU; holds mean and std. At the end of the training, or of the
    cycle that the recipe's ``snapshot`` names."""
    curve: tuple[Mapping[str, float], ...]
    """One entry an epoch: ``epoch`` (from 1), ``loss``, ``accuracy`` on augmented training examples,
    ``wall_s`` of that epoch."""
    wall_s: float
    """Time spent training, interruptions and lost epochs left out; of members trained side by side, each
    one's equal share, so that the members' times add up to what was spent."""
    examples_seen: int
    epochs: int
    device: str
    snapshots: tuple[dict[str, torch.Tensor], ...] = ()
    """State at the end of each cycle, where the recipe has more than one; in the order of the cycles."""
    stacked: int = 1
    """Members that were trained side by side with this one, itself counted."""
