"""Mobile hybrids of ElasticViT (arXiv 2303.09730): two stages of inverted bottlenecks, four of attention.

Resolution, depths and widths are searched, of each stage its expansion (and kernel, or width of the values).
Widths never shrink from stage to stage. Heads have 16 features; values are 2 to 4 times as wide.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.published import Published
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

RESOLUTIONS = (128, 160, 176, 192, 224, 256)
WIDTHS = (
    (16, 24),
    tuple(range(16, 33, 8)), tuple(range(16, 49, 8)),
    tuple(range(48, 97, 16)), tuple(range(80, 161, 16)),
    tuple(range(144, 289, 16)), tuple(range(160, 321, 16)),
)  # fmt: skip
"""Of the stem, two stages of convolutions, four of attention."""
DEPTHS = ((1, 2), (2, 3, 4, 5), (2, 3, 4, 5, 6), (1, 2, 3, 4, 5), *((1, 2, 3, 4, 5, 6),) * 3)
_STRIDES = (1, 2, 2, 2, 1, 2, 2)
_CONVOLVED = 3
"""Stem and two stages."""
_HEAD_FEATURES, _BRIDGE_RATIO, _HEAD_RATIO, _LAST = 16, 6, 6, 1984


class Bottleneck(nn.Module):
    """Inverted bottleneck with a shortcut that pools and projects where the shape changes."""

    def __init__(self, inputs: int, outputs: int, ratio: int, kernel: int, stride: int, gated: bool) -> None:
        super().__init__()
        inner = inputs * ratio
        widen = [nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.Hardswish()]
        self.main = nn.Sequential(
            *(widen if ratio > 1 else []),
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            nn.BatchNorm2d(inner), nn.Hardswish(),
        )  # fmt: skip
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inner, inner // 4, 1), nn.ReLU(),
            nn.Conv2d(inner // 4, inner, 1), nn.Hardsigmoid(),
        ) if gated else None  # fmt: skip
        self.narrow = nn.Sequential(nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.stride = stride
        changes = inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if changes else nn.Identity()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the outputs' channels over the stride."""
        inner = self.main(features)
        if self.gate is not None:
            inner = inner * self.gate(inner)
        if self.stride == 2:
            features = F.avg_pool2d(features, 2, padding=features.shape[-1] % 2)
        return self.narrow(inner) + self.shortcut(features)


class Attention(nn.Module):
    """Attention of all pixels, a depthwise convolution on the values, a learnt bias by distance."""

    def __init__(self, channels: int, value_ratio: int, side: int) -> None:
        super().__init__()
        self.heads, self.value_features = channels // _HEAD_FEATURES, _HEAD_FEATURES * value_ratio
        values = channels * value_ratio
        self.norm = nn.LayerNorm(channels)
        self.queries_keys = nn.Linear(channels, 2 * channels, bias=False)
        self.values = nn.Linear(channels, values, bias=False)
        self.local = nn.Conv2d(values, values, 3, 1, 1, groups=values, bias=False)
        self.project = nn.Linear(values, channels)
        self.bias = nn.Parameter(torch.randn(self.heads, (2 * side - 1) ** 2) * 0.02)
        self.side = side
        place = torch.arange(side * side)
        rows, columns = place // side, place % side
        apart = (rows[:, None] - rows + side - 1) * (2 * side - 1) + columns[:, None] - columns + side - 1
        self.register_buffer("apart", apart, persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to the same shape."""
        normed = self.norm(tokens)
        both = self.queries_keys(normed).unflatten(2, (2, self.heads, _HEAD_FEATURES))
        query, key = both.permute(2, 0, 3, 1, 4).unbind(0)
        values = self.values(normed).transpose(1, 2).unflatten(2, (self.side, self.side))
        value = self.local(values).flatten(2).unflatten(1, (self.heads, self.value_features)).transpose(2, 3)
        weights = query @ key.transpose(-2, -1) * _HEAD_FEATURES**-0.5
        weights = (weights + self.bias[:, self.get_buffer("apart")]).softmax(dim=-1)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        return tokens + self.project(F.hardswish(mixed))


class AttentionBlock(nn.Module):
    """Attention and two linear layers on an image."""

    def __init__(self, channels: int, value_ratio: int, mlp_ratio: int, side: int) -> None:
        super().__init__()
        hidden = channels * mlp_ratio
        self.attention = Attention(channels, value_ratio, side)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, hidden), nn.Hardswish(), nn.Linear(hidden, channels)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same shape."""
        sides = features.shape[-2:]
        tokens = self.attention(features.flatten(2).transpose(1, 2))
        tokens = tokens + self.mlp(tokens)
        return tokens.transpose(1, 2).unflatten(2, sides)


class Head(nn.Module):
    """Linear layer on every pixel, mean, two linear layers."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        wide = channels * _HEAD_RATIO
        self.widen, self.norm = nn.Linear(channels, wide), nn.BatchNorm1d(wide)
        self.last, self.linear = nn.Linear(wide, _LAST), nn.Linear(_LAST, num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to ``[example, class]``."""
        wide = self.widen(features.flatten(2).transpose(1, 2)).transpose(1, 2)
        return self.linear(F.hardswish(self.last(F.hardswish(self.norm(wide)).mean(dim=2))))


def stem(in_channels: int, width: int) -> nn.Sequential:
    """Return a 3x3 convolution over stride 2."""
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.Hardswish()
    )


@cache
def _rising(stage: int, least: int) -> int:
    """Return how many widths from ``stage`` on never shrink and start at ``least`` or above."""
    if stage == len(WIDTHS):
        return 1
    return sum(_rising(stage + 1, width) for width in WIDTHS[stage] if width >= least)


def _network(lead: tuple[int, ...], kernels: str, ratios: str, mlp: str, values: str) -> Choice:
    return (lead, *(tuple(int(digit) for digit in digits) for digits in (kernels, ratios, mlp, values)))


_FOUND = {
    "t1": _network((128, 16, 24, 32, 64, 96, 176, 272, 1, 2, 3, 1, 1, 1, 1), "333", "33", "2234", "2222"),
    "t2": _network((160, 16, 24, 40, 48, 96, 176, 256, 1, 2, 3, 1, 1, 2, 2), "333", "33", "3432", "2222"),
    "s1": _network((192, 16, 24, 40, 64, 96, 192, 272, 1, 3, 3, 2, 2, 2, 2), "333", "33", "2234", "2222"),
    "s2": _network((224, 16, 24, 48, 64, 96, 192, 256, 1, 3, 3, 2, 2, 2, 2), "333", "33", "2224", "2222"),
    "m": _network((224, 16, 32, 48, 64, 96, 192, 288, 1, 3, 5, 2, 2, 2, 2), "533", "33", "2445", "2222"),
    "l1": _network((256, 16, 24, 40, 64, 96, 192, 320, 1, 3, 3, 2, 2, 2, 2), "555", "36", "4344", "2222"),
    "l1.5": _network((256, 16, 24, 48, 64, 96, 256, 320, 2, 4, 4, 2, 2, 2, 2), "335", "34", "4535", "2222"),
    "l2": _network((256, 16, 24, 40, 80, 128, 256, 304, 1, 3, 4, 2, 2, 2, 2), "333", "66", "3235", "2223"),
    "l3": _network((256, 16, 32, 48, 80, 128, 256, 320, 1, 3, 4, 2, 2, 2, 2), "535", "55", "4435", "2222"),
}


@dataclass(frozen=True, kw_only=True)
class ElasticViT(RowSpace):
    """The supernet of configs/final_3min_space.yaml."""

    name: str = "elasticvit"
    summary: str = "mobile convolutions and attention from 60M to 800M multiply-adds (arXiv 2303.09730)"
    source: str = "arXiv 2303.09730; github.com/microsoft/Moonlit ElasticViT configs and models"
    systems: tuple[str, ...] = ("elasticvit",)

    @property
    def published(self) -> Mapping[str, Choice]:
        """Networks of the evaluation's configuration file."""
        return {f"{self.name}.{name}": choice for name, choice in _FOUND.items()}

    @property
    def figures(self) -> tuple[Published, ...]:
        """The two ends that the README names."""
        source = "README of github.com/microsoft/Moonlit ElasticViT"
        return (
            Published(
                model="elasticvit.t1", resolution=128, macs=60e6, macs_rounding=5e6, top1=0.672, source=source
            ),
            Published(
                model="elasticvit.l3", resolution=256, macs=800e6, macs_rounding=5e7, top1=0.8, source=source
            ),
        )

    @property
    def size(self) -> int:
        """Resolutions, depths, widths that never shrink, kernels, expansions."""
        depths = math.prod(len(options) for options in DEPTHS)
        return len(RESOLUTIONS) * depths * _rising(0, 0) * 2**3 * 4**2 * 4**4 * 3**4

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Resolution, widths, depths; kernels, expansions of convolutions; of attention; of values."""
        first = Row("net", (RESOLUTIONS, *WIDTHS, *DEPTHS))
        if lead is None:
            return (first,)
        return (
            first, same("kernel", (3, 5), _CONVOLVED), same("ratio", (3, 4, 5, 6), 2),
            same("mlp", (2, 3, 4, 5), 4), same("value", (2, 3, 4), 4),
        )  # fmt: skip

    def refusal(self, choice: Choice) -> str:
        """Return that widths shrink, where they do."""
        widths = choice[0][1 : 1 + len(WIDTHS)]
        return "" if list(widths) == sorted(widths) else f"widths never shrink, got {widths}"

    def resolution(self, choice: Choice) -> int:
        """Return the sub-network's own resolution."""
        return int(choice[0][0])

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Stem, bottlenecks, attention blocks behind a bottleneck each stage, head."""
        lead, kernels, ratios, mlps, values = choice
        side, widths, depths = lead[0], lead[1 : 1 + len(WIDTHS)], lead[1 + len(WIDTHS) :]
        pieces = [part(stem, in_channels, widths[0], shape=(in_channels, side, side))]
        channels, side = widths[0], -(-side // 2)
        for stage, (width, depth, stride) in enumerate(zip(widths, depths, _STRIDES, strict=True)):
            if stage >= _CONVOLVED:
                shape = (channels, side, side)
                pieces.append(part(Bottleneck, channels, width, _BRIDGE_RATIO, 3, stride, True, shape=shape))
                channels, side = width, -(-side // stride)
                at = stage - _CONVOLVED
                block = part(AttentionBlock, width, values[at], mlps[at], side, shape=(width, side, side))
                pieces += [block] * depth
                continue
            ratio, gated = (ratios[stage - 1], stage == 2) if stage else (1, False)
            for index in range(depth):
                step, shape = stride if index == 0 else 1, (channels, side, side)
                pieces.append(
                    part(Bottleneck, channels, width, ratio, kernels[stage], step, gated, shape=shape)
                )
                channels, side = width, -(-side // step)
        return (*pieces, part(Head, channels, num_classes, shape=(channels, side, side)))


SPACES = (ElasticViT(),)
