"""CSPNet: half of a stage's features pass its blocks, the other half goes around them (arXiv 1911.11929).

Around ResNet-50, ResNeXt-50 and DarkNet-53, as timm builds them; ``cross`` off is the plain DarkNet-53 that
the paper compares with (its other comparators: ``resnext-50-32x4d`` and ``timm:resnet50``).
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.registry import ZooError
from zoo.timm_models import create, switch_knob, table, timm_family, timm_module, timm_table, word_knob

BACKBONES = {
    "darknet53": "cspdarknet53",
    "resnet50": "cspresnet50",
    "resnet50d": "cspresnet50d",
    "resnet50w": "cspresnet50w",
    "resnext50": "cspresnext50",
    "cs3darknet": "cs3darknet_l",
    "cs3darknet_focus": "cs3darknet_focus_l",
}
"""Word -> timm's model of base size; the last two have one transition, three convolutions in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CSPNetConfig:
    """A backbone with cross-stage partial stages; the base is CSPDarkNet-53."""

    backbone: str = "darknet53"
    """What the stages are made of, one of `BACKBONES`."""
    ratio: float = 1.0
    """Channels of both paths of a stage, over the published number: the paper's partial ratio, scaled."""
    width: float = 1.0
    """Multiplier of all channels, rounded to multiples of 8."""
    depth: float = 1.0
    """Multiplier of the blocks of each stage, rounded down, at least 1."""
    cross: bool = True
    """Off: all features pass the blocks. Of darknet53 only."""

    def __post_init__(self) -> None:
        word_knob("backbone of CSPNet", self.backbone, tuple(BACKBONES))
        real_knob("ratio of CSPNet", self.ratio, low=0.125, high=4.0)
        real_knob("width of CSPNet", self.width, low=0.125, high=8.0)
        real_knob("depth of CSPNet", self.depth, low=0.125, high=8.0)
        switch_knob("cross of CSPNet", self.cross)
        if not self.cross and (self.backbone != "darknet53" or self.ratio != 1.0):
            raise ZooError(
                "CSPNet without cross stages is DarkNet-53, at ratio 1; plain ResNeXt is resnext-50-32x4d, "
                f"got {self.backbone} at ratio {self.ratio}"
            )


VARIANTS = {
    "cspdarknet-53": CSPNetConfig(),
    "darknet-53": CSPNetConfig(cross=False),
    "cspresnet-50": CSPNetConfig(backbone="resnet50"),
    "cspresnet-50d": CSPNetConfig(backbone="resnet50d"),
    "cspresnet-50w": CSPNetConfig(backbone="resnet50w"),
    "cspresnext-50": CSPNetConfig(backbone="resnext50"),
    "cs3darknet-s": CSPNetConfig(backbone="cs3darknet", width=0.5, depth=0.5),
    "cs3darknet-m": CSPNetConfig(backbone="cs3darknet", width=0.75, depth=0.67),
    "cs3darknet-l": CSPNetConfig(backbone="cs3darknet"),
    "cs3darknet-x": CSPNetConfig(backbone="cs3darknet", width=1.25, depth=1.33),
    "cs3darknet-focus-s": CSPNetConfig(backbone="cs3darknet_focus", width=0.5, depth=0.5),
    "cs3darknet-focus-m": CSPNetConfig(backbone="cs3darknet_focus", width=0.75, depth=0.67),
    "cs3darknet-focus-l": CSPNetConfig(backbone="cs3darknet_focus"),
}

TIMM_NAMES = {
    "cspdarknet-53": "cspdarknet53",
    "darknet-53": "darknet53",
    "cspresnet-50": "cspresnet50",
    "cspresnet-50d": "cspresnet50d",
    "cspresnet-50w": "cspresnet50w",
    "cspresnext-50": "cspresnext50",
    **{f"cs3darknet-{size}": f"cs3darknet_{size}" for size in "smlx"},
    **{f"cs3darknet-focus-{size}": f"cs3darknet_focus_{size}" for size in "sml"},
}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "WongKinYiu/CrossStagePartialNetworks:README.md",
        {
            "darknet-53": (256, 41.57, 9.285, 77.2),
            "cspdarknet-53": (256, 27.61, 6.535, 77.2),
            "cspresnet-50": (256, 21.57, 4.485, 76.6),
            "cspresnext-50": (256, 20.50, 3.965, 77.9),
        },
        digits=(2, 2),
        note="BFLOPs there count a multiply-add as two",
    ),
    *table(
        "open-mmlab/mmpretrain:configs/cspnet/metafile.yml",
        {
            "cspdarknet-53": (224, 27.64, 5.04, 80.05),
            "cspresnet-50": (224, 21.62, 3.48, 79.55),
            "cspresnext-50": (224, 20.57, 3.11, 79.96),
        },
        note="FLOPs there are multiply-adds plus norms, activations and pooling",
    ),
    *timm_table(
        {
            "cspdarknet-53": (256, 27.64, 6.57),
            "darknet-53": (256, 41.61, 9.31),
            "cspresnet-50": (256, 21.62, 4.54),
            "cspresnet-50d": (256, 21.64, 4.86),
            "cspresnet-50w": (256, 28.12, 5.04),
            "cspresnext-50": (256, 20.57, 4.05),
            "cs3darknet-s": (256, 3.28, 0.72),
            "cs3darknet-m": (256, 9.31, 2.08),
            "cs3darknet-l": (256, 21.16, 4.86),
            "cs3darknet-x": (256, 35.05, 8.38),
            "cs3darknet-focus-s": (256, 3.27, 0.69),
            "cs3darknet-focus-m": (256, 9.3, 1.98),
            "cs3darknet-focus-l": (256, 21.15, 4.66),
        }
    ),
)


def _scaled(config: CSPNetConfig, channels: Any) -> Any:
    """Return one number of channels, or each of a tuple, at the width; the published ones stay."""
    if isinstance(channels, tuple):
        return tuple(_scaled(config, one) for one in channels)
    if config.width == 1.0:
        return channels
    return timm_module("cspnet").make_divisible(channels * config.width)


def _stages(config: CSPNetConfig, stages: Any) -> Any:
    """Return timm's description of the stages with the knobs applied.

    Raises:
        ZooError: a path would have a part of a channel, or a part of a group of its convolutions.
    """
    outputs = _scaled(config, stages.out_chs)
    changes: dict[str, Any] = {
        "out_chs": outputs,
        "depth": tuple(max(1, int(depth * config.depth)) for depth in stages.depth),
    }
    if not config.cross:
        changes |= {"stage_type": ("dark",) * 5, "bottle_ratio": (0.5,) * 5, "block_ratio": (1.0,) * 5}
    elif config.ratio != 1.0:
        expand = tuple(one * config.ratio for one in stages.expand_ratio)
        for channels, factor, groups in zip(outputs, expand, stages.groups, strict=True):
            if channels * factor % (2 * groups):
                raise ZooError(
                    f"ratio of CSPNet must make both paths of {channels} channels alike, of whole channels "
                    f"and {groups} groups; got {config.ratio}"
                )
        # A path's blocks add to what they are given: they have as many channels.
        changes |= {"expand_ratio": expand, "block_ratio": tuple(factor / 2 for factor in expand)}
    return dataclasses.replace(stages, **changes)


def _build(config: CSPNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    entry = BACKBONES[config.backbone]
    base = timm_module("cspnet").model_cfgs[entry]
    return create(
        entry,
        in_channels,
        num_classes,
        stem=dataclasses.replace(base.stem, out_chs=_scaled(config, base.stem.out_chs)),
        stages=_stages(config, base.stages),
    )


FAMILY = timm_family(
    summary="stages that half of the features go around (arXiv 1911.11929)",
    names=Names(prefix="cspnet", config_class=CSPNetConfig, variants=VARIANTS),
    knobs={
        "backbone": "what the stages are made of: " + ", ".join(BACKBONES),
        "ratio": "channels of both paths of a stage over the published number, 0.125 to 4",
        "width": "multiplier of all channels, 0.125 to 8",
        "depth": "multiplier of the blocks of each stage, 0.125 to 8",
        "cross": "off: the plain DarkNet-53",
    },
    build=_build,
    systems=("cspnet",),
    published=PUBLISHED,
    resolution=256,
)
