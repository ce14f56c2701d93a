"""SimpleNet: thirteen plain layers, for small images and for ImageNet (arXiv 1608.06037).

Convolution, batch norm, ReLU thirteen times (3x3 but for, mostly, the eleventh and twelfth, which are 1x1),
max pools between, global max, linear layer. ``width`` scales all channels; the ImageNet forms differ in how
early their first layers halve the resolution (``m1`` sooner, ``m2`` later). The 1x1 convolutions are not
padded, as in the authors' Caffe definition and in their cost tables; one of their PyTorch files pads them.
"""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

LAYERS = 13
_TABLES = "Coderx7/SimpleNet_Pytorch, ImageNet/training_scripts/imagenet_training/results/"
_NORMAL = _TABLES + "bench_infer_GTX1080_fp32_normal_t1.11_NCHW_acc.csv"
_SMALL = _TABLES + "bench_infer_GTX1080_fp32_small_t1.11_NCHW_amp_acc.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleNetConfig:
    """One SimpleNet; the defaults are the ImageNet form of 5.75 M parameters that halves late."""

    channels: tuple[int, ...] = (64, 128, 128, 128, 128, 128, 256, 256, 256, 512, 2048, 256, 256)
    """Of the thirteen layers, at width 1."""
    width: float = 1.0
    """Multiplier of all channels."""
    strides: tuple[int, ...] = (2, 2, 1, 2)
    """Of the first layers; 1 beyond."""
    pools: tuple[int, ...] = (6, 10)
    """Layers, from 1, behind which a 2x2 max pool comes."""
    pointwise: tuple[int, ...] = (11, 12)
    """Layers, from 1, whose convolutions are 1x1; 3x3 are the others."""
    dropout: float = 0.0
    """Share of the channels that training drops behind each layer but the first."""

    def __post_init__(self) -> None:
        if len(self.channels) != LAYERS:
            raise ZooError(f"channels of a SimpleNet are {LAYERS} numbers, got {len(self.channels)}")
        for channels in self.channels:
            integer_knob("channels of a SimpleNet layer", channels, low=1, high=65_536)
        real_knob("width of a SimpleNet", self.width, low=1 / 64, high=32.0)
        if not 1 <= len(self.strides) <= LAYERS:
            raise ZooError(f"strides of a SimpleNet are 1 to {LAYERS} numbers, got {len(self.strides)}")
        for stride in self.strides:
            integer_knob("stride of a SimpleNet layer", stride, low=1, high=2)
        for what, layers in (("pools", self.pools), ("pointwise", self.pointwise)):
            for layer in layers:
                integer_knob(f"{what} of a SimpleNet", layer, low=1, high=LAYERS)
            if list(layers) != sorted(set(layers)) or not layers:
                raise ZooError(f"{what} of a SimpleNet are rising numbers of layers, got {layers}")
        real_knob("dropout of a SimpleNet", self.dropout, low=0.0, high=0.9)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels that are built: rounded to the nearest, at least 1."""
        return tuple(max(1, round(channels * self.width)) for channels in self.channels)

    def side(self, resolution: int) -> int:
        """Return the pixels a side in front of the global max pool, 0 or less where nothing is left."""
        side = resolution
        for layer in range(1, LAYERS + 1):
            stride = self.strides[layer - 1] if layer <= len(self.strides) else 1
            side = -(-side // stride)
            if layer in self.pools:
                side //= 2
            if side < 1:
                return 0
        return side

    @property
    def least_resolution(self) -> int:
        """Pixels a side below which nothing would be left."""
        return next(resolution for resolution in range(1, 1 << 30) if self.side(resolution) > 0)


class SimpleNet(nn.Module):
    """The thirteen layers with their pools, global max, linear layer."""

    def __init__(self, config: SimpleNetConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = in_channels
        for layer, outputs in enumerate(config.widths, start=1):
            stride = config.strides[layer - 1] if layer <= len(config.strides) else 1
            kernel = 1 if layer in config.pointwise else 3
            conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
            nn.init.xavier_uniform_(conv.weight, gain=nn.init.calculate_gain("relu"))
            layers += [conv, nn.BatchNorm2d(outputs, momentum=0.05), nn.ReLU()]
            if config.dropout and layer > 1:
                layers.append(nn.Dropout2d(config.dropout))
            if layer in config.pools:
                layers.append(nn.MaxPool2d(2))
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(self.layers(images).amax(dim=(2, 3)))


def _build(config: SimpleNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    if resolution is not None and config.side(resolution) < 1:
        raise ZooError(
            f"{NAMES.format(config)} needs at least {config.least_resolution} pixels a side, got {resolution}"
        )
    return SimpleNet(config, in_channels, num_classes)


_SOONER, _LATER = (2, 2, 2), (2, 2, 1, 2)
_WIDE = (128, 192, 192, 192, 192, 192, 320, 320, 320, 640, 2560, 320, 320)
_CIFAR_POOLS = (4, 7, 9, 12)


def _cifar(*channels: int, pointwise: tuple[int, ...] = (11, 12)) -> SimpleNetConfig:
    return SimpleNetConfig(channels=channels, strides=(1,), pools=_CIFAR_POOLS, pointwise=pointwise)


VARIANTS: dict[str, SimpleNetConfig] = {
    "simplenetv1-5m-m2": SimpleNetConfig(strides=_LATER),
    "simplenetv1-5m-m1": SimpleNetConfig(strides=_SOONER),
    "simplenetv1-small-m1-0.5": SimpleNetConfig(width=0.5, strides=_SOONER),
    "simplenetv1-small-m2-0.5": SimpleNetConfig(width=0.5, strides=_LATER),
    "simplenetv1-small-m1-0.75": SimpleNetConfig(width=0.75, strides=_SOONER),
    "simplenetv1-small-m2-0.75": SimpleNetConfig(width=0.75, strides=_LATER),
    "simplenetv1-9m-m1": SimpleNetConfig(channels=_WIDE, strides=_SOONER),
    "simplenetv1-9m-m2": SimpleNetConfig(channels=_WIDE, strides=_LATER),
    "simplenet-cifar-5m": _cifar(64, 128, 128, 128, 128, 128, 256, 256, 256, 512, 2048, 256, 256),
    "simplenet-cifar-310k": _cifar(64, 32, 32, 32, 32, 32, 64, 64, 64, 128, 256, 64, 64),
    # As in its training log (SimpleNet, Logs/CIfar10/Slim_version_460KParam): here the last layer is the 1x1.
    "simplenet-cifar-460k": _cifar(32, 32, 32, 64, 64, 64, 64, 64, 64, 96, 96, 96, 100, pointwise=(13,)),
}


def _imagenet(model: str, parameters: float, macs: float, top1: float, source: str = _NORMAL) -> Published:
    return Published(
        model=f"simplenetv1-{model}",
        resolution=224,
        source=source,
        parameters=parameters * 1e6,
        parameters_rounding=5e3,
        macs=macs * 1e9,
        macs_rounding=5e6,
        top1=top1,
    )


def _small_images(
    model: str, parameters: float, rounding: float, top1: float, macs: float | None = None
) -> Published:
    return Published(
        model=f"simplenet-cifar-{model}",
        resolution=32,
        source="Coderx7/SimpleNet, README.md, tables 1, 2 and 6",
        parameters=parameters,
        parameters_rounding=rounding,
        macs=macs,
        macs_rounding=5e5 if macs else 0.0,
        top1=top1,
        dataset="cifar10",
        classes=10,
    )


PUBLISHED: tuple[Published, ...] = (
    _imagenet("small-m1-0.5", 1.51, 0.34, 0.61122, _SMALL),
    _imagenet("small-m2-0.5", 1.51, 0.43, 0.6167, _SMALL),
    _imagenet("small-m1-0.75", 3.29, 0.76, 0.67784),
    _imagenet("small-m2-0.75", 3.29, 0.96, 0.68506),
    _imagenet("5m-m1", 5.75, 1.35, 0.71548),
    _imagenet("5m-m2", 5.75, 1.69, 0.7203),
    _imagenet("9m-m1", 9.51, 2.78, 0.73792),
    _imagenet("9m-m2", 9.51, 3.56, 0.7423),
    _small_images("5m", 5.48e6, 5e3, 0.9532, 652e6),
    _small_images("310k", 310e3, 5e3, 0.9198),
    _small_images("460k", 460e3, 5e3, 0.9233),
)

NAMES = Names(prefix="simplenet", config_class=SimpleNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="simplenet",
    summary="thirteen plain layers for small images and ImageNet (arXiv 1608.06037)",
    example="simplenetv1-5m-m2",
    pattern_help="simplenetv1-5m-m1 and others, simplenet-cifar-5m and others, or simplenet-KNOBVALUE...",
    knobs={
        "channels": "channels of the thirteen layers, joined by +",
        "width": "multiplier of the channels, 1/64 to 32",
        "strides": "of the first layers, 1 or 2, joined by +",
        "pools": "layers behind which a max pool comes, joined by +",
        "pointwise": "layers whose convolutions are 1x1, joined by +",
        "dropout": "share of channels dropped behind each layer in training, 0 to 0.9",
    },
    parse=NAMES.parse,
    configure=SimpleNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: (
        224 if 2 in config.strides else max(native, config.least_resolution)
    ),
    near=NAMES.near,
    systems=("simplenet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
