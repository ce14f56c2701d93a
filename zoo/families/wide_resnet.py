"""Wide ResNet for small images: depth and a real-valued width (arXiv 1605.07146, Table 1).

Pre-activation blocks (BN-ReLU-conv twice), three groups at full, half and quarter resolution. The
stem has 16 channels at every width, as published. Works from 8x8 pixels upward and at any channel number.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import nn

from zoo.knobs import integer_knob, real_knob, shortest
from zoo.published import Published
from zoo.registry import Family, ZooError

STEM_CHANNELS = 16
GROUP_CHANNELS = (16, 32, 64)
"""Channels of the three groups at width 1."""

_NAME = re.compile(r"wrn-?(?P<depth>[0-9]+)-(?P<width>[0-9]+(?:\.[0-9]+)?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WideResNetConfig:
    """WRN-``depth``-``width``."""

    depth: int
    """Convolutions on the main path plus the final layer; 6n + 4 for n blocks a group."""
    width: float
    """Multiplier of the groups' channels."""

    def __post_init__(self) -> None:
        depth = integer_knob("depth of a wide ResNet", self.depth, low=10, high=1_000)
        real_knob("width of a wide ResNet", self.width, low=0.125, high=100.0)
        if (depth - 4) % 6:
            below = depth - (depth - 4) % 6
            raise ZooError(f"depth of a wide ResNet must be 6n + 4, got {depth}; try {below} or {below + 6}")

    @property
    def blocks(self) -> int:
        """Residual blocks in each of the three groups."""
        return (self.depth - 4) // 6

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each group, rounded to the nearest integer (halves up), at least 1."""
        return tuple(max(1, int(base * self.width + 0.5)) for base in GROUP_CHANNELS)


class ConvMaker(Protocol):
    """``(inputs, outputs, kernel, stride)`` -> convolution without bias that keeps the size over stride."""

    def __call__(self, inputs: int, outputs: int, kernel: int, stride: int, /) -> nn.Module:
        """Return the convolution."""


def plain_conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    """Return an ordinary convolution without bias that keeps the size, over ``stride``."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def _unchanged(channels: int) -> int:
    return channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What a wide ResNet is made of; other layers on the same plan make other networks."""

    conv: ConvMaker = plain_conv
    """All convolutions but the stem."""
    stem: ConvMaker = plain_conv
    linear: Callable[[int, int], nn.Linear] = nn.Linear
    """``(features, classes)`` -> the head."""
    channels: Callable[[int], int] = _unchanged
    """Channels of the plan -> channels that are built, of the stem and of the groups."""


PLAIN = Layers()


class Block(nn.Module):
    """Pre-activation residual block of two 3x3 convolutions.

    Where the shape changes, the shortcut is a 1x1 convolution of the *activated* input, as in the
    authors' code; elsewhere it is the untouched input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = layers.conv(inputs, outputs, 3, stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = layers.conv(outputs, outputs, 3, 1)
        changes = inputs != outputs or stride != 1
        self.shortcut = layers.conv(inputs, outputs, 1, stride) if changes else None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels and stride."""
        active = F.relu(self.norm1(images))
        shortcut = images if self.shortcut is None else self.shortcut(active)
        return shortcut + self.conv2(F.relu(self.norm2(self.conv1(active))))


def group(config: WideResNetConfig, index: int, layers: Layers = PLAIN) -> nn.Sequential:
    """Return the blocks of group ``index`` (0, 1, 2); all but the first group halve the resolution."""
    planned = (STEM_CHANNELS, *config.channels)
    inputs, outputs = layers.channels(planned[index]), layers.channels(planned[index + 1])
    strides = [1 if index == 0 else 2] + [1] * (config.blocks - 1)
    return nn.Sequential(
        *(Block(inputs if i == 0 else outputs, outputs, s, layers) for i, s in enumerate(strides))
    )


def initialise(network: nn.Module, parts: int = 1) -> None:
    """Draw all weights of convolutions anew, He's normal distribution by fan-out, as the authors do.

    Args:
        network: its convolutions, in the order of its modules.
        parts: equal shares of output channels that are networks of their own; each has its own fan-out.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // parts
            nn.init.normal_(module.weight, std=math.sqrt(2.0) / math.sqrt(fan_out))


def answer(images: torch.Tensor, norm: nn.Module, head: nn.Module) -> torch.Tensor:
    """Map the last group's ``[example, channel, height, width]`` to what ``head`` makes of the means."""
    return head(F.relu(norm(images)).mean(dim=(2, 3)))


class WideResNet(nn.Module):
    """Stem, three groups of blocks, norm, global average, linear layer."""

    def __init__(
        self, config: WideResNetConfig, in_channels: int, num_classes: int, layers: Layers = PLAIN
    ) -> None:
        super().__init__()
        self.stem = layers.stem(in_channels, layers.channels(STEM_CHANNELS), 3, 1)
        self.groups = nn.Sequential(*(group(config, index, layers) for index in range(len(GROUP_CHANNELS))))
        features = layers.channels(config.channels[-1])
        self.norm = nn.BatchNorm2d(features)
        self.head = layers.linear(features, num_classes)
        initialise(self)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return answer(self.groups(self.stem(images)), self.norm, self.head)


def _parse(text: str) -> WideResNetConfig | None:
    match = _NAME.fullmatch(text)
    return match and WideResNetConfig(depth=int(match["depth"]), width=float(match["width"]))


def _build(config: WideResNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return WideResNet(config, in_channels, num_classes)


VARIANTS = {
    f"wrn{depth}-{width}": WideResNetConfig(depth=depth, width=float(width))
    for depth, width in ((28, 10), (16, 8), (16, 10), (28, 12), (40, 4), (40, 8), (40, 10))
}
"""Networks of the paper's tables, and WRN-16-10."""


def _rows() -> tuple[Published, ...]:
    """Return what was published at 32x32 pixels: parameters, multiply-adds where counted, accuracy."""
    gluon = {
        # model: at 10 and at 100 classes, (parameters, multiply-adds, top-1)
        "wrn16-10": ((17_116_634, 2.41404e9, 0.9707), (17_174_324, 2.41409e9, 0.8105)),
        "wrn28-10": ((36_479_194, 5.24698e9, 0.9761), (36_536_884, 5.24704e9, 0.8212)),
        "wrn40-8": ((35_748_314, 5.1769e9, 0.9763), (35_794_484, 5.17695e9, 0.8197)),
    }
    sets = (("cifar10", 10), ("cifar100", 100))
    strong = tuple(
        Published(
            model=model,
            resolution=32,
            source="osmr/imgclsmob:gluon/README.md",
            parameters=parameters,
            macs=macs,
            macs_rounding=5e3,
            top1=top1,
            dataset=dataset,
            classes=classes,
            note="FLOPs/2 there, norms and activations at half an operation each; strong recipe",
        )
        for model, figures in gluon.items()
        for (dataset, classes), (parameters, macs, top1) in zip(sets, figures, strict=True)
    )
    authors = tuple(
        Published(
            model="wrn28-10",
            resolution=32,
            source="szagoruyko/wide-residual-networks:README.md",
            top1=top1,
            dataset=dataset,
            classes=classes,
            note="median of 5 runs, no dropout",
        )
        for (dataset, classes), top1 in zip(sets, (0.96, 0.8075), strict=True)
    )
    deterministic = Published(
        model="wrn28-10",
        resolution=32,
        source="google/uncertainty-baselines:baselines/cifar/README.md",
        parameters=36.5e6,
        parameters_rounding=5e4,
        top1=0.96,
        dataset="cifar10",
        classes=10,
    )
    return (*strong, *authors, deterministic)


PUBLISHED = _rows()

FAMILY = Family(
    name="wide_resnet",
    summary="wide residual network for small images (arXiv 1605.07146), real-valued width",
    example="wrn16-4",
    pattern_help="wrnDEPTH-WIDTH",
    knobs={"depth": "6n + 4: 10, 16, 22, 28, 40", "width": "multiplier of the channels, 0.125 to 100"},
    parse=_parse,
    configure=WideResNetConfig,
    build=_build,
    format=lambda config: f"wrn{config.depth}-{shortest(cast(WideResNetConfig, config).width)}",
    default_resolution=lambda config, native: native,
    systems=("wide-resnet",),
    variants=VARIANTS,
    published=PUBLISHED,
)
