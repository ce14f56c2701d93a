"""Inception-v4 and Inception-ResNet-v2 (arXiv 1602.07261): published points, the paper scales nothing."""

from dataclasses import dataclass

from torch import nn

from zoo.naming import Names
from zoo.timm_models import IMGCLSMOB, IMGCLSMOB_NOTE, create, table, timm_family, timm_table, word_knob

FORMS = ("v4", "resnet_v2")


@dataclass(frozen=True, slots=True, kw_only=True)
class InceptionConfig:
    """One of the paper's networks."""

    form: str = "v4"
    """``v4`` without shortcuts, ``resnet_v2`` with."""

    def __post_init__(self) -> None:
        word_knob("form of Inception", self.form, FORMS)


VARIANTS = {"inception-v4": InceptionConfig(), "inception-resnet-v2": InceptionConfig(form="resnet_v2")}

TIMM_NAMES = {"inception-v4": "inception_v4", "inception-resnet-v2": "inception_resnet_v2"}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        IMGCLSMOB,
        {
            "inception-v4": (299, 42.679816, 12.30493, 79.36),
            "inception-resnet-v2": (299, 55.843464, 13.18864, 80.07),
        },
        digits=(6, 5),
        note=IMGCLSMOB_NOTE,
    ),
    *timm_table({"inception-v4": (299, 42.68, 12.28), "inception-resnet-v2": (299, 55.84, 13.18)}),
)


def _build(config: InceptionConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(f"inception_{config.form}", in_channels, num_classes)


FAMILY = timm_family(
    summary="Inception-v4 and Inception-ResNet-v2 (arXiv 1602.07261)",
    names=Names(prefix="inception", config_class=InceptionConfig, variants=VARIANTS),
    knobs={"form": "v4, or resnet_v2 with shortcuts"},
    build=_build,
    systems=("inception-v4",),
    published=PUBLISHED,
    resolution=299,
)
