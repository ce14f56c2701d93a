"""Eff-SpineNet: the scale-permuted graph with efficient operations and compound scaling (arXiv 2010.11426).

Inverted residuals with gates in place of residual blocks, depthwise convolutions for resampling, and a graph
without SpineNet's level-2 output. The graph and the mobile sizes 49, 49S and 49XS are those of
tensorflow/models, official/vision/modeling/backbones/spinenet_mobile.py; width, repeats and resolution scale
them together or apart. The paper's own larger sizes are not defined there.
"""

from dataclasses import dataclass

from torch import nn

from zoo.families._mobile_blocks import ACTIVATIONS, BlockPlan, InvertedResidual, conv_norm
from zoo.families.spinenet_graph import Feature, Node, PyramidClassifier, ScalePermuted
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.registry import IMAGENET_CLASSES, Family

LEVEL_CHANNELS = {0: 8, 1: 16, 2: 24, 3: 40, 4: 80, 5: 112, 6: 112, 7: 112}
"""Level 0 is the stem's convolution."""
KERNEL = 3
SIDE = 224
ACTIVATION = "silu"
KIND = "inverted"

NODES = (
    Node(2, KIND, (0, 1)),
    Node(2, KIND, (1, 2)),
    Node(4, KIND, (1, 2)),
    Node(3, KIND, (3, 4)),
    Node(4, KIND, (3, 5)),
    Node(6, KIND, (4, 6)),
    Node(4, KIND, (4, 6)),
    Node(5, KIND, (7, 8)),
    Node(7, KIND, (7, 9)),
    Node(5, KIND, (9, 10)),
    Node(5, KIND, (9, 11)),
    Node(4, KIND, (6, 11), True),
    Node(3, KIND, (5, 11), True),
    Node(5, KIND, (8, 13), True),
    Node(7, KIND, (6, 15), True),
    Node(6, KIND, (13, 15), True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffSpineNetConfig:
    """The published mobile graph, scaled."""

    width: float = 1.0
    """Multiplier of all channels but the endpoints'."""
    repeats: int = 1
    """How often each block is repeated."""
    pixels: int = SIDE
    """Pixels a side it is made for."""
    endpoints: int = 48
    """Channels of the averaged outputs."""
    expand: int = 6
    """Channels inside a block over channels at its input."""
    squeeze: float = 0.2
    """Channels inside the gates over channels at the block's input; 0 for no gates."""

    def __post_init__(self) -> None:
        real_knob("width of Eff-SpineNet", self.width, low=0.125, high=10.0)
        integer_knob("repeats of Eff-SpineNet", self.repeats, low=1, high=100)
        integer_knob("pixels of Eff-SpineNet", self.pixels, low=1, high=8192)
        integer_knob("endpoints of Eff-SpineNet", self.endpoints, low=1, high=10_000)
        integer_knob("expand of Eff-SpineNet", self.expand, low=1, high=16)
        real_knob("squeeze of Eff-SpineNet", self.squeeze, low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class _Parts:
    config: EffSpineNetConfig

    def channels(self, level: int) -> int:
        return int(LEVEL_CHANNELS[level] * self.config.width)

    def feature(self, node: Node) -> Feature:
        return Feature(node.level, node.kind, self.channels(node.level))

    def group(self, inputs: int, outputs: int, stride: int) -> nn.Sequential:
        blocks = []
        for index in range(self.config.repeats):
            entering = inputs if index == 0 else outputs
            inside = entering * self.config.expand
            blocks.append(
                InvertedResidual(
                    BlockPlan(
                        inputs=entering,
                        outputs=outputs,
                        parts=((KERNEL, inside),),
                        stride=stride if index == 0 else 1,
                        expands=inside != entering,
                        squeezed=max(1, int(entering * self.config.squeeze)) if self.config.squeeze else 0,
                        activation=ACTIVATION,
                        gate="hard_sigmoid",
                    )
                )
            )
        return nn.Sequential(*blocks)

    def block(self, target: Feature) -> nn.Module:
        return self.group(target.channels, target.channels, 1)

    def resample(self, source: Feature, target: Feature) -> nn.Module:
        inputs = source.channels
        shrinks: list[nn.Module] = [
            conv_norm(inputs, inputs, KERNEL, stride=2, groups=inputs, activation=ACTIVATION)
            for _ in range(target.level - source.level)
        ]
        return nn.Sequential(*shrinks, conv_norm(inputs, target.channels))


def _build(
    config: EffSpineNetConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    parts = _Parts(config)
    zero, one, two = (parts.channels(level) for level in (0, 1, 2))
    stem = [
        conv_norm(in_channels, zero, KERNEL, stride=2, activation=ACTIVATION),
        parts.group(zero, one, 1),
        parts.group(one, two, 2),
    ]
    starts = [Feature(1, KIND, one), Feature(2, KIND, two)]
    graph = ScalePermuted(NODES, starts, parts, ACTIVATIONS[ACTIVATION])
    return PyramidClassifier(stem, graph, config.endpoints, num_classes, ACTIVATION)


VARIANTS = {
    "effspinenet-49": EffSpineNetConfig(),
    "effspinenet-49s": EffSpineNetConfig(width=0.65, endpoints=40),
    "effspinenet-49xs": EffSpineNetConfig(width=0.6, endpoints=24),
}

NAMES = Names(prefix="effspinenet", config_class=EffSpineNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="eff_spinenet",
    summary="scale-permuted inverted residuals, compound scaling, as classifier (arXiv 2010.11426)",
    example="effspinenet-49",
    pattern_help="effspinenet-49, -49s, -49xs, or effspinenet-widthW-repeatsR-pixelsP and further knobs",
    knobs={
        "width": "multiplier of all channels but the endpoints', 0.125 to 10",
        "repeats": "how often each block is repeated, 1 to 100",
        "pixels": "pixels a side it is made for, 1 to 8192",
        "endpoints": "channels of the averaged outputs, 1 to 10000",
        "expand": "channels inside a block over channels at its input, 1 to 16",
        "squeeze": "channels inside the gates over channels at the block's input, 0 (none) to 1",
    },
    parse=NAMES.parse,
    configure=EffSpineNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: config.pixels,
    near=NAMES.near,
    systems=("eff-spinenet",),
    variants=VARIANTS,
    classes=IMAGENET_CLASSES,
)
