"""Pre-activation ResNet at ImageNet size (arXiv 1603.05027), and the same network with evolved norms.

EvoNorm (arXiv 2004.02967) replaces norm and activation by one evolved layer; here it stands in the
pre-activation ResNet-50-D, where it costs no multiply-add of a convolution.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.timm_models import (
    IMGCLSMOB,
    IMGCLSMOB_NOTE,
    create,
    depths_knob,
    switch_knob,
    table,
    timm_family,
    timm_module,
    timm_table,
    word_knob,
)

CHANNELS = {True: (256, 512, 1024, 2048), False: (64, 128, 256, 512)}
"""Outputs of the four stages, with bottlenecks and without."""

EVONORMS = tuple(f"evonorm{name}" for name in ("b0", "b1", "b2", "s0", "s0a", "s1", "s1a", "s2", "s2a"))
NORMS = ("batchnorm", "groupnorm", "frntlu", *EVONORMS)
"""The B series uses batch statistics, the S series only the example's own; frntlu is arXiv 1911.09737."""


GROUPS = 32
"""Groups of channels that a group norm or an EvoNorm of the S series looks at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreActConfig:
    """Pre-activation ResNet of four stages; the base has 50 layers."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each of the four stages."""
    bottleneck: bool = True
    """Bottlenecks (depth 50 and more), not two 3x3 convolutions (18, 34)."""
    width: float = 1.0
    """Multiplier of all channels, rounded to multiples of 8."""
    deep_stem: bool = False
    """Stem of three 3x3 convolutions and averaged shortcuts, ResNet-D."""
    standardised: bool = False
    """Group norms and standardised weights: the BiT networks (arXiv 1912.11370), widths 1 to 4."""

    def __post_init__(self) -> None:
        depths_knob("a pre-activation ResNet", self.depths)
        switch_knob("bottleneck of a pre-activation ResNet", self.bottleneck)
        real_knob("width of a pre-activation ResNet", self.width, low=0.125, high=16.0)
        switch_knob("deep_stem of a pre-activation ResNet", self.deep_stem)
        switch_knob("standardised of a pre-activation ResNet", self.standardised)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvoNormConfig:
    """Pre-activation ResNet-D with any norm-activation layer; the base is timm's EvoNorm-S0."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks (bottlenecks) of each of the four stages."""
    width: float = 1.0
    """Multiplier of all channels, rounded to multiples of 8."""
    norm: str = "evonorms0"
    """Layer in place of norm and ReLU, one of `NORMS`."""

    def __post_init__(self) -> None:
        depths_knob("an EvoNorm ResNet", self.depths)
        real_knob("width of an EvoNorm ResNet", self.width, low=0.125, high=16.0)
        word_knob("norm of an EvoNorm ResNet", self.norm, NORMS)


_SIZES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_SIZES |= {200: (3, 24, 36, 3)}

VARIANTS = {
    **{f"preact-resnet-{d}": PreActConfig(depths=_SIZES[d], bottleneck=d > 34) for d in (50, 18, 34)},
    **{f"preact-resnet-{d}": PreActConfig(depths=_SIZES[d]) for d in (101, 152, 200)},
    **{
        f"preact-resnet-{d}d": PreActConfig(depths=_SIZES[d], bottleneck=d > 34, deep_stem=True)
        for d in (18, 34, 50, 101, 152)
    },
    **{
        f"preact-resnet-{d}x{w}-bit": PreActConfig(depths=_SIZES[d], width=w, standardised=True)
        for d, w in ((50, 1), (50, 3), (101, 1), (101, 3), (152, 2), (152, 4))
    },
}
EVONORM_VARIANTS = {
    "evonorm-50d-s0": EvoNormConfig(),
    "evonorm-50d-frn": EvoNormConfig(norm="frntlu"),
    "evonorm-50d-groupnorm": EvoNormConfig(norm="groupnorm"),
    "evonorm-50d-batchnorm": EvoNormConfig(norm="batchnorm"),
    **{f"evonorm-50d-{name[7:]}": EvoNormConfig(norm=name) for name in EVONORMS if name != "evonorms0"},
}

TIMM_NAMES = {
    **{f"preact-resnet-{d}": f"resnetv2_{d}" for d in (18, 34, 50, 101, 152)},
    **{f"preact-resnet-{d}d": f"resnetv2_{d}d" for d in (18, 34, 50, 101, 152)},
    **{f"preact-resnet-{f}-bit": f"resnetv2_{f}_bit" for f in ("50x1", "50x3", "101x1", "101x3", "152x2")},
    "evonorm-50d-s0": "resnetv2_50d_evos",
    "evonorm-50d-frn": "resnetv2_50d_frn",
    "evonorm-50d-groupnorm": "resnetv2_50d_gn",
    "evonorm-50d-batchnorm": "resnetv2_50d",
}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        IMGCLSMOB,
        {
            "preact-resnet-18": (224, 11.687848, 1.82056, 71.57),
            "preact-resnet-34": (224, 21.796008, 3.67283, 73.77),
            "preact-resnet-50": (224, 25.549480, 4.10797, 76.67),
            "preact-resnet-101": (224, 44.541608, 7.82797, 78.05),
            "preact-resnet-152": (224, 60.185256, 11.55187, 78.66),
            "preact-resnet-200": (224, 64.666280, 15.06863, 78.67),
        },
        digits=(6, 5),
        note=IMGCLSMOB_NOTE + "; 50 and deeper are its b rows, which stride in the 3x3 convolution as here",
    ),
    *table(
        "szagoruyko/wide-residual-networks:pretrained/README.md",
        {"preact-resnet-200": (224, 64.7, None, 78.34)},
        digits=(1, 2),
    ),
    *timm_table(
        {
            "preact-resnet-50": (224, 25.55, 4.11),
            "preact-resnet-101": (224, 44.54, 7.83),
            "preact-resnet-152": (224, 60.19, 11.55),
            "preact-resnet-50d": (224, 25.57, 4.35),
            "preact-resnet-101d": (224, 44.56, 8.07),
            "preact-resnet-152d": (224, 60.2, 11.8),
            "preact-resnet-50x1-bit": (224, 25.55, 4.23),
            "preact-resnet-101x1-bit": (224, 44.54, 8.04),
            "preact-resnet-50x3-bit": (224, 217.32, 37.06),
            "preact-resnet-101x3-bit": (224, 387.93, 71.23),
            "preact-resnet-152x2-bit": (224, 236.34, 46.95),
            "preact-resnet-152x4-bit": (224, 936.53, 186.9),
        },
        departs={
            "preact-resnet-50x1-bit": "fvcore counts group norms, and standardised weights on every pass"
        },
    ),
)
EVONORM_PUBLISHED = timm_table(
    {
        "evonorm-50d-s0": (224, 25.59, 4.33),
        "evonorm-50d-frn": (224, 25.59, 4.33),
        "evonorm-50d-groupnorm": (224, 25.57, 4.38),
    }
)


def _build(config: PreActConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    arguments: dict[str, object] = {
        "layers": config.depths,
        "channels": CHANNELS[config.bottleneck],
        "basic": not config.bottleneck,
        "bottle_ratio": 0.25 if config.bottleneck else 1.0,
        "width_factor": config.width,
    }
    if config.deep_stem:
        arguments |= {"stem_type": "deep", "avg_down": True}
    if config.standardised:
        layers = timm_module("resnetv2")
        arguments |= {
            "stem_type": "deep_fixed" if config.deep_stem else "fixed",
            "conv_layer": functools.partial(layers.StdConv2d, eps=1e-8),
            "norm_layer": functools.partial(layers.GroupNormAct, num_groups=32),
        }
    return create("resnetv2_50", in_channels, num_classes, **arguments)


def _norm(name: str) -> Callable[..., nn.Module]:
    """Return the maker of a norm-activation layer; where it has groups they are 32, or what divides both."""
    layer: Callable[..., nn.Module] = timm_module("resnetv2").get_norm_act_layer(name)
    if name == "groupnorm":
        argument = "num_groups"
    elif name.startswith("evonorms"):
        argument = "groups"
    else:
        return layer

    def make(channels: int, **factory: Any) -> nn.Module:
        return layer(channels, **{argument: math.gcd(channels, GROUPS)}, **factory)

    return make


def _build_evonorm(
    config: EvoNormConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    return create(
        "resnetv2_50d",
        in_channels,
        num_classes,
        layers=config.depths,
        width_factor=config.width,
        norm_layer=_norm(config.norm),
    )


_DEPTHS = "blocks of each of four stages, 1 to 200"
_WIDTH = "multiplier of all channels, 0.125 to 16"

FAMILIES = (
    timm_family(
        summary="pre-activation ResNet (arXiv 1603.05027), and BiT's form of it",
        names=Names(prefix="preact_resnet", config_class=PreActConfig, variants=VARIANTS),
        knobs={
            "depths": _DEPTHS,
            "bottleneck": "bottlenecks (depth 50 and more) or two 3x3 convolutions",
            "width": _WIDTH,
            "deep_stem": "stem of three 3x3 convolutions and averaged shortcuts",
            "standardised": "group norms and standardised weights, as BiT",
        },
        build=_build,
        systems=("pre-activation-resnet",),
        published=PUBLISHED,
    ),
    timm_family(
        summary="pre-activation ResNet-D with evolved normalisation-activation layers (arXiv 2004.02967)",
        names=Names(prefix="evonorm", config_class=EvoNormConfig, variants=EVONORM_VARIANTS),
        knobs={
            "depths": _DEPTHS,
            "width": _WIDTH,
            "norm": "layer in place of norm and ReLU: " + ", ".join(NORMS),
        },
        build=_build_evonorm,
        systems=("evonorm",),
        published=EVONORM_PUBLISHED,
    ),
)
