"""TinyNet: EfficientNet-B0 made smaller along three axes, at any point (arXiv 2010.14819).

Stem and head keep their channels at any width, as released; the network is timm's. ``zoo.scaling.tiny`` is
the formula.
"""

from dataclasses import dataclass

from torch import nn

from zoo.families.efficientnet import BLOCKS, build_efficientnet, channel_rounding
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family
from zoo.scaling.tiny import POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyNetConfig:
    """EfficientNet-B0 times (r, d, w); TinyNet-A unless said otherwise."""

    width: float = 1.0
    """Multiplier of the blocks' channels: w of the paper."""
    depth: float = 1.2
    """Multiplier of the blocks of each stage, rounded to the nearest whole number: d of the paper."""
    resolution: int = 192
    """Pixels a side; r of the paper is this over 224."""

    def __post_init__(self) -> None:
        real_knob("width of a TinyNet", self.width, low=0.05, high=4.0)
        real_knob("depth of a TinyNet", self.depth, low=0.1, high=8.0)
        integer_knob("resolution of a TinyNet", self.resolution, low=32, high=1024)


VARIANTS = {
    f"tinynet-{name}": TinyNetConfig(width=point.width, depth=point.depth, resolution=point.resolution)
    for name, point in POINTS.items()
}

NAMES = Names(prefix="tinynet", config_class=TinyNetConfig, variants=VARIANTS)


def _build(config: TinyNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    wide = channel_rounding(config.width)
    return build_efficientnet(
        [[block] for block in BLOCKS],
        depth=config.depth,
        rounding="round",
        in_channels=in_channels,
        num_classes=num_classes,
        num_features=max(1280, wide(1280)),
        stem_size=32,
        fix_stem=True,
        round_chs_fn=wide,
    )


_README = "huawei-noah/Efficient-AI-Backbones: tinynet_pytorch/readme.md"
_TIMM = "timm: results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv"

PUBLISHED = tuple(
    row
    for name, macs, top1, parameters in (
        ("a", 339e6, 0.768, 6.19e6),
        ("b", 202e6, 0.750, 3.73e6),
        ("c", 100e6, 0.712, 2.46e6),
        ("d", 52e6, 0.670, 2.34e6),
        ("e", 24e6, 0.599, 2.04e6),
    )
    for row in (
        Published(
            model=f"tinynet-{name}",
            resolution=POINTS[name].resolution,
            source=_README,
            macs=macs,
            macs_rounding=5e5,
            top1=top1,
        ),
        Published(
            model=f"tinynet-{name}",
            resolution=POINTS[name].resolution,
            source=_TIMM,
            parameters=parameters,
            parameters_rounding=5e3,
        ),
    )
)

FAMILY = Family(
    name="tinynet",
    summary="TinyNet, EfficientNet-B0 made smaller at any (r, d, w) (arXiv 2010.14819)",
    example="tinynet-a",
    pattern_help="tinynet-a to -e, or tinynet-widthW-depthD-resolutionR",
    knobs={
        "width": "multiplier of the blocks' channels, 0.05 to 4",
        "depth": "multiplier of the blocks a stage, 0.1 to 8",
        "resolution": "pixels a side it is made for, 32 to 1024",
    },
    parse=NAMES.parse,
    configure=TinyNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: config.resolution,
    near=NAMES.near,
    systems=("tinynet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
