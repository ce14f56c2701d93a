"""GoogLeNet through torchvision (Inception v1, arXiv 1409.4842), untrained.

The paper defines one network and no scaling. The two auxiliary classifiers that its authors trained with
are left out: they are not part of what answers. torchvision's differs from the paper's in three known
points: batch norms, no local response normalisation, and 3x3 in place of 5x5 convolutions (its checkpoint
was made so).
"""

from dataclasses import dataclass

from torch import nn

from zoo.families.timm_bridge import declare_torchvision_ops
from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

LEAST_RESOLUTION = 15
"""Pixels a side, by torchvision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogLeNetConfig:
    """The network as it answers."""

    dropout: float = 0.2
    """Share of the features that training drops before the classifier."""

    def __post_init__(self) -> None:
        real_knob("dropout of a GoogLeNet", self.dropout, low=0.0, high=0.95)


def _build(config: GoogLeNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    if resolution is not None and resolution < LEAST_RESOLUTION:
        raise ZooError(f"GoogLeNet needs at least {LEAST_RESOLUTION} pixels a side, got {resolution}")
    declare_torchvision_ops()
    from torchvision.models import GoogLeNet
    from torchvision.models.googlenet import BasicConv2d

    network = GoogLeNet(num_classes=num_classes, aux_logits=False, init_weights=False, dropout=config.dropout)
    if in_channels != 3:
        network.conv1 = BasicConv2d(in_channels, 64, kernel_size=7, stride=2, padding=3)
    return network


VARIANTS: dict[str, GoogLeNetConfig] = {
    "googlenet": GoogLeNetConfig(),
}

PUBLISHED: tuple[Published, ...] = (
    Published(
        model="googlenet",
        resolution=224,
        source="torchvision 0.28, GoogLeNet_Weights.IMAGENET1K_V1.meta",
        parameters=6_624_904,
        macs=1.498e9,
        macs_rounding=5e5,
        top1=0.69778,
        note="the source's _ops are multiply-adds",
    ),
)

NAMES = Names(prefix="googlenet", config_class=GoogLeNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="inception_v1",
    summary="Inception v1 of torchvision (arXiv 1409.4842)",
    example="googlenet",
    pattern_help="googlenet, or googlenet-dropoutSHARE",
    knobs={
        "dropout": "share dropped before the classifier in training, 0 to 0.95",
    },
    parse=NAMES.parse,
    configure=GoogLeNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: 224,
    near=NAMES.near,
    systems=("googlenet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
