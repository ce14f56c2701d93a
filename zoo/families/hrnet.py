"""HRNet as a classifier: streams of four resolutions side by side, fused often (arXiv 1908.07919)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.timm_models import create, integers_knob, table, timm_family, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class HRNetConfig:
    """HRNet with its classification head; the base is HRNet-W18."""

    width: int = 18
    """Channels of the stream of highest resolution; doubles with each lower one."""
    modules: tuple[int, ...] = (1, 4, 3)
    """Multi-resolution modules of the stages of two, three and four streams."""
    blocks: int = 4
    """Basic blocks of each stream in a module."""
    first_channels: int = 64
    """Inner channels of the bottlenecks of the first stage, one stream."""
    first_blocks: int = 4
    """Bottlenecks of the first stage."""

    def __post_init__(self) -> None:
        integer_knob("width of HRNet", self.width, low=1, high=512)
        integers_knob("modules of HRNet", self.modules, count=3, low=1, high=32)
        integer_knob("blocks of HRNet", self.blocks, low=1, high=32)
        integer_knob("first_channels of HRNet", self.first_channels, low=1, high=512)
        integer_knob("first_blocks of HRNet", self.first_blocks, low=1, high=64)


VARIANTS = {
    **{f"hrnet-w{width}": HRNetConfig(width=width) for width in (18, 30, 32, 40, 44, 48, 64)},
    "hrnet-w18-small": HRNetConfig(width=16, modules=(1, 1, 1), blocks=2, first_channels=32, first_blocks=1),
    "hrnet-w18-small-v2": HRNetConfig(modules=(1, 3, 2), blocks=2, first_blocks=2),
}

TIMM_NAMES = {name: name.replace("-", "_") for name in VARIANTS}
"""Variant -> timm's name of the same network."""

_UNCOUNTED = (
    "the repository's own counter gives 6 to 8 % fewer than convolutions and linear layers have; timm's "
)
_UNCOUNTED += "table agrees with the count here"

_SIZES = {
    "hrnet-w18": (224, 21.3, 3.99, 76.8),
    "hrnet-w30": (224, 37.7, 7.55, 78.2),
    "hrnet-w32": (224, 41.2, 8.31, 78.5),
    "hrnet-w40": (224, 57.6, 11.8, 78.9),
    "hrnet-w44": (224, 67.1, 13.9, 78.9),
    "hrnet-w48": (224, 77.5, 16.1, 79.3),
}

PUBLISHED = (
    *table(
        "HRNet/HRNet-Image-Classification:README.md",
        _SIZES,
        digits=(1, 1),
        departs=dict.fromkeys(_SIZES, _UNCOUNTED),
    ),
    *timm_table(
        {
            "hrnet-w18": (224, 21.3, 4.32),
            "hrnet-w18-small": (224, 13.19, 1.61),
            "hrnet-w18-small-v2": (224, 15.6, 2.62),
            "hrnet-w30": (224, 37.71, 8.15),
            "hrnet-w32": (224, 41.23, 8.97),
            "hrnet-w40": (224, 57.56, 12.75),
            "hrnet-w44": (224, 67.06, 14.94),
            "hrnet-w48": (224, 77.47, 17.34),
            "hrnet-w64": (224, 128.06, 28.97),
        }
    ),
)


def _stage(modules: int, blocks: int, channels: tuple[int, ...], kind: str) -> dict[str, object]:
    return {
        "num_modules": modules,
        "num_branches": len(channels),
        "block_type": kind,
        "num_blocks": (blocks,) * len(channels),
        "num_channels": channels,
        "fuse_method": "SUM",
    }


def _build(config: HRNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    streams = tuple(config.width * 2**index for index in range(4))
    return create(
        "hrnet_w18",
        in_channels,
        num_classes,
        stage1=_stage(1, config.first_blocks, (config.first_channels,), "BOTTLENECK"),
        **{
            f"stage{count}": _stage(modules, config.blocks, streams[:count], "BASIC")
            for count, modules in zip((2, 3, 4), config.modules, strict=True)
        },
    )


FAMILY = timm_family(
    summary="parallel streams of four resolutions (arXiv 1908.07919)",
    names=Names(prefix="hrnet", config_class=HRNetConfig, variants=VARIANTS),
    knobs={
        "width": "channels of the stream of highest resolution, 1 to 512",
        "modules": "modules of the stages of two, three and four streams, 1 to 32",
        "blocks": "basic blocks of each stream in a module, 1 to 32",
        "first_channels": "inner channels of the first stage's bottlenecks, 1 to 512",
        "first_blocks": "bottlenecks of the first stage, 1 to 64",
    },
    build=_build,
    systems=("hrnet",),
    published=PUBLISHED,
)
