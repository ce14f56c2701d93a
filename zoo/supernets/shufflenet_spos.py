"""Blocks of Single Path One-Shot (arXiv 1904.00420): twenty ShuffleNetV2 blocks, four kinds each.

Kinds 0, 1 and 2 are ShuffleNetV2 blocks with kernels of 3, 5 and 7, kind 3 is the three-fold separable
"xception" block. The space of the paper's channel search also draws each block's middle channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.published import Published
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

KINDS = (0, 1, 2, 3)
SCALES = tuple(round(0.2 * step, 1) for step in range(1, 11))
"""Middle channels over half the block's outputs: 0.2, 0.4, ..., 2.0."""
STAGES = ((4, 64), (4, 160), (8, 320), (4, 640))
"""Blocks and channels of each stage; the first block of a stage halves the resolution."""
_STEM, _LAST = 16, 1024
_BLOCKS = sum(blocks for blocks, _ in STAGES)


def _convolve(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, relu: bool) -> list[nn.Module]:
    """Return convolution and norm; over each channel alone where the kernel is wider than 1."""
    groups = inputs if kernel > 1 else 1
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return [*layers, nn.ReLU()] if relu else layers


def _main_branch(kind: int, inputs: int, middle: int, outputs: int, stride: int) -> nn.Sequential:
    if kind < 3:
        return nn.Sequential(
            *_convolve(inputs, middle, relu=True),
            *_convolve(middle, middle, 3 + 2 * kind, stride, relu=False),
            *_convolve(middle, outputs, relu=True),
        )
    return nn.Sequential(
        *_convolve(inputs, inputs, 3, stride, relu=False),
        *_convolve(inputs, middle, relu=True),
        *_convolve(middle, middle, 3, relu=False),
        *_convolve(middle, middle, relu=True),
        *_convolve(middle, middle, 3, relu=False),
        *_convolve(middle, outputs, relu=True),
    )


class Block(nn.Module):
    """A block that keeps the resolution works on every second channel; one that halves it on all, twice."""

    def __init__(self, kind: int, inputs: int, middle: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.split = stride == 1
        seen = inputs // 2 if self.split else inputs
        self.main = _main_branch(kind, seen, middle, outputs - seen, stride)
        kernel = 3 + 2 * kind if kind < 3 else 3
        self.shortcut = nn.Identity() if self.split else nn.Sequential(
            *_convolve(inputs, inputs, kernel, stride, relu=False), *_convolve(inputs, inputs, relu=True)
        )  # fmt: skip

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels and stride."""
        kept, worked = (features[:, 0::2], features[:, 1::2]) if self.split else (features, features)
        return torch.cat((self.shortcut(kept), self.main(worked)), dim=1)


def stem(in_channels: int) -> nn.Sequential:
    """Return a 3x3 convolution over stride 2."""
    return nn.Sequential(nn.Conv2d(in_channels, _STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(_STEM), nn.ReLU())


def head(inputs: int, num_classes: int) -> nn.Sequential:
    """Return a 1x1 convolution, the global average, dropout and a linear layer without bias."""
    return nn.Sequential(
        *_convolve(inputs, _LAST, relu=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(_LAST, num_classes, bias=False),
    )


_SEARCHED = (2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)


@dataclass(frozen=True, kw_only=True)
class SinglePathOneShot(RowSpace):
    """4^20 choices of blocks, times 10^20 of channels where these are searched too."""

    name: str
    summary: str
    source: str = "arXiv 1904.00420; github.com/megvii-model/SinglePathOneShot README.md"
    systems: tuple[str, ...] = ("spos-single-path-one-shot",)
    searches_channels: bool = False
    side: int = 224
    """Pixels a side of the images."""

    @property
    def published(self) -> Mapping[str, Choice]:
        """The network that the authors found and trained."""
        return {} if self.searches_channels else {"spos.searched": (_SEARCHED,)}

    @property
    def figures(self) -> tuple[Published, ...]:
        """Its cost in the authors' table."""
        if self.searches_channels:
            return ()
        return (
            Published(
                model="spos.searched", resolution=224,
                source="README of github.com/megvii-model/SinglePathOneShot",
                macs=323e6, macs_rounding=5e5, parameters=3.5e6, parameters_rounding=5e4, top1=1 - 0.256,
                note="the table's Top-1 is the error, 25.6 %",
            ),
        )  # fmt: skip

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Kinds of the twenty blocks; then, where searched, their channels."""
        kinds = same("blocks", KINDS, _BLOCKS)
        return (kinds, same("width", SCALES, _BLOCKS)) if self.searches_channels and lead else (kinds,)

    @property
    def size(self) -> int:
        """4^20 kinds, times 10^20 widths where these are searched."""
        return len(KINDS) ** _BLOCKS * (len(SCALES) ** _BLOCKS if self.searches_channels else 1)

    def smallest(self) -> Choice:
        """Return the fewest multiply-adds: over a stride the xception block is the cheapest kind."""
        return self._by_stride(3, 0, 0)

    def largest(self) -> Choice:
        """Return the most multiply-adds: the xception block but over strides, where it is the 7x7 kernel."""
        return self._by_stride(2, 3, -1)

    def _by_stride(self, strided: int, other: int, scale: int) -> Choice:
        kinds = tuple(strided if i == 0 else other for blocks, _ in STAGES for i in range(blocks))
        return (kinds, (SCALES[scale],) * _BLOCKS) if self.searches_channels else (kinds,)

    def resolution(self, choice: Choice) -> int:
        """Return 224."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Stem, twenty blocks, head."""
        scales = iter(choice[1] if self.searches_channels else (1.0,) * _BLOCKS)
        kinds = iter(choice[0])
        pieces = [part(stem, in_channels, shape=(in_channels, self.side, self.side))]
        channels, side = _STEM, (self.side + 1) // 2
        for blocks, outputs in STAGES:
            for index in range(blocks):
                stride = 2 if index == 0 else 1
                middle = int(outputs // 2 * next(scales))
                shape = (channels, side, side)
                pieces.append(part(Block, next(kinds), channels, middle, outputs, stride, shape=shape))
                channels, side = outputs, (side + stride - 1) // stride
        return (*pieces, part(head, channels, num_classes, shape=(channels, side, side)))


SPACES = (
    SinglePathOneShot(
        name="spos",
        summary="twenty ShuffleNetV2 blocks of four kinds: single path one-shot (arXiv 1904.00420)",
    ),
    SinglePathOneShot(
        name="spos_channels",
        summary="single path one-shot with each block's middle channels searched too (arXiv 1904.00420)",
        searches_channels=True,
    ),
)
