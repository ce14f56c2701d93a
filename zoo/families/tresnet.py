"""TResNet: ResNet redesigned for throughput on GPUs (arXiv 2003.13630).

Space-to-depth stem, basic blocks early and bottlenecks late, squeeze-excitation where it is cheap, blurred
strides. timm has plain batch norms where the authors' networks have in-place ones: the same parameters.
"""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.timm_models import create, depths_knob, switch_knob, table, timm_family, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class TResNetConfig:
    """TResNet of four stages; the base is TResNet-M."""

    depths: tuple[int, ...] = (3, 4, 11, 3)
    """Blocks of each of the four stages."""
    width: float = 1.0
    """Multiplier of the 64 channels of the first stage, rounded down; all else follows from them."""
    bottlenecks: bool = False
    """Bottlenecks in all stages, channels in multiples of 8: the second version."""

    def __post_init__(self) -> None:
        depths_knob("TResNet", self.depths)
        real_knob("width of TResNet", self.width, low=0.125, high=8.0)
        switch_knob("bottlenecks of TResNet", self.bottlenecks)


VARIANTS = {
    "tresnet-m": TResNetConfig(),
    "tresnet-l": TResNetConfig(depths=(4, 5, 18, 3), width=1.2),
    "tresnet-xl": TResNetConfig(depths=(4, 5, 24, 3), width=1.3),
    "tresnet-v2-l": TResNetConfig(depths=(3, 4, 23, 3), bottlenecks=True),
}

TIMM_NAMES = {name: name.replace("-", "_") for name in VARIANTS}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "Alibaba-MIIL/TResNet:README.md",
        {
            "tresnet-m": (224, None, 5.5, 80.8),
            "tresnet-l": (224, None, None, 81.5),
            "tresnet-xl": (224, None, None, 82.0),
        },
        digits=(0, 1),
        departs={"tresnet-m": "5.5 G there; timm's table gives 5.75 G for the same network, as counted here"},
    ),
    *timm_table(
        {
            "tresnet-m": (224, 31.39, 5.75),
            "tresnet-l": (224, 55.99, 10.9),
            "tresnet-xl": (224, 78.44, 15.2),
            "tresnet-v2-l": (224, 46.17, 8.85),
        }
    ),
)


def _build(config: TResNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(
        "tresnet_m",
        in_channels,
        num_classes,
        layers=config.depths,
        width_factor=config.width,
        v2=config.bottlenecks,
    )


FAMILY = timm_family(
    summary="ResNet redesigned for GPU throughput (arXiv 2003.13630)",
    names=Names(prefix="tresnet", config_class=TResNetConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of each of four stages, 1 to 200",
        "width": "multiplier of all channels, 0.125 to 8",
        "bottlenecks": "bottlenecks in all stages (second version)",
    },
    build=_build,
    systems=("tresnet",),
    published=PUBLISHED,
)
