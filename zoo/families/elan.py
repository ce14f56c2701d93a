"""ELAN: layers aggregated by the lengths of their gradient paths (arXiv 2211.04800, section 3.3).

A stage splits into two 1x1 convolutions; one branch goes on through ``stacks`` of two 3x3 convolutions, and
the split, each stack's output and the other branch are joined by one 1x1 convolution. Stages halve by a
pooled and a strided path side by side. Channels are those of YOLOv7's backbone (arXiv 2207.02696), here
with a classifier's head.
"""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.families._resnet import plain_conv
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.registry import IMAGENET_CLASSES, Family

STAGES = ((64, 256), (128, 512), (256, 1024), (256, 1024))
"""Inner and outer channels of each stage at width 1."""
STEM = ((32, 1), (64, 2), (64, 1), (128, 2))
"""Channels and stride of the stem's 3x3 convolutions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElanConfig:
    """ELAN classifier."""

    stacks: int = 2
    """Stacks of two convolutions in each stage: the length of the longest path."""
    width: float = 1.0
    """Multiplier of all channels."""

    def __post_init__(self) -> None:
        integer_knob("stacks of an ELAN", self.stacks, low=1, high=16)
        real_knob("width of an ELAN", self.width, low=1 / 32, high=8.0)

    def scaled(self, channels: int) -> int:
        """Return ``channels`` times the width, at least 2 and even."""
        return max(2, 2 * round(channels * self.width / 2))


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(plain_conv(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs), nn.SiLU())


class Aggregation(nn.Module):
    """One stage."""

    def __init__(self, inputs: int, inner: int, outputs: int, stacks: int) -> None:
        super().__init__()
        self.beside, self.first = _layer(inputs, inner, 1), _layer(inputs, inner, 1)
        self.stacks = nn.ModuleList(
            nn.Sequential(_layer(inner, inner, 3), _layer(inner, inner, 3)) for _ in range(stacks)
        )
        self.join = _layer((2 + stacks) * inner, outputs, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the stage's channels."""
        parts = [self.beside(images), self.first(images)]
        for stack in self.stacks:
            parts.append(stack(parts[-1]))
        return self.join(torch.cat(parts, dim=1))


class Halving(nn.Module):
    """Halve the resolution: half of the channels by pooling, half by a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.pooled = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), _layer(channels, half, 1))
        self.strided = nn.Sequential(_layer(channels, half, 1), _layer(half, half, 3, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to half the size."""
        return torch.cat((self.pooled(images), self.strided(images)), dim=1)


class Elan(nn.Module):
    """Stem, four aggregations with halvings between them, global average, linear layer."""

    def __init__(self, config: ElanConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        inputs = in_channels
        for channels, stride in STEM:
            steps.append(_layer(inputs, config.scaled(channels), 3, stride))
            inputs = config.scaled(channels)
        for number, (inner, outer) in enumerate(STAGES):
            if number:
                steps.append(Halving(inputs))
                inputs = 2 * (inputs // 2)
            steps.append(Aggregation(inputs, config.scaled(inner), config.scaled(outer), config.stacks))
            inputs = config.scaled(outer)
        self.features = nn.Sequential(*steps)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(self.features(images).mean(dim=(2, 3)))


def _build(config: ElanConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return Elan(config, in_channels, num_classes)


VARIANTS = {"elan-base": ElanConfig()}
NAMES = Names(prefix="elan", config_class=ElanConfig, variants=VARIANTS)
FAMILY = Family(
    name="elan",
    summary="layers aggregated by their gradient paths (ELAN, arXiv 2211.04800)",
    example="elan-base",
    pattern_help="elan-stacksN-widthW",
    knobs={"stacks": "of two convolutions a stage, 1 to 16", "width": "multiplier, 1/32 to 8"},
    parse=NAMES.parse,
    configure=ElanConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: 224,
    near=NAMES.near,
    systems=("gradient-path-design-strategies",),
    variants=VARIANTS,
    classes=IMAGENET_CLASSES,
)
