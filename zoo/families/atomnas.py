"""AtomNAS: each depthwise channel is kept or dropped by itself, kernels of several sizes side by side.

The searched networks A, B and C (arXiv 1912.09640) are those of meijieru/AtomNAS, apps/searched/models: a
block is one row, with the channels that survived for kernels of 3, 5 and 7. The "+" variants add gates of
half the block's input channels and SiLU. ``atoms`` keeps that share of every row's surviving channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from zoo.families._mobile_blocks import BlockPlan, InvertedResidual, MobileClassifier, conv_norm
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

KERNELS = (3, 5, 7)
FIRST_OUTPUTS = 16
HEAD = 1280
SIDE = 224
OUTPUTS = (24,) * 4 + (40,) * 4 + (80,) * 4 + (96,) * 4 + (192,) * 4 + (320,)
"""Channels of the blocks after the first, which has no expansion."""
STRIDED = (0, 4, 8, 16)
"""Which of them halve the size."""

Atoms = tuple[int, ...]
STEMS: Mapping[str, int] = {"a": 16, "b": 32, "c": 32}
ATOMS: Mapping[str, tuple[Atoms, ...]] = {
    "a": (
        *((16, 12, 9), (19, 2, 1), (9, 7, 1), (14, 1)),
        *((46, 49, 50), (27, 19, 14), (22, 11, 3), (30, 14, 3)),
        *((127, 130, 111), (33, 25, 45), (38, 12, 34), (53, 23, 19)),
        *((344, 196, 168), (44, 18, 27), (37, 29, 18), (52, 21, 24)),
        *((381, 364, 342), (123, 76, 162), (179, 107, 212), (238, 111, 171)),
        (654, 495, 546),
    ),
    "b": (
        *((7, 15, 17), (16, 4), (17, 7, 1), (22, 4, 1)),
        *((58, 66, 67), (39, 24, 17), (22, 13, 3), (38, 16, 3)),
        *((166, 148, 151), (31, 43, 65), (41, 15, 28), (77, 21, 43)),
        *((378, 256, 204), (54, 31, 32), (54, 26, 26), (73, 42, 26)),
        *((442, 433, 430), (154, 112, 263), (234, 142, 282), (295, 190, 202)),
        (766, 631, 671),
    ),
    "c": (
        *((15, 23, 13), (20, 3, 2), (21, 8, 1), (21, 4)),
        *((64, 65, 70), (40, 23, 28), (36, 21, 9), (40, 22, 7)),
        *((169, 170, 157), (45, 55, 74), (58, 21, 37), (77, 18, 39)),
        *((393, 263, 247), (57, 40, 36), (61, 34, 26), (87, 38, 33)),
        *((454, 468, 468), (188, 137, 306), (253, 187, 314), (345, 202, 233)),
        (823, 738, 749),
    ),
}
"""For each block after the first, depthwise channels of kernel size 3, 5 and 7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtomNASConfig:
    """A searched network, its gates and how much of it is kept."""

    architecture: str = "a"
    squeeze: float = 0.0
    """Channels inside the gates over channels at the block's input; 0 for no gates."""
    activation: str = "relu"
    atoms: float = 1.0
    """Share of each row's depthwise channels, at least one of each kernel size; above 1 widens."""
    pixels: int = SIDE
    """Pixels a side it is made for."""

    def __post_init__(self) -> None:
        if self.architecture not in ATOMS:
            raise ZooError(
                f"architecture of AtomNAS must be one of {', '.join(ATOMS)}, got {self.architecture!r}"
            )
        if self.activation not in ("relu", "silu"):
            raise ZooError(f"activation of AtomNAS must be relu or silu, got {self.activation!r}")
        real_knob("squeeze of AtomNAS", self.squeeze, low=0.0, high=1.0)
        real_knob("atoms of AtomNAS", self.atoms, low=0.01, high=8.0)
        integer_knob("pixels of AtomNAS", self.pixels, low=1, high=8192)


def plans(config: AtomNASConfig) -> tuple[BlockPlan, ...]:
    """Return the blocks of ``config`` in order."""

    def plan(
        inputs: int, outputs: int, parts: tuple[tuple[int, int], ...], stride: int, expands: bool
    ) -> BlockPlan:
        return BlockPlan(
            inputs=inputs,
            outputs=outputs,
            parts=parts,
            stride=stride,
            expands=expands,
            squeezed=max(1, round(inputs * config.squeeze)) if config.squeeze else 0,
            activation=config.activation,
        )

    stem = STEMS[config.architecture]
    blocks = [plan(stem, FIRST_OUTPUTS, ((KERNELS[0], stem),), 1, False)]
    inputs = FIRST_OUTPUTS
    for index, (outputs, atoms) in enumerate(zip(OUTPUTS, ATOMS[config.architecture], strict=True)):
        kept = tuple(max(1, int(channels * config.atoms + 0.5)) for channels in atoms)
        parts = tuple(zip(KERNELS, kept, strict=False))
        blocks.append(plan(inputs, outputs, parts, 2 if index in STRIDED else 1, True))
        inputs = outputs
    return tuple(blocks)


def _build(config: AtomNASConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    blocks = plans(config)
    return MobileClassifier(
        [
            conv_norm(in_channels, blocks[0].inputs, 3, stride=2, activation=config.activation),
            *(InvertedResidual(plan) for plan in blocks),
            conv_norm(blocks[-1].outputs, HEAD, activation=config.activation),
        ],
        HEAD,
        num_classes,
    )


VARIANTS = {f"atomnas-{name}": AtomNASConfig(architecture=name) for name in ATOMS} | {
    f"atomnas-{name}+": AtomNASConfig(architecture=name, squeeze=0.5, activation="silu") for name in ATOMS
}


def _row(name: str, macs: float, parameters: float, top1: float) -> Published:
    return Published(
        model=f"atomnas-{name}",
        resolution=SIDE,
        source="meijieru/yet_another_mobilenet_series, README",
        parameters=parameters * 1e6,
        parameters_rounding=5e4,
        macs=macs * 1e6,
        macs_rounding=5e5,
        top1=top1,
    )


PUBLISHED = (
    _row("a", 258, 3.9, 0.746),
    _row("b", 326, 4.4, 0.755),
    _row("c", 360, 4.7, 0.759),
    _row("a+", 260, 4.7, 0.763),
    _row("b+", 329, 5.5, 0.772),
    _row("c+", 363, 5.9, 0.776),
)

NAMES = Names(prefix="atomnas", config_class=AtomNASConfig, variants=VARIANTS)

FAMILY = Family(
    name="atomnas",
    summary="inverted residuals of mixed kernels, searched channel by channel (arXiv 1912.09640)",
    example="atomnas-a",
    pattern_help="atomnas-a, -b, -c (+ for gates and SiLU), or atomnas-architecture_LETTER-atomsSHARE",
    knobs={
        "architecture": f"the searched network: {', '.join(ATOMS)}",
        "squeeze": "channels inside the gates over channels at the block's input, 0 (none) to 1",
        "activation": "relu or silu",
        "atoms": "share of each row's depthwise channels, 0.01 to 8",
        "pixels": "pixels a side it is made for, 1 to 8192",
    },
    parse=NAMES.parse,
    configure=AtomNASConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: config.pixels,
    near=NAMES.near,
    systems=("atomnas",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
