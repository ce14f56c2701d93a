"""Wide ResNet for small images: depth and a real-valued width (arXiv 1605.07146, Table 1).

Pre-activation blocks (BN-ReLU-conv twice), three groups at full, half and quarter resolution. The
stem has 16 channels at every width, as published. Works from 8x8 pixels upward and at any channel number.
"""

import re
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from zoo.knobs import integer_knob, real_knob, shortest
from zoo.registry import Family, ZooError

STEM_CHANNELS = 16
GROUP_CHANNELS = (16, 32, 64)
"""Channels of the three groups at width 1."""

_NAME = re.compile(r"wrn-?(?P<depth>[0-9]+)-(?P<width>[0-9]+(?:\.[0-9]+)?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WideResNetConfig:
    """WRN-``depth``-``width``."""

    depth: int
    """Convolutions on the main path plus the final layer; 6n + 4 for n blocks a group."""
    width: float
    """Multiplier of the groups' channels."""

    def __post_init__(self) -> None:
        depth = integer_knob("depth of a wide ResNet", self.depth, low=10, high=1_000)
        real_knob("width of a wide ResNet", self.width, low=0.125, high=100.0)
        if (depth - 4) % 6:
            below = depth - (depth - 4) % 6
            raise ZooError(f"depth of a wide ResNet must be 6n + 4, got {depth}; try {below} or {below + 6}")

    @property
    def blocks(self) -> int:
        """Residual blocks in each of the three groups."""
        return (self.depth - 4) // 6

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each group, rounded to the nearest integer (halves up), at least 1."""
        return tuple(max(1, int(base * self.width + 0.5)) for base in GROUP_CHANNELS)


class Block(nn.Module):
    """Pre-activation residual block of two 3x3 convolutions.

    Where the shape changes, the shortcut is a 1x1 convolution of the *activated* input, as in the
    authors' code; elsewhere it is the untouched input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = inputs != outputs or stride != 1
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if changes else None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels and stride."""
        active = F.relu(self.norm1(images))
        shortcut = images if self.shortcut is None else self.shortcut(active)
        return shortcut + self.conv2(F.relu(self.norm2(self.conv1(active))))


class WideResNet(nn.Module):
    """Stem, three groups of blocks, norm, global average, linear layer."""

    def __init__(self, config: WideResNetConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, STEM_CHANNELS, 3, padding=1, bias=False)
        groups, inputs = [], STEM_CHANNELS
        for index, outputs in enumerate(config.channels):
            strides = [1 if index == 0 else 2] + [1] * (config.blocks - 1)
            groups.append(
                nn.Sequential(
                    *(Block(inputs if i == 0 else outputs, outputs, s) for i, s in enumerate(strides))
                )
            )
            inputs = outputs
        self.groups = nn.Sequential(*groups)
        self.norm = nn.BatchNorm2d(inputs)
        self.head = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        features = F.relu(self.norm(self.groups(self.stem(images))))
        return self.head(features.mean(dim=(2, 3)))


def _parse(text: str) -> WideResNetConfig | None:
    match = _NAME.fullmatch(text)
    return match and WideResNetConfig(depth=int(match["depth"]), width=float(match["width"]))


def _build(config: WideResNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return WideResNet(config, in_channels, num_classes)


FAMILY = Family(
    name="wide_resnet",
    summary="wide residual network for small images (arXiv 1605.07146), real-valued width",
    example="wrn16-4",
    pattern_help="wrnDEPTH-WIDTH",
    knobs={"depth": "6n + 4: 10, 16, 22, 28, 40", "width": "multiplier of the channels, 0.125 to 100"},
    parse=_parse,
    configure=WideResNetConfig,
    build=_build,
    format=lambda config: f"wrn{config.depth}-{shortest(cast(WideResNetConfig, config).width)}",
    default_resolution=lambda config, native: native,
)
