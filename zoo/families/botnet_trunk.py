"""A bottleneck ResNet whose blocks' middle layer is anything: convolution, attention, lambda layer.

Blocks are those of arXiv 1512.03385 (figure 5, right) with the stride in the middle layer, optionally with
channel gates on the block's output (arXiv 1709.01507) and the deep stem of ResNet-D (arXiv 1812.01187).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from zoo.families._mobile_blocks import SqueezeExcite, initialise
from zoo.registry import ZooError

EXPANSION = 4
"""Channels at a block's output over those of its middle layer."""
STAGE_CHANNELS = (64, 128, 256, 512)
STEM_CHANNELS = 64
LEAST_SIDE = 32
"""Pixels a side that leave one pixel after five halvings."""

Mixer = Callable[[int, int, int], nn.Module]
"""``(channels, stride, pixels a side of its input)`` -> layer that keeps channels and divides the size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Blocks of one width."""

    blocks: int
    channels: int
    """Of the middle layers."""
    stride: int
    mixer: Mixer | None = None
    """Middle layer of the blocks from ``mixes_from`` on; None for 3x3 convolutions."""
    mixes_from: int = 0
    gate_share: float = 0.0
    """Channels inside the gates of blocks without mixer over channels at their output; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """All stages and what goes before them."""

    stages: tuple[Stage, ...]
    activation: Callable[[], nn.Module] = nn.ReLU
    deep_stem: bool = False
    """Three 3x3 convolutions instead of one 7x7."""
    pooled_shortcut: bool = False
    """Average pooling before the shortcut's convolution instead of a stride in it."""


def _norm_act(channels: int, activation: Callable[[], nn.Module]) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), activation()]


class Bottleneck(nn.Module):
    """1x1, middle layer, 1x1; the shortcut is a convolution where the shape changes."""

    def __init__(self, inputs: int, stage: Stage, index: int, trunk: Trunk, side: int) -> None:
        super().__init__()
        inside, outputs = stage.channels, stage.channels * EXPANSION
        stride = stage.stride if index == 0 else 1
        mixes = stage.mixer is not None and index >= stage.mixes_from
        middle: nn.Module = nn.Conv2d(inside, inside, 3, stride, 1, bias=False)
        if mixes:
            assert stage.mixer is not None
            middle = stage.mixer(inside, stride, side)
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, inside, 1, bias=False),
            *_norm_act(inside, trunk.activation),
            middle,
            *_norm_act(inside, trunk.activation),
            nn.Conv2d(inside, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        if stage.gate_share and not mixes:
            layers.append(SqueezeExcite(outputs, max(1, int(outputs * stage.gate_share))))
        self.layers = nn.Sequential(*layers)
        self.shortcut = self._shortcut(inputs, outputs, stride, trunk.pooled_shortcut)
        self.active = trunk.activation()

    @staticmethod
    def _shortcut(inputs: int, outputs: int, stride: int, pooled: bool) -> nn.Module:
        if stride == 1 and inputs == outputs:
            return nn.Identity()
        pool = pooled and stride > 1
        layers: list[nn.Module] = [nn.AvgPool2d(2, 2, ceil_mode=True)] if pool else []
        layers += [
            nn.Conv2d(inputs, outputs, 1, 1 if pool else stride, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        return nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels and stride."""
        return self.active(self.layers(images) + self.shortcut(images))


class HybridResNet(nn.Module):
    """Stem, max pooling, stages, global average, linear layer."""

    def __init__(self, trunk: Trunk, in_channels: int, num_classes: int, side: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_stem(trunk, in_channels), nn.MaxPool2d(3, 2, 1))
        at = halved(halved(side))
        inputs, blocks = STEM_CHANNELS, []
        for stage in trunk.stages:
            for index in range(stage.blocks):
                blocks.append(Bottleneck(inputs, stage, index, trunk, at))
                inputs = stage.channels * EXPANSION
                at = halved(at) if index == 0 and stage.stride == 2 else at
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, num_classes)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(self.blocks(self.stem(images)).mean(dim=(2, 3)))


def _stem(trunk: Trunk, in_channels: int) -> list[nn.Module]:
    if not trunk.deep_stem:
        convolution = nn.Conv2d(in_channels, STEM_CHANNELS, 7, 2, 3, bias=False)
        return [convolution, *_norm_act(STEM_CHANNELS, trunk.activation)]
    layers: list[nn.Module] = []
    inputs = in_channels
    for outputs, stride in ((STEM_CHANNELS // 2, 2), (STEM_CHANNELS // 2, 1), (STEM_CHANNELS, 1)):
        layers.append(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))
        layers += _norm_act(outputs, trunk.activation)
        inputs = outputs
    return layers


def halved(side: int) -> int:
    """Return the pixels a side after stride 2, rounded up."""
    return (side + 1) // 2


def check_side(what: str, side: int) -> int:
    """Return ``side`` when five halvings leave something to average.

    Raises:
        ZooError: it is below 32 pixels.
    """
    if side < LEAST_SIDE:
        raise ZooError(f"{what} needs at least {LEAST_SIDE} pixels a side, got {side}")
    return side
