"""Wide ResNet at ImageNet size: bottlenecks with wider inner 3x3 convolutions (arXiv 1605.07146)."""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.timm_models import IMGCLSMOB, IMGCLSMOB_NOTE, create, depths_knob, table, timm_family, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNetWideResNetConfig:
    """ResNet bottlenecks, ``width`` times as wide inside; the base is WRN-50-2-bottleneck."""

    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each of the four stages: 3+4+6+3 is depth 50, 3+4+23+3 is 101."""
    width: float = 2.0
    """Multiplier of the inner channels of a bottleneck; 1 is ResNet. Outer channels stay."""

    def __post_init__(self) -> None:
        depths_knob("an ImageNet wide ResNet", self.depths)
        real_knob("width of an ImageNet wide ResNet", self.width, low=0.125, high=32.0)


VARIANTS = {
    "wide-resnet-50-2": ImageNetWideResNetConfig(),
    "wide-resnet-101-2": ImageNetWideResNetConfig(depths=(3, 4, 23, 3)),
}

TIMM_NAMES = {"wide-resnet-50-2": "wide_resnet50_2", "wide-resnet-101-2": "wide_resnet101_2"}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "szagoruyko/wide-residual-networks:pretrained/README.md",
        {"wide-resnet-50-2": (224, 68.9, None, 78.1)},
        digits=(1, 2),
    ),
    *table(
        IMGCLSMOB,
        {"wide-resnet-50-2": (224, 68.849128, 11.40542, 77.47)},
        digits=(6, 5),
        note=IMGCLSMOB_NOTE,
    ),
    *table(
        "open-mmlab/mmpretrain:configs/wrn/metafile.yml",
        {"wide-resnet-50-2": (224, 68.88, 11.44, 78.48), "wide-resnet-101-2": (224, 126.89, 22.81, 78.84)},
        note="FLOPs there are multiply-adds plus norms, activations and pooling",
    ),
    *timm_table({"wide-resnet-50-2": (224, 68.88, 11.43), "wide-resnet-101-2": (224, 126.89, 22.8)}),
)


def _build(
    config: ImageNetWideResNetConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    return create(
        "wide_resnet50_2", in_channels, num_classes, layers=config.depths, base_width=64 * config.width
    )


FAMILY = timm_family(
    summary="wide ResNet of bottlenecks for ImageNet (arXiv 1605.07146)",
    names=Names(prefix="imagenet_wide_resnet", config_class=ImageNetWideResNetConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of each of four stages, 1 to 200: 3+4+6+3 is depth 50",
        "width": "multiplier of the inner channels of a bottleneck, 0.125 to 32",
    },
    build=_build,
    systems=("wide-resnet",),
    published=PUBLISHED,
)
