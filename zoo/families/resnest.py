"""ResNeSt: split attention over ``radix`` copies of every cardinal group (arXiv 2004.08955)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.timm_models import create, depths_knob, switch_knob, table, timm_family, timm_module, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNeStConfig:
    """ResNeSt of four stages; the base is ResNeSt-50 (2s1x64d)."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each of the four stages."""
    radix: int = 2
    """Splits that attention chooses among (the ``s``)."""
    cardinality: int = 1
    """Cardinal groups (the ``x``)."""
    width: int = 64
    """Channels of a group in the first stage (the ``d``)."""
    stem: int = 32
    """Channels of the first two convolutions of the deep stem; the third has twice as many."""
    fast: bool = False
    """Average before the 3x3 convolution of a striding block, not after: the authors' fast setting."""

    def __post_init__(self) -> None:
        depths_knob("ResNeSt", self.depths)
        integer_knob("radix of ResNeSt", self.radix, low=1, high=16)
        integer_knob("cardinality of ResNeSt", self.cardinality, low=1, high=64)
        integer_knob("width of ResNeSt", self.width, low=1, high=256)
        integer_knob("stem of ResNeSt", self.stem, low=1, high=256)
        switch_knob("fast of ResNeSt", self.fast)


_ABLATION = {"1s1x64d": (1, 1, 64), "2s1x64d": (2, 1, 64), "4s1x64d": (4, 1, 64), "1s2x40d": (1, 2, 40)}
_ABLATION |= {"2s2x40d": (2, 2, 40), "4s2x40d": (4, 2, 40), "1s4x24d": (1, 4, 24)}

VARIANTS = {
    "resnest-50d": ResNeStConfig(),
    "resnest-14d": ResNeStConfig(depths=(1, 1, 1, 1)),
    "resnest-26d": ResNeStConfig(depths=(2, 2, 2, 2)),
    "resnest-101e": ResNeStConfig(depths=(3, 4, 23, 3), stem=64),
    "resnest-200e": ResNeStConfig(depths=(3, 24, 36, 3), stem=64),
    "resnest-269e": ResNeStConfig(depths=(3, 30, 48, 8), stem=64),
    **{
        f"resnest-50d-{name}": ResNeStConfig(radix=radix, cardinality=cardinality, width=width, fast=True)
        for name, (radix, cardinality, width) in _ABLATION.items()
    },
}

TIMM_NAMES = {
    "resnest-50d": "resnest50d",
    "resnest-14d": "resnest14d",
    "resnest-26d": "resnest26d",
    "resnest-101e": "resnest101e",
    "resnest-200e": "resnest200e",
    "resnest-269e": "resnest269e",
    "resnest-50d-4s2x40d": "resnest50d_4s2x40d",
    "resnest-50d-1s4x24d": "resnest50d_1s4x24d",
}
"""Variant -> timm's name of the same network."""

RESOLUTIONS = {(3, 4, 23, 3): 256, (3, 24, 36, 3): 320, (3, 30, 48, 8): 416}
"""Depths -> crop of the authors' table; 224 for all others."""

PUBLISHED = (
    *table(
        "zhanghang1989/ResNeSt:ablation.md",
        {
            "resnest-50d-1s1x64d": (224, 26.3, 4.34, 80.33),
            "resnest-50d-2s1x64d": (224, 27.5, 4.34, 80.53),
            "resnest-50d-4s1x64d": (224, 31.9, 4.35, 80.76),
            "resnest-50d-1s2x40d": (224, 25.9, 4.38, 80.59),
            "resnest-50d-2s2x40d": (224, 26.9, 4.38, 80.97),
            "resnest-50d-4s2x40d": (224, 30.4, 4.41, 80.86),
            "resnest-50d-1s4x24d": (224, 25.7, 4.42, 80.99),
        },
        digits=(1, 2),
    ),
    *table(
        "zhanghang1989/ResNeSt:README.md",
        {
            "resnest-50d": (224, None, None, 81.03),
            "resnest-101e": (256, None, None, 82.83),
            "resnest-200e": (320, None, None, 83.84),
            "resnest-269e": (416, None, None, 84.54),
        },
        note="accuracies only",
    ),
    *timm_table(
        {
            "resnest-50d": (224, 27.48, 5.4),
            "resnest-14d": (224, 10.61, 2.76),
            "resnest-26d": (224, 17.07, 3.64),
            "resnest-101e": (256, 48.28, 13.38),
            "resnest-50d-4s2x40d": (224, 30.42, 4.4),
            "resnest-50d-1s4x24d": (224, 25.68, 4.43),
        }
    ),
)


def _build(config: ResNeStConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(
        "resnest50d",
        in_channels,
        num_classes,
        block=timm_module("resnest").ResNestBottleneck,
        layers=config.depths,
        stem_width=config.stem,
        cardinality=config.cardinality,
        base_width=config.width,
        block_args={"radix": config.radix, "avd": True, "avd_first": config.fast},
    )


FAMILY = timm_family(
    summary="ResNet with split attention (arXiv 2004.08955)",
    names=Names(prefix="resnest", config_class=ResNeStConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of each of four stages, 1 to 200",
        "radix": "splits that attention chooses among, 1 to 16",
        "cardinality": "cardinal groups, 1 to 64",
        "width": "channels of a group in the first stage, 1 to 256",
        "stem": "channels of the deep stem, 1 to 256",
        "fast": "average before the 3x3 convolution of a striding block",
    },
    build=_build,
    systems=("resnest",),
    published=PUBLISHED,
    resolution=lambda config: RESOLUTIONS.get(config.depths, 224),
)
