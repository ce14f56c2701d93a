"""LambdaResNet: bottlenecks whose middle layer turns the context into linear functions (arXiv 2102.08602).

A lambda layer summarises keys and values of all pixels into one small matrix, adds one per pixel from its
neighbourhood, and applies both to the queries: no attention map, and costs linear in the pixels. The
ablations replace every 3x3 convolution of a ResNet-50; the larger networks are hybrids. Which stages of those
hold lambda layers is inferred here: c4 and c5, with gates of a quarter of the channels in c2 and c3 and the
deep stem, is what gives the published parameters of 152 and 200.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from zoo.families.botnet_trunk import STAGE_CHANNELS, HybridResNet, Stage, Trunk, check_side
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

DEPTHS: Mapping[int, tuple[int, ...]] = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    270: (4, 29, 53, 4),
    350: (4, 36, 72, 4),
    420: (4, 44, 87, 4),
}
"""Layers -> blocks of each stage; those beyond 101 as public reimplementations of the paper have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaResNetConfig:
    """A ResNet by its depth, and its lambda layers."""

    depths: tuple[int, ...] = DEPTHS[50]
    """Blocks of each of the four stages."""
    lambdas: tuple[int, ...] = (1, 1, 1, 1)
    """For each stage, whether its blocks hold lambda layers (1) or convolutions (0)."""
    keys: int = 16
    """Channels of queries and keys: k."""
    heads: int = 4
    """Queries that share one lambda: h."""
    intra: int = 1
    """Intra-depth: u keys and values each."""
    scope: int = 23
    """Side of the neighbourhood in pixels, odd: r."""
    gates: float = 0.0
    """Channels inside the gates of blocks that convolve over those at their output; 0 for no gates."""
    deep_stem: bool = False
    """Three 3x3 convolutions and pooled shortcuts (ResNet-D) instead of one 7x7."""
    pixels: int = 224
    """Pixels a side it is made for, when nobody says."""

    def __post_init__(self) -> None:
        for what, values in (("depths", self.depths), ("lambdas", self.lambdas)):
            if len(values) != len(STAGE_CHANNELS):
                raise ZooError(f"{what} of LambdaResNet must be {len(STAGE_CHANNELS)} numbers, got {values}")
        for blocks in self.depths:
            integer_knob("blocks of a stage of LambdaResNet", blocks, low=1, high=200)
        for holds in self.lambdas:
            integer_knob("lambdas of a stage of LambdaResNet", holds, low=0, high=1)
        integer_knob("keys of LambdaResNet", self.keys, low=1, high=256)
        integer_knob("heads of LambdaResNet", self.heads, low=1, high=64)
        integer_knob("intra-depth of LambdaResNet", self.intra, low=1, high=64)
        integer_knob("scope of LambdaResNet", self.scope, low=1, high=127)
        if self.scope % 2 == 0:
            raise ZooError(f"scope of LambdaResNet must be odd, got {self.scope}")
        widths = [c for c, holds in zip(STAGE_CHANNELS, self.lambdas, strict=True) if holds]
        if any(channels % self.heads for channels in widths):
            raise ZooError(
                f"heads of LambdaResNet must divide {', '.join(map(str, widths))}, got {self.heads}"
            )
        real_knob("gates of LambdaResNet", self.gates, low=0.0, high=1.0)
        check_side("LambdaResNet", integer_knob("pixels of LambdaResNet", self.pixels, low=1, high=4096))


class LambdaLayer(nn.Module):
    """Multi-query lambda convolution (arXiv 2102.08602)."""

    def __init__(self, channels: int, *, keys: int, heads: int, intra: int, scope: int) -> None:
        super().__init__()
        self.keys, self.heads, self.intra, self.values = keys, heads, intra, channels // heads
        self.to_queries = nn.Conv2d(channels, keys * heads, 1, bias=False)
        self.to_keys = nn.Conv2d(channels, keys * intra, 1, bias=False)
        self.to_values = nn.Conv2d(channels, self.values * intra, 1, bias=False)
        self.norm_queries = nn.BatchNorm2d(keys * heads)
        self.norm_values = nn.BatchNorm2d(self.values * intra)
        self.position = nn.Conv3d(intra, keys, (1, scope, scope), padding=(0, scope // 2, scope // 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``[example, channel, height, width]``: each pixel's queries through its lambda."""
        height, width = images.shape[2:]
        pixels = height * width
        queries = self.norm_queries(self.to_queries(images))
        queries = queries.reshape(-1, self.heads, self.keys, pixels)
        keys = self.to_keys(images).reshape(-1, self.intra, self.keys, pixels).softmax(dim=-1)
        values = self.norm_values(self.to_values(images))
        values = values.reshape(-1, self.intra, self.values, pixels)
        content = torch.einsum("nukm,nuvm->nkv", keys, values)
        near = self.position(values.reshape(-1, self.intra, self.values, height, width))
        near = near.reshape(-1, self.keys, self.values, pixels)
        answers = torch.einsum("nhkm,nkv->nhvm", queries, content)
        answers = answers + torch.einsum("nhkm,nkvm->nhvm", queries, near)
        return answers.reshape(-1, self.heads * self.values, height, width)


def _build(
    config: LambdaResNetConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    side = check_side("LambdaResNet", config.pixels if resolution is None else resolution)

    def mixer(channels: int, stride: int, side: int) -> nn.Module:
        layer = LambdaLayer(
            channels, keys=config.keys, heads=config.heads, intra=config.intra, scope=config.scope
        )
        return layer if stride == 1 else nn.Sequential(layer, nn.AvgPool2d(3, 2, 1))

    stages = [
        Stage(
            blocks=blocks,
            channels=channels,
            stride=1 if index == 0 else 2,
            mixer=mixer if holds else None,
            gate_share=config.gates,
        )
        for index, (blocks, channels, holds) in enumerate(
            zip(config.depths, STAGE_CHANNELS, config.lambdas, strict=True)
        )
    ]
    trunk = Trunk(stages=tuple(stages), deep_stem=config.deep_stem, pooled_shortcut=config.deep_stem)
    return HybridResNet(trunk, in_channels, num_classes, side)


def _hybrid(layers: int, resolution: int) -> LambdaResNetConfig:
    return LambdaResNetConfig(
        depths=DEPTHS[layers], lambdas=(0, 0, 1, 1), gates=0.25, deep_stem=True, pixels=resolution
    )


VARIANTS = {
    "lambdaresnet-50": LambdaResNetConfig(),
    "lambdaresnet-101": LambdaResNetConfig(depths=DEPTHS[101]),
    "lambdaresnet-152": _hybrid(152, 224),
    "lambdaresnet-200": _hybrid(200, 224),
    "lambdaresnet-270": _hybrid(270, 224),
    "lambdaresnet-350": _hybrid(350, 224),
    "lambdaresnet-420": _hybrid(420, 320),
}

_CITED = "leaderj1001/LambdaNetworks, README (which cites arXiv 2102.08602)"
_REIMPLEMENTED = (
    "not reached by that repository's own implementation either, whose count agrees with this one"
)


def _ablation(keys: int, heads: int, intra: int, parameters: float, departs: str = "") -> Published:
    """Return one row of the ablation of k, h and u; with an intra-depth the scope is 7, else 23."""
    name = NAMES.format(
        LambdaResNetConfig(keys=keys, heads=heads, intra=intra, scope=23 if intra == 1 else 7)
    )
    return Published(
        model=name,
        resolution=224,
        source=_CITED,
        parameters=parameters * 1e6,
        parameters_rounding=5e4,
        departs=departs,
    )


NAMES = Names(prefix="lambdaresnet", config_class=LambdaResNetConfig, variants=VARIANTS)

PUBLISHED = (
    _ablation(2, 4, 1, 14.7),
    _ablation(4, 4, 1, 14.7),
    _ablation(8, 4, 1, 14.8),
    _ablation(16, 4, 1, 15.0),
    _ablation(32, 4, 1, 15.4),
    _ablation(8, 2, 1, 14.8, _REIMPLEMENTED),
    _ablation(2, 8, 1, 14.7, _REIMPLEMENTED),
    _ablation(4, 8, 1, 14.7),
    _ablation(8, 8, 1, 14.7),
    _ablation(16, 8, 1, 15.1),
    _ablation(32, 8, 1, 15.7),
    _ablation(8, 16, 1, 15.6, _REIMPLEMENTED),
    _ablation(8, 8, 4, 15.3),
    _ablation(8, 8, 8, 16.0),
    _ablation(16, 4, 4, 16.0),
    Published(
        model="lambdaresnet-50",
        resolution=224,
        source="d-li14/lambda.pytorch, README",
        parameters=14.995e6,
        parameters_rounding=500,
        macs=6.576e9,
        macs_rounding=5e5,
        top1=0.78208,
    ),
    Published(
        model="lambdaresnet-152", resolution=224, source=_CITED, parameters=35e6, parameters_rounding=5e5
    ),
    Published(
        model="lambdaresnet-200", resolution=224, source=_CITED, parameters=42e6, parameters_rounding=5e5
    ),
    Published(
        model="lambdaresnet-420", resolution=320, source="arXiv 2106.04803, ImageNet table", top1=0.848
    ),
)

FAMILY = Family(
    name="lambda_resnet",
    summary="ResNet with lambda layers in place of 3x3 convolutions (arXiv 2102.08602)",
    example="lambdaresnet-50",
    pattern_help="lambdaresnet-LAYERS, or lambdaresnet-depthsA+B+C+D and further knobs",
    knobs={
        "depths": "blocks of each of the four stages",
        "lambdas": "for each stage, 1 for lambda layers and 0 for convolutions",
        "keys": "channels of queries and keys, 1 to 256",
        "heads": "queries that share one lambda, a divisor of the stages' channels",
        "intra": "intra-depth: keys and values each, 1 to 64",
        "scope": "side of the neighbourhood in pixels, odd, 1 to 127",
        "gates": "channels inside the gates of convolving blocks over those at their output, 0 to 1",
        "deep_stem": "whether three 3x3 convolutions and pooled shortcuts take the place of one 7x7",
        "pixels": "pixels a side it is made for when nobody says, from 32",
    },
    parse=NAMES.parse,
    configure=LambdaResNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: cast(LambdaResNetConfig, config).pixels,
    near=NAMES.near,
    systems=("lambdanetworks",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
