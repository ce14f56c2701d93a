"""EfficientNet: the published coefficients, and its cost in closed form.

B0 to B7 are *not* alpha^phi of whole phi: the reference code keeps coefficients rounded by hand
(google/automl: efficientnetv2/effnetv2_configs.py, ``efficientnetv1_params``; the same in tensorflow/tpu:
models/official/efficientnet/efficientnet_builder.py). `Coefficients.phi` says which phi costs as much: 0,
0.36, 1.03, 1.97, 3.55, 4.83, 5.90 and 6.88 for B0 to B7.
"""

from collections.abc import Callable
from dataclasses import dataclass

from zoo.registry import ZooError
from zoo.scaling.factors import Scale, phi_of
from zoo.scaling.rounding import round_channels, round_repeats, round_up_repeats

BASE_RESOLUTION = 224
CHANNEL_STEP = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What scales EfficientNet-B0 into one published network."""

    width: float
    depth: float
    resolution: int
    """Pixels a side."""

    @property
    def scale(self) -> Scale:
        """The coefficients as multipliers, and of the MACs by depth x width^2 x resolution^2."""
        side = self.resolution / BASE_RESOLUTION
        macs = self.depth * self.width**2 * side**2
        return Scale(depth=self.depth, width=self.width, resolution=side, macs=macs)

    @property
    def phi(self) -> float:
        """The phi of the compound rule that multiplies the MACs as much."""
        return phi_of(self.scale.macs)


COEFFICIENTS = {
    name: Coefficients(width=width, depth=depth, resolution=resolution)
    for name, width, depth, resolution in (
        ("b0", 1.0, 1.0, 224),
        ("b1", 1.0, 1.1, 240),
        ("b2", 1.1, 1.2, 260),
        ("b3", 1.2, 1.4, 300),
        ("b4", 1.4, 1.8, 380),
        ("b5", 1.6, 2.2, 456),
        ("b6", 1.8, 2.6, 528),
        ("b7", 2.0, 3.1, 600),
        ("b8", 2.2, 3.6, 672),
        ("l2", 4.3, 5.3, 800),
    )
}
"""Name -> published coefficients."""


def published_of_phi(phi: float) -> str | None:
    """Return the published network a person means by ``phi``: ``b4`` for 4; None where there is none.

    B1 to B8 are commonly called phi = 1 to 8 although the rule gives other networks there.
    """
    name = f"b{int(phi)}" if float(phi).is_integer() and phi >= 0 else ""
    return name if name in COEFFICIENTS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Inverted residuals of one shape (arXiv 1905.11946, Table 1)."""

    expand: int
    channels: int
    repeats: int
    stride: int
    """Of the first block."""
    kernel: int


STAGES = (
    Stage(expand=1, channels=16, repeats=1, stride=1, kernel=3),
    Stage(expand=6, channels=24, repeats=2, stride=2, kernel=3),
    Stage(expand=6, channels=40, repeats=2, stride=2, kernel=5),
    Stage(expand=6, channels=80, repeats=3, stride=2, kernel=3),
    Stage(expand=6, channels=112, repeats=3, stride=1, kernel=5),
    Stage(expand=6, channels=192, repeats=4, stride=2, kernel=5),
    Stage(expand=6, channels=320, repeats=1, stride=1, kernel=3),
)
"""EfficientNet-B0 between stem and head."""
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedForm:
    """What one image costs, in closed form."""

    macs: int
    parameters: int


def closed_form(
    width: float, depth: float, resolution: int, *, tiny: bool = False, channels: int = 3, classes: int = 1000
) -> ClosedForm:
    """Return MACs and parameters of EfficientNet-B0 scaled by ``width`` and ``depth`` at ``resolution``.

    Convolutions and the linear layer; a stride of 2 leaves half of the pixels, rounded up.

    Args:
        width: multiplier of the channels.
        depth: multiplier of the repeats.
        resolution: pixels a side.
        tiny: TinyNet's way: the stem keeps its channels, the head never has fewer than 1,280, repeats are
            rounded to the nearest number (huawei-noah/Efficient-AI-Backbones: tinynet_pytorch/tinynet.py).
        channels: of the images.
        classes: of the answer.

    Raises:
        ZooError: a multiplier or the resolution is not above 0.
    """
    if min(width, depth, resolution) <= 0:
        raise ZooError(f"width, depth and resolution must be above 0, got {width}, {depth}, {resolution}")
    repeats: Callable[[float], int] = round_repeats if tiny else round_up_repeats
    inputs = STEM_CHANNELS if tiny else round_channels(STEM_CHANNELS * width, CHANNEL_STEP)
    side = -(-resolution // 2)
    macs, parameters = 9 * channels * inputs * side**2, 9 * channels * inputs + 2 * inputs
    for stage in STAGES:
        outputs = round_channels(stage.channels * width, CHANNEL_STEP)
        for index in range(repeats(stage.repeats * depth)):
            before, inside, squeezed = side, inputs * stage.expand, round(inputs / 4)
            side = -(-side // stage.stride) if index == 0 else side
            weights = 2 * inside * squeezed
            macs += weights + inside * stage.kernel**2 * side**2 + inside * outputs * side**2
            parameters += weights + squeezed + inside + inside * (stage.kernel**2 + outputs)
            parameters += 2 * inside + 2 * outputs
            if stage.expand != 1:
                macs += inputs * inside * before**2
                parameters += inputs * inside + 2 * inside
            inputs = outputs
    features = round_channels(HEAD_CHANNELS * width, CHANNEL_STEP)
    features = max(HEAD_CHANNELS, features) if tiny else features
    macs += inputs * features * side**2 + features * classes
    parameters += inputs * features + 2 * features + features * classes + classes
    return ClosedForm(macs=macs, parameters=parameters)
