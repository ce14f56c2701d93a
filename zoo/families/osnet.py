"""OSNet: omni-scale network for telling persons apart again (arXiv 1905.00953), as a classifier.

A block sends its input through four streams of one to four light 3x3 convolutions (pointwise, then depthwise)
and adds them up under one channel gate that all share. Width is the scaling knob.
``ibn`` adds instance norms to the first stage, ``ain`` puts them where a search found them good across data
sets (the authors' later paper, Learning Generalisable Omni-Scale Representations). Published for images of
256x128; here images are square.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published, Status
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

_SOURCE = "KaiyangZhou/deep-person-reid, docs/MODEL_ZOO.md (same-domain and cross-domain ReID)"
_CHANNELS = (64, 256, 384, 512)
"""Of the stem and the three stages at width 1."""
_REDUCTION = 4
"""Channels of a block over those of its streams."""
_GATE_REDUCTION = 16
STRIDE = 16
"""Pixels of the image for one of the last feature map, a side."""
_INSTANCE_NORMS = {
    "batch": (False, "", "", ""),
    "ibn": (True, "sum", "", ""),
    "ain": (True, "branch branch", "none branch", "branch none"),
}
"""Kind -> whether the stem has an instance norm, and where the blocks of each stage have theirs: on the sum
of branch and shortcut, in the branch, none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OSNetConfig:
    """One OSNet; the defaults are OSNet x1.0."""

    width: float = 1.0
    """Multiplier of the channels (beta)."""
    streams: int = 4
    """Streams of a block (T); the t-th has t light convolutions."""
    features: int = 512
    """Features in front of the classifier: what two persons are compared by."""
    norm: str = "batch"
    """``batch``, ``ibn`` or ``ain``: where instance norms are."""

    def __post_init__(self) -> None:
        real_knob("width of an OSNet", self.width, low=0.25, high=16.0)
        integer_knob("streams of an OSNet", self.streams, low=1, high=16)
        integer_knob("features of an OSNet", self.features, low=1, high=65_536)
        if self.norm not in _INSTANCE_NORMS:
            raise ZooError(f"norm of an OSNet must be one of {', '.join(_INSTANCE_NORMS)}, got {self.norm!r}")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the stem and the stages: multiples of what a block reduces by."""
        return tuple(_REDUCTION * round(base * self.width / _REDUCTION) for base in _CHANNELS)

    def instance_norm(self, stage: int, block: int) -> str:
        """Return where the block (0, 1) of a stage (0, 1, 2) has an instance norm: sum, branch, none."""
        words = _INSTANCE_NORMS[self.norm][1 + stage]
        places = str(words).split()
        return places[min(block, len(places) - 1)] if places else "none"


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, instance: bool = False
) -> nn.Module:
    norm = nn.InstanceNorm2d(outputs, affine=True) if instance else nn.BatchNorm2d(outputs)
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, norm, nn.ReLU())


def _light(channels: int) -> nn.Sequential:
    """Return a light 3x3 convolution: pointwise and linear, then depthwise."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class Gate(nn.Module):
    """Channel gate: from a stream's own means to a factor of each of its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, max(1, channels // _GATE_REDUCTION), 1)
        self.widen = nn.Conv2d(max(1, channels // _GATE_REDUCTION), channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same shape."""
        means = images.mean(dim=(2, 3), keepdim=True)
        return images * torch.sigmoid(self.widen(F.relu(self.narrow(means))))


class Block(nn.Module):
    """Omni-scale residual block; ``place`` says where its instance norm is: sum, branch, none."""

    def __init__(self, inputs: int, outputs: int, streams: int, place: str) -> None:
        super().__init__()
        middle = outputs // _REDUCTION
        self.narrow = _conv(inputs, middle)
        self.streams = nn.ModuleList(
            nn.Sequential(*(_light(middle) for _layer in range(depth))) for depth in range(1, streams + 1)
        )
        self.gate = Gate(middle)
        self.widen = nn.Conv2d(middle, outputs, 1, bias=False)
        self.norm: nn.Module = (
            nn.InstanceNorm2d(outputs, affine=True) if place == "branch" else nn.BatchNorm2d(outputs)
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.sum_norm: nn.Module = nn.Identity()
        if place == "sum":
            self.sum_norm = nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels at the same size."""
        narrow = self.narrow(images)
        gated = [self.gate(stream(narrow)) for stream in self.streams]
        branch = self.norm(self.widen(torch.stack(gated).sum(dim=0)))
        return F.relu(self.sum_norm(branch + self.shortcut(images)))


class OSNet(nn.Module):
    """Stem, three stages of two blocks, features, linear layer."""

    def __init__(self, config: OSNetConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        channels = config.channels
        stem_instance = bool(_INSTANCE_NORMS[config.norm][0])
        layers: list[nn.Module] = [
            _conv(in_channels, channels[0], 7, 2, instance=stem_instance),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        for stage in range(3):
            inputs, outputs = channels[stage], channels[stage + 1]
            layers += [
                Block(inputs, outputs, config.streams, config.instance_norm(stage, 0)),
                Block(outputs, outputs, config.streams, config.instance_norm(stage, 1)),
            ]
            if stage < 2:
                layers += [_conv(outputs, outputs), nn.AvgPool2d(2)]
        layers.append(_conv(channels[-1], channels[-1]))
        self.layers = nn.Sequential(*layers)
        self.features = nn.Sequential(
            nn.Linear(channels[-1], config.features), nn.BatchNorm1d(config.features), nn.ReLU()
        )
        self.head = nn.Linear(config.features, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(self.features(self.layers(images).mean(dim=(2, 3))))


def _build(config: OSNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    # Instance norms need more than one pixel to tell what varies.
    least = STRIDE if config.norm == "batch" else 2 * STRIDE
    if resolution is not None and resolution < least:
        raise ZooError(f"{NAMES.format(config)} needs at least {least} pixels a side, got {resolution}")
    return OSNet(config, in_channels, num_classes)


VARIANTS: dict[str, OSNetConfig] = {
    "osnet-x1.0": OSNetConfig(),
    "osnet-x0.75": OSNetConfig(width=0.75),
    "osnet-x0.5": OSNetConfig(width=0.5),
    "osnet-x0.25": OSNetConfig(width=0.25),
    "osnet-ibn-x1.0": OSNetConfig(norm="ibn"),
    "osnet-ain-x1.0": OSNetConfig(norm="ain"),
}


def _row(model: str, parameters: float, macs: float) -> Published:
    return Published(
        model=f"osnet-{model}",
        resolution=256,
        source=_SOURCE,
        status=Status.DERIVED,
        parameters=parameters * 1e6,
        parameters_rounding=5e4,
        macs=2 * macs * 1e9,
        macs_rounding=2 * 5e6,
        dataset="market1501",
        classes=1,
        note="counted there at 256x128 and without the classifier: macs doubled for the square image, and "
        "one class here; the source's FLOPs are multiply-adds of convolutions and linear layers",
    )


PUBLISHED: tuple[Published, ...] = (
    _row("x1.0", 2.2, 0.98),
    _row("x0.75", 1.3, 0.57),
    _row("x0.5", 0.6, 0.27),
    _row("x0.25", 0.2, 0.08),
    _row("ibn-x1.0", 2.2, 0.98),
    _row("ain-x1.0", 2.2, 0.98),
)

NAMES = Names(prefix="osnet", config_class=OSNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="osnet",
    summary="omni-scale network of person re-identification (arXiv 1905.00953)",
    example="osnet-x1.0",
    pattern_help="osnet-x1.0, -x0.75, -x0.5, -x0.25, -ibn-x1.0, -ain-x1.0, or osnet-KNOBVALUE...",
    knobs={
        "width": "multiplier of the channels, 0.25 to 16",
        "streams": "streams of a block, 1 to 16",
        "features": "features in front of the classifier, 1 to 65536",
        "norm": "where instance norms are: batch, ibn, ain",
    },
    parse=NAMES.parse,
    configure=OSNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: 256,
    near=NAMES.near,
    systems=("osnet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
