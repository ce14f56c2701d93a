"""ResNet-RS: bottleneck ResNets with squeeze-excite at any blocks, width and resolution (arXiv 2103.07579).

ResNet-D stem and shortcuts, the stem's max pool a convolution, squeeze-excite of ratio 0.25; the network is
timm's. ``zoo.scaling.resnet_rs`` has the published ladder and both rules.
"""

import functools
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from zoo.families.timm_bridge import declare_torchvision_ops
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError
from zoo.scaling import round_channels
from zoo.scaling.resnet_rs import BLOCKS, LADDER

STAGE_CHANNELS = (64, 128, 256, 512)
"""Channels of the bottlenecks' 3x3 convolutions at width 1; blocks give four times as many."""
STEM_CHANNELS = 32
CHANNEL_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetRSConfig:
    """Blocks a stage, width and resolution; ResNet-RS-50 unless said otherwise."""

    blocks: tuple[int, ...] = BLOCKS[50]
    """Bottleneck blocks of the four stages."""
    width: float = 1.0
    """Multiplier of all channels, which are rounded to multiples of 8."""
    resolution: int = 160
    """Pixels a side it is made for; any other works."""

    def __post_init__(self) -> None:
        if len(self.blocks) != len(STAGE_CHANNELS):
            raise ZooError(f"blocks of a ResNet-RS are {len(STAGE_CHANNELS)} numbers, got {self.blocks}")
        for count in self.blocks:
            integer_knob("blocks of a ResNet-RS", count, low=1, high=400)
        real_knob("width of a ResNet-RS", self.width, low=0.1, high=8.0)
        integer_knob("resolution of a ResNet-RS", self.resolution, low=32, high=1024)

    @property
    def depth(self) -> int:
        """Layers by the usual count: three a block, and stem and head."""
        return 3 * sum(self.blocks) + 2


VARIANTS = {
    f"resnetrs-{depth}": ResNetRSConfig(
        blocks=blocks, resolution=max(side for other, side in LADDER if other == depth)
    )
    for depth, blocks in BLOCKS.items()
}
"""Each depth at the largest resolution it was published at."""

NAMES = Names(prefix="resnetrs", config_class=ResNetRSConfig, variants=VARIANTS)


def _build(config: ResNetRSConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    declare_torchvision_ops()
    from timm.layers import get_attn
    from timm.models.resnet import Bottleneck, ResNet

    def wide(channels: int) -> int:
        return round_channels(channels * config.width, CHANNEL_STEP)

    return ResNet(
        block=cast(Any, Bottleneck),  # timm's annotation names the instance, not the class
        layers=config.blocks,
        in_chans=in_channels,
        num_classes=num_classes,
        channels=tuple(wide(channels) for channels in STAGE_CHANNELS),
        stem_width=wide(STEM_CHANNELS),
        stem_type="deep",
        replace_stem_pool=True,
        avg_down=True,
        block_args={"attn_layer": functools.partial(get_attn("se"), rd_ratio=0.25)},
    )


_GARDEN = (
    "tensorflow/models: official/vision/MODEL_GARDEN.md (parameters); "
    "tensorflow/tpu: models/official/resnet/resnet_rs/README.md (top-1)"
)
_TIMM = "timm: results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv"

_POINTS = (
    (50, 160, 35.7e6, 0.788),
    (101, 160, 63.7e6, 0.803),
    (101, 192, 63.7e6, 0.812),
    (152, 192, 86.8e6, 0.820),
    (152, 224, 86.8e6, 0.822),
    (152, 256, 86.8e6, 0.830),
    (200, 256, 93.4e6, 0.834),
    (270, 256, 130.1e6, 0.838),
    (350, 256, 164.3e6, 0.840),
    (350, 320, 164.3e6, 0.842),
    (420, 320, None, 0.844),
)
_COUNTED = (
    (50, 160, 35.69e6, 2.29e9),
    (101, 192, 63.62e6, 6.04e9),
    (152, 256, 86.62e6, 15.59e9),
    (200, 256, 93.21e6, 20.18e9),
    (270, 256, 129.86e6, 27.06e9),
    (350, 288, 163.96e6, 43.67e9),
    (420, 320, 191.89e6, 64.2e9),
)

PUBLISHED = (
    *(
        Published(
            model=f"resnetrs-{depth}",
            resolution=resolution,
            source=_GARDEN,
            parameters=parameters,
            parameters_rounding=5e4,
            top1=top1,
        )
        for depth, resolution, parameters, top1 in _POINTS
    ),
    *(
        Published(
            model=f"resnetrs-{depth}",
            resolution=resolution,
            source=_TIMM,
            parameters=parameters,
            parameters_rounding=5e3,
            macs=macs,
            macs_rounding=5e6,
            note="counts batch norms as well",
        )
        for depth, resolution, parameters, macs in _COUNTED
    ),
)

FAMILY = Family(
    name="resnet_rs",
    summary="ResNet-RS at any blocks, width and resolution (arXiv 2103.07579)",
    example="resnetrs-50",
    pattern_help="resnetrs-50, -101, ... -420, or resnetrs-blocksA+B+C+D-widthW-resolutionR",
    knobs={
        "blocks": "bottleneck blocks of the four stages, joined by +",
        "width": "multiplier of all channels, 0.1 to 8",
        "resolution": "pixels a side it is made for, 32 to 1024",
    },
    parse=NAMES.parse,
    configure=ResNetRSConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: config.resolution,
    near=NAMES.near,
    systems=("resnet-rs",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
