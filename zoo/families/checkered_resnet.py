"""Checkered subsampling: keep two of every four places where a ResNet halves (arXiv 1805.10766, section 3).

The places at (even, even) and (odd, odd) become two maps that go on side by side, as examples of one batch:
the same weights, so no parameter more, but twice the compute behind each such layer. At the end all maps
are averaged.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from zoo.families._resnet import Idea, Parts, Plan, ResNet, check_plan, family_of_idea
from zoo.knobs import integer_knob

HALVING_STAGES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckeredResNetConfig:
    """ResNet with checkered subsampling in its last ``layers`` halving stages."""

    depth: int = 50
    width: float = 1.0
    layers: int = 3
    """How many of the three stages that halve do so checkered, from the last; 0 is a ResNet."""

    def __post_init__(self) -> None:
        check_plan("a checkered ResNet", self.depth, self.width)
        integer_knob("checkered layers of a ResNet", self.layers, low=0, high=HALVING_STAGES)


class CheckeredResNet(ResNet):
    """ResNet whose last ``layers`` stages see two shifted copies of their input each."""

    def __init__(self, plan: Plan, parts: Parts, *, layers: int, **rest: Any) -> None:
        super().__init__(plan, parts, **rest)
        self.layers = layers

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Map images to the means of the last stage over all places and maps."""
        images = self.stem(images)
        examples = images.shape[0]
        for number, stage in enumerate(self.stages):
            if number >= len(self.stages) - self.layers:
                # a strided layer over the input moved by one place sees the odd rows and columns
                shifted = torch.roll(images, shifts=(-1, -1), dims=(2, 3))
                images = torch.cat((images, shifted))
            images = stage(images)
        means = images.mean(dim=(2, 3))
        return means.reshape(-1, examples, means.shape[1]).mean(dim=0)


VARIANTS = {
    f"checkered_resnet{depth}": CheckeredResNetConfig(depth=depth) for depth in (50, 18, 34, 101, 152)
}
FAMILY = family_of_idea(
    Idea(
        name="checkered_resnet",
        what="a checkered ResNet",
        summary="ResNet that keeps two of four places where it halves (multisampling, arXiv 1805.10766)",
        config_class=CheckeredResNetConfig,
        parts=lambda config: Parts(),
        knobs={"layers": "stages that halve checkered, 0 to 3, from the last"},
        systems=("multisampling",),
        variants=VARIANTS,
        network=lambda config: partial(CheckeredResNet, layers=config.layers),
    )
)
