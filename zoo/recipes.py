"""Training recipes: every setting that shapes the weights, as one frozen value with an id."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from zoo.registry import ZooError

ONECYCLE_START = 0.1
"""Share of the peak learning rate at which the ``onecycle`` schedule starts."""
ONECYCLE_RISE = 0.25
"""Share of the training after which ``onecycle`` reaches its peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How members are trained: SGD with momentum, one schedule, three augmentations.

    Weight decay acts on weights of convolutions and linear layers, not on biases and norms.
    """

    name: str
    epochs: int
    batch_size: int
    """Examples a step, at most; an epoch is cut into steps whose sizes differ by at most one."""
    learning_rate: float
    """Peak of the schedule."""
    momentum: float
    nesterov: bool
    weight_decay: float
    schedule: Literal["cosine", "onecycle"]
    """``cosine``: linear warm-up, then half a cosine to 0; ``onecycle``: linear up, linear to 0."""
    warmup_epochs: float
    """Of the ``cosine`` schedule."""
    label_smoothing: float
    crop_padding: int
    """Black pixels added on each side before a random crop back to size; 0 for no crop."""
    flip: bool
    """Whether half the images are mirrored left to right."""
    cutout: int
    """Side of a random black square in pixels (arXiv 1708.04552); 0 for none."""

    def __post_init__(self) -> None:
        problems = [
            (self.epochs < 1, f"epochs must be at least 1, got {self.epochs}"),
            (self.batch_size < 2, f"batch_size must be at least 2, got {self.batch_size}"),
            (not self.learning_rate > 0, f"learning_rate must be above 0, got {self.learning_rate}"),
            (not 0 <= self.momentum < 1, f"momentum must be in [0, 1), got {self.momentum}"),
            (self.nesterov and self.momentum == 0, "nesterov needs momentum above 0"),
            (not self.weight_decay >= 0, f"weight_decay must be at least 0, got {self.weight_decay}"),
            (
                self.schedule not in ("cosine", "onecycle"),
                f"unknown schedule {self.schedule!r}; known: cosine, onecycle",
            ),
            (not self.warmup_epochs >= 0, f"warmup_epochs must be at least 0, got {self.warmup_epochs}"),
            (
                not 0 <= self.label_smoothing < 1,
                f"label_smoothing must be in [0, 1), got {self.label_smoothing}",
            ),
            (self.crop_padding < 0, f"crop_padding must be at least 0, got {self.crop_padding}"),
            (self.cutout < 0, f"cutout must be at least 0, got {self.cutout}"),
        ]
        for wrong, message in problems:
            if wrong:
                raise ZooError(f"recipe {self.name!r}: {message}")

    def settings(self) -> dict[str, object]:
        """Return every setting by name, as plain JSON values."""
        return dataclasses.asdict(self)

    @property
    def id(self) -> str:
        """Name and 8 hexadecimal digits of the settings' SHA-256: two recipes never share one."""
        text = json.dumps(self.settings(), sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def with_epochs(self, epochs: int) -> "Recipe":
        """Return the recipe stretched or cut to ``epochs``: another recipe, with another id."""
        return dataclasses.replace(self, epochs=epochs)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Return the learning rate after the share ``progress`` in [0, 1) of the training."""
    if recipe.schedule == "onecycle":
        if progress < ONECYCLE_RISE:
            share = ONECYCLE_START + (1 - ONECYCLE_START) * progress / ONECYCLE_RISE
        else:
            share = (1 - progress) / (1 - ONECYCLE_RISE)
        return recipe.learning_rate * share
    # A warm-up longer than half the training would leave no room to descend.
    warmup = min(recipe.warmup_epochs / recipe.epochs, 0.5)
    if progress < warmup:
        return recipe.learning_rate * progress / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


_STANDARD = Recipe(
    name="standard",
    epochs=30,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=1.0,
    label_smoothing=0.0,
    crop_padding=4,
    flip=True,
    cutout=0,
)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "standard": _STANDARD,
        "plain": dataclasses.replace(_STANDARD, name="plain", crop_padding=2, flip=False),
        "quick": Recipe(
            name="quick",
            epochs=10,
            batch_size=64,
            learning_rate=0.1,
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            schedule="onecycle",
            warmup_epochs=0.0,
            label_smoothing=0.0,
            crop_padding=1,
            flip=False,
            cutout=0,
        ),
        "reference": dataclasses.replace(
            _STANDARD,
            name="reference",
            epochs=10,
            batch_size=64,
            learning_rate=0.05,
            schedule="onecycle",
            warmup_epochs=0.0,
            crop_padding=2,
        ),
    }
)
"""``standard``: natural images, flip and crop. ``plain``: small crops only, for images that must not be
mirrored. ``quick``: 8x8 digits in seconds. ``reference``: the shipped study's, short enough for a CPU; half
the batch of ``standard`` makes up in steps for a third of its epochs."""


def recipe(name: str) -> Recipe:
    """Return the recipe called ``name``.

    Raises:
        ZooError: no such recipe; the message lists those that exist.
    """
    if name not in RECIPES:
        raise ZooError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]
