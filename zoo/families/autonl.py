"""AutoNL: inverted residuals with light non-local blocks, both searched (arXiv 2004.01961).

S and L are those of meijieru/yet_another_mobilenet_series, apps/searched/models/autonl (by an author). The
non-local block stands after the projection, before the shortcut; `nonlocal_block` gives it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from zoo.families._mobile_blocks import BlockPlan, InvertedResidual, MobileClassifier, conv_norm
from zoo.families.autonl_blocks import nonlocal_block
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError
from zoo.scaling import round_channels

__all__ = ["FAMILY", "AutoNLConfig", "nonlocal_block"]

STEM, HEAD = 32, 1280
STEP = 8
SIDE = 224
ACTIVATION = "silu"
NONLOCAL = ("light", "plain", "none")


class Row(NamedTuple):
    """One block."""

    expand: int
    channels: int
    stride: int
    kernel: int
    share: float = 0.0
    """Of the channels, for the non-local block's queries and keys; 0 for no such block."""
    sparse: int = 1
    """Pixels between those that give its keys and values."""
    squeeze: float = 0.0
    """Channels inside the gates over channels at the block's input; 0 for no gates."""


ARCHITECTURES: Mapping[str, tuple[Row, ...]] = {
    "s": (
        Row(1, 16, 1, 3),
        Row(3, 24, 2, 3, 0.25),
        Row(3, 24, 1, 3),
        Row(3, 40, 2, 5, 0.25),
        Row(3, 40, 1, 3, 0.25, 2),
        Row(3, 40, 1, 3),
        Row(6, 80, 2, 5, 0.25, 1, 0.25),
        *(Row(3, 80, 1, 3, 0.0, 1, 0.5),) * 2,
        Row(6, 96, 1, 5, 0.25, 1, 0.25),
        *(Row(3, 96, 1, 3, 0.0, 1, 0.5),) * 3,
        Row(6, 192, 2, 5, 0.25, 1, 0.25),
        *(Row(3, 192, 1, 5, 0.0, 1, 0.5),) * 3,
        Row(6, 320, 1, 5, 0.25, 1, 0.5),
    ),
    "l": (
        Row(1, 16, 1, 3),
        Row(3, 24, 2, 5, 0.25),
        Row(3, 24, 1, 5),
        Row(3, 24, 1, 3, 0.25, 2),
        Row(6, 40, 2, 5, 0.25),
        *(Row(3, 40, 1, 3, 0.25, 2),) * 3,
        Row(6, 80, 2, 5, 0.25),
        *(Row(3, 80, 1, 3, 0.0, 1, 0.5),) * 2,
        Row(3, 80, 1, 3, 0.125, 2, 0.5),
        Row(6, 96, 1, 5, 0.25, 1, 0.5),
        *(Row(3, 96, 1, 5, 0.0, 1, 0.5),) * 2,
        Row(3, 96, 1, 3, 0.25, 2, 0.5),
        Row(6, 192, 2, 5, 0.25, 1, 0.5),
        *(Row(6, 192, 1, 5, 0.125, 1, 0.5),) * 2,
        Row(6, 192, 1, 5, 0.0, 1, 0.5),
        Row(6, 320, 1, 5, 0.25, 1, 0.5),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoNLConfig:
    """A searched network, its multipliers, and which non-local blocks stand where the search put some."""

    architecture: str = "s"
    nonlocal_kind: str = "light"
    width: float = 1.0
    """Multiplier of the blocks' and the stem's channels, rounded to multiples of 8."""
    pixels: int = SIDE
    """Pixels a side it is made for."""

    def __post_init__(self) -> None:
        for what, value, known in (
            ("architecture", self.architecture, tuple(ARCHITECTURES)),
            ("nonlocal_kind", self.nonlocal_kind, NONLOCAL),
        ):
            if value not in known:
                raise ZooError(f"{what} of AutoNL must be one of {', '.join(known)}, got {value!r}")
        real_knob("width of AutoNL", self.width, low=0.1, high=10.0)
        integer_knob("pixels of AutoNL", self.pixels, low=1, high=8192)


class NonLocalResidual(nn.Module):
    """An inverted residual whose projection goes through a non-local block before the input is added."""

    def __init__(self, plan: BlockPlan, row: Row, kind: str) -> None:
        super().__init__()
        block = InvertedResidual(plan)
        self.residual, self.layers = block.residual, block.layers
        self.context = nonlocal_block(plan.outputs, kind=kind, share=row.share, stride=row.sparse)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels and stride."""
        outside = self.context(self.layers(images))
        return images + outside if self.residual else outside


def _block(inputs: int, outputs: int, row: Row, kind: str) -> nn.Module:
    plan = BlockPlan(
        inputs=inputs,
        outputs=outputs,
        parts=((row.kernel, inputs * row.expand),),
        stride=row.stride,
        expands=row.expand > 1,
        squeezed=round(inputs * row.squeeze),
        activation=ACTIVATION,
    )
    return NonLocalResidual(plan, row, kind) if row.share and kind != "none" else InvertedResidual(plan)


def _build(config: AutoNLConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    inputs = round_channels(STEM * config.width, STEP)
    features: list[nn.Module] = [conv_norm(in_channels, inputs, 3, stride=2, activation=ACTIVATION)]
    for row in ARCHITECTURES[config.architecture]:
        outputs = round_channels(row.channels * config.width, STEP)
        features.append(_block(inputs, outputs, row, config.nonlocal_kind))
        inputs = outputs
    features.append(conv_norm(inputs, HEAD, activation=ACTIVATION))
    return MobileClassifier(features, HEAD, num_classes)


VARIANTS = {f"autonl-{name}": AutoNLConfig(architecture=name) for name in ARCHITECTURES}

PUBLISHED = (
    Published(model="autonl-s", resolution=SIDE, source="LiYingwei/AutoNL, README", top1=0.765),
    Published(
        model="autonl-l",
        resolution=SIDE,
        source="arXiv 2004.01961, abstract; LiYingwei/AutoNL, README",
        macs=350e6,
        macs_rounding=5e6,
        top1=0.777,
    ),
)

NAMES = Names(prefix="autonl", config_class=AutoNLConfig, variants=VARIANTS)

FAMILY = Family(
    name="autonl",
    summary="searched inverted residuals with light non-local blocks (arXiv 2004.01961)",
    example="autonl-s",
    pattern_help="autonl-s, autonl-l, or autonl-architecture_LETTER-nonlocal_kind_KIND-widthW-pixelsP",
    knobs={
        "architecture": f"the searched network: {', '.join(ARCHITECTURES)}",
        "nonlocal_kind": f"the blocks where the search put non-local ones: {', '.join(NONLOCAL)}",
        "width": "multiplier of the channels, 0.1 to 10",
        "pixels": "pixels a side it is made for, 1 to 8192",
    },
    parse=NAMES.parse,
    configure=AutoNLConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: config.pixels,
    near=NAMES.near,
    systems=("autonl",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
