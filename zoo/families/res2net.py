"""Res2Net: the 3x3 convolution of a bottleneck becomes a hierarchy of scales (arXiv 1904.01169)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.timm_models import create, depths_knob, switch_knob, table, timm_family, timm_module, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Res2NetConfig:
    """Res2Net of four stages; the base is Res2Net-50 (26w x 4s)."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each of the four stages."""
    width: int = 26
    """Channels of one scale in the first stage (the paper's w); doubles with each stage."""
    scale: int = 4
    """Splits of a block's features (the paper's s); all but one pass a 3x3 convolution."""
    cardinality: int = 1
    """Groups of the 3x3 convolutions; 8 with width 4 is Res2NeXt."""
    deep_stem: bool = False
    """Stem of three 3x3 convolutions and averaged shortcuts (Res2Net v1b)."""

    def __post_init__(self) -> None:
        depths_knob("Res2Net", self.depths)
        integer_knob("width of Res2Net", self.width, low=1, high=256)
        integer_knob("scale of Res2Net", self.scale, low=2, high=16)
        integer_knob("cardinality of Res2Net", self.cardinality, low=1, high=64)
        switch_knob("deep_stem of Res2Net", self.deep_stem)


_DEEP = (3, 4, 23, 3)
VARIANTS = {
    "res2net-50-26w-4s": Res2NetConfig(),
    "res2net-50-26w-6s": Res2NetConfig(scale=6),
    "res2net-50-26w-8s": Res2NetConfig(scale=8),
    "res2net-50-48w-2s": Res2NetConfig(width=48, scale=2),
    "res2net-50-14w-8s": Res2NetConfig(width=14, scale=8),
    "res2net-101-26w-4s": Res2NetConfig(depths=_DEEP),
    "res2next-50": Res2NetConfig(width=4, cardinality=8),
    "res2net-50d": Res2NetConfig(deep_stem=True),
    "res2net-101d": Res2NetConfig(depths=_DEEP, deep_stem=True),
}

TIMM_NAMES = {
    "res2net-50-26w-4s": "res2net50_26w_4s",
    "res2net-50-26w-6s": "res2net50_26w_6s",
    "res2net-50-26w-8s": "res2net50_26w_8s",
    "res2net-50-48w-2s": "res2net50_48w_2s",
    "res2net-50-14w-8s": "res2net50_14w_8s",
    "res2net-101-26w-4s": "res2net101_26w_4s",
    "res2next-50": "res2next50",
    "res2net-50d": "res2net50d",
    "res2net-101d": "res2net101d",
}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "Res2Net/Res2Net-PretrainedModels:README.md",
        {
            "res2net-50-48w-2s": (224, 25.29, 4.2, 77.32),
            "res2net-50-26w-4s": (224, 25.70, 4.2, 77.99),
            "res2net-50-14w-8s": (224, 25.06, 4.2, 78.14),
            "res2net-50-26w-6s": (224, 37.05, 6.3, 78.58),
            "res2net-50-26w-8s": (224, 48.40, 8.3, 79.20),
            "res2net-101-26w-4s": (224, 45.21, 8.1, 79.19),
            "res2next-50": (224, 24.67, 4.2, 78.24),
        },
        digits=(2, 1),
    ),
    *timm_table(
        {
            "res2net-50-26w-4s": (224, 25.7, 4.28),
            "res2net-50-26w-6s": (224, 37.05, 6.33),
            "res2net-50-26w-8s": (224, 48.4, 8.37),
            "res2net-50-48w-2s": (224, 25.29, 4.18),
            "res2net-50-14w-8s": (224, 25.06, 4.21),
            "res2net-101-26w-4s": (224, 45.21, 8.1),
            "res2next-50": (224, 24.67, 4.2),
            "res2net-50d": (224, 25.72, 4.52),
            "res2net-101d": (224, 45.23, 8.35),
        }
    ),
)


def _build(config: Res2NetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(
        "res2net50_26w_4s",
        in_channels,
        num_classes,
        block=timm_module("res2net").Bottle2neck,
        layers=config.depths,
        base_width=config.width,
        cardinality=config.cardinality,
        block_args={"scale": config.scale},
        **({"stem_width": 32, "stem_type": "deep", "avg_down": True} if config.deep_stem else {}),
    )


FAMILY = timm_family(
    summary="multi-scale bottlenecks: splits that see each other in turn (arXiv 1904.01169)",
    names=Names(prefix="res2net", config_class=Res2NetConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of each of four stages, 1 to 200",
        "width": "channels of one scale in the first stage, 1 to 256",
        "scale": "splits of a block's features, 2 to 16",
        "cardinality": "groups of the 3x3 convolutions, 1 to 64",
        "deep_stem": "stem of three 3x3 convolutions and averaged shortcuts",
    },
    build=_build,
    systems=("res2net",),
    published=PUBLISHED,
)
