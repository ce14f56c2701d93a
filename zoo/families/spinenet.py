"""SpineNet as classifier: order, levels and wiring of its blocks were searched (arXiv 1912.05027).

The graph and the scaling of 49S to 190 are those of tensorflow/models,
official/vision/modeling/backbones/spinenet.py. The last block there, an output at level 2, feeds nothing
in a classifier and is left out.
"""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.families._mobile_blocks import ACTIVATIONS, conv_norm
from zoo.families.spinenet_graph import Feature, Node, PyramidClassifier, ScalePermuted
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family

LEVEL_CHANNELS = {2: 64, 3: 128, 4: 256, 5: 256, 6: 256, 7: 256}
EXPANSION = {"bottleneck": 4, "residual": 1}
"""Channels at a block's output over those inside."""
STEM_CHANNELS = 64
SIDE = 224
ACTIVATION = "relu"

NODES = (
    Node(2, "bottleneck", (0, 1)),
    Node(4, "residual", (0, 1)),
    Node(3, "bottleneck", (2, 3)),
    Node(4, "bottleneck", (2, 4)),
    Node(6, "residual", (3, 5)),
    Node(4, "bottleneck", (3, 5)),
    Node(5, "residual", (6, 7)),
    Node(7, "residual", (6, 8)),
    Node(5, "bottleneck", (8, 9)),
    Node(5, "bottleneck", (8, 10)),
    Node(4, "bottleneck", (5, 10), True),
    Node(3, "bottleneck", (4, 10), True),
    Node(5, "bottleneck", (7, 12), True),
    Node(7, "bottleneck", (5, 14), True),
    Node(6, "bottleneck", (12, 14), True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpineNetConfig:
    """The published graph, scaled."""

    width: float = 1.0
    """Multiplier of the blocks' channels; the stem's convolution stays."""
    repeats: int = 1
    """How often each block is repeated."""
    alpha: float = 0.5
    """Channels while resampling over those inside the source block."""
    endpoints: int = 256
    """Channels of the averaged outputs."""

    def __post_init__(self) -> None:
        real_knob("width of SpineNet", self.width, low=0.1, high=10.0)
        integer_knob("repeats of SpineNet", self.repeats, low=1, high=100)
        real_knob("alpha of SpineNet", self.alpha, low=0.1, high=4.0)
        integer_knob("endpoints of SpineNet", self.endpoints, low=1, high=10_000)


class Block(nn.Module):
    """Residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1."""

    def __init__(self, kind: str, inputs: int, inside: int) -> None:
        super().__init__()
        outputs = inside * EXPANSION[kind]
        if kind == "bottleneck":
            layers = [
                conv_norm(inputs, inside, activation=ACTIVATION),
                conv_norm(inside, inside, 3, activation=ACTIVATION),
                conv_norm(inside, outputs),
            ]
        else:
            layers = [conv_norm(inputs, inside, 3, activation=ACTIVATION), conv_norm(inside, inside, 3)]
        self.layers = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity() if inputs == outputs else conv_norm(inputs, outputs)
        self.active = ACTIVATIONS[ACTIVATION]()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels at the same size."""
        return self.active(self.layers(images) + self.shortcut(images))


@dataclass(frozen=True, slots=True)
class _Parts:
    config: SpineNetConfig

    def inside(self, level: int) -> int:
        return int(LEVEL_CHANNELS[level] * self.config.width)

    def feature(self, node: Node) -> Feature:
        return Feature(node.level, node.kind, self.inside(node.level) * EXPANSION[node.kind])

    def group(self, kind: str, inputs: int, inside: int) -> nn.Sequential:
        outputs = inside * EXPANSION[kind]
        shapes = [inputs] + [outputs] * (self.config.repeats - 1)
        return nn.Sequential(*(Block(kind, channels, inside) for channels in shapes))

    def block(self, target: Feature) -> nn.Module:
        return self.group(target.kind, target.channels, target.channels // EXPANSION[target.kind])

    def resample(self, source: Feature, target: Feature) -> nn.Module:
        between = max(1, int(source.channels / EXPANSION[source.kind] * self.config.alpha))
        layers: list[nn.Module] = [conv_norm(source.channels, between, activation=ACTIVATION)]
        if target.level > source.level:
            layers.append(conv_norm(between, between, 3, stride=2, activation=ACTIVATION))
            layers += [nn.MaxPool2d(3, 2, 1) for _ in range(target.level - source.level - 1)]
        layers.append(conv_norm(between, target.channels))
        return nn.Sequential(*layers)


def _build(config: SpineNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    parts = _Parts(config)
    first = parts.feature(Node(2, "bottleneck", (0, 0)))
    inside = parts.inside(2)
    stem = [
        nn.Sequential(
            conv_norm(in_channels, STEM_CHANNELS, 7, stride=2, activation=ACTIVATION), nn.MaxPool2d(3, 2, 1)
        ),
        parts.group("bottleneck", STEM_CHANNELS, inside),
        parts.group("bottleneck", first.channels, inside),
    ]
    graph = ScalePermuted(NODES, [first, first], parts, ACTIVATIONS[ACTIVATION])
    return PyramidClassifier(stem, graph, config.endpoints, num_classes, ACTIVATION)


VARIANTS = {
    "spinenet-49s": SpineNetConfig(width=0.65, endpoints=128),
    "spinenet-49": SpineNetConfig(),
    "spinenet-96": SpineNetConfig(repeats=2),
    "spinenet-143": SpineNetConfig(repeats=3, alpha=1.0),
    "spinenet-143l": SpineNetConfig(width=1.3, repeats=3, alpha=1.0),
    "spinenet-190": SpineNetConfig(width=1.3, repeats=4, alpha=1.0, endpoints=512),
}


def _row(name: str, parameters: float, macs: float, top1: float) -> Published:
    return Published(
        model=f"spinenet-{name}",
        resolution=SIDE,
        source="tensorflow/tpu, models/official/detection/MODEL_ZOO.md, ImageNet table",
        parameters=parameters * 1e6,
        parameters_rounding=5e4,
        macs=macs * 1e9,
        macs_rounding=5e7,
        top1=top1,
    )


PUBLISHED = (
    _row("49", 22.1, 3.5, 0.770),
    _row("96", 36.5, 5.7, 0.782),
    _row("143", 60.5, 9.1, 0.790),
    _row("190", 127.1, 19.1, 0.808),
)

NAMES = Names(prefix="spinenet", config_class=SpineNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="spinenet",
    summary="scale-permuted residual network, searched wiring, as classifier (arXiv 1912.05027)",
    example="spinenet-49",
    pattern_help="spinenet-49s, -49, -96, -143, -143l, -190, or spinenet-widthW-repeatsR-alphaA-endpointsE",
    knobs={
        "width": "multiplier of the blocks' channels, 0.1 to 10",
        "repeats": "how often each block is repeated, 1 to 100",
        "alpha": "channels while resampling over those inside the source block, 0.1 to 4",
        "endpoints": "channels of the averaged outputs, 1 to 10000",
    },
    parse=NAMES.parse,
    configure=SpineNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: SIDE,
    near=NAMES.near,
    systems=("spinenet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)
