"""RevCol: reversible columns, each a small four-level network that sees the one before (arXiv 2212.11696).

Level l of a column adds to alpha times the same level of the column before what its ConvNeXt blocks make of
the level below and, of the column before, the level above. Columns are the scaling
knob. The map from column to column can be inverted, so that training may recompute what it did not keep; here
gradients are plain autograd's, which gives the same ones and keeps the activations. The classifier reads the
last column; the supervision of earlier columns, which training may add, is not part of it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

_SOURCE = "megvii-research/RevCol, README.md (main results) and models/revcol.py"
_EPSILON = 1e-6
_LEVELS = 4
STRIDE = 32
"""Pixels of the image for one of the last level, a side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevColConfig:
    """One RevCol; the defaults are RevCol-T."""

    columns: int = 4
    channels: tuple[int, ...] = (64, 128, 256, 512)
    """Of the four levels."""
    layers: tuple[int, ...] = (2, 2, 4, 2)
    """ConvNeXt blocks of the four levels."""
    kernel: int = 3
    """Side of the depthwise convolutions."""
    drop_path: float = 0.1
    """Share of examples for which training drops a column's last block; smaller before."""

    def __post_init__(self) -> None:
        integer_knob("columns of a RevCol", self.columns, low=1, high=128)
        for what, values, most in (("channels", self.channels, 16_384), ("layers", self.layers, 256)):
            if len(values) != _LEVELS:
                raise ZooError(f"{what} of a RevCol are {_LEVELS} numbers, one a level; got {values}")
            for value in values:
                integer_knob(f"{what} of a RevCol level", value, low=1, high=most)
        if integer_knob("kernel of a RevCol", self.kernel, low=1, high=31) % 2 == 0:
            raise ZooError(f"kernel of a RevCol must be odd, got {self.kernel}")
        real_knob("drop_path of a RevCol", self.drop_path, low=0.0, high=0.95)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel of ``[example, channel, height, width]``."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise every pixel's channels."""
        return super().forward(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """ConvNeXt block (arXiv 2201.03545): depthwise convolution, norm, two linear layers, layer scale."""

    def __init__(self, channels: int, kernel: int, drop: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.widen = nn.Linear(channels, 4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 1e-6))
        self.drop = drop

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same shape."""
        pixels = self.norm(self.depthwise(images).permute(0, 2, 3, 1))
        made = (self.scale * self.narrow(F.gelu(self.widen(pixels)))).permute(0, 3, 1, 2)
        if self.training and self.drop:
            kept = torch.rand(len(images), 1, 1, 1, device=images.device) >= self.drop
            made = made * kept / (1.0 - self.drop)
        return images + made


class Level(nn.Module):
    """One level of a column: what comes from below and, of the column before, from above; then blocks."""

    def __init__(self, config: RevColConfig, level: int, *, first: bool) -> None:
        super().__init__()
        channels = config.channels
        self.down = None
        if level > 0:
            self.down = nn.Sequential(
                nn.Conv2d(channels[level - 1], channels[level], 2, stride=2),
                ChannelNorm(channels[level], eps=_EPSILON),
            )
        self.up = None
        if not first and level < _LEVELS - 1:
            self.up = nn.Sequential(
                nn.Conv2d(channels[level + 1], channels[level], 1),
                ChannelNorm(channels[level], eps=_EPSILON),
            )
        depth, before = sum(config.layers), sum(config.layers[:level])
        rates = [config.drop_path * (before + i) / max(1, depth - 1) for i in range(config.layers[level])]
        self.blocks = nn.Sequential(*(Block(channels[level], config.kernel, rate) for rate in rates))
        # The first column has nothing before it.
        self.alpha = None if first else nn.Parameter(torch.full((1, channels[level], 1, 1), 0.5))

    def forward(
        self, below: torch.Tensor, above: torch.Tensor | None, before: torch.Tensor | None
    ) -> torch.Tensor:
        """Return this level's features, all ``[example, channel, height, width]``.

        Args:
            below: the level below of this column, the stem for the lowest.
            above: the level above of the column before; None in the first column and at the top.
            before: this level of the column before; None in the first column.
        """
        features = below if self.down is None else self.down(below)
        if self.up is not None and above is not None:
            features = features + F.interpolate(self.up(above), scale_factor=2.0, mode="nearest")
        made = self.blocks(features)
        return made if self.alpha is None or before is None else self.alpha * before + made


class RevCol(nn.Module):
    """Stem, columns of four levels, global average, norm, linear layer."""

    def __init__(self, config: RevColConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        stem, last = config.channels[0], config.channels[-1]
        self.stem = nn.Sequential(nn.Conv2d(in_channels, stem, 4, stride=4), ChannelNorm(stem, eps=_EPSILON))
        self.columns = nn.ModuleList(
            nn.ModuleList(Level(config, level, first=column == 0) for level in range(_LEVELS))
            for column in range(config.columns)
        )
        self.norm = nn.LayerNorm(last, eps=_EPSILON)
        self.head = nn.Linear(last, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        stem = self.stem(images)
        before: list[torch.Tensor | None] = [None] * _LEVELS
        features = stem
        for column in self.columns:
            features, made = stem, []
            for level, module in enumerate(_levels(column)):
                above = before[level + 1] if level + 1 < _LEVELS else None
                features = module(features, above, before[level])
                made.append(features)
            before = [*made]
        return self.head(self.norm(features.mean(dim=(2, 3))))


def _levels(column: nn.Module) -> list[nn.Module]:
    return list(column.children())


def _build(config: RevColConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    if resolution is not None and resolution % STRIDE:
        raise ZooError(
            f"{NAMES.format(config)} needs a multiple of {STRIDE} pixels a side, so that its levels meet; "
            f"got {resolution}"
        )
    return RevCol(config, in_channels, num_classes)


VARIANTS: dict[str, RevColConfig] = {
    "revcol-tiny": RevColConfig(),
    "revcol-small": RevColConfig(columns=8, drop_path=0.3),
    "revcol-base": RevColConfig(columns=16, channels=(72, 144, 288, 576), layers=(1, 1, 3, 2), drop_path=0.4),
    "revcol-large": RevColConfig(
        columns=8, channels=(128, 256, 512, 1024), layers=(1, 2, 6, 2), drop_path=0.5
    ),
    "revcol-xlarge": RevColConfig(
        columns=8, channels=(224, 448, 896, 1792), layers=(1, 2, 6, 2), drop_path=0.5
    ),
}


def _row(
    model: str, resolution: int, parameters: float, macs: float, macs_rounding: float, top1: float
) -> Published:
    large = model in ("revcol-large", "revcol-base") and top1 > 0.85
    return Published(
        model=model,
        resolution=resolution,
        source=_SOURCE,
        parameters=parameters * 1e6,
        parameters_rounding=5e5,
        macs=macs * 1e9,
        macs_rounding=macs_rounding,
        top1=top1,
        note="the source's FLOPs are multiply-adds" + ("; pre-trained on ImageNet-22K" if large else ""),
    )


PUBLISHED: tuple[Published, ...] = (
    _row("revcol-tiny", 224, 30, 4.5, 5e7, 0.822),
    _row("revcol-small", 224, 60, 9.0, 5e7, 0.835),
    _row("revcol-base", 224, 138, 16.6, 5e7, 0.841),
    _row("revcol-base", 384, 138, 48.9, 5e7, 0.867),
    _row("revcol-large", 224, 273, 39.0, 5e8, 0.866),
    _row("revcol-large", 384, 273, 116.0, 5e8, 0.876),
)

NAMES = Names(prefix="revcol", config_class=RevColConfig, variants=VARIANTS)

FAMILY = Family(
    name="revcol",
    summary="reversible columns of ConvNeXt blocks, scaled by their number (arXiv 2212.11696)",
    example="revcol-tiny",
    pattern_help="revcol-tiny, -small, -base, -large, -xlarge, or revcol-KNOBVALUE...",
    knobs={
        "columns": "number of columns, 1 to 128",
        "channels": "channels of the four levels, joined by +",
        "layers": "ConvNeXt blocks of the four levels, joined by +",
        "kernel": "side of the depthwise convolutions, odd, 1 to 31",
        "drop_path": "share of examples that training drops of a column's last block, 0 to 0.95",
    },
    parse=NAMES.parse,
    configure=RevColConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: 224,
    near=NAMES.near,
    systems=("revcol",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
