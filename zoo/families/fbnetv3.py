"""FBNetV3: architectures found together with their training recipes (arXiv 2006.02049).

A0, A to G and 20G are defined in `zoo.families.fbnetv3_definitions`; width and depth multipliers
scale any of them, as the authors scaled A to A0.
"""

from dataclasses import dataclass

from torch import nn

from zoo.families._mobile_blocks import BlockPlan, InvertedResidual, MobileClassifier, conv_norm
from zoo.families.fbnetv3_definitions import DEFINITIONS
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError
from zoo.scaling import round_channels, round_repeats

ACTIVATION = "hard_swish"
SQUEEZE = 0.25
"""Channels inside the gates over channels at the block's input."""
CHANNEL_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FBNetV3Config:
    """A definition and its multipliers."""

    architecture: str = "a"
    width: float = 1.0
    """Multiplier of all channels but those after the global average."""
    depth: float = 1.0
    """Multiplier of the repeats of rows that repeat; first blocks of a shape stay single."""
    pixels: int = 0
    """Pixels a side it is made for; 0 for the definition's."""

    def __post_init__(self) -> None:
        if self.architecture not in DEFINITIONS:
            raise ZooError(
                f"architecture of FBNetV3 must be one of {', '.join(DEFINITIONS)}, got {self.architecture!r}"
            )
        real_knob("width of FBNetV3", self.width, low=0.1, high=10.0)
        real_knob("depth of FBNetV3", self.depth, low=0.1, high=10.0)
        integer_knob("pixels of FBNetV3", self.pixels, low=0, high=8192)


def _divisible(channels: float) -> int:
    return round_channels(channels, CHANNEL_STEP, least_share=0.95)


def _scaled(channels: int, width: float) -> int:
    """Return channels as defined at width 1, where some are no multiples of 8; rounded at other widths."""
    return channels if width == 1 else _divisible(channels * width)


def plans(config: FBNetV3Config) -> tuple[int, tuple[BlockPlan, ...]]:
    """Return the stem's channels and the blocks of ``config``, in order."""
    definition = DEFINITIONS[config.architecture]
    stem = inputs = _scaled(definition.stem, config.width)
    blocks = []
    for row in definition.rows:
        outputs = _scaled(row.channels, config.width)
        repeats = round_repeats(row.repeats * config.depth) if row.repeats > 1 else 1
        for index in range(repeats):
            inside = _divisible(inputs * row.expand)
            blocks.append(
                BlockPlan(
                    inputs=inputs,
                    outputs=outputs,
                    parts=((row.kernel, inside),),
                    stride=row.stride if index == 0 else 1,
                    expands=inside != inputs,
                    per_group=1 if row.per_group == 1 else max(1, int(row.per_group * config.width)),
                    padding=row.padding if index == 0 else None,
                    squeezed=_divisible(int(inside * SQUEEZE / row.expand)) if row.gated else 0,
                    activation=ACTIVATION,
                    gate="hard_sigmoid",
                )
            )
            inputs = outputs
    return stem, tuple(blocks)


def _side(config: FBNetV3Config) -> int:
    """Return the pixels a side ``config`` is made for."""
    return config.pixels or DEFINITIONS[config.architecture].resolution


def _least_side(blocks: tuple[BlockPlan, ...]) -> int:
    """Return the fewest pixels a side that leave one pixel before the global average.

    Some definitions pad less than would keep the size over stride, so small images run out.
    """
    least = 1
    for plan in reversed(blocks):
        (kernel, _channels), around = plan.parts[0], plan.padding
        padding = kernel // 2 if around is None else around
        least = max((least - 1) * plan.stride + kernel - 2 * padding, 1)
    return max(1, 2 * least - 1)  # the stem: 3x3, stride 2, padding 1


def _build(config: FBNetV3Config, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    definition = DEFINITIONS[config.architecture]
    stem, blocks = plans(config)
    least, side = _least_side(blocks), _side(config) if resolution is None else resolution
    if side < least:
        raise ZooError(f"FBNetV3-{config.architecture} needs at least {least} pixels a side, got {side}")
    last = blocks[-1].outputs
    wide = _divisible(last * definition.head_expand)
    return MobileClassifier(
        [
            conv_norm(in_channels, stem, 3, stride=2, activation=ACTIVATION),
            *(InvertedResidual(plan) for plan in blocks),
            conv_norm(last, wide, activation=ACTIVATION),
        ],
        definition.head,
        num_classes,
        nn.Sequential(nn.Conv2d(wide, definition.head, 1, bias=False), nn.Hardswish()),
    )


VARIANTS = {f"fbnetv3-{name}": FBNetV3Config(architecture=name) for name in DEFINITIONS}

_AUTHORS = "facebookresearch/mobile-vision, mobile_cv/arch/fbnet_v2/fbnet_modeldef_cls_fbnetv3.py, comments"
_TIMM = "timm, results/results-imagenet.csv"

PUBLISHED = (
    Published(model="fbnetv3-a0", resolution=224, source=_AUTHORS, macs=217e6, macs_rounding=5e5, top1=0.784),
    Published(
        model="fbnetv3-20g",
        resolution=256,
        source=_AUTHORS,
        parameters=101e6,
        parameters_rounding=5e5,
        macs=20.4e9,
        macs_rounding=5e7,
        top1=0.844,
        departs="the comment's parameters leave out the classification layer: 3.2 M of the 104.6 M here",
    ),
    Published(
        model="fbnetv3-b",
        resolution=224,
        source=_TIMM,
        parameters=8.60e6,
        parameters_rounding=5e3,
        top1=0.78184,
        note="timm's fbnetv3_b pads every filter to keep its size, the authors' definition does not",
    ),
    Published(
        model="fbnetv3-d",
        resolution=256,
        source=_TIMM,
        parameters=10.31e6,
        parameters_rounding=5e3,
        top1=0.79682,
    ),
    Published(
        model="fbnetv3-g",
        resolution=288,
        source=_TIMM,
        parameters=16.62e6,
        parameters_rounding=5e3,
        top1=0.82034,
    ),
)

NAMES = Names(prefix="fbnetv3", config_class=FBNetV3Config, variants=VARIANTS)

FAMILY = Family(
    name="fbnetv3",
    summary="searched inverted residuals with hard swish and gates (arXiv 2006.02049), A0, A to G, 20G",
    example="fbnetv3-a",
    pattern_help="fbnetv3-LETTER, or fbnetv3-architecture_LETTER-widthW-depthD-pixelsP",
    knobs={
        "architecture": f"the definition: {', '.join(DEFINITIONS)}",
        "width": "multiplier of the channels, 0.1 to 10",
        "depth": "multiplier of the repeats, 0.1 to 10",
        "pixels": "pixels a side it is made for, 0 (the definition's) to 8192",
    },
    parse=NAMES.parse,
    configure=FBNetV3Config,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: _side(config),
    near=NAMES.near,
    systems=("fbnetv3",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
