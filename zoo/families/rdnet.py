"""RDNet: wide, modernised DenseNet: features concatenated, transitions compress (arXiv 2403.19588)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.registry import ZooError
from zoo.timm_models import create, integers_knob, table, timm_family, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class RDNetConfig:
    """RDNet; the base is RDNet-T."""

    growth: tuple[int, ...] = (64, 104, 128, 128, 128, 128, 224)
    """Channels that a block adds, by mixing stage; their number is the number of stages."""
    stem: int = 64
    """Channels of the patch stem."""
    blocks: int = 3
    """Dense blocks of each stage."""
    halve: tuple[int, ...] = (1, 2, 6)
    """Stages, counted from 0, whose transition halves the resolution."""
    expansion: float = 4.0
    """Inner channels of a block over its input's channels, rounded to multiples of 8."""
    compression: float = 0.5
    """Channels that a transition keeps."""

    def __post_init__(self) -> None:
        integers_knob("growth of RDNet", self.growth, count=None, low=8, high=2048)
        integer_knob("stem of RDNet", self.stem, low=8, high=2048)
        integer_knob("blocks of RDNet", self.blocks, low=1, high=32)
        integers_knob("halve of RDNet", self.halve, count=None, low=1, high=64)
        real_knob("expansion of RDNet", self.expansion, low=0.25, high=16.0)
        real_knob("compression of RDNet", self.compression, low=0.125, high=1.0)
        if len(self.growth) < 3 or not max(self.halve) < len(self.growth):
            raise ZooError(
                f"halve of RDNet names stages 1 to {len(self.growth) - 1} of {len(self.growth)} "
                f"(at least 3), got {self.halve}"
            )


VARIANTS = {
    "rdnet-tiny": RDNetConfig(),
    "rdnet-small": RDNetConfig(growth=(64, 128, *[128] * 7, 240, 240), stem=72, halve=(1, 2, 9)),
    "rdnet-base": RDNetConfig(growth=(96, 128, *[168] * 7, 336, 336), stem=120, halve=(1, 2, 9)),
    "rdnet-large": RDNetConfig(growth=(128, 192, *[256] * 8, 360, 360), stem=144, halve=(1, 2, 10)),
}

TIMM_NAMES = {f"rdnet-{size}": f"rdnet_{size}" for size in ("tiny", "small", "base", "large")}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "naver-ai/rdnet:README.md",
        {
            "rdnet-tiny": (224, 22.0, 4.0, 82.8),
            "rdnet-small": (224, 50.0, 8.8, 83.7),
            "rdnet-base": (224, 87.0, 15.6, 84.4),
            "rdnet-large": (224, 186.0, 34.7, 84.8),
        },
        digits=(0, 1),
        departs={
            "rdnet-tiny": "the network that the authors released as rdnet_tiny is larger than this row: "
            "timm's table gives 23.86 M and 5.06 G for it, as counted here"
        },
    ),
    *timm_table(
        {
            "rdnet-tiny": (224, 23.86, 5.06),
            "rdnet-small": (224, 50.44, 8.74),
            "rdnet-base": (224, 87.45, 15.4),
            "rdnet-large": (224, 186.27, 34.74),
        }
    ),
)


def _build(config: RDNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    stages = len(config.growth)
    return create(
        "rdnet_tiny",
        in_channels,
        num_classes,
        num_init_features=config.stem,
        growth_rates=config.growth,
        num_blocks_list=(config.blocks,) * stages,
        is_downsample_block=(None, *(stage in config.halve for stage in range(1, stages))),
        block_type=("Block", "Block", *["BlockESE"] * (stages - 2)),
        bottleneck_width_ratio=config.expansion,
        transition_compression_ratio=config.compression,
    )


FAMILY = timm_family(
    summary="wide, modernised DenseNet (arXiv 2403.19588)",
    names=Names(prefix="rdnet", config_class=RDNetConfig, variants=VARIANTS),
    knobs={
        "growth": "channels that a block adds, by stage: 3 and more numbers, 8 to 2048",
        "stem": "channels of the patch stem, 8 to 2048",
        "blocks": "dense blocks of each stage, 1 to 32",
        "halve": "stages, counted from 0, that halve the resolution",
        "expansion": "inner channels of a block over its input's, 0.25 to 16",
        "compression": "share of the channels that a transition keeps, 0.125 to 1",
    },
    build=_build,
    systems=("rdnet",),
    published=PUBLISHED,
)
