"""Dual path networks: a residual path that adds and a dense path that concatenates (arXiv 1707.01629)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.registry import ZooError
from zoo.timm_models import (
    IMGCLSMOB,
    IMGCLSMOB_NOTE,
    create,
    depths_knob,
    integers_knob,
    switch_knob,
    table,
    timm_family,
    timm_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DPNConfig:
    """DPN of four stages; the base is DPN-92."""

    depths: tuple[int, ...] = (3, 4, 20, 3)
    """Blocks of each of the four stages (``k_sec``)."""
    increments: tuple[int, ...] = (16, 32, 24, 128)
    """Channels that a block adds to the dense path, by stage (``inc_sec``)."""
    width: int = 96
    """Inner channels of a block in the first stage (``k_r``); doubles with each stage."""
    groups: int = 32
    """Groups of the 3x3 convolutions."""
    stem: int = 64
    """Channels of the stem."""
    small: bool = False
    """A quarter of the residual path's channels and a 3x3 stem: DPN-68."""
    split: bool = False
    """The last convolution of a block as two, after one norm (the b form)."""

    def __post_init__(self) -> None:
        depths_knob("DPN", self.depths)
        integers_knob("increments of DPN", self.increments, count=4, low=1, high=1024)
        integer_knob("width of DPN", self.width, low=1, high=1024)
        integer_knob("groups of DPN", self.groups, low=1, high=1024)
        integer_knob("stem of DPN", self.stem, low=1, high=1024)
        switch_knob("small of DPN", self.small)
        switch_knob("split of DPN", self.split)
        if self.width % self.groups:
            raise ZooError(
                f"width of DPN must be a multiple of its groups, got {self.width} and {self.groups}"
            )


_SMALL = DPNConfig(
    depths=(3, 4, 12, 3), increments=(16, 32, 32, 64), width=128, groups=32, stem=10, small=True
)
VARIANTS = {
    "dpn-92": DPNConfig(),
    "dpn-68": _SMALL,
    "dpn-68b": DPNConfig(
        depths=_SMALL.depths,
        increments=_SMALL.increments,
        width=128,
        groups=32,
        stem=10,
        small=True,
        split=True,
    ),
    "dpn-98": DPNConfig(depths=(3, 6, 20, 3), increments=(16, 32, 32, 128), width=160, groups=40, stem=96),
    "dpn-107": DPNConfig(depths=(4, 8, 20, 3), increments=(20, 64, 64, 128), width=200, groups=50, stem=128),
    "dpn-131": DPNConfig(depths=(4, 8, 28, 3), increments=(16, 32, 32, 128), width=160, groups=40, stem=128),
}

TIMM_NAMES = {f"dpn-{size}": f"dpn{size}" for size in ("68", "68b", "92", "98", "107", "131")}
"""Variant -> timm's name of the same network."""


PUBLISHED = (
    *table(
        "cypw/DPNs:README.md",
        {
            "dpn-68": (224, None, 2.5, 76.43),
            "dpn-92": (224, None, 6.5, 79.27),
            "dpn-98": (224, None, 11.7, 79.85),
            "dpn-131": (224, None, 16.0, 80.07),
            "dpn-107": (224, None, 18.3, 80.25),
        },
        digits=(0, 1),
        note="sizes there are of files; DPN-107's accuracy is after ImageNet-5k",
        departs={"dpn-68": "2.5 G there; imgclsmob and timm count 2.35 G for the released network, as here"},
    ),
    *table(
        IMGCLSMOB,
        {
            "dpn-68": (224, 12.611602, 2.35184, 75.83),
            "dpn-98": (224, 61.570728, 11.71651, 79.19),
            "dpn-131": (224, 79.254504, 16.07615, 79.46),
        },
        digits=(6, 5),
        note=IMGCLSMOB_NOTE,
    ),
    *timm_table(
        {
            "dpn-68": (224, 12.61, 2.35),
            "dpn-68b": (224, 12.61, 2.35),
            "dpn-92": (224, 37.67, 6.54),
            "dpn-98": (224, 61.57, 11.73),
            "dpn-107": (224, 86.92, 18.38),
            "dpn-131": (224, 79.25, 16.09),
        }
    ),
)


def _build(config: DPNConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(
        "dpn92",
        in_channels,
        num_classes,
        k_sec=config.depths,
        inc_sec=config.increments,
        k_r=config.width,
        groups=config.groups,
        num_init_features=config.stem,
        small=config.small,
        b=config.split,
    )


FAMILY = timm_family(
    summary="dual path network: residual and dense paths in one block (arXiv 1707.01629)",
    names=Names(prefix="dpn", config_class=DPNConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of each of four stages, 1 to 200",
        "increments": "channels that a block adds to the dense path, by stage",
        "width": "inner channels of a block in the first stage, a multiple of groups",
        "groups": "groups of the 3x3 convolutions, 1 to 1024",
        "stem": "channels of the stem, 1 to 1024",
        "small": "a quarter of the residual path's channels, 3x3 stem",
        "split": "the last convolution of a block as two (the b form)",
    },
    build=_build,
    systems=("dpn",),
    published=PUBLISHED,
)
