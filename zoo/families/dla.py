"""Deep layer aggregation: stages are trees whose roots merge all they hold (arXiv 1707.06484)."""

from dataclasses import dataclass, replace

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.timm_models import (
    create,
    integers_knob,
    switch_knob,
    table,
    timm_family,
    timm_module,
    timm_table,
    word_knob,
)

BLOCKS = {"basic": "DlaBasic", "bottleneck": "DlaBottleneck", "res2net": "DlaBottle2neck"}
"""Word -> timm's class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DLAConfig:
    """DLA of six levels; the base is DLA-60."""

    levels: tuple[int, ...] = (1, 1, 1, 2, 3, 1)
    """Convolutions of the first two levels, then depth of the tree of each of four stages."""
    channels: tuple[int, ...] = (16, 32, 128, 256, 512, 1024)
    """Channels of each level."""
    block: str = "bottleneck"
    """What the trees are made of: basic, bottleneck or res2net."""
    cardinality: int = 1
    """Groups of a bottleneck's 3x3 convolution (DLA-X: 32)."""
    width: int = 64
    """Channels of a group where the level has 64 (DLA-X: 4)."""
    shortcut: bool = False
    """A shortcut around the roots of trees (DLA-102 and deeper)."""

    def __post_init__(self) -> None:
        integers_knob("levels of DLA", self.levels, count=6, low=1, high=8)
        integers_knob("channels of DLA", self.channels, count=6, low=4, high=8192)
        word_knob("block of DLA", self.block, tuple(BLOCKS))
        integer_knob("cardinality of DLA", self.cardinality, low=1, high=256)
        integer_knob("width of DLA", self.width, low=1, high=1024)
        switch_knob("shortcut of DLA", self.shortcut)


_COMPACT = (16, 32, 64, 64, 128, 256)
_DLA_102 = DLAConfig(levels=(1, 1, 1, 3, 4, 1), shortcut=True)

VARIANTS = {
    "dla-60": DLAConfig(),
    "dla-34": DLAConfig(levels=(1, 1, 1, 2, 2, 1), channels=(16, 32, 64, 128, 256, 512), block="basic"),
    "dla-46-c": DLAConfig(levels=(1, 1, 1, 2, 2, 1), channels=_COMPACT),
    "dla-46x-c": DLAConfig(levels=(1, 1, 1, 2, 2, 1), channels=_COMPACT, cardinality=32, width=4),
    "dla-60x-c": DLAConfig(channels=_COMPACT, cardinality=32, width=4),
    "dla-60x": DLAConfig(cardinality=32, width=4),
    "dla-102": _DLA_102,
    "dla-102x": replace(_DLA_102, cardinality=32, width=4),
    "dla-102x2": replace(_DLA_102, cardinality=64, width=4),
    "dla-169": DLAConfig(levels=(1, 1, 2, 3, 5, 1), shortcut=True),
    "dla-60-res2net": DLAConfig(block="res2net", width=28),
    "dla-60-res2next": DLAConfig(block="res2net", cardinality=8, width=4),
}

TIMM_NAMES = {
    "dla-60": "dla60",
    "dla-34": "dla34",
    "dla-46-c": "dla46_c",
    "dla-46x-c": "dla46x_c",
    "dla-60x-c": "dla60x_c",
    "dla-60x": "dla60x",
    "dla-102": "dla102",
    "dla-102x": "dla102x",
    "dla-102x2": "dla102x2",
    "dla-169": "dla169",
    "dla-60-res2net": "dla60_res2net",
    "dla-60-res2next": "dla60_res2next",
}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "openvinotoolkit/open_model_zoo:models/public/dla-34/README.md",
        {"dla-34": (224, 15.7344, 3.0684, 74.64)},
        digits=(4, 5),
        note="GFLOPs there count a multiply-add as two: 6.1368",
    ),
    *table(
        "Res2Net/Res2Net-PretrainedModels:README.md",
        {"dla-60-res2net": (224, 21.15, 4.2, 78.47), "dla-60-res2next": (224, 17.33, 3.6, 78.45)},
        digits=(2, 1),
        departs={
            "dla-60-res2net": "timm's definition, with the authors' weights, counts 20.85 M parameters",
            "dla-60-res2next": "timm's definition, with the authors' weights, counts 17.03 M parameters",
        },
    ),
    *timm_table(
        {
            "dla-60": (224, 22.04, 4.26),
            "dla-34": (224, 15.74, 3.07),
            "dla-46-c": (224, 1.3, 0.58),
            "dla-46x-c": (224, 1.07, 0.54),
            "dla-60x-c": (224, 1.32, 0.59),
            "dla-60x": (224, 17.35, 3.54),
            "dla-102": (224, 33.27, 7.19),
            "dla-102x": (224, 26.31, 5.89),
            "dla-102x2": (224, 41.28, 9.34),
            "dla-169": (224, 53.39, 11.6),
            "dla-60-res2net": (224, 20.85, 4.15),
            "dla-60-res2next": (224, 17.03, 3.49),
        }
    ),
)


def _build(config: DLAConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(
        "dla60",
        in_channels,
        num_classes,
        levels=config.levels,
        channels=config.channels,
        block=getattr(timm_module("dla"), BLOCKS[config.block]),
        cardinality=config.cardinality,
        base_width=config.width,
        shortcut_root=config.shortcut,
    )


FAMILY = timm_family(
    summary="deep layer aggregation: trees of blocks (arXiv 1707.06484)",
    names=Names(prefix="dla", config_class=DLAConfig, variants=VARIANTS),
    knobs={
        "levels": "depth of each of six levels, 1 to 8",
        "channels": "channels of each of six levels, 4 to 8192",
        "block": "basic, bottleneck or res2net",
        "cardinality": "groups of a bottleneck's 3x3 convolution, 1 to 256",
        "width": "channels of a group where the level has 64, 1 to 1024",
        "shortcut": "a shortcut around the roots of trees",
    },
    build=_build,
    systems=("dla",),
    published=PUBLISHED,
)
