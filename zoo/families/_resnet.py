"""The residual network of arXiv 1512.03385 with exchangeable parts: what the families of one idea share.

Stride in the 3x3 convolution of a bottleneck, as in torchvision. A family swaps a part: a norm, the way a
block joins its shortcut, what happens where the resolution halves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

DEPTHS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    26: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Depth -> blocks in each stage (arXiv 1512.03385, Table 1; 10 and 26 by the same rule)."""
BASIC = (10, 18, 34)
EXPANSION = 4
STAGE_CHANNELS = (64, 128, 256, 512)
SMALL_SIDE = 64
"""Up to so many pixels a side the stem is one 3x3 convolution and nothing is pooled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How deep and how wide; what configs of the families have beside their own knobs."""

    depth: int
    width: float

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks in each stage."""
        return DEPTHS[self.depth]

    @property
    def bottleneck(self) -> bool:
        """Whether blocks are 1x1, 3x3, 1x1 convolutions; else two 3x3."""
        return self.depth not in BASIC

    @property
    def channels(self) -> tuple[int, ...]:
        """Inner channels of each stage."""
        return tuple(max(1, round(base * self.width)) for base in STAGE_CHANNELS)

    @property
    def stem_channels(self) -> int:
        """Channels of the stem."""
        return self.channels[0]

    @property
    def outputs(self) -> tuple[int, ...]:
        """Channels that each stage puts out."""
        return tuple(inner * (EXPANSION if self.bottleneck else 1) for inner in self.channels)


def check_plan(what: str, depth: int, width: float) -> Plan:
    """Return the plan of a depth and a width.

    Raises:
        ZooError: no such depth, or a width out of range.
    """
    if depth not in DEPTHS:
        raise ZooError(f"depth of {what} must be one of {', '.join(map(str, DEPTHS))}, got {depth!r}")
    return Plan(depth=depth, width=real_knob(f"width of {what}", width, low=1 / 64, high=16.0))


def plain_conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
    """Return a convolution without bias that keeps the size, over ``stride``."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def plain_norm(channels: int, stage: int) -> nn.Module:
    """Return a batch norm."""
    return nn.BatchNorm2d(channels)


def _nothing(*_unused: object) -> nn.Module | None:
    return None


class Add(nn.Module):
    """Add the residual to the shortcut."""

    def forward(
        self, shortcut: torch.Tensor, residual: torch.Tensor, earlier: list[torch.Tensor]
    ) -> torch.Tensor:
        """Return the sum; ``earlier`` are the outputs of the stage's blocks so far, the newest last."""
        return shortcut + residual


def plain_join(channels: int, position: int) -> nn.Module:
    """Return `Add`."""
    return Add()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What blocks are made of; ``stage`` counts from 0, the stem is stage -1."""

    spatial_conv: Callable[[int, int, int, int], nn.Module] = plain_conv
    """``(inputs, outputs, kernel, stride)``: convolutions larger than 1x1."""
    shortcut_conv: Callable[[int, int, int, int], nn.Module] = plain_conv
    """Where a block changes the shape."""
    stem_norm: Callable[[int, int], nn.Module] = plain_norm
    first_norm: Callable[[int, int], nn.Module] = plain_norm
    """``(channels, stage)``: after a block's first convolution."""
    spatial_norm: Callable[[int, int], nn.Module] = plain_norm
    """After a bottleneck's 3x3 convolution."""
    context: Callable[[int, int, int], nn.Module | None] = _nothing
    """``(channels, stage, side)``: what the residual passes before it is joined; side in pixels."""
    join: Callable[[int, int], nn.Module] = plain_join
    """``(channels, position in the stage)`` -> module of shortcut, residual and earlier outputs."""
    after: Callable[[int, int, bool], nn.Module | None] = _nothing
    """``(channels, stage, last of its stage)``: between the sum and its activation."""


class Block(nn.Module):
    """One residual block."""

    def __init__(self, plan: Plan, parts: Parts, stage: int, position: int, side: int) -> None:
        super().__init__()
        inner, outputs = plan.channels[stage], plan.outputs[stage]
        before = plan.stem_channels if stage == 0 else plan.outputs[stage - 1]
        inputs = before if position == 0 else outputs
        stride = 2 if stage > 0 and position == 0 else 1
        if plan.bottleneck:
            self.residual = nn.Sequential(
                plain_conv(inputs, inner, 1, 1),
                parts.first_norm(inner, stage),
                nn.ReLU(),
                parts.spatial_conv(inner, inner, 3, stride),
                parts.spatial_norm(inner, stage),
                nn.ReLU(),
                plain_conv(inner, outputs, 1, 1),
                plain_norm(outputs, stage),
            )
        else:
            self.residual = nn.Sequential(
                parts.spatial_conv(inputs, inner, 3, stride),
                parts.first_norm(inner, stage),
                nn.ReLU(),
                parts.spatial_conv(inner, outputs, 3, 1),
                plain_norm(outputs, stage),
            )
        changes = stride != 1 or inputs != outputs
        self.shortcut = (
            nn.Sequential(parts.shortcut_conv(inputs, outputs, 1, stride), plain_norm(outputs, stage))
            if changes
            else None
        )
        self.context = parts.context(outputs, stage, side)
        self.join = parts.join(outputs, position)
        self.after = parts.after(outputs, stage, position == plan.blocks[stage] - 1)

    def forward(self, images: torch.Tensor, earlier: list[torch.Tensor]) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the stage's channels and size."""
        residual = self.residual(images)
        if self.context is not None:
            residual = self.context(residual)
        shortcut = images if self.shortcut is None else self.shortcut(images)
        joined = self.join(shortcut, residual, earlier)
        return F.relu(joined if self.after is None else self.after(joined))


class Stage(nn.Module):
    """The blocks of one resolution."""

    def __init__(self, plan: Plan, parts: Parts, stage: int, side: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(plan, parts, stage, position, side) for position in range(plan.blocks[stage])
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` through all blocks."""
        earlier: list[torch.Tensor] = []
        for block in self.blocks:
            images = block(images, earlier)
            earlier.append(images)
        return images


class ResNet(nn.Module):
    """Stem, four stages, global average, linear layer."""

    def __init__(
        self, plan: Plan, parts: Parts, *, in_channels: int, num_classes: int, resolution: int | None
    ) -> None:
        super().__init__()
        side = resolution or 224
        first = plan.stem_channels
        if side <= SMALL_SIDE:
            self.stem = nn.Sequential(
                parts.spatial_conv(in_channels, first, 3, 1), parts.stem_norm(first, -1), nn.ReLU()
            )
        else:
            self.stem = nn.Sequential(
                parts.spatial_conv(in_channels, first, 7, 2),
                parts.stem_norm(first, -1),
                nn.ReLU(),
                nn.MaxPool2d(3, stride=2, padding=1),
            )
            side = _halved(_halved(side))
        stages = []
        for stage in range(len(plan.blocks)):
            side = _halved(side) if stage else side
            stages.append(Stage(plan, parts, stage, side))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(plan.outputs[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[example, channel, height, width]`` to the means of the last stage."""
        return self.stages(self.stem(images)).mean(dim=(2, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(self.features(images))


def _halved(side: int) -> int:
    """Return the size after a convolution or pool of stride 2 with half padding."""
    return (side + 1) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Idea:
    """One change to the residual network: what a family of this kind is made from."""

    name: str
    """Of the family; starts the names of its variants."""
    what: str
    """With an article, for messages: ``an IBN-ResNet``."""
    summary: str
    config_class: type
    """Frozen, with ``depth`` and ``width``."""
    parts: Callable[[Any], Parts]
    """Config -> parts."""
    knobs: Mapping[str, str]
    """Besides depth and width."""
    systems: tuple[str, ...]
    variants: Mapping[str, Any]
    published: tuple[Published, ...] = ()
    native: int = 224
    """Pixels a side that it is made for."""
    network: Callable[[Any], Callable[..., ResNet]] = lambda config: ResNet
    """Config -> class, where it is another one."""


def family_of_idea(idea: Idea) -> Family:
    """Return the family of residual networks with one change."""
    names = Names(prefix=idea.name, config_class=idea.config_class, variants=idea.variants)

    def build(config: Any, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
        plan = check_plan(idea.what, config.depth, config.width)
        side = resolution or idea.native
        return idea.network(config)(
            plan, idea.parts(config), in_channels=in_channels, num_classes=num_classes, resolution=side
        )

    known = {
        "depth": f"layers: {', '.join(map(str, DEPTHS))}",
        "width": "multiplier of all channels, 1/64 to 16",
        **idea.knobs,
    }
    example = next(iter(idea.variants))
    return Family(
        name=idea.name,
        summary=idea.summary,
        example=example,
        pattern_help=f"{example}, or {idea.name}-knobVALUE-... for knobs that differ from it",
        knobs={field.name: known[field.name] for field in fields(idea.config_class)},
        parse=names.parse,
        configure=idea.config_class,
        build=build,
        format=names.format,
        default_resolution=lambda config, native: idea.native,
        near=names.near,
        systems=idea.systems,
        variants=idea.variants,
        published=idea.published,
        classes=IMAGENET_CLASSES,
    )
