"""Cells of NAS-Bench-201 (arXiv 2001.00326): four nodes, six edges, five operations an edge.

The skeleton is fixed: a stem of 16 channels, three stages of five cells at 16, 32 and 64 channels, between
them a residual block that halves the resolution. Nodes add up what their edges bring.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.published import Published
from zoo.registry import SMALL_CLASSES
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

OPERATIONS = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
"""From the least costly to the most."""
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""From node, to node, in the order of the benchmark's text ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
_CHANNELS = (16, 32, 64)


def arch_string(choice: Choice) -> str:
    """Return how the benchmark itself writes a cell: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
    nodes = []
    for node in (1, 2, 3):
        edges = zip(EDGES, choice[0], strict=True)
        nodes.append("".join(f"|{op}~{start}" for (start, end), op in edges if end == node) + "|")
    return "+".join(nodes)


def from_arch_string(text: str) -> Choice:
    """Return the cell that the benchmark writes as ``text``, in any order of a node's edges."""
    found: dict[tuple[int, int], str] = {}
    for node, words in enumerate(text.split("+"), start=1):
        for word in words.strip("|").split("|"):
            op, _, start = word.rpartition("~")
            found[int(start), node] = op
    return (tuple(found[edge] for edge in EDGES),)


class Zero(nn.Module):
    """Bring nothing: zeros of the input's shape."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to zeros."""
        return features * 0.0


def convolve(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return ReLU, convolution without bias, norm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def operation(name: str, channels: int) -> nn.Module:
    """Return one edge's operation."""
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return convolve(channels, channels, 1 if name == "nor_conv_1x1" else 3)


def stem(in_channels: int) -> nn.Sequential:
    """Return a 3x3 convolution to 16 channels with norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, _CHANNELS[0], 3, padding=1, bias=False), nn.BatchNorm2d(_CHANNELS[0])
    )


class Reduction(nn.Module):
    """Residual block that doubles the channels and halves the resolution; average pooling in the shortcut."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(convolve(inputs, 2 * inputs, 3, 2), convolve(2 * inputs, 2 * inputs, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, 2 * inputs, 1, bias=False))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to twice the channels at half the sides."""
        return self.shortcut(features) + self.main(features)


class Head(nn.Module):
    """Norm, ReLU, global average, linear layer."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to ``[example, class]``."""
        return self.linear(F.relu(self.norm(features)).mean(dim=(2, 3)))


class Cell(nn.Module):
    """The graph of six operations."""

    def __init__(self, names: tuple[str, ...], channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(operation(name, channels) for name in names)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same shape."""
        nodes = [features]
        for node in (1, 2, 3):
            brought = [
                edge(nodes[start])
                for (start, end), edge in zip(EDGES, self.edges, strict=True)
                if end == node
            ]
            nodes.append(torch.stack(brought).sum(dim=0))
        return nodes[-1]


_SOURCE = "github.com/D-X-Y/NATS-Bench issues 18, 24 and 36 (answers of the benchmark's API, CIFAR-10)"
_FIRST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
_BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
_MIXED = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@dataclass(frozen=True, kw_only=True)
class NasBench201(RowSpace):
    """5^6 cells; the macro skeleton at any image size divisible by 4."""

    name: str = "nasbench201"
    summary: str = "cells of NAS-Bench-201 in its skeleton for small images (arXiv 2001.00326)"
    source: str = "arXiv 2001.00326 section 2; github.com/D-X-Y/AutoDL-Projects docs/NAS-Bench-201.md"
    systems: tuple[str, ...] = ("nas-lid", "gm-few-shot-nas", "how-to-train-your-super-net")
    classes: int = SMALL_CLASSES
    cells: int = 5
    """Cells a stage."""
    side: int = 32
    """Pixels a side that pieces are taken apart for."""

    @property
    def published(self) -> Mapping[str, Choice]:
        """Cells whose costs were published, and the best on CIFAR-100."""
        return {
            "nasbench201.arch1": from_arch_string(_FIRST),
            "nasbench201.best_c100": from_arch_string(_BEST),
            "nasbench201.mixed": from_arch_string(_MIXED),
        }

    @property
    def figures(self) -> tuple[Published, ...]:
        """Parameters and multiply-adds that the benchmark's API tells."""
        return (
            Published(
                model="nasbench201.arch1", macs=113.95e6, macs_rounding=5e3, parameters=0.802e6,
                parameters_rounding=500, note="the API counts each multiply-add once",
                resolution=32, source=_SOURCE, classes=10, dataset="cifar10",
            ),
            Published(
                model="nasbench201.mixed", macs=113.95137e6, macs_rounding=5, parameters=802_426,
                note="the answer for hp=12; for hp=200 the API says 0.6404, which its author calls a bug",
                resolution=32, source=_SOURCE, classes=10, dataset="cifar10",
            ),
        )  # fmt: skip

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """One row: the operations of the six edges."""
        return (same("ops", OPERATIONS, len(EDGES)),)

    def resolution(self, choice: Choice) -> int:
        """Return 32: CIFAR's images."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Stem, the edges of every cell, two reductions, head."""
        pieces, side = [part(stem, in_channels, shape=(in_channels, self.side, self.side))], self.side
        for stage, channels in enumerate(_CHANNELS):
            if stage:
                pieces.append(part(Reduction, channels // 2, shape=(channels // 2, side, side)))
                side //= 2
            edges = [part(operation, name, channels, shape=(channels, side, side)) for name in choice[0]]
            pieces += edges * self.cells
        last = _CHANNELS[-1]
        return (*pieces, part(Head, last, num_classes, shape=(last, side, side)))

    def build(self, choice: Choice, *, in_channels: int = 3, num_classes: int | None = None) -> nn.Module:
        """Build the skeleton with ``choice`` in every cell."""
        self.check(choice)
        layers: list[nn.Module] = [stem(in_channels)]
        for stage, channels in enumerate(_CHANNELS):
            if stage:
                layers.append(Reduction(channels // 2))
            layers += [Cell(choice[0], channels) for _ in range(self.cells)]
        classes = self.classes if num_classes is None else num_classes
        return nn.Sequential(*layers, Head(_CHANNELS[-1], classes))


SPACES = (NasBench201(),)
