"""EfficientNetV2 with any blocks and channels a stage (arXiv 2104.00298); the network is timm's.

Stages 1 to 3 are convolutions without and with expansion ("fused"), 4 to 7 inverted residuals with
squeeze-excite. ``zoo.scaling.efficientnetv2`` interpolates between the published networks.
"""

import dataclasses
import functools
from dataclasses import dataclass

from torch import nn

from zoo.families.efficientnet import build_efficientnet
from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError
from zoo.scaling.efficientnetv2 import NETWORKS, V2Network

_BLOCKS = (
    "cn_r{repeats}_k3_s1_e1_c{channels}_skip",
    "er_r{repeats}_k3_s2_e4_c{channels}",
    "er_r{repeats}_k3_s2_e4_c{channels}",
    "ir_r{repeats}_k3_s2_e4_c{channels}_se0.25",
    "ir_r{repeats}_k3_s1_e6_c{channels}_se0.25",
    "ir_r{repeats}_k3_s2_e6_c{channels}_se0.25",
    "ir_r{repeats}_k3_s1_e6_c{channels}_se0.25",
)
"""The stages as timm writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetV2Config:
    """Blocks and channels of each stage; B0 unless said otherwise."""

    repeats: tuple[int, ...] = (1, 2, 2, 3, 5, 8, 0)
    """Blocks of the 7 stages; 0 leaves a stage out."""
    channels: tuple[int, ...] = (16, 32, 48, 96, 112, 192, 0)
    """Channels of the stages; 0 where there is none."""
    stem: int = 32
    """Channels of the first convolution."""
    head: int = 1280
    """Channels of the last one."""
    resolution: int = 224
    """Pixels a side it is evaluated at; any other works."""

    def __post_init__(self) -> None:
        for what, values in (("repeats", self.repeats), ("channels", self.channels)):
            if len(values) != len(_BLOCKS):
                raise ZooError(f"{what} of an EfficientNetV2 are {len(_BLOCKS)} numbers, got {values}")
        for index, (repeats, channels) in enumerate(zip(self.repeats, self.channels, strict=True)):
            least = 1 if index < len(_BLOCKS) - 1 else 0
            integer_knob(f"repeats of stage {index + 1} of an EfficientNetV2", repeats, low=least, high=200)
            here = f"channels of stage {index + 1} of an EfficientNetV2"
            integer_knob(here, channels, low=8 if repeats else 0, high=8192 if repeats else 0)
        integer_knob("stem of an EfficientNetV2", self.stem, low=8, high=1024)
        integer_knob("head of an EfficientNetV2", self.head, low=8, high=16384)
        integer_knob("resolution of an EfficientNetV2", self.resolution, low=32, high=4096)


def of_network(network: V2Network) -> EfficientNetV2Config:
    """Return the config of a network that ``zoo.scaling.efficientnetv2`` gave."""
    fields = (field.name for field in dataclasses.fields(EfficientNetV2Config))
    return EfficientNetV2Config(**{name: getattr(network, name) for name in fields})


VARIANTS = {f"efficientnetv2-{name}": of_network(network) for name, network in NETWORKS.items()} | {
    "efficientnetv2-xl": EfficientNetV2Config(
        repeats=(4, 8, 8, 16, 24, 32, 8),
        channels=(32, 64, 96, 192, 256, 512, 640),
        stem=32,
        head=1280,
        resolution=512,
    )
}

NAMES = Names(prefix="efficientnetv2", config_class=EfficientNetV2Config, variants=VARIANTS)


def _unchanged(channels: float) -> int:
    return int(channels)


def _build(
    config: EfficientNetV2Config, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    stages = [
        [block.format(repeats=repeats, channels=channels)]
        for block, repeats, channels in zip(_BLOCKS, config.repeats, config.channels, strict=True)
        if repeats
    ]
    return build_efficientnet(
        stages,
        depth=1.0,
        rounding="round",
        in_channels=in_channels,
        num_classes=num_classes,
        num_features=config.head,
        stem_size=config.stem,
        fix_stem=True,
        round_chs_fn=_unchanged,
        norm_layer=functools.partial(nn.BatchNorm2d, eps=1e-3),
    )


_README = "google/automl: efficientnetv2/README.md"
_TORCHVISION = "pytorch/vision: torchvision/models/efficientnet.py, weight metadata"
_TIMM = "timm: results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv"

_AUTOML = (
    ("b0", 7.1e6, 0.72e9, 5e6, 0.787),
    ("b1", 8.1e6, 1.2e9, 5e7, 0.798),
    ("b2", 10.1e6, 1.7e9, 5e7, 0.805),
    ("b3", 14.4e6, 3.0e9, 5e7, 0.821),
    ("s", 21.5e6, 8.4e9, 5e7, 0.839),
    ("m", 54.1e6, 24.7e9, 5e7, 0.852),
    ("l", 119.5e6, 56.3e9, 5e7, 0.857),
)
_EXACT = (("s", 21458488, 8.4e9, 384), ("m", 54139356, 24.6e9, 480), ("l", 118515272, 56.1e9, 480))

PUBLISHED = (
    *(
        Published(
            model=f"efficientnetv2-{name}",
            resolution=NETWORKS[name].resolution,
            source=_README,
            parameters=parameters,
            parameters_rounding=5e4,
            macs=macs,
            macs_rounding=half,
            top1=top1,
            note="the input size is that of effnetv2_configs.py",
        )
        for name, parameters, macs, half, top1 in _AUTOML
    ),
    *(
        Published(
            model=f"efficientnetv2-{name}",
            resolution=resolution,
            source=_TORCHVISION,
            parameters=parameters,
            macs=macs,
            macs_rounding=5e7,
        )
        for name, parameters, macs, resolution in _EXACT
    ),
    Published(
        model="efficientnetv2-xl",
        resolution=512,
        source=_TIMM,
        parameters=208.12e6,
        parameters_rounding=5e3,
        macs=93.85e9,
        macs_rounding=5e6,
        note="counts batch norms as well",
    ),
)

FAMILY = Family(
    name="efficientnetv2",
    summary="EfficientNetV2 with any blocks and channels a stage (arXiv 2104.00298)",
    example="efficientnetv2-b0",
    pattern_help="efficientnetv2-b0 to -b3, -s, -m, -l, -xl, or efficientnetv2-KNOBVALUE-...",
    knobs={
        "repeats": "blocks of the 7 stages, joined by +; 0 leaves the last one out",
        "channels": "channels of the 7 stages, joined by +",
        "stem": "channels of the first convolution, 8 to 1024",
        "head": "channels of the last convolution, 8 to 16384",
        "resolution": "pixels a side it is evaluated at, 32 to 4096",
    },
    parse=NAMES.parse,
    configure=EfficientNetV2Config,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: config.resolution,
    near=NAMES.near,
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
