"""ResNets for small images (arXiv 1512.03385 section 4.2) whose halvings of the resolution are placed freely.

The channels follow the depth: the first third of the blocks has 16, then 32, then 64, wherever the halvings
are. So all placements have the same weights, and a supernet can share them; what differs is the work.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.published import Published, Status
from zoo.registry import SMALL_CLASSES
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

WIDTHS = (16, 32, 64)


def convolve(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return convolution without bias and norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


def stem(in_channels: int, width: int) -> nn.Sequential:
    """Return a 3x3 convolution with norm and ReLU."""
    return nn.Sequential(convolve(in_channels, width, 3), nn.ReLU())


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    The shortcut is a 1x1 convolution where the channels change; where only the resolution is halved, it
    takes every second pixel, so that a halving has no weights.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            convolve(inputs, outputs, 3, stride), nn.ReLU(), convolve(outputs, outputs, 3)
        )
        if inputs != outputs:
            self.shortcut: nn.Module = convolve(inputs, outputs, 1, stride)
        else:
            self.shortcut = nn.Identity() if stride == 1 else nn.MaxPool2d(1, stride=stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]``; sides are divided by the stride."""
        return F.relu(self.main(features) + self.shortcut(features))


class Head(nn.Module):
    """Global average, linear layer."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to ``[example, class]``."""
        return self.linear(features.mean(dim=(2, 3)))


_REFERENCE = "osmr/imgclsmob gluon/README.md, CIFAR-10 (FLOPs halved; norms and activations are in them)"


@dataclass(frozen=True, kw_only=True)
class PoolingPositions(RowSpace):
    """Which blocks halve the resolution, in their first convolution; no block does so twice."""

    name: str = "resnet20_pooling"
    summary: str = "ResNet-20 for small images with its two halvings in any two of nine blocks"
    source: str = (
        "arXiv 2306.11982, abstract: ResNet20 and its pooling configurations; arXiv 1512.03385 section 4.2. "
        "That a halving is a stride in any block and that channels follow the depth is this project's reading"
    )
    systems: tuple[str, ...] = ("balanced-mixture-of-supernets",)
    classes: int = SMALL_CLASSES
    blocks: int = 9
    """Blocks in all, a third of them at each width."""
    halvings: int = 2
    """How many blocks halve the resolution."""
    side: int = 32
    """Pixels a side that pieces are taken apart for."""

    @property
    def size(self) -> int:
        """All sets of blocks: blocks over halvings."""
        return math.comb(self.blocks, self.halvings)

    @property
    def decisions(self) -> tuple[str, ...]:
        """The blocks that halve the resolution."""
        return (f"which {self.halvings} of {self.blocks} blocks halve the resolution (numbered from 0)",)

    @property
    def published(self) -> Mapping[str, Choice]:
        """ResNet-20: the first block of each later width."""
        third = self.blocks // 3
        return {f"{self.name}.default": ((third, 2 * third),)} if self.halvings == 2 else {}

    @property
    def figures(self) -> tuple[Published, ...]:
        """Costs and accuracy of the usual placement."""
        if (self.blocks, self.halvings) != (9, 2):
            return ()
        return (
            Published(
                model=f"{self.name}.default", resolution=32, parameters=272_474, macs=41.29e6,
                macs_rounding=5e3, top1=0.9403, dataset="cifar10", classes=10, source=_REFERENCE,
                status=Status.SEEN,
            ),
        )  # fmt: skip

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """One row: the blocks that halve, ascending."""
        return (same("at", range(self.blocks), self.halvings),)

    def refusal(self, choice: Choice) -> str:
        """Refuse placements out of order, so that each has one spelling."""
        places = choice[0]
        if any(first >= second for first, second in itertools.pairwise(places)):
            return f"blocks that halve are named in ascending order, each once; got {places}"
        return ""

    def smallest(self) -> Choice:
        """Return the placement with the least work: as early as can be."""
        return (tuple(range(self.halvings)),)

    def largest(self) -> Choice:
        """Return the placement with the most work: as late as can be."""
        return (tuple(range(self.blocks - self.halvings, self.blocks)),)

    def resolution(self, choice: Choice) -> int:
        """Return 32: CIFAR's images."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Stem, blocks, head."""
        side, before = self.side, WIDTHS[0]
        pieces = [part(stem, in_channels, before, shape=(in_channels, side, side))]
        for index in range(self.blocks):
            width, stride = WIDTHS[3 * index // self.blocks], 2 if index in choice[0] else 1
            pieces.append(part(Block, before, width, stride, shape=(before, side, side)))
            before, side = width, -(-side // stride)
        return (*pieces, part(Head, before, num_classes, shape=(before, side, side)))


SPACES = (PoolingPositions(),)
