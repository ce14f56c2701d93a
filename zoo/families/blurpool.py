"""Anti-aliased ResNet: every stride becomes stride 1 and a blurred subsampling (arXiv 1904.11486)."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.timm_models import create, depths_knob, switch_knob, table, timm_family, timm_module, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class BlurPoolConfig:
    """ResNet with or without anti-aliasing; the base is ResNet-50 with filters of 3."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each of the four stages."""
    bottleneck: bool = True
    """Bottlenecks (depth 50 and more), not two 3x3 convolutions (18, 34)."""
    deep_stem: bool = False
    """Stem of three 3x3 convolutions and averaged shortcuts, ResNet-D."""
    filter: int = 3
    """Side of the binomial filter; 1 is no blur: the plain ResNet."""

    def __post_init__(self) -> None:
        depths_knob("an anti-aliased ResNet", self.depths)
        switch_knob("bottleneck of an anti-aliased ResNet", self.bottleneck)
        switch_knob("deep_stem of an anti-aliased ResNet", self.deep_stem)
        integer_knob("filter of an anti-aliased ResNet", self.filter, low=1, high=7)


_SIZES: dict[int, tuple[tuple[int, ...], bool]] = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
}


def _config(depth: int, *, deep_stem: bool = False, filter: int = 3) -> BlurPoolConfig:
    depths, bottleneck = _SIZES[depth]
    return BlurPoolConfig(depths=depths, bottleneck=bottleneck, deep_stem=deep_stem, filter=filter)


VARIANTS = {
    "resnetblur-50": _config(50),
    "resnetblur-18": _config(18),
    "resnetblur-34": _config(34),
    "resnetblur-101": _config(101),
    "resnetblur-50d": _config(50, deep_stem=True),
    "resnetblur-101d": _config(101, deep_stem=True),
    # Paper, Table 1: rectangle of 2 and binomial of 5 beside the triangle of 3; without blur the comparator.
    **{f"resnetblur-{depth}-rect2": _config(depth, filter=2) for depth in (18, 34, 50)},
    **{f"resnetblur-{depth}-bin5": _config(depth, filter=5) for depth in (18, 34, 50)},
    **{f"resnetblur-{depth}-off": _config(depth, filter=1) for depth in (18, 34, 50, 101)},
}

TIMM_NAMES = {
    "resnetblur-18": "resnetblur18",
    "resnetblur-50": "resnetblur50",
    "resnetblur-50d": "resnetblur50d",
    "resnetblur-101d": "resnetblur101d",
    "resnetblur-18-off": "resnet18",
    "resnetblur-34-off": "resnet34",
    "resnetblur-50-off": "resnet50",
    "resnetblur-101-off": "resnet101",
}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "adobe/antialiased-cnns:README.md, section 4",
        {
            "resnetblur-18-off": (224, None, None, 69.74),
            "resnetblur-18-rect2": (224, None, None, 71.39),
            "resnetblur-18": (224, None, None, 71.69),
            "resnetblur-18-bin5": (224, None, None, 71.38),
            "resnetblur-34-off": (224, None, None, 73.30),
            "resnetblur-34-rect2": (224, None, None, 74.46),
            "resnetblur-34": (224, None, None, 74.33),
            "resnetblur-34-bin5": (224, None, None, 74.20),
            "resnetblur-50-off": (224, None, None, 76.16),
            "resnetblur-50-rect2": (224, None, None, 76.81),
            "resnetblur-50": (224, None, None, 76.83),
            "resnetblur-50-bin5": (224, None, None, 77.04),
        },
        note="accuracies only",
    ),
    *timm_table(
        {
            "resnetblur-18": (224, 11.69, 2.34),
            "resnetblur-50": (224, 25.56, 5.16),
            "resnetblur-50d": (224, 25.58, 5.4),
            "resnetblur-101d": (224, 44.57, 9.12),
        }
    ),
)


def _blur(side: int) -> type[nn.Module]:
    """Return timm's blur with filters of ``side``, as a class: its ResNet asks what class it is."""
    base: type[nn.Module] = timm_module("resnet").BlurPool2d

    class Blur(base):  # type: ignore[misc, valid-type]  # its base is known when timm is
        def __init__(self, channels: int, stride: int = 2, **factory: Any) -> None:
            super().__init__(channels=channels, filt_size=side, stride=stride, **factory)

    return Blur


def _build(config: BlurPoolConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    resnet = timm_module("resnet")
    return create(
        "resnet50",
        in_channels,
        num_classes,
        block=resnet.Bottleneck if config.bottleneck else resnet.BasicBlock,
        layers=config.depths,
        aa_layer=_blur(config.filter) if config.filter > 1 else None,
        **({"stem_width": 32, "stem_type": "deep", "avg_down": True} if config.deep_stem else {}),
    )


FAMILY = timm_family(
    summary="anti-aliased ResNet: blurred subsampling for strides (arXiv 1904.11486)",
    names=Names(prefix="resnetblur", config_class=BlurPoolConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of each of four stages, 1 to 200",
        "bottleneck": "bottlenecks (depth 50 and more) or two 3x3 convolutions",
        "deep_stem": "stem of three 3x3 convolutions and averaged shortcuts",
        "filter": "side of the binomial filter, 2 to 7; 1 is off",
    },
    build=_build,
    systems=("blurpool",),
    published=PUBLISHED,
)
