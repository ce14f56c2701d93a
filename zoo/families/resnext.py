"""ResNeXt: bottlenecks of many equal branches, cardinality beside depth and width (arXiv 1611.05431)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.timm_models import IMGCLSMOB, IMGCLSMOB_NOTE, create, depths_knob, table, timm_family, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNeXtConfig:
    """ResNeXt of four stages; the base is ResNeXt-50 (32x4d)."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each of the four stages; the published depth is three times their sum plus 2."""
    cardinality: int = 32
    """Branches of a block: groups of its 3x3 convolution."""
    width: int = 4
    """Channels of one branch in the first stage (the ``d`` of 32x4d); doubles with each stage."""

    def __post_init__(self) -> None:
        depths_knob("ResNeXt", self.depths)
        integer_knob("cardinality of ResNeXt", self.cardinality, low=1, high=256)
        integer_knob("width of ResNeXt", self.width, low=1, high=256)


DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def _config(depth: int, cardinality: int, width: int) -> ResNeXtConfig:
    return ResNeXtConfig(depths=DEPTHS[depth], cardinality=cardinality, width=width)


VARIANTS = {
    f"resnext-{depth}-{cardinality}x{width}d": _config(depth, cardinality, width)
    for depth, cardinality, width in (
        (50, 32, 4),
        (101, 32, 4),
        (101, 64, 4),
        (101, 32, 8),
        (101, 32, 16),
        (101, 32, 32),
        (152, 32, 4),
        # Paper, Table 2: one complexity, five cardinalities.
        (50, 1, 64),
        (50, 2, 40),
        (50, 4, 24),
        (50, 8, 14),
    )
}

TIMM_NAMES = {
    f"resnext-{depth}-{form}": f"resnext{depth}_{form}"
    for depth, form in (
        (50, "32x4d"),
        (101, "32x4d"),
        (101, "64x4d"),
        (101, "32x8d"),
        (101, "32x16d"),
        (101, "32x32d"),
    )
}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "facebookresearch/ResNeXt:README.md",
        {
            "resnext-50-32x4d": (224, None, 4.1, 77.8),
            "resnext-101-32x4d": (224, None, 7.8, 78.8),
            "resnext-101-64x4d": (224, None, 15.6, 79.6),
        },
        digits=(0, 1),
        note="printed as about that much",
    ),
    *table(
        "facebookresearch/pycls:dev/model_complexity.json + dev/model_error.json",
        {
            "resnext-50-32x4d": (224, 25.028904, 4.230480872, 78.116),
            "resnext-101-32x4d": (224, 44.177704, 7.9699978, 79.336),
            "resnext-152-32x4d": (224, 59.9514, 11.709514728, 79.614),
        },
        digits=(6, 9),
        note="convolutions and linear layers, one more per output with a bias",
    ),
    *table(
        IMGCLSMOB,
        {
            "resnext-101-32x4d": (224, 44.177704, 8.00345, 78.19),
            "resnext-101-64x4d": (224, 83.455272, 15.50027, 78.96),
        },
        digits=(6, 5),
        note=IMGCLSMOB_NOTE,
    ),
    *timm_table(
        {
            "resnext-50-32x4d": (224, 25.03, 4.26),
            "resnext-101-32x4d": (224, 44.18, 8.01),
            "resnext-101-64x4d": (224, 83.46, 15.52),
            "resnext-101-32x8d": (224, 88.79, 16.48),
            "resnext-101-32x16d": (224, 194.03, 36.27),
            "resnext-101-32x32d": (224, 468.53, 87.29),
        }
    ),
)


def _build(config: ResNeXtConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(
        "resnext50_32x4d",
        in_channels,
        num_classes,
        layers=config.depths,
        cardinality=config.cardinality,
        base_width=config.width,
    )


FAMILY = timm_family(
    summary="residual bottlenecks of many equal branches (arXiv 1611.05431)",
    names=Names(prefix="resnext", config_class=ResNeXtConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of each of four stages, 1 to 200: 3+4+6+3 is depth 50",
        "cardinality": "branches of a block, 1 to 256",
        "width": "channels of a branch in the first stage, 1 to 256",
    },
    build=_build,
    systems=("resnext",),
    published=PUBLISHED,
)
