"""StarNet: two linear branches multiplied element by element (arXiv 2403.19967)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.timm_models import create, depths_knob, table, timm_family


@dataclass(frozen=True, slots=True, kw_only=True)
class StarNetConfig:
    """StarNet of four stages; the base is StarNet-S1."""

    width: int = 24
    """Channels of the first stage; doubles with each stage. The stem has 32."""
    depths: tuple[int, ...] = (2, 2, 8, 3)
    """Blocks of each of the four stages."""
    expansion: int = 4
    """Channels of either branch over the block's."""

    def __post_init__(self) -> None:
        integer_knob("width of StarNet", self.width, low=1, high=1024)
        depths_knob("StarNet", self.depths)
        integer_knob("expansion of StarNet", self.expansion, low=1, high=16)


VARIANTS = {
    "starnet-s1": StarNetConfig(),
    "starnet-s2": StarNetConfig(width=32, depths=(1, 2, 6, 2)),
    "starnet-s3": StarNetConfig(width=32, depths=(2, 2, 8, 4)),
    "starnet-s4": StarNetConfig(width=32, depths=(3, 3, 12, 5)),
    "starnet-s050": StarNetConfig(width=16, depths=(1, 1, 3, 1), expansion=3),
    "starnet-s100": StarNetConfig(width=20, depths=(1, 2, 4, 1)),
    "starnet-s150": StarNetConfig(depths=(1, 2, 4, 2), expansion=3),
}

TIMM_NAMES = {name: name.replace("-", "_") for name in VARIANTS}
"""Variant -> timm's name of the same network."""

PUBLISHED = table(
    "Rewrite the Stars, arXiv 2403.19967, Tables 5 and 6",
    {
        "starnet-s1": (224, 2.9, 0.425, 73.5),
        "starnet-s2": (224, 3.7, 0.547, 74.8),
        "starnet-s3": (224, 5.8, 0.757, 77.3),
        "starnet-s4": (224, 7.5, 1.075, 78.4),
    },
    digits=(1, 3),
    note="FLOPs there are multiply-adds",
)


def _build(config: StarNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(
        "starnet_s1",
        in_channels,
        num_classes,
        base_dim=config.width,
        depths=config.depths,
        mlp_ratio=config.expansion,
    )


FAMILY = timm_family(
    summary="compact network of element-wise products (arXiv 2403.19967)",
    names=Names(prefix="starnet", config_class=StarNetConfig, variants=VARIANTS),
    knobs={
        "width": "channels of the first stage, 1 to 1024",
        "depths": "blocks of each of four stages, 1 to 200",
        "expansion": "channels of a branch over the block's, 1 to 16",
    },
    build=_build,
    systems=("starnet",),
    published=PUBLISHED,
)
