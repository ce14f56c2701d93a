"""Single-Path NAS: the network searched for a Pixel 1 under 80 ms (arXiv 1904.02877), at any width."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.timm_models import made, timm_family, timm_module, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class SinglePathNasConfig:
    """The searched network, at any width."""

    width: float = 1.0
    """Multiplier of all channels but the last layer's 1,280, rounded to multiples of 8."""

    def __post_init__(self) -> None:
        real_knob("width of Single-Path NAS", self.width, low=0.1, high=8.0)


VARIANTS = {"spnasnet-100": SinglePathNasConfig()}

TIMM_NAMES = {"spnasnet-100": "spnasnet_100"}
"""Variant -> timm's name of the same network."""

PUBLISHED = timm_table(
    {"spnasnet-100": (224, 4.42, 0.35)},
    departs={"spnasnet-100": "fvcore counts two operations for each of 6 M norm outputs: 0.345 G with them"},
)


def _build(
    config: SinglePathNasConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    # timm's entry fixes the multiplier at 1; what it calls takes any.
    generate = timm_module("efficientnet")._gen_spnasnet
    return made(
        lambda: generate("spnasnet_100", config.width, in_chans=in_channels, num_classes=num_classes),
        f"spnasnet_100 of width {config.width}",
    )


FAMILY = timm_family(
    summary="mobile network searched in one super-kernel (arXiv 1904.02877)",
    names=Names(prefix="spnasnet", config_class=SinglePathNasConfig, variants=VARIANTS),
    knobs={"width": "multiplier of all channels but the last layer's, 0.1 to 8"},
    build=_build,
    systems=("single-path-nas",),
    published=PUBLISHED,
)
