"""E2GC: grouped convolutions whose groups keep their size as the network widens (arXiv 2006.15100, III).

Others fix the number of groups, so that each group grows with the channels; here each group has ``group``
channels everywhere. ``mobilenetv1`` puts it in place of every depthwise convolution, ``resnext50`` in place
of its 32 groups.
"""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.families._resnet import Parts, Plan, ResNet, check_plan, plain_conv
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.registry import IMAGENET_CLASSES, Family, ZooError
from zoo.scaling import round_channels

BASES = ("mobilenetv1", "resnext50")
MOBILENET_V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
"""Channels and stride of each separable layer (arXiv 1704.04861, Table 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantGroupConfig:
    """A network with ``group`` channels in each group of its spatial convolutions."""

    base: str = "mobilenetv1"
    """``mobilenetv1`` or ``resnext50``."""
    group: int = 16
    """Channels a group; 1 is depthwise."""
    width: float = 1.0
    """Multiplier of all channels, rounded to whole groups."""

    def __post_init__(self) -> None:
        if self.base not in BASES:
            raise ZooError(
                f"base of a constant-group network must be {' or '.join(BASES)}, got {self.base!r}"
            )
        integer_knob("channels a group", self.group, low=1, high=64)
        real_knob("width of a constant-group network", self.width, low=1 / 16, high=8.0)


def grouped(inputs: int, outputs: int, kernel: int, stride: int, group: int) -> nn.Conv2d:
    """Return a convolution without bias, in groups of ``group`` input channels."""
    return nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=inputs // group, bias=False
    )


class ConstantGroupMobileNet(nn.Module):
    """MobileNetV1 whose depthwise convolutions are grouped ones."""

    def __init__(self, config: ConstantGroupConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        inputs = _whole(32 * config.width, config.group)
        steps: list[nn.Module] = [plain_conv(in_channels, inputs, 3, 2), nn.BatchNorm2d(inputs), nn.ReLU()]
        for base, stride in MOBILENET_V1:
            outputs = _whole(base * config.width, config.group)
            steps += [grouped(inputs, inputs, 3, stride, config.group), nn.BatchNorm2d(inputs), nn.ReLU()]
            steps += [plain_conv(inputs, outputs, 1, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        self.features = nn.Sequential(*steps)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(self.features(images).mean(dim=(2, 3)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ResNeXtPlan(Plan):
    """ResNet-50 with inner channels twice as many, as ResNeXt-50 32x4d has, in whole groups."""

    group: int

    @property
    def channels(self) -> tuple[int, ...]:
        """Inner channels of each stage; also the stem's, halved."""
        return tuple(_whole(base * self.width, self.group) for base in (128, 256, 512, 1024))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Channels that each stage puts out."""
        return tuple(max(1, round(base * self.width)) for base in (256, 512, 1024, 2048))

    @property
    def stem_channels(self) -> int:
        """Channels of the stem."""
        return max(1, round(64 * self.width))


def _whole(channels: float, group: int) -> int:
    return round_channels(channels, group)


def _build(
    config: ConstantGroupConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    if config.base == "mobilenetv1":
        return ConstantGroupMobileNet(config, in_channels, num_classes)
    check_plan("a constant-group ResNeXt", 50, config.width)
    plan = _ResNeXtPlan(depth=50, width=config.width, group=config.group)

    def conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
        # the stem is the one spatial convolution that changes the channels: it stays whole
        same = inputs == outputs
        return (
            grouped(inputs, outputs, kernel, stride, config.group)
            if same
            else plain_conv(inputs, outputs, kernel, stride)
        )

    parts = Parts(spatial_conv=conv)
    return ResNet(plan, parts, in_channels=in_channels, num_classes=num_classes, resolution=resolution)


VARIANTS = {
    f"e2gc-{base}-g{group}": ConstantGroupConfig(base=base, group=group)
    for base in BASES
    for group in ((16, 1, 2, 4, 8, 32) if base == "mobilenetv1" else (16, 4, 8, 32))
}
NAMES = Names(prefix="e2gc", config_class=ConstantGroupConfig, variants=VARIANTS)
FAMILY = Family(
    name="constant_group",
    summary="MobileNetV1 and ResNeXt-50 with groups of constant size (E2GC, arXiv 2006.15100)",
    example="e2gc-mobilenetv1-g16",
    pattern_help="e2gc-BASE-gGROUP, or e2gc-base_B-groupG-widthW",
    knobs={
        "base": "mobilenetv1 or resnext50",
        "group": "channels a group, 1 to 64",
        "width": "multiplier of all channels, 1/16 to 8",
    },
    parse=NAMES.parse,
    configure=ConstantGroupConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: 224,
    near=NAMES.near,
    systems=("e2gc",),
    variants=VARIANTS,
    classes=IMAGENET_CLASSES,
)
