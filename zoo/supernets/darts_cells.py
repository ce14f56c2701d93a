"""Cells of DARTS (arXiv 1806.09055): a normal and a reduction cell, four nodes each, two inputs a node.

A node adds up two operations on two different earlier nodes (0 and 1 are the outputs of the two cells
before); the cell's output is all four nodes side by side. Genotypes are those of evaluation: operations
have learnt norms, "none" has been left out. The auxiliary head and drop path of training are not built.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, SMALL_CLASSES
from zoo.supernets.rows import Row, RowSpace, part
from zoo.supernets.space import Choice, Piece

OPERATIONS = (
    "max_pool_3x3", "avg_pool_3x3", "skip_connect",
    "dil_conv_3x3", "dil_conv_5x5", "sep_conv_3x3", "sep_conv_5x5",
)  # fmt: skip
"""From the least costly to the most."""
NODES = 4
Edge = tuple[str, int]
"""Operation and the node it reads."""


def _node_options(node: int) -> tuple[tuple[Edge, Edge], ...]:
    """Return what a node can be: two operations on two different nodes before it."""
    named = itertools.product(OPERATIONS, repeat=2)
    reads = tuple(itertools.combinations(range(node + 2), 2))
    return tuple(((a, one), (b, other)) for (a, b), (one, other) in itertools.product(named, reads))


_OPTIONS = tuple(_node_options(node) for node in range(NODES))


def genotype(normal: str, reduce: str) -> Choice:
    """Return the choice of two cells, each eight words ``operation@node``, two words a node."""
    return _cell(normal), _cell(reduce)


def _cell(text: str) -> tuple[tuple[Edge, Edge], ...]:
    edges: list[Edge] = []
    for word in text.split():
        short, _, node = word.partition("@")
        edges.append((_SHORT[short], int(node)))
    pairs = (sorted(edges[i : i + 2], key=lambda edge: edge[1]) for i in range(0, len(edges), 2))
    return tuple((first, second) for first, second in pairs)


_SHORT = {
    "max": "max_pool_3x3", "avg": "avg_pool_3x3", "skip": "skip_connect", "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5", "sep3": "sep_conv_3x3", "sep5": "sep_conv_5x5",
}  # fmt: skip

V1 = genotype(
    "sep3@1 sep3@0 skip@0 sep3@1 skip@0 sep3@1 sep3@0 skip@2",
    "max@0 max@1 skip@2 max@0 max@0 skip@2 skip@2 avg@0",
)
V2 = genotype(
    "sep3@0 sep3@1 sep3@0 sep3@1 sep3@1 skip@0 skip@0 dil3@2",
    "max@0 max@1 skip@2 max@1 max@0 skip@2 skip@2 max@1",
)
PC_DARTS_CIFAR = genotype(
    "sep3@1 skip@0 sep3@0 dil3@1 sep5@0 sep3@1 avg@0 dil3@1",
    "sep5@1 max@0 sep5@1 sep5@2 sep3@0 sep3@3 sep3@1 sep3@2",
)
PC_DARTS_IMAGE = genotype(
    "skip@1 sep3@0 sep3@0 skip@1 sep3@1 sep3@3 sep3@1 dil5@4",
    "sep3@0 skip@1 dil5@2 max@1 sep3@2 sep3@1 sep5@0 sep3@3",
)
P_DARTS = genotype(
    "skip@0 dil3@1 skip@0 sep3@1 sep3@1 sep3@3 sep3@0 dil5@4",
    "avg@0 sep5@1 sep3@0 dil5@2 max@0 dil3@1 dil3@1 dil5@3",
)
DROPNAS = genotype(
    "sep3@1 skip@0 sep3@1 sep3@0 sep3@1 sep3@0 dil5@4 dil3@1",
    "max@0 sep5@1 dil5@2 sep5@1 dil5@3 dil5@2 dil5@3 dil5@4",
)


def convolve(inputs: int, outputs: int) -> nn.Sequential:
    """Return ReLU, 1x1 convolution, norm."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def _depthwise(channels: int, kernel: int, stride: int, dilation: int) -> list[nn.Module]:
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(
            channels, channels, kernel, stride, padding, dilation=dilation, groups=channels, bias=False
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ]


class FactorizedReduce(nn.Module):
    """Halve the resolution by two 1x1 convolutions over stride 2, the second one pixel further."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.second = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` (even sides) to half the sides."""
        active = torch.relu(features)
        return self.norm(torch.cat((self.first(active), self.second(active[:, :, 1:, 1:])), dim=1))


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """Return one operation of a cell."""
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride=stride, padding=1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)
    kernel = int(name[-1])
    if name.startswith("dil"):
        return nn.Sequential(*_depthwise(channels, kernel, stride, 2))
    return nn.Sequential(*_depthwise(channels, kernel, stride, 1), *_depthwise(channels, kernel, 1, 1))


def small_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Return the stem for small images: a 3x3 convolution."""
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))


def large_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Return the first part of ImageNet's stem: a quarter of the resolution."""
    half = channels // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, half, 3, 2, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(),
        nn.Conv2d(half, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels),
    )  # fmt: skip


def second_stem(channels: int) -> nn.Sequential:
    """Return the second part of ImageNet's stem: an eighth of the resolution."""
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(channels, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels)
    )


def head(channels: int, num_classes: int) -> nn.Sequential:
    """Return the global average and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cell stands: what comes in, what it makes of it."""

    before: tuple[int, int]
    """Channels of the outputs of the two cells before, the older first."""
    channels: int
    reduces: bool
    follows_reduction: bool
    """The older input has twice the sides."""
    side: int
    """Pixels a side of the newer input."""


class Cell(nn.Module):
    """One cell: the two inputs brought to its channels, then eight operations."""

    def __init__(self, nodes: tuple[tuple[Edge, Edge], ...], place: Place) -> None:
        super().__init__()
        older = FactorizedReduce if place.follows_reduction else convolve
        self.older = older(place.before[0], place.channels)
        self.newer = convolve(place.before[1], place.channels)
        self.reads = [tuple(read for _, read in pair) for pair in nodes]
        self.operations = nn.ModuleList(
            operation(name, place.channels, 2 if place.reduces and read < 2 else 1)
            for pair in nodes
            for name, read in pair
        )

    def forward(self, older: torch.Tensor, newer: torch.Tensor) -> torch.Tensor:
        """Map two ``[example, channel, height, width]`` to four times the cell's channels."""
        states = [self.older(older), self.newer(newer)]
        work = iter(self.operations)
        for one, other in self.reads:
            states.append(next(work)(states[one]) + next(work)(states[other]))
        return torch.cat(states[2:], dim=1)


class Network(nn.Module):
    """Stem, cells that read the two before them, head."""

    def __init__(self, stems: list[nn.Module], cells: list[Cell], last: nn.Module) -> None:
        super().__init__()
        self.stems, self.cells, self.head = nn.ModuleList(stems), nn.ModuleList(cells), last

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to ``[example, class]``."""
        older = newer = self.stems[0](images)
        for stem in list(self.stems)[1:]:
            newer = stem(older)
        for cell in self.cells:
            older, newer = newer, cell(older, newer)
        return self.head(newer)


_CIFAR = "cifar10"
_FLOPS = "README of github.com/yuhuixu1993/PC-DARTS, table of ImageNet"
_DEPARTS = (
    "multiply-adds of convolutions and the linear layer alone are fewer: github.com/quark0/darts issue 46 "
    "finds 523M by counting the authors' own network, and the authors' counter is not published"
)


@dataclass(frozen=True, kw_only=True)
class DartsCells(RowSpace):
    """Cells in one of the two networks they are trained in."""

    name: str
    summary: str
    source: str = "arXiv 1806.09055; quark0/darts cnn/model.py; yuhuixu1993/PC-DARTS genotypes.py"
    systems: tuple[str, ...] = ("how-to-train-your-super-net",)
    classes: int = SMALL_CLASSES
    width: int = 36
    """Channels of the first cells."""
    cells: int = 20
    large: bool = False
    """For ImageNet: the stem of stride 8."""
    side: int = 32

    @property
    def size(self) -> int:
        """Two cells of four nodes: (49 x 147 x 294 x 490) squared, about 10^18."""
        return math.prod(len(options) for options in _OPTIONS) ** 2

    @property
    def published(self) -> Mapping[str, Choice]:
        """Cells that searches of this space found."""
        found = {"v1": V1, "v2": V2, "p_darts": P_DARTS, "dropnas": DROPNAS, "pc_darts": PC_DARTS_CIFAR}
        if self.large:
            found["pc_darts_image"] = PC_DARTS_IMAGE
        return {f"{self.name}.{name}": choice for name, choice in found.items()}

    @property
    def figures(self) -> tuple[Published, ...]:
        """Published costs of the networks made of them."""
        return _LARGE_FIGURES if self.large else _SMALL_FIGURES

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """The nodes of the normal cell, then those of the reduction cell."""
        normal = Row("normal", _OPTIONS)
        return (normal, Row("reduce", _OPTIONS)) if lead else (normal,)

    def resolution(self, choice: Choice) -> int:
        """Return the pixels a side of the data set: 32 or 224."""
        return self.side

    def _places(self) -> tuple[Place, ...]:
        stem = self.width if self.large else 3 * self.width
        before, channels, after = (stem, stem), self.width, self.large
        side, places = self.side // 8 if self.large else self.side, []
        for index in range(self.cells):
            reduces = index in (self.cells // 3, 2 * self.cells // 3)
            channels *= 2 if reduces else 1
            places.append(
                Place(before=before, channels=channels, reduces=reduces, follows_reduction=after, side=side)
            )
            before, after = (before[1], NODES * channels), reduces
            side //= 2 if reduces else 1
        return tuple(places)

    def _stems(self, in_channels: int) -> tuple[Piece, ...]:
        image = (in_channels, self.side, self.side)
        if not self.large:
            return (part(small_stem, in_channels, 3 * self.width, shape=image),)
        quarter = (self.width, self.side // 4, self.side // 4)
        return part(large_stem, in_channels, self.width, shape=image), part(
            second_stem, self.width, shape=quarter
        )

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Stems; of every cell what brings its inputs to its channels and its operations; head."""
        pieces = list(self._stems(in_channels))
        places = self._places()
        for place in places:
            side, channels = place.side, place.channels
            old = 2 * side if place.follows_reduction else side
            older = FactorizedReduce if place.follows_reduction else convolve
            pieces.append(part(older, place.before[0], channels, shape=(place.before[0], old, old)))
            pieces.append(part(convolve, place.before[1], channels, shape=(place.before[1], side, side)))
            for pair in choice[1 if place.reduces else 0]:
                for name, read in pair:
                    stride = 2 if place.reduces and read < 2 else 1
                    seen = side // 2 if place.reduces and read >= 2 else side
                    pieces.append(part(operation, name, channels, stride, shape=(channels, seen, seen)))
        last = NODES * places[-1].channels
        return (*pieces, part(head, last, num_classes, shape=(last, side, side)))

    def build(self, choice: Choice, *, in_channels: int = 3, num_classes: int | None = None) -> nn.Module:
        """Build the network of these cells."""
        self.check(choice)
        cells = [Cell(choice[1 if place.reduces else 0], place) for place in self._places()]
        classes = self.classes if num_classes is None else num_classes
        last = head(NODES * self._places()[-1].channels, classes)
        return Network([piece.make() for piece in self._stems(in_channels)], cells, last)


_SMALL_FIGURES = (
    Published(
        model="darts.v2", source="README of github.com/quark0/darts", parameters=3.349e6,
        parameters_rounding=500, top1=1 - 0.0263, note="without the auxiliary head",
        resolution=32, dataset=_CIFAR, classes=10,
    ),
    Published(
        model="darts.v1", source="README of github.com/yuhuixu1993/PC-DARTS", parameters=3.3e6,
        parameters_rounding=5e4, top1=1 - 0.03,
        departs="the genotype that this repository calls DARTS_V1 has 3.17M; both orders are printed as 3.3M",
        resolution=32, dataset=_CIFAR, classes=10,
    ),
    Published(
        model="darts.pc_darts", source="README of github.com/yuhuixu1993/PC-DARTS", parameters=3.6e6,
        parameters_rounding=5e4, top1=1 - 0.0257, resolution=32, dataset=_CIFAR, classes=10,
    ),
)  # fmt: skip
_LARGE_FIGURES = (
    Published(
        model="darts_imagenet.v2", resolution=224, source="README of github.com/quark0/darts",
        parameters=4.719e6, parameters_rounding=500, top1=1 - 0.267, note="without the auxiliary head",
    ),
    Published(
        model="darts_imagenet.v2", resolution=224, source=_FLOPS, macs=574e6, macs_rounding=5e5,
        top1=1 - 0.267, departs=_DEPARTS,
    ),
    Published(
        model="darts_imagenet.pc_darts_image", resolution=224, source=_FLOPS, macs=597e6,
        macs_rounding=5e5, top1=1 - 0.242,
    ),
)  # fmt: skip

SPACES = (
    DartsCells(name="darts", summary="cells of DARTS: twenty, 36 channels, small images (arXiv 1806.09055)"),
    DartsCells(
        name="darts_imagenet", summary="cells of DARTS, fourteen of 48 channels, ImageNet (arXiv 1806.09055)",
        classes=IMAGENET_CLASSES, width=48, cells=14, large=True, side=224,
    ),
)  # fmt: skip
