"""HarDNet: harmonic dense network, which reads few feature maps (arXiv 1909.00948).

Layer i of a block reads the layers i - 2^k for every 2^k that divides i, so that far fewer outputs stay
alive than in a DenseNet; layers that many read are wider by ``multiplier`` for each such power.
A block hands on its odd layers and its last, through a 1x1 convolution. The depthwise variants (``ds``) make
each layer of a pointwise and a depthwise convolution, and reduce the resolution by depthwise convolutions.
"""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published, Status
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

_REPOSITORY = "PingoLH/Pytorch-HarDNet, README.md"
_PYTORCHCV = "pytorchcv 0.0.74, models/hardnet.py: weight counts asserted there, macs counted on its modules"


@dataclass(frozen=True, slots=True, kw_only=True)
class HarDNetConfig:
    """One HarDNet; the defaults are HarDNet-68."""

    stem: int = 64
    """Channels of the second convolution; the first has half of them."""
    layers: tuple[int, ...] = (8, 16, 16, 16, 4)
    """Layers of each block."""
    growth: tuple[int, ...] = (14, 16, 20, 40, 160)
    """Growth rate k of each block: channels of the layers that one other reads."""
    channels: tuple[int, ...] = (128, 256, 320, 640, 1024)
    """Channels of the 1x1 convolution behind each block."""
    halve: tuple[int, ...] = (1, 0, 1, 1, 0)
    """1 where the resolution is halved behind the block."""
    multiplier: float = 1.7
    """m: a layer whose number 2^n divides has m^n times the growth rate."""
    depthwise: bool = False
    """Whether the layers are pointwise and depthwise convolutions."""
    dropout: float = 0.1
    """Share of the features that training drops before the classifier."""
    block_dropout: float = 0.0
    """Share that training drops behind the last block."""

    def __post_init__(self) -> None:
        integer_knob("stem of a HarDNet", self.stem, low=2, high=4096)
        blocks = len(self.layers)
        if not 1 <= blocks <= 16 or any(
            len(other) != blocks for other in (self.growth, self.channels, self.halve)
        ):
            raise ZooError(
                "a HarDNet needs layers, growth, channels and halve of one length, 1 to 16; got lengths "
                f"{blocks}, {len(self.growth)}, {len(self.channels)}, {len(self.halve)}"
            )
        for count, growth, channels, halve in zip(
            self.layers, self.growth, self.channels, self.halve, strict=True
        ):
            integer_knob("layers of a HarDNet block", count, low=1, high=512)
            integer_knob("growth of a HarDNet block", growth, low=1, high=4096)
            integer_knob("channels of a HarDNet block", channels, low=1, high=65_536)
            integer_knob("halve of a HarDNet block", halve, low=0, high=1)
        real_knob("multiplier of a HarDNet", self.multiplier, low=1.0, high=4.0)
        for what in ("dropout", "block_dropout"):
            real_knob(f"{what} of a HarDNet", getattr(self, what), low=0.0, high=0.9)

    @property
    def stride(self) -> int:
        """Pixels of the image for one of the last feature map, a side."""
        return int(4 * 2 ** sum(self.halve))


def links(layer: int) -> tuple[int, ...]:
    """Return the layers that layer ``layer`` (1, 2, ...; 0 is the block's input) reads, nearest first.

    >>> links(1), links(6), links(8)
    ((0,), (5, 4), (7, 6, 4, 0))
    """
    powers = (2**k for k in range(layer.bit_length()))
    return tuple(layer - power for power in powers if layer % power == 0)


def layer_channels(layer: int, inputs: int, growth: int, multiplier: float) -> int:
    """Return the channels of a layer: growth times multiplier^n, 2^n the largest that divides; made even."""
    if layer == 0:
        return inputs
    channels = float(growth)
    for _power in range(len(links(layer)) - 1):
        channels *= multiplier
    return int(int(channels + 1) / 2) * 2


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


def _depthwise(channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
    )


class Block(nn.Module):
    """Harmonic dense block: layers, each of which reads the layers that `links` says."""

    def __init__(
        self, inputs: int, layers: int, growth: int, multiplier: float, *, depthwise: bool = False
    ) -> None:
        super().__init__()
        channels = [layer_channels(i, inputs, growth, multiplier) for i in range(layers + 1)]
        if min(channels) < 1:
            raise ZooError(f"growth {growth} leaves a layer of a HarDNet without channels; raise it to 2")
        self.layers = nn.ModuleList()
        for layer in range(1, layers + 1):
            read = sum(channels[source] for source in links(layer))
            if depthwise:
                made = nn.Sequential(_conv(read, channels[layer], 1), _depthwise(channels[layer], 1))
            else:
                made = _conv(read, channels[layer], 3)
            self.layers.append(made)
        self.handed_on = tuple(i for i in range(1, layers + 1) if i % 2 or i == layers)
        self.channels = sum(channels[i] for i in self.handed_on)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels at the same size."""
        outputs = [images]
        for number, layer in enumerate(self.layers, start=1):
            read = [outputs[source] for source in links(number)]
            outputs.append(layer(torch.cat(read, dim=1) if len(read) > 1 else read[0]))
        return torch.cat([outputs[i] for i in self.handed_on], dim=1)


class HarDNet(nn.Module):
    """Stem, blocks with their 1x1 convolutions, global average, linear layer."""

    def __init__(self, config: HarDNetConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        deep = config.depthwise
        self.stem = nn.Sequential(
            _conv(in_channels, config.stem // 2, 3, stride=2),
            _conv(config.stem // 2, config.stem, 1 if deep else 3),
            _depthwise(config.stem, 2) if deep else nn.MaxPool2d(3, stride=2, padding=1),
        )
        stages: list[nn.Module] = []
        inputs, last = config.stem, len(config.layers) - 1
        for index, (layers, growth, channels) in enumerate(
            zip(config.layers, config.growth, config.channels, strict=True)
        ):
            block = Block(inputs, layers, growth, config.multiplier, depthwise=deep)
            stages.append(block)
            if index == last and config.block_dropout:
                stages.append(nn.Dropout(config.block_dropout))
            stages.append(_conv(block.channels, channels, 1))
            if config.halve[index]:
                stages.append(_depthwise(channels, 2) if deep else nn.MaxPool2d(2))
            inputs = channels
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(self.dropout(self.stages(self.stem(images)).mean(dim=(2, 3))))


def _build(config: HarDNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    if resolution is not None and resolution < config.stride:
        raise ZooError(
            f"{NAMES.format(config)} needs at least {config.stride} pixels a side, got {resolution}"
        )
    return HarDNet(config, in_channels, num_classes)


VARIANTS: dict[str, HarDNetConfig] = {
    "hardnet-68": HarDNetConfig(),
    "hardnet-85": HarDNetConfig(
        stem=96,
        layers=(8, 16, 16, 16, 16, 4),
        growth=(24, 24, 28, 36, 48, 256),
        channels=(192, 256, 320, 480, 720, 1280),
        halve=(1, 0, 1, 0, 1, 0),
        dropout=0.2,
        block_dropout=0.1,
    ),
    "hardnet-39ds": HarDNetConfig(
        stem=48,
        layers=(4, 16, 8, 4),
        growth=(16, 20, 64, 160),
        channels=(96, 320, 640, 1024),
        halve=(1, 1, 1, 0),
        multiplier=1.6,
        depthwise=True,
        dropout=0.05,
    ),
    "hardnet-68ds": HarDNetConfig(depthwise=True, dropout=0.05),
}


def _seen(model: str, parameters: float, macs: float, macs_rounding: float, top1: float) -> Published:
    return Published(
        model=model,
        resolution=224,
        source=_REPOSITORY,
        parameters=parameters,
        parameters_rounding=5e4,
        macs=macs,
        macs_rounding=macs_rounding,
        top1=top1,
    )


def _counted(model: str, parameters: int, macs: int) -> Published:
    return Published(
        model=model,
        resolution=224,
        source=_PYTORCHCV,
        status=Status.DERIVED,
        parameters=parameters,
        macs=macs,
    )


PUBLISHED: tuple[Published, ...] = (
    _seen("hardnet-68", 17.6e6, 4.3e9, 5e7, 0.765),
    _seen("hardnet-85", 36.7e6, 9.1e9, 5e7, 0.780),
    _seen("hardnet-39ds", 3.5e6, 0.44e9, 5e6, 0.721),
    _seen("hardnet-68ds", 4.2e6, 0.8e9, 5e7, 0.743),
    _counted("hardnet-39ds", 3_488_228, 429_471_474),
    _counted("hardnet-68ds", 4_180_602, 775_281_526),
    _counted("hardnet-68", 17_565_348, 4_246_114_304),
    _counted("hardnet-85", 36_670_212, 9_074_081_584),
)

NAMES = Names(prefix="hardnet", config_class=HarDNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="hardnet",
    summary="harmonic dense network of little memory traffic (arXiv 1909.00948)",
    example="hardnet-68",
    pattern_help="hardnet-39ds, -68ds, -68, -85, or hardnet-KNOBVALUE...",
    knobs={
        "stem": "channels of the stem, 2 to 4096",
        "layers": "layers of each block, 1 to 512, joined by +",
        "growth": "growth rate k of each block",
        "channels": "channels behind each block",
        "halve": "1 where the resolution is halved behind a block, else 0",
        "multiplier": "m, width of the layers that many read, 1 to 4",
        "depthwise": "whether layers are pointwise and depthwise convolutions",
        "dropout": "share dropped before the classifier in training, 0 to 0.9",
        "block_dropout": "share dropped behind the last block in training, 0 to 0.9",
    },
    parse=NAMES.parse,
    configure=HarDNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: 224,
    near=NAMES.near,
    systems=("hardnet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
