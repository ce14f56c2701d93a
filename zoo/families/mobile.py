"""Inverted residuals with squeeze-excite for small images, scaled by one number.

``mobile-xS`` aims at S times the MACs of ``mobile-x1``: phi = log2 S goes into the compound rule
(arXiv 1905.11946, equation 3), which scales depth, width and input resolution together. Blocks are
those of MobileNetV2 (arXiv 1801.04381, Table 1) with squeeze-excite (arXiv 1709.01507) and SiLU, as in
EfficientNet; the stem keeps full resolution and the body halves it twice, so 8x8 images still work.
"""

import math
import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from zoo.knobs import real_knob, shortest
from zoo.registry import Family
from zoo.scaling import Scale, compound, round_channels, round_repeats, round_resolution

CHANNEL_STEP = 4
RESOLUTION_STEP = 2
LEAST_RESOLUTION = 4
"""Pixels a side: one pixel is left after the two halvings."""
STEM_CHANNELS = 16
HEAD_CHANNELS = 192
SQUEEZE = 4
"""Squeeze-excite narrows to this fraction of the block's input channels."""

_NAME = re.compile(r"mobile-x(?P<size>[0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Blocks of one shape, before scaling."""

    expand: int
    """Channels inside a block over channels at its input."""
    channels: int
    repeats: int
    stride: int
    """Of the first block."""
    kernel: int


STAGES = (
    Stage(expand=1, channels=16, repeats=1, stride=1, kernel=3),
    Stage(expand=4, channels=24, repeats=2, stride=2, kernel=3),
    Stage(expand=4, channels=40, repeats=2, stride=2, kernel=5),
    Stage(expand=4, channels=64, repeats=2, stride=1, kernel=3),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileConfig:
    """The variant that aims at ``size`` times the base's MACs."""

    size: float

    def __post_init__(self) -> None:
        real_knob("size of a mobile network", self.size, low=1 / 64, high=64.0)

    @property
    def scale(self) -> Scale:
        """Depth, width and resolution multipliers."""
        return compound(math.log2(self.size))


class SqueezeExcite(nn.Module):
    """Channel gates from the image's mean (arXiv 1709.01507, equations 2 to 4)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``[example, channel, height, width]``, each channel multiplied by its gate in (0, 1)."""
        squeezed = F.silu(self.reduce(images.mean(dim=(2, 3), keepdim=True)))
        return images * torch.sigmoid(self.expand(squeezed))


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class InvertedResidual(nn.Module):
    """Expand (1x1), filter (depthwise), gate, project (1x1); identity shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inside = inputs * stage.expand
        self.expand = _conv(inputs, inside, 1) if stage.expand != 1 else None
        self.filter = _conv(inside, inside, stage.kernel, stride=stride, groups=inside)
        self.gate = SqueezeExcite(inside, max(1, inputs // SQUEEZE))
        self.project = _conv(inside, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels and stride."""
        inside = images if self.expand is None else F.silu(self.expand(images))
        outside = self.project(self.gate(F.silu(self.filter(inside))))
        return images + outside if self.residual else outside


class Mobile(nn.Module):
    """Stem, stages of inverted residuals, 1x1 head, global average, linear layer."""

    def __init__(self, scale: Scale, in_channels: int, num_classes: int) -> None:
        super().__init__()

        def wide(channels: int) -> int:
            return round_channels(channels * scale.width, CHANNEL_STEP)

        inputs = wide(STEM_CHANNELS)
        self.stem = _conv(in_channels, inputs, 3)
        blocks: list[nn.Module] = []
        for stage in STAGES:
            outputs = wide(stage.channels)
            for index in range(round_repeats(stage.repeats * scale.depth)):
                blocks.append(InvertedResidual(inputs, outputs, stage, stage.stride if index == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.features = _conv(inputs, wide(HEAD_CHANNELS), 1)
        self.head = nn.Linear(wide(HEAD_CHANNELS), num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # Fan-out over the group: with plain fan_out a depthwise filter would start near zero.
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels / module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        features = F.silu(self.features(self.blocks(F.silu(self.stem(images)))))
        return self.head(features.mean(dim=(2, 3)))


def _parse(text: str) -> MobileConfig | None:
    match = _NAME.fullmatch(text)
    return match and MobileConfig(size=float(match["size"]))


def _build(config: MobileConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return Mobile(config.scale, in_channels, num_classes)


def _default_resolution(config: MobileConfig, native: int) -> int:
    return round_resolution(native * config.scale.resolution, RESOLUTION_STEP, LEAST_RESOLUTION)


FAMILY = Family(
    name="mobile",
    summary="inverted residuals with squeeze-excite for small images, compound scaling (arXiv 1905.11946)",
    example="mobile-x0.5",
    pattern_help="mobile-xSIZE",
    knobs={"size": "aimed MACs over those of mobile-x1, 1/64 to 64"},
    parse=_parse,
    configure=MobileConfig,
    build=_build,
    format=lambda config: f"mobile-x{shortest(config.size)}",
    default_resolution=_default_resolution,
)
