"""MobileDets' backbones as classifiers: searched with regular convolutions beside depthwise ones.

Three blocks (arXiv 2004.14525): inverted residuals, fused ones whose expansion is a full convolution,
and Tucker blocks (1x1, full convolution, 1x1, each on compressed channels). The four backbones are those of
tensorflow/models, official/vision/modeling/backbones/mobiledet.py; the paper puts detectors on them, so
the head here, global average and one linear layer, is the plainest one and nobody's publication.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from zoo.families._mobile_blocks import BlockPlan, InvertedResidual, MobileClassifier, conv_norm
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.registry import IMAGENET_CLASSES, Family, ZooError
from zoo.scaling import round_channels

SQUEEZE = 0.25
"""Channels inside the gates over channels inside the block."""
CHANNEL_STEP = 8
SIDE = 224


class Row(NamedTuple):
    """One block."""

    kind: str
    """``depthwise``, ``fused`` or ``tucker``."""
    kernel: int
    stride: int
    channels: int
    ratio: float
    """Of inverted residuals: channels inside over those at the input; of Tucker: the input's compression."""
    shortcut: bool = True
    output_ratio: float = 0.0
    """Of Tucker: compression of the output."""


class Backbone(NamedTuple):
    """One searched network."""

    stem: int
    activation: str
    gated: bool
    rows: tuple[Row, ...]


def _depthwise(kernel: int, stride: int, channels: int, ratio: float, shortcut: bool = True) -> Row:
    return Row("depthwise", kernel, stride, channels, ratio, shortcut)


def _fused(kernel: int, stride: int, channels: int, ratio: float, shortcut: bool = True) -> Row:
    return Row("fused", kernel, stride, channels, ratio, shortcut)


def _tucker(channels: int, ratio: float, output_ratio: float, shortcut: bool = True) -> Row:
    return Row("tucker", 3, 1, channels, ratio, shortcut, output_ratio)


BACKBONES: Mapping[str, Backbone] = {
    "cpu": Backbone(
        16,
        "hard_swish",
        True,
        (
            _depthwise(3, 1, 8, 1, False),
            _depthwise(3, 2, 16, 4, False),
            _depthwise(3, 2, 32, 8, False),
            *(_depthwise(3, 1, 32, 4),) * 3,
            _depthwise(5, 2, 72, 8, False),
            _depthwise(3, 1, 72, 8),
            _depthwise(5, 1, 72, 4),
            _depthwise(3, 1, 72, 4),
            _depthwise(3, 1, 72, 8, False),
            *(_depthwise(3, 1, 72, 8),) * 3,
            _depthwise(5, 2, 104, 8, False),
            *(_depthwise(5, 1, 104, 4),) * 2,
            _depthwise(3, 1, 104, 4),
            _depthwise(3, 1, 144, 8, False),
        ),
    ),
    "dsp": Backbone(
        32,
        "relu6",
        False,
        (
            _depthwise(3, 1, 24, 1, False),
            _fused(3, 2, 32, 4, False),
            _fused(3, 1, 32, 4),
            _depthwise(3, 1, 32, 4),
            _tucker(32, 0.25, 0.75),
            _fused(3, 2, 64, 8, False),
            _depthwise(3, 1, 64, 4),
            *(_fused(3, 1, 64, 4),) * 2,
            _fused(3, 2, 120, 8, False),
            _depthwise(3, 1, 120, 4),
            *(_depthwise(3, 1, 120, 8),) * 2,
            _fused(3, 1, 144, 8, False),
            *(_depthwise(3, 1, 144, 8),) * 3,
            _depthwise(3, 2, 160, 4, False),
            _depthwise(3, 1, 160, 4),
            _fused(3, 1, 160, 4, False),
            _tucker(160, 0.75, 0.75),
            _depthwise(3, 1, 240, 8, False),
        ),
    ),
    "edgetpu": Backbone(
        32,
        "relu6",
        False,
        (
            _tucker(16, 0.25, 0.75, False),
            _fused(3, 2, 16, 8, False),
            _fused(3, 1, 16, 4),
            _fused(3, 1, 16, 8),
            _fused(3, 1, 16, 4),
            _fused(5, 2, 40, 8, False),
            *(_fused(3, 1, 40, 4),) * 3,
            _depthwise(3, 2, 72, 8, False),
            _depthwise(3, 1, 72, 8),
            *(_fused(3, 1, 72, 4),) * 2,
            _depthwise(5, 1, 96, 8, False),
            _depthwise(5, 1, 96, 8),
            *(_depthwise(3, 1, 96, 8),) * 2,
            _depthwise(5, 2, 120, 8, False),
            _depthwise(3, 1, 120, 8),
            _depthwise(5, 1, 120, 4),
            _depthwise(3, 1, 120, 8),
            _depthwise(5, 1, 384, 8, False),
        ),
    ),
    "gpu": Backbone(
        32,
        "relu6",
        False,
        (
            _tucker(16, 0.25, 0.25, False),
            _fused(3, 2, 32, 8, False),
            *(_tucker(32, 0.25, 0.25),) * 3,
            _fused(3, 2, 64, 8, False),
            *(_fused(3, 1, 64, 8),) * 2,
            _fused(3, 1, 64, 4),
            _fused(3, 2, 128, 8, False),
            *(_fused(3, 1, 128, 4),) * 3,
            _fused(3, 1, 128, 8, False),
            *(_fused(3, 1, 128, 8),) * 3,
            _fused(3, 2, 128, 4, False),
            *(_fused(3, 1, 128, 4),) * 3,
            _depthwise(3, 1, 384, 8, False),
        ),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileDetsConfig:
    """A searched backbone and its multipliers."""

    architecture: str = "cpu"
    width: float = 1.0
    """Multiplier of all channels, rounded to multiples of 8."""
    pixels: int = SIDE
    """Pixels a side it is made for."""

    def __post_init__(self) -> None:
        if self.architecture not in BACKBONES:
            raise ZooError(
                f"architecture of MobileDets must be one of {', '.join(BACKBONES)}, got {self.architecture!r}"
            )
        real_knob("width of MobileDets", self.width, low=0.1, high=10.0)
        integer_knob("pixels of MobileDets", self.pixels, low=1, high=8192)


def _round(channels: float) -> int:
    return round_channels(channels, CHANNEL_STEP, least_share=0.0)


class Tucker(nn.Module):
    """Compress (1x1), full convolution, expand (1x1); the input is added where shapes allow."""

    def __init__(self, inputs: int, outputs: int, row: Row, activation: str) -> None:
        super().__init__()
        first, second = _round(inputs * row.ratio), _round(outputs * row.output_ratio)
        self.layers = nn.Sequential(
            conv_norm(inputs, first, activation=activation),
            conv_norm(first, second, row.kernel, stride=row.stride, activation=activation),
            conv_norm(second, outputs),
        )
        self.residual = row.shortcut and row.stride == 1 and inputs == outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels and stride."""
        outside = self.layers(images)
        return images + outside if self.residual else outside


def _block(inputs: int, outputs: int, row: Row, backbone: Backbone) -> nn.Module:
    if row.kind == "tucker":
        return Tucker(inputs, outputs, row, backbone.activation)
    inside = _round(inputs * row.ratio) if row.ratio > 1 else inputs
    return InvertedResidual(
        BlockPlan(
            inputs=inputs,
            outputs=outputs,
            parts=((row.kernel, inside),),
            stride=row.stride,
            expands=row.ratio > 1,
            fused=row.kind == "fused",
            squeezed=_round(max(1, int(inside * SQUEEZE))) if backbone.gated else 0,
            activation=backbone.activation,
            shortcut=row.shortcut,
        )
    )


def _build(config: MobileDetsConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    backbone = BACKBONES[config.architecture]
    inputs = _round(backbone.stem * config.width)
    features: list[nn.Module] = [conv_norm(in_channels, inputs, 3, stride=2, activation=backbone.activation)]
    for row in backbone.rows:
        outputs = _round(row.channels * config.width)
        features.append(_block(inputs, outputs, row, backbone))
        inputs = outputs
    return MobileClassifier(features, inputs, num_classes)


VARIANTS = {f"mobiledet-{name}": MobileDetsConfig(architecture=name) for name in BACKBONES}

NAMES = Names(prefix="mobiledet", config_class=MobileDetsConfig, variants=VARIANTS)

FAMILY = Family(
    name="mobiledets",
    summary="backbones searched for mobile detectors, as classifiers (arXiv 2004.14525)",
    example="mobiledet-cpu",
    pattern_help="mobiledet-cpu, -dsp, -edgetpu, -gpu, or mobiledet-architecture_NAME-widthW-pixelsP",
    knobs={
        "architecture": f"the accelerator it was searched for: {', '.join(BACKBONES)}",
        "width": "multiplier of the channels, 0.1 to 10",
        "pixels": "pixels a side it is made for, 1 to 8192",
    },
    parse=NAMES.parse,
    configure=MobileDetsConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: config.pixels,
    near=NAMES.near,
    systems=("mobiledets",),
    variants=VARIANTS,
    classes=IMAGENET_CLASSES,
)
