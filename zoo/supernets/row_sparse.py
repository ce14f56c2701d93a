"""Nested sub-networks of one backbone that keep a share of every row of weights (DRESS).

A row is what one output channel reads; every row of a layer keeps equally many weights, anywhere in it. That
makes compressed rows: kept weights and where they stand. Networks here are built in that form, so that what
is counted is what is kept: each kept weight is a parameter, and one multiply-add at each place. Where they
stand is counted as neither. The smaller the sub-network, the shorter the prefix of each row it uses.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.registry import SMALL_CLASSES
from zoo.supernets.pooling_positions import WIDTHS, Head, stem
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

_SPREAD = 0.618
"""Steps through a row are about this share of it, so that short prefixes are spread over all inputs."""


def places(rows: int, length: int, kept: int) -> torch.Tensor:
    """Return which weights rows keep: ``[row, kept]``, all different in a row, more of them a longer prefix.

    Before training no weight matters more than another; the order differs from row to row and is fixed.
    """
    step = max(1, round(_SPREAD * length))
    while math.gcd(step, length) > 1:
        step += 1
    return (torch.arange(rows)[:, None] + step * torch.arange(kept)[None, :]) % length


def kept_weights(length: int, share: float) -> int:
    """Return how many of a row's weights are kept: the share, rounded, but one at least."""
    return max(1, round(share * length))


class RowSparseConv(nn.Module):
    """A convolution whose filters are compressed rows."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, share: float) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        length = inputs * kernel**2
        kept = kept_weights(length, share)
        self.values = nn.Parameter(torch.randn(outputs, kept) * (2 / kept) ** 0.5)
        self.register_buffer("places", places(outputs, length, kept))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` as a convolution of this kernel and stride does."""
        height, width = (-(-side // self.stride) for side in features.shape[-2:])
        if self.kernel == 1:
            patches = features[:, :, :: self.stride, :: self.stride].flatten(2)
        else:
            patches = F.unfold(features, self.kernel, padding=self.kernel // 2, stride=self.stride)
        read = patches[:, self.get_buffer("places").flatten()].unflatten(1, self.values.shape)
        return torch.matmul(self.values[:, None], read).squeeze(2).unflatten(2, (height, width))


def convolve(inputs: int, outputs: int, kernel: int, stride: int, share: float) -> nn.Sequential:
    """Return a row-sparse convolution and norm."""
    return nn.Sequential(RowSparseConv(inputs, outputs, kernel, stride, share), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, a 1x1 convolution where the channels change."""

    def __init__(self, inputs: int, outputs: int, share: float) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.main = nn.Sequential(
            convolve(inputs, outputs, 3, stride, share), nn.ReLU(), convolve(outputs, outputs, 3, 1, share)
        )
        self.shortcut = nn.Identity() if stride == 1 else convolve(inputs, outputs, 1, stride, share)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]``; twice the channels at half the sides."""
        return F.relu(self.main(features) + self.shortcut(features))


@dataclass(frozen=True, kw_only=True)
class RowSparse(RowSpace):
    """One decision: the share of every row that is kept, the same in every layer between stem and head."""

    name: str = "dress_resnet20"
    summary: str = "ResNet-20 for small images and its nested row-sparse sub-networks (DRESS)"
    source: str = (
        "'DRESS: Dynamic REal-time Sparse Subnets', abstract: row-based unstructured sparsity, several "
        "sub-networks of one backbone; backbone, shares, dense stem and head are this project's reading"
    )
    systems: tuple[str, ...] = ("dress",)
    classes: int = SMALL_CLASSES
    shares: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    blocks: int = 9
    """Blocks in all, a third of them at each width."""
    side: int = 32
    """Pixels a side that pieces are taken apart for."""

    @property
    def published(self) -> Mapping[str, Choice]:
        """No sub-network: none was read with its costs."""
        return {}

    @property
    def decisions(self) -> tuple[str, ...]:
        """The share that is kept."""
        return (f"share of every row's weights that is kept: {self.shares}",)

    @property
    def size(self) -> int:
        """As many as there are shares."""
        return len(self.shares)

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """One row of one decision."""
        return (same("keep", self.shares, 1),)

    def resolution(self, choice: Choice) -> int:
        """Return 32: CIFAR's images."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Stem, blocks, head."""
        ((share,),) = choice
        side, before = self.side, WIDTHS[0]
        pieces = [part(stem, in_channels, before, shape=(in_channels, side, side))]
        for index in range(self.blocks):
            width = WIDTHS[3 * index // self.blocks]
            pieces.append(part(Block, before, width, share, shape=(before, side, side)))
            before, side = width, side if before == width else -(-side // 2)
        return (*pieces, part(Head, before, num_classes, shape=(before, side, side)))


SPACES = (RowSparse(),)
