"""BoTNet: a ResNet whose last stage attends globally instead of convolving (arXiv 2101.11605).

The middle layer of the last stage's bottlenecks is multi-head self-attention with relative position codes
(timm's `BottleneckAttn`, which follows the authors' code). BoTNet-50 is a ResNet-50 with that change alone;
T3 to T7 (section 4.8.4) keep the last stage's stride at 1, have more blocks there, gates
on the other blocks and SiLU. Attention's positions are made for one image size: build for the size you use.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from zoo.families.botnet_trunk import STAGE_CHANNELS, HybridResNet, Stage, Trunk, check_side
from zoo.families.timm_bridge import declare_torchvision_ops
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU}
LAST = 3
"""Index of the last stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoTNetConfig:
    """A ResNet by its blocks, and how its last stage attends."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each of the four stages."""
    attention: int = 3
    """Blocks of the last stage that attend, from its end; 0 is a plain ResNet."""
    heads: int = 4
    last_stride: int = 2
    """Stride of the last stage: 2, or 1 (the paper's BoTNet-S1)."""
    gates: float = 0.0
    """Channels inside the gates of blocks that convolve over those at their output; 0 for no gates."""
    activation: str = "relu"
    pixels: int = 224
    """Pixels a side it is made for, when nobody says."""

    def __post_init__(self) -> None:
        if len(self.depths) != len(STAGE_CHANNELS):
            raise ZooError(f"depths of BoTNet must be {len(STAGE_CHANNELS)} numbers, got {self.depths}")
        for blocks in self.depths:
            integer_knob("blocks of a stage of BoTNet", blocks, low=1, high=200)
        integer_knob("attention blocks of BoTNet", self.attention, low=0, high=self.depths[LAST])
        integer_knob("heads of BoTNet", self.heads, low=1, high=STAGE_CHANNELS[LAST])
        if STAGE_CHANNELS[LAST] % self.heads:
            raise ZooError(f"heads of BoTNet must divide {STAGE_CHANNELS[LAST]}, got {self.heads}")
        integer_knob("stride of BoTNet's last stage", self.last_stride, low=1, high=2)
        real_knob("gates of BoTNet", self.gates, low=0.0, high=1.0)
        if self.activation not in ACTIVATIONS:
            raise ZooError(
                f"activation of BoTNet must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )
        check_side("BoTNet", integer_knob("pixels of BoTNet", self.pixels, low=1, high=4096))


class Attention(nn.Module):
    """Global self-attention; with stride 2 the answers are averaged over 2x2 pixels."""

    def __init__(self, channels: int, stride: int, side: int, heads: int) -> None:
        super().__init__()
        declare_torchvision_ops()
        from timm.layers.bottleneck_attn import BottleneckAttn

        self.side = side
        self.attend = BottleneckAttn(channels, feat_size=(side, side), num_heads=heads)
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True) if stride == 2 else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same channels over stride.

        Raises:
            ZooError: the images are not of the size the positions were made for.
        """
        if tuple(images.shape[2:]) != (self.side, self.side):
            size = "x".join(str(int(side)) for side in images.shape[2:])
            raise ZooError(f"BoTNet's attention was built for {self.side}x{self.side} features, got {size}")
        return self.pool(self.attend(images))


def _build(config: BoTNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    side = check_side("BoTNet", config.pixels if resolution is None else resolution)

    def mixer(channels: int, stride: int, side: int) -> nn.Module:
        return Attention(channels, stride, side, config.heads)

    strides = (1, 2, 2, config.last_stride)
    stages = [
        Stage(
            blocks=blocks,
            channels=channels,
            stride=stride,
            mixer=mixer if index == LAST and config.attention else None,
            mixes_from=blocks - config.attention,
            gate_share=config.gates,
        )
        for index, (blocks, channels, stride) in enumerate(
            zip(config.depths, STAGE_CHANNELS, strides, strict=True)
        )
    ]
    trunk = Trunk(stages=tuple(stages), activation=ACTIVATIONS[config.activation])
    return HybridResNet(trunk, in_channels, num_classes, side)


def _scaled(resolution: int, *depths: int) -> BoTNetConfig:
    return BoTNetConfig(
        depths=depths,
        attention=depths[LAST],
        last_stride=1,
        gates=1 / 16,
        activation="silu",
        pixels=resolution,
    )


VARIANTS = {
    "botnet-50": BoTNetConfig(),
    "botnet-s1-50": BoTNetConfig(last_stride=1),
    "botnet-t3": _scaled(224, 3, 4, 6, 6),
    "botnet-t4": _scaled(224, 3, 4, 23, 6),
    "botnet-t5": _scaled(256, 3, 4, 23, 12),
    "botnet-t6": _scaled(320, 3, 4, 6, 12),
    "botnet-t7": _scaled(384, 3, 4, 23, 12),
}

_SCRIPT = (
    "the authors' counting script adds gates to attention blocks, which have none (section 4.8.4): "
    "2 x 2048 x 128 parameters each"
)


def _row(
    name: str,
    resolution: int,
    parameters: float,
    source: str,
    macs: float | None = None,
    top1: float | None = None,
) -> Published:
    return Published(
        model=f"botnet-{name}",
        resolution=resolution,
        source=f"arXiv 2101.11605, section 4.8.4, as cited by {source}",
        parameters=parameters,
        parameters_rounding=5e4,
        macs=macs,
        macs_rounding=5e7,
        top1=top1,
        departs=_SCRIPT,
    )


PUBLISHED = (
    _row("t3", 224, 33.5e6, "arXiv 2104.13840, ImageNet table", macs=7.3e9, top1=0.817),
    _row("t4", 224, 54.7e6, "arXiv 2104.13840, ImageNet table", macs=10.9e9),
    _row("t5", 256, 75.1e6, "bottleneck-transformer-flax, README"),
    _row("t6", 320, 53.9e6, "bottleneck-transformer-flax, README"),
    _row("t7", 384, 75.1e6, "arXiv 2106.04803, ImageNet table", macs=45.8e9, top1=0.847),
)

NAMES = Names(prefix="botnet", config_class=BoTNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="botnet",
    summary="ResNet whose last stage attends globally: BoTNet-50, T3 to T7 (arXiv 2101.11605)",
    example="botnet-t3",
    pattern_help="botnet-50, botnet-t3 to botnet-t7, or botnet-depthsA+B+C+D and further knobs",
    knobs={
        "depths": "blocks of each of the four stages",
        "attention": "blocks of the last stage that attend, from its end",
        "heads": "attention heads, a divisor of 512",
        "last_stride": "stride of the last stage, 1 or 2",
        "gates": "channels inside the gates of convolving blocks over those at their output, 0 to 1",
        "activation": "relu or silu",
        "pixels": "pixels a side it is made for when nobody says, from 32",
    },
    parse=NAMES.parse,
    configure=BoTNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: cast(BoTNetConfig, config).pixels,
    near=NAMES.near,
    systems=("botnet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
