"""NASNet-A: two searched cells, stacked at any size (arXiv 1707.07012).

``N @ F`` in the paper's notation is ``cells`` = N normal cells in each of three groups and ``filters`` = F
channels before the global average. A reduction cell, which halves the size and doubles the channels, stands
before the second and the third group; at ImageNet size two more stand in the stem. Cells and stacking follow
the authors' code, tensorflow/models, research/slim/nets/nasnet. The auxiliary classifier and dropped paths,
which only training uses, are left out.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

OUTPUTS = 6
"""Hidden states that a normal cell joins: five new ones and the input before last."""
GROUPS = 3
STEMS = ("imagenet", "cifar")
EPSILON = 1e-3

NORMAL = (
    (("separable5", 0), ("separable3", 1)),
    (("separable5", 1), ("separable3", 1)),
    (("average", 0), ("identity", 1)),
    (("average", 1), ("average", 1)),
    (("separable3", 0), ("identity", 0)),
)
"""Pairs to add, each ``(operation, hidden state)``: 0 is the input, 1 the one before, 2 the first sum."""
NORMAL_JOINS = (1, 2, 3, 4, 5, 6)
REDUCTION = (
    (("separable5", 0), ("separable7", 1)),
    (("maximum", 0), ("separable7", 1)),
    (("average", 0), ("separable5", 1)),
    (("identity", 3), ("average", 2)),
    (("separable3", 2), ("maximum", 0)),
)
REDUCTION_JOINS = (3, 4, 5, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class NASNetConfig:
    """NASNet-A (``cells`` @ ``filters``)."""

    cells: int = 4
    """Normal cells in each group: N."""
    filters: int = 1056
    """Channels before the global average: F, a multiple of 24."""
    stem: str = "imagenet"
    """``imagenet``: a strided convolution and two reduction cells; ``cifar``: one convolution."""
    stem_channels: int = 32
    """Channels of the first convolution."""
    skips_reduction: bool = False
    """Whether a cell after a reduction sees the cell before the reduction's input instead of that input."""

    def __post_init__(self) -> None:
        integer_knob("cells of NASNet", self.cells, low=1, high=100)
        integer_knob("filters of NASNet", self.filters, low=24, high=240_000)
        if self.filters % 24:
            below = self.filters - self.filters % 24
            raise ZooError(
                f"filters of NASNet must be a multiple of 24, got {self.filters}; try {below} or {below + 24}"
            )
        if self.stem not in STEMS:
            raise ZooError(f"stem of NASNet must be one of {', '.join(STEMS)}, got {self.stem!r}")
        if self.stem == "imagenet" and self.width % 4:
            raise ZooError(
                f"filters of NASNet with the imagenet stem must be a multiple of 96, got {self.filters}: "
                "the stem's first cell has a quarter of the first group's channels"
            )
        integer_knob("stem channels of NASNet", self.stem_channels, low=1, high=10_000)

    @property
    def width(self) -> int:
        """Channels of each convolution in the first group."""
        return self.filters // (OUTPUTS * 2 ** (GROUPS - 1))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


def _squeeze(inputs: int, outputs: int) -> nn.Sequential:
    """Return ReLU, 1x1 convolution, norm."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), _norm(outputs))


def _separable(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """Return twice ReLU, depthwise, 1x1, norm; the first changes channels and size."""
    layers: list[nn.Module] = []
    for channels, step in ((inputs, stride), (outputs, 1)):
        layers += [
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, step, kernel // 2, groups=channels, bias=False),
            nn.Conv2d(channels, outputs, 1, bias=False),
            _norm(outputs),
        ]
    return nn.Sequential(*layers)


class FactorizedReduction(nn.Module):
    """Halve the size without dropping pixels unseen: two 1x1 convolutions, one pixel apart, joined."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = _norm(outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to half the size, rounded up."""
        active = F.relu(images)
        shifted = F.pad(active, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.even(active), self.odd(shifted)], dim=1))


def _operation(name: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return the operation; those that keep the channels are given a 1x1 convolution where these differ."""
    if name.startswith("separable"):
        return _separable(inputs, outputs, int(name.removeprefix("separable")), stride)
    if name == "identity":
        return nn.Identity() if inputs == outputs else _squeeze(inputs, outputs)
    average = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    pool = average if name == "average" else nn.MaxPool2d(3, stride, 1)
    return pool if inputs == outputs else nn.Sequential(pool, *_match(inputs, outputs))


def _match(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 1, bias=False), _norm(outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """What a cell is and which outputs it sees; output 0 is the stem's convolution."""

    width: int
    reduces: bool
    before: int
    """The output before the last one, as far as this cell is concerned."""

    def raw(self, index: int) -> bool:
        """Tell whether cell ``index`` has no output before the last and takes the last one twice."""
        return self.before == index


def cell_plans(config: NASNetConfig) -> tuple[CellPlan, ...]:
    """Return the cells of ``config`` in order; cell i makes output i + 1."""
    width = config.width
    order = [(width // 4, True), (width // 2, True)] if config.stem == "imagenet" else []
    for group in range(GROUPS):
        order += [(width * 2**group, True)] if group else []
        order += [(width * 2**group, False)] * config.cells
    in_stem = len(order) - GROUPS * config.cells - (GROUPS - 1)
    plans = []
    for index, (channels, reduces) in enumerate(order):
        follows = index > in_stem and order[index - 1][1] and not reduces
        back = 2 if follows and config.skips_reduction else 1
        plans.append(CellPlan(width=channels, reduces=reduces, before=max(0, index - back)))
    return tuple(plans)


class Cell(nn.Module):
    """One cell: the input is squeezed, the one before brought to its shape, five sums, some joined.

    A cell without an output before the last takes the last one there as it is, at its own channels; only
    where that is joined is it brought to the cell's.
    """

    def __init__(
        self, inputs: int, before: int, width: int, *, reduces: bool, halves: bool, raw: bool
    ) -> None:
        super().__init__()
        self.squeeze = _squeeze(inputs, width)
        self.before: nn.Module = nn.Identity()
        if not raw and halves:
            self.before = FactorizedReduction(before, width)
        elif not raw and before != width:
            self.before = _squeeze(before, width)
        self.pairs = REDUCTION if reduces else NORMAL
        self.joins = REDUCTION_JOINS if reduces else NORMAL_JOINS
        self.outputs = width * len(self.joins)
        operations: list[nn.Module] = []
        for pair in self.pairs:
            for name, state in pair:
                channels = before if raw and state == 1 else width
                operations.append(_operation(name, channels, width, 2 if reduces and state < 2 else 1))
        self.operations = nn.ModuleList(operations)
        matches = raw and 1 in self.joins and before != width
        self.match = nn.Sequential(*_match(before, width)) if matches else None

    def forward(self, images: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """Map the input and the one before, ``[example, channel, height, width]``, to the joined states."""
        states = [self.squeeze(images), self.before(before)]
        for index, ((_left, left), (_right, right)) in enumerate(self.pairs):
            one, other = self.operations[2 * index], self.operations[2 * index + 1]
            states.append(one(states[left]) + other(states[right]))
        if self.match is not None:
            states[1] = self.match(states[1])
        return torch.cat([states[index] for index in self.joins], dim=1)


class NASNet(nn.Module):
    """Stem, three groups of normal cells with reduction cells between, global average, linear layer."""

    def __init__(self, config: NASNetConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        stride, padding = (2, 0) if config.stem == "imagenet" else (1, 1)
        first = config.stem_channels
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, first, 3, stride=stride, padding=padding, bias=False), _norm(first)
        )
        self.plans = cell_plans(config)
        self.cells = nn.ModuleList()
        channels, halvings = [first], [0]
        for index, plan in enumerate(self.plans):
            cell = Cell(
                channels[-1],
                channels[plan.before],
                plan.width,
                reduces=plan.reduces,
                halves=halvings[plan.before] < halvings[-1],
                raw=plan.raw(index),
            )
            self.cells.append(cell)
            channels.append(cell.outputs)
            halvings.append(halvings[-1] + int(plan.reduces))
        self.head = nn.Linear(channels[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels / module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        outputs = [self.stem(images)]
        for plan, cell in zip(self.plans, self.cells, strict=True):
            outputs.append(cell(outputs[-1], outputs[plan.before]))
        return self.head(F.relu(outputs[-1]).mean(dim=(2, 3)))


def _build(config: NASNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    if config.stem == "imagenet" and resolution is not None and resolution < LEAST_SIDE:
        raise ZooError(f"NASNet with the imagenet stem needs at least {LEAST_SIDE} pixels, got {resolution}")
    return NASNet(config, in_channels, num_classes)


def _default_resolution(config: NASNetConfig, native: int) -> int:
    if config.stem == "cifar":
        return native
    return LARGE_SIDE if config.stem_channels == LARGE.stem_channels else MOBILE_SIDE


MOBILE_SIDE, LARGE_SIDE, LEAST_SIDE = 224, 331, 3
"""Pixels a side: those of the published variants, and of the unpadded 3x3 convolution."""

LARGE = NASNetConfig(cells=6, filters=4032, stem_channels=96, skips_reduction=True)
VARIANTS = {
    "nasnet-mobile": NASNetConfig(),
    "nasnet-large": LARGE,
    "nasnet-cifar": NASNetConfig(cells=6, filters=768, stem="cifar", stem_channels=96),
}

_SLIM = "tensorflow/models, research/slim/nets/nasnet/README.md"
_PAPER = "arXiv 1707.07012, Table"
_UNSAID = (
    "the table gives N @ F only; stem and stacking of the released code, which reproduce the released "
    "4 @ 1056, 6 @ 4032 and 6 @ 768 networks, give more parameters for this one"
)
PUBLISHED = (
    Published(
        model="nasnet-mobile",
        resolution=224,
        source=f"{_PAPER} 3; {_SLIM}",
        parameters=5.3e6,
        parameters_rounding=5e4,
        macs=564e6,
        macs_rounding=5e5,
        top1=0.740,
    ),
    Published(
        model="nasnet-large",
        resolution=331,
        source=f"{_PAPER} 2; {_SLIM}",
        parameters=88.9e6,
        parameters_rounding=5e4,
        macs=23.8e9,
        macs_rounding=5e7,
        top1=0.827,
    ),
    Published(
        model="nasnet-cells7-filters1920-stem_channels96-skips_reduction1",
        resolution=299,
        source=f"{_PAPER} 2",
        parameters=22.6e6,
        parameters_rounding=5e4,
        macs=4.93e9,
        macs_rounding=5e6,
        top1=0.808,
        departs=_UNSAID,
    ),
    Published(
        model="nasnet-cifar",
        resolution=32,
        source=f"{_PAPER} 1",
        parameters=3.3e6,
        parameters_rounding=5e4,
        top1=1 - 0.0341,
        dataset="cifar10",
        classes=10,
    ),
    Published(
        model="nasnet-cells7-filters2304-stem_cifar-stem_channels288",
        resolution=32,
        source=f"{_PAPER} 1",
        parameters=27.6e6,
        parameters_rounding=5e4,
        top1=1 - 0.0297,
        dataset="cifar10",
        classes=10,
        departs=_UNSAID,
    ),
)

NAMES = Names(prefix="nasnet", config_class=NASNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="nasnet",
    summary="NASNet-A: searched normal and reduction cells, stacked at any size (arXiv 1707.07012)",
    example="nasnet-mobile",
    pattern_help="nasnet-mobile, or nasnet-cellsN-filtersF and further knobs",
    knobs={
        "cells": "normal cells in each of the three groups, 1 to 100",
        "filters": "channels before the global average, a multiple of 24 (96 with the imagenet stem)",
        "stem": "imagenet (8 times smaller before the first group) or cifar (full size)",
        "stem_channels": "channels of the first convolution, 1 to 10000",
        "skips_reduction": "whether the cell after a reduction sees past the reduction's input",
    },
    parse=NAMES.parse,
    configure=NASNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=_default_resolution,
    near=NAMES.near,
    systems=("nasnet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
