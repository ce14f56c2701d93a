"""Normaliser-free ResNets and RegNets: scaled weight standardisation, no batch norm (arXiv 2101.08692)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.timm_models import create, depths_knob, integers_knob, timm_family, timm_table, word_knob

ATTENTION = ("none", "se", "eca")


@dataclass(frozen=True, slots=True, kw_only=True)
class NfResNetConfig:
    """NF-ResNet of four stages of pre-activation bottlenecks; the base has 50 layers."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each of the four stages."""
    width: float = 1.0
    """Multiplier of all channels, rounded to multiples of 8."""
    attention: str = "none"
    """Channel attention in each block: none, se (rate 1/16) or eca."""

    def __post_init__(self) -> None:
        depths_knob("NF-ResNet", self.depths)
        real_knob("width of NF-ResNet", self.width, low=0.125, high=16.0)
        word_knob("attention of NF-ResNet", self.attention, ATTENTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class NfRegNetConfig:
    """NF-RegNet of four stages of grouped inverted bottlenecks; the base is B0."""

    depths: tuple[int, ...] = (1, 3, 6, 6)
    """Blocks of each of the four stages."""
    channels: tuple[int, ...] = (48, 104, 208, 440)
    """Channels of each stage before ``width``."""
    width: float = 0.75
    """Multiplier of all channels, rounded to multiples of 8."""

    def __post_init__(self) -> None:
        depths_knob("NF-RegNet", self.depths)
        integers_knob("channels of NF-RegNet", self.channels, count=4, low=8, high=4096)
        real_knob("width of NF-RegNet", self.width, low=0.125, high=16.0)


_SIZES = {50: (3, 4, 6, 3), 26: (2, 2, 2, 2), 101: (3, 4, 23, 3)}
_PREFIXES = {"none": "nf-resnet", "se": "nf-seresnet", "eca": "nf-ecaresnet"}

VARIANTS = {
    f"{prefix}-{depth}": NfResNetConfig(depths=depths, attention=attention)
    for attention, prefix in _PREFIXES.items()
    for depth, depths in _SIZES.items()
}
REGNET_VARIANTS = {
    "nf-regnet-b0": NfRegNetConfig(),
    "nf-regnet-b1": NfRegNetConfig(depths=(2, 4, 7, 7)),
    "nf-regnet-b2": NfRegNetConfig(depths=(2, 4, 8, 8), channels=(56, 112, 232, 488)),
    "nf-regnet-b3": NfRegNetConfig(depths=(2, 5, 9, 9), channels=(56, 128, 248, 528)),
    "nf-regnet-b4": NfRegNetConfig(depths=(2, 6, 11, 11), channels=(64, 144, 288, 616)),
    "nf-regnet-b5": NfRegNetConfig(depths=(3, 7, 14, 14), channels=(80, 168, 336, 704)),
}
REGNET_RESOLUTIONS = {"b0": 192, "b1": 256, "b2": 240, "b3": 288, "b4": 320, "b5": 384}
"""timm's input sizes."""

TIMM_NAMES = {
    **{
        f"nf-{kind}resnet-{depth}": f"nf_{kind}resnet{depth}"
        for kind in ("", "se", "eca")
        for depth in _SIZES
    },
    **{f"nf-regnet-b{n}": f"nf_regnet_b{n}" for n in range(6)},
}
"""Variant -> timm's name of the same network."""

PUBLISHED = timm_table(
    {
        "nf-resnet-26": (224, 16.0, 2.41),
        "nf-resnet-50": (256, 25.56, 5.46),
        "nf-resnet-101": (224, 44.55, 8.01),
    }
)
REGNET_PUBLISHED = timm_table(
    {
        "nf-regnet-b0": (192, 8.76, 0.37),
        "nf-regnet-b1": (256, 10.22, 0.82),
        "nf-regnet-b2": (240, 14.31, 0.97),
        "nf-regnet-b3": (288, 18.59, 1.67),
        "nf-regnet-b4": (320, 30.21, 3.29),
        "nf-regnet-b5": (384, 49.74, 7.95),
    },
    departs=dict.fromkeys(
        ("nf-regnet-b0", "nf-regnet-b2"),
        "fvcore counts the standardisation of all weights on every pass, two operations a weight",
    ),
)


def _build(config: NfResNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    entry = {"none": "nf_resnet50", "se": "nf_seresnet50", "eca": "nf_ecaresnet50"}[config.attention]
    return create(entry, in_channels, num_classes, depths=config.depths, width_factor=config.width)


def _build_regnet(
    config: NfRegNetConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    return create(
        "nf_regnet_b0",
        in_channels,
        num_classes,
        depths=config.depths,
        channels=config.channels,
        width_factor=config.width,
        num_features=1280 * config.channels[-1] // 440,
    )


_REGNET_NAMES = Names(prefix="nf_regnet", config_class=NfRegNetConfig, variants=REGNET_VARIANTS)

FAMILIES = (
    timm_family(
        summary="ResNet without normalisation: scaled weight standardisation (arXiv 2101.08692)",
        names=Names(prefix="nf_resnet", config_class=NfResNetConfig, variants=VARIANTS),
        knobs={
            "depths": "blocks of each of four stages, 1 to 200",
            "width": "multiplier of all channels, 0.125 to 16",
            "attention": "channel attention: none, se, eca",
        },
        build=_build,
        systems=("nf-resnets",),
        published=PUBLISHED,
    ),
    timm_family(
        summary="RegNet without normalisation, EfficientNet's sizes (arXiv 2101.08692)",
        names=_REGNET_NAMES,
        knobs={
            "depths": "blocks of each of four stages, 1 to 200",
            "channels": "channels of each of four stages before width, 8 to 4096",
            "width": "multiplier of all channels, 0.125 to 16",
        },
        build=_build_regnet,
        systems=("nf-resnets",),
        published=REGNET_PUBLISHED,
        resolution=lambda config: REGNET_RESOLUTIONS.get(_REGNET_NAMES.format(config)[-2:], 224),
    ),
)
